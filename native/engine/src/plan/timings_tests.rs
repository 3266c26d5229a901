use super::*;
use proptest::prelude::*;

fn id(class: &str, method: &str) -> TestId {
    TestId { task: TaskPath(":test".into()), name: TestName { class: class.into(), method: method.into() } }
}

fn run(number: u64) -> RunKey {
    RunKey::new("run", 1_790_000_000_000 + number * 3_600_000)
}

/// The place of version control: bytes from one machine are read on another.
fn read(bytes: &[u8]) -> Timings {
    Timings::parse(Path::new("timings.json"), bytes).unwrap()
}

#[test]
fn a_slow_run_does_not_count_and_former_runs_fade() {
    let mut timings = Timings::default();
    let test = id("a.B", "c()");
    for (number, ms) in [9000, 10, 30, 20, 30, 25].into_iter().enumerate() {
        timings.begin_run(run(number as u64));
        timings.record(&test, Duration::from_millis(ms));
    }
    assert_eq!(timings.of_test(&test.task, &test.name), Some(30_000));
    // Of two tries in one run the last counts.
    timings.record(&test, Duration::from_millis(7));
    assert_eq!(timings.tasks[&test.task].classes["a.B"].tests["c()"].runs.newest().unwrap().1.micros(), Some(7_000));
}

#[test]
fn set_up_is_what_tests_do_not_explain() {
    let mut timings = Timings::default();
    let task = TaskPath(":test".into());
    timings.record_class(&task, "a.B", Duration::from_millis(50), Duration::from_millis(20));
    timings.record_class(&task, "a.C", Duration::from_millis(5), Duration::from_millis(20));
    assert_eq!(timings.of_setup(&task, "a.B"), Some(30_000));
    assert_eq!(timings.of_setup(&task, "a.C"), Some(0));
}

#[test]
fn how_a_test_ended_is_known_until_its_next_run() {
    let mut timings = Timings::default();
    let test = id("a.B", "c()");
    let failed = |timings: &Timings| timings.failed_recently(&test.task, &test.name);
    assert!(timings.is_new(&test.task, &test.name) && !failed(&timings));
    for (number, (verdict, expected)) in [
        (Verdict::Failed, true),
        (Verdict::Reused, true),
        (Verdict::Passed, false),
        (Verdict::Flaky, true),
        (Verdict::Skipped, false),
        (Verdict::Errored, true),
        (Verdict::Passed, false),
        (Verdict::Lost, true),
    ]
    .into_iter()
    .enumerate()
    {
        timings.begin_run(run(number as u64));
        timings.record_verdict(&test, verdict, Duration::from_millis(5));
        assert_eq!(failed(&timings), expected, "after {verdict:?}");
        assert!(!timings.is_new(&test.task, &test.name));
    }
    // Neither the lost nor the errored run told how long it takes.
    assert_eq!(timings.of_test(&test.task, &test.name), Some(5_000));
}

#[test]
fn a_test_that_never_ended_is_not_new_and_has_no_duration() {
    let mut timings = Timings::default();
    let test = id("a.B", "c()");
    timings.record_verdict(&test, Verdict::Lost, Duration::ZERO);
    assert_eq!(timings.of_test(&test.task, &test.name), None);
    assert!(!timings.is_new(&test.task, &test.name));
}

#[test]
fn timings_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/timings.json");
    let mut timings = Timings::default();
    timings.record(&id("a.B", "c(java.lang.String[])"), Duration::from_micros(7));
    timings.record(&id("a.\"é", "d()"), Duration::from_micros(0));
    timings.record_class(&TaskPath(":x:test".into()), "a.B", Duration::MAX, Duration::ZERO);
    timings.record_jvm_start(&TaskPath(":x:test".into()), Duration::from_millis(650));
    timings.record_run(PastRun { workers: 2, ..PastRun::default() });
    timings.save(&path).unwrap();
    assert_eq!(Timings::load(&path).unwrap(), timings);
    Timings::default().save(&path).unwrap();
    assert_eq!(Timings::load(&path).unwrap(), Timings::default());
}

