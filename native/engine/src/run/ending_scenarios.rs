//! How units end otherwise than by themselves, and what is not lost with that: single situations.

use super::decide::{Command, Input};
use super::scenarios::{Bench, class_failure};
use super::test_plans::{input_of, plan_of};
use super::{Queue, State};
use testfleet_protocol::agent::{AgentMessage, DeathCause, Evidence, UnitAttempt};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::test::{TaskPath, Verdict};
use testfleet_protocol::{Failure, FailureCode, VERSION};

impl Bench {
    fn class_fails(&mut self, worker: u32, unit: u32, attempt: u32, class: &str) {
        let (unit, failure) = (UnitId(format!("u{unit}")), class_failure(class));
        self.say(worker, AgentMessage::ClassFailed { unit, attempt, failure });
    }

    /// A run of one unit, all of whose tests have passed and whose end is awaited.
    fn at_its_end() -> Self {
        let mut bench = Self::new(&[(0, 2, 900)], 1);
        bench.jvm(1, 0, 50);
        bench.pass(1, 1, 1, "t1()");
        bench.pass(1, 1, 1, "t0()");
        bench
    }

    fn verdict(&self) -> Option<Verdict> {
        match self.events.last() {
            Some(RunEvent::RunFinished { verdict, .. }) => Some(*verdict),
            _ => None,
        }
    }
}

/// Only the test that ended last is run, in a JVM of its own, and nothing of it counts but what comes after it.
fn seen_again(bench: &mut Bench, attempt: u32) {
    let Some(Command::Assign { worker: 1, unit, attempt: tried, fresh_jvm: true }) = bench.commands.last().cloned()
    else {
        panic!("{:?}", bench.commands.last());
    };
    assert_eq!((tried, unit.tests.len(), unit.tests[0].method.as_str()), (attempt, 1, "t0()"));
    let before = bench.events.len();
    bench.start(1, 1, attempt, "t0()");
    bench.pass(1, 1, attempt, "t0()");
    assert_eq!(bench.events.len(), before, "{:?}", &bench.events[before..]);
}

#[test]
fn a_class_that_failed_is_not_forgotten_when_its_unit_goes_on_elsewhere() {
    type Ends = fn(&mut Bench);
    let ends: [Ends; 3] = [
        |bench| bench.jvm_died(1, 0, Some(50), 1, 1),
        |bench| {
            bench.lose(1);
            bench.hello(1, VERSION);
        },
        |bench| {
            let units = vec![UnitAttempt { unit: UnitId("u1".into()), attempt: 1 }];
            bench.say(1, AgentMessage::HandedBack { units, reason: "evicted".into() });
            bench.lose(1);
            bench.hello(1, VERSION);
        },
    ];
    for end in ends {
        let mut bench = Bench::new(&[(0, 2, 900)], 1);
        bench.jvm(1, 0, 50);
        bench.pass(1, 1, 1, "t0()");
        bench.class_fails(1, 1, 1, "C1$In");
        bench.class_fails(1, 1, 1, "C1$In");
        end(&mut bench);
        bench.pass(1, 1, 2, "t1()");
        bench.unit_finished(1, 1, 2, vec![]);
        assert_eq!(bench.verdicts(), ["C1.t0() passed", "C1$In.executionError errored", "C1.t1() passed"]);
    }
}

#[test]
fn what_comes_after_the_tests_of_a_lost_worker_is_seen_again() {
    let mut bench = Bench::at_its_end();
    bench.lose(1);
    bench.hello(1, VERSION);
    seen_again(&mut bench, 2);
    bench.unit_finished(1, 1, 2, vec![class_failure("C1")]);
    assert_eq!(bench.verdicts(), ["C1.t1() passed", "C1.t0() passed", "C1.executionError errored"]);
    let mut well = Bench::at_its_end();
    well.lose(1);
    well.hello(1, VERSION);
    seen_again(&mut well, 2);
    well.unit_finished(1, 1, 2, vec![]);
    well.lose(1);
    assert_eq!(well.verdict(), Some(Verdict::Passed));
}

#[test]
fn a_jvm_that_dies_while_the_end_is_to_be_seen_again_fails_the_class() {
    let mut bench = Bench::at_its_end();
    bench.lose(1);
    bench.hello(1, VERSION);
    seen_again(&mut bench, 2);
    bench.jvm(1, 0, 51);
    bench.jvm_died(1, 0, Some(51), 1, 2);
    assert_eq!(bench.verdicts().last().unwrap(), "C1.executionError errored");
    assert!(matches!(bench.commands.last(), Some(Command::Finish { .. })));
}

