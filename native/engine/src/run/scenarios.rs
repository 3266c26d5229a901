//! Single situations, and what the run makes of them.

use super::decide::{Command, Input};
use super::test_plans::{finished, input_of, plan_of};
use super::{Queue, RunInput, State};
use testfleet_protocol::agent::{AgentMessage, ClassFailure, DeathCause, UnitAttempt};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::test::{Outcome, TaskPath, TestName, Thrown, Verdict};
use testfleet_protocol::{Failure, FailureCode, VERSION};

pub(super) struct Bench {
    pub(super) state: State,
    pub(super) events: Vec<RunEvent>,
    pub(super) commands: Vec<Command>,
}

impl Bench {
    /// A run of these (profile, tests, estimate) whose workers have said hello.
    pub(super) fn new(shape: &[(u8, usize, u64)], workers: u32) -> Self {
        Self::of(&input_of(plan_of(shape), Queue::Dynamic, workers))
    }

    /// A run whose workers have said hello.
    pub(super) fn of(input: &RunInput) -> Self {
        let mut bench = Self { state: State::new(input, "bench").unwrap(), events: Vec::new(), commands: Vec::new() };
        bench.feed(Input::Start { at_ms: 5 });
        for worker in bench.state.job.workers.clone() {
            bench.hello(worker, VERSION);
        }
        bench
    }

    pub(super) fn feed(&mut self, input: Input) {
        let (events, commands) = self.state.step(input);
        self.events.extend(events);
        self.commands.extend(commands);
    }

    pub(super) fn say(&mut self, worker: u32, message: AgentMessage) {
        self.feed(Input::Message { worker, message, at_ms: 10 });
    }

    pub(super) fn hello(&mut self, worker: u32, protocol: u32) {
        let mut hello =
            AgentMessage::first_hello(worker, self.state.life(worker).unwrap_or(1), "9.9", "h".into(), worker);
        if let AgentMessage::Hello { protocol: spoken, .. } = &mut hello {
            *spoken = protocol;
        }
        self.say(worker, hello);
    }

    pub(super) fn jvm(&mut self, worker: u32, profile: u8, pid: u32) {
        self.say(worker, AgentMessage::JvmStarted { task: TaskPath(format!(":m{profile}:test")), pid });
    }

    pub(super) fn start(&mut self, worker: u32, unit: u32, attempt: u32, method: &str) {
        let test = TestName { class: format!("C{unit}"), method: method.into() };
        self.say(worker, AgentMessage::TestStarted { unit: UnitId(format!("u{unit}")), attempt, test });
    }

    pub(super) fn pass(&mut self, worker: u32, unit: u32, attempt: u32, method: &str) {
        let test = TestName { class: format!("C{unit}"), method: method.into() };
        let finished = finished(Outcome::Passed);
        self.say(worker, AgentMessage::TestFinished { unit: UnitId(format!("u{unit}")), attempt, test, finished });
    }

    pub(super) fn unit_finished(&mut self, worker: u32, unit: u32, attempt: u32, failures: Vec<ClassFailure>) {
        for failure in failures {
            self.say(worker, AgentMessage::ClassFailed { unit: UnitId(format!("u{unit}")), attempt, failure });
        }
        self.say(worker, AgentMessage::UnitFinished { unit: UnitId(format!("u{unit}")), attempt });
    }

    pub(super) fn jvm_died(&mut self, worker: u32, profile: u8, pid: Option<u32>, unit: u32, attempt: u32) {
        let unit = Some(UnitAttempt { unit: UnitId(format!("u{unit}")), attempt });
        let task = TaskPath(format!(":m{profile}:test"));
        let reason = "killed by signal 9 (SIGKILL)".to_owned();
        self.say(
            worker,
            AgentMessage::JvmDied {
                task,
                pid,
                unit,
                reason,
                was_ready: pid.is_some(),
                cause: DeathCause::Died,
                evidence: Vec::new(),
                blamed: Vec::new(),
            },
        );
    }

    pub(super) fn lose(&mut self, worker: u32) {
        let failure = Failure::new(FailureCode::WorkerBroken, "failed to keep it: its agent was killed");
        self.feed(Input::WorkerEnded { worker, failure: Some(failure), at_ms: 20 });
        // Time enough for another start.
        self.feed(Input::Tick { at_ms: 60_000, late_ms: 59_000, slept_ms: 59_000 });
    }

