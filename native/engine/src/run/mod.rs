//! The run: state machine, driver, journal.
//!
//! [`decide`](decide::decide) turns inputs into events and commands, [`State`] is the fold of the events, [`run`] connects
//! both to a [`Backend`]. The rules are in docs/run.md.

mod asking;
mod chains;
pub mod decide;
#[cfg(test)]
mod dice;
mod driver;
#[cfg(test)]
mod ending_scenarios;
mod endings;
mod files;
mod fold;
mod heard;
mod hello;
mod job;
mod journal;
mod later;
mod limits;
mod link;
mod locks;
#[cfg(test)]
mod promises;
mod queue;
mod replay;
#[cfg(test)]
mod retry_scenarios;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod scenarios;
mod silence;
#[cfg(test)]
mod sim_agent;
#[cfg(test)]
mod sim_checks;
#[cfg(test)]
mod sim_mutations;
#[cfg(test)]
mod sim_plan;
#[cfg(test)]
mod sim_results;
#[cfg(test)]
mod sim_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod special_scenarios;
mod starts;
mod state;
mod stopping;
#[cfg(test)]
mod test_lines;
#[cfg(test)]
mod test_plans;
mod tries;
mod workers;

pub use asking::{AllAnswers, ask};
pub use driver::run;
pub use files::FileStore;
pub(crate) use journal::read_output;
pub use journal::{JournalOf, JournalWriter, Recorded, read_events, read_journal};
#[cfg(any(fuzzing, test))]
pub(crate) use journal::{parse_journal, reseal};
pub use replay::{RanUnit, units_run_by};
pub use state::State;

#[cfg(doc)]
use crate::backend::Backend;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use testfleet_protocol::Failure;
use testfleet_protocol::plan::{Plan, UnitId};
use testfleet_protocol::run_options::RunOptions;
use testfleet_protocol::test::Verdict;

/// What to run, and where its record goes.
#[derive(Debug, Clone)]
pub struct RunInput {
    /// Names the run.
    pub run: String,
    /// Whose units run.
    pub plan: Arc<Plan>,
    /// SHA-256 in hex of `plan.json`.
    pub plan_sha256: String,
    /// Which units, and in which order.
    pub queue: Queue,
    /// Numbers of the workers to start. No more are started than there are units.
    pub workers: Vec<u32>,
    /// What workers are made of, by number, where that is an image: as their backend knows it.
    pub images: BTreeMap<u32, String>,
    /// SHA-256 in hex of `bundle.json`.
    pub bundle_sha256: String,
    /// The file to record the run in; replaced if it exists, unless the run goes on.
    pub journal: PathBuf,
    /// What is in that file of a run that goes on; the rest is cut off.
    pub resumed: Option<Recorded>,
    /// How the run deals with what fails, hangs and breaks off.
    pub options: RunOptions,
}

/// Which units run, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queue {
    /// All units of the plan that are not reused, handed out as docs/run.md says: by rank, longest first, by preference of
    /// the profile that is live, and so that locks and what belongs together are respected.
    Dynamic,
    /// These units on one worker, in exactly this order, reused or not.
    Fixed(Vec<UnitId>),
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// The worst verdict that counts; those of tests in quarantine do not.
    pub verdict: Verdict,
    /// Tests by verdict, tests that were reported without being planned included.
    pub counts: BTreeMap<Verdict, u64>,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// What went wrong around the tests: workers lost, JVMs that did not start. Their tests have their own verdicts.
    pub problems: Vec<Failure>,
}
