//! Retries, repeats, leases and resuming: single situations.

use super::decide::{Command, Input};
use super::scenarios::Bench;
use super::test_plans::{finished, input_of, plan_of};
use super::{Queue, RunInput, State};
use testfleet_protocol::agent::{AgentMessage, UnitAttempt};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::{Quarantined, UnitId};
use testfleet_protocol::run_options::{Retries, RunOptions};
use testfleet_protocol::test::{Outcome, TestName, Verdict};

fn input(shape: &[(u8, usize, u64)], workers: u32, options: RunOptions) -> RunInput {
    RunInput { options, ..input_of(plan_of(shape), Queue::Dynamic, workers) }
}

fn retries(max_retries: u32, max_failures: u32, fail_on_flaky: bool) -> RunOptions {
    let retries = Retries { max_retries, max_failures, max_failure_rate: 1.0, fail_on_flaky };
    RunOptions { retries, ..RunOptions::default() }
}

impl Bench {
    /// A test ends, and its unit with it.
    fn end(&mut self, worker: u32, unit: u32, attempt: u32, outcome: Outcome) {
        let (id, test) = (UnitId(format!("u{unit}")), TestName { class: format!("C{unit}"), method: "t0()".into() });
        self.say(worker, AgentMessage::TestFinished { unit: id, attempt, test, finished: finished(outcome) });
        self.unit_finished(worker, unit, attempt, Vec::new());
    }

    fn fail(&mut self, worker: u32, unit: u32, attempt: u32, method: &str) {
        let (id, test) = (UnitId(format!("u{unit}")), TestName { class: format!("C{unit}"), method: method.into() });
        let finished = finished(Outcome::Failed);
        self.say(worker, AgentMessage::TestFinished { unit: id, attempt, test, finished });
    }

    fn tick(&mut self, at_ms: u64, late_ms: u64) {
        self.feed(Input::Tick { at_ms, late_ms, slept_ms: late_ms });
    }

    fn over(&self) -> Option<Verdict> {
        self.events.iter().find_map(|event| match event {
            RunEvent::RunFinished { verdict, .. } => Some(*verdict),
            _ => None,
        })
    }
}

#[test]
fn a_bad_test_is_tried_again_last_elsewhere_and_in_a_jvm_of_its_own() {
    for fail_on_flaky in [false, true] {
        let mut bench =
            Bench::of(&input(&[(0, 1, 9_000), (0, 1, 8_000), (0, 1, 7_000)], 2, retries(2, 0, fail_on_flaky)));
        bench.end(1, 1, 1, Outcome::Failed);
        assert_eq!(bench.assigned().last(), Some(&(1, "u3".into(), 1, 1, true)), "first tries come first");
        bench.end(1, 3, 1, Outcome::Passed);
        assert_eq!(bench.assigned().len(), 3, "worker 1 was where it was bad");
        bench.end(2, 2, 1, Outcome::Passed);
        let fresh = Command::Assign { worker: 2, unit: bench.state.job.units[0].clone(), attempt: 2, fresh_jvm: true };
        assert_eq!(bench.commands.last(), Some(&fresh));
        bench.end(2, 1, 2, Outcome::Passed);
        assert_eq!(bench.verdicts().last().unwrap(), "C1.t0() flaky");
        assert_eq!(bench.reason_of("t0()"), "passed in try 2 of 3");
        [1, 2].into_iter().for_each(|worker| bench.lose(worker));
        assert_eq!(bench.over(), Some(if fail_on_flaky { Verdict::Failed } else { Verdict::Flaky }));
    }
}

#[test]
fn too_many_bad_tests_end_all_retries() {
    let mut bench = Bench::of(&input(&[(0, 1, 9_000), (0, 1, 8_000), (0, 1, 7_000)], 1, retries(1, 2, false)));
    bench.end(1, 1, 1, Outcome::Failed);
    assert!(bench.verdicts().is_empty());
    bench.end(1, 2, 1, Outcome::Failed);
    assert_eq!(bench.verdicts(), ["C1.t0() failed", "C2.t0() failed"]);
}

#[test]
fn a_worker_is_spared_no_longer_than_what_was_bad_there_is_to_be_tried_again() {
    let mut bench = Bench::of(&input(&[(0, 2, 9_000), (0, 2, 8_000)], 2, retries(1, 2, false)));
    bench.fail(1, 1, 1, "t0()");
    for attempt in [1, 2] {
        bench.start(1, 1, attempt, "t1()");
        bench.lose(1);
        bench.hello(1, testfleet_protocol::VERSION);
    }
    assert_eq!(bench.assigned().len(), 3, "t0 is due, and another worker than 1 is ready");
    bench.fail(2, 2, 1, "t0()");
    assert_eq!(bench.verdicts(), ["C1.t0() failed", "C2.t0() failed"], "nothing is tried again now");
    assert_eq!(bench.assigned().last(), Some(&(1, "u1".into(), 3, 1, false)), "t1 was never bad at worker 1");
}

#[test]
fn tests_in_quarantine_make_no_share_of_bad_tests_small() {
    let mut options = retries(1, 0, false);
    options.retries.max_failure_rate = 0.2;
    let mut plan = plan_of(&[(0, 20, 9_000), (0, 20, 8_000)]);
    let quarantined = |test| Quarantined { test, reason: "it sulks".into(), until: None };
    plan.quarantined = plan.units[0].test_ids().map(quarantined).collect();
    let mut bench = Bench::of(&RunInput { options, ..input_of(plan, Queue::Dynamic, 1) });
    for test in 0..20 {
        bench.fail(1, 1, 1, &format!("t{test}()"));
    }
    bench.unit_finished(1, 1, 1, Vec::new());
    for test in 0..19 {
        let method = format!("t{test}()");
        if test < 5 { bench.fail(1, 2, 1, &method) } else { bench.pass(1, 2, 1, &method) }
    }
    assert_eq!(bench.verdicts().len(), 14, "19 tests say nothing yet, and those in quarantine are not asked");
    bench.pass(1, 2, 1, "t19()");
    let verdicts = bench.verdicts();
    let bad = |class: &str| verdicts.iter().filter(|told| told.starts_with(class) && told.ends_with("failed")).count();
    assert_eq!((bad("C1."), bad("C2.")), (20, 5), "5 of 20, and what waits for another try gets none");
}