#[test]
fn a_class_whose_end_loses_three_workers_is_errored() {
    let mut bench = Bench::at_its_end();
    for _ in 0..3 {
        bench.lose(1);
        bench.hello(1, VERSION);
    }
    assert_eq!(bench.verdicts().last().unwrap(), "C1.executionError errored");
    let reason = bench.reason_of("executionError");
    assert!(reason.starts_with("3 workers were lost after all tests of its class had ended: "), "{reason}");
}

#[test]
fn who_goes_on_with_a_run_sees_the_end_again_and_blames_nobody() {
    let mut bench = Bench::at_its_end();
    for epoch in 2..9 {
        bench.feed(Input::Resume { at_ms: 100 * epoch });
        let failure = Failure::new(FailureCode::WorkerBroken, "failed to take it over");
        bench.feed(Input::WorkerEnded { worker: 1, failure: Some(failure), at_ms: 100 * epoch + 1 });
        bench.hello(1, VERSION);
        seen_again(&mut bench, epoch as u32);
    }
    bench.unit_finished(1, 1, 8, vec![]);
    bench.lose(1);
    assert_eq!((bench.verdicts().len(), bench.verdict()), (2, Some(Verdict::Passed)));
}

#[test]
fn an_end_that_a_cancel_cuts_off_is_lost() {
    let mut bench = Bench::at_its_end();
    bench.feed(Input::Cancel { at_ms: 20 });
    bench.lose(1);
    assert_eq!(bench.verdicts().last().unwrap(), "C1.executionError lost");
    assert_eq!((bench.reason_of("executionError").as_str(), bench.verdict()), ("cancelled", Some(Verdict::Lost)));
}

#[test]
fn a_start_that_fails_blames_no_test_while_another_worker_may_do_better() {
    let mut bench = Bench::new(&[(0, 1, 900), (0, 1, 800), (0, 1, 700)], 2);
    bench.jvm_died(1, 0, None, 1, 1);
    assert_eq!(bench.assigned().last(), Some(&(1, "u1".into(), 2, 1, true)));
    bench.jvm_died(1, 0, None, 1, 2);
    assert!(bench.verdicts().is_empty());
    let Some(Command::Kill { worker: 1, failure }) =
        bench.commands.iter().find(|command| matches!(command, Command::Kill { .. }))
    else {
        panic!("{:?}", bench.commands);
    };
    assert_eq!(failure.code, FailureCode::JvmStart);
    assert_eq!(bench.state.units[0].silent_losses.len(), 0, "its unit is not to blame");
    bench.jvm(2, 0, 50);
    bench.pass(2, 2, 1, "t0()");
    bench.unit_finished(2, 2, 1, vec![]);
    assert_eq!(bench.assigned().last(), Some(&(2, "u1".into(), 3, 1, true)));
}

#[test]
fn a_profile_is_given_up_when_every_worker_failed_to_start_it() {
    let mut bench = Bench::new(&[(0, 1, 900), (0, 1, 800), (0, 1, 700)], 2);
    bench.jvm_died(1, 0, None, 1, 1);
    bench.jvm_died(2, 0, None, 2, 1);
    assert_eq!(bench.verdicts(), ["C2.t0() errored", "C3.t0() errored"], "u1 is tried once more at worker 1");
    bench.jvm_died(1, 0, None, 1, 2);
    assert_eq!(bench.verdicts().last().unwrap(), "C1.t0() errored");
    assert!(!bench.commands.iter().any(|command| matches!(command, Command::Kill { .. })), "no worker is to blame");
}

#[test]
fn what_waits_at_a_worker_for_a_profile_that_is_given_up_is_dropped_there() {
    let mut shape = vec![(0, 1, 40); 18];
    shape.push((0, 1, 4));
    let mut bench = Bench::new(&shape, 2);
    assert_eq!(bench.state.workers.get(1).unwrap().hand.len(), 2, "u19 is fetched ahead");
    bench.jvm_died(2, 0, None, 2, 1);
    bench.jvm_died(1, 0, None, 1, 1);
    assert_eq!(bench.verdicts().len(), 18, "all but what worker 2 tries again: {:?}", bench.verdicts());
    let dropped = bench.commands.iter().find_map(|command| match command {
        Command::Drop { worker: 1, units } => Some(units.clone()),
        _ => None,
    });
    assert_eq!(dropped, Some(vec![UnitAttempt { unit: UnitId("u19".into()), attempt: 1 }]));
    bench.jvm_died(2, 0, None, 2, 2);
    assert_eq!(bench.verdicts().len(), 19);
}

