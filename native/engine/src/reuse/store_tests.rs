//! What the store keeps, gives out, merges and forgets.

use super::store::{Ending, Store};
use super::test_support::*;
use super::*;
use proptest::prelude::*;
use std::path::Path;
use testfleet_protocol::FailureCode;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::{Plan, Slice};
use testfleet_protocol::test::{Finished, Outcome, TestId, TestName, Verdict};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn name(class: &str, method: &str) -> TestName {
    TestName { class: class.into(), method: method.into() }
}

fn verdict(class: &str, method: &str, verdict: Verdict) -> RunEvent {
    let test = TestId { task: testfleet_protocol::test::TaskPath(TASK.into()), name: name(class, method) };
    RunEvent::TestVerdict { test, verdict, reason: None }
}

fn finished(method: &str, outcome: Outcome, slice: Option<u32>) -> RunEvent {
    RunEvent::TestFinished {
        test: TestId { task: testfleet_protocol::test::TaskPath(TASK.into()), name: name("ATest", method) },
        worker: Some(1),
        slice,
        attempt: 1,
        finished: Finished { outcome, started_at_ms: 0, duration_us: 0, reason: None, thrown: vec![] },
    }
}

/// A build with one class of two tests.
fn build() -> Build {
    let mut build = Build::new();
    build.class("tests", "ATest", &[], "1").test("ATest");
    build
}

/// The store after a run of [`build`] with these verdicts of `a()` and `b()`.
fn after(build: &Build, events: &[RunEvent], run: &str, at_ms: u64, store: &mut Store) {
    let plan = Plan { units: vec![unit("ATest", &["a()", "b()"])], ..Plan::default() };
    let mut outcomes = Outcomes::default();
    events.iter().for_each(|event| outcomes.apply(event));
    let keys = build.keys();
    outcomes.record(&plan, &keys, &keys, run, at_ms, store);
}

fn reused(build: &Build, store: &Store, tests: &[&str]) -> Option<Reused> {
    passed(&build.keys(), store).reused(&unit("ATest", tests))
}

#[test]
fn tests_whose_coverage_is_measured_are_never_reused() {
    let mut build = Build::new();
    build.class("tests", "ATest", &[], "1").test("ATest");
    assert_eq!(build.keys().iter().count(), 1);
    build.request.tasks[0].jacoco_file = Some("/p/build/jacoco/test.exec".into());
    assert_eq!(build.keys().iter().count(), 0, "without a key nothing is kept and nothing is found");
}

#[test]
fn declared_properties_are_part_of_the_key_and_without_a_text_there_is_none() {
    let mut build = build();
    let plain = build.key("ATest");
    let declare = |build: &mut Build, value: &str| {
        build.request.tasks[0].input_properties = [("schema".to_owned(), value.to_owned())].into();
        build.key("ATest")
    };
    let (seven, eight) = (declare(&mut build, "7"), declare(&mut build, "8"));
    assert!(plain != seven && seven != eight);
    assert_eq!(declare(&mut build, "7"), seven);
    build.request.tasks[0].properties_without_text = vec!["date (java.util.Date)".into()];
    assert_eq!(build.keys().iter().count(), 0);
}

#[test]
fn a_unit_is_reused_when_all_its_tests_passed() {
    let build = build();
    let mut store = Store::default();
    let ok = |method| verdict("ATest", method, Verdict::Passed);
    after(&build, &[ok("a()")], "r1", 1, &mut store);
    assert_eq!(reused(&build, &store, &["a()", "b()"]), None);
    assert_eq!(reused(&build, &store, &["a()"]), Some(Reused { run: "r1".into(), at_ms: 1, skipped: Vec::new() }));
    after(&build, &[ok("b()")], "r2", 2, &mut store);
    assert_eq!(
        reused(&build, &store, &["a()", "b()"]),
        Some(Reused { run: "r2".into(), at_ms: 2, skipped: Vec::new() })
    );
    assert_eq!(reused(&build, &store, &["a()", "b()", "new()"]), None);
    let keys = build.keys();
    let off = PassedBefore { reuse: Reuse::Off, ..passed(&keys, &store) };
    assert_eq!(off.reused(&unit("ATest", &["a()"])), None);
    // One part of a test's invocations counts like the test: it passed only when all its parts did.
    let slice = Slice { number: 1, of: 2, invocations: testfleet_protocol::plan::Invocations { from: 1, to: Some(9) } };
    let part = Unit { slice: Some(slice), whole_class: false, ..unit("ATest", &["a()"]) };
    assert!(passed(&keys, &store).reused(&part).is_some());
}

