//! Class directories and jars to test classes.
//!
//! Class files are parsed where they lie; nothing is loaded, unpacked or run. The rules are those of
//! the frameworks that the Test tasks name; docs/discovery.md says what class files can't tell.

mod annotation;
mod ask;
mod ask_cache;
mod ask_runners;
mod ask_verify;
mod cache;
mod cache_kept;
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
mod selection;
mod settings;
mod sharded;
mod spock;
mod tags;
mod task;
mod test_patterns;
mod testng;
mod texts;
mod traits;

pub use ask::{Answer, AskHarness, Question};
pub(crate) use ask_cache::AnswerCache;
#[cfg(any(fuzzing, test))]
pub(crate) use ask_cache::{DOCUMENT as ANSWERS, Kept};
pub use ask_verify::{BothSides, Verification};
use container::Containers;
pub(crate) use container::is_archive_name;
pub(crate) use jar::Jar;
pub(crate) use test_patterns::TestPatterns;

use crate::content::Contents;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::plan::Lock;
use testfleet_protocol::request::{RunRequest, TestTask};
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
    /// Spock.
    Spock,
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

/// Finds the tests of all Test tasks of a build, as far as class files tell them: what they don't is a notice.
///
/// # Errors
/// `BrokenClassFile` for a class file or jar that is needed and can't be read, `InvalidRequest` for a tag
/// expression that is none, `NoTests` when `--tests` patterns select nothing.
pub fn discover(request: &RunRequest) -> Result<Discovery> {
    let containers = Containers::new(Arc::new(Contents::forgetful()));
    let looked = look(request, &containers)?;
    let settled = looked.into_par_iter().map(|task| task.settle(None)).collect::<Result<_>>()?;
    gather(request, settled)
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

/// Finds the tests of all Test tasks of a build; where class files can't tell, the harness is asked. What was found
/// before, in equal files and by equal rules, is not looked for again.
///
/// # Errors
/// As for [`discover`] and [`AskHarness::ask`]; `DiscoveryFailed` for a class over which a framework hangs.
pub fn discover_and_ask(request: &RunRequest, harness: &dyn AskHarness) -> Result<(Discovery, Effort)> {
    let contents = Arc::new(Contents::open(&request.state_dir));
    let containers = Containers::new(Arc::clone(&contents));
    let cache = cache::Cache::new(&contents);
    let steps: Vec<Step<'_>> = if cache.is_empty() {
        look_at_all(request, &cache, &containers)?
    } else {
        look_at_unknown(request, &cache, &containers)?
    };
    let looked: Vec<&task::Looked<'_>> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Looked(_, looked) => Some(&**looked),
            Step::Known(_) => None,
        })
        .collect();
    let searched = looked.len() as u64;
    let mut answers = ask_all(request, &looked, harness, false)?.into_iter();
    let with_answers: Vec<(Step<'_>, Option<Answered>)> = steps
        .into_iter()
        .map(|step| {
            let answers = if matches!(step, Step::Looked(..)) { answers.next() } else { None };
            (step, answers)
        })
        .collect();
    let keyed: Vec<(Option<String>, Settled)> = with_answers
        .into_par_iter()
        .map(|(step, answers)| match step {
            Step::Known(settled) => Ok((None, settled)),
            Step::Looked(key, looked) => {
                let answered = answers.unwrap_or_default();
                let settled = looked.settle(Some(&answered.by_class))?;
                // Answers come from a JVM and are kept by what decides those.
                Ok((key.filter(|_| !answered.was_asked), settled))
            }
        })
        .collect::<Result<_>>()?;
    let found: Vec<(&TestTask, String, &Settled)> = request
        .tasks
        .iter()
        .zip(&keyed)
        .filter_map(|(task, (key, settled))| Some((task, key.clone()?, settled)))
        .collect();
    cache.put_all(&found);
    let settled = keyed.into_iter().map(|(_, settled)| settled).collect();
    // Nothing is parsed from here on, and nobody need wait until millions of parsed texts are freed.
    rayon::spawn(move || drop(containers));
    contents.save();
    let effort = Effort { searched, known: cache.known(), bytes_read: contents.bytes_read() };
    Ok((gather(request, settled)?, effort))
}

