//! What becomes of a unit when it ends, one way or another.

use super::decide::{Command, lost, test_ended};
use super::job::OUTSIDE_OF_TESTS;
use super::starts::{self, NeverReady};
use super::state::State;
use super::tries::LOSSES;
use super::workers::Held;
use std::collections::{BTreeSet, VecDeque};
use testfleet_protocol::agent::{DeathCause, Evidence};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::test::{Finished, Outcome, TaskPath, TestId, TestName, Thrown, Verdict};
use testfleet_protocol::{Failure, FailureCode};

/// Deaths of JVMs that worked, in a row, without a result of any of its tests, after which a unit is not tried again.
const SILENT_DEATHS: u32 = 2;

/// Most bytes of evidence in a stack trace.
const EVIDENCE: usize = 64 << 10;

/// How lines begin that a JVM writes whatever keeps it from starting.
const SAYS_NOTHING: [&str; 6] = [
    "Error: Could not create the Java Virtual Machine",
    "Error: A fatal exception has occurred",
    "Error occurred during initialization of",
    "Picked up ",
    "NOTE: Picked up ",
    "WARNING: ",
];

/// How a harness JVM ended.
pub(super) struct JvmDeath {
    /// Its profile.
    pub(super) task: TaskPath,
    /// Its process, if there was one.
    pub(super) pid: Option<u32>,
    /// In words.
    pub(super) reason: String,
    /// Whether it had worked.
    pub(super) was_ready: bool,
    /// What kind of end it was.
    pub(super) cause: DeathCause,
    /// What tells more.
    pub(super) evidence: Vec<Evidence>,
    /// The tests that it died for; empty: all that ran.
    pub(super) blamed: Vec<TestName>,
}

/// Why tests could not be completed: the word and the sentence.
pub(super) struct Cause<'a> {
    pub(super) kind: &'a str,
    pub(super) reason: &'a str,
    /// What tells more; at most [`EVIDENCE`].
    pub(super) evidence: String,
}

impl Cause<'_> {
    fn errored(&self, started_at_ms: u64, at_ms: u64) -> Finished {
        Finished {
            outcome: Outcome::Errored,
            started_at_ms,
            duration_us: at_ms.saturating_sub(started_at_ms).saturating_mul(1_000),
            reason: Some(self.reason.to_owned()),
            thrown: vec![Thrown {
                kind: self.kind.to_owned(),
                message: self.reason.to_owned(),
                stack: format!("{}: {}{}", self.kind, self.reason, self.evidence),
                hint: None,
            }],
        }
    }
}

/// The harness is through with a unit: what has no result by now gets none.
pub(super) fn unit_finished(state: &State, worker: u32, held: &Held, at_ms: u64, events: &mut Vec<RunEvent>) {
    let never_ended = Cause {
        kind: "NeverEnded",
        reason: "it started, but the test framework reported no end of it",
        evidence: String::new(),
    };
    running_errored(state, worker, held, &never_ended, &[], at_ms, events);
    let mut covering = BTreeSet::new();
    for id in not_started(state, held) {
        let around = held.failures.iter().filter(|(class, _)| is_or_encloses(class, &id.name.class));
        match around.max_by_key(|(class, _)| class.len()) {
            Some((class, thrown)) => {
                let thrown = thrown.clone();
                covering.insert(class);
                test_ended(state, events, id, held.unit, Some(worker), held.attempt, class_failed(thrown, at_ms));
            }
            None => events.push(lost(state, id, held.unit, "the test framework ran its class but did not report it")),
        }
    }
    for (class, thrown) in held.failures.iter().filter(|(class, _)| !covering.contains(class)) {
        outside_of_tests(state, worker, held, class, class_failed(thrown.clone(), at_ms), events);
    }
    leaves(state, worker, held, false, at_ms, events);
}

/// A unit leaves the worker before its end: what failed outside of its tests is told, and tests without a verdict go back to
/// the queue. When all of its tests have ended, it goes back for what comes after them, which may fail.
pub(super) fn broken_off(state: &State, worker: u32, held: &Held, at_ms: u64, events: &mut Vec<RunEvent>) {
    failed_so_far(state, worker, held, at_ms, events);
    leaves(state, worker, held, held.only_its_end_is_due(), at_ms, events);
}

/// What failed outside of tests stays a failure, though the tests of that class that have not ended run elsewhere.
fn failed_so_far(state: &State, worker: u32, held: &Held, at_ms: u64, events: &mut Vec<RunEvent>) {
    for (class, thrown) in &held.failures {
        outside_of_tests(state, worker, held, class, class_failed(thrown.clone(), at_ms), events);
    }
}