#[test]
fn what_is_to_be_repeated_ends_with_its_profile() {
    let mut input = input_of(plan_of(&[(0, 1, 900), (0, 1, 800)]), Queue::Dynamic, 1);
    input.options.repeat = 3;
    let mut bench = Bench::of(&input);
    bench.jvm_died(1, 0, None, 1, 1);
    bench.jvm_died(1, 0, None, 1, 2);
    assert_eq!(bench.verdicts(), ["C1.t0() errored", "C2.t0() errored"]);
    assert_eq!(bench.commands.last().map(|command| matches!(command, Command::Finish { .. })), Some(true));
}

#[test]
fn a_worker_is_started_again_later_each_time() {
    let mut bench = Bench::new(&[(0, 1, 900)], 1);
    let starts =
        |bench: &Bench| bench.commands.iter().filter(|command| matches!(command, Command::StartWorker { .. })).count();
    let mut now_ms = 1_000;
    for (again, after_ms) in (1..).zip([0, 2_000, 10_000, 30_000]) {
        bench.feed(Input::WorkerEnded { worker: 1, failure: None, at_ms: now_ms });
        if after_ms > 0 {
            bench.feed(Input::Tick { at_ms: now_ms + after_ms - 1, late_ms: 0, slept_ms: 0 });
            assert_eq!(starts(&bench), again, "not yet");
        }
        now_ms += after_ms;
        bench.feed(Input::Tick { at_ms: now_ms, late_ms: 0, slept_ms: 0 });
        assert_eq!(starts(&bench), again + 1);
    }
    bench.feed(Input::WorkerEnded { worker: 1, failure: None, at_ms: now_ms });
    let aborted = bench.events.iter().position(|event| matches!(event, RunEvent::RunAborted { .. })).unwrap();
    let verdict = bench.events.iter().position(|event| matches!(event, RunEvent::TestVerdict { .. })).unwrap();
    assert!(aborted < verdict, "a resumed run goes on before it");
    assert_eq!(bench.verdict(), Some(Verdict::Lost));
}

#[test]
fn a_worker_that_was_never_ready_is_not_waited_for() {
    let input = input_of(plan_of(&[(0, 1, 900)]), Queue::Dynamic, 1);
    let mut bench = Bench { state: State::new(&input, "bench").unwrap(), events: Vec::new(), commands: Vec::new() };
    bench.feed(Input::Start { at_ms: 5 });
    for _ in 0..5 {
        assert_eq!(bench.verdict(), None);
        bench.feed(Input::WorkerEnded { worker: 1, failure: None, at_ms: 6 });
    }
    assert_eq!(bench.verdict(), Some(Verdict::Lost));
}

#[test]
fn a_cancel_does_not_wait_for_another_start() {
    let mut bench = Bench::new(&[(0, 1, 900)], 1);
    for at_ms in [1_000, 1_001] {
        bench.feed(Input::WorkerEnded { worker: 1, failure: None, at_ms });
    }
    bench.feed(Input::Cancel { at_ms: 1_002 });
    assert!(matches!(bench.events.last(), Some(RunEvent::RunFinished { cancelled: true, .. })));
}

#[test]
fn tests_that_lose_their_worker_use_up_none_of_its_starts() {
    let mut bench = Bench::new(&[(0, 1, 900), (0, 1, 800), (0, 1, 700)], 1);
    while bench.verdict().is_none() {
        let (worker, unit, attempt, ..) = bench.assigned().last().cloned().unwrap();
        let unit: u32 = unit[1..].parse().unwrap();
        bench.start(worker, unit, attempt, "t0()");
        if unit == 3 {
            bench.pass(worker, unit, attempt, "t0()");
            bench.unit_finished(worker, unit, attempt, vec![]);
        } else {
            bench.lose(worker);
            bench.hello(worker, VERSION);
        }
        if bench.verdicts().len() == 3 {
            bench.lose(worker);
        }
    }
    let mut verdicts = bench.verdicts();
    verdicts.sort();
    assert_eq!(verdicts, ["C1.t0() errored", "C2.t0() errored", "C3.t0() passed"]);
}

#[test]
fn who_goes_on_starts_the_workers_that_were_not_started_yet() {
    let input = input_of(plan_of(&[(0, 1, 900), (0, 1, 800), (0, 1, 700)]), Queue::Dynamic, 3);
    for written in 1..4 {
        let mut state = State::new(&input, "bench").unwrap();
        let (events, _) = state.clone().step(Input::Start { at_ms: 5 });
        events[..written].iter().for_each(|event| state.apply(event));
        let (_, commands) = state.step(Input::Resume { at_ms: 6 });
        let started: Vec<_> = commands
            .iter()
            .filter_map(|command| match command {
                Command::StartWorker { worker, .. } => Some(*worker),
                _ => None,
            })
            .collect();
        assert_eq!(started, (written as u32..=3).collect::<Vec<_>>());
    }
}

