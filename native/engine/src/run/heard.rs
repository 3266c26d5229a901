//! What an agent's message means.

use super::decide::{Command, Decision, test_ended};
use super::job::Whose;
use super::state::State;
use super::workers::{Held, Life, WorkerState};
use super::{endings, hello, silence};
use testfleet_protocol::agent::{AgentMessage, ClassFailure, UnitAttempt};
use testfleet_protocol::event::{Attempt, RunEvent};
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::test::{TaskPath, TestId, TestName};

/// Most failures of one class, outside of its tests, that are kept of one try at a unit.
const CLASS_FAILURES: usize = 20;

pub(super) fn heard(state: &State, worker: u32, message: AgentMessage, at_ms: u64) -> Decision {
    let Some(known) = state.workers.get(worker).filter(|worker| worker.life != Life::Ended) else {
        return Decision::default();
    };
    if let AgentMessage::Hello { .. } = message {
        return hello::said_hello(state, worker, known, message, at_ms);
    }
    // Whoever comes back says hello first.
    if known.life == Life::Away {
        return Decision::default();
    }
    let mut events = Vec::from_iter(silence::renewed(state, worker, known, at_ms));
    let mut commands = Vec::new();
    match message {
        AgentMessage::JvmStarted { task, pid } => {
            if known.jvm != Some(pid) {
                events.push(RunEvent::JvmStarted { worker, task, pid, at_ms });
            }
        }
        AgentMessage::TestStarted { unit, attempt, test } => {
            if let Some(held) = in_hand(state, worker, &unit, attempt)
                && !held.running.contains_key(&test)
                && let Some(test) = awaited(state, held, test)
            {
                let slice = state.job.slice_of(held.unit);
                events.push(RunEvent::TestStarted { test, unit, worker, attempt, slice, at_ms });
            }
        }
        AgentMessage::InvocationFinished { unit, attempt, test, invocation, finished } => {
            if let Some(held) = in_hand(state, worker, &unit, attempt)
                && !held.invocations.contains(&(test.clone(), invocation.id.clone()))
                && let Some(test) = awaited(state, held, test)
            {
                let slice = state.job.slice_of(held.unit);
                events.push(RunEvent::InvocationFinished { test, worker, attempt, slice, invocation, finished });
            }
        }
        AgentMessage::TestFinished { unit, attempt, test, finished } => {
            if let Some(held) = in_hand(state, worker, &unit, attempt)
                && let Some(test) = awaited(state, held, test)
            {
                test_ended(state, &mut events, test, held.unit, Some(worker), attempt, finished);
            }
        }
        AgentMessage::Output { unit, test, stream, text } => {
            let planned = unit.and_then(|id| state.job.unit_index.get(&id)).map(|&unit| &state.job.units[unit]);
            let task = match planned {
                Some(unit) => unit.task.clone(),
                None => known
                    .profile
                    .map(|profile| state.job.profiles[profile].clone())
                    .unwrap_or_else(|| TaskPath(String::new())),
            };
            let class = planned.map(|unit| unit.class.clone()).unwrap_or_default();
            let test = test.map(|name| TestId { task: task.clone(), name });
            events.push(RunEvent::Output { test, class, task, worker, stream, text });
        }
        AgentMessage::ClassFailed { unit, attempt, failure } => {
            if let Some(held) = in_hand(state, worker, &unit, attempt) {
                events.extend(class_failed(state, worker, held, failure));
            }
        }
        AgentMessage::UnitFinished { unit, attempt } => {
            if let Some(held) = in_hand(state, worker, &unit, attempt) {
                endings::unit_finished(state, worker, held, at_ms, &mut events);
            }
        }
        AgentMessage::JvmDied { task, pid, unit, reason, was_ready, cause, evidence, blamed } => {
            let held = unit.and_then(|tried| in_hand(state, worker, &tried.unit, tried.attempt));
            // A report that repeats itself names a unit that is no longer there, and a JVM that is known to be dead.
            if held.is_some() || pid.is_some() && known.jvm == pid {
                let died = endings::JvmDeath { task, pid, reason, was_ready, cause, evidence, blamed };
                endings::jvm_died(state, worker, held, died, at_ms, &mut events, &mut commands);
            }
        }
        AgentMessage::Alive => hello::unconfirmed(state, worker, known, at_ms, &mut events),
        AgentMessage::HandedBack { units, reason } => {
            handed_back(state, worker, known, &units, reason, at_ms, &mut events, &mut commands);
        }
        AgentMessage::Used { usage } => events.push(RunEvent::WorkerUsed { worker, usage, at_ms }),
        // The driver stores it.
        AgentMessage::FilePiece { .. } | AgentMessage::Hello { .. } => {}
        // Nobody asks while a run is on.
        AgentMessage::Discovered { .. }
        | AgentMessage::DiscoveryFailed { .. }
        | AgentMessage::DiscoveryFinished { .. } => {}
        AgentMessage::Failed { failure } => commands.push(Command::Kill { worker, failure }),
    }
    (events, commands)
}

/// Something failed outside of any test. A class that fails over and over needs not be told of without end.
fn class_failed(
    state: &State,
    worker: u32,
    held: &Held,
    ClassFailure { class, thrown }: ClassFailure,
) -> Option<RunEvent> {
    let planned = &state.job.units[held.unit];
    let class = if endings::is_or_encloses(&planned.class, &class) { class } else { planned.class.clone() };
    let told = held.failures.get(&class).map_or(&[][..], Vec::as_slice);
    let news = told.len() < CLASS_FAILURES && !told.contains(&thrown);
    let (unit, attempt) = (planned.id.clone(), held.attempt);
    news.then_some(RunEvent::ClassFailed { unit, worker, attempt, class, thrown })
}

/// A worker has to end, through no fault of what it runs.
#[allow(clippy::too_many_arguments)]
fn handed_back(
    state: &State,
    worker: u32,
    known: &WorkerState,
    units: &[UnitAttempt],
    reason: String,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
    commands: &mut Vec<Command>,
) {
    if known.leaving.is_none() {
        events.push(RunEvent::WorkerLeaving { worker, reason, at_ms });
    }
    // From the back, so that the unit that ran is the first when its turn comes.
    let given = |held: &&Held| {
        units.iter().any(|tried| tried.attempt == held.attempt && tried.unit == state.job.units[held.unit].id)
    };
    for held in known.hand.iter().rev().filter(given) {
        endings::broken_off(state, worker, held, at_ms, events);
    }
    commands.push(Command::Finish { worker });
}

/// The unit in the worker's hands, if it is this try at it.
pub(super) fn in_hand<'a>(state: &'a State, worker: u32, unit: &UnitId, attempt: Attempt) -> Option<&'a Held> {
    let unit = *state.job.unit_index.get(unit)?;
    state.workers.get(worker)?.hand.iter().find(|held| held.unit == unit && held.attempt == attempt)
}

/// The id of a test of which news counts: one that was given to the worker and has not ended in this try, or one that no unit plans and that
/// has none yet. What another unit plans is that unit's affair.
fn awaited(state: &State, held: &Held, name: TestName) -> Option<TestId> {
    let id = TestId { task: state.job.units[held.unit].task.clone(), name };
    let news = match state.job.whose(&id, held.unit) {
        Whose::Mine(test) => held.due.contains(&test) && !held.closing,
        Whose::Anothers => false,
        Whose::Nobodys => !state.unplanned.contains_key(&id),
    };
    news.then_some(id)
}
