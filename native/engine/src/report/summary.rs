//! The run in figures: `summary.json`, and what the console says at the end.

mod build;

pub(super) use build::of;

use super::files;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use testfleet_protocol::agent::Usage;
use testfleet_protocol::event::Attempt;
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::test::{Outcome, TaskPath, Verdict};
use testfleet_protocol::{Failure, FailureCode, Result};

/// A run in figures; `summary.json`. Times are milliseconds, those of tests microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// [`testfleet_protocol::VERSION`].
    pub protocol: u32,
    /// Name of the build, if it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_name: Option<String>,
    /// Id of the run; empty when it never started.
    pub run: String,
    /// SHA-256 in hex of `plan.json`.
    pub plan: String,
    /// The worst verdict that counts.
    pub verdict: Verdict,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Whether the run came to its end; `false`: the figures are those so far.
    pub finished: bool,
    /// Milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// From its start to its last event.
    pub wall_ms: u64,
    /// Workers that were asked for.
    pub workers_asked: u32,
    /// Planned tests by verdict; every verdict is there. Sums up to all tests of the run.
    pub counts: BTreeMap<Verdict, u64>,
    /// Entries in JUnit XML: an invocation counts by itself.
    pub cases: CaseCounts,
    /// Tests that the run was to run and never mentioned; they are in `counts` as lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unaccounted: u64,
    /// Tests in quarantine, which are in `counts` as well; left out when there is none.
    #[serde(default, skip_serializing_if = "QuarantineCounts::is_empty")]
    pub quarantined: QuarantineCounts,
    /// What was expected and what it came to.
    pub prediction: Prediction,
    /// By path.
    pub tasks: Vec<TaskSummary>,
    /// Longest first; nested classes by themselves.
    pub classes: Vec<ClassSummary>,
    /// What workers were made of, where those are images: name and digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// By task, class and method.
    pub tests: Vec<TestSummary>,
    /// By number.
    pub workers: Vec<WorkerSummary>,
    /// Each try of each unit, by worker and time.
    pub units: Vec<UnitSummary>,
}

/// Entries in JUnit XML by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseCounts {
    /// All.
    pub total: u64,
    /// `<skipped>`
    pub skipped: u64,
    /// `<failure>`
    pub failed: u64,
    /// `<error>`: errored or lost.
    pub errored: u64,
}

/// Tests in quarantine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineCounts {
    /// Those with a bad verdict, which does not make the run red.
    pub bad: u64,
    /// Those that passed: candidates to be released.
    pub passed: u64,
    /// The others: skipped, flaky, reused.
    pub others: u64,
}

/// What was expected and what it came to, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// The longest of the plan's groups.
    pub longest_group_ms: u64,
    /// How long the run was expected to take, to be compared with [`Summary::wall_ms`]: the longest group when all of
    /// the plan was to run, else the estimates of the units that ran. 0 when nothing was to run.
    #[serde(default)]
    pub predicted_ms: u64,
    /// Sum of [`UnitSummary::estimate_ms`].
    pub estimated_work_ms: u64,
    /// What these units took.
    pub actual_work_ms: u64,
    /// `actual_work_ms` as a percentage of `estimated_work_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_percent: Option<u64>,
    /// The median over the units that ran whole in one try: by how many percent of its estimate a unit took more or less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_error_percent: Option<u64>,
    /// Whether no estimate came from an earlier run.
    #[serde(default)]
    pub guessed: bool,
}

/// One Test task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskSummary {
    /// Its path.
    pub task: TaskPath,
    /// Tests by verdict, those that occur.
    pub counts: BTreeMap<Verdict, u64>,
    /// How many classes.
    pub classes: u64,
    /// Sum of its tests' durations in milliseconds.
    pub duration_ms: u64,
}

/// One class with tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassSummary {
    /// Its Test task.
    pub task: TaskPath,
    /// Binary name.
    pub class: String,
    /// Tests by verdict, those that occur.
    pub counts: BTreeMap<Verdict, u64>,
    /// Sum of its tests' durations in milliseconds.
    pub duration_ms: u64,
    /// Where its tests ran, by number.
    pub workers: Vec<u32>,
}

/// One planned test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestSummary {
    /// Its Test task.
    pub task: TaskPath,
    /// Binary name of its class.
    pub class: String,
    /// Method with parameter types.
    pub method: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What the attempt that the verdict comes from came to: tells an assumption that did not hold from a
    /// disabled test. `None` when no attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Microseconds of the attempt that the verdict comes from; of a test in slices, of all of them together.
    pub duration_us: u64,
    /// Where that attempt ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u32>,
    /// Its number among those of its unit, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// The host, the container, or the pod and its node, that the worker was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Which of [`Summary::images`] that was made of, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<usize>,
    /// Why, if something said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Bad tests: the exception's class and the beginning of its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the user can do about that, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Why its verdict counts for nothing, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<QuarantineSummary>,
    /// For a test that the plan runs in several units: which of its slices this run was to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<SlicesSummary>,
    /// All attempts in order; left out when there was one alone, which says nothing new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptSummary>,
    /// Of the attempt that the verdict comes from, or of those of all slices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invocations: Vec<InvocationSummary>,
}