/// As [`discover_and_ask`], but the harness is asked about every class, and both lists are compared.
///
/// # Errors
/// As for [`discover_and_ask`]. A difference is none.
pub fn discover_and_verify(request: &RunRequest, harness: &dyn AskHarness) -> Result<(Discovery, Verification)> {
    let containers = Containers::new(Arc::new(Contents::forgetful()));
    let looked = look(request, &containers)?;
    let answers = ask_all(request, &looked.iter().collect::<Vec<_>>(), harness, true)?;
    let mut sides = Vec::new();
    for (task, answered) in looked.iter().zip(&answers) {
        sides.extend(task.both_sides(&answered.by_class)?);
    }
    let settled = looked
        .into_par_iter()
        .zip(answers.par_iter())
        .map(|(task, answered)| task.settle(Some(&answered.by_class)))
        .collect::<Result<_>>()?;
    Ok((gather(request, settled)?, Verification::of(sides)))
}

/// The tests of one Test task, with what the user should know about it.
type Settled = (DiscoveredTask, Vec<Notice>);

/// How far discovery of one Test task is.
enum Step<'a> {
    /// Found before.
    Known(Settled),
    /// Looked at, with the key to keep it under.
    Looked(Option<String>, Box<task::Looked<'a>>),
}

/// What the framework of a Test task said.
#[derive(Clone, Default)]
struct Answered {
    was_asked: bool,
    by_class: BTreeMap<String, Answer>,
}

/// Looks at all tasks, of none of which anything is known: jars are hashed meanwhile, as no key is needed to begin.
fn look_at_all<'a>(
    request: &'a RunRequest,
    cache: &cache::Cache<'_>,
    containers: &Containers,
) -> Result<Vec<Step<'a>>> {
    let tasks = &request.tasks;
    cache.hash_searched(tasks, containers);
    let (looked, ()) = rayon::join(|| look(request, containers), || cache.hash_all(tasks));
    let keys = tasks.par_iter().map(|task| cache.key(task, &request.options.tests));
    Ok(looked?.into_par_iter().zip(keys).map(|(looked, key)| Step::Looked(key, Box::new(looked))).collect())
}

/// Looks at the tasks of which nothing is known: hashes come first, as they tell of which.
fn look_at_unknown<'a>(
    request: &'a RunRequest,
    cache: &cache::Cache<'_>,
    containers: &Containers,
) -> Result<Vec<Step<'a>>> {
    cache.hash_all(&request.tasks);
    let step = |task: &'a TestTask| {
        let key = cache.key(task, &request.options.tests);
        Ok(match key.as_ref().and_then(|key| cache.get(key)) {
            Some(settled) => Step::Known(settled),
            None => Step::Looked(key, Box::new(task::look(task, &request.options.tests, containers)?)),
        })
    };
    request.tasks.par_iter().map(step).collect()
}

fn look<'a>(request: &'a RunRequest, containers: &Containers) -> Result<Vec<task::Looked<'a>>> {
    request.tasks.par_iter().map(|task| task::look(task, &request.options.tests, containers)).collect()
}

/// Answers for each task; none for one without a question.
fn ask_all(
    request: &RunRequest,
    looked: &[&task::Looked<'_>],
    harness: &dyn AskHarness,
    everything: bool,
) -> Result<Vec<Answered>> {
    let mut answers = vec![Answered::default(); looked.len()];
    let (indices, questions): (Vec<usize>, Vec<Question>) = looked
        .iter()
        .enumerate()
        .filter_map(|(index, task)| task.question(everything).map(|question| (index, question)))
        .unzip();
    if !questions.is_empty() {
        for (index, by_class) in indices.into_iter().zip(harness.ask(request, &questions)?) {
            answers[index] = Answered { was_asked: true, by_class };
        }
    }
    Ok(answers)
}

fn gather(request: &RunRequest, settled: Vec<Settled>) -> Result<Discovery> {
    let mut discovery = Discovery::default();
    for (task, notices) in settled {
        discovery.tasks.push(task);
        discovery.notices.extend(notices);
    }
    if !request.options.tests.is_empty() && discovery.test_count() == 0 {
        return Err(notices::no_match(request, &discovery));
    }
    Ok(discovery)
}

#[cfg(test)]
mod ask_tests;
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
