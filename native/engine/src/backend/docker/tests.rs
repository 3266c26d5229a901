//! What is asked of Docker, by a Docker that answers from a script.

use super::host::Host;
use super::this_machine;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use testfleet_protocol::docker::{DockerOptions, Pull};
use testfleet_protocol::image::ImageRef;
use testfleet_protocol::{FailureCode, VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Method and the beginning of a path without the API's version, status, and body.
type Answer = (&'static str, u16, String);

/// Answers requests from a script and remembers them.
struct FakeDocker {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

impl FakeDocker {
    fn new(script: Vec<Answer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut server = JoinSet::new();
        let (script, log) = (Arc::new(script), Arc::clone(&asked));
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { folder, asked, _server: server }
    }

    fn options(&self) -> DockerOptions {
        let host = format!("unix://{}/docker.sock", self.folder.path().display());
        DockerOptions { host: Some(host), ..DockerOptions::default() }
    }

    async fn host(&self) -> Host {
        Host::connect(&self.options(), &BTreeMap::new()).await.unwrap()
    }

    fn asked(&self, beginning: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|one| one.starts_with(beginning)).cloned().collect()
    }
}

async fn answer(mut stream: UnixStream, script: Arc<Vec<Answer>>, log: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = match path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) {
        Some((version, rest)) if version.starts_with(|c: char| c.is_ascii_digit()) => format!("/{rest}"),
        _ => path.to_owned(),
    };
    let asked = format!("{method} {path}");
    let scripted = script.iter().find(|(beginning, ..)| asked.starts_with(beginning));
    log.lock().unwrap().push(asked);
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
    let id = docker.host().await.provide(&image(), Pull::Missing, &|_| {}).await.unwrap();
    assert_eq!(id, "sha256:there");
    assert!(docker.asked("POST").is_empty());
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_a_failure() {
    let docker = FakeDocker::new(vec![version("1.41")]);
    let failure = docker.host().await.provide(&image(), Pull::Missing, &|_| {}).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Io);
    assert!(failure.to_string().contains("./gradlew image"), "{failure}");
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
    let container = |id: &str, machine: &str, folder: &str, state: &str, created: u64, more: &str| {
        format!(
            r#"{{"Id":"{id}","State":"{state}","Created":{created},"Labels":{{"dev.testfleet.run":"run-{id}",
               "dev.testfleet.machine":"{machine}","dev.testfleet.folder":"{folder}"{more}}}}}"#
        )
    };
    let keep = r#","dev.testfleet.keep":"true""#;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let containers = [
        container("dead", &machine, "/dead", "running", now, ""),
        container("live", &machine, "/live", "running", now, ""),
        container("kept", &machine, "/dead", "exited", now, keep),
        container("other-old", "another", "/dead", "exited", now - 7_200, ""),
        container("other-new", "another", "/dead", "exited", now, ""),
        container("other-runs", "another", "/dead", "running", now - 7_200, ""),
    ];
    let network = format!(
        r#"[{{"Id":"net","Labels":{{"dev.testfleet.run":"run-dead","dev.testfleet.machine":"{machine}","dev.testfleet.folder":"/dead"}}}}]"#
    );
    let docker = FakeDocker::new(vec![
        version("1.41"),
        ("GET /containers/json", 200, format!("[{}]", containers.join(","))),
        ("GET /networks", 200, network),
        ("DELETE", 204, String::new()),
    ]);
    let removed = docker.host().await.remove_dead_runs(|folder| folder == Path::new("/dead")).await.unwrap();
    assert_eq!(removed.into_iter().collect::<Vec<_>>(), ["run-dead", "run-other-old"]);
    let mut deleted: Vec<_> =
        docker.asked("DELETE").iter().map(|one| one.split('?').next().unwrap().to_owned()).collect();
    deleted.sort();
    assert_eq!(deleted, ["DELETE /containers/dead", "DELETE /containers/other-old", "DELETE /networks/net"]);
}
