//! Class directories and jars to test classes.
//!
//! Class files are parsed where they lie; nothing is loaded, unpacked or run. The rules are those of
//! the frameworks that the Test tasks name; docs/discovery.md says what class files can't tell.

mod annotation;
mod ant_pattern;
mod cache;
mod class_file;
mod classpath;
mod container;
mod engines;
mod found;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod jar;
mod junit4;
mod jupiter;
mod notices;
mod references;
mod selection;
mod sharded;
mod tags;
mod task;
mod test_patterns;
mod testng;
mod texts;

pub(crate) use container::{Containers, is_archive_name};
pub use references::{References, references};
pub(crate) use test_patterns::TestPatterns;

use crate::content::Contents;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::plan::Lock;
use testfleet_protocol::request::RunRequest;
use testfleet_protocol::test::{TaskPath, TestName};

/// All tests of a build.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    /// In the order of the request.
    pub tasks: Vec<DiscoveredTask>,
    /// What the user should know.
    pub notices: Vec<Notice>,
}

/// The tests of one Test task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveredTask {
    /// Which task.
    pub task: TaskPath,
    /// Class files that its `include` and `exclude` let in, whatever tests are asked for by name.
    pub searched: u64,
    /// Classes with tests that the filters leave, by name.
    pub classes: Vec<TestClass>,
}

/// A class that a worker can be told to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestClass {
    /// Binary name of the top-level test class (or static nested one) that the framework is told to run.
    pub class: String,
    /// Whose rules found it.
    pub framework: FoundBy,
    /// Tests that the filters leave, sorted.
    pub tests: Vec<TestName>,
    /// No filter took a test away.
    pub whole_class: bool,
    /// SHA-256 in hex of the class files that it consists of: its own, those nested in it, and its ancestors.
    pub sha256: String,
    /// Whether the framework itself named the tests, because class files do not tell them.
    #[serde(default)]
    pub asked: bool,
    /// What planning asks of it.
    #[serde(default)]
    pub traits: Traits,
}

/// What says how a class may be split and what it must not run beside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traits {
    /// Its methods have an order that may be meant (`@TestMethodOrder`, `@FixMethodOrder`, `@Stepwise`, TestNG's
    /// `dependsOn...` and `priority`): running some of them alone may break them.
    pub ordered: bool,
    /// One instance lives through all its methods (`@TestInstance(PER_CLASS)`, TestNG): they may share what it holds.
    pub per_class: bool,
    /// `@Isolated`, or the like: nothing else is to run beside it.
    pub isolated: bool,
    /// `@ResourceLock`s of the class and of its methods, ordered; those of resources that each JVM has for itself too.
    pub locks: Vec<Lock>,
    /// Tests whose invocations can be run some at a time (Jupiter's `@ParameterizedTest` and `@RepeatedTest`), sorted.
    pub sliceable: Vec<TestName>,
    /// Size of the class files that it consists of, in bytes: what is known of a class that never ran.
    pub bytes: u64,
}

/// By whose rules a class was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// JUnit Jupiter.
    #[default]
    Jupiter,
    /// JUnit 4's `@Test`.
    #[serde(rename = "junit4")]
    JUnit4,
    /// JUnit 3's `TestCase`.
    #[serde(rename = "junit3")]
    JUnit3,
    /// JUnit 4's `Suite` or `Enclosed`.
    Suite,
    /// TestNG.
    #[serde(rename = "testng")]
    TestNg,
    /// Another engine of the JUnit Platform; which is known to the harness alone.
    Engine,
}

/// Something that the user should know, though discovery goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// What.
    pub text: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Discovery {
    /// How many tests there are.
    pub fn test_count(&self) -> usize {
        self.tasks.iter().flat_map(|task| &task.classes).map(|class| class.tests.len()).sum()
    }
}

/// Finds the tests of all Test tasks of a build.
///
/// # Errors
/// `BrokenClassFile` for a class file or jar that is needed and can't be read, `InvalidRequest` for a tag
/// expression that is none, `NoTests` when `--tests` patterns select nothing.
pub fn discover(request: &RunRequest) -> Result<Discovery> {
    discover_counting(request).map(|(discovery, _)| discovery)
}

/// What discovery had to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Test tasks that were searched.
    pub searched: u64,
    /// Test tasks whose tests were known from an earlier run.
    pub known: u64,
    /// Bytes that were read to see whether they had changed.
    pub bytes_read: u64,
}

/// As [`discover`], with what it had to do.
///
/// # Errors
/// As for [`discover`].
pub fn discover_counting(request: &RunRequest) -> Result<(Discovery, Effort)> {
    let contents = Arc::new(Contents::open(&request.state_dir));
    let containers = Containers::new(Arc::clone(&contents));
    let cache = cache::Cache::new(&contents);
    let tests = &request.options.tests;
    cache.hash_all(&request.tasks);
    let found: Vec<_> = request
        .tasks
        .par_iter()
        .map(|task| cache.find(task, tests, || task::discover(task, tests, &containers)))
        .collect::<Result<_>>()?;
    contents.save();
    let known = cache.known();
    let effort = Effort { searched: found.len() as u64 - known, known, bytes_read: contents.bytes_read() };
    let mut discovery = Discovery::default();
    for (task, notices) in found {
        discovery.tasks.push(task);
        discovery.notices.extend(notices);
    }
    if !request.options.tests.is_empty() && discovery.test_count() == 0 {
        return Err(notices::no_match(request, &discovery));
    }
    Ok((discovery, effort))
}

#[cfg(test)]
mod cache_tests;
#[cfg(test)]
mod fixture_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod jar_tests;