/// A run of at most 100 s, in which a test hangs and others wait.
fn hanging() -> Bench {
    let mut input = input_of(plan_of(&[(0, 2, 900), (0, 1, 800)]), Queue::Dynamic, 1);
    input.options.timeouts.run_ms = Some(100_000);
    input.options.connection.lease_ms = 0;
    let mut bench = Bench::of(&input);
    bench.jvm(1, 0, 50);
    bench.start(1, 1, 1, "t0()");
    bench
}

#[test]
fn what_runs_when_the_run_takes_too_long_is_condemned_and_the_others_are_lost() {
    let mut bench = hanging();
    bench.feed(Input::Tick { at_ms: 101_000, late_ms: 0, slept_ms: 0 });
    assert_eq!(bench.commands.last(), Some(&Command::Condemn { worker: 1, limit_ms: 100_000 }));
    assert_eq!(bench.verdicts(), ["C2.t0() lost"]);
    bench.hello(1, VERSION);
    assert_eq!(
        bench.commands.last(),
        Some(&Command::Condemn { worker: 1, limit_ms: 100_000 }),
        "it may not have heard"
    );
    let evidence = vec![Evidence { name: "thread-dump".into(), text: "at Hangs.here".into() }];
    let unit = Some(UnitAttempt { unit: UnitId("u1".into()), attempt: 1 });
    let (cause, reason) = (DeathCause::RunTimeout, "the run took longer than its limit of 100 s".to_owned());
    let (task, pid, blamed) = (TaskPath(":m0:test".into()), Some(50), Vec::new());
    bench.say(1, AgentMessage::JvmDied { task, pid, unit, reason, was_ready: true, cause, evidence, blamed });
    assert_eq!(bench.verdicts()[1..], ["C1.t0() errored", "C1.t1() lost"]);
    let told = bench.events.iter().find_map(|event| match event {
        RunEvent::TestFinished { finished, .. } => finished.thrown.first(),
        _ => None,
    });
    assert!(told.is_some_and(|told| told.kind == "RunTimeout" && told.stack.contains("at Hangs.here")), "{told:?}");
    assert_eq!(bench.commands.last(), Some(&Command::Cancel { worker: 1 }));
}

#[test]
fn dumps_are_not_waited_for_without_end() {
    let mut late = hanging();
    late.feed(Input::Tick { at_ms: 101_000, late_ms: 0, slept_ms: 0 });
    late.feed(Input::Tick { at_ms: 113_000, late_ms: 0, slept_ms: 0 });
    assert_eq!(late.verdicts().len(), 1);
    late.feed(Input::Tick { at_ms: 113_001, late_ms: 0, slept_ms: 0 });
    assert_eq!(late.verdicts()[1..], ["C1.t0() errored", "C1.t1() lost"]);
    let mut cancelled = hanging();
    cancelled.feed(Input::Tick { at_ms: 101_000, late_ms: 0, slept_ms: 0 });
    cancelled.feed(Input::Cancel { at_ms: 102_000 });
    assert_eq!(cancelled.commands.last(), Some(&Command::Cancel { worker: 1 }));
    let mut lost = hanging();
    lost.feed(Input::Tick { at_ms: 101_000, late_ms: 0, slept_ms: 0 });
    lost.lose(1);
    assert_eq!((lost.verdicts().len(), lost.verdict()), (3, Some(Verdict::Lost)));
}

#[test]
fn the_time_that_the_coordinator_slept_does_not_count_for_the_run() {
    let mut bench = hanging();
    bench.feed(Input::Tick { at_ms: 500_000, late_ms: 450_000, slept_ms: 450_000 });
    bench.feed(Input::Tick { at_ms: 550_000, late_ms: 0, slept_ms: 0 });
    assert!(bench.verdicts().is_empty());
    bench.feed(Input::Tick { at_ms: 550_006, late_ms: 0, slept_ms: 0 });
    assert_eq!(bench.verdicts(), ["C2.t0() lost"]);
}

#[test]
fn the_time_that_the_coordinator_was_busy_counts_for_the_run() {
    let mut bench = hanging();
    bench.feed(Input::Tick { at_ms: 50_000, late_ms: 40_000, slept_ms: 0 });
    assert!(bench.verdicts().is_empty());
    bench.feed(Input::Tick { at_ms: 101_000, late_ms: 0, slept_ms: 0 });
    assert_eq!(bench.verdicts(), ["C2.t0() lost"]);
}
