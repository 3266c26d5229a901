//! Coordinator and agent: JSON messages in [`crate::frame`]s over any duplex byte stream.
//!
//! The agent speaks first ([`AgentMessage::Hello`]). Every message from the agent has a sequence
//! number and is kept until it is acknowledged, so that a dropped connection loses nothing and,
//! because the coordinator ignores numbers that it has seen, repeats nothing.

use crate::Failure;
use crate::event::Attempt;
use crate::plan::{Unit, UnitId};
use crate::test::{Finished, Invocation, Stream, TaskPath, TestName};
use serde::{Deserialize, Serialize};

/// From the agent, numbered from 1 without gaps for the life of the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Number.
    pub seq: u64,
    /// Content.
    pub message: AgentMessage,
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AgentMessage {
    /// Always the first, unless the agent can't even begin: then [`AgentMessage::Failed`] is.
    Hello {
        /// [`crate::VERSION`]; the coordinator ends a worker of another one with a clear failure.
        protocol: u32,
        /// Version of the program, for messages.
        version: String,
        /// Host name.
        host: String,
        /// Process id.
        pid: u32,
    },
    /// A harness JVM is ready.
    JvmStarted {
        /// Of which profile.
        task: TaskPath,
        /// Its process id.
        pid: u32,
    },
    /// About to run; sent before the test runs.
    TestStarted {
        /// Of which unit.
        unit: UnitId,
        /// Which try of it.
        attempt: Attempt,
        /// Which test.
        test: TestName,
    },
    /// One invocation ended.
    InvocationFinished {
        /// Of which unit.
        unit: UnitId,
        /// Which try of it.
        attempt: Attempt,
        /// Of which test.
        test: TestName,
        /// Which invocation.
        invocation: Invocation,
        /// What it came to.
        finished: Finished,
    },
    /// A test ended.
    TestFinished {
        /// Of which unit.
        unit: UnitId,
        /// Which try of it.
        attempt: Attempt,
        /// Which test.
        test: TestName,
        /// What it came to.
        finished: Finished,
    },
    /// Something was written to `System.out` or `System.err`, or by the JVM itself.
    Output {
        /// The unit that ran; `None` between units.
        unit: Option<UnitId>,
        /// The test that ran, if it is known.
        test: Option<TestName>,
        /// Stream.
        stream: Stream,
        /// Text of at most 64 KiB.
        text: String,
    },
    /// The harness is through with a unit. Tests of it without `TestFinished` did not run.
    UnitFinished {
        /// Which.
        unit: UnitId,
        /// Which try.
        attempt: Attempt,
        /// Failures outside of any test (class initialisation, `@AfterAll`, missing classes), with
        /// the class they belong to.
        failures: Vec<ClassFailure>,
    },
    /// The harness JVM ended without being told to, or could not start. The unit that it ran is no longer in the
    /// agent's hands: its tests of [`AgentMessage::TestStarted`] without `TestFinished` were running, the others did not
    /// start. Units that wait behind it stay with the agent and run in a fresh JVM.
    JvmDied {
        /// Of which profile.
        task: TaskPath,
        /// The unit that it ran or was started for; `None` when it was idle.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<UnitAttempt>,
        /// Its process id; `None` when it never started.
        pid: Option<u32>,
        /// Exit code or signal, in words, with the last lines that it wrote.
        reason: String,
        /// `false`: it died before it was ready, so another start will hardly do better.
        was_ready: bool,
    },
    /// What the framework finds in a class that was asked about.
    Discovered {
        /// Of which profile.
        task: TaskPath,
        /// The class that was asked about.
        class: String,
        /// Ids of the engines that find tests there, sorted.
        engines: Vec<String>,
        /// The tests, named as they would be reported.
        tests: Vec<TestName>,
    },
    /// The framework could not look into a class.
    DiscoveryFailed {
        /// Of which profile.
        task: TaskPath,
        /// The class that was asked about.
        class: String,
        /// What was thrown.
        thrown: crate::test::Thrown,
    },
    /// All that was asked about a profile's classes is answered.
    DiscoveryFinished {
        /// Of which profile.
        task: TaskPath,
    },
    /// The agent can't go on; it ends after this.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// One try at a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitAttempt {
    /// Which unit.
    pub unit: UnitId,
    /// Which try.
    pub attempt: Attempt,
}

/// A failure outside of any test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassFailure {
    /// Binary name, nested classes as in [`TestName::class`].
    pub class: String,
    /// What was thrown.
    pub thrown: crate::test::Thrown,
}

/// What a coordinator says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CoordinatorMessage {
    /// Answer to hello.
    Welcome {
        /// [`crate::VERSION`].
        protocol: u32,
        /// Of which run.
        run: String,
        /// Raised when a run is taken over; agents refuse an older one.
        epoch: u64,
        /// The last number seen from this agent; it sends again what follows.
        seen: u64,
    },
    /// Run this after what was assigned before.
    Assign {
        /// The unit; its `tests` are those to run.
        unit: Unit,
        /// Which try.
        attempt: Attempt,
    },
    /// Say which tests the framework finds in these classes, in a JVM of this profile; run nothing.
    Ask {
        /// Which profile.
        task: TaskPath,
        /// Binary names.
        classes: Vec<String>,
    },
    /// All numbers up to this one arrived and need not be kept.
    Ack {
        /// Number.
        seq: u64,
    },
    /// No more units will come: end the JVM, clean up and end.
    Finish,
    /// Stop at once: kill the JVM, clean up and end.
    Cancel,
}
