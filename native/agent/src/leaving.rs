//! A worker that has to end, through no fault of what it runs: its node is wanted back, or somebody stops it.
//!
//! What waits goes back at once. What runs may end within the grace period; then it goes back as well, without blame.

use crate::coordinator::Coordinator;
use crate::live::Assigned;
use crate::supervisor::Supervisor;
use std::time::Duration;
use testfleet_protocol::Result;
use testfleet_protocol::agent::{AgentMessage, UnitAttempt};
use tokio::time::Instant;

/// How long the last messages may take after that.
const LAST_MESSAGES: Duration = Duration::from_secs(2);

const REASON: &str = "it was told to end (SIGTERM)";

/// What a worker that has to end waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leaving {
    /// The end of what runs, until then.
    Unit(Instant),
    /// That everything was acknowledged, until then.
    Messages(Instant),
}

impl Leaving {
    /// When waiting is over.
    pub(crate) fn until(self) -> Instant {
        match self {
            Self::Unit(until) | Self::Messages(until) => until,
        }
    }
}

impl Supervisor {
    /// The worker was told to end.
    pub(crate) fn leave(&mut self, coordinator: &Coordinator) -> Result<()> {
        if self.leaving.is_some() {
            return Ok(());
        }
        self.leaving = Some(Leaving::Unit(Instant::now() + self.args.grace()));
        self.finishing = true;
        self.asks.clear();
        self.hand_back_waiting(coordinator, true)
    }

    /// Gives back what no JVM runs; also what was assigned before the coordinator knew.
    pub(crate) fn hand_back_waiting(&mut self, coordinator: &Coordinator, also_nothing: bool) -> Result<()> {
        let units: Vec<_> = self.queue.drain(..).map(Assigned::into_attempt).collect();
        if units.is_empty() && !also_nothing { Ok(()) } else { hand_back(coordinator, units) }
    }

    /// Waiting is over. Returns whether the worker ends now.
    pub(crate) fn leave_at_last(&mut self, coordinator: &Coordinator) -> Result<bool> {
        let Some(Leaving::Unit(_)) = self.leaving else { return Ok(true) };
        self.leaving = Some(Leaving::Messages(Instant::now() + LAST_MESSAGES));
        if let Some(live) = &mut self.live {
            let runs = live.unit();
            live.drop_unit();
            runs.map_or(Ok(()), |unit| hand_back(coordinator, vec![unit]))?;
        }
        Ok(false)
    }
}

fn hand_back(coordinator: &Coordinator, units: Vec<UnitAttempt>) -> Result<()> {
    coordinator.send(AgentMessage::HandedBack { units, reason: REASON.to_owned() })
}
