//! Pieces that become files, and those that must not.

use super::*;
use proptest::prelude::*;
use testfleet_protocol::test::TestName;

fn task() -> TaskPath {
    TaskPath(":app:test".into())
}

fn shot(path: &str) -> FileOf {
    FileOf::Collected { task: task(), path: path.into() }
}

struct Bench {
    dir: tempfile::TempDir,
    store: FileStore,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::new(dir.path(), &OutputLimits { file_bytes: 10, ..OutputLimits::default() });
        Self { dir, store }
    }

    fn piece(
        &mut self,
        key: (u32, u64),
        of: &FileOf,
        offset: u64,
        text: impl AsRef<[u8]>,
        last: bool,
    ) -> Result<Option<String>> {
        let data = STANDARD.encode(text);
        let piece = AgentMessage::FilePiece { file: key.1, of: of.clone(), offset, data, last };
        Ok(self.store.take(key.0, piece)?.map(|event| match event {
            RunEvent::FileStored { path, .. } => path,
            other => panic!("{other:?}"),
        }))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).unwrap()
    }

    fn unfinished(&self) -> usize {
        fs::read_dir(self.dir.path().join("files/.partial")).unwrap().count()
    }
}

#[test]
fn pieces_become_a_file_and_may_come_twice() {
    let mut bench = Bench::new();
    let of = FileOf::Crash { task: task(), name: "x".into() };
    assert_eq!(bench.piece((1, 1), &of, 0, "abc", false).unwrap(), None);
    assert_eq!(bench.piece((2, 1), &of, 0, "xyz", true).unwrap().unwrap(), "files/crash/app/test/w2-1-x");
    assert_eq!(bench.piece((1, 1), &of, 0, "abc", false).unwrap(), None);
    let path = bench.piece((1, 1), &of, 3, "def", true).unwrap().unwrap();
    assert_eq!((path.as_str(), bench.read(&path).as_str()), ("files/crash/app/test/w1-1-x", "abcdef"));
    let path = bench.piece((1, 2), &of, 0, "", true).unwrap().unwrap();
    assert_eq!(path, "files/crash/app/test/w1-2-x");
    assert_eq!(bench.unfinished(), 0);
}

#[test]
fn what_a_jvm_measured_later_replaces_what_it_measured_before() {
    let mut bench = Bench::new();
    let of = |jvm: &str, so_far| FileOf::Jacoco { task: task(), jvm: jvm.into(), so_far };
    let some = [1, 0xc0, 0xc0, 0x10, 0x07];
    let all = [some, some].concat();
    let first = bench.piece((1, 1), &of("1-1", true), 0, some, true).unwrap().unwrap();
    assert_eq!(bench.piece((1, 2), &of("1-1", false), 0, &all, true).unwrap().unwrap(), first);
    assert_eq!(first, "files/jacoco/app/test/w1-1-1.exec");
    let kept = |bench: &Bench| fs::read(bench.dir.path().join(&first)).unwrap();
    assert_eq!(kept(&bench), all);
    for (number, torn) in [(4, &all[..7]), (5, &[])] {
        assert_eq!(bench.piece((1, number), &of("1-1", false), 0, torn, true).unwrap(), None, "it is torn");
        assert_eq!(kept(&bench), all);
    }
    assert_eq!(bench.unfinished(), 0);
    let other = bench.piece((1, 3), &of("../2", false), 0, "x", true).unwrap().unwrap();
    assert_eq!(other, "files/jacoco/app/test/w1-..#2f2.exec");
}

#[test]
fn what_was_written_of_a_file_is_brought_to_the_disk_until_the_file_is_there() {
    let mut bench = Bench::new();
    bench.piece((1, 1), &shot("a"), 0, "abc", false).unwrap();
    bench.piece((1, 1), &shot("a"), 3, "def", false).unwrap();
    bench.piece((2, 1), &shot("b"), 0, "abc", true).unwrap();
    assert_eq!((bench.store.written().len(), bench.store.written().len()), (1, 0));
    bench.piece((1, 1), &shot("a"), 6, "ghi", false).unwrap();
    bench.store.worker_ended(1);
    assert!(bench.store.written().is_empty());
}

#[test]
fn a_file_is_brought_to_the_disk_with_all_folders_that_are_new_for_it() {
    let mut bench = Bench::new();
    let run_dir = bench.dir.path().to_owned();
    let placed = |bench: &mut Bench| -> Vec<String> {
        let all = bench.store.placed().into_iter();
        all.map(|place| place.strip_prefix(&run_dir).unwrap().to_str().unwrap().to_owned()).collect()
    };
    bench.piece((1, 1), &shot("a"), 0, "abc", false).unwrap();
    assert_eq!(placed(&mut bench), ["", "files", "files/.partial"]);
    bench.piece((1, 1), &shot("a"), 3, "def", true).unwrap();
    let folder = "files/collected/app/test/worker-1";
    let above = ["", "files", "files/collected", "files/collected/app", "files/collected/app/test"];
    assert_eq!(placed(&mut bench), [&above[..], &[folder, &format!("{folder}/a")]].concat());
    bench.piece((1, 2), &shot("b"), 0, "xyz", true).unwrap();
    assert_eq!(placed(&mut bench), ["files/.partial", folder, &format!("{folder}/b")]);
    assert!(placed(&mut bench).is_empty());
}