    /// `u1.t0() passed`, in the order of the events.
    pub(super) fn verdicts(&self) -> Vec<String> {
        let verdicts = self.events.iter().filter_map(|event| match event {
            RunEvent::TestVerdict { test, verdict, .. } => {
                Some(format!("{}.{} {}", test.name.class, test.name.method, word(*verdict)))
            }
            _ => None,
        });
        verdicts.collect()
    }

    /// What each `Assign` said: worker, unit, try, tests, and whether it was the whole class.
    pub(super) fn assigned(&self) -> Vec<(u32, String, u32, usize, bool)> {
        let assigned = self.commands.iter().filter_map(|command| match command {
            Command::Assign { worker, unit, attempt, .. } => {
                Some((*worker, unit.id.0.clone(), *attempt, unit.tests.len(), unit.whole_class))
            }
            _ => None,
        });
        assigned.collect()
    }

    pub(super) fn reason_of(&self, method: &str) -> String {
        let reason = self.events.iter().find_map(|event| match event {
            RunEvent::TestVerdict { test, reason, .. } if test.name.method == method => reason.clone(),
            _ => None,
        });
        reason.unwrap_or_default()
    }
}

fn word(verdict: Verdict) -> String {
    serde_json::to_value(verdict).unwrap().as_str().unwrap().to_owned()
}

pub(super) fn class_failure(class: &str) -> ClassFailure {
    let thrown = Thrown { kind: "java.lang.Error".into(), message: "no".into(), stack: "at x".into(), hint: None };
    ClassFailure { class: class.into(), thrown }
}

#[test]
fn a_jvm_that_dies_takes_the_running_test_and_no_other() {
    let mut bench = Bench::new(&[(0, 3, 900)], 1);
    bench.jvm(1, 0, 50);
    bench.start(1, 1, 1, "t0()");
    bench.pass(1, 1, 1, "t0()");
    bench.start(1, 1, 1, "t1()");
    bench.jvm_died(1, 0, Some(50), 1, 1);
    assert_eq!(bench.verdicts(), ["C1.t0() passed", "C1.t1() errored"]);
    assert_eq!(bench.assigned(), [(1, "u1".into(), 1, 3, true), (1, "u1".into(), 2, 1, false)]);
    let errored = bench.events.iter().find_map(|event| match event {
        RunEvent::TestFinished { finished, .. } if finished.outcome == Outcome::Errored => Some(finished),
        _ => None,
    });
    let thrown = &errored.unwrap().thrown[0];
    assert_eq!(
        (thrown.kind.as_str(), thrown.message.as_str()),
        ("JvmDied", "the test JVM died: killed by signal 9 (SIGKILL)")
    );
    bench.pass(1, 1, 2, "t2()");
    bench.unit_finished(1, 1, 2, vec![]);
    assert!(matches!(bench.commands.last(), Some(Command::Finish { worker: 1 })));
    bench.lose(1);
    assert!(matches!(bench.events.last(), Some(RunEvent::RunFinished { verdict: Verdict::Errored, .. })));
}

#[test]
fn a_unit_that_kills_two_jvms_before_any_result_is_given_up() {
    let mut bench = Bench::new(&[(0, 2, 900), (0, 1, 800)], 1);
    bench.jvm(1, 0, 50);
    bench.jvm_died(1, 0, Some(50), 1, 1);
    assert!(bench.verdicts().is_empty());
    bench.jvm(1, 0, 51);
    bench.jvm_died(1, 0, Some(51), 1, 2);
    assert_eq!(bench.verdicts(), ["C1.t0() errored", "C1.t1() errored"]);
    assert_eq!(bench.assigned().last(), Some(&(1, "u2".into(), 1, 1, true)));
}

#[test]
fn a_profile_whose_jvm_never_starts_is_given_up_and_the_others_run() {
    let mut bench = Bench::new(&[(0, 1, 900), (0, 1, 800), (1, 1, 100)], 1);
    bench.jvm_died(1, 0, None, 1, 1);
    assert!(bench.verdicts().is_empty());
    bench.jvm_died(1, 0, None, 1, 2);
    assert_eq!(bench.verdicts(), ["C1.t0() errored", "C2.t0() errored"]);
    assert_eq!(bench.assigned().last(), Some(&(1, "u3".into(), 1, 1, true)));
    let problem = bench.commands.iter().find_map(|command| match command {
        Command::Problem { failure } => Some(failure),
        _ => None,
    });
    let problem = problem.unwrap();
    assert_eq!(problem.code, FailureCode::JvmStart);
    assert!(problem.causes[0].contains("SIGKILL"), "{problem}");
}

