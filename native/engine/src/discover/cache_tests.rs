//! What is found with a cache is what is found without one, whatever was changed in between.

use super::fixtures::{self, compiled};
use super::*;
use crate::test_request;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testfleet_protocol::request::{Framework, TestTask};

const JUPITER: &str = "org.junit.jupiter.engine.JupiterTestEngine";

/// Knows no more than class files.
struct Nobody;

impl AskHarness for Nobody {
    fn ask(&self, _: &RunRequest, questions: &[Question]) -> Result<Vec<BTreeMap<String, Answer>>> {
        Ok(vec![BTreeMap::new(); questions.len()])
    }
}

/// A build with one Test task of its own copy of the fixtures.
struct Build {
    folder: tempfile::TempDir,
    request: RunRequest,
}

impl Build {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&compiled().cases, &folder.path().join("classes"));
        fixtures::jar(&folder.path().join("stubs.jar"), &compiled().stubs, &[]);
        fixtures::engines(folder.path(), &[JUPITER]);
        let mut build = Self { folder, request: test_request::empty() };
        build.request.state_dir = build.at("state");
        build.request.tasks = vec![build.task(":test")];
        rest();
        build
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn task(&self, path: &str) -> TestTask {
        let mut task = test_request::task(path);
        task.class_dirs = vec![self.at("classes")];
        task.classpath = ["classes", "absent", "stubs.jar", "engines"].map(|name| self.at(name)).to_vec();
        task
    }

    /// What is found, which must be what is found without a cache; and whether it was known.
    fn find(&self) -> (Discovery, bool) {
        let (found, effort) = discover_and_ask(&self.request, &Nobody).unwrap();
        let without = RunRequest { state_dir: "/dev/null/state".into(), ..self.request.clone() };
        assert_eq!(found, discover(&without).unwrap(), "the cache changed what is found");
        (found, effort.searched == 0)
    }

    fn is_known(&self) -> bool {
        self.find().1
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn rest() {
    std::thread::sleep(Duration::from_millis(150));
}

#[test]
fn an_unchanged_project_is_not_searched_again() {
    let build = Build::new();
    let (first, known) = build.find();
    assert!(!known && first.test_count() > 10);
    assert_eq!(build.find(), (first, true));
    let (_, effort) = discover_and_ask(&build.request, &Nobody).unwrap();
    assert_eq!((effort.known, effort.searched, effort.bytes_read), (1, 0, 0));
}

#[test]
fn whatever_decides_what_is_found_is_part_of_the_key() {
    let mut build = Build::new();
    build.find();
    let original = build.request.clone();
    let changes: [fn(&mut TestTask); 8] = [
        |task| task.includes = vec!["**/Tagged*".into()],
        |task| task.excludes = vec!["**/Tagged*".into()],
        |task| task.include_tests = vec!["*Tagged*".into()],
        |task| task.exclude_tests = vec!["*Tagged*".into()],
        |task| task.java.version = 8,
        |task| task.framework = Framework::JUnit4 { include_categories: vec![], exclude_categories: vec![] },
        |task| drop(task.classpath.pop()),
        |task| task.class_dirs.clear(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        change(&mut build.request.tasks[0]);
        assert!(!build.is_known(), "change {index}");
        build.request = original.clone();
        assert!(build.is_known(), "change {index} taken back");
    }
    build.request.options.tests = vec!["*Tagged*".into()];
    assert!(!build.is_known());
    build.request = original;
    build.request.tasks[0].system_properties =
        [("junit.jupiter.testinstance.lifecycle.default".to_owned(), "per_class".to_owned())].into();
    assert!(!build.is_known());
    build.request.tasks[0].system_properties = [("time".to_owned(), "now".to_owned())].into();
    // What does not decide it is not: properties and arguments of a JVM may change with every build.
    build.request.tasks[0].jvm_args = vec!["-Dtime=now".into()];
    assert!(build.is_known());
}

#[test]
fn an_edited_class_an_added_one_and_a_removed_one_are_seen() {
    let build = Build::new();
    let (first, _) = build.find();
    let class = build.at("classes/cases/TaggedTest.class");
    let bytes = fs::read(&class).unwrap();
    // Of the same size, with the time set back, at once.
    let modified = fs::metadata(&class).unwrap().modified().unwrap();
    let slow = bytes
        .windows(5)
        .position(|part| part == b"slow\x01")
        .or_else(|| bytes.windows(4).position(|part| part == b"slow"));
    let mut edited = bytes.clone();
    edited[slow.unwrap()] = b'S';
    fs::write(&class, &edited).unwrap();
    fs::File::options().append(true).open(&class).unwrap().set_modified(modified).unwrap();
    let (second, known) = build.find();
    assert!(!known && second != first, "the class has another hash");
    fs::remove_file(&class).unwrap();
    let (third, known) = build.find();
    assert!(!known && third.test_count() < first.test_count());
    fs::write(&class, &bytes).unwrap();
    assert_eq!(build.find(), (first, true), "back to what was known, by content");
}

#[test]
fn a_replaced_jar_is_seen_and_a_touched_one_is_not_searched() {
    let build = Build::new();
    build.find();
    let jar = build.at("stubs.jar");
    fs::File::options().append(true).open(&jar).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(build.is_known(), "its content is the same");
    let other = build.at("other.jar");
    fixtures::jar(&other, &compiled().stubs, &[("more.txt", b"more")]);
    fs::rename(&other, &jar).unwrap();
    assert!(!build.is_known());
}

#[test]
fn a_moved_clone_is_known() {
    let mut build = Build::new();
    build.find();
    let moved = build.at("moved");
    fs::create_dir(&moved).unwrap();
    for name in ["classes", "stubs.jar", "engines"] {
        fs::rename(build.at(name), moved.join(name)).unwrap();
    }
    let task = &mut build.request.tasks[0];
    for path in task.class_dirs.iter_mut().chain(&mut task.classpath) {
        *path = moved.join(path.file_name().unwrap());
    }
    assert!(build.is_known());
}

#[test]
fn tasks_are_known_one_by_one() {
    let mut build = Build::new();
    build.find();
    build.request.tasks.push(build.task(":other"));
    let (_, effort) = discover_and_ask(&build.request, &Nobody).unwrap();
    assert_eq!((effort.known, effort.searched), (1, 1));
}

#[test]
fn a_damaged_or_half_written_result_is_found_anew() {
    let build = Build::new();
    let (first, _) = build.find();
    let results = || fs::read_dir(build.at("state/discovery/tests")).unwrap().map(|entry| entry.unwrap().path());
    for damage in [0, 9, 41, 100, usize::MAX] {
        for path in results() {
            let mut bytes = fs::read(&path).unwrap();
            match bytes.get_mut(damage) {
                Some(byte) => *byte ^= 1,
                None => bytes.truncate(bytes.len() / 2),
            }
            fs::write(path, bytes).unwrap();
        }
        assert_eq!(build.find(), (first.clone(), false), "{damage}");
        assert!(build.is_known());
    }
    assert_eq!(results().count(), 1);
}

#[test]
fn a_failure_is_not_kept() {
    let build = Build::new();
    let class = build.at("classes/cases/TaggedTest.class");
    let bytes = fs::read(&class).unwrap();
    fs::write(&class, &bytes[..bytes.len() / 2]).unwrap();
    for _ in 0..2 {
        let failure = discover(&build.request).unwrap_err();
        assert_eq!(failure.code, testfleet_protocol::FailureCode::BrokenClassFile);
        assert!(failure.message.contains("cases/TaggedTest.class"), "{failure}");
    }
    fs::write(&class, &bytes).unwrap();
    assert!(!build.is_known());
}

/// Edits a class while it is asked about, as a compiler does that runs beside discovery.
struct Meddler<'a>(&'a Path);

impl AskHarness for Meddler<'_> {
    fn ask(&self, request: &RunRequest, questions: &[Question]) -> Result<Vec<BTreeMap<String, Answer>>> {
        fs::write(self.0, [fs::read(self.0).unwrap(), vec![0]].concat()).unwrap();
        Nobody.ask(request, questions)
    }
}