#[test]
fn only_what_passed_for_sure_is_reused() {
    for other in [Verdict::Failed, Verdict::Errored, Verdict::Lost, Verdict::Flaky] {
        let build = build();
        let mut store = Store::default();
        after(&build, &[verdict("ATest", "a()", Verdict::Passed), verdict("ATest", "b()", other)], "r1", 1, &mut store);
        assert_eq!(reused(&build, &store, &["a()", "b()"]), None, "{other:?}");
        assert_eq!(reused(&build, &store, &["b()"]), None, "{other:?}");
        assert!(reused(&build, &store, &["a()"]).is_some());
    }
    let build = build();
    let mut store = Store::default();
    let aborted = [finished("a()", Outcome::Aborted, None), verdict("ATest", "a()", Verdict::Passed)];
    after(&build, &aborted, "r1", 1, &mut store);
    assert_eq!(reused(&build, &store, &["a()"]), None, "an assumption looked at what no key knows");
}

#[test]
fn what_the_framework_was_told_to_skip_is_no_reason_to_run_a_unit_again() {
    let build = build();
    let mut store = Store::default();
    after(
        &build,
        &[verdict("ATest", "a()", Verdict::Passed), verdict("ATest", "b()", Verdict::Skipped)],
        "r1",
        1,
        &mut store,
    );
    let kept = reused(&build, &store, &["a()", "b()"]).unwrap();
    assert_eq!(kept.skipped, [name("ATest", "b()")]);
    assert!(reused(&build, &store, &["a()"]).unwrap().skipped.is_empty());
}

#[test]
fn what_failed_outside_of_tests_counts_against_all_tests_of_its_class() {
    for (class, is_its_own) in [("ATest", true), ("ATest$In", true), ("ATests", false), ("BTest", false)] {
        let build = build();
        let mut store = Store::default();
        let passed = ["a()", "b()"].map(|method| verdict("ATest", method, Verdict::Passed));
        let outside = verdict(class, "executionError", Verdict::Errored);
        after(&build, &[passed.as_slice(), &[outside]].concat(), "r1", 1, &mut store);
        for tests in [["a()"].as_slice(), &["b()"], &["a()", "b()"]] {
            assert_eq!(reused(&build, &store, tests).is_none(), is_its_own, "{class} {tests:?}");
        }
    }
}

#[test]
fn a_test_of_which_some_slices_ran_has_not_passed() {
    let build = build();
    let slice = |number| {
        let slice = Slice { number, of: 2, invocations: testfleet_protocol::plan::Invocations { from: 1, to: None } };
        Unit { slice: Some(slice), whole_class: false, ..unit("ATest", &["a()"]) }
    };
    let keys = build.keys();
    let record = |numbers: &[u32], ending: Verdict, store: &mut Store| {
        let mut outcomes = Outcomes::default();
        numbers.iter().for_each(|number| outcomes.apply(&finished("a()", Outcome::Passed, Some(*number))));
        outcomes.apply(&verdict("ATest", "a()", ending));
        // The plan of a worker has the slices of all workers, that of a shard just its own.
        for units in [vec![slice(1), slice(2)], numbers.iter().map(|number| slice(*number)).collect()] {
            outcomes.record(&Plan { units, ..Plan::default() }, &keys, &keys, "r", 1, store);
        }
    };
    for (numbers, ending, is_known) in [
        ([1].as_slice(), Verdict::Passed, false),
        (&[2], Verdict::Skipped, false),
        (&[1, 2], Verdict::Passed, true),
        (&[1], Verdict::Failed, true),
    ] {
        let mut store = Store::default();
        record(numbers, ending, &mut store);
        assert_eq!(!store.is_empty(), is_known, "{numbers:?}");
        assert_eq!(reused(&build, &store, &["a()"]).is_some(), is_known && ending == Verdict::Passed);
    }
}

