//! What the user chose about a run that goes on when something breaks: retries, time-outs, isolation, resuming.
//!
//! [`Rules`] is the part of it that agents obey; they get it with [`crate::agent::CoordinatorMessage::Welcome`], so that
//! bundles and images do not depend on it.

use serde::{Deserialize, Serialize};

/// How a run deals with what fails, hangs and breaks off.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunOptions {
    /// Whether bad tests are tried again.
    pub retries: Retries,
    /// How often each test is run, whatever comes out; 0 and 1 are once. Above that nothing is retried or reused.
    pub repeat: u32,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What workers of one host share.
    pub isolation: Isolation,
    /// Whether an earlier run goes on.
    pub resume: Resume,
    /// How much of what tests write is kept in results.
    pub output: OutputLimits,
    /// Further files that come back from workers.
    pub collect: Vec<String>,
    /// How the coordinator talks to agents.
    pub connection: ConnectionOptions,
}

/// Whether bad tests are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retries {
    /// How often a bad test is tried again; 0 is never.
    pub max_retries: u32,
    /// After so many different bad tests nothing is retried any more; 0 sets no limit.
    pub max_failures: u32,
    /// Above this share of bad tests among those that ended (0 to 1) nothing is retried any more: something is broken for
    /// all. Looked at once [`Retries::RATE_FROM`] tests have ended, or all have.
    pub max_failure_rate: f64,
    /// Whether a flaky test makes the run bad.
    pub fail_on_flaky: bool,
}

impl Retries {
    /// From how many ended tests on the failure rate says something.
    pub const RATE_FROM: u64 = 20;
}

impl Default for Retries {
    fn default() -> Self {
        Self { max_retries: 0, max_failures: 0, max_failure_rate: 0.3, fail_on_flaky: false }
    }
}

/// How long things may take, in milliseconds; `None` sets no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// One test, all its invocations together.
    pub test_ms: Option<u64>,
    /// What a worker runs of one class at a time, set-up and tear-down included.
    pub class_ms: Option<u64>,
    /// The whole run.
    pub run_ms: Option<u64>,
}

/// What workers of one host share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// All but `java.io.tmpdir` and `TMPDIR`, as under Gradle's own `test`.
    #[default]
    None,
    /// The machine; home, cache and preferences folders are each worker's own, too.
    Directory,
    /// Linux namespaces: besides that, own network with a loopback of its own, own `/tmp`, own process ids.
    Namespace,
}

/// Whether an earlier run goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Resume {
    /// A new run.
    #[default]
    Off,
    /// The last run, if it did not come to its end and plan and code are still the same; otherwise a new one.
    Auto,
    /// This run (its id, or `last`), or an error that says why it can't go on.
    Run {
        /// Which.
        run: String,
    },
}

/// How much of what one test writes is kept in results and reports, in bytes for each of its streams. The whole is in a
/// file of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutputLimits {
    /// From the beginning.
    pub head_bytes: u64,
    /// From the end.
    pub tail_bytes: u64,
    /// Of the file that has the whole; what comes after that is counted, not kept.
    pub file_bytes: u64,
}

impl Default for OutputLimits {
    fn default() -> Self {
        // What the extension's `outputLimit` is unless the build says otherwise.
        Self { head_bytes: 256 << 10, tail_bytes: 256 << 10, file_bytes: 1 << 30 }
    }
}

/// How the coordinator talks to agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionOptions {
    /// How local agents are reached. Other backends have their own ways.
    pub local: LocalConnection,
    /// A worker that says nothing for so long is given up, in milliseconds; agents say something at least every third
    /// of it.
    pub lease_ms: u64,
    /// How long an agent works on without its coordinator before it ends itself, in milliseconds. Agents on the other
    /// end of a pipe end with it at once.
    pub orphan_timeout_ms: u64,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self { local: LocalConnection::Pipe, lease_ms: 30_000, orphan_timeout_ms: 600_000 }
    }
}

/// How local agents are reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalConnection {
    /// Standard input and output: nothing else can speak there, and the end of one is the end of the other.
    #[default]
    Pipe,
    /// The agent dials the coordinator over TCP, as agents on other machines do.
    Dial,
    /// The coordinator dials the agent.
    Listen,
}

/// What agents obey.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// How long things may take; the run's limit is the coordinator's own.
    pub timeouts: Timeouts,
    /// How much of what one test writes travels as output, and how much as a file.
    pub output: OutputLimits,
    /// Files that come back: Ant patterns relative to the Test task's working directory.
    pub collect: Vec<String>,
    /// Milliseconds; see [`ConnectionOptions`].
    pub lease_ms: u64,
    /// Milliseconds; see [`ConnectionOptions`].
    pub orphan_timeout_ms: u64,
}

impl RunOptions {
    /// The part that agents obey.
    pub fn rules(&self) -> Rules {
        Rules {
            timeouts: self.timeouts,
            output: self.output,
            collect: self.collect.clone(),
            lease_ms: self.connection.lease_ms,
            orphan_timeout_ms: self.connection.orphan_timeout_ms,
        }
    }

    /// How often a test is run whatever comes out.
    pub fn runs_of_each(&self) -> u32 {
        self.repeat.max(1)
    }
}