/// Why a test's verdict counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineSummary {
    /// In the words of the quarantine file.
    pub reason: String,
    /// The last day on which it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// The slices of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlicesSummary {
    /// Those that this run was to run, from 1.
    pub numbers: Vec<u32>,
    /// How many there are.
    pub of: u32,
}

/// One try at a test, or at a slice of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptSummary {
    /// Which slice, of a test that is run in several units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<u32>,
    /// From 1, of its unit.
    pub number: Attempt,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<u32>,
    /// As [`TestSummary::host`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `None` when it was given up or handed back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Microseconds.
    pub duration_us: u64,
    /// The exception's class and the beginning of its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvocationSummary {
    /// Unique within its test.
    pub id: String,
    /// As displayed.
    pub name: String,
    /// What it came to.
    pub outcome: Outcome,
    /// Microseconds.
    pub duration_us: u64,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerSummary {
    /// From 1.
    pub number: u32,
    /// Backend that started it.
    pub backend: String,
    /// Host or container; empty when its agent never answered.
    pub host: String,
    /// From the call for it to its agent's hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_after_ms: Option<u64>,
    /// Time in which it had a unit to run and a JVM to run it in.
    pub busy_ms: u64,
    /// What was expected of the units that it ran.
    pub estimated_ms: u64,
    /// Units it dealt with.
    pub units: u64,
    /// Tests whose verdict comes from it.
    pub tests: u64,
    /// Harness JVMs that became ready.
    pub jvm_starts: u64,
    /// Why JVMs ended without being told to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jvm_deaths: Vec<String>,
    /// What its containers used: the highest peak of memory, all processor time. Left out where workers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why it ended, when that was not wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// One try of a unit at a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitSummary {
    /// Its name in the plan.
    pub unit: UnitId,
    /// Its Test task; empty for a unit that is not in the plan.
    pub task: TaskPath,
    /// Its top-level class; empty for a unit that is not in the plan.
    pub class: String,
    /// Which slice of its only test it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<u32>,
    /// From 1.
    pub attempt: Attempt,
    /// Where.
    pub worker: u32,
    /// Milliseconds since the start of the run.
    pub from_ms: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// What the plan expected of the tests that ended in this try: their share of the unit's estimate.
    pub estimate_ms: u64,
}

impl Summary {
    /// How many tests got this verdict.
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.counts.get(&verdict).copied().unwrap_or(0)
    }

    /// All tests of the run.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Tests that make the run red, in order.
    pub fn bad_tests(&self) -> impl Iterator<Item = &TestSummary> {
        self.tests.iter().filter(|test| test.verdict.is_bad() && test.quarantined.is_none())
    }

    /// Tests in quarantine with a bad verdict, in order.
    pub fn held_tests(&self) -> impl Iterator<Item = &TestSummary> {
        self.tests.iter().filter(|test| test.verdict.is_bad() && test.quarantined.is_some())
    }

    /// Tests in quarantine that passed, in order.
    pub fn release_candidates(&self) -> impl Iterator<Item = &TestSummary> {
        self.tests.iter().filter(|test| test.verdict == Verdict::Passed && test.quarantined.is_some())
    }

    /// How many tests got this verdict and count.
    pub fn counting(&self, verdict: Verdict) -> u64 {
        let held = if verdict.is_bad() { self.held_tests().filter(|test| test.verdict == verdict).count() } else { 0 };
        self.count(verdict).saturating_sub(held as u64)
    }
}

impl TestSummary {
    /// Whether the run ran some of its slices and not the others.
    pub fn is_partial(&self) -> bool {
        self.slices
            .as_ref()
            .is_some_and(|slices| !slices.numbers.is_empty() && slices.numbers.len() < slices.of as usize)
    }
}

impl QuarantineCounts {
    /// Whether no test is in quarantine.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Writes `summary.json` and returns its path.
///
/// # Errors
/// `FailureCode::Io` when it can't be written.
pub fn write_summary(summary: &Summary, reports_dir: &Path) -> Result<PathBuf> {
    files::make_folder(reports_dir)?;
    let path = reports_dir.join("summary.json");
    let mut json = serde_json::to_vec_pretty(summary)
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to encode summary.json").cause(&error))?;
    json.push(b'\n');
    files::replace(&path, &json)?;
    Ok(path)
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests;
