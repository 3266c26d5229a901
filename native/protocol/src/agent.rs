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

/// From the agent. What belongs to the record of the run is numbered from 1 without gaps for the life of the worker. What
/// belongs to the connection alone ([`AgentMessage::Hello`], [`AgentMessage::Alive`]) has the number 0 and is not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Number.
    pub seq: u64,
    /// Content.
    pub message: AgentMessage,
}

/// Name of the file in a worker's own folder that holds the process id of its JVM, which leads a process group. The agent
/// writes it, so that the local backend can end the JVM of an agent that was killed.
pub const JVM_PID: &str = "jvm.pid";

/// Variable in the environment of a worker's JVMs that names the worker's own folder. What tests start inherits it, so that
/// the local backend finds what an agent that was killed could not end.
pub const FOLDER_VARIABLE: &str = "TESTFLEET_FOLDER";

/// Variable in the environment of JVMs whose coverage comes back as a file: the file that JaCoCo writes to.
pub const COVERAGE_VARIABLE: &str = "TESTFLEET_COVERAGE";

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AgentMessage {
    /// Always the first of a connection, unless the agent can't even begin: then [`AgentMessage::Failed`] is. Number 0.
    Hello {
        /// [`crate::VERSION`]; the coordinator ends a worker of another one with a clear failure.
        protocol: u32,
        /// Version of the program, for messages.
        version: String,
        /// Host name.
        host: String,
        /// Process id.
        pid: u32,
        /// The worker's number, as the agent was started with.
        #[serde(default)]
        worker: u32,
        /// Which start of that number it is, from 1. One that was given up may come back, and is sent away.
        #[serde(default)]
        life: u32,
        /// The highest epoch of the run that it was welcomed to; 0 before the first welcome.
        #[serde(default)]
        epoch: u64,
        /// What it has in hand, the one that runs first. Empty in the first hello.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hand: Vec<UnitAttempt>,
    },
    /// It is there, and there is nothing else to say. Number 0. Said at least every third of the lease.
    Alive,
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
    /// Something failed outside of any test: class initialisation, `@AfterAll`, a missing class. Said at once, so that it
    /// is known however the unit ends.
    ClassFailed {
        /// Of which unit.
        unit: UnitId,
        /// Which try of it.
        attempt: Attempt,
        /// What failed, with the class that it belongs to.
        failure: ClassFailure,
    },
    /// The harness is through with a unit. Tests of it without `TestFinished` did not run.
    UnitFinished {
        /// Which.
        unit: UnitId,
        /// Which try.
        attempt: Attempt,
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
        /// What kind of end it was.
        #[serde(default)]
        cause: DeathCause,
        /// What tells more: thread dumps, the beginning of an `hs_err` file.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
        /// The tests that it died for, when others were running that have no part in it (a time-out of one of several
        /// tests that run at once). Empty: all that were running.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        blamed: Vec<TestName>,
        /// `false`: it died before it was ready; its unit was only to run in it.
        was_ready: bool,
    },
    /// A piece of a file that came out of the tests and is to be kept. The pieces of one file follow each other; files may
    /// be mixed.
    FilePiece {
        /// Which file of this life of the worker, from 1.
        file: u64,
        /// What it is.
        of: FileOf,
        /// Where in the file these bytes belong: a piece that comes twice does no harm.
        #[serde(default)]
        offset: u64,
        /// The bytes, in Base64; at most [`FILE_PIECE`] of them before that.
        data: String,
        /// Whether it is the last.
        last: bool,
    },
    /// What the worker's container has used so far; said at its end.
    Used {
        /// How much.
        usage: Usage,
    },
    /// These units are given back as they are, because the worker has to end: their tests without a result did not
    /// complete through no fault of theirs. They are no longer in the agent's hands.
    HandedBack {
        /// Which.
        units: Vec<UnitAttempt>,
        /// Why.
        reason: String,
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

impl AgentMessage {
    /// The first hello of a worker's life, in this version's protocol.
    pub fn first_hello(worker: u32, life: u32, version: &str, host: String, pid: u32) -> Self {
        let (protocol, version) = (crate::VERSION, version.to_owned());
        Self::Hello { protocol, version, host, pid, worker, life, epoch: 0, hand: Vec::new() }
    }
}

/// Most bytes of a file in one [`AgentMessage::FilePiece`].
pub const FILE_PIECE: usize = 256 << 10;

/// What a worker's container used, by its control group; `None` where that does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The most memory at any time, in bytes: processes, files in memory, page cache that was not given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// The limit of that, in bytes; `None` also without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Processor time in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us: Option<u64>,
    /// For how long processes that wanted to run were kept waiting by a limit of processor time, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_us: Option<u64>,
    /// How many processes the kernel killed for lack of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
}

/// What kind of end a JVM had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeathCause {
    /// None of the others: an exit, a signal, a crash. The reason says which.
    #[default]
    Died,
    /// It ran out of memory and ended itself, or the system killed it for that.
    OutOfMemory,
    /// The agent killed it: a test took too long.
    TestTimeout,
    /// The agent killed it: what it ran of a class took too long.
    ClassTimeout,
    /// The agent killed it: the whole run took too long.
    RunTimeout,
}

