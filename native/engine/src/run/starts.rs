//! Whose fault it is when a JVM fails to start: never that of the tests that wait for it.
//!
//! A worker may be broken where others are not, so the unit goes back without blame, and a worker whose JVMs fail to start in a
//! row ends. A profile is given up only when nobody is left who may do better.

use super::decide::Command;
use super::endings::{self, Cause, broken_off};
use super::state::State;
use super::tries::NEVER_STARTED;
use super::workers::{Held, Life, WorkerState};
use std::collections::BTreeSet;
use testfleet_protocol::agent::{Evidence, UnitAttempt};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, FailureCode};

/// So many failed starts in a row are no accident.
const FAILED_STARTS: u32 = 2;

/// The starts of a profile's JVM that failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct FailedStarts {
    count: u32,
    /// At these workers.
    workers: BTreeSet<u32>,
}

/// A JVM that was never ready.
pub(super) struct NeverReady {
    pub(super) task: TaskPath,
    pub(super) pid: Option<u32>,
    pub(super) reason: String,
    pub(super) evidence: Vec<Evidence>,
}

enum Fault {
    /// Another try may do better.
    Nobodys,
    Workers,
    Profiles,
}

impl State {
    pub(super) fn start_failed(&mut self, number: u32, task: &TaskPath) {
        let failed = self.failed_starts.entry(task.clone()).or_default();
        failed.count += 1;
        failed.workers.insert(number);
        self.workers.change(number, |worker| worker.failed_starts += 1);
    }

    /// That the profile is broken says that its workers may not be.
    pub(super) fn profile_given_up(&mut self, task: &TaskPath) {
        let workers = self.failed_starts.get(task).map(|failed| failed.workers.clone()).unwrap_or_default();
        for number in workers {
            self.workers.change(number, |worker| worker.failed_starts = 0);
        }
    }
}

/// A JVM that was started for `held`, unless that was dropped meanwhile, did not become ready.
pub(super) fn failed(
    state: &State,
    worker: u32,
    held: Option<&Held>,
    jvm: NeverReady,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
    commands: &mut Vec<Command>,
) {
    let NeverReady { task, pid, reason, evidence } = jvm;
    let Some(known) = state.workers.get(worker) else { return };
    let told = endings::told_by(&evidence);
    let never_ready = Some(task.clone());
    events.push(RunEvent::JvmDied {
        worker,
        pid: pid.unwrap_or(0),
        reason: reason.clone(),
        evidence,
        never_ready,
        at_ms,
    });
    match whose_fault(state, worker, known, &task) {
        Fault::Nobodys => held.into_iter().for_each(|held| broken_off(state, worker, held, at_ms, events)),
        Fault::Workers => {
            let failure = Failure::new(
                FailureCode::JvmStart,
                format!("failed to use worker {worker}: no test JVM starts there, {FAILED_STARTS} in a row failed"),
            )
            .cause_text(reason)
            .hint("check the memory, the disk and the JVM that it has; others may do better");
            // They go back before it ends: it is not lost with them.
            known.hand.iter().rev().for_each(|held| broken_off(state, worker, held, at_ms, events));
            events.push(RunEvent::WorkerEnded { worker, failure: Some(failure.clone()), at_ms });
            commands.push(Command::Kill { worker, failure: failure.clone() });
            commands.push(Command::Problem { failure });
        }
        Fault::Profiles => {
            let why = format!("the test JVM did not start: {reason}");
            let cause = Cause { kind: NEVER_STARTED, reason: &why, evidence: told };
            events.push(RunEvent::ProfileGivenUp { task: task.clone(), at_ms });
            commands.extend(give_up(state, worker, known, held, &task, &cause, at_ms, events));
            let what = format!("failed to start the test JVM of {task} on worker {worker}");
            let failure = Failure::new(FailureCode::JvmStart, what).cause_text(reason).hint(
                "check the task's JVM, jvmArgs, maxHeapSize and classpath; `runWorker` shows it in this terminal",
            );
            commands.push(Command::Problem { failure });
        }
    }
}

fn whose_fault(state: &State, worker: u32, known: &WorkerState, task: &TaskPath) -> Fault {
    let failed = state.failed_starts.get(task).cloned().unwrap_or_default();
    // No JVM of it ever worked, so that whoever runs it is about to start one. One that was not heard yet may do so.
    let may_do_better = |(number, other): (u32, &WorkerState)| {
        let runs = || other.hand.front().is_some_and(|front| state.job.units[front.unit].task == *task);
        let starts = other.life == Life::Asked || other.is_ready() && runs();
        number != worker && starts && !failed.workers.contains(&number)
    };
    if !state.proven.contains(task) && failed.count + 1 >= FAILED_STARTS && !state.workers.live().any(may_do_better) {
        Fault::Profiles
    } else if known.failed_starts + 1 >= FAILED_STARTS {
        Fault::Workers
    } else {
        Fault::Nobodys
    }
}

/// None of a profile's tests is tried any more, at this worker or elsewhere.
#[allow(clippy::too_many_arguments)]
fn give_up(
    state: &State,
    worker: u32,
    known: &WorkerState,
    held: Option<&Held>,
    task: &TaskPath,
    cause: &Cause<'_>,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
) -> Option<Command> {
    let mut units = Vec::new();
    for other in known.hand.iter().rev().filter(|other| state.job.units[other.unit].task == *task) {
        endings::never_runs(state, worker, other, cause, at_ms, events);
        // The agent gave up the one that the JVM was for.
        if held.is_none_or(|held| held.unit != other.unit) {
            units.push(UnitAttempt { unit: state.job.units[other.unit].id.clone(), attempt: other.attempt });
        }
    }
    let profile = state.job.profiles.iter().position(|known| known == task);
    for unit in profile.into_iter().flat_map(|profile| state.waiting.of_profile(profile)) {
        endings::never_handed_out(state, unit, cause, at_ms, events);
    }
    (!units.is_empty()).then_some(Command::Drop { worker, units })
}
