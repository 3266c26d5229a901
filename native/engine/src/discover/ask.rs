//! What class files can't tell is asked: which questions there are, and what an answer makes of a class.

use super::classpath::Classpath;
use super::found::FoundTest;
use super::selection::Selection;
use super::{FoundBy, Notice, TestClass, Traits, notices};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use testfleet_protocol::request::RunRequest;
use testfleet_protocol::test::{TaskPath, TestName, Thrown};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Gets answers out of the test frameworks themselves.
pub trait AskHarness: Sync {
    /// An answer for each class of each question, in the order of the questions.
    ///
    /// # Errors
    /// Whatever kept the frameworks from answering; a class that can't be looked into is an [`Answer::Refused`].
    fn ask(&self, request: &RunRequest, questions: &[Question]) -> Result<Vec<BTreeMap<String, Answer>>>;
}

/// What is asked of one Test task's framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose JVM profile.
    pub task: TaskPath,
    /// Binary names, each once, sorted.
    pub classes: Vec<String>,
    /// Why, with the number of classes: `the engine net.jqwik.engine.JqwikTestEngine`.
    pub reasons: BTreeMap<String, u64>,
}

/// What a framework says of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It looked into it.
    Found {
        /// Ids of the engines that find tests there, sorted; `junit4` and `testng` for these frameworks.
        engines: Vec<String>,
        /// The tests, named as they would be reported, those that tags, categories or groups leave; none when it is no
        /// test class.
        tests: Vec<TestName>,
    },
    /// It could not.
    Refused(Thrown),
}

impl Answer {
    /// The kind of what a class is refused with over which the JVM gave no sign of life.
    pub const NO_ANSWER: &str = "NoAnswer";
}

/// The test that stands for a class that can't be looked into, as JUnit names it.
const REFUSED_TEST: &str = "initializationError()";

/// Why a class is asked about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// It makes other classes' tests its own: `@Suite`, `suite()`, a runner without rules.
    Suite(String),
    /// It has, or may have, more tests than its class files tell.
    More(String),
    /// An engine of which class files tell nothing is on the classpath.
    Engine(String),
}

impl Reason {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Suite(text) | Self::More(text) | Self::Engine(text) => text,
        }
    }
}

/// What an answer makes of a class: the class with the tests that the filters leave, and what the user should know.
pub(super) type Outcome = (Option<TestClass>, Vec<Notice>);

/// Answers about classes of one Test task.
pub(super) struct Answers<'a> {
    pub(super) task: &'a TaskPath,
    pub(super) classpath: &'a Classpath,
    pub(super) selection: &'a Selection,
}

