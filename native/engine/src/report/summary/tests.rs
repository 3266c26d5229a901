use super::*;
use crate::report::test_support::{
    START, Script, big, events, finished, folded, id, plan, special_events, special_plan, thrown,
};
use crate::report::{ReportDirs, write_all};
use testfleet_protocol::event::RunEvent;

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
fn slices_reused_tests_and_a_quarantine() {
    let summary = folded(&special_plan(), &special_events(false)).summary();
    assert_eq!((summary.total(), summary.bad_tests().count(), summary.verdict), (7, 1, Verdict::Failed));
    let mut json = serde_json::to_value(&summary).expect("JSON");
    // What it has in common with the other is seen there.
    for key in ["classes", "tasks", "workers"] {
        json.as_object_mut().expect("an object").remove(key);
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).expect("JSON"));
}

#[test]
fn a_run_whose_only_bad_tests_are_in_quarantine_is_green() {
    let mut events = special_events(false);
    for event in &mut events {
        match event {
            testfleet_protocol::event::RunEvent::RunFinished { verdict, .. } => *verdict = Verdict::Passed,
            testfleet_protocol::event::RunEvent::TestVerdict { test, verdict, .. }
                if test.name.method == "counts(int)" =>
            {
                *verdict = Verdict::Passed;
            }
            _ => {}
        }
    }
    let summary = folded(&special_plan(), &events).summary();
    assert_eq!((summary.verdict, summary.bad_tests().count()), (Verdict::Passed, 0));
    assert_eq!((summary.quarantined.bad, summary.quarantined.passed), (1, 1));
    assert_eq!((summary.count(Verdict::Failed), summary.counting(Verdict::Failed)), (1, 0));
}

#[test]
fn a_test_in_slices_takes_as_long_as_all_of_them() {
    let mut events = special_events(false);
    let whole = |events: &[testfleet_protocol::event::RunEvent]| {
        folded(&special_plan(), events).whole_duration_us(&id(":test", "com.acme.ManyTest", "counts(int)"))
    };
    assert_eq!(whole(&events), Some((2_800 + 3_100 + 1_900) * 1_000 + 750));
    assert_eq!(whole(&special_events(true)), None, "one of three");
    events.retain(|event| !matches!(event, testfleet_protocol::event::RunEvent::TestFinished { slice: Some(3), .. }));
    assert_eq!(whole(&events), None, "the third has no end");
}

#[test]
fn a_summary_that_was_written_before_there_were_slices_is_read() {
    let mut json = serde_json::to_value(folded(&plan(), &events()).summary()).expect("JSON");
    let prediction = json["prediction"].as_object_mut().expect("an object");
    for key in ["predictedMs", "workPercent", "medianErrorPercent", "guessed"] {
        prediction.remove(key);
    }
    let summary: Summary = serde_json::from_value(json).expect("read");
    assert!(summary.quarantined.is_empty() && summary.prediction.work_percent.is_none());
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
    events.retain(|event| matches!(event, RunEvent::RunStarted { .. }));
    if let Some(RunEvent::RunStarted { tests, .. }) = events.first_mut() {
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
fn each_try_tells_where_its_worker_was_then() {
    let plan = plan();
    let mut script = Script::started(2, 1);
    script.events.truncate(1);
    let pod = |script: &mut Script, life: u32| {
        let image = Some(format!("r.example/app@sha256:{life}"));
        script.events.push(RunEvent::WorkerStarted { worker: 1, backend: "kubernetes".into(), image, at_ms: START });
        let host = format!("testfleet-{life} on node-{life}");
        script.events.push(RunEvent::WorkerReady { worker: 1, host, pid: 1, at_ms: START });
    };
    let (a, b) = (id(":lib:test", "com.acme.InitTest", "a()"), id(":lib:test", "com.acme.InitTest", "b()"));
    pod(&mut script, 1);
    script.assign("u4", 1, 1, 5);
    script.start(&a, "u4", 1, 1, 6);
    script.finish(&a, 1, 1, finished(Outcome::Passed, 6, 1));
    script.verdict(&a, Verdict::Passed, None);
    script.start(&b, "u4", 1, 1, 7);
    script.unit_done("u4", 1, 1, &[&b], 8);
    pod(&mut script, 2);
    script.assign("u4", 1, 2, 9);
    script.start(&b, "u4", 1, 2, 10);
    script.finish(&b, 1, 2, finished(Outcome::Passed, 10, 1));
    script.verdict(&b, Verdict::Passed, None);
    let aggregate = folded(&plan, &script.events);
    let summary = aggregate.summary();
    assert_eq!(summary.images, ["r.example/app@sha256:1", "r.example/app@sha256:2"]);
    let told = |n: usize| (summary.tests[n].attempt, summary.tests[n].host.as_deref(), summary.tests[n].image);
    assert_eq!(told(0), (Some(1), Some("testfleet-1 on node-1"), Some(0)));
    assert_eq!(told(1), (Some(2), Some("testfleet-2 on node-2"), Some(1)));
    let hosts: Vec<_> = summary.tests[1].attempts.iter().map(|attempt| attempt.host.as_deref()).collect();
    assert_eq!(hosts, [Some("testfleet-1 on node-1"), Some("testfleet-2 on node-2")]);
    let dir = tempfile::tempdir().expect("a folder");
    let dirs = ReportDirs { results_dir: dir.path().join("results"), reports_dir: dir.path().join("reports") };
    write_all(&aggregate, &plan, &dirs).expect("written");
    let xml = std::fs::read_to_string(dirs.results_dir.join("lib/test/TEST-com.acme.InitTest.xml")).expect("read");
    let hosts = r#"<property name="testfleet.hosts" value="testfleet-1 on node-1,testfleet-2 on node-2"/>"#;
    let images = r#"<property name="testfleet.images" value="r.example/app@sha256:1,r.example/app@sha256:2"/>"#;
    assert!(xml.contains(hosts) && xml.contains(images), "{xml}");
    let html = std::fs::read_to_string(dirs.reports_dir.join("index.html")).expect("read");
    assert!(html.contains("Image r.example/app@sha256:2."), "the page names what workers were made of");
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
