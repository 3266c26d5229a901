//! What the passing of time means: leases that run out, a run that takes too long, a coordinator that is gone.

use super::decide::{Command, Decision, start_worker};
use super::state::State;
use super::workers::{Life, WorkerState};
use super::{endings, stopping};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::{Failure, FailureCode};

/// Time passed.
pub(super) fn tick(state: &State, at_ms: u64, late_ms: u64, slept_ms: u64) -> Decision {
    let dumps = stopping::dumps_are_due(state, false, at_ms);
    if !dumps.is_empty() {
        return (dumps, Vec::new());
    }
    let (mut events, mut commands) = Decision::default();
    let limit = state.job.options.timeouts.run_ms;
    // Once every test has its verdict, only the workers' ends are waited for.
    let may_end = state.stop.is_none() && !state.is_done();
    if slept_ms > 0 && limit.is_some() {
        events.push(RunEvent::CoordinatorSlept { late_ms: slept_ms, at_ms });
    }
    let took_ms = at_ms.saturating_sub(state.since_ms).saturating_sub(slept_ms);
    if let Some(limit_ms) = limit.filter(|limit| may_end && took_ms > *limit) {
        return stopping::too_long(state, limit_ms, at_ms);
    }
    // Settling does the rest: it starts all whose time has come.
    if may_end
        && !state.waiting.is_empty()
        && let Some(worker) = state.workers.to_start_again(at_ms)
    {
        start_worker(state, worker, at_ms, &mut events, &mut commands);
    }
    let Some(lease_ms) = state.job.lease_ms() else { return (events, commands) };
    for (worker, known) in state.workers.live().filter(|(_, known)| known.life != Life::Asked) {
        let silent_ms = at_ms.saturating_sub(known.heard_ms);
        if late_ms > 0 {
            // Nobody could be heard.
            events.push(RunEvent::LeaseRenewed { worker, at_ms });
        } else if silent_ms > lease_ms {
            given_up(state, worker, known, silent_ms, at_ms, &mut events, &mut commands);
        }
    }
    (events, commands)
}

fn given_up(
    state: &State,
    worker: u32,
    known: &WorkerState,
    silent_ms: u64,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
    commands: &mut Vec<Command>,
) {
    if known.life == Life::Away {
        return forgotten(state, worker, known, silent_ms, at_ms, events, commands);
    }
    let failure = Failure::new(
        FailureCode::WorkerBroken,
        format!("failed to keep worker {worker}: it said nothing for {} s", silent_ms / 1_000),
    );
    events.push(RunEvent::WorkerEnded { worker, failure: Some(failure.clone()), at_ms });
    endings::worker_lost(state, worker, &known.hand, &failure, at_ms, events);
    commands.push(Command::Kill { worker, failure: failure.clone() });
    commands.push(Command::Problem { failure });
}

/// One that was there for an earlier coordinator is waited for no longer, which is nobody's fault. It may still be there.
pub(super) fn forgotten(
    state: &State,
    worker: u32,
    known: &WorkerState,
    silent_ms: u64,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
    commands: &mut Vec<Command>,
) {
    gone(state, worker, known, at_ms, events);
    let failure = Failure::new(
        FailureCode::WorkerBroken,
        format!("failed to take worker {worker} over: it did not come back within {} s", silent_ms / 1_000),
    );
    commands.push(Command::Kill { worker, failure });
}

/// A worker ends without blame, and what it had goes back.
pub(super) fn gone(state: &State, worker: u32, known: &WorkerState, at_ms: u64, events: &mut Vec<RunEvent>) {
    if known.life != Life::Ended {
        events.push(RunEvent::WorkerEnded { worker, failure: None, at_ms });
    }
    for held in known.hand.iter().rev() {
        endings::broken_off(state, worker, held, at_ms, events);
    }
}

/// It has been long enough since this worker was last known to be there to write down that it is.
pub(super) fn renewed(state: &State, worker: u32, known: &WorkerState, at_ms: u64) -> Option<RunEvent> {
    let lease_ms = state.job.lease_ms()?;
    (at_ms.saturating_sub(known.heard_ms) > lease_ms / 3).then_some(RunEvent::LeaseRenewed { worker, at_ms })
}

/// Goes on with a run that another coordinator left.
///
/// Agents that end with their coordinator are gone. The others have a lease to come back in; until then what they have in
/// hand stays theirs, with its locks.
pub(super) fn resume(state: &State, at_ms: u64) -> Decision {
    let mut events = super::decide::reused(state);
    events.insert(0, RunEvent::RunResumed { epoch: state.epoch + 1, at_ms });
    for (worker, known) in state.workers.all() {
        // What an ended worker has in hand was not written down any more.
        if known.life == Life::Ended || !state.job.agents_return {
            gone(state, worker, known, at_ms, &mut events);
        }
    }
    let mut commands = Vec::new();
    // The coordinator may have been lost before it started all.
    for &worker in state.job.workers.iter().filter(|worker| !state.workers.known(**worker) && !state.is_done()) {
        start_worker(state, worker, at_ms, &mut events, &mut commands);
    }
    (events, commands)
}
