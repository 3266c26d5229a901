use super::*;
use crate::report::test_support::{
    START, Script, events, finished, folded, id, plan, plan_of, special_events, special_plan, thrown,
};
use testfleet_protocol::test::Outcome;

fn console(plan: &Plan) -> Console {
    Console::new(plan, ConsoleOptions { build_name: "shop".into(), workers: 2 })
}

fn shown(lines: &[(Level, String)]) -> String {
    lines
        .iter()
        .map(|(level, text)| format!("{:<10}| {}\n", format!("{level:?}"), text.replace('\n', "\n          | ")))
        .collect()
}

fn written() -> Vec<(String, PathBuf)> {
    [("junit-xml", "/shop/build/test-results/runParallel"), ("html", "/shop/build/reports/testfleet/index.html")]
        .map(|(what, path)| (what.to_owned(), PathBuf::from(path)))
        .into()
}

#[test]
fn a_run_with_everything_in_it() {
    let plan = plan();
    let mut console = console(&plan);
    let mut lines = Vec::new();
    for (i, event) in events().iter().enumerate() {
        lines.extend(console.on_event(event));
        if i % 20 == 19 {
            // A clock of its own, so that progress lines are among the others.
            lines.extend(console.tick(START + 11_000 * (i as u64 / 20 + 1)));
        }
    }
    lines.extend(console.finish(&folded(&plan, &events()).summary(), &written()));
    insta::assert_snapshot!(shown(&lines));
}

#[test]
fn a_green_run_is_short() {
    let plan = plan_of(&[(":test", "a.FooTest", 1_000, &["t()"])]);
    let mut script = Script::started(1, 1);
    script.plain(&id(":test", "a.FooTest", "t()"), "u1", 1, 10, finished(Outcome::Passed, 10, 1));
    script.over(Verdict::Passed, 1_400);
    let mut console = console(&plan);
    let mut lines: Vec<_> = script.events.iter().flat_map(|event| console.on_event(event)).collect();
    lines.retain(|(level, _)| *level > Level::Info);
    lines.extend(console.finish(&folded(&plan, &script.events).summary(), &written()));
    insta::assert_snapshot!(shown(&lines));
}

#[test]
fn progress_comes_at_most_every_ten_seconds_and_knows_what_is_left() {
    let plan = plan_of(&[(":test", "a.Long", 30_000, &["t()"]), (":test", "a.Short", 10_000, &["t()", "u()"])]);
    let mut script = Script::started(3, 2);
    script.assign("u2", 1, 1, 5);
    script.assign("u1", 2, 1, 5);
    script.plain(&id(":test", "a.Short", "t()"), "u2", 1, 10, finished(Outcome::Passed, 10, 1));
    script.plain(&id(":test", "a.Short", "outside of tests"), "u2", 1, 10, finished(Outcome::Errored, 10, 1));
    script.start(&id(":test", "a.Long", "t()"), "u1", 2, 1, 10);
    let mut console = console(&plan);
    script.events.iter().for_each(|event| drop(console.on_event(event)));
    let lines: Vec<_> = (0..=70).flat_map(|second| console.tick(START + second * 1_000)).collect();
    insta::assert_snapshot!(shown(&lines));
}

#[test]
fn a_flood_of_failures_is_bounded() {
    let methods: Vec<_> = (0..500).map(|i| format!("t{i}()")).collect();
    let methods: Vec<_> = methods.iter().map(String::as_str).collect();
    let plan = plan_of(&[(":test", "a.FooTest", 1_000, &methods)]);
    let mut script = Script::started(500, 1);
    for method in &methods {
        let mut failed = finished(Outcome::Failed, 10, 1);
        failed.thrown = vec![thrown("a.Huge", &"line\n".repeat(10_000), "a.FooTest.t(FooTest.java:1)")];
        script.plain(&id(":test", "a.FooTest", method), "u1", 1, 10, failed);
    }
    let mut console = console(&plan);
    let mut lines: Vec<_> = script.events.iter().flat_map(|event| console.on_event(event)).collect();
    lines.extend(console.finish(&folded(&plan, &script.events).summary(), &written()));
    let length: usize = lines.iter().map(|(_, text)| text.len()).sum();
    assert!(length < 30_000, "{length}");
    assert!(lines.iter().any(|(_, text)| text.starts_with("More than 100 bad tests")));
    assert!(lines.iter().any(|(_, text)| text.contains("and 480 more")));
}

