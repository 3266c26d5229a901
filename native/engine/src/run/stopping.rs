//! How a run ends before all of its tests have run: it is cancelled, it takes too long, no worker is left.
//!
//! A run that takes too long asks first what it hangs in: what runs is condemned at its worker, where its threads are dumped before
//! its JVM is killed. Everything else is lost at once.

use super::decide::{Command, Decision, verdict_lost};
use super::endings::{self, Cause, broken_off};
use super::job::Planned;
use super::state::{State, Stop};
use super::workers::{Held, Life, WorkerState};
use crate::report::words::duration;
use std::collections::BTreeSet;
use testfleet_protocol::agent::DeathCause;
use testfleet_protocol::event::RunEvent;

/// How long a worker may take to dump the threads of what it runs, in milliseconds. Its three dumps take 4 s, 8 s where the machine is
/// busy.
const DUMPS_MS: u64 = 12_000;

/// The run has taken too long.
pub(super) fn too_long(state: &State, limit_ms: u64, at_ms: u64) -> Decision {
    let runs = |(_, known): &(u32, &WorkerState)| known.life == Life::Ready && known.hand.iter().any(is_running);
    let condemned = state.workers.live().filter(runs).map(|(worker, _)| Command::Condemn { worker, limit_ms });
    (vec![RunEvent::RunTimedOut { limit_ms, at_ms }], condemned.collect())
}

/// What a worker is told that comes back to a run that is being stopped.
pub(super) fn told_again(known: &WorkerState, worker: u32, stop: Stop) -> Command {
    match stop {
        Stop::TimedOut { limit_ms, .. } if known.hand.iter().any(is_running) => Command::Condemn { worker, limit_ms },
        _ => Command::Cancel { worker },
    }
}

/// One step: all is taken back and lost, but for what is condemned.
pub(super) fn stopped(state: &State, stop: Stop, at_ms: u64) -> Vec<RunEvent> {
    let mut events = Vec::new();
    let mut condemned = BTreeSet::new();
    for (worker, known) in state.workers.all() {
        for held in known.hand.iter().rev() {
            if is_condemned(known, held, stop) {
                condemned.insert(held.unit);
            } else {
                broken_off(state, worker, held, at_ms, &mut events);
            }
        }
    }
    let reason = match stop {
        Stop::Cancelled => "cancelled".to_owned(),
        Stop::TimedOut { limit_ms, .. } => took_longer(limit_ms),
    };
    lose_all(state, &reason, &condemned, &mut events);
    events
}

/// Dumps that take too long are waited for no longer; with `at_once`, none are.
pub(super) fn dumps_are_due(state: &State, at_once: bool, at_ms: u64) -> Vec<RunEvent> {
    let mut events = Vec::new();
    let Some(stop @ Stop::TimedOut { limit_ms, at_ms: since_ms }) = state.stop else { return events };
    if !at_once && at_ms.saturating_sub(since_ms) <= DUMPS_MS {
        return events;
    }
    let reason = format!("{}, and no thread dump of it came", took_longer(limit_ms));
    let cause = Cause { kind: DeathCause::RunTimeout.kind(), reason: &reason, evidence: String::new() };
    for (worker, known) in state.workers.live() {
        for held in known.hand.iter().rev().filter(|held| is_condemned(known, held, stop)) {
            endings::running_errored(state, worker, held, &cause, &[], at_ms, &mut events);
            broken_off(state, worker, held, at_ms, &mut events);
        }
    }
    events
}

fn is_running(held: &Held) -> bool {
    !held.running.is_empty()
}

fn is_condemned(known: &WorkerState, held: &Held, stop: Stop) -> bool {
    known.life == Life::Ready && is_running(held) && matches!(stop, Stop::TimedOut { .. })
}

fn took_longer(limit_ms: u64) -> String {
    format!("the run took longer than {}", duration(limit_ms))
}

/// Nobody is left, and nobody is started any more.
pub(super) fn no_worker_left(state: &State, at_ms: u64) -> Vec<RunEvent> {
    let reasons: Vec<_> = state
        .workers
        .all()
        .filter_map(|(number, worker)| Some(format!("worker {number}: {}", worker.failure.as_ref()?)))
        .collect();
    let reason = reasons.join("; ");
    let lost = format!("no worker is left to run it ({reason})");
    let mut events = vec![RunEvent::RunAborted { reason, at_ms }];
    lose_all(state, &lost, &BTreeSet::new(), &mut events);
    events
}

/// All that has no verdict is lost, but for tests of the units `but`.
fn lose_all(state: &State, reason: &str, but: &BTreeSet<usize>, events: &mut Vec<RunEvent>) {
    let outside: BTreeSet<_> = state.unseen.iter().map(|unit| state.job.outside_of(*unit)).collect();
    events.extend(outside.into_iter().map(|id| verdict_lost(id, reason)));
    for (index, unit) in state.units.iter().enumerate().filter(|(index, _)| !but.contains(index)) {
        for test in unit.open() {
            let id = state.job.test_id((index, test));
            // Once for all slices that are missing.
            let is_first = match state.job.tests.get(&id) {
                Some(Planned::Sliced(sliced)) => {
                    let open = |place: &&(usize, usize)| state.units[place.0].verdicts[place.1].is_none();
                    let mut open = state.job.sliced[*sliced].iter().filter(open).peekable();
                    open.peek() == Some(&&(index, test)) && !open.any(|place| but.contains(&place.0))
                }
                _ => true,
            };
            if is_first {
                // What is known to be bad stays so.
                let bad = match state.job.tests.get(&id) {
                    Some(Planned::Sliced(sliced)) => state.slices_so_far(*sliced),
                    _ => state.units[index].so_far(test, state.job.runs()),
                };
                events.push(match bad {
                    Some((verdict, reason)) => RunEvent::TestVerdict { test: id, verdict, reason },
                    None => verdict_lost(id, reason),
                });
            }
        }
    }
}
