//! What becomes of a unit when it ends, one way or another.

use super::decide::{Command, lost, test_ended};
use super::state::State;
use super::workers::Held;
use std::collections::{BTreeMap, VecDeque};
use testfleet_protocol::agent::{ClassFailure, Evidence};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::test::{Finished, Outcome, TaskPath, TestId, TestName, Thrown};
use testfleet_protocol::{Failure, FailureCode};

/// Stands for what happened to a class outside of any of its tests, as Gradle names it.
const OUTSIDE_OF_TESTS: &str = "executionError";

/// Deaths in a row, without a result of any of its tests, after which a unit is not tried again.
const SILENT_DEATHS: u32 = 2;

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
    /// What tells more.
    pub(super) evidence: Vec<Evidence>,
}

/// Why tests could not be completed: the word and the sentence.
struct Cause<'a> {
    kind: &'a str,
    reason: &'a str,
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
                stack: format!("{}: {}", self.kind, self.reason),
            }],
        }
    }
}

/// The harness is through with a unit: what has no result by now gets none.
pub(super) fn unit_finished(
    state: &State,
    worker: u32,
    held: &Held,
    failures: Vec<ClassFailure>,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
) {
    let never_ended = Cause { kind: "NeverEnded", reason: "it started, but the test framework reported no end of it" };
    running_errored(state, worker, held, &never_ended, at_ms, events);
    let unit = &state.job.units[held.unit];
    let mut by_class: BTreeMap<String, Vec<Thrown>> = BTreeMap::new();
    for failure in failures {
        let known = is_or_encloses(&unit.class, &failure.class);
        by_class.entry(if known { failure.class } else { unit.class.clone() }).or_default().push(failure.thrown);
    }
    let mut covering = by_class.keys().map(|class| (class.clone(), false)).collect::<BTreeMap<_, _>>();
    for id in not_started(state, held) {
        let class = by_class.keys().filter(|class| is_or_encloses(class, &id.name.class)).max_by_key(|name| name.len());
        match class {
            Some(class) => {
                let thrown = by_class[class].clone();
                covering.insert(class.clone(), true);
                test_ended(state, events, id, held.unit, Some(worker), held.attempt, class_failed(thrown, at_ms));
            }
            None => events.push(lost(state, id, held.unit, "the test framework ran its class but did not report it")),
        }
    }
    for (class, thrown) in by_class {
        if !covering[&class] {
            outside_of_tests(state, worker, held, class, class_failed(thrown, at_ms), events);
        }
    }
    events.push(finished(state, worker, held, Vec::new(), at_ms));
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
    let JvmDeath { task, pid, reason, was_ready, evidence } = died;
    let reason = with_telling_line(&reason, was_ready);
    events.push(RunEvent::JvmDied { worker, pid: pid.unwrap_or(0), reason: reason.clone(), evidence, at_ms });
    let never_works = !was_ready && !state.proven.contains(&task);
    let (kind, what) = if was_ready { ("JvmDied", "died") } else { ("JvmStart", "did not start") };
    let cause = Cause { kind, reason: &format!("the test JVM {what}: {reason}") };
    if let Some(held) = held {
        died_with(state, worker, held, &cause, never_works, at_ms, events);
    }
    if never_works {
        give_up_profile(state, &task, &cause, at_ms, events);
        let failure =
            Failure::new(FailureCode::JvmStart, format!("failed to start the test JVM of {task} on worker {worker}"))
                .cause_text(reason)
                .hint(
                    "check the task's JVM, jvmArgs, maxHeapSize and classpath; `runWorker` shows it in this terminal",
                );
        commands.push(Command::Problem { failure });
    } else if held.is_none() {
        let failure = Failure::new(
            FailureCode::WorkerBroken,
            format!("failed to keep the test JVM of {task} on worker {worker}: it ended between two units"),
        )
        .cause_text(reason);
        commands.push(Command::Problem { failure });
    }
}

/// A worker is gone without being told to: what ran there is errored, the rest goes back.
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
    for held in hand.iter().skip(1).rev() {
        events.push(handed_back(state, worker, held, at_ms));
    }
    if let Some(held) = hand.front() {
        let cause = Cause { kind: "WorkerLost", reason: &reason };
        died_with(state, worker, held, &cause, false, at_ms, events);
    }
}

