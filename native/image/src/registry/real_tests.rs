//! Real registries, which `tests/registry` brings: Debian's docker-registry.

use super::tests::{QUICK, environment, image, layer, push_with, registry};
use super::*;
use crate::{Blob, BlobSource};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testfleet_protocol::FailureCode;

/// A registry that can be killed and started again.
struct Real {
    folder: tempfile::TempDir,
    port: u16,
    process: Mutex<Child>,
}

fn start(folder: &Path) -> Child {
    let program = std::env::var("TESTFLEET_TEST_REGISTRY_PROGRAM").expect("tests/registry sets it");
    let null = Stdio::null;
    let child = Command::new(program).arg("serve").arg(folder.join("config.yml")).stdout(null()).stderr(null()).spawn();
    child.expect("the registry starts")
}

impl Real {
    fn start(auth: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The port is free when it was looked at; nobody else is given it that soon.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\", secret: one-for-all-starts}}\n{auth}\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let process = Mutex::new(start(folder.path()));
        let real = Self { folder, port, process };
        real.wait();
        real
    }

    fn wait(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "the registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    fn start_again(&self) {
        *self.process.lock().unwrap() = start(self.folder.path());
        self.wait();
    }

    fn name(&self, repository: &str) -> String {
        format!("127.0.0.1:{}/{repository}", self.port)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

fn size(blobs: &[Blob]) -> u64 {
    blobs.iter().map(|blob| blob.descriptor.size()).sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry: tests/registry runs it"]
async fn a_registry_that_is_killed_gets_what_it_lacks() {
    let real = Real::start("");
    let folder = tempfile::tempdir().unwrap();
    let layers: Vec<Blob> = (0..8).map(|seed| layer(2_000_000, seed)).collect();
    let image = image(layers.clone());
    let place = Place::parse(&real.name("app")).unwrap();
    let tags = ["1".to_owned()];

    // It dies after three blobs, and stays dead.
    let dead = Mutex::new(false);
    let kill = |progress: Progress| {
        let mut dead = dead.lock().unwrap();
        if progress.blobs >= 3 && !*dead {
            real.kill();
            *dead = true;
        }
    };
    let failure = registry().push(&image, &place, &tags, folder.path(), &kill).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::RegistryFailed);
    assert!(failure.hint.is_some() && failure.to_string().contains(&place.to_string()), "{failure}");
    real.start_again();
    let pushed = registry().push(&image, &place, &tags, folder.path(), &|_| {}).await.unwrap();
    assert!(pushed.there >= 3 && pushed.there + pushed.sent == 9, "{pushed:?}");
    let rest = pushed.bytes - image.manifest.descriptor.size();
    let all = size(&layers) + image.config.descriptor.size();
    assert!(rest <= all - 2 * 2_000_000, "{pushed:?}");
    let again = registry().push(&image, &place, &tags, folder.path(), &|_| {}).await.unwrap();
    assert_eq!(again, Pushed { there: 9, ..Pushed::default() });

    // Everything is as it was sent.
    for layer in &layers {
        let there = Blob { source: BlobSource::Registry(place.to_string()), ..layer.clone() };
        let path = registry().fetch(&there, folder.path()).await.unwrap();
        let BlobSource::Bytes(bytes) = &layer.source else { panic!() };
        assert_eq!(&std::fs::read(path).unwrap(), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry: tests/registry runs it"]
async fn an_upload_survives_the_restart_of_a_registry() {
    let real = Real::start("");
    let folder = tempfile::tempdir().unwrap();
    let image = image(vec![layer(4_000_000, 1)]);
    let restarted = Mutex::new(false);
    let restart = |progress: Progress| {
        let mut restarted = restarted.lock().unwrap();
        if progress.bytes >= 2_000_000 && !*restarted {
            real.kill();
            real.start_again();
            *restarted = true;
        }
    };
    let place = Place::parse(&real.name("app")).unwrap();
    let pushed = registry().push(&image, &place, &["1".to_owned()], folder.path(), &restart).await.unwrap();
    assert!(*restarted.lock().unwrap());
    let all = size(&image.layers) + image.config.descriptor.size() + image.manifest.descriptor.size();
    assert_eq!((pushed.bytes, pushed.sent), (all, 2), "nothing is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry: tests/registry runs it"]
async fn blobs_are_mounted_from_one_repository_to_another() {
    let real = Real::start("");
    let base = layer(1_000_000, 1);
    push_with(&registry(), &image(vec![base.clone()]), &real.name("team/base"), &["1"]).await.unwrap();
    let mounted = Blob { source: BlobSource::Registry(real.name("team/base")), ..base };
    let own = layer(10, 2);
    let pushed = push_with(&registry(), &image(vec![mounted, own]), &real.name("team/app"), &["1"]).await.unwrap();
    assert_eq!((pushed.mounted, pushed.sent), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry: tests/registry runs it"]
async fn a_login_is_needed_and_used() {
    // The password is `s3cret`, hashed with bcrypt.
    let users = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(users.path(), "me:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n").unwrap();
    let real = Real::start(&format!("auth: {{htpasswd: {{realm: testfleet, path: {}}}}}", users.path().display()));
    let options = RegistryOptions {
        user_variable: Some("CI_USER".into()),
        password_variable: Some("CI_PASSWORD".into()),
        ..RegistryOptions::default()
    };
    let login = |password: &str| {
        let variables = environment(&[("CI_USER", "me"), ("CI_PASSWORD", password)]);
        Registry::new(&options, &variables, None, QUICK).unwrap()
    };
    let image = image(vec![layer(300_000, 1)]);
    for registry in [registry(), login("wr0ng")] {
        let failure = push_with(&registry, &image, &real.name("app"), &["1"]).await.unwrap_err();
        assert!(failure.code == FailureCode::RegistryFailed && failure.to_string().contains("401"), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains("docker login"), "{failure}");
        assert!(!failure.to_string().contains("wr0ng"), "{failure}");
    }
    let pushed = push_with(&login("s3cret"), &image, &real.name("app"), &["1"]).await.unwrap();
    assert_eq!(pushed.sent, 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry and a small disk: tests/registry runs it"]
async fn a_full_disk_is_told_and_a_fetch_goes_on_when_there_is_room() {
    let disk = PathBuf::from(std::env::var("TESTFLEET_TEST_SMALL_DISK").expect("tests/registry sets it"));
    let real = Real::start("");
    let layer = layer(2_000_000, 1);
    push_with(&registry(), &image(vec![layer.clone()]), &real.name("app"), &["1"]).await.unwrap();
    let wanted = Blob { source: BlobSource::Registry(real.name("app")), ..layer };
    std::fs::write(disk.join("waste"), vec![1; 1_500_000]).unwrap();
    let failure = registry().fetch(&wanted, &disk).await.unwrap_err();
    assert!(failure.code == FailureCode::Io && failure.to_string().contains("No space left"), "{failure}");
    let hint = failure.hint.as_ref().unwrap();
    assert!(hint.contains("make room") && hint.contains(&disk.display().to_string()), "{failure}");
    std::fs::remove_file(disk.join("waste")).unwrap();
    let path = registry().fetch(&wanted, &disk).await.unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().len(), 2_000_000);
}
