//! Events: the contract between a run and everything that shows it.
//!
//! Additive only. Reporters consume events; nothing else feeds them. [`RunEvent`]s, appended to a
//! file, are the run's journal.

use crate::Failure;
use crate::plan::UnitId;
use crate::test::{Finished, Invocation, Stream, TestId, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a command says while it works: the stream behind JNI's `nextEvent`. Its last is [`Event::End`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A line for the person who watches, already worded.
    Console {
        /// How important it is.
        level: Level,
        /// One or several lines, without a line break at the end.
        text: String,
    },
    /// Something happened in the run.
    Run {
        /// What.
        event: RunEvent,
    },
    /// A document was written.
    Written {
        /// `plan`, `bundle`, `image`, `journal`, `junit-xml`, `html`, `summary`, `timings`.
        what: String,
        /// Where.
        path: PathBuf,
    },
    /// A terminal, where there is one, is to be handed to this command once all is over: a shell.
    Enter {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// The command is over. Nothing follows.
    End {
        /// `None` when all went well.
        failure: Option<Failure>,
    },
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Shown on request.
    Info,
    /// Shown.
    Lifecycle,
    /// Something to look at, though the command goes on.
    Warn,
    /// Something is bad.
    Error,
    /// What was asked for, such as a listing: shown however quiet the caller is, and by itself on standard output.
    Result,
}

/// One try at the tests of one worker's unit; counts from 1 for each unit.
pub type Attempt = u32;

/// What happens in a run. The fold of these is the run's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RunEvent {
    /// The first event.
    RunStarted {
        /// Names the run, unique in its output folder: UTC time and a random end.
        run: String,
        /// [`crate::VERSION`].
        protocol: u32,
        /// SHA-256 in hex of `plan.json`.
        plan: String,
        /// How many workers will be asked for.
        workers: u32,
        /// Units to run, without those that are reused.
        units: u64,
        /// Tests to run, without those that are reused. A test that is run in slices is one.
        tests: u64,
        /// Tests that are not run because an earlier passed run counts.
        #[serde(default, skip_serializing_if = "is_zero")]
        reused: u64,
        /// Milliseconds since the Unix epoch.
        at_ms: u64,
    },
    /// A worker was asked for.
    WorkerStarted {
        /// From 1.
        worker: u32,
        /// Backend.
        backend: String,
        /// What it is made of, as its backend knows it: name and digest, or an id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
        /// Milliseconds since the Unix epoch, like every `at_ms`.
        at_ms: u64,
    },
    /// Its agent said hello: for the first time, or again after a connection or coordinator was lost and something of what
    /// it should have in hand is not there. Units that it does have are then told again by `UnitAssigned` of the same try.
    WorkerReady {
        /// Which.
        worker: u32,
        /// Host or container it runs on.
        host: String,
        /// The agent's process id there.
        pid: u32,
        /// When.
        at_ms: u64,
    },
    /// It is gone, wanted or not; what it had in hand is dealt with by the events that follow.
    WorkerEnded {
        /// Which.
        worker: u32,
        /// `None` when it ended because it was told to.
        failure: Option<Failure>,
        /// When.
        at_ms: u64,
    },
    /// It has to end, and gave back what it had in hand; it gets nothing more.
    WorkerLeaving {
        /// Which.
        worker: u32,
        /// Why, in its words.
        reason: String,
        /// When.
        at_ms: u64,
    },
    /// What a worker's container used; told at its end.
    WorkerUsed {
        /// Which.
        worker: u32,
        /// How much.
        usage: crate::agent::Usage,
        /// When.
        at_ms: u64,
    },
    /// A harness JVM runs.
    JvmStarted {
        /// Where.
        worker: u32,
        /// Of which profile.
        task: crate::test::TaskPath,
        /// Its process id.
        pid: u32,
        /// When.
        at_ms: u64,
    },
    /// A harness JVM ended without being told to.
    JvmDied {
        /// Where.
        worker: u32,
        /// Its process id; 0 when it never started.
        pid: u32,
        /// Exit code or signal, in words, with the last lines it wrote.
        reason: String,
        /// What tells more, for the tests that it took with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<crate::agent::Evidence>,
        /// The profile whose JVM did not become ready. `None`: it had worked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        never_ready: Option<crate::test::TaskPath>,
        /// When.
        at_ms: u64,
    },
    /// No harness JVM of a profile was ever ready, and nobody is left who may do better: its tests are not tried any more.
    ProfileGivenUp {
        /// Which profile.
        task: crate::test::TaskPath,
        /// When.
        at_ms: u64,
    },
    /// A worker that had nothing to report is still there.
    LeaseRenewed {
        /// Which.
        worker: u32,
        /// When.
        at_ms: u64,
    },
    /// A coordinator goes on with a run that another one left. Its journal up to here counts.
    RunResumed {
        /// Higher than any before; the first coordinator has 1.
        epoch: u64,
        /// When.
        at_ms: u64,
    },
    /// A file from a worker was stored.
    FileStored {
        /// Where it came from.
        worker: u32,
        /// What it is.
        of: crate::agent::FileOf,
        /// Relative to the run's folder.
        path: String,
        /// Bytes.
        size: u64,
    },
    /// A unit was given to a worker (it may wait there behind another).
    UnitAssigned {
        /// Which.
        unit: UnitId,
        /// To whom.
        worker: u32,
        /// Which try.
        attempt: Attempt,
        /// When.
        at_ms: u64,
    },
    /// A test is about to run.
    TestStarted {
        /// Which.
        test: TestId,
        /// Of which unit.
        unit: UnitId,
        /// Where.
        worker: u32,
        /// Which try.
        attempt: Attempt,
        /// Which slice of the test, when it is run in several units.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slice: Option<u32>,
        /// When, by the coordinator's clock.
        at_ms: u64,
    },
    /// One invocation of a test ended.
    InvocationFinished {
        /// Of which test.
        test: TestId,
        /// Where.
        worker: u32,
        /// Which try.
        attempt: Attempt,
        /// Which slice of the test, when it is run in several units.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slice: Option<u32>,
        /// Which invocation.
        invocation: Invocation,
        /// What it came to.
        finished: Finished,
    },
    /// A test wrote something.
    Output {
        /// `None`: class set-up, or between tests; see `class`.
        test: Option<TestId>,
        /// The top-level class that ran; empty when none did.
        class: String,
        /// Its Test task.
        task: crate::test::TaskPath,
        /// Where.
        worker: u32,
        /// To which stream.
        stream: Stream,
        /// What; bytes that are no UTF-8 were replaced.
        text: String,
    },
    /// A try at a test, or at a slice of it, ended. At most one for each `UnitAssigned` and test. A bad one may be followed by
    /// another try: the verdict is told apart, by `TestVerdict`.
    TestFinished {
        /// Which.
        test: TestId,
        /// Where it ran; `None` for a test that never reached a worker.
        worker: Option<u32>,
        /// Which try.
        attempt: Attempt,
        /// Which slice of the test, when it is run in several units.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slice: Option<u32>,
        /// What it came to.
        finished: Finished,
    },
    /// No result of a slice came back, so that its test is lost as soon as its other slices have ended.
    SliceLost {
        /// Of which test.
        test: TestId,
        /// Which slice.
        slice: u32,
        /// Why.
        reason: String,
    },
    /// A planned test got its verdict: exactly once per test and run, whatever number of slices it has.
    TestVerdict {
        /// Which.
        test: TestId,
        /// What became of it.
        verdict: Verdict,
        /// For lost and errored tests: why. For reused ones: which run counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something failed outside of any test. What that means for tests and class is told when the unit leaves the worker.
    ClassFailed {
        /// Of which unit.
        unit: UnitId,
        /// Where.
        worker: u32,
        /// Which try.
        attempt: Attempt,
        /// Binary name: the unit's class, or one that is nested in it.
        class: String,
        /// What was thrown.
        thrown: crate::test::Thrown,
    },
    /// A unit is done at a worker, or what is left of it was handed back.
    UnitFinished {
        /// Which.
        unit: UnitId,
        /// Where.
        worker: u32,
        /// Which try.
        attempt: Attempt,
        /// Tests without a verdict that go back to the queue, those that are to be tried again among them.
        handed_back: Vec<TestId>,
        /// All of its tests had ended, but what comes after them was not seen: it is run once more for that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unseen: bool,
        /// When.
        at_ms: u64,
    },
    /// The user or the build asked for the end.
    CancelRequested {
        /// When.
        at_ms: u64,
    },
    /// The run took longer than it may, and is ended early.
    RunTimedOut {
        /// How long it may take, in milliseconds.
        limit_ms: u64,
        /// When.
        at_ms: u64,
    },
    /// The coordinator's machine was asleep, which does not count for the limit of the run.
    CoordinatorSlept {
        /// For how long, in milliseconds.
        late_ms: u64,
        /// When it woke up.
        at_ms: u64,
    },
    /// No worker is left, and none is started any more: what has no verdict by now is lost. A run that goes on does so from
    /// before this.
    RunAborted {
        /// Why each worker ended.
        reason: String,
        /// When.
        at_ms: u64,
    },
    /// The last event.
    RunFinished {
        /// The worst verdict that counts.
        verdict: Verdict,
        /// Tests by verdict.
        counts: BTreeMap<Verdict, u64>,
        /// Whether it was cancelled.
        cancelled: bool,
        /// When.
        at_ms: u64,
    },
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}
