//! Slices, reused tests and tests in quarantine: single situations.

use super::decide::{Command, Input};
use super::scenarios::Bench;
use super::test_plans::{finished, input_of, plan_of};
use super::{Queue, State};
use testfleet_protocol::agent::{AgentMessage, ClassFailure, UnitAttempt};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::{Invocations, Plan, Quarantined, Reused, Slice, UnitId};
use testfleet_protocol::test::{Invocation, Outcome, TaskPath, TestName, Thrown, Verdict};
use testfleet_protocol::{FailureCode, VERSION};

/// A plan of one test, `C1.t0()`, in slices `u1`, `u2`, ... with these estimates.
fn sliced(estimates: &[u64]) -> Plan {
    let shape: Vec<_> = estimates.iter().map(|estimate| (0, 1, *estimate)).collect();
    let mut plan = plan_of(&shape);
    let of = estimates.len() as u32;
    let (class, tests) = (plan.units[0].class.clone(), plan.units[0].tests.clone());
    for (number, unit) in (1..).zip(&mut plan.units) {
        (unit.class, unit.tests, unit.whole_class) = (class.clone(), tests.clone(), false);
        unit.slice = Some(Slice { number, of, invocations: Invocations { from: number, to: Some(number) } });
    }
    plan
}

fn bench(plan: Plan, workers: u32) -> Bench {
    Bench::of(&input_of(plan, Queue::Dynamic, workers))
}

fn t0() -> TestName {
    TestName { class: "C1".into(), method: "t0()".into() }
}

impl Bench {
    fn end_slice(&mut self, worker: u32, unit: u32, outcome: Outcome) {
        let unit = UnitId(format!("u{unit}"));
        let test =
            AgentMessage::TestFinished { unit: unit.clone(), attempt: 1, test: t0(), finished: finished(outcome) };
        self.say(worker, test);
        self.say(worker, AgentMessage::UnitFinished { unit, attempt: 1 });
    }

    /// The reason of the only verdict.
    fn reason(&self) -> String {
        let reasons = self.events.iter().filter_map(|event| match event {
            RunEvent::TestVerdict { reason, .. } => Some(reason.clone().unwrap_or_default()),
            _ => None,
        });
        reasons.collect::<Vec<_>>().join("|")
    }

    fn ended(&self) -> Option<Verdict> {
        match self.events.last() {
            Some(RunEvent::RunFinished { verdict, .. }) => Some(*verdict),
            _ => None,
        }
    }
}

#[test]
fn a_test_in_slices_gets_one_verdict_when_all_have_ended() {
    let mut bench = bench(sliced(&[9_000, 9_000, 9_000]), 2);
    bench.end_slice(1, 1, Outcome::Passed);
    bench.end_slice(2, 2, Outcome::Failed);
    assert!(bench.verdicts().is_empty());
    bench.end_slice(1, 3, Outcome::Passed);
    assert_eq!(bench.verdicts(), ["C1.t0() failed"]);
    let started = bench.events.first();
    assert!(matches!(started, Some(RunEvent::RunStarted { units: 3, tests: 1, reused: 0, .. })), "{started:?}");
    assert_eq!(bench.state.counts().values().sum::<u64>(), 1);
}

#[test]
fn slices_that_passed_outweigh_those_that_were_skipped() {
    for (outcomes, verdict) in [
        ([Outcome::Skipped, Outcome::Passed], "C1.t0() passed"),
        ([Outcome::Aborted, Outcome::Skipped], "C1.t0() skipped"),
        ([Outcome::Errored, Outcome::Failed], "C1.t0() errored"),
    ] {
        let mut bench = bench(sliced(&[9_000, 9_000]), 2);
        bench.end_slice(1, 1, outcomes[0]);
        bench.end_slice(2, 2, outcomes[1]);
        assert_eq!(bench.verdicts(), [verdict], "{outcomes:?}");
    }
}

