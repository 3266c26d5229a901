//! What is asked of Docker, by a Docker that answers from a script.

use super::host::Host;
use super::load::{Wanted, load};
use super::this_machine;
use crate::backend::Sweep;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use testfleet_image::{Blob, Image, layout};
use testfleet_protocol::docker::{DockerOptions, Pull};
use testfleet_protocol::image::ImageRef;
use testfleet_protocol::{FailureCode, VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Method and the beginning of a path without the API's version, status, and body. Of several for the same beginning each is
/// given once, and the last again and again.
type Answer = (&'static str, u16, String);

/// What was asked, and the bodies of what was sent in pieces.
#[derive(Default)]
struct Log {
    asked: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

/// Answers requests from a script and remembers them.
struct FakeDocker {
    folder: tempfile::TempDir,
    log: Arc<Mutex<Log>>,
    _server: JoinSet<()>,
}

impl FakeDocker {
    fn new(script: Vec<Answer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let mut server = JoinSet::new();
        let (script, told) = (Arc::new(script), Arc::clone(&log));
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, Arc::clone(&script), Arc::clone(&told)));
            }
        });
        Self { folder, log, _server: server }
    }

    fn options(&self) -> DockerOptions {
        let host = format!("unix://{}/docker.sock", self.folder.path().display());
        DockerOptions { host: Some(host), ..DockerOptions::default() }
    }

    async fn host(&self) -> Host {
        Host::connect(&self.options(), &BTreeMap::new()).await.unwrap()
    }

    fn asked(&self, beginning: &str) -> Vec<String> {
        self.log.lock().unwrap().asked.iter().filter(|one| one.starts_with(beginning)).cloned().collect()
    }

    /// What was sent to `POST /images/load`.
    fn loaded(&self) -> Vec<Vec<u8>> {
        self.log.lock().unwrap().bodies.clone()
    }
}

/// Reads up to this end.
async fn read_to(stream: &mut UnixStream, end: &[u8]) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        read.push(stream.read_u8().await.ok()?);
    }
    Some(read)
}

/// Reads a body that comes in pieces (RFC 9112, 7.1).
async fn read_pieces(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = String::from_utf8(read_to(stream, b"\r\n").await?).ok()?;
        let mut piece = vec![0; usize::from_str_radix(size.trim(), 16).ok()?];
        stream.read_exact(&mut piece).await.ok()?;
        read_to(stream, b"\r\n").await?;
        if piece.is_empty() {
            return Some(body);
        }
        body.extend(piece);
    }
}

async fn answer(mut stream: UnixStream, script: Arc<Vec<Answer>>, log: Arc<Mutex<Log>>) {
    let Some(head) = read_to(&mut stream, b"\r\n\r\n").await else { return };
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = match path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) {
        Some((version, rest)) if version.starts_with(|c: char| c.is_ascii_digit()) => format!("/{rest}"),
        _ => path.to_owned(),
    };
    let asked = format!("{method} {path}");
    if asked.starts_with("POST /images/load") {
        let Some(body) = read_pieces(&mut stream).await else { return };
        log.lock().unwrap().bodies.push(body);
    }
    let scripted: Vec<_> = script.iter().filter(|(beginning, ..)| asked.starts_with(beginning)).collect();
    let nth = {
        let mut log = log.lock().unwrap();
        let beginning = scripted.first().map_or("", |(beginning, ..)| *beginning);
        let before = log.asked.iter().filter(|one| one.starts_with(beginning)).count();
        log.asked.push(asked);
        before.min(scripted.len().saturating_sub(1))
    };
    let scripted = scripted.get(nth);
    let (status, body) = match scripted {
        Some((_, status, body)) => (*status, body.clone()),
        None => (404, r#"{"message":"no such thing"}"#.to_owned()),
    };
    let text = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes()).await;
}

