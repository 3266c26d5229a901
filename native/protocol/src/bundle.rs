//! The bundle: everything that a worker needs, by content hash; stored as `bundle.json`.
//!
//! All paths are stored relative to named roots, see [`crate::path::Roots`].

use crate::request::Framework;
use crate::test::TaskPath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that a worker needs. Equal inputs give equal bundles, wherever the clone lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// [`crate::VERSION`].
    pub protocol: u32,
    /// Ordered by task.
    pub profiles: Vec<Profile>,
    /// Every file and directory that the profiles name, ordered by path.
    pub entries: Vec<Entry>,
    /// Stored path of the harness jar.
    pub harness_jar: String,
    /// Stored path of the agent.
    pub agent: String,
}

/// A JVM profile: what units must share to run in one harness JVM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The Test task that it comes from.
    pub task: TaskPath,
    /// Feature release of the JVM.
    pub java_version: u32,
    /// Absolute home of the JVM on the machine that made the bundle, for workers on that machine:
    /// the `jdk` root of this profile. In an image it names the image's own, or none: then `JAVA_HOME` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub java_home: Option<String>,
    /// Stored paths, in order: launcher jars, then the task's classpath. The harness jar goes before them.
    pub classpath: Vec<String>,
    /// All JVM arguments in order, system properties, heap and assertions included; roots, `{worker}` and `{workers}`
    /// not yet replaced.
    pub jvm_args: Vec<String>,
    /// What the build set in the environment; values as in `jvm_args`.
    pub environment: BTreeMap<String, String>,
    /// Stored path.
    pub working_dir: String,
    /// Restart the JVM after this many units; 0 is never.
    pub fork_every: u32,
    /// Longest time for what is run of one class at a time, in milliseconds, whatever
    /// [`crate::run_options::Timeouts`] allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_timeout_ms: Option<u64>,
    /// Which framework runs the classes, and how.
    pub framework: Framework,
}

/// One file or directory of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Stored path.
    pub path: String,
    /// What it is for, which decides where it goes in an image.
    pub kind: EntryKind,
    /// SHA-256 in hex: of the file's bytes; of a directory's sorted relative paths and file hashes.
    pub sha256: String,
    /// Bytes of the file, or of all files below the directory.
    pub size: u64,
}

/// What an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// Agent or harness.
    Testfleet,
    /// A released dependency.
    Dependency,
    /// A snapshot, or a jar that this build made.
    Changing,
    /// A directory of classes or resources.
    Classes,
    /// A declared input.
    Input,
}
