//! Agent and harness: small binary messages in [`crate::frame`]s over two named pipes.
//!
//! Binary because the harness runs on Java 8 beside the project's own classes and brings no JSON
//! library. A payload is one byte for the message's kind, then its fields in order: `u32` and `u64`
//! most significant byte first, strings as `u32` byte count and UTF-8, lists as `u32` count and
//! items, options as one byte 0 or 1 and the value. The Java side is
//! `harness/src/main/java/dev/testfleet/harness/wire/`; `tests/vectors/harness/` holds payloads that both
//! sides must read and write alike.

mod fields;

use crate::Result;
use crate::plan::Invocations;
use crate::test::{Finished, Invocation, Stream, TestName, Thrown};
use fields::{Reader, Writer, broken};

/// What the agent says to the harness.
#[derive(Debug, Clone, PartialEq)]
pub enum ToHarness {
    /// Kind 1, once, first.
    Configure {
        /// [`crate::VERSION`].
        protocol: u32,
        /// `junit-platform`, `junit4` or `testng`.
        framework: String,
        /// The framework's options: name and value; a name may occur several times. Names are those of
        /// [`crate::request::Framework`]'s fields as JSON has them (`includeEngines`, `excludeTags`, ...).
        options: Vec<(String, String)>,
    },
    /// Kind 2.
    RunUnit {
        /// The unit's id.
        unit: String,
        /// Top-level class to run.
        class: String,
        /// Whether to run the class without a filter; `tests` is then what is expected.
        whole_class: bool,
        /// The planned tests.
        tests: Vec<TestName>,
        /// Of the only test that is planned, just these invocations.
        invocations: Option<Invocations>,
    },
    /// Kind 4: say which tests the framework finds in these classes; nothing is run. Answered by one
    /// [`FromHarness::Discovered`] or [`FromHarness::DiscoveryFailed`] for each, in this order and flushed one by one, then
    /// by [`FromHarness::DiscoveryFinished`]. Classes may be initialised on the way, so that one of them can end or block
    /// the JVM: it is the first that has no answer. What it writes comes as [`FromHarness::Output`] of no unit.
    Discover {
        /// Binary names.
        classes: Vec<String>,
    },
    /// Kind 3: end after what is running. The end of the pipe means: halt at once.
    Shutdown,
}

/// What the harness says to the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum FromHarness {
    /// Kind 1: the framework is there.
    Ready {
        /// [`crate::VERSION`].
        protocol: u32,
        /// `java.version`, for messages.
        java_version: String,
    },
    /// Kind 2: flushed before the test runs.
    TestStarted {
        /// Unit.
        unit: String,
        /// Test.
        test: TestName,
    },
    /// Kind 3.
    InvocationFinished {
        /// Unit.
        unit: String,
        /// Test.
        test: TestName,
        /// Invocation.
        invocation: Invocation,
        /// What it came to.
        finished: Finished,
    },
    /// Kind 4: exactly once for each planned test that the framework ran, skipped or gave up.
    TestFinished {
        /// Unit.
        unit: String,
        /// Test.
        test: TestName,
        /// What it came to.
        finished: Finished,
    },
    /// Kind 5.
    Output {
        /// Empty between units.
        unit: String,
        /// If known.
        test: Option<TestName>,
        /// Stream.
        stream: Stream,
        /// Raw bytes, at most 64 KiB, cut between characters.
        bytes: Vec<u8>,
    },
    /// Kind 6: a failure outside of any test, in a unit.
    ClassFailed {
        /// Unit.
        unit: String,
        /// Class.
        class: String,
        /// What was thrown.
        thrown: Thrown,
    },
    /// Kind 7.
    UnitFinished {
        /// Unit.
        unit: String,
    },
    /// Kind 8: the harness can't work (no framework on the classpath, wrong version); it ends after this.
    Fault {
        /// What failed.
        message: String,
        /// What to do; may be empty.
        hint: String,
    },
    /// Kind 9: what the framework finds in a class. A class that is no test class has no tests.
    Discovered {
        /// The class that was asked for.
        class: String,
        /// Ids of the engines that find tests there (`junit4` and `testng` for these frameworks), sorted; empty when
        /// none does.
        engines: Vec<String>,
        /// The tests, named as the run of a unit with these tests reports them, each once, in the framework's order;
        /// filters by tag, category or group are applied.
        tests: Vec<TestName>,
    },
    /// Kind 10: the framework could not look into a class, or lists it as one that it can't run.
    DiscoveryFailed {
        /// The class that was asked for.
        class: String,
        /// What was thrown.
        thrown: Thrown,
    },
    /// Kind 11: all that was asked for is answered.
    DiscoveryFinished,
    /// Kind 12: nothing of a test that has started and has not finished is running at the moment: the framework runs its
    /// invocations between those of other tests. Its time does not count until [`FromHarness::TestResumed`].
    TestPaused {
        /// Unit.
        unit: String,
        /// Test.
        test: TestName,
    },
    /// Kind 13: a paused test goes on.
    TestResumed {
        /// Unit.
        unit: String,
        /// Test.
        test: TestName,
    },
    /// Kind 14: the JVM shuts down because somebody called `System.exit`, who is not the harness.
    ExitCalled {
        /// The stacks of the threads that are inside that call, as text; empty when there is none.
        stacks: String,
    },
}