#[test]
fn a_start_that_fails_after_others_succeeded_is_tried_again() {
    let mut bench = Bench::new(&[(0, 1, 900), (0, 1, 800)], 1);
    bench.jvm(1, 0, 50);
    bench.pass(1, 1, 1, "t0()");
    bench.unit_finished(1, 1, 1, vec![]);
    bench.jvm_died(1, 0, None, 2, 1);
    assert_eq!(bench.verdicts(), ["C1.t0() passed"]);
    assert_eq!(bench.assigned().last(), Some(&(1, "u2".into(), 2, 1, true)));
}

#[test]
fn a_unit_that_loses_its_worker_three_times_is_given_up_and_what_waited_there_is_not_blamed() {
    let mut bench = Bench::new(&[(0, 8, 99), (0, 1, 10), (0, 1, 100), (0, 1, 98), (0, 1, 97)], 1);
    assert_eq!(bench.assigned(), [(1, "u3".into(), 1, 1, true), (1, "u2".into(), 1, 1, true)], "u2 is fetched ahead");
    for _ in 0..2 {
        bench.lose(1);
        bench.hello(1, VERSION);
        assert!(bench.verdicts().is_empty());
    }
    // Now u3 is isolated: the others go first.
    assert_eq!(bench.assigned().last(), Some(&(1, "u2".into(), 3, 1, true)));
    bench.pass(1, 2, 3, "t0()");
    bench.unit_finished(1, 2, 3, vec![]);
    (0..8).for_each(|test| bench.pass(1, 1, 1, &format!("t{test}()")));
    bench.unit_finished(1, 1, 1, vec![]);
    for unit in [4, 5] {
        bench.pass(1, unit, 1, "t0()");
        bench.unit_finished(1, unit, 1, vec![]);
    }
    assert_eq!(bench.assigned().last(), Some(&(1, "u3".into(), 3, 1, true)));
    bench.lose(1);
    assert_eq!(bench.verdicts().last().unwrap(), "C3.t0() errored");
    let reason =
        "3 workers were lost with its unit before any test of that ran: failed to keep it: its agent was killed; ";
    let told = bench.events.iter().find_map(|event| match event {
        RunEvent::TestVerdict { verdict: Verdict::Errored, reason, .. } => reason.clone(),
        _ => None,
    });
    assert!(told.as_ref().is_some_and(|told| told.starts_with(reason)), "{told:?}");
    assert!(matches!(bench.events.last(), Some(RunEvent::RunFinished { .. })));
}

#[test]
fn a_number_is_started_five_times_in_a_row_without_a_result() {
    let mut bench = Bench::new(&[(0, 1, 900), (0, 1, 800), (0, 1, 700)], 1);
    for _ in 0..5 {
        bench.lose(1);
        bench.hello(1, VERSION);
    }
    let starts =
        |bench: &Bench| bench.commands.iter().filter(|command| matches!(command, Command::StartWorker { .. })).count();
    assert_eq!(starts(&bench), 5);
    assert!(matches!(bench.events.last(), Some(RunEvent::RunFinished { .. })));
    assert_eq!(bench.verdicts().len(), 3);
}

#[test]
fn without_any_worker_tests_are_lost_with_the_reason() {
    let mut bench = Bench::new(&[(0, 1, 10)], 1);
    bench.start(1, 1, 1, "unplanned()");
    for _ in 0..5 {
        bench.lose(1);
    }
    let reason = bench.reason_of("t0()");
    assert!(reason.contains("its agent was killed"), "{reason}");
}

#[test]
fn an_agent_of_another_protocol_is_ended_and_not_started_again() {
    let mut bench = Bench::new(&[], 1);
    let input = input_of(plan_of(&[(0, 1, 10)]), Queue::Dynamic, 1);
    bench.state = State::new(&input, "bench").unwrap();
    bench.feed(Input::Start { at_ms: 5 });
    bench.hello(1, VERSION + 1);
    let Some(Command::Kill { worker: 1, failure }) = bench.commands.last().cloned() else {
        panic!("{:?}", bench.commands);
    };
    assert_eq!(failure.code, FailureCode::ProtocolVersion);
    bench.feed(Input::WorkerEnded { worker: 1, failure: Some(failure), at_ms: 6 });
    assert_eq!(bench.verdicts(), ["C1.t0() lost"]);
    assert!(bench.reason_of("t0()").contains("speaks protocol 2, not 1"), "{}", bench.reason_of("t0()"));
    assert!(matches!(bench.events.last(), Some(RunEvent::RunFinished { .. })));
}

