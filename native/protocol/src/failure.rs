//! Failures: a stable code, a message, the causes and a hint.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The result of anything in Testfleet that can fail.
pub type Result<T> = std::result::Result<T, Failure>;

/// Says what failed, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Stable across releases; scripts may match on it.
    pub code: FailureCode,
    /// What failed: "failed to ...".
    pub message: String,
    /// Why, outermost first. Never repeats `message`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What the user can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Stable codes of [`Failure`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// Tests failed, errored or were lost.
    TestsFailed,
    /// The request, an option or a filter makes no sense.
    InvalidRequest,
    /// A document or peer of another protocol version.
    ProtocolVersion,
    /// A class file or jar can't be read.
    BrokenClassFile,
    /// A classpath entry does not exist.
    MissingClasspathEntry,
    /// A path lies outside every named root.
    PathOutsideRoots,
    /// There is not one test to run.
    NoTests,
    /// There is no plan where one is needed.
    PlanMissing,
    /// The plan does not fit the code or the options any more.
    PlanOutdated,
    /// No such group, run or worker.
    NoSuchWorker,
    /// A run that is to go on came to its end, or never began.
    NothingToResume,
    /// Another coordinator is at work on this run.
    RunInUse,
    /// A harness JVM did not start.
    JvmStart,
    /// The agent or harness broke.
    WorkerBroken,
    /// A run's record can't be read.
    JournalBroken,
    /// The timings file can't be read.
    TimingsBroken,
    /// A test framework that was asked which tests there are did not answer.
    DiscoveryFailed,
    /// Class files and test frameworks do not tell of the same tests.
    DiscoveryDiffers,
    /// This platform has no engine or agent in the plugin.
    MissingPlatform,
    /// A registry can't be reached, refuses, or holds something else than expected.
    RegistryFailed,
    /// The base of an image is damaged, of an unknown kind, or of another platform.
    BaseUnusable,
    /// The run was cancelled.
    Cancelled,
    /// Reading or writing a file failed.
    Io,
    /// A defect in Testfleet itself.
    Internal,
}

impl FailureCode {
    /// The process exit code of the `testfleet` command for this failure; see docs/exit-codes.md.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::TestsFailed => 1,
            Self::InvalidRequest => 2,
            Self::NoTests => 3,
            Self::PlanMissing | Self::PlanOutdated | Self::NoSuchWorker | Self::NothingToResume | Self::RunInUse => 4,
            Self::BrokenClassFile | Self::MissingClasspathEntry | Self::PathOutsideRoots => 5,
            Self::JvmStart | Self::WorkerBroken | Self::MissingPlatform => 6,
            Self::ProtocolVersion | Self::JournalBroken | Self::TimingsBroken => 7,
            Self::Io => 8,
            Self::DiscoveryFailed | Self::DiscoveryDiffers => 9,
            Self::RegistryFailed | Self::BaseUnusable => 10,
            Self::Internal => 70,
            Self::Cancelled => 130,
        }
    }
}

impl Failure {
    /// A failure without causes or hint.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a cause and, behind it, the causes that it has itself.
    #[must_use]
    pub fn cause(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(cause);
        while let Some(error) = next {
            let text = error.to_string();
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds a cause that is only known as text.
    #[must_use]
    pub fn cause_text(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Reading or writing `path` failed; `what` completes "failed to ...".
    pub fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(FailureCode::Io, format!("failed to {what} {}", path.display())).cause(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, "\n  because: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