#[test]
fn a_test_that_fails_later_with_equal_inputs_is_run_until_it_passes() {
    let build = build();
    let mut store = Store::default();
    for (at_ms, ending, expected) in
        [(1, Verdict::Passed, true), (2, Verdict::Failed, false), (3, Verdict::Passed, true)]
    {
        after(&build, &[verdict("ATest", "a()", ending)], "r", at_ms, &mut store);
        assert_eq!(reused(&build, &store, &["a()"]).is_some(), expected, "at {at_ms}");
    }
}

#[test]
fn nothing_is_recorded_of_a_class_that_changed_while_it_ran_but_failures() {
    let mut build = build();
    let before = build.keys();
    let plan = Plan { units: vec![unit("ATest", &["a()", "b()"])], ..Plan::default() };
    let mut store = Store::default();
    let mut outcomes = Outcomes::default();
    outcomes.apply(&verdict("ATest", "a()", Verdict::Passed));
    outcomes.record(&plan, &before, &before, "r0", 1, &mut store);
    build.class("tests", "ATest", &[], "2");
    let after = build.keys();
    outcomes.apply(&verdict("ATest", "a()", Verdict::Failed));
    outcomes.apply(&verdict("ATest", "b()", Verdict::Passed));
    outcomes.record(&plan, &before, &after, "r1", 2, &mut store);
    for keys in [&before, &after] {
        for test in ["a()", "b()"] {
            assert_eq!(passed(keys, &store).reused(&unit("ATest", &[test])), None);
        }
    }
}

#[test]
fn a_nested_class_and_a_method_of_any_name_are_told_apart() {
    let mut store = Store::default();
    let tests = [name("A", "x"), name("A$B", "x"), name("A", "A$B;x"), name("A$B", "A;x")];
    for recorded in &tests {
        store = Store::default();
        store.record("k", &unit("A", &[]), recorded, Ending::Passed, "r", 1);
        for asked in &tests {
            let is_known = store.reused("k", "A", std::slice::from_ref(asked)).is_some();
            assert_eq!(is_known, asked == recorded, "{recorded} {asked}");
        }
    }
    assert_eq!(store.reused("k", "Other", &tests), None);
    assert_eq!(store.reused("other", "A", &tests), None);
}

#[test]
fn the_store_is_written_as_people_can_read_it() {
    let mut store = Store::default();
    for (test, ending) in [("a()", Ending::Passed), ("b(int)", Ending::Passed), ("c()", Ending::Bad)] {
        store.record("ab12", &unit("com.acme.ATest", &[]), &name("com.acme.ATest", test), ending, "20261121T1-1", 1000);
    }
    let nested = name("com.acme.ATest$In", "d()");
    store.record("ab12", &unit("com.acme.ATest", &[]), &nested, Ending::Skipped, "20261122T1-1", DAY_MS);
    insta::assert_snapshot!(String::from_utf8(store.bytes().unwrap()).unwrap());
}

