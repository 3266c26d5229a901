//! The JVM at work, and what its harness says in the coordinator's words.

use crate::jvm::Jvm;
use crate::text::pieces;
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, ClassFailure, UnitAttempt};
use testfleet_protocol::event::Attempt;
use testfleet_protocol::harness::{FromHarness, ToHarness};
use testfleet_protocol::plan::{Unit, UnitId};
use testfleet_protocol::request::Framework;
use testfleet_protocol::test::{Stream, TaskPath, TestName};
use testfleet_protocol::{Result, VERSION};
use tokio::time::Instant;

/// How long a JVM may take to end by itself (shutdown hooks write coverage) before it is killed.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(10);

/// A unit in hand.
pub(crate) struct Assigned {
    pub(crate) unit: Unit,
    pub(crate) attempt: Attempt,
}

impl Assigned {
    pub(crate) fn into_attempt(self) -> UnitAttempt {
        UnitAttempt { unit: self.unit.id, attempt: self.attempt }
    }
}

/// The JVM at work.
pub(crate) struct Live {
    pub(crate) jvm: Jvm,
    pub(crate) task: TaskPath,
    pub(crate) ready: bool,
    /// Whether it was started to be asked.
    pub(crate) for_asking: bool,
    /// Whether it looks for the tests of classes.
    pub(crate) asking: bool,
    /// Whether it was killed because it gave no answer.
    pub(crate) hung: bool,
    /// When it is killed unless it became ready, answered, or ended, before.
    pub(crate) deadline: Option<Instant>,
    /// Told to end, or killed; it takes no more units.
    pub(crate) ending: bool,
    /// Why the agent kills it, when that is no ordinary end.
    verdict: Option<String>,
    /// How many units it was given.
    pub(crate) units_run: u32,
    running: Option<Running>,
}

/// The unit that a JVM runs.
struct Running {
    assigned: Assigned,
    failures: Vec<ClassFailure>,
}

impl Live {
    /// A JVM that was just started and configured.
    pub(crate) fn new(jvm: Jvm, task: TaskPath, ready_by: Option<Instant>, for_asking: bool) -> Self {
        Self {
            jvm,
            task,
            ready: false,
            for_asking,
            asking: false,
            hung: false,
            deadline: ready_by,
            ending: false,
            verdict: None,
            units_run: 0,
            running: None,
        }
    }

    /// Whether it can take a unit, or be told to end.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready && !self.ending && !self.asking && self.running.is_none()
    }

    /// Asks it for the tests of classes.
    pub(crate) fn ask(&mut self, classes: Vec<String>, answer_by: Instant) -> Result<()> {
        self.jvm.send(&ToHarness::Discover { classes })?;
        self.asking = true;
        self.deadline = Some(answer_by);
        Ok(())
    }

    /// It answered: the next answer may take its time again, if there is one to come.
    pub(crate) fn answer_by(&mut self, next: Instant) {
        if !self.ending {
            self.deadline = self.asking.then_some(next);
        }
    }

    /// Gives it a unit.
    pub(crate) fn run(&mut self, assigned: Assigned) -> Result<()> {
        self.jvm.send(&ToHarness::RunUnit {
            unit: assigned.unit.id.0.clone(),
            class: assigned.unit.class.clone(),
            whole_class: assigned.unit.whole_class,
            tests: assigned.unit.tests.clone(),
            invocations: assigned.unit.slice.map(|slice| slice.invocations),
        })?;
        self.units_run += 1;
        self.running = Some(Running { assigned, failures: Vec::new() });
        Ok(())
    }

    /// Tells it to end in order.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.ending = true;
        self.deadline = Some(Instant::now() + SHUTDOWN_WITHIN);
        self.jvm.send(&ToHarness::Shutdown)
    }

    /// Kills it for a reason that its death is then told with.
    pub(crate) fn doom(&mut self, verdict: String) {
        self.verdict.get_or_insert(verdict);
        self.ending = true;
        self.deadline = None;
        self.jvm.kill();
    }

    /// It ended: the unit that it ran, and why, unless it ended as it was told.
    pub(crate) fn into_end(self, how: String) -> (Option<Assigned>, Option<String>) {
        let wanted = self.ending && self.verdict.is_none() && self.running.is_none() && !self.asking;
        let reason = self.verdict.map_or(how.clone(), |verdict| format!("{verdict}; {how}"));
        (self.running.map(|running| running.assigned), (!wanted).then_some(reason))
    }

    /// What the JVM process itself wrote.
    pub(crate) fn raw(&self, stream: Stream, text: String) -> AgentMessage {
        let unit = self.running.as_ref().map(|running| running.assigned.unit.id.clone());
        AgentMessage::Output { unit, test: None, stream, text }
    }

    /// What the coordinator is told of what the harness said.
    pub(crate) fn translate(&mut self, message: FromHarness) -> Vec<AgentMessage> {
        match message {
            FromHarness::Ready { protocol, java_version } => {
                tracing::info!("harness ready on Java {java_version}, protocol {protocol}");
                if protocol != VERSION {
                    self.doom(format!("its harness speaks protocol {protocol}, not {VERSION}"));
                    return Vec::new();
                }
                self.ready = true;
                self.deadline = None;
                vec![AgentMessage::JvmStarted { task: self.task.clone(), pid: self.jvm.pid }]
            }
            FromHarness::Fault { message, hint } => {
                let hint = if hint.is_empty() { hint } else { format!(" (hint: {hint})") };
                self.doom(format!("{message}{hint}"));
                Vec::new()
            }
            FromHarness::Output { unit, test, stream, bytes } => {
                let unit = (!unit.is_empty()).then_some(UnitId(unit));
                output(unit, test, stream, &String::from_utf8_lossy(&bytes))
            }
            FromHarness::TestStarted { unit, test } => {
                self.of_unit(&unit, |unit, attempt| AgentMessage::TestStarted { unit, attempt, test })
            }
            FromHarness::InvocationFinished { unit, test, invocation, finished } => {
                self.of_unit(&unit, |unit, attempt| AgentMessage::InvocationFinished {
                    unit,
                    attempt,
                    test,
                    invocation,
                    finished,
                })
            }
            FromHarness::TestFinished { unit, test, finished } => {
                self.of_unit(&unit, |unit, attempt| AgentMessage::TestFinished { unit, attempt, test, finished })
            }
            FromHarness::ClassFailed { unit, class, thrown } => {
                match self.running.as_mut().filter(|running| running.assigned.unit.id.0 == unit) {
                    Some(running) => running.failures.push(ClassFailure { class, thrown }),
                    None => tracing::warn!("the harness told of a failure of {class} in {unit}, which it does not run"),
                }
                Vec::new()
            }
            FromHarness::Discovered { .. } | FromHarness::DiscoveryFailed { .. } | FromHarness::DiscoveryFinished => {
                Vec::new()
            }
            FromHarness::UnitFinished { unit } => {
                let running = self.running.take_if(|running| running.assigned.unit.id.0 == unit);
                let finished = running.map(|Running { assigned, failures }| AgentMessage::UnitFinished {
                    unit: assigned.unit.id,
                    attempt: assigned.attempt,
                    failures,
                });
                finished.into_iter().collect()
            }
        }
    }

    /// A message about the unit that runs; one about another is none.
    fn of_unit(&self, unit: &str, message: impl FnOnce(UnitId, Attempt) -> AgentMessage) -> Vec<AgentMessage> {
        match self.running.as_ref().filter(|running| running.assigned.unit.id.0 == unit) {
            Some(Running { assigned, .. }) => vec![message(assigned.unit.id.clone(), assigned.attempt)],
            None => {
                tracing::warn!("the harness told of a test of {unit}, which it does not run");
                Vec::new()
            }
        }
    }
}

