//! Bundles of small builds on disk.

use super::*;
use crate::test_request;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use testfleet_protocol::plan::{EstimateSource, Fingerprints, Unit, UnitId};
use testfleet_protocol::request::Framework;

/// A build with a class directory, a resource directory that is not there, a released jar and a snapshot.
struct Build {
    folder: tempfile::TempDir,
    request: RunRequest,
}

impl Build {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        };
        write("p/build/testfleet/harness.jar", "harness");
        write("p/build/testfleet/agent", "agent");
        write("p/build/testfleet/plan.json", "{}");
        fs::set_permissions(root.join("p/build/testfleet/agent"), fs::Permissions::from_mode(0o755)).unwrap();
        write("p/classes/com/acme/FooTest.class", "foo");
        write("p/classes/com/acme/Bar.class", "bar");
        write("p/lib/own.jar", "own");
        write("g/caches/a-1.0.jar", "a");
        write("g/caches/b-1.0-SNAPSHOT.jar", "b");
        write("p/data/input.txt", "input");
        let mut request = test_request::empty();
        request.roots = [("project", "p"), ("build", "p/build/testfleet"), ("gradleHome", "g")]
            .map(|(name, dir)| (name.to_owned(), root.join(dir)))
            .into();
        request.harness_jar = root.join("p/build/testfleet/harness.jar");
        request.agent = root.join("p/build/testfleet/agent");
        let mut task = test_request::task(":test");
        task.working_dir = root.join("p");
        task.classpath =
            ["p/classes", "p/resources", "p/lib/own.jar", "g/caches/a-1.0.jar", "g/caches/b-1.0-SNAPSHOT.jar"]
                .map(|path| root.join(path))
                .into();
        task.declared_inputs = vec![root.join("p/data"), root.join("p/absent.txt")];
        task.jvm_args = vec![format!("-javaagent:{}/lib/own.jar", root.join("p").display()), "-XX:+UseSerialGC".into()];
        task.system_properties =
            [("port", "90{worker}".to_owned()), ("data", root.join("p/data").display().to_string())]
                .map(|(name, value)| (name.to_owned(), value))
                .into();
        task.environment = [("TOOLS".to_owned(), "/usr/lib/jvm/17/bin".to_owned())].into();
        task.max_heap = Some("512m".into());
        task.default_charset = Some("UTF-8".into());
        request.tasks = vec![task, test_request::task(":unplanned:test")];
        Self { folder, request }
    }

    fn bundle(&self) -> Result<Bundle> {
        bundle(&self.request, &plan())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

fn plan() -> Plan {
    let unit = Unit {
        id: UnitId("u1".into()),
        task: TaskPath(":test".into()),
        class: "com.acme.FooTest".into(),
        whole_class: true,
        plain_names: false,
        tests: vec![],
        estimate_ms: 1,
        estimate_source: EstimateSource::Guess,
        ..Unit::default()
    };
    let made_from = Fingerprints { code: String::new(), options: String::new(), timings: String::new() };
    Plan {
        protocol: VERSION,
        workers: 1,
        tests: Vec::new(),
        made_from,
        units: vec![unit],
        groups: vec![],
        ..Plan::default()
    }
}

#[test]
fn a_bundle_names_what_workers_need_wherever_the_clone_lies() {
    let (one, other) = (Build::new(), Build::new());
    let bundle = one.bundle().unwrap();
    assert_eq!(bundle, other.bundle().unwrap());
    insta::assert_snapshot!(String::from_utf8(document::bytes(&bundle).unwrap()).unwrap());
}

#[test]
fn what_is_written_is_read_again() {
    let build = Build::new();
    let bundle = build.bundle().unwrap();
    let path = build.at("p/build/testfleet/bundle.json");
    write_bundle(&bundle, &path).unwrap();
    assert_eq!(read_bundle(&path).unwrap(), bundle);
    fs::write(&path, "{\"protocol\": 1").unwrap();
    assert!(read_bundle(&path).unwrap_err().hint.unwrap().contains("prepare"));
}

#[test]
fn a_missing_jar_and_a_path_outside_the_roots_are_failures_with_hints() {
    let mut build = Build::new();
    fs::remove_file(build.at("p/lib/own.jar")).unwrap();
    let failure = build.bundle().unwrap_err();
    assert_eq!(failure.code, FailureCode::MissingClasspathEntry);
    assert!(failure.message.contains("own.jar") && failure.causes[0].contains(":test") && failure.hint.is_some());
    build.request.tasks[0].classpath = vec![PathBuf::from("/usr/bin")];
    assert_eq!(build.bundle().unwrap_err().code, FailureCode::PathOutsideRoots);
}

#[test]
fn a_file_changed_added_or_renamed_changes_its_directorys_hash() {
    let build = Build::new();
    let classes = build.at("p/classes");
    let first = digest::of(&classes).unwrap();
    fs::write(classes.join("New.class"), "").unwrap();
    let added = digest::of(&classes).unwrap();
    fs::rename(classes.join("New.class"), classes.join("Newer.class")).unwrap();
    let renamed = digest::of(&classes).unwrap();
    fs::write(classes.join("Newer.class"), "x").unwrap();
    let changed = digest::of(&classes).unwrap();
    let hashes: BTreeSet<_> = [&first, &added, &renamed, &changed].map(|digest| digest.sha256.clone()).into();
    assert_eq!(hashes.len(), 4);
    assert_eq!(changed.size, first.size + 1);
}

#[test]
fn a_content_key_follows_all_that_decides_what_a_jvm_finds_and_nothing_else() {
    let key = |build: &Build| {
        let task = TaskPath(":test".into());
        let bundle = of_tasks(&build.request, &[&task].into()).unwrap();
        content_keys(&build.request, &bundle).unwrap().remove(&task).unwrap()
    };
    let (mut build, other) = (Build::new(), Build::new());
    let first = key(&build);
    assert_eq!(first, key(&other), "the clone's folder is no part of it");
    fs::write(build.at("p/build/testfleet/plan.json"), "[]").unwrap();
    build.request.options.workers = 7;
    build.request.options.tests = vec!["*".into()];
    build.request.tasks[0].include_tests = vec!["*".into()];
    assert_eq!(key(&build), first);
    let mut keys = BTreeSet::from([first]);
    for file in ["p/classes/com/acme/Bar.class", "p/lib/own.jar", "p/data/input.txt", "p/build/testfleet/harness.jar"] {
        fs::write(build.at(file), "changed").unwrap();
        assert!(keys.insert(key(&build)), "{file}");
    }
    fs::create_dir_all(build.at("g/jdk")).unwrap();
    build.request.tasks[0].java.home = build.at("g/jdk");
    assert!(keys.insert(key(&build)));
    fs::write(build.at("g/jdk/release"), "JAVA_VERSION=\"17.0.9\"").unwrap();
    assert!(keys.insert(key(&build)), "the JVM's release");
    let changes: [fn(&mut TestTask); 5] = [
        |task| task.jvm_args.push("-Dx".into()),
        |task| drop(task.system_properties.insert("port".into(), "91".into())),
        |task| drop(task.environment.insert("TOOLS".into(), "/opt".into())),
        |task| task.classpath.swap(0, 2),
        |task| task.framework = Framework::JUnit4 { include_categories: vec![], exclude_categories: vec![] },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        change(&mut build.request.tasks[0]);
        assert!(keys.insert(key(&build)), "change {index}");
    }
}