#[test]
fn what_changed_while_tests_were_looked_for_is_looked_for_again() {
    let mut build = Build::new();
    let class = build.at("classes/cases/TaggedTest.class");
    let original = fs::read(&class).unwrap();
    // A second task is asked about something, so that there is a moment in between.
    build.request.tasks.push(TestTask {
        class_dirs: vec![compiled().asked.clone()],
        framework: Framework::JUnit4 { include_categories: vec![], exclude_categories: vec![] },
        ..build.task(":asked")
    });
    discover_and_ask(&build.request, &Meddler(&class)).unwrap();
    fs::write(&class, &original).unwrap();
    build.request.tasks.pop();
    assert!(!build.is_known(), "nobody knows which version was read");
    rest();
    assert!(!build.is_known(), "it was looked at before it had settled");
    assert!(build.is_known());
}

#[test]
fn two_processes_at_once_find_the_same() {
    let build = Build::new();
    let (expected, _) = build.find();
    fs::remove_dir_all(build.at("state")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| assert_eq!(build.find().0, expected)));
        }
    });
    assert!(build.is_known());
}

#[test]
fn many_tasks_that_share_a_classpath_do_not_wait_for_each_other() {
    let mut build = Build::new();
    build.request.tasks = (0..40).map(|number| build.task(&format!(":test{number}"))).collect();
    let (discovery, effort) = discover_and_ask(&build.request, &Nobody).unwrap();
    assert_eq!((discovery.tasks.len(), effort.searched), (40, 40));
}
