//! What an agent's hello means: a worker is there, for the first time or again.

use super::decide::{Command, Decision};
use super::state::State;
use super::workers::{Life, WorkerState};
use testfleet_protocol::agent::{AgentMessage, UnitAttempt};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::{Failure, FailureCode, VERSION};

/// An agent opened a connection.
///
/// One that says it again, because its connection or its coordinator was lost, names what it has in hand. What it should have
/// and does not name is either done, and told with what it sends next, or never reached it; that is known as soon as it has
/// nothing else to say ([`unconfirmed`]). What it names without having it is another's by now.
pub(super) fn said_hello(state: &State, number: u32, known: &WorkerState, hello: AgentMessage, at_ms: u64) -> Decision {
    let AgentMessage::Hello { protocol, version, host, pid, life, epoch, hand, .. } = hello else {
        return Decision::default();
    };
    if protocol != VERSION {
        let failure = Failure::new(
            FailureCode::ProtocolVersion,
            format!("failed to use worker {number}: its agent {version} speaks protocol {protocol}, not {VERSION}"),
        )
        .hint("use the agent of the same Testfleet version; a bundle or image made by another one must be made anew");
        return (Vec::new(), vec![Command::Kill { worker: number, failure }]);
    }
    // A life that was given up; whoever holds the connection sends it away.
    if life != known.starts {
        return Decision::default();
    }
    if epoch > state.epoch {
        let failure = Failure::new(
            FailureCode::WorkerBroken,
            format!("failed to use worker {number}: another coordinator went on with this run"),
        )
        .cause_text(format!("the worker obeys epoch {epoch}, and this is epoch {}", state.epoch))
        .hint("end this one; the other has the run");
        return (Vec::new(), vec![Command::Problem { failure }]);
    }
    let has = |tried: &UnitAttempt| super::heard::in_hand(state, number, &tried.unit, tried.attempt).is_some();
    let (mine, others): (Vec<_>, Vec<_>) = hand.into_iter().partition(has);
    let mut events = Vec::new();
    if known.life != Life::Ready || mine.len() < known.hand.iter().filter(|held| held.confirmed).count() {
        events.push(RunEvent::WorkerReady { worker: number, host, pid, at_ms });
        events.extend(mine.into_iter().map(|UnitAttempt { unit, attempt }| RunEvent::UnitAssigned {
            unit,
            worker: number,
            attempt,
            at_ms,
        }));
    }
    let mut commands = vec![Command::Welcome { worker: number }];
    if !others.is_empty() {
        commands.push(Command::Drop { worker: number, units: others });
    }
    // It may not have heard that it is to end.
    if let Some(stop) = state.stop {
        commands.push(super::stopping::told_again(known, number, stop));
    } else if state.is_done() || known.leaving.is_some() {
        commands.push(Command::Finish { worker: number });
    }
    (events, commands)
}

/// A worker with nothing to say has sent all that it kept: units of which it is not known that it has them never reached
/// it. They go back without blame.
pub(super) fn unconfirmed(state: &State, number: u32, known: &WorkerState, at_ms: u64, events: &mut Vec<RunEvent>) {
    for held in known.hand.iter().rev().filter(|held| !held.confirmed) {
        super::endings::broken_off(state, number, held, at_ms, events);
    }
}
