//! Timings, estimates, units and groups.
//!
//! Everything here is a pure function of its inputs, apart from reading and writing the two documents:
//! equal inputs give equal plans, byte for byte, in whatever order classes and tasks come. See docs/planning.md.

mod constraints;
mod durations;
mod estimate;
mod fingerprint;
mod group;
mod guess;
mod names;
mod order;
mod pack;
mod parts;
#[cfg(test)]
mod property_tests;
mod search;
mod split;
#[cfg(test)]
mod split_tests;
mod steady;
mod timings;
mod units;

pub use constraints::notices;
pub use durations::{Durations, Expected};
pub(crate) use fingerprint::code as code_fingerprint;
pub use fingerprint::fits;
pub use group::PROFILE_SWITCH_MS;
pub(crate) use group::spread;
#[cfg(any(fuzzing, test))]
pub(crate) use timings::DOCUMENT as TIMINGS;
pub use timings::Timings;

use crate::discover::Discovery;
use crate::document;
use estimate::Estimates;
use std::path::Path;
use testfleet_protocol::plan::{Fingerprints, Plan, Reused, Unit};
use testfleet_protocol::request::RunRequest;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

pub(crate) const DOCUMENT: document::Kind =
    document::Kind { what: "plan", broken: FailureCode::PlanOutdated, hint: "make a new one: ./gradlew prepare" };

/// What earlier runs tell.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    /// How long tests took, and how they ended.
    pub timings: &'a Timings,
    /// What passed.
    pub passed: &'a dyn Passed,
}

impl<'a> Past<'a> {
    /// Durations alone: nothing passed before.
    pub fn of(timings: &'a Timings) -> Self {
        Self { timings, passed: &NothingPassed }
    }
}

/// Which units need not run again.
pub trait Passed: Sync {
    /// The run in which all tests of the unit passed, with equal classes and inputs; `None` when it has to run.
    fn reused(&self, unit: &Unit) -> Option<Reused>;
}

/// Nothing passed before: everything runs.
#[derive(Debug, Clone, Copy)]
pub struct NothingPassed;

impl Passed for NothingPassed {
    fn reused(&self, _unit: &Unit) -> Option<Reused> {
        None
    }
}

/// Makes units of the discovered tests and spreads them over groups.
///
/// # Errors
/// `NoTests` when there is not one test, `InvalidRequest` for no workers and for constraints that contradict each other.
pub fn plan(discovery: &Discovery, past: &Past<'_>, request: &RunRequest) -> Result<Plan> {
    let mut plan = plan_by(discovery, &Estimates::new(past.timings, discovery), past.passed, request)?;
    plan.made_from.timings = past.timings.fingerprint()?;
    Ok(plan)
}

/// [`plan`] with durations from anywhere; the plan does not say where from.
///
/// # Errors
/// As [`plan`].
pub fn plan_by(
    discovery: &Discovery,
    durations: &dyn Durations,
    passed: &dyn Passed,
    request: &RunRequest,
) -> Result<Plan> {
    if request.options.workers == 0 {
        return Err(Failure::new(FailureCode::InvalidRequest, "failed to plan for 0 workers")
            .hint("ask for at least one: --workers 4, or testfleet { workers = 4 }"));
    }
    // That nothing failed is good news.
    if discovery.test_count() == 0 && request.options.rerun_failed.is_none() {
        return Err(no_tests(discovery, request));
    }
    let mut units = units::make(discovery, durations, &request.options)?;
    // Before anything that may differ between the machines that run the other parts.
    if let Some(shard) = request.options.shard {
        units = crate::select::part_of(units, shard);
    }
    for unit in &mut units {
        unit.reused = passed.reused(unit);
    }
    let groups = group::spread(&units, request.options.workers);
    Ok(Plan {
        protocol: VERSION,
        workers: request.options.workers,
        tests: request.options.tests.clone(),
        made_from: Fingerprints {
            code: fingerprint::code(discovery)?,
            options: fingerprint::options(request)?,
            timings: String::new(),
        },
        units,
        groups,
        shard: request.options.shard,
        failed_of: request.options.rerun_failed.clone(),
        quarantined: Vec::new(),
    })
}

/// Reads a plan.
///
/// # Errors
/// `PlanMissing` when there is none, `ProtocolVersion` for one of another version, `PlanOutdated` for one
/// that is damaged or only half there.
pub fn read_plan(path: &Path) -> Result<Plan> {
    let plan = DOCUMENT.read(path)?.ok_or_else(|| {
        Failure::new(FailureCode::PlanMissing, format!("failed to find a plan at {}", path.display()))
            .hint("make one: ./gradlew prepare")
    })?;
    check(&plan, path)?;
    Ok(plan)
}

/// Refuses estimates that no plan is written with: their sums, on which the run decides, would overflow.
///
/// # Errors
/// `PlanOutdated`, naming the unit.
pub(crate) fn check(plan: &Plan, path: &Path) -> Result<()> {
    match plan.units.iter().find(|unit| unit.estimate_ms > estimate::LONGEST_MS) {
        None => Ok(()),
        Some(unit) => Err(DOCUMENT
            .failure(path)
            .cause_text(format!("the estimate of unit {}, {} ms, is longer than a year", unit.id.0, unit.estimate_ms))),
    }
}

/// Writes a plan, whole or not at all.
///
/// # Errors
/// `Io` when the file can't be written.
pub fn write_plan(plan: &Plan, path: &Path) -> Result<()> {
    document::write(path, &document::bytes(plan)?)
}

fn no_tests(discovery: &Discovery, request: &RunRequest) -> Failure {
    let searched: u64 = discovery.tasks.iter().map(|task| task.searched).sum();
    let mut failure = Failure::new(FailureCode::NoTests, "failed to find a test to run").cause_text(format!(
        "{searched} classes of {} were searched",
        match request.tasks.as_slice() {
            [] => "no Test task".to_owned(),
            tasks => tasks.iter().map(|task| task.path.0.as_str()).collect::<Vec<_>>().join(", "),
        }
    ));
    for task in &request.tasks {
        let filters = fingerprint::filters(task);
        if !filters.is_empty() {
            failure = failure.cause_text(format!("{} filters by {}", task.path, filters.join(", ")));
        }
    }
    let notices = discovery.notices.iter().map(|notice| notice.text.clone());
    notices.fold(failure, Failure::cause_text).hint(if searched == 0 {
        "does the build have tests, and are they compiled? look at testClassesDirs, include and exclude of its Test tasks"
    } else {
        "look at the framework that the Test tasks use (useJUnitPlatform(), useJUnit(), useTestNG()) and at their filters"
    })
}