fn output(unit: Option<UnitId>, test: Option<TestName>, stream: Stream, text: &str) -> Vec<AgentMessage> {
    let message =
        |piece: &str| AgentMessage::Output { unit: unit.clone(), test: test.clone(), stream, text: piece.to_owned() };
    pieces(text).map(message).collect()
}

/// A framework's name and options as the harness takes them.
pub(crate) fn framework(framework: &Framework) -> (String, Vec<(String, String)>) {
    let mut options = Vec::new();
    let mut all = |name: &str, values: &[String]| {
        options.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
    };
    let name = match framework {
        Framework::JunitPlatform { include_tags, exclude_tags, include_engines, exclude_engines } => {
            all("includeTags", include_tags);
            all("excludeTags", exclude_tags);
            all("includeEngines", include_engines);
            all("excludeEngines", exclude_engines);
            "junit-platform"
        }
        Framework::JUnit4 { include_categories, exclude_categories } => {
            all("includeCategories", include_categories);
            all("excludeCategories", exclude_categories);
            "junit4"
        }
        Framework::TestNg { include_groups, exclude_groups, listeners, parallel, thread_count } => {
            all("includeGroups", include_groups);
            all("excludeGroups", exclude_groups);
            all("listeners", listeners);
            all("parallel", parallel.as_slice());
            if *thread_count > 0 {
                all("threadCount", &[thread_count.to_string()]);
            }
            "testng"
        }
    };
    (name.to_owned(), options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_the_names_that_json_gives_them() {
        let testng = Framework::TestNg {
            include_groups: vec!["a".into(), "b".into()],
            exclude_groups: vec!["c".into()],
            listeners: vec!["d".into()],
            parallel: Some("methods".into()),
            thread_count: 4,
        };
        let platform = Framework::JunitPlatform {
            include_tags: vec!["a".into()],
            exclude_tags: vec!["b".into()],
            include_engines: vec!["c".into()],
            exclude_engines: vec!["d".into()],
        };
        let junit4 = Framework::JUnit4 { include_categories: vec!["a".into()], exclude_categories: vec!["b".into()] };
        for known in [testng, platform, junit4] {
            let json = serde_json::to_value(&known).unwrap();
            let (name, options) = framework(&known);
            assert_eq!(json["name"], name.as_str());
            let fields: std::collections::BTreeSet<_> =
                json.as_object().unwrap().keys().filter(|key| *key != "name").collect();
            let named: std::collections::BTreeSet<_> = options.iter().map(|(name, _)| name).collect();
            assert_eq!(named, fields);
        }
    }
}