#[test]
fn a_damaged_store_is_empty_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/passed.json");
    let (store, failure) = Store::load(&path);
    assert!(store.is_empty() && failure.is_none());
    let note = |store: &mut Store| store.record("k", &unit("A", &[]), &name("A", "a()"), Ending::Passed, "r", 1);
    Store::update(&path, note).unwrap();
    assert_eq!(Store::load(&path).0.len(), 1);
    for damaged in ["", "{\"protocol\": 1, \"keys\": {\"k\": {\"cla", "{\"protocol\": 99}", "[]"] {
        std::fs::write(&path, damaged).unwrap();
        let (store, failure) = Store::load(&path);
        assert!(store.is_empty());
        let failure = failure.unwrap();
        assert!([FailureCode::Io, FailureCode::ProtocolVersion].contains(&failure.code) && failure.hint.is_some());
        Store::update(&path, note).unwrap();
        assert!(Store::load(&path).1.is_none());
    }
}

#[test]
fn processes_that_record_at_the_same_time_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passed.json");
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for number in 0..5 {
                    let test = name("A", &format!("t{worker}_{number}()"));
                    Store::update(path, |store| store.record("k", &unit("A", &[]), &test, Ending::Passed, "r", 1))
                        .unwrap();
                }
            });
        }
    });
    let tests: Vec<_> =
        (0..8).flat_map(|worker| (0..5).map(move |number| name("A", &format!("t{worker}_{number}()")))).collect();
    assert!(Store::load(&path).0.reused("k", "A", &tests).is_some());
}

#[test]
fn what_is_not_used_is_forgotten_and_of_one_class_the_oldest() {
    let mut store = Store::default();
    let test = name("A", "a()");
    for day in 0..40 {
        store.record(&format!("k{day}"), &unit("A", &[]), &test, Ending::Passed, "r", day * DAY_MS);
    }
    store.touch("k1", 39 * DAY_MS);
    store.expire(39 * DAY_MS, 30);
    let known = |store: &Store, day: u64| store.reused(&format!("k{day}"), "A", std::slice::from_ref(&test)).is_some();
    assert!(known(&store, 1), "it was made use of");
    assert_eq!((25..40).filter(|day| known(&store, *day)).count(), 15);
    assert_eq!(store.len(), 16);
    store.expire(80 * DAY_MS, 0);
    assert_eq!(store.len(), 16, "0 days keep what they find");
    store.expire(80 * DAY_MS, 30);
    assert!(store.is_empty());
}

#[test]
fn versions_of_a_class_are_counted_for_each_test_task() {
    let mut store = Store::default();
    for task in [":a:test", ":b:test", ":c:test"] {
        let unit = Unit { task: testfleet_protocol::test::TaskPath(task.into()), ..unit("A", &[]) };
        for version in 0..20 {
            store.record(&format!("{task}{version}"), &unit, &name("A", "a()"), Ending::Passed, "r", version);
        }
    }
    store.expire(DAY_MS, 30);
    assert_eq!(store.len(), 3 * 16);
}

fn stores() -> impl Strategy<Value = Store> {
    let ending = prop_oneof![Just(Ending::Passed), Just(Ending::Skipped), Just(Ending::Bad)];
    let mark = (0..3_u8, 0..2_u8, 0..3_u8, ending, 0..3_u8, 0..4_u64);
    prop::collection::vec(mark, 0..12).prop_map(|marks| {
        let mut store = Store::default();
        for (key, class, test, ending, run, at) in marks {
            let class = format!("C{class}");
            let test = name(&class, &format!("t{test}()"));
            store.record(&format!("k{key}"), &unit(&class, &[]), &test, ending, &format!("r{run}"), at * DAY_MS / 2);
        }
        store
    })
}

proptest! {
    #[test]
    fn a_store_is_read_as_it_was_written(store in stores()) {
        prop_assert_eq!(Store::parse(Path::new("x"), &store.bytes().unwrap()).unwrap(), store);
    }

    #[test]
    fn merging_has_no_order(a in stores(), b in stores(), c in stores()) {
        let merged = |first: &Store, second: &Store| {
            let mut merged = first.clone();
            merged.merge(second);
            merged
        };
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Store::parse(Path::new("x"), &bytes);
    }
}