#[test]
fn a_slice_without_a_result_makes_the_test_lost() {
    let mut bench = bench(sliced(&[9_000, 9_000]), 2);
    bench.say(1, AgentMessage::UnitFinished { unit: UnitId("u1".into()), attempt: 1 });
    assert!(bench.verdicts().is_empty(), "the other one still runs");
    bench.end_slice(2, 2, Outcome::Failed);
    assert_eq!(bench.verdicts(), ["C1.t0() lost"]);
    assert_eq!(bench.reason(), "slice 1 of 2: the test framework ran its class but did not report it");
}

#[test]
fn a_jvm_that_dies_takes_one_slice_and_the_others_go_on() {
    let mut bench = bench(sliced(&[9_000, 9_000]), 2);
    let (unit, task) = (UnitId("u2".into()), TaskPath(":m0:test".into()));
    bench.say(2, AgentMessage::JvmStarted { task: task.clone(), pid: 7 });
    bench.say(2, AgentMessage::TestStarted { unit: unit.clone(), attempt: 1, test: t0() });
    let unit = Some(UnitAttempt { unit, attempt: 1 });
    bench.say(
        2,
        AgentMessage::JvmDied {
            task,
            unit,
            pid: Some(7),
            reason: "exit code 3".into(),
            was_ready: true,
            cause: Default::default(),
            evidence: Vec::new(),
            blamed: Vec::new(),
        },
    );
    assert!(bench.verdicts().is_empty());
    bench.end_slice(1, 1, Outcome::Passed);
    assert_eq!((bench.verdicts().len(), bench.reason().as_str()), (1, "slice 2 of 2: the test JVM died: exit code 3"));
    assert_eq!(bench.verdicts(), ["C1.t0() errored"]);
}

#[test]
fn slices_in_one_hand_are_kept_apart() {
    let mut bench = bench(sliced(&[40, 40, 9_000]), 1);
    bench.end_slice(1, 3, Outcome::Passed);
    let hand = |bench: &Bench| bench.state.workers.get(1).unwrap().hand.len();
    let before = hand(&bench);
    let invocation = |unit: &str| AgentMessage::InvocationFinished {
        unit: UnitId(unit.into()),
        attempt: 1,
        test: t0(),
        invocation: Invocation { id: "#1".into(), name: "one".into() },
        finished: finished(Outcome::Passed),
    };
    for _ in 0..2 {
        bench.say(1, invocation("u1"));
    }
    bench.end_slice(1, 1, Outcome::Passed);
    assert_eq!(hand(&bench), 1, "{before} before");
    bench.say(1, invocation("u2"));
    let slices: Vec<_> = bench
        .events
        .iter()
        .filter_map(|event| match event {
            RunEvent::InvocationFinished { slice, .. } => *slice,
            _ => None,
        })
        .collect();
    assert_eq!(slices, [1, 2], "each once");
    bench.end_slice(1, 2, Outcome::Passed);
    assert_eq!(bench.verdicts(), ["C1.t0() passed"]);
}

#[test]
fn a_class_that_fails_fails_each_of_its_slices() {
    let mut bench = bench(sliced(&[9_000, 9_000]), 2);
    let thrown = Thrown { kind: "java.lang.Error".into(), message: "no".into(), stack: String::new(), hint: None };
    for (worker, unit) in [(1, "u1"), (2, "u2")] {
        let (unit, failure) = (UnitId(unit.into()), ClassFailure { class: "C1".into(), thrown: thrown.clone() });
        bench.say(worker, AgentMessage::ClassFailed { unit: unit.clone(), attempt: 1, failure });
        bench.say(worker, AgentMessage::UnitFinished { unit, attempt: 1 });
    }
    assert_eq!(
        (bench.verdicts(), bench.reason().as_str()),
        (vec!["C1.t0() errored".into()], "slice 1 of 2: java.lang.Error: no")
    );
}