#[test]
fn the_file_has_a_line_for_each_class() {
    let mut timings = Timings::default();
    let task = TaskPath(":app:test".into());
    let invocations: Vec<Duration> = [0, 90, 200].map(Duration::from_millis).into();
    for number in 0..3 {
        timings.begin_run(run(number));
        timings.record(&id("com.acme.A", "one()"), Duration::from_micros(1_000 + number));
        timings.record_class(&task, "com.acme.B", Duration::from_millis(9), Duration::from_millis(2));
        timings.record_jvm_start(&task, Duration::from_millis(600));
    }
    timings.record_verdict(&id("com.acme.A", "two(int)"), Verdict::Failed, Duration::from_millis(290));
    timings.record_verdict(&id("com.acme.A", "three()"), Verdict::Lost, Duration::ZERO);
    timings.record_invocations(&id("com.acme.A", "two(int)"), &invocations);
    timings.record_run(PastRun {
        workers: 2,
        units: 3,
        predicted_ms: 500,
        actual_ms: 700,
        predicted_work_ms: 900,
        actual_work_ms: 1_200,
    });
    insta::assert_snapshot!(String::from_utf8(timings.bytes().unwrap()).unwrap());
}

#[test]
fn the_first_format_is_read() {
    let first = br#"{"protocol": 1, "tasks": {":test": {"a.B": {"setup": [5, 9], "tests": {"c()": [1000, 2000, 1500], "d()": []}}}}}"#;
    let mut timings = read(first);
    let test = id("a.B", "c()");
    assert_eq!(timings.of_test(&test.task, &test.name), Some(1_500));
    assert_eq!(timings.of_setup(&test.task, "a.B"), Some(9));
    assert_eq!(read(&timings.bytes().unwrap()), timings);
    // What is recorded now is newer than all of it, and it is dated when it is first looked at.
    timings.begin_run(run(0));
    timings.record_verdict(&test, Verdict::Failed, Duration::ZERO);
    assert!(timings.failed_recently(&test.task, &test.name));
    let mut undated = read(first);
    undated.expire(20_000, 30);
    assert!(!undated.is_empty());
    undated.expire(20_031, 30);
    assert!(undated.is_empty());
}

#[test]
fn a_missing_file_is_empty_and_a_broken_one_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timings.json");
    assert!(Timings::load(&path).unwrap().is_empty());
    for broken in [
        "{\"protocol\": 1, \"tasks\": {\":a\": {\"b\": {\"te",
        "{\"protocol\":1,\"timings\":2,\"lines\":[{\"class\":\"a.B\"},null]}",
        "{\"protocol\":1,\"timings\":2,\"lines\":[{\"task\":\":a\",\"class\":\"a.B\",\"setup\":[1]},null]}",
        "{\"protocol\":1,\"timings\":2,\"lines\":[{\"task\":\":a\",\"runs\":[\"?\"]},null]}",
        "",
    ] {
        std::fs::write(&path, broken).unwrap();
        let failure = Timings::load(&path).unwrap_err();
        assert_eq!(failure.code, FailureCode::TimingsBroken, "{broken}");
        assert!(failure.hint.unwrap().contains("delete"));
    }
    for newer in ["{\"protocol\": 99}", "{\"protocol\": 1, \"timings\": 3, \"lines\": {}}"] {
        std::fs::write(&path, newer).unwrap();
        assert_eq!(Timings::load(&path).unwrap_err().code, FailureCode::ProtocolVersion, "{newer}");
    }
}

#[test]
fn what_is_not_seen_any_more_is_forgotten_after_a_while() {
    let mut timings = Timings::default();
    let kept = id("a.Kept", "c()");
    let gone = id("a.Kept", "gone()");
    timings.begin_run(run(0));
    let day = run(0).day().unwrap();
    for test in [&kept, &gone, &id("a.Gone", "c()")] {
        timings.record(test, Duration::from_millis(1));
    }
    timings.begin_run(run(24 * 20));
    timings.record(&kept, Duration::from_millis(1));
    timings.expire(day + 30, 30);
    assert!(!timings.is_new(&gone.task, &gone.name), "30 days are not over");
    timings.expire(day + 31, 30);
    assert!(timings.is_new(&gone.task, &gone.name));
    assert!(timings.class(&gone.task, "a.Gone").is_none());
    assert!(!timings.is_new(&kept.task, &kept.name));
    timings.expire(day + 100, 0);
    assert!(!timings.is_empty(), "0 days are for ever");
    timings.expire(day + 100, 30);
    assert!(timings.is_empty());
}

