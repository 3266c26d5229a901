//! The plan: every unit, its estimate, and the static groups; stored as `plan.json`.

use crate::test::{TaskPath, TestId, TestName};
use serde::{Deserialize, Serialize};

/// All units of a run. Equal inputs give equal plans, byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`crate::VERSION`].
    pub protocol: u32,
    /// For how many workers the groups were made.
    pub workers: u32,
    /// The `--tests` patterns that it was made with; whoever runs a group of it discovers with the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<String>,
    /// Hashes of what the plan was made from.
    pub made_from: Fingerprints,
    /// All units, ordered by id.
    pub units: Vec<Unit>,
    /// `test-group-1` to `test-group-N`.
    pub groups: Vec<Group>,
}

/// SHA-256 in hex of what a plan was made from. A plan fits as long as the same tests are there and `options` are
/// equal: neither newer timings nor an edited test make it wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fingerprints {
    /// The discovered tests and the classes they came from.
    pub code: String,
    /// Filters, splitting, profiles: all of the request that decides what is planned.
    pub options: String,
    /// The timings.
    pub timings: String,
}

/// Names a unit within its plan: `u1`, `u2`, ... in the order of task, class and first method.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitId(pub String);

/// What is handed to a worker at once: a top-level test class or some of its tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// Its name in this plan.
    pub id: UnitId,
    /// Module and Test task: the JVM profile that it needs.
    pub task: TaskPath,
    /// The top-level class that the framework is told to run.
    pub class: String,
    /// Whether `tests` is all that the class has: then the harness runs the class without a filter.
    pub whole_class: bool,
    /// Whether the framework's own reports name a method without its empty parentheses, as those of JUnit 3, JUnit 4 and
    /// TestNG do.
    #[serde(default, skip_serializing_if = "is_false")]
    pub plain_names: bool,
    /// The planned tests, sorted. Those of nested classes name the nested class.
    pub tests: Vec<TestName>,
    /// Expected duration in milliseconds, class set-up included.
    pub estimate_ms: u64,
    /// Where the estimate comes from.
    pub estimate_source: EstimateSource,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Unit {
    /// The planned tests as build-wide ids.
    pub fn test_ids(&self) -> impl Iterator<Item = TestId> + '_ {
        self.tests.iter().map(|name| TestId { task: self.task.clone(), name: name.clone() })
    }
}

/// Where an estimate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EstimateSource {
    /// Past runs of these tests.
    Timings,
    /// Past runs of some of these tests; the others guessed.
    Partly,
    /// Nothing is known of these tests.
    Guess,
}

/// The units of one worker in the static split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// From 1.
    pub number: u32,
    /// Sum of its units' estimates and profile switches, in milliseconds.
    pub estimate_ms: u64,
    /// In the order in which they run.
    pub units: Vec<UnitId>,
}

impl Group {
    /// `test-group-5`
    pub fn name(&self) -> String {
        format!("test-group-{}", self.number)
    }
}
