//! How long each test took in past runs.

use crate::document;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::test::{TaskPath, TestId, TestName};
use testfleet_protocol::{FailureCode, Result, VERSION};

/// Of how many runs durations are kept: enough that one bad run moves no median.
const KEPT_RUNS: usize = 5;

pub(crate) const DOCUMENT: document::Kind = document::Kind {
    what: "timings file",
    broken: FailureCode::TimingsBroken,
    hint: "delete it: the next run writes a new one, and until then estimates are guesses",
};

/// Past durations by Test task, class and method, in microseconds, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    protocol: u32,
    tasks: BTreeMap<TaskPath, BTreeMap<String, ClassTimings>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClassTimings {
    /// What the class took beyond its tests: class initialisation, `@BeforeAll`, `@AfterAll`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    setup: Vec<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tests: BTreeMap<String, Vec<u64>>,
}

impl Default for Timings {
    fn default() -> Self {
        Self { protocol: VERSION, tasks: BTreeMap::new() }
    }
}

impl Timings {
    /// Reads timings; a missing file is empty timings.
    ///
    /// # Errors
    /// `TimingsBroken` for a damaged file, `ProtocolVersion` for one of another version.
    pub fn load(path: &Path) -> Result<Self> {
        Ok(DOCUMENT.read(path)?.unwrap_or_default())
    }

    /// Writes timings, whole or not at all: sorted, one line per class, so that version control merges them.
    ///
    /// # Errors
    /// `Io` when the file can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        document::write(path, &self.bytes()?)
    }

    /// Notes how long a test took in the newest run.
    pub fn record(&mut self, test: &TestId, duration: Duration) {
        let class = self.class_mut(&test.task, &test.name.class);
        push(class.tests.entry(test.name.method.clone()).or_default(), duration);
    }

    /// Notes how long a top-level class took in the newest run, from its start to its end and in its tests alone;
    /// the difference is its set-up.
    pub fn record_class(&mut self, task: &TaskPath, class: &str, wall: Duration, tests: Duration) {
        push(&mut self.class_mut(task, class).setup, wall.saturating_sub(tests));
    }

    /// Forgets the tests that the Test tasks of `plan`, which holds all that they have, no longer have.
    pub fn keep_only(&mut self, plan: &Plan) {
        let mut planned: BTreeMap<&TaskPath, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
        for unit in &plan.units {
            let classes = planned.entry(&unit.task).or_default();
            // The set-up of a class is kept under its own name, also when all its tests are in nested classes.
            classes.entry(unit.class.as_str()).or_default();
            for test in &unit.tests {
                classes.entry(test.class.as_str()).or_default().insert(test.method.as_str());
            }
        }
        for (task, classes) in &mut self.tasks {
            let Some(planned) = planned.get(task) else { continue };
            classes.retain(|name, class| match planned.get(name.as_str()) {
                Some(methods) => {
                    class.tests.retain(|method, _| methods.contains(method.as_str()));
                    true
                }
                None => false,
            });
        }
    }

    /// Whether nothing was ever recorded.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Median of a test's last runs, in microseconds.
    pub(super) fn of_test(&self, task: &TaskPath, test: &TestName) -> Option<u64> {
        self.class(task, &test.class)?.tests.get(&test.method).and_then(|runs| median(runs))
    }

    /// Median of a class's set-up in its last runs, in microseconds.
    pub(super) fn of_setup(&self, task: &TaskPath, class: &str) -> Option<u64> {
        self.class(task, class).and_then(|class| median(&class.setup))
    }

    /// Task, class and median of every test, in order.
    pub(super) fn all_tests(&self) -> impl Iterator<Item = (&TaskPath, &str, u64)> {
        self.tasks.iter().flat_map(|(task, classes)| {
            classes.iter().flat_map(move |(name, class)| {
                class.tests.values().filter_map(move |runs| Some((task, name.as_str(), median(runs)?)))
            })
        })
    }

    /// Median set-up of every class.
    pub(super) fn all_setups(&self) -> impl Iterator<Item = u64> {
        self.tasks.values().flat_map(BTreeMap::values).filter_map(|class| median(&class.setup))
    }

    pub(super) fn fingerprint(&self) -> Result<String> {
        Ok(crate::hash::sha256(&self.bytes()?))
    }

    fn class(&self, task: &TaskPath, class: &str) -> Option<&ClassTimings> {
        self.tasks.get(task)?.get(class)
    }

    fn class_mut(&mut self, task: &TaskPath, class: &str) -> &mut ClassTimings {
        self.tasks.entry(task.clone()).or_default().entry(class.to_owned()).or_default()
    }

    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        let mut text = format!("{{\"protocol\": {},\n\"tasks\": {{", self.protocol);
        for (index, (task, classes)) in self.tasks.iter().enumerate() {
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            text.push_str(&format!("{}: {{", json(task)?));
            for (index, (name, class)) in classes.iter().enumerate() {
                text.push_str(if index == 0 { "\n" } else { ",\n" });
                text.push_str(&format!(" {}: {}", json(name)?, json(class)?));
            }
            text.push_str("\n}");
        }
        text.push_str("\n}}\n");
        Ok(text.into_bytes())
    }
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        testfleet_protocol::Failure::new(FailureCode::Internal, "failed to write timings as JSON").cause(&error)
    })
}