#[test]
fn a_cancel_and_the_loss_of_all_workers_give_one_verdict() {
    let mut cancelled = bench(sliced(&[9_000, 9_000, 9_000]), 2);
    cancelled.end_slice(1, 1, Outcome::Failed);
    cancelled.feed(Input::Cancel { at_ms: 9 });
    assert_eq!((cancelled.verdicts(), cancelled.reason().as_str()), (vec!["C1.t0() lost".into()], "cancelled"));
    let mut alone = bench(sliced(&[9_000, 9_000]), 1);
    for _ in 0..5 {
        alone.lose(1);
        alone.hello(1, VERSION);
    }
    assert_eq!(alone.verdicts().len(), 1, "{:?}", alone.verdicts());
    assert!(alone.ended().is_some());
}

#[test]
fn a_worker_that_runs_one_slice_judges_by_that() {
    let queue = Queue::Fixed(vec![UnitId("u2".into())]);
    let mut bench = Bench::of(&input_of(sliced(&[9_000, 9_000]), queue, 1));
    bench.end_slice(1, 2, Outcome::Passed);
    assert_eq!(bench.verdicts(), ["C1.t0() passed"]);
}

#[test]
fn a_plan_that_contradicts_itself_about_slices_is_refused() {
    let refused = |change: &dyn Fn(&mut Plan)| {
        let mut plan = sliced(&[1, 1]);
        change(&mut plan);
        let failure = State::new(&input_of(plan, Queue::Dynamic, 1), "bench").unwrap_err();
        assert_eq!(failure.code, FailureCode::InvalidRequest);
        failure.causes[0].clone()
    };
    let numbers = |plan: &mut Plan| plan.units[1].slice = plan.units[0].slice;
    assert_eq!(refused(&numbers), "slice 1 of C1 > t0() is in unit u1 and in unit u2");
    let whole = |plan: &mut Plan| plan.units[1].slice = None;
    assert_eq!(refused(&whole), ":m0:test C1 > t0() is in unit u1 and in unit u2");
    let first = |plan: &mut Plan| plan.units[0].slice = None;
    assert_eq!(refused(&first), ":m0:test C1 > t0() is in unit u1 and in unit u2");
    let many = |plan: &mut Plan| plan.units[0].tests.push(TestName { class: "C1".into(), method: "x()".into() });
    assert_eq!(refused(&many), "unit u1 is a slice of 2 tests, not of one");
    let of = |plan: &mut Plan| plan.units[1].slice.as_mut().unwrap().of = 3;
    assert_eq!(refused(&of), ":m0:test C1 > t0() has 2 slices by unit u1 and 3 by u2");
    let beyond = |plan: &mut Plan| plan.units[1].slice.as_mut().unwrap().number = 7;
    assert_eq!(refused(&beyond), "unit u2 is slice 7 of 2");
}

fn reused(run: &str, at_ms: u64) -> Option<Reused> {
    Some(Reused { run: run.into(), at_ms, skipped: Vec::new() })
}

#[test]
fn a_run_in_which_everything_is_reused_starts_nobody() {
    let mut plan = plan_of(&[(0, 2, 900), (1, 1, 100)]);
    plan.units.iter_mut().for_each(|unit| unit.reused = reused("r0", 5));
    let bench = bench(plan, 4);
    assert!(bench.commands.is_empty(), "{:?}", bench.commands);
    assert_eq!(bench.verdicts(), ["C1.t0() reused", "C1.t1() reused", "C2.t0() reused"]);
    assert!(matches!(bench.events[0], RunEvent::RunStarted { units: 0, tests: 0, reused: 3, workers: 0, .. }));
    assert_eq!((bench.events.len(), bench.ended()), (5, Some(Verdict::Passed)));
    assert!(bench.reason().starts_with("passed in run r0|"));
}

#[test]
fn what_was_skipped_is_skipped_again_without_being_run() {
    let mut plan = plan_of(&[(0, 2, 900)]);
    let skipped = vec![plan.units[0].tests[1].clone()];
    plan.units[0].reused = Some(Reused { run: "r0".into(), at_ms: 5, skipped });
    let bench = bench(plan, 4);
    assert!(bench.commands.is_empty(), "{:?}", bench.commands);
    assert_eq!(bench.verdicts(), ["C1.t0() reused", "C1.t1() skipped"]);
    assert!(matches!(bench.events[0], RunEvent::RunStarted { units: 0, reused: 1, workers: 0, .. }));
    assert_eq!((bench.reason(), bench.ended()), ("passed in run r0|skipped in run r0".into(), Some(Verdict::Passed)));
}