/// A JVM ended without being told to, with `held` as the unit that it ran or was started for.
pub(super) fn jvm_died(
    state: &State,
    worker: u32,
    held: Option<&Held>,
    died: JvmDeath,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
    commands: &mut Vec<Command>,
) {
    let JvmDeath { task, pid, reason, was_ready, cause, evidence, blamed } = died;
    let reason = with_telling_line(&reason, was_ready);
    if !was_ready {
        let jvm = NeverReady { task, pid, reason, evidence };
        return starts::failed(state, worker, held, jvm, at_ms, events, commands);
    }
    let told = told_by(&evidence);
    let pid = pid.unwrap_or(0);
    events.push(RunEvent::JvmDied { worker, pid, reason: reason.clone(), evidence, never_ready: None, at_ms });
    // The agent ended it itself, and says why.
    let is_timeout = matches!(cause, DeathCause::TestTimeout | DeathCause::ClassTimeout | DeathCause::RunTimeout);
    let why = if is_timeout { reason.clone() } else { format!("the test JVM died: {reason}") };
    let cause = Cause { kind: cause.kind(), reason: &why, evidence: told };
    if let Some(held) = held {
        died_with(state, worker, held, &cause, &blamed, at_ms, events);
    } else if state.stop.is_none() {
        let failure = Failure::new(
            FailureCode::WorkerBroken,
            format!("failed to keep the test JVM of {task} on worker {worker}: it ended between two units"),
        )
        .cause_text(reason);
        commands.push(Command::Problem { failure });
    }
}

/// A worker is gone without being told to: all goes back, but what was lost too often.
pub(super) fn worker_lost(
    state: &State,
    worker: u32,
    hand: &VecDeque<Held>,
    failure: &Failure,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
) {
    let reason = std::iter::once(&failure.message).chain(&failure.causes).cloned().collect::<Vec<_>>().join(": ");
    // From the back, so that the unit that ran is still the first when its turn comes.
    for (place, held) in hand.iter().enumerate().rev() {
        if place == 0 {
            lost_too_often(state, worker, held, &reason, at_ms, events);
        }
        broken_off(state, worker, held, at_ms, events);
    }
}

/// Tests that ran at one loss too many are errored; so are all of a unit when its workers are lost before any of them runs.
fn lost_too_often(state: &State, worker: u32, held: &Held, reason: &str, at_ms: u64, events: &mut Vec<RunEvent>) {
    let unit = &state.units[held.unit];
    let cause = |kept: &[String], what: &str| {
        let reasons: Vec<_> = kept.iter().map(String::as_str).chain([reason]).collect();
        format!("{} workers were lost {what}: {}", reasons.len(), reasons.join("; "))
    };
    let mut give_up = |test: usize, why: &str, since_ms: u64| {
        let id = state.job.test_id((held.unit, test));
        let cause = Cause { kind: "WorkerLost", reason: why, evidence: String::new() };
        test_ended(state, events, id, held.unit, Some(worker), held.attempt, cause.errored(since_ms, at_ms));
    };
    let names = &state.job.units[held.unit].tests;
    let mut ran = false;
    for &test in &held.due {
        let Some(since_ms) = held.running.get(&names[test]) else { continue };
        ran = true;
        if unit.losses(test).len() + 1 >= LOSSES {
            give_up(test, &cause(unit.losses(test), "while it ran"), *since_ms);
        }
    }
    if ran || unit.silent_losses.len() + 1 < LOSSES {
        return;
    }
    if held.closing {
        let why = cause(&unit.silent_losses, "after all tests of its class had ended");
        let cause = Cause { kind: "WorkerLost", reason: &why, evidence: String::new() };
        outside_of_tests(state, worker, held, class_of(state, held), cause.errored(at_ms, at_ms), events);
    } else if held.due.len() == held.given {
        let why = cause(&unit.silent_losses, "with its unit before any test of that ran");
        held.due.iter().for_each(|test| give_up(*test, &why, at_ms));
    }
}

/// A unit leaves the worker; tests without a verdict go back to the queue. With `unseen`, so does it without any.
fn leaves(state: &State, worker: u32, held: &Held, unseen: bool, at_ms: u64, events: &mut Vec<RunEvent>) {
    let unit = state.job.units[held.unit].id.clone();
    let open = still_open(state, held, events);
    let unseen = unseen && open.is_empty() && !is_told(&state.job.outside_of(held.unit), state, events);
    let handed_back = open.into_iter().map(|test| state.job.test_id((held.unit, test))).collect();
    events.push(RunEvent::UnitFinished { unit, worker, attempt: held.attempt, handed_back, unseen, at_ms });
}