#[test]
fn what_is_repeated_runs_so_often_and_a_lost_worker_takes_no_try() {
    let mut bench = Bench::of(&input(&[(0, 1, 9_000)], 1, RunOptions { repeat: 3, ..RunOptions::default() }));
    bench.end(1, 1, 1, Outcome::Passed);
    bench.start(1, 1, 2, "t0()");
    bench.lose(1);
    bench.hello(1, testfleet_protocol::VERSION);
    bench.end(1, 1, 3, Outcome::Failed);
    assert!(bench.verdicts().is_empty());
    bench.end(1, 1, 4, Outcome::Passed);
    assert_eq!(
        (bench.verdicts(), bench.reason_of("t0()").as_str()),
        (vec!["C1.t0() flaky".into()], "1 of 3 tries failed")
    );
}

#[test]
fn a_silent_worker_is_given_up_and_a_coordinator_that_slept_blames_nobody() {
    let mut options = RunOptions::default();
    options.connection.lease_ms = 3_000;
    let mut bench = Bench::of(&input(&[(0, 1, 9_000)], 1, options));
    bench.tick(60_000, 57_000);
    bench.tick(62_000, 0);
    assert!(!bench.events.iter().any(|event| matches!(event, RunEvent::WorkerEnded { .. })));
    bench.tick(64_000, 0);
    let Some(Command::Kill { failure, .. }) =
        bench.commands.iter().find(|command| matches!(command, Command::Kill { .. }))
    else {
        panic!("{:?}", bench.commands);
    };
    assert_eq!(failure.message, "failed to keep worker 1: it said nothing for 4 s");
    assert_eq!(bench.state.life(1), Some(2));
    assert!(bench.verdicts().is_empty());
}

#[test]
fn a_run_that_takes_too_long_is_bad() {
    let mut options = RunOptions::default();
    options.timeouts.run_ms = Some(60_000);
    let mut bench = Bench::of(&input(&[(0, 1, 9_000)], 1, options));
    bench.tick(61_000, 0);
    assert_eq!(
        (bench.verdicts(), bench.reason_of("t0()").as_str()),
        (vec!["C1.t0() lost".into()], "the run took longer than 1 min 0 s")
    );
    assert_eq!(bench.commands.last(), Some(&Command::Cancel { worker: 1 }));
    bench.lose(1);
    assert_eq!(bench.over(), Some(Verdict::Lost));
}

#[test]
fn the_next_coordinator_takes_a_worker_back_with_what_it_has() {
    let input = input(&[(0, 2, 9_000), (0, 1, 8_000)], 1, RunOptions::default());
    let mut bench = Bench::of(&input);
    bench.pass(1, 1, 1, "t0()");
    let mut next = State::new(&input, "bench").unwrap();
    bench.events.iter().for_each(|event| next.apply(event));
    assert_eq!(next, bench.state);
    bench.state = next;
    bench.feed(Input::Resume { at_ms: 50 });
    assert_eq!((bench.state.epoch(), bench.state.returning().len()), (2, 1));
    let mut hello = AgentMessage::first_hello(1, 1, "1", "h".into(), 1);
    let tried = |unit: &str| UnitAttempt { unit: UnitId(unit.into()), attempt: 1 };
    if let AgentMessage::Hello { hand, epoch, .. } = &mut hello {
        (*hand, *epoch) = (vec![tried("u1"), tried("u2")], 1);
    }
    bench.commands.clear();
    bench.say(1, hello);
    let dropped = Command::Drop { worker: 1, units: vec![tried("u2")] };
    assert_eq!(bench.commands, [Command::Welcome { worker: 1 }, dropped], "u2 was never its");
    bench.pass(1, 1, 1, "t1()");
    bench.unit_finished(1, 1, 1, Vec::new());
    assert_eq!(bench.verdicts(), ["C1.t0() passed", "C1.t1() passed"]);
    // Another one goes on, and nobody comes back: by force, or because there is none.
    for found in [true, false] {
        let mut third = State::new(&input, "bench").unwrap();
        bench
            .events
            .iter()
            .take_while(|event| !matches!(event, RunEvent::RunResumed { .. }))
            .for_each(|event| third.apply(event));
        third.step(Input::Resume { at_ms: 60 });
        let end = if found {
            Input::Tick { at_ms: 60_000, late_ms: 0, slept_ms: 0 }
        } else {
            Input::WorkerEnded { worker: 1, failure: None, at_ms: 60_000 }
        };
        let (events, commands) = third.step(end);
        assert!(matches!(events[0], RunEvent::WorkerEnded { worker: 1, failure: None, .. }), "{events:?}");
        assert_eq!(matches!(commands[0], Command::Kill { worker: 1, .. }), found, "{commands:?}");
        assert_eq!(commands.last(), Some(&Command::StartWorker { worker: 1, life: 2 }));
    }
    let mut local = State::new(&input, "local").unwrap();
    bench.events.iter().take(5).for_each(|event| local.apply(event));
    local.step(Input::Resume { at_ms: 60 });
    assert!(local.returning().is_empty() && local.life(1) == Some(2));
}