/// A unit leaves the worker as it is: all tests without a result go back to the queue.
pub(super) fn handed_back(state: &State, worker: u32, held: &Held, at_ms: u64) -> RunEvent {
    let unit = held.unit;
    let open = state.units[unit].open().map(|test| state.job.test_id((unit, test))).collect();
    finished(state, worker, held, open, at_ms)
}

fn died_with(
    state: &State,
    worker: u32,
    held: &Held,
    cause: &Cause<'_>,
    hopeless: bool,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
) {
    let unit = &state.units[held.unit];
    let open = unit.open().count();
    let rest: Vec<_> = not_started(state, held).collect();
    running_errored(state, worker, held, cause, at_ms, events);
    if open == 0 && held.running.is_empty() {
        // All tests are through: it died in what comes after them.
        let class = state.job.units[held.unit].class.clone();
        outside_of_tests(state, worker, held, class, cause.errored(at_ms, at_ms), events);
    }
    let silent = rest.len() == held.given;
    if hopeless || silent && unit.silent_deaths + 1 >= SILENT_DEATHS {
        for id in rest {
            test_ended(state, events, id, held.unit, Some(worker), held.attempt, cause.errored(at_ms, at_ms));
        }
        events.push(finished(state, worker, held, Vec::new(), at_ms));
    } else {
        events.push(finished(state, worker, held, rest, at_ms));
    }
}

/// No JVM of this profile ever worked, so none of its waiting tests is tried.
fn give_up_profile(state: &State, task: &TaskPath, cause: &Cause<'_>, at_ms: u64, events: &mut Vec<RunEvent>) {
    let Some(profile) = state.job.profiles.iter().position(|known| known == task) else { return };
    for unit in state.waiting.of_profile(profile) {
        for test in state.units[unit].open() {
            let id = state.job.test_id((unit, test));
            test_ended(state, events, id, unit, None, state.units[unit].attempt + 1, cause.errored(at_ms, at_ms));
        }
    }
}

fn running_errored(state: &State, worker: u32, held: &Held, cause: &Cause<'_>, at_ms: u64, events: &mut Vec<RunEvent>) {
    let task = &state.job.units[held.unit].task;
    for (name, started_at_ms) in &held.running {
        let id = TestId { task: task.clone(), name: name.clone() };
        test_ended(state, events, id, held.unit, Some(worker), held.attempt, cause.errored(*started_at_ms, at_ms));
    }
}

/// Planned tests of the unit that have neither a result nor a start.
fn not_started<'a>(state: &'a State, held: &'a Held) -> impl Iterator<Item = TestId> + 'a {
    let unit = held.unit;
    state.units[unit]
        .open()
        .map(move |test| state.job.test_id((unit, test)))
        .filter(|id| !held.running.contains_key(&id.name))
}

/// Keeps what happened outside of any test as a result of its own, so that it can't get lost behind passed tests.
fn outside_of_tests(
    state: &State,
    worker: u32,
    held: &Held,
    class: String,
    finished: Finished,
    events: &mut Vec<RunEvent>,
) {
    let task = state.job.units[held.unit].task.clone();
    let test = TestId { task, name: TestName { class, method: OUTSIDE_OF_TESTS.to_owned() } };
    if !state.unplanned.contains_key(&test) && !state.job.tests.contains_key(&test) {
        test_ended(state, events, test, held.unit, Some(worker), held.attempt, finished);
    }
}

fn class_failed(thrown: Vec<Thrown>, at_ms: u64) -> Finished {
    let reason = thrown.first().map(|first| {
        if first.message.is_empty() { first.kind.clone() } else { format!("{}: {}", first.kind, first.message) }
    });
    Finished { outcome: Outcome::Errored, started_at_ms: at_ms, duration_us: 0, reason, thrown }
}

fn finished(state: &State, worker: u32, held: &Held, handed_back: Vec<TestId>, at_ms: u64) -> RunEvent {
    let unit = state.job.units[held.unit].id.clone();
    RunEvent::UnitFinished { unit, worker, attempt: held.attempt, handed_back, at_ms }
}

/// Whether `inner` is `outer` or nested in it, by binary names.
fn is_or_encloses(outer: &str, inner: &str) -> bool {
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