#[test]
fn names_tell_whose_output_it_is() {
    let mut bench = Bench::new();
    let test = Some(TestName { class: "a.B".into(), method: "c(int)".into() });
    let of = FileOf::Output { task: task(), test, stream: Stream::Stderr };
    let path = bench.piece((1, 1), &of, 0, "x", true).unwrap().unwrap();
    assert_eq!(path, "files/output/app/test/w1-1-a.B.c#28int#29.stderr.txt");
    let of = FileOf::Crash { task: task(), name: "../hs_err".into() };
    let path = bench.piece((1, 2), &of, 0, "x", true).unwrap().unwrap();
    assert_eq!(path, "files/crash/app/test/w1-1-..#2fhs_err");
}

#[test]
fn a_file_that_several_workers_see_is_kept_once() {
    let mut bench = Bench::new();
    let of = shot("build/a.png");
    let path = bench.piece((1, 1), &of, 0, "one", true).unwrap().unwrap();
    assert_eq!(path, "files/collected/app/test/worker-1/build/a.png");
    assert_eq!(bench.piece((2, 1), &of, 0, "one", true).unwrap(), None);
    let other = bench.piece((2, 2), &of, 0, "two", true).unwrap().unwrap();
    assert_eq!(other, "files/collected/app/test/worker-2/build/a.png");
    bench.piece((1, 2), &of, 0, "three", true).unwrap().unwrap();
    assert_eq!((bench.read(&path), bench.read(&other)), ("three".to_owned(), "two".to_owned()));
    // In pieces, of which one comes twice.
    for (offset, text, last) in [(0, "thr", false), (0, "thr", false), (3, "ee", true)] {
        assert_eq!(bench.piece((3, 1), &of, offset, text, last).unwrap(), None);
    }
    assert!(bench.piece((3, 2), &of, 0, "thrice", true).unwrap().is_some());
}

#[test]
fn nothing_gets_out_of_the_folder() {
    for path in
        ["../x", "/x", "a/../../x", "a//b", "./a", "a/", "", "a\0b", "C:\\x", &"a/".repeat(600), &"a".repeat(300)]
    {
        let mut bench = Bench::new();
        let failure = bench.piece((1, 1), &shot(path), 0, "x", true).unwrap_err();
        assert_eq!(failure.code, FailureCode::WorkerBroken, "{path}");
        assert!(!bench.dir.path().join("files/collected").exists(), "{path}");
    }
}

#[test]
fn what_makes_no_sense_is_said_once_and_leaves_nothing() {
    let mut bench = Bench::new();
    let output = FileOf::Output { task: task(), test: None, stream: Stream::Stdout };
    assert!(bench.piece((1, 1), &output, 0, "0123456789", false).unwrap().is_none());
    assert!(bench.piece((1, 1), &output, 10, "0", false).unwrap_err().to_string().contains("limit of 10 bytes"));
    assert_eq!(bench.piece((1, 1), &output, 11, "0", true).unwrap(), None, "it was said");
    assert!(bench.piece((1, 2), &shot("a"), 5, "0", true).unwrap_err().to_string().contains("missing"));
    let bad = AgentMessage::FilePiece { file: 3, of: shot("a"), offset: 0, data: "!".into(), last: true };
    assert!(bench.store.take(1, bad).unwrap_err().to_string().contains("Base64"));
    assert_eq!(bench.unfinished(), 0);
}

#[test]
fn few_files_are_on_their_way_at_once_and_go_with_their_worker() {
    let mut bench = Bench::new();
    for file in 0..AT_ONCE as u64 {
        bench.piece((1, file), &shot("a"), 0, "x", false).unwrap();
    }
    assert!(bench.piece((1, 99), &shot("a"), 0, "x", false).is_err());
    bench.piece((2, 1), &shot("a"), 0, "x", false).unwrap();
    let failure = bench.store.worker_ended(1).unwrap();
    assert!(failure.to_string().contains("before it had sent the whole file"), "{failure}");
    assert_eq!(bench.unfinished(), 1);
    assert!(bench.store.worker_ended(1).is_none());
}

#[test]
fn another_coordinator_goes_on_with_a_file() {
    let mut bench = Bench::new();
    bench.piece((1, 1), &shot("a"), 0, "abc", false).unwrap();
    bench.store = FileStore::new(bench.dir.path(), &OutputLimits::default());
    let path = bench.piece((1, 1), &shot("a"), 3, "def", true).unwrap().unwrap();
    assert_eq!(bench.read(&path), "abcdef");
    bench.store = FileStore::new(bench.dir.path(), &OutputLimits::default());
    bench.store.apply(&RunEvent::FileStored { worker: 1, of: shot("a"), path, size: 6 });
    assert_eq!(bench.piece((2, 1), &shot("a"), 0, "abcdef", true).unwrap(), None, "it is known");
}

proptest! {
    #[test]
    fn a_path_is_below_or_refused(path in "[a/.\\\\\\x00:~]{0,12}") {
        if let Some(found) = collected_path(&path) {
            prop_assert!(found.components().all(|component| matches!(component, Component::Normal(_))));
            prop_assert_eq!(found.to_str(), Some(path.as_str()));
        }
    }
}