#[test]
fn foreign_text_can_not_steer_the_terminal() {
    let test = id(":test", "a.Foo\u{1b}[2JTest", "evil\u{202e}\u{7}()\nBUILD SUCCESSFUL");
    let plan = plan_of(&[(":test", "a.FooTest", 1_000, &["t()"])]);
    let mut script = Script::started(1, 1);
    let mut failed = finished(Outcome::Failed, 10, 1);
    failed.thrown = vec![thrown("x\u{1b}]0;title\u{7}", "a\u{9b}31m\rb", "nowhere")];
    script.plain(&test, "u1", 1, 10, failed);
    let mut console = console(&plan);
    let mut lines: Vec<_> = script.events.iter().flat_map(|event| console.on_event(event)).collect();
    lines.extend(console.finish(&folded(&plan, &script.events).summary(), &[]));
    for (_, text) in &lines {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("BUILD")), "{text:?}");
    }
}

/// Everything that a person reads, without the finer levels.
fn read(plan: &Plan, script: &Script) -> String {
    let mut console = console(plan);
    let mut lines: Vec<_> = script.events.iter().flat_map(|event| console.on_event(event)).collect();
    lines.retain(|(level, _)| *level > Level::Info);
    lines.extend(console.finish(&folded(plan, &script.events).summary(), &written()));
    shown(&lines)
}

#[test]
fn a_cancelled_run_counts_what_it_cut_off() {
    let methods: Vec<_> = (0..40).map(|i| format!("t{i}()")).collect();
    let methods: Vec<_> = methods.iter().map(String::as_str).collect();
    let plan = plan_of(&[(":test", "a.FooTest", 1_000, &methods)]);
    let test = |i: usize| id(":test", "a.FooTest", methods[i]);
    let mut script = Script::started(40, 1);
    script.plain(&test(0), "u1", 1, 10, finished(Outcome::Failed, 10, 1));
    script.verdict(&test(1), Verdict::Lost, Some("the test framework ran its class but did not report it"));
    script.start(&test(2), "u1", 2, 1, 11);
    script.events.push(RunEvent::CancelRequested { at_ms: START + 20 });
    (2..40).for_each(|i| script.verdict(&test(i), Verdict::Lost, Some("cancelled")));
    script.over(Verdict::Lost, 30);
    insta::assert_snapshot!(read(&plan, &script));
}

#[test]
fn a_jvm_that_does_not_start_is_explained_once() {
    let methods: Vec<_> = (0..300).map(|i| format!("t{i:03}()")).collect();
    let methods: Vec<_> = methods.iter().map(String::as_str).collect();
    let plan = plan_of(&[(":test", "a.FooTest", 1_000, &methods), (":test", "a.OtherTest", 1_000, &["fails()"])]);
    let how = "exit code 1; it last wrote: Unrecognized VM option 'Foo'\n  Error: Could not create the Java Virtual Machine.\n  Error: A fatal exception has occurred. Program will exit.";
    let mut script = Script::started(301, 2);
    for (worker, pid) in [(1, 71), (1, 71), (2, 72)] {
        script.events.push(RunEvent::JvmDied {
            worker,
            pid,
            reason: how.into(),
            evidence: Vec::new(),
            never_ready: None,
            at_ms: START + 10,
        });
    }
    let reason = format!("the test JVM did not start: {how}");
    for method in &methods {
        let test = id(":test", "a.FooTest", method);
        let mut errored = finished(Outcome::Errored, 10, 0);
        errored.duration_us = 0;
        errored.reason = Some(reason.clone());
        errored.thrown = vec![thrown("JvmStart", &reason, "nowhere")];
        script.finish(&test, 1, 1, errored);
        script.verdict(&test, Verdict::Errored, Some(&reason));
    }
    // What is not told of one by one leaves room for others.
    script.plain(&id(":test", "a.OtherTest", "fails()"), "u2", 1, 10, finished(Outcome::Failed, 10, 1));
    script.over(Verdict::Errored, 30);
    insta::assert_snapshot!(read(&plan, &script));
}