/// Tests of a unit that have no verdict, not by what was decided of it last either.
fn still_open(state: &State, held: &Held, events: &[RunEvent]) -> Vec<usize> {
    let mut unit = state.units[held.unit].clone();
    let mine = |test: &TestId, slice: Option<u32>| {
        state.job.place(test, slice).filter(|place| place.0 == held.unit).map(|(_, index)| index)
    };
    // What was decided of another unit ends with that one's end.
    let of_unit = events.iter().rev().take_while(|event| !matches!(event, RunEvent::UnitFinished { .. }));
    for event in of_unit {
        let closed = match event {
            RunEvent::TestFinished { test, slice, finished, .. } => mine(test, *slice).filter(|index| {
                let ran = held.running.contains_key(&test.name);
                unit.ended(*index, finished, None, ran, state.policy()).is_some()
            }),
            RunEvent::TestVerdict { test, .. } => mine(test, None),
            RunEvent::SliceLost { test, slice, .. } => mine(test, Some(*slice)),
            _ => None,
        };
        if let Some(index) = closed {
            unit.verdicts[index] = Some(Verdict::Lost);
        }
    }
    unit.open().collect()
}

#[allow(clippy::too_many_arguments)]
fn died_with(
    state: &State,
    worker: u32,
    held: &Held,
    cause: &Cause<'_>,
    blamed: &[TestName],
    at_ms: u64,
    events: &mut Vec<RunEvent>,
) {
    let unit = &state.units[held.unit];
    let rest: Vec<_> = not_started(state, held).collect();
    running_errored(state, worker, held, cause, blamed, at_ms, events);
    failed_so_far(state, worker, held, at_ms, events);
    if held.only_its_end_is_due() && held.running.is_empty() {
        // All tests are through: it died in what comes after them.
        outside_of_tests(state, worker, held, class_of(state, held), cause.errored(at_ms, at_ms), events);
    }
    let silent = rest.len() == held.given;
    if silent && unit.silent_deaths + 1 >= SILENT_DEATHS {
        for id in rest {
            test_ended(state, events, id, held.unit, Some(worker), held.attempt, cause.errored(at_ms, at_ms));
        }
    }
    leaves(state, worker, held, false, at_ms, events);
}

/// A unit leaves the worker with the tests that have no result errored: there is no JVM to run them in.
pub(super) fn never_runs(
    state: &State,
    worker: u32,
    held: &Held,
    cause: &Cause<'_>,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
) {
    for id in not_started(state, held) {
        test_ended(state, events, id, held.unit, Some(worker), held.attempt, cause.errored(at_ms, at_ms));
    }
    failed_so_far(state, worker, held, at_ms, events);
    leaves(state, worker, held, false, at_ms, events);
}

/// The same of a unit that waits.
pub(super) fn never_handed_out(state: &State, unit: usize, cause: &Cause<'_>, at_ms: u64, events: &mut Vec<RunEvent>) {
    for test in state.units[unit].open() {
        let id = state.job.test_id((unit, test));
        test_ended(state, events, id, unit, None, state.units[unit].attempt + 1, cause.errored(at_ms, at_ms));
    }
}

/// Tests that ran are errored: those that are `blamed`, or all when none is.
pub(super) fn running_errored(
    state: &State,
    worker: u32,
    held: &Held,
    cause: &Cause<'_>,
    blamed: &[TestName],
    at_ms: u64,
    events: &mut Vec<RunEvent>,
) {
    let task = &state.job.units[held.unit].task;
    let all = !held.running.keys().any(|name| blamed.contains(name));
    for (name, started_at_ms) in held.running.iter().filter(|(name, _)| all || blamed.contains(name)) {
        let id = TestId { task: task.clone(), name: name.clone() };
        test_ended(state, events, id, held.unit, Some(worker), held.attempt, cause.errored(*started_at_ms, at_ms));
    }
}

/// Tests that were given with the unit and have neither a result nor a start. A coordinator may have been lost between the
/// verdict of one and the end of its unit, which is told again to the next.
fn not_started<'a>(state: &'a State, held: &'a Held) -> impl Iterator<Item = TestId> + 'a {
    let open = held.due.iter().filter(|test| state.units[held.unit].verdicts[**test].is_none());
    let ids = open.map(move |test| state.job.test_id((held.unit, *test)));
    ids.filter(|id| !held.running.contains_key(&id.name))
}

