//! Tests, their identity and what became of them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One Test task of one module, written `<module path>:<task>`, as Gradle writes a task path:
/// `:app:test`; `:test` in a single-module build. The key of a JVM profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskPath(pub String);

impl fmt::Display for TaskPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Class and method of a test within its Test task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestName {
    /// Binary name (`com.acme.FooTest`). For a nested class the top-level test class that the
    /// framework runs, then `$` and the simple names on the way: `com.acme.FooTest$Inner$Deep`,
    /// even when `Inner` is inherited from a superclass of `FooTest`.
    pub class: String,
    /// Method with parameter types as the JVM's source names them: `adds(int, java.lang.String[])`.
    /// JUnit 3, JUnit 4 and TestNG methods without parameters: `adds()`.
    pub method: String,
}

/// A test across the whole build: what is planned, and what gets exactly one verdict.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestId {
    /// Module and Test task.
    pub task: TaskPath,
    /// Class and method.
    #[serde(flatten)]
    pub name: TestName,
}

impl fmt::Display for TestName {
    /// `com.acme.FooTest > adds(int)`, as Gradle writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.class, self.method)
    }
}

impl fmt::Display for TestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.task, self.name)
    }
}

/// What a framework says of one execution of a test or of one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It ran to its end.
    Passed,
    /// Its own code threw.
    Failed,
    /// An assumption did not hold.
    Aborted,
    /// It was not run because the framework was told so (`@Disabled`, `@Ignore`).
    Skipped,
    /// It could not be completed: class set-up failed, its JVM died, it never reported an end.
    Errored,
}

/// What became of a planned test in the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All went well.
    Passed,
    /// An earlier passed run counts; not run in this one.
    Reused,
    /// Not run, or given up by an assumption.
    Skipped,
    /// Failed and passed in different attempts.
    Flaky,
    /// The test's own code failed.
    Failed,
    /// It could not be completed.
    Errored,
    /// Planned, but no result came back.
    Lost,
}

impl Verdict {
    /// Whether this verdict makes a run red.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Errored | Self::Lost)
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Failed => Self::Failed,
            Outcome::Aborted | Outcome::Skipped => Self::Skipped,
            Outcome::Errored => Self::Errored,
        }
    }
}

/// An exception as the JVM printed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thrown {
    /// Class of the exception; for what Testfleet itself reports, a word such as `JvmDied`.
    pub kind: String,
    /// Its message; empty when it has none.
    pub message: String,
    /// The stack trace with causes, as `printStackTrace` writes it.
    pub stack: String,
    /// What the user can do about it, if Testfleet knows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What one execution of a test, or of an invocation, came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// The framework's word, or `errored`.
    pub outcome: Outcome,
    /// When it started, in milliseconds since the Unix epoch, by the worker's clock.
    pub started_at_ms: u64,
    /// How long it took, in microseconds, by a monotonic clock in the JVM.
    pub duration_us: u64,
    /// Why it was skipped, aborted or errored, if something said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was thrown, the primary exception first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thrown: Vec<Thrown>,
}

/// One invocation of a parameterized, repeated or dynamic test.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invocation {
    /// Unique within its test and stable between runs: `#3`, `#2/#1` for nested dynamic tests.
    pub id: String,
    /// As the framework displays it.
    pub name: String,
}

/// Where a test wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// `System.out`
    Stdout,
    /// `System.err`
    Stderr,
}