impl Answers<'_> {
    /// The class as the framework sees it; `known` is what its class files tell, `class` its name and hash alone.
    ///
    /// # Errors
    /// `DiscoveryFailed` for a class over which the JVM hung and of which class files tell nothing: running it would hang, too.
    pub(super) fn settle(
        &self,
        class: TestClass,
        known: Option<TestClass>,
        reason: Option<&Reason>,
        answer: &Answer,
    ) -> Result<Outcome> {
        match answer {
            Answer::Found { engines, tests } => self.found(class, known, reason, engines, tests),
            Answer::Refused(thrown) => self.refused(class, known, thrown),
        }
    }

    fn found(
        &self,
        class: TestClass,
        known: Option<TestClass>,
        reason: Option<&Reason>,
        engines: &[String],
        tests: &[TestName],
    ) -> Result<Outcome> {
        let mut wanted = BTreeSet::new();
        for test in tests {
            if self.selection.wants_name(&self.as_found(&class.class, test)?) {
                wanted.insert(test.clone());
            }
        }
        let all: BTreeSet<&TestName> = tests.iter().collect();
        if let Some(known) = known {
            if known.tests.iter().eq(&wanted) {
                return Ok((Some(known), Vec::new()));
            }
            if all.is_empty() {
                return Ok((None, vec![notices::only_in_class_files(self.task, &known)]));
            }
            let asked = self.asked(class, Some(known.framework), known.traits, reason, engines);
            let whole_class = wanted.len() == all.len();
            return Ok((with_tests(asked, wanted, whole_class), Vec::new()));
        }
        let whole_class = wanted.len() == all.len();
        // Nothing is known of how its tests depend on each other.
        let traits = Traits { ordered: true, per_class: true, ..class.traits.clone() };
        let asked = self.asked(class, None, traits, reason, engines);
        Ok((with_tests(asked, wanted, whole_class), Vec::new()))
    }

    fn asked(
        &self,
        class: TestClass,
        known: Option<FoundBy>,
        traits: Traits,
        reason: Option<&Reason>,
        engines: &[String],
    ) -> TestClass {
        let framework = match reason {
            Some(Reason::Suite(_)) if only_known(engines) => FoundBy::Suite,
            _ => found_by(engines, known),
        };
        TestClass { framework, traits, asked: true, ..class }
    }

    fn refused(&self, class: TestClass, known: Option<TestClass>, thrown: &Thrown) -> Result<Outcome> {
        if let Some(known) = known {
            let notice =
                notices::refused(self.task, &known.class, thrown, "its tests are planned as its class files have them");
            return Ok((Some(known), vec![notice]));
        }
        let patterns = &self.selection.patterns;
        let is_wanted = patterns.is_empty() || patterns.selects_class(&class.class);
        if !is_wanted {
            return Ok((None, Vec::new()));
        }
        if thrown.kind == Answer::NO_ANSWER {
            return Err(Failure::new(
                FailureCode::DiscoveryFailed,
                format!("failed to find the tests of {} in {}", class.class, self.task),
            )
            .cause_text(thrown.message.clone())
            .hint("look at its static initialiser and at what its constructor waits for; or exclude it from the Test task"));
        }
        // Where the framework runs it, it fails: so it is planned, and its verdict says so.
        let notice = notices::refused(self.task, &class.class, thrown, "it is planned, and will most likely fail");
        let test = TestName { class: class.class.clone(), method: REFUSED_TEST.to_owned() };
        let traits = Traits { ordered: true, per_class: true, ..class.traits.clone() };
        let planned = TestClass {
            framework: FoundBy::Engine,
            tests: vec![test],
            whole_class: true,
            asked: true,
            traits,
            ..class
        };
        Ok((Some(planned), vec![notice]))
    }

    /// What the filters by name ask of an answer's test.
    fn as_found(&self, class: &str, test: &TestName) -> Result<FoundTest> {
        let bare = test.method.split('(').next().unwrap_or_default();
        let mut classes = vec![test.class.clone()];
        let mut method = bare;
        // A test that belongs to a suite: `com.acme.FooTest.adds()`.
        if let Some((member, name)) = bare.rsplit_once('.')
            && self.classpath.class(member)?.is_some()
        {
            classes.insert(0, member.to_owned());
            method = name;
        }
        let mut around = test.class.as_str();
        while let Some((outer, _)) = around.rsplit_once('$') {
            classes.push(outer.to_owned());
            around = outer;
        }
        classes.push(class.to_owned());
        Ok(FoundTest { name: test.clone(), classes: classes.into(), method: method.to_owned(), tags: Vec::new() })
    }
}

fn with_tests(class: TestClass, wanted: BTreeSet<TestName>, whole_class: bool) -> Option<TestClass> {
    (!wanted.is_empty()).then(|| TestClass { tests: wanted.into_iter().collect(), whole_class, ..class })
}

/// By whose rules tests of these engines are named and run.
fn found_by(engines: &[String], known: Option<FoundBy>) -> FoundBy {
    if !only_known(engines) {
        return FoundBy::Engine;
    }
    known.or_else(|| engines.iter().filter_map(|id| rules_of(id)).min()).unwrap_or(FoundBy::Engine)
}

/// Whether class files are read by the rules of all these engines.
pub(super) fn only_known(engines: &[String]) -> bool {
    engines.iter().all(|id| rules_of(id).is_some())
}

fn rules_of(engine: &str) -> Option<FoundBy> {
    match engine {
        "junit-jupiter" => Some(FoundBy::Jupiter),
        "junit-vintage" | "junit4" => Some(FoundBy::JUnit4),
        "testng" => Some(FoundBy::TestNg),
        "junit-platform-suite" => Some(FoundBy::Suite),
        _ => None,
    }
}