/// Keeps what happened outside of any test as a result of its own, so that it can't get lost behind passed tests.
fn outside_of_tests(
    state: &State,
    worker: u32,
    held: &Held,
    class: &str,
    finished: Finished,
    events: &mut Vec<RunEvent>,
) {
    let task = state.job.units[held.unit].task.clone();
    let test = TestId { task, name: TestName { class: class.to_owned(), method: OUTSIDE_OF_TESTS.to_owned() } };
    if !is_told(&test, state, events) {
        test_ended(state, events, test, held.unit, Some(worker), held.attempt, finished);
    }
}

/// Whether something stands for what happens to a class outside of its tests.
fn is_told(outside: &TestId, state: &State, events: &[RunEvent]) -> bool {
    let now = |event: &RunEvent| matches!(event, RunEvent::TestFinished { test, .. } if test == outside);
    let before = state.unplanned.contains_key(outside) || state.to_tell.contains_key(outside);
    before || state.job.tests.contains_key(outside) || events.iter().any(now)
}

fn class_of<'a>(state: &'a State, held: &Held) -> &'a str {
    &state.job.units[held.unit].class
}

fn class_failed(thrown: Vec<Thrown>, at_ms: u64) -> Finished {
    let reason = thrown.first().map(|first| {
        if first.message.is_empty() { first.kind.clone() } else { format!("{}: {}", first.kind, first.message) }
    });
    Finished { outcome: Outcome::Errored, started_at_ms: at_ms, duration_us: 0, reason, thrown }
}

/// What evidence adds to a stack trace.
pub(super) fn told_by(evidence: &[Evidence]) -> String {
    let mut told = String::new();
    for Evidence { name, text } in evidence {
        let room = EVIDENCE.saturating_sub(told.len());
        let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let rest = if end < text.len() { "\n... (the rest is in the journal)" } else { "" };
        told.push_str(&format!("\n\n{name}:\n{}{rest}", text[..end].trim_end()));
    }
    told
}

/// Whether `inner` is `outer` or nested in it, by binary names.
pub(super) fn is_or_encloses(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('$'))
}

/// Puts the line of a JVM's output that tells most beside how it ended: lists show the first line of a reason alone.
/// That is the last that a JVM wrote before it died. One that does not start tells it first, or after what it always
/// says.
fn with_telling_line(reason: &str, was_ready: bool) -> String {
    let Some((how, output)) = reason.split_once('\n').filter(|(how, _)| how.ends_with(':')) else {
        return reason.to_owned();
    };
    let mut lines = output.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.clone().next();
    let why = lines.clone().find(|line| !is_always_said(line)).filter(|_| !was_ready);
    match why.or_else(|| lines.next_back()) {
        None => reason.to_owned(),
        // What is the first line anyway needs no repetition.
        Some(telling) if first == Some(telling) => format!("{how} {}", output.trim_start()),
        Some(telling) => format!("{how} {telling}\n{output}"),
    }
}

fn is_always_said(line: &str) -> bool {
    SAYS_NOTHING.iter().any(|beginning| line.starts_with(beginning)) || line.contains("Server VM warning: ")
}

#[cfg(test)]
mod tests {
    use super::with_telling_line;

    #[test]
    fn the_first_line_of_a_jvm_that_does_not_start_tells_why() {
        let end = "  Error: Could not create the Java Virtual Machine.\n  Error: A fatal exception has occurred. Program will exit.";
        let option = format!("exit code 1; it last wrote:\n  Unrecognized VM option 'Foo'\n{end}");
        let told = format!("exit code 1; it last wrote: Unrecognized VM option 'Foo'\n{end}");
        assert_eq!(with_telling_line(&option, false), told);
        let heap = "exit code 1; it last wrote:\n  Picked up JAVA_TOOL_OPTIONS: -Da=b\n  Error occurred during initialization of VM\n  Too small maximum heap";
        let first = with_telling_line(heap, false);
        assert_eq!(first.lines().next(), Some("exit code 1; it last wrote: Too small maximum heap"));
        assert!(first.contains("\n  Picked up JAVA_TOOL_OPTIONS: -Da=b\n"), "{first}");
    }

    #[test]
    fn the_first_line_of_a_jvm_that_died_has_its_last_words() {
        let died = "exit code 3; it last wrote:\n  starting\n  Terminating due to java.lang.OutOfMemoryError";
        let told = "exit code 3; it last wrote: Terminating due to java.lang.OutOfMemoryError\n  starting\n  Terminating due to java.lang.OutOfMemoryError";
        assert_eq!(with_telling_line(died, true), told);
    }

    #[test]
    fn a_reason_without_output_stays_as_it_is() {
        for reason in ["", "killed by signal 9 (SIGKILL)", "a\nb", "exit code 1; it last wrote:\n  "] {
            assert_eq!(with_telling_line(reason, false), reason);
            assert_eq!(with_telling_line(reason, true), reason);
        }
    }
}