impl ToHarness {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Configure { protocol, framework, options } => {
                out.u8(1);
                out.u32(*protocol);
                out.string(framework);
                out.list(options, |out, (name, value)| {
                    out.string(name);
                    out.string(value);
                });
            }
            Self::RunUnit { unit, class, whole_class, tests, invocations } => {
                out.u8(2);
                out.string(unit);
                out.string(class);
                out.u8(u8::from(*whole_class));
                out.list(tests, |out, test| out.test(test));
                out.option(invocations.as_ref(), |out, range| {
                    out.u32(range.from);
                    out.option(range.to, Writer::u32);
                });
            }
            Self::Discover { classes } => {
                out.u8(4);
                out.list(classes, |out, class| out.string(class));
            }
            Self::Shutdown => out.u8(3),
        }
        out.bytes
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`FailureCode::WorkerBroken`] when it is none.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        let mut input = Reader { rest: payload };
        let message = match input.u8()? {
            1 => Self::Configure {
                protocol: input.u32()?,
                framework: input.string()?,
                options: input.list(|input| Ok((input.string()?, input.string()?)))?,
            },
            2 => Self::RunUnit {
                unit: input.string()?,
                class: input.string()?,
                whole_class: input.bool()?,
                tests: input.list(Reader::test)?,
                invocations: input
                    .option(|input| Ok(Invocations { from: input.u32()?, to: input.option(Reader::u32)? }))?,
            },
            3 => Self::Shutdown,
            4 => Self::Discover { classes: input.list(Reader::string)? },
            kind => return Err(broken(&format!("unknown kind {kind}"))),
        };
        input.end(message)
    }
}

impl FromHarness {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Ready { protocol, java_version } => {
                out.u8(1);
                out.u32(*protocol);
                out.string(java_version);
            }
            Self::TestStarted { unit, test } => {
                out.u8(2);
                out.string(unit);
                out.test(test);
            }
            Self::InvocationFinished { unit, test, invocation, finished } => {
                out.u8(3);
                out.string(unit);
                out.test(test);
                out.string(&invocation.id);
                out.string(&invocation.name);
                out.finished(finished);
            }
            Self::TestFinished { unit, test, finished } => {
                out.u8(4);
                out.string(unit);
                out.test(test);
                out.finished(finished);
            }
            Self::Output { unit, test, stream, bytes } => {
                out.u8(5);
                out.string(unit);
                out.option(test.as_ref(), |out, test| out.test(test));
                out.u8(match stream {
                    Stream::Stdout => 1,
                    Stream::Stderr => 2,
                });
                out.blob(bytes);
            }
            Self::ClassFailed { unit, class, thrown } => {
                out.u8(6);
                out.string(unit);
                out.string(class);
                out.thrown(thrown);
            }
            Self::UnitFinished { unit } => {
                out.u8(7);
                out.string(unit);
            }
            Self::Fault { message, hint } => {
                out.u8(8);
                out.string(message);
                out.string(hint);
            }
            Self::Discovered { class, engines, tests } => {
                out.u8(9);
                out.string(class);
                out.list(engines, |out, engine| out.string(engine));
                out.list(tests, |out, test| out.test(test));
            }
            Self::DiscoveryFailed { class, thrown } => {
                out.u8(10);
                out.string(class);
                out.thrown(thrown);
            }
            Self::DiscoveryFinished => out.u8(11),
            Self::TestPaused { unit, test } => {
                out.u8(12);
                out.string(unit);
                out.test(test);
            }
            Self::TestResumed { unit, test } => {
                out.u8(13);
                out.string(unit);
                out.test(test);
            }
            Self::ExitCalled { stacks } => {
                out.u8(14);
                out.string(stacks);
            }
        }
        out.bytes
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`FailureCode::WorkerBroken`] when it is none.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        let mut input = Reader { rest: payload };
        let message = match input.u8()? {
            1 => Self::Ready { protocol: input.u32()?, java_version: input.string()? },
            2 => Self::TestStarted { unit: input.string()?, test: input.test()? },
            3 => Self::InvocationFinished {
                unit: input.string()?,
                test: input.test()?,
                invocation: Invocation { id: input.string()?, name: input.string()? },
                finished: input.finished()?,
            },
            4 => Self::TestFinished { unit: input.string()?, test: input.test()?, finished: input.finished()? },
            5 => Self::Output {
                unit: input.string()?,
                test: input.option(Reader::test)?,
                stream: match input.u8()? {
                    1 => Stream::Stdout,
                    2 => Stream::Stderr,
                    other => return Err(broken(&format!("unknown stream {other}"))),
                },
                bytes: input.blob()?,
            },
            6 => Self::ClassFailed { unit: input.string()?, class: input.string()?, thrown: input.thrown()? },
            7 => Self::UnitFinished { unit: input.string()? },
            8 => Self::Fault { message: input.string()?, hint: input.string()? },
            9 => Self::Discovered {
                class: input.string()?,
                engines: input.list(Reader::string)?,
                tests: input.list(Reader::test)?,
            },
            10 => Self::DiscoveryFailed { class: input.string()?, thrown: input.thrown()? },
            11 => Self::DiscoveryFinished,
            12 => Self::TestPaused { unit: input.string()?, test: input.test()? },
            13 => Self::TestResumed { unit: input.string()?, test: input.test()? },
            14 => Self::ExitCalled { stacks: input.string()? },
            kind => return Err(broken(&format!("unknown kind {kind}"))),
        };
        input.end(message)
    }
}

#[cfg(test)]
mod tests;
