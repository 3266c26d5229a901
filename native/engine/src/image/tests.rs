use super::*;
use crate::bundle::of_tasks;
use crate::test_request;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use testfleet_protocol::image::Compression;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::test::TaskPath;

struct Build {
    folder: tempfile::TempDir,
    request: RunRequest,
    cancelled: bool,
}

impl Build {
    /// A build with a class, whose JVM and agent are a program that does nothing.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for dir in ["p/classes", "p/build/testfleet", "g", "jdk/bin"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        fs::write(at("p/classes/FooTest.class"), "foo").unwrap();
        fs::write(at("g/harness.jar"), "harness").unwrap();
        for program in ["g/agent", "jdk/bin/java"] {
            fs::copy("/bin/true", at(program)).unwrap();
            fs::set_permissions(at(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut request = test_request::empty();
        request.roots = [("project", "p"), ("build", "p/build/testfleet"), ("gradleHome", "g")]
            .map(|(name, dir)| (name.to_owned(), at(dir)))
            .into();
        request.state_dir = at("p/.gradle/testfleet");
        request.harness_jar = at("g/harness.jar");
        request.agent = at("g/agent");
        let mut task = test_request::task(":test");
        task.java.home = at("jdk");
        task.working_dir = at("p");
        task.classpath = vec![at("p/classes")];
        request.tasks = vec![task];
        request.options.image.store.dir = Some(at("store"));
        Self { folder, request, cancelled: false }
    }

    /// As the task `image` does.
    fn make(&self) -> Result<MadeImage> {
        self.make_for(&self.request.options.image.to)
    }

    fn make_for(&self, to: &[Target]) -> Result<MadeImage> {
        let bundle = of_tasks(&self.request, &BTreeSet::from([&TaskPath(":test".into())]))?;
        let (environment, (_sender, cancelled)) = (BTreeMap::new(), watch::channel(self.cancelled));
        let outside = Outside { environment: &environment, cancelled: &cancelled, say: &|_| {} };
        make(&self.request, &Plan { protocol: VERSION, workers: 2, ..Plan::default() }, &bundle, to, &outside)
    }

    fn blobs(&self, store: &str) -> usize {
        fs::read_dir(self.folder.path().join(store).join("blobs")).unwrap().count()
    }
}

#[test]
fn image_json_names_what_lies_in_the_layout() {
    let build = Build::new();
    let made = build.make().unwrap();
    let json = fs::read(build.folder.path().join("p/build/testfleet/image.json")).unwrap();
    let reference: ImageRef = serde_json::from_slice(&json).unwrap();
    assert_eq!(reference, made.reference);
    assert_eq!(reference.name, "localhost/testfleet/acme");
    assert_eq!(reference.tags, [format!("bundle-{}", &reference.bundle_sha256[..12])]);
    assert!(!reference.pushed && reference.workers.is_empty());
    let holds: Vec<&str> = reference.layers.iter().map(|layer| layer.holds.as_str()).collect();
    assert_eq!(holds, ["base", "java 17", "testfleet", "classes of classes", "plan"]);
    for digest in
        reference.layers.iter().map(|layer| &layer.digest).chain([&reference.digest, &reference.config_digest])
    {
        assert!(reference.layout.join("blobs").join(digest.replace(':', "/")).is_file(), "{digest}");
    }
}

#[test]
fn the_builds_own_store_keeps_the_last_image_alone() {
    let build = Build::new();
    drop(build.make().unwrap());
    assert_eq!((build.blobs("p/.gradle/testfleet/layers"), build.blobs("store")), (2, 3));
    fs::write(build.folder.path().join("p/classes/FooTest.class"), "edited").unwrap();
    let made = build.make().unwrap();
    assert_eq!(made.assembled.reused, 3);
    assert_eq!((build.blobs("p/.gradle/testfleet/layers"), build.blobs("store")), (2, 3));
    assert_eq!(build.make().unwrap().assembled.reused, 5);
}

#[test]
fn what_an_earlier_release_left_is_replaced() {
    let build = Build::new();
    let image = build.folder.path().join("p/build/testfleet/image");
    fs::create_dir_all(image.join("project")).unwrap();
    fs::write(image.join("bundle.json"), "{}").unwrap();
    build.make().unwrap();
    assert!(image.join("index.json").exists() && !image.join("bundle.json").exists());
}

#[test]
fn each_worker_has_tags_of_its_own() {
    let mut build = Build::new();
    build.request.options.image.per_worker = true;
    build.request.options.image.tags = vec!["one".to_owned()];
    build.request.options.image.compression = Compression::None;
    let made = build.make().unwrap();
    assert_eq!(made.reference.workers.keys().copied().collect::<Vec<_>>(), [1, 2]);
    let index = fs::read_to_string(made.reference.layout.join("index.json")).unwrap();
    for name in ["\"one\"", "\"one-worker-1\"", "\"one-worker-2\""] {
        assert!(index.contains(name), "{name} in {index}");
    }
}

#[test]
fn an_image_for_another_machine_is_refused() {
    let mut build = Build::new();
    build.request.options.image.platform = Some("linux/s390x".to_owned());
    let failure = build.make().err().unwrap();
    assert!(failure.message.contains("linux/s390x") && failure.hint.is_some(), "{failure}");
    build.request.options.image.platform = Some(Platform::machine().to_string());
    build.make().unwrap();
}

#[test]
fn a_cancel_ends_what_waits_for_a_registry() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut build = Build::new();
    build.request.options.image.name = Some(format!("{}/acme", silent.local_addr().unwrap()));
    build.request.options.image.to = vec![Target::Registry];
    build.cancelled = true;
    assert_eq!(build.make().err().unwrap().code, FailureCode::Cancelled);
    build.cancelled = false;
    let made = build.make_for(&[Target::Docker]).unwrap();
    assert!(made.pushed.is_none() && !made.reference.pushed, "a run asks no registry");
}

#[test]
fn what_was_fetched_of_a_former_base_goes() {
    let build = Build::new();
    let left = build.request.state_dir.join("bases/sha256").join("0".repeat(64));
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    fs::write(&left, "a layer").unwrap();
    build.make().unwrap();
    assert!(!left.exists());
}