fn version(api: &str) -> Answer {
    ("GET /version", 200, format!(r#"{{"Version":"1.2.3","ApiVersion":"{api}","Os":"linux","Arch":"amd64"}}"#))
}

fn image() -> ImageRef {
    ImageRef {
        protocol: VERSION,
        name: "localhost/testfleet/app".into(),
        tags: vec!["t".into()],
        digest: format!("sha256:{}", "a".repeat(64)),
        config_digest: format!("sha256:{}", "c".repeat(64)),
        platform: "linux/amd64".into(),
        layout: "/nowhere".into(),
        pushed: false,
        bundle_sha256: String::new(),
        layers: vec![],
        workers: BTreeMap::new(),
        development: None,
    }
}

#[tokio::test]
async fn a_docker_that_answers_is_known_by_its_version() {
    let docker = FakeDocker::new(vec![version("1.41")]);
    let host = docker.host().await;
    assert_eq!((host.version.as_str(), host.platform.as_str()), ("1.2.3", "linux/amd64"));
}

#[tokio::test]
async fn one_that_is_too_old_or_not_there_is_refused() {
    let old = FakeDocker::new(vec![version("1.24")]);
    let failure = Host::connect(&old.options(), &BTreeMap::new()).await.unwrap_err();
    assert!(failure.to_string().contains("19.03"), "{failure}");
    let nobody = tempfile::tempdir().unwrap();
    let socket = nobody.path().join("docker.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let options = DockerOptions { host: Some(format!("unix://{}", socket.display())), ..DockerOptions::default() };
    let failure = Host::connect(&options, &BTreeMap::new()).await.unwrap_err();
    assert!(failure.to_string().contains("start Docker there"), "{failure}");
}

#[tokio::test]
async fn an_image_that_docker_has_is_not_sent() {
    let there = r#"{"Id":"sha256:there"}"#.to_owned();
    let docker = FakeDocker::new(vec![version("1.41"), ("GET /images/sha256:cccc", 200, there)]);
    let ids = docker.host().await.provide(&image(), &[1, 2], Pull::Missing, &|_| {}).await.unwrap();
    assert_eq!(ids, BTreeMap::from([(1, "sha256:there".to_owned()), (2, "sha256:there".to_owned())]));
    assert!(docker.asked("POST").is_empty());
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_a_failure() {
    let docker = FakeDocker::new(vec![version("1.41")]);
    let failure = docker.host().await.provide(&image(), &[1], Pull::Missing, &|_| {}).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Io);
    assert!(failure.to_string().contains("./gradlew image"), "{failure}");
}

/// An image of layers with these texts, whose uncompressed content is said to be the same.
fn image_of(layers: &[&str]) -> Image {
    let layers: Vec<Blob> =
        layers.iter().map(|text| Blob::of_bytes("application/x".into(), text.as_bytes().to_vec()).unwrap()).collect();
    let digests: Vec<String> = layers.iter().map(|layer| layer.descriptor.digest().to_string()).collect();
    let config = serde_json::json!({
        "os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": digests},
    });
    let config = Blob::of_bytes("application/vnd.oci.image.config.v1+json".into(), config.to_string().into()).unwrap();
    let descriptors: Vec<_> = layers.iter().map(|layer| &layer.descriptor).collect();
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config.descriptor, "layers": descriptors});
    let kind = "application/vnd.oci.image.manifest.v1+json".into();
    Image { manifest: Blob::of_bytes(kind, manifest.to_string().into()).unwrap(), config, layers }
}

