//! The plan: every unit, its estimate, and the static groups; stored as `plan.json`.

use crate::test::{TaskPath, TestId, TestName};
use serde::{Deserialize, Serialize};

/// All units of a run. Equal inputs give equal plans, byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// `test-group-1` to `test-group-N`: every unit that is to run is in exactly one of them.
    pub groups: Vec<Group>,
    /// The part of all tests that the plan is of; `units` and `groups` have no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The run (its id) whose tests that did not pass are planned, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_of: Option<String>,
    /// Tests that run without failing the build, ordered by test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
}

impl Plan {
    /// Whether only some of the tests that the build has are planned: those that patterns choose, a shard, those that
    /// did not pass before.
    pub fn is_partial(&self) -> bool {
        !self.tests.is_empty() || self.shard.is_some() || self.failed_of.is_some()
    }
}

/// One of several parts of all tests, each of which runs on a machine of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shard {
    /// From 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl std::fmt::Display for Shard {
    /// `2/5`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// A test whose failure counts for nothing until it is mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Which.
    #[serde(flatten)]
    pub test: TestId,
    /// Why, in the words of the quarantine file.
    pub reason: String,
    /// The last day on which it is so, `2026-12-31`; `None` has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// SHA-256 in hex of what a plan was made from. A plan fits as long as the same tests are there and `options` are
/// equal: neither newer timings nor an edited test make it wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitId(pub String);

/// What is handed to a worker at once: a top-level test class, some of its tests, or some invocations of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// Whether the framework itself named the tests, because class files do not tell them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub asked: bool,
    /// The only test is run in several units; this one runs these invocations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
    /// Units of the same name here run on one worker, one after another, with nothing between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<String>,
    /// What it must not share with units that run at the same time on other workers, ordered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
    /// Units of a lower rank are handed out first; of equal rank, the longest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rank: u32,
    /// It is in no group and not run: all its tests passed before, with equal classes and inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<Reused>,
}

/// Which part of a test's invocations a unit runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slice {
    /// From 1.
    pub number: u32,
    /// How many units the test is run in.
    pub of: u32,
    /// The invocations.
    #[serde(flatten)]
    pub invocations: Invocations,
}

/// A range of the invocations directly below a test, by their numbers from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invocations {
    /// The first.
    pub from: u32,
    /// The last; `None` goes on to the end, however many there are when it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

/// Something that tests of several workers share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// Its name; [`Lock::EVERYTHING`] conflicts with every unit.
    pub resource: String,
    /// Nobody else may have it; otherwise others may share it.
    pub exclusive: bool,
}

impl Lock {
    /// The resource of a unit that runs alone.
    pub const EVERYTHING: &str = "*";
}

/// The earlier run that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reused {
    /// Its id.
    pub run: String,
    /// When the last of the tests ended, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Tests of the unit that the framework was told to skip then; all others passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<TestName>,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl Unit {
    /// The planned tests as build-wide ids.
    pub fn test_ids(&self) -> impl Iterator<Item = TestId> + '_ {
        self.tests.iter().map(|name| TestId { task: self.task.clone(), name: name.clone() })
    }

    /// Whether a test belongs to the unit's class, to one nested in it, or to one that its tests are in. What is reported
    /// without being planned, as what happens outside of any test is, is then the unit's.
    pub fn is_of_class(&self, test: &TestId) -> bool {
        let class = &test.name.class;
        let below = class.strip_prefix(self.class.as_str());
        self.task == test.task
            && (below.is_some_and(|nested| nested.is_empty() || nested.starts_with('$'))
                || self.tests.iter().any(|own| own.class == *class))
    }
}

/// Where an estimate comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EstimateSource {
    /// Past runs of these tests.
    Timings,
    /// Past runs of some of these tests; the others guessed.
    Partly,
    /// Nothing is known of these tests.
    #[default]
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