fn push(runs: &mut Vec<u64>, duration: Duration) {
    runs.push(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    let excess = runs.len().saturating_sub(KEPT_RUNS);
    runs.drain(..excess);
}

/// The middle value; of two middle values the larger, since a late worker costs more than an early one.
fn median(runs: &[u64]) -> Option<u64> {
    let mut sorted = runs.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(class: &str, method: &str) -> TestId {
        TestId { task: TaskPath(":test".into()), name: TestName { class: class.into(), method: method.into() } }
    }

    #[test]
    fn the_median_of_the_last_five_runs_counts() {
        let mut timings = Timings::default();
        for ms in [9000, 10, 30, 20, 5000, 25] {
            timings.record(&id("a.B", "c()"), Duration::from_millis(ms));
        }
        let test = id("a.B", "c()");
        assert_eq!(timings.of_test(&test.task, &test.name), Some(25_000));
    }

    #[test]
    fn set_up_is_what_tests_do_not_explain() {
        let mut timings = Timings::default();
        let task = TaskPath(":test".into());
        timings.record_class(&task, "a.B", Duration::from_millis(50), Duration::from_millis(20));
        timings.record_class(&task, "a.C", Duration::from_millis(5), Duration::from_millis(20));
        assert_eq!(timings.of_setup(&task, "a.B"), Some(30_000));
        assert_eq!(timings.of_setup(&task, "a.C"), Some(0));
    }

    #[test]
    fn timings_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/timings.json");
        let mut timings = Timings::default();
        timings.record(&id("a.B", "c(java.lang.String[])"), Duration::from_micros(7));
        timings.record(&id("a.\"é", "d()"), Duration::from_micros(0));
        timings.record_class(&TaskPath(":x:test".into()), "a.B", Duration::MAX, Duration::ZERO);
        timings.save(&path).unwrap();
        assert_eq!(Timings::load(&path).unwrap(), timings);
        Timings::default().save(&path).unwrap();
        assert_eq!(Timings::load(&path).unwrap(), Timings::default());
    }

    #[test]
    fn a_missing_file_is_empty_and_a_broken_one_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timings.json");
        assert!(Timings::load(&path).unwrap().is_empty());
        std::fs::write(&path, "{\"protocol\": 1, \"tasks\": {\":a\": {\"b\": {\"te").unwrap();
        let failure = Timings::load(&path).unwrap_err();
        assert_eq!(failure.code, FailureCode::TimingsBroken);
        assert!(failure.hint.unwrap().contains("delete"));
        std::fs::write(&path, "{\"protocol\": 99}").unwrap();
        assert_eq!(Timings::load(&path).unwrap_err().code, FailureCode::ProtocolVersion);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("timings.json");
            std::fs::write(&path, &bytes).unwrap();
            let _ = Timings::load(&path);
        }
    }
}