#[test]
fn slices_reused_tests_and_a_quarantine() {
    insta::assert_snapshot!(read(&special_plan(), &Script { events: special_events(false) }));
}

#[test]
fn one_slice_of_a_test() {
    insta::assert_snapshot!(read(&special_plan(), &Script { events: special_events(true) }));
}

#[test]
fn a_run_in_which_everything_is_reused_says_so() {
    let mut plan = plan_of(&[(":test", "a.FooTest", 1_000, &["t()", "u()"])]);
    plan.units[0].reused = Some(testfleet_protocol::plan::Reused { run: "r0".into(), at_ms: 1, skipped: Vec::new() });
    let mut script = Script::started(0, 0);
    script.events.truncate(1);
    if let RunEvent::RunStarted { reused, .. } = &mut script.events[0] {
        *reused = 2;
    }
    for method in ["t()", "u()"] {
        script.verdict(&id(":test", "a.FooTest", method), Verdict::Reused, Some("passed in run r0"));
    }
    let counts = Default::default();
    let over = RunEvent::RunFinished { verdict: Verdict::Passed, counts, cancelled: false, at_ms: START + 3 };
    script.events.push(over);
    insta::assert_snapshot!(read(&plan, &script));
}

#[test]
fn a_slice_that_ended_is_progress() {
    let events = special_events(false);
    let verdict = |event: &RunEvent| matches!(event, RunEvent::TestVerdict { verdict: Verdict::Failed, .. });
    let before = events.iter().position(verdict).expect("a verdict");
    let mut console = console(&special_plan());
    events[..before].iter().for_each(|event| drop(console.on_event(event)));
    let line = console.tick(START + 20_000).pop().expect("a line").1;
    // 8 of 9.9 estimated seconds are in the three slices; no test but those that are reused has a verdict.
    assert!(line.starts_with("[ 80 %] 0 of 5 tests, none failed"), "{line}");
}

#[test]
fn the_first_line_names_the_workers_that_run() {
    let first = |workers: u32, units: u64| {
        let mut console = Console::new(&plan(), ConsoleOptions { build_name: "shop".into(), workers: 12 });
        let event = RunEvent::RunStarted {
            run: "r".into(),
            protocol: 1,
            plan: "p".into(),
            workers,
            units,
            tests: units * 2,
            reused: 0,
            at_ms: START,
        };
        console.on_event(&event).remove(0).1
    };
    assert_eq!(first(12, 40), "Running 80 tests of shop in 40 units on 12 workers");
    assert_eq!(first(1, 3), "Running 6 tests of shop in 3 units on 1 of 12 workers");
    assert_eq!(first(0, 0), "There is no test of shop to run");
}

#[test]
fn an_empty_group_speaks_of_no_worker() {
    let plan = plan_of(&[]);
    let mut script = Script::started(0, 0);
    script.events.retain(|event| matches!(event, RunEvent::RunStarted { .. }));
    let counts = Default::default();
    script.events.push(RunEvent::RunFinished { verdict: Verdict::Passed, counts, cancelled: false, at_ms: START });
    let text = read(&plan, &script);
    assert!(text.contains("There is no test of shop to run") && text.contains("PASSED: nothing ran"), "{text}");
    assert!(!text.contains("worker"), "{text}");
}