/// What `image.json` says of an image for all, and one for each of two workers.
fn made_for_workers(folder: &Path) -> (ImageRef, [Image; 3]) {
    let images = ["all", "first", "second"].map(|own| image_of(&["the lowest", "classes", own]));
    let named: Vec<_> = images.iter().map(|image| layout::Named { image, name: None }).collect();
    layout::write(folder, &named).unwrap();
    let digest = |image: &Image| image.manifest.digest().unwrap().to_string();
    let made = ImageRef {
        digest: digest(&images[0]),
        config_digest: images[0].config.digest().unwrap().to_string(),
        layout: folder.to_owned(),
        workers: BTreeMap::from([(1, digest(&images[1])), (2, digest(&images[2]))]),
        ..image()
    };
    (made, images)
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Answers for these images, of which Docker has none before they were sent.
fn unknown_at_first(images: &[Image]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for image in images {
        let id = image.config.digest().unwrap().to_string();
        let path: &'static str = format!("GET /images/{id}").leak();
        answers.push((path, 404, r#"{"message":"no such image"}"#.to_owned()));
        answers.push((path, 200, format!(r#"{{"Id":"{id}"}}"#)));
    }
    answers
}

#[tokio::test]
async fn each_worker_gets_its_own_image_and_shared_layers_are_sent_once() {
    let folder = tempfile::tempdir().unwrap();
    let (made, images) = made_for_workers(folder.path());
    let mut script = unknown_at_first(&images[1..]);
    script.extend([version("1.41"), ("GET /info", 200, "{}".into()), ("GET /images/json", 200, "[]".into())]);
    script.push(("POST /images/load", 200, String::new()));
    let docker = FakeDocker::new(script);
    let host = docker.host().await;
    let ids = host.provide(&made, &[1, 2], Pull::Missing, &|_| {}).await.unwrap();
    let id = |at: usize| images[at].config.digest().unwrap().to_string();
    assert_eq!(ids, BTreeMap::from([(1, id(1)), (2, id(2))]));
    let loaded = docker.loaded();
    assert_eq!(loaded.len(), 1);
    let count = |text: &str| loaded[0].windows(text.len()).filter(|part| *part == text.as_bytes()).count();
    assert_eq!((count("the lowest"), count("first"), count("second")), (1, 1, 1));
    assert!(has(&loaded[0], "localhost/testfleet/app:t-worker-2") && !has(&loaded[0], &id(0)[7..]));
    // Nothing is sent again, and a worker that none was made for has none.
    host.provide(&made, &[2], Pull::Missing, &|_| {}).await.unwrap();
    assert_eq!(docker.loaded().len(), 1);
    let failure = host.provide(&made, &[3], Pull::Missing, &|_| {}).await.unwrap_err();
    assert!(failure.code == FailureCode::NoSuchWorker && failure.to_string().contains("./gradlew image"), "{failure}");
}

/// A Docker that has the lowest layer of an earlier image.
fn with_the_lowest(images: &[Image], info: &str) -> Vec<Answer> {
    let lowest = images[0].layers[0].digest().unwrap();
    let mut script = unknown_at_first(&images[..1]);
    script.extend([
        version("1.41"),
        ("GET /info", 200, info.to_owned()),
        (
            "GET /images/json",
            200,
            r#"[{"Id":"sha256:former","ParentId":"","RepoTags":[],"RepoDigests":[],"Created":0,
            "Size":0,"SharedSize":0,"Labels":{},"Containers":0}]"#
                .to_owned(),
        ),
        (
            "GET /images/sha256:former/json",
            200,
            format!(
                r#"{{"Id":"sha256:former","RootFS":{{"Type":"layers","Layers":["{lowest}","sha256:1","sha256:2"]}}}}"#
            ),
        ),
    ]);
    script
}

#[tokio::test]
async fn layers_that_docker_has_are_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (mut made, images) = made_for_workers(folder.path());
    made.workers.clear();
    let mut script = with_the_lowest(&images, "{}");
    script.push(("POST /images/load", 200, String::new()));
    let docker = FakeDocker::new(script);
    docker.host().await.provide(&made, &[1], Pull::Missing, &|_| {}).await.unwrap();
    let loaded = docker.loaded();
    assert_eq!(loaded.len(), 1);
    assert!(!has(&loaded[0], "the lowest") && has(&loaded[0], "classes") && !has(&loaded[0], "index.json"));
}

#[tokio::test]
async fn a_docker_that_wants_all_layers_gets_them() {
    let folder = tempfile::tempdir().unwrap();
    let (mut made, images) = made_for_workers(folder.path());
    made.workers.clear();
    let mut script = with_the_lowest(&images, "{}");
    script.push(("POST /images/load", 500, r#"{"message":"open blobs/sha256/0: no such file"}"#.into()));
    script.push(("POST /images/load", 200, String::new()));
    let docker = FakeDocker::new(script);
    docker.host().await.provide(&made, &[1], Pull::Missing, &|_| {}).await.unwrap();
    let loaded = docker.loaded();
    assert_eq!(loaded.len(), 2);
    assert!(!has(&loaded[0], "the lowest") && has(&loaded[1], "the lowest"));

    // containerd's store would take what it got for the whole.
    let info = r#"{"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}"#;
    let mut script = with_the_lowest(&images, info);
    script.push(("POST /images/load", 200, String::new()));
    let docker = FakeDocker::new(script);
    docker.host().await.provide(&made, &[1], Pull::Missing, &|_| {}).await.unwrap();
    assert!(has(&docker.loaded()[0], "the lowest"));
}

#[tokio::test]
async fn an_old_docker_is_not_sent_what_it_can_not_read() {
    let docker = FakeDocker::new(vec![version("1.41")]);
    let mut image = image_of(&["a"]);
    image.layers = vec![Blob::of_bytes("application/vnd.oci.image.layer.v1.tar+zstd".into(), b"a".to_vec()).unwrap()];
    let wanted = Wanted { image, names: vec!["a:1".to_owned()] };
    let failure = load(&docker.host().await, vec![wanted], &|_| {}).await.unwrap_err().to_string();
    assert!(failure.contains("from 23 on") && failure.contains("compression = 'auto'"), "{failure}");
    assert!(docker.asked("POST").is_empty());
}

#[tokio::test]
async fn what_a_pull_says_goes_to_the_user() {
    let news = "{\"status\":\"Pulling from a\",\"id\":\"1\"}\n{\"errorDetail\":{\"message\":\"manifest unknown\"},\"error\":\"x\"}\n";
    let docker = FakeDocker::new(vec![version("1.41"), ("POST /images/create", 200, news.to_owned())]);
    let failure = docker.host().await.pull("r.example/a:1", &|_| {}).await.unwrap_err();
    assert!(failure.to_string().contains("manifest unknown"), "{failure}");
    assert!(docker.asked("POST")[0].contains("fromImage=r.example%2Fa&"), "{:?}", docker.asked("POST"));
}

#[tokio::test]
async fn only_what_dead_runs_left_is_removed() {
    let machine = this_machine();
    let container = |id: &str, machine: &str, folder: &str, state: &str, more: &str| {
        format!(
            r#"{{"Id":"{id}","State":"{state}","Labels":{{"dev.testfleet.run":"run-{id}",
               "dev.testfleet.machine":"{machine}","dev.testfleet.folder":"{folder}"{more}}}}}"#
        )
    };
    let keep = r#","dev.testfleet.keep":"true""#;
    let ended = |minutes_ago: i64| {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes_ago);
        format!(r#"{{"State":{{"Status":"exited","FinishedAt":"{at}"}}}}"#)
    };
    let worker = r#","dev.testfleet.role":"worker""#;
    // Those that a worker of another machine's run has beside it.
    let beside = |id: &str, of: &str, minutes_ago: i64| {
        let created = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes_ago);
        let labels = format!(r#""Labels":{{"dev.testfleet.run":"run-{of}","dev.testfleet.machine":"another"}}"#);
        let service = format!(r#"{{"Id":"db-{id}","State":"running","Created":{},{labels}}}"#, created.as_second());
        (service, format!(r#"{{"Id":"net-{id}","Created":"{created}",{labels}}}"#))
    };
    let (db_old, net_old) = beside("old", "other-old", 120);
    let (db_runs, net_runs) = beside("runs", "other-runs", 120);
    let (db_alone, net_alone) = beside("alone", "alone", 61);
    let (db_begins, net_begins) = beside("begins", "begins", 59);
    let containers = [
        container("dead", &machine, "/dead", "running", ""),
        container("live", &machine, "/live", "running", ""),
        container("kept", &machine, "/dead", "exited", keep),
        container("other-old", "another", "/dead", "exited", worker),
        container("other-new", "another", "/dead", "exited", worker),
        container("other-runs", "another", "/dead", "running", worker),
        db_old,
        db_runs,
        db_alone,
        db_begins,
    ];
    let network = format!(
        r#"{{"Id":"net","Labels":{{"dev.testfleet.run":"run-dead","dev.testfleet.machine":"{machine}","dev.testfleet.folder":"/dead"}}}}"#
    );
    let docker = FakeDocker::new(vec![
        version("1.41"),
        ("GET /containers/json", 200, format!("[{}]", containers.join(","))),
        ("GET /containers/other-old/json", 200, ended(61)),
        ("GET /containers/other-new/json", 200, ended(59)),
        ("GET /networks", 200, format!("[{}]", [network, net_old, net_runs, net_alone, net_begins].join(","))),
        ("DELETE", 204, String::new()),
    ]);
    let removed = docker.host().await.sweep(&Sweep::of_dead(&|folder| folder == Path::new("/dead"))).await.unwrap();
    assert_eq!(removed.into_iter().collect::<Vec<_>>(), ["run-alone", "run-dead", "run-other-old"]);
    let mut deleted: Vec<_> =
        docker.asked("DELETE").iter().map(|one| one.split('?').next().unwrap().to_owned()).collect();
    deleted.sort();
    let expected =
        ["containers/db-alone", "containers/db-old", "containers/dead", "containers/other-old", "networks/net"];
    let expected = expected.iter().chain(&["networks/net-alone", "networks/net-old"]);
    assert_eq!(deleted, expected.map(|path| format!("DELETE /{path}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn age_and_wish_remove_what_else_stays() {
    let at = |minutes_ago: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes_ago)).as_second();
    let container = |id: &str, minutes_ago: i64, more: &str| {
        format!(
            r#"{{"Id":"{id}","State":"running","Created":{},"Labels":{{"dev.testfleet.run":"run-{id}","dev.testfleet.role":"worker",
               "dev.testfleet.machine":"another"{more}}}}}"#,
            at(minutes_ago)
        )
    };
    let keep = r#","dev.testfleet.keep":"true""#;
    let containers = [container("old", 61, ""), container("new", 59, ""), container("kept", 61, keep)].join(",");
    for (kept, expected) in [(false, vec!["run-old"]), (true, vec!["run-kept", "run-old"])] {
        let docker = FakeDocker::new(vec![
            version("1.41"),
            ("GET /containers/json", 200, format!("[{containers}]")),
            ("GET /networks", 200, "[]".to_owned()),
            ("DELETE", 204, String::new()),
        ]);
        let hour = std::time::Duration::from_secs(3_600);
        let sweep = Sweep { older_than: Some(hour), kept, ..Sweep::of_dead(&|_| false) };
        let removed = docker.host().await.sweep(&sweep).await.unwrap();
        assert_eq!(removed.into_iter().collect::<Vec<_>>(), expected);
    }
}
