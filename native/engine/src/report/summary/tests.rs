use super::*;
use crate::report::test_support::{Script, big, events, finished, folded, id, plan, thrown};
use crate::report::{ReportDirs, write_all};

#[test]
fn a_run_with_everything_in_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let summary = folded(&plan(), &events()).summary();
    let path = write_summary(&summary, dir.path()).expect("written");
    let json = std::fs::read_to_string(path).expect("UTF-8");
    assert_eq!(serde_json::from_str::<Summary>(&json).expect("read back"), summary);
    insta::assert_snapshot!(json);
}

#[test]
fn every_test_of_the_run_is_counted_once() {
    let summary = folded(&plan(), &events()).summary();
    assert_eq!(summary.total(), 13);
    assert_eq!(summary.tests.len(), 13);
    assert_eq!(summary.tasks.iter().flat_map(|task| task.counts.values()).sum::<u64>(), 13);
    assert_eq!(summary.classes.iter().flat_map(|class| class.counts.values()).sum::<u64>(), 13);
    assert_eq!(summary.verdict, Verdict::Lost);
}

#[test]
fn a_run_that_stopped_in_the_middle_is_red() {
    let (plan, events) = big();
    let summary = folded(&plan, &events[..events.len() / 2]).summary();
    assert!(!summary.finished);
    assert_eq!(summary.total(), 11_500);
    assert!(summary.count(Verdict::Lost) > 5_000);
    assert_eq!(summary.verdict, Verdict::Lost);
}

#[test]
fn tests_without_any_event_are_lost_in_a_partial_run_too() {
    let plan = plan();
    let mut events = events();
    events.retain(|event| matches!(event, testfleet_protocol::event::RunEvent::RunStarted { .. }));
    if let Some(testfleet_protocol::event::RunEvent::RunStarted { tests, .. }) = events.first_mut() {
        *tests = 5;
    }
    let summary = folded(&plan, &events).summary();
    assert_eq!((summary.unaccounted, summary.count(Verdict::Lost), summary.verdict), (5, 5, Verdict::Lost));
}

#[test]
fn a_failure_outside_of_planned_tests_makes_up_for_none() {
    let plan = plan();
    let mut script = Script::started(5, 1);
    script.assign("u2", 1, 1, 5);
    let mut after_all = finished(Outcome::Errored, 20, 0);
    after_all.thrown = vec![thrown("java.lang.RuntimeException", "broke", "com.acme.SlowTest.stop(SlowTest.java:9)")];
    script.plain(&id(":app:test", "com.acme.SlowTest", "outside of tests"), "u2", 1, 20, after_all);
    let summary = folded(&plan, &script.events).summary();
    assert_eq!((summary.unaccounted, summary.count(Verdict::Errored), summary.count(Verdict::Lost)), (2, 1, 5));
}

#[test]
fn all_documents_are_written_and_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let dirs = ReportDirs { results_dir: dir.path().join("results"), reports_dir: dir.path().join("reports") };
    let written = write_all(&folded(&plan(), &events()), &plan(), &dirs).expect("written");
    let expected = [
        ("junit-xml", dirs.results_dir.clone()),
        ("summary", dirs.reports_dir.join("summary.json")),
        ("html", dirs.reports_dir.join("index.html")),
    ];
    assert_eq!(written, expected.map(|(what, path)| (what.to_owned(), path)));
    assert!(written.iter().all(|(_, path)| path.exists()));
}