impl DeathCause {
    /// As results name it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Died => "JvmDied",
            Self::OutOfMemory => "OutOfMemory",
            Self::TestTimeout => "TestTimeout",
            Self::ClassTimeout => "ClassTimeout",
            Self::RunTimeout => "RunTimeout",
        }
    }
}

/// Something that tells more about the end of a JVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// `thread-dump`, `hs_err`, `exit-stack`.
    pub name: String,
    /// At most [`EVIDENCE`] bytes; the rest is left out with a remark.
    pub text: String,
}

/// Most bytes of one piece of evidence.
pub const EVIDENCE: usize = 256 << 10;

/// What a file from a worker is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FileOf {
    /// Something that tests produced and a `collect` pattern wants.
    Collected {
        /// Which Test task's.
        task: TaskPath,
        /// Relative to the Test task's working directory, with `/`.
        path: String,
    },
    /// Coverage data of one JVM.
    Jacoco {
        /// Which Test task's.
        task: TaskPath,
        /// Which of the worker's JVMs: what comes later of it replaces what came before.
        jvm: String,
        /// Whether the JVM goes on: this is what it measured so far.
        so_far: bool,
    },
    /// All that a test wrote, beyond what travels as output.
    Output {
        /// Which Test task's.
        task: TaskPath,
        /// Which test; `None` for what was written between tests.
        test: Option<TestName>,
        /// Which stream.
        stream: Stream,
    },
    /// What a crashed JVM left: `hs_err_pid123.log`.
    Crash {
        /// Which Test task's.
        task: TaskPath,
        /// Its name.
        name: String,
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
        /// The last number seen from this agent; it sends again what follows. `None`: the coordinator does not know, and
        /// the agent sends all that it still keeps.
        seen: Option<u64>,
        /// What the agent obeys.
        #[serde(default)]
        rules: crate::run_options::Rules,
    },
    /// Run this after what was assigned before.
    Assign {
        /// The unit; its `tests` are those to run.
        unit: Unit,
        /// Which try.
        attempt: Attempt,
        /// Whether it wants a JVM that ran nothing before, and leaves none behind that another unit runs in.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        fresh_jvm: bool,
    },
    /// These units are no longer wanted: another has them. Who runs one stops it; their results count for nothing.
    Drop {
        /// Which.
        units: Vec<UnitAttempt>,
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
    /// The run takes too long: dump the threads of what runs, kill it and tell of that; forget what waits behind it.
    Condemn {
        /// How long the run may take, in milliseconds.
        limit_ms: u64,
    },
    /// Stop at once: kill the JVM, clean up and end.
    Cancel,
}