#[test]
fn reused_units_are_seen_and_change_a_file_once_a_week() {
    let mut timings = Timings::default();
    let test = id("a.B", "c()");
    let unit = Unit { task: test.task.clone(), class: "a.B".into(), tests: vec![test.name.clone()], ..Unit::default() };
    timings.begin_run(run(0));
    timings.record(&test, Duration::from_millis(1));
    let mut written = BTreeSet::new();
    for day in 1..=70 {
        timings.begin_run(run(day * 24));
        let today = run(day * 24).day().unwrap();
        timings.record_seen(today, [&unit].into_iter());
        timings.expire(today, 30);
        written.insert(timings.bytes().unwrap());
    }
    assert!(!timings.is_new(&test.task, &test.name));
    assert_eq!(written.len(), 10);
}

/// What runs on different machines record: run, class, method, duration and how it ended.
type Recorded = Vec<(u8, u8, u8, u32, u8)>;

fn recorded() -> impl Strategy<Value = Recorded> {
    prop::collection::vec((0..30u8, 0..3u8, 0..3u8, 0..500_000u32, 0..4u8), 0..40)
}

fn timings_of(recorded: &Recorded) -> Timings {
    let mut timings = Timings::default();
    for (number, class, method, us, kind) in recorded {
        timings.begin_run(run(u64::from(*number)));
        let test = id(&format!("a.C{class}"), &format!("m{method}()"));
        let duration = Duration::from_micros(u64::from(*us));
        match kind {
            0 => timings.record_class(&test.task, &test.name.class, duration, Duration::ZERO),
            1 => timings.record_verdict(&test, Verdict::Failed, duration),
            2 => timings.record_invocations(&test, &[duration, Duration::from_millis(250)]),
            _ => timings.record(&test, duration),
        }
        timings.record_run(PastRun { actual_ms: u64::from(*us), ..PastRun::default() });
    }
    timings.begin_run(RunKey::default());
    timings
}

fn merged(mut left: Timings, right: &Timings) -> Timings {
    left.merge(right);
    left
}

proptest! {
    #[test]
    fn merging_is_commutative_associative_and_idempotent(a in recorded(), b in recorded(), c in recorded()) {
        let (a, b, c) = (timings_of(&a), timings_of(&b), timings_of(&c));
        prop_assert_eq!(merged(a.clone(), &b), merged(b.clone(), &a));
        prop_assert_eq!(merged(merged(a.clone(), &b), &c), merged(a.clone(), &merged(b.clone(), &c)));
        prop_assert_eq!(merged(a.clone(), &a), a.clone());
        prop_assert_eq!(merged(a.clone(), &b).bytes().unwrap(), merged(b, &a).bytes().unwrap());
    }

    #[test]
    fn what_was_merged_line_by_line_is_read_as_if_it_was_merged(a in recorded(), b in recorded()) {
        let (a, b) = (timings_of(&a), timings_of(&b));
        let lines = |timings: &Timings| -> Vec<String> {
            String::from_utf8(timings.bytes().unwrap()).unwrap().lines().map(str::to_owned).collect()
        };
        let (ours, theirs) = (lines(&a), lines(&b));
        let mut union = ours[..ours.len() - 1].to_vec();
        union.extend(theirs[1..].iter().filter(|line| !ours.contains(line)).cloned());
        if ours.contains(&"null]}".to_owned()) && union.last().is_none_or(|last| last != "null]}") {
            union.push("null]}".to_owned());
        }
        prop_assert_eq!(read(union.join("\n").as_bytes()), merged(a, &b));
    }

    #[test]
    fn timings_survive_the_file(a in recorded()) {
        let timings = timings_of(&a);
        let bytes = timings.bytes().unwrap();
        prop_assert_eq!(read(&bytes).bytes().unwrap(), bytes);
        prop_assert_eq!(read(&timings.bytes().unwrap()), timings);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Timings::parse(Path::new("timings.json"), &bytes);
    }
}