#[test]
fn at_the_end_of_a_unit_no_test_is_left_without_a_word() {
    let mut bench = Bench::new(&[(0, 3, 900)], 1);
    bench.pass(1, 1, 1, "t0()");
    bench.start(1, 1, 1, "t1()");
    bench.unit_finished(1, 1, 1, vec![]);
    assert_eq!(bench.verdicts(), ["C1.t0() passed", "C1.t2() lost", "C1.t1() errored"]);
    assert!(bench.reason_of("t1()").contains("no end"));
    assert!(bench.reason_of("t2()").contains("did not report it"));
}

#[test]
fn a_class_that_fails_gives_its_tests_the_exception() {
    let mut bench = Bench::new(&[(0, 2, 900)], 1);
    bench.unit_finished(1, 1, 1, vec![class_failure("C1")]);
    assert_eq!(bench.verdicts(), ["C1.t0() errored", "C1.t1() errored"]);
    assert_eq!(bench.reason_of("t0()"), "java.lang.Error: no");
}

#[test]
fn a_failure_after_the_last_test_is_a_result_of_its_own() {
    let mut bench = Bench::new(&[(0, 1, 900)], 1);
    bench.pass(1, 1, 1, "t0()");
    bench.unit_finished(1, 1, 1, vec![class_failure("C1"), class_failure("C1$Inner"), class_failure("Base")]);
    assert_eq!(bench.verdicts(), ["C1.t0() passed", "C1.executionError errored", "C1$Inner.executionError errored"]);
}

#[test]
fn a_jvm_that_ends_after_the_last_test_is_not_taken_for_success() {
    let mut bench = Bench::new(&[(0, 1, 900)], 1);
    bench.jvm(1, 0, 50);
    bench.pass(1, 1, 1, "t0()");
    bench.jvm_died(1, 0, Some(50), 1, 1);
    assert_eq!(bench.verdicts(), ["C1.t0() passed", "C1.executionError errored"]);
}

#[test]
fn unplanned_tests_count_and_those_of_other_units_do_not() {
    let mut bench = Bench::new(&[(0, 1, 900), (0, 1, 800)], 2);
    bench.pass(1, 1, 1, "generated()");
    bench.pass(1, 1, 1, "generated()");
    let of_another = TestName { class: "C2".into(), method: "t0()".into() };
    bench.say(
        1,
        AgentMessage::TestFinished {
            unit: UnitId("u1".into()),
            attempt: 1,
            test: of_another,
            finished: finished(Outcome::Failed),
        },
    );
    assert_eq!(bench.verdicts(), ["C1.generated() passed"]);
    assert_eq!(bench.state.counts()[&Verdict::Passed], 1);
}

#[test]
fn messages_about_an_earlier_try_change_nothing() {
    let mut bench = Bench::new(&[(0, 2, 900)], 1);
    bench.jvm(1, 0, 50);
    bench.start(1, 1, 1, "t0()");
    bench.jvm_died(1, 0, Some(50), 1, 1);
    let before = bench.events.len();
    bench.unit_finished(1, 1, 1, vec![]);
    bench.pass(1, 1, 1, "t1()");
    bench.jvm_died(1, 0, Some(50), 1, 1);
    assert_eq!(bench.events.len(), before, "{:?}", &bench.events[before..]);
    bench.pass(1, 1, 2, "t1()");
    assert_eq!(bench.verdicts(), ["C1.t0() errored", "C1.t1() passed"]);
}

#[test]
fn a_plan_that_names_a_test_twice_is_refused() {
    let mut plan = plan_of(&[(0, 1, 1), (0, 1, 1)]);
    plan.units[1].tests = plan.units[0].tests.clone();
    let failure = State::new(&input_of(plan, Queue::Dynamic, 1), "bench").unwrap_err();
    assert_eq!(failure.code, FailureCode::InvalidRequest);
    assert!(failure.causes[0].contains("in unit u1 and in unit u2"), "{failure}");
}

#[test]
fn a_fixed_order_names_known_units_only() {
    let queue = Queue::Fixed(vec![UnitId("u9".into())]);
    let failure = State::new(&input_of(plan_of(&[(0, 1, 1)]), queue, 1), "bench").unwrap_err();
    assert!(failure.causes[0].contains("u9 is not in the plan"), "{failure}");
}

#[test]
fn a_plan_without_units_ends_at_once() {
    let bench = Bench::new(&[], 3);
    assert!(matches!(bench.events[..], [RunEvent::RunStarted { .. }, RunEvent::RunFinished { .. }]));
    assert!(bench.commands.is_empty());
}