#[test]
fn what_is_reused_needs_no_worker() {
    let mut plan = plan_of(&[(0, 2, 900), (1, 1, 100), (0, 1, 10)]);
    plan.units[..2].iter_mut().for_each(|unit| unit.reused = reused("r0", 5));
    let bench = bench(plan, 4);
    let started = bench.commands.iter().filter(|command| matches!(command, Command::StartWorker { .. })).count();
    assert_eq!(started, 1);
}

#[test]
fn a_test_of_which_some_slices_passed_before_is_judged_by_the_others() {
    for (outcome, verdict) in [(Outcome::Failed, "C1.t0() failed"), (Outcome::Skipped, "C1.t0() passed")] {
        let mut plan = sliced(&[9_000, 9_000]);
        plan.units[0].reused = reused("r0", 5);
        let mut bench = bench(plan, 2);
        assert!(bench.verdicts().is_empty());
        bench.end_slice(1, 2, outcome);
        assert_eq!(bench.verdicts(), [verdict]);
    }
    let mut plan = sliced(&[9_000, 9_000]);
    (plan.units[0].reused, plan.units[1].reused) = (reused("r8", 8), reused("r5", 5));
    assert_eq!(bench(plan, 2).reason(), "passed in run r8");
}

#[test]
fn who_asks_for_a_unit_gets_it_though_it_passed_before() {
    let mut plan = plan_of(&[(0, 1, 900)]);
    plan.units[0].reused = reused("r0", 5);
    let mut bench = Bench::of(&input_of(plan, Queue::Fixed(vec![UnitId("u1".into())]), 1));
    bench.end_slice(1, 1, Outcome::Passed);
    assert_eq!(bench.verdicts(), ["C1.t0() passed"]);
}

fn quarantined(mut plan: Plan) -> Plan {
    let entry = |test| Quarantined { test, reason: "it sulks".into(), until: None };
    plan.quarantined = plan.units[0].test_ids().map(entry).collect();
    plan
}

#[test]
fn a_bad_test_in_quarantine_makes_no_run_red() {
    let mut bench = bench(quarantined(plan_of(&[(0, 1, 900)])), 1);
    bench.say(1, AgentMessage::TestStarted { unit: UnitId("u1".into()), attempt: 1, test: t0() });
    let thrown = Thrown { kind: "java.lang.Error".into(), message: "no".into(), stack: String::new(), hint: None };
    let failure = ClassFailure { class: "C1".into(), thrown };
    bench.say(
        1,
        AgentMessage::TestFinished {
            unit: UnitId("u1".into()),
            attempt: 1,
            test: t0(),
            finished: finished(Outcome::Failed),
        },
    );
    bench.say(1, AgentMessage::ClassFailed { unit: UnitId("u1".into()), attempt: 1, failure });
    bench.say(1, AgentMessage::UnitFinished { unit: UnitId("u1".into()), attempt: 1 });
    bench.lose(1);
    assert_eq!(bench.verdicts(), ["C1.t0() failed", "C1.executionError errored"]);
    assert_eq!(bench.ended(), Some(Verdict::Passed));
    assert_eq!(bench.state.counts()[&Verdict::Failed], 1, "it is counted all the same");
}

#[test]
fn others_beside_a_quarantine_count() {
    let mut bench = bench(quarantined(plan_of(&[(0, 1, 900), (0, 1, 900)])), 2);
    bench.end_slice(1, 1, Outcome::Errored);
    let test = TestName { class: "C2".into(), method: "t0()".into() };
    let unit = UnitId("u2".into());
    bench.say(
        2,
        AgentMessage::TestFinished { unit: unit.clone(), attempt: 1, test, finished: finished(Outcome::Failed) },
    );
    bench.say(2, AgentMessage::UnitFinished { unit, attempt: 1 });
    bench.lose(1);
    bench.lose(2);
    assert_eq!(bench.ended(), Some(Verdict::Failed));
}
