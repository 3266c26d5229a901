//! How long each test took in past runs, and how it ended.

use crate::document;
use crate::history::file::{self, File, Head, Line, cells, columns, series};
use crate::history::{
    InvocationTimes, KEPT_RUNS, LONGEST_US, Observation, PastRun, RunKey, Series, WORTH_KEEPING_US, expected,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use testfleet_protocol::plan::{Plan, Unit};
use testfleet_protocol::test::{TaskPath, TestId, TestName, Verdict};
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// Of how many runs it is kept what was predicted and what came.
const PAST_RUNS: usize = 20;
/// Of how many runs it is kept how a test's time was spread over its invocations.
const KEPT_INVOCATIONS: usize = 2;
/// The day on which a class was last seen is written again when so many have passed, so that a class that is not run
/// does not change its line every day.
const SEEN_STEP_DAYS: u32 = 7;

pub(crate) const DOCUMENT: document::Kind = document::Kind {
    what: "timings file",
    broken: FailureCode::TimingsBroken,
    hint: "delete it: the next run writes a new one, and until then estimates are guesses",
};

/// The last runs by Test task, class and method. Two of them merge: in any order and however often, the same comes out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "File")]
pub struct Timings {
    /// Whose observations are being recorded.
    run: RunKey,
    tasks: BTreeMap<TaskPath, TaskTimings>,
    past: Series<PastRun, PAST_RUNS>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct TaskTimings {
    /// From the start of a JVM until its harness answered.
    jvm: Series<u64>,
    classes: BTreeMap<String, ClassTimings>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ClassTimings {
    /// The last day on which it was there without being run.
    seen: Option<u32>,
    /// What the class took beyond its tests: class initialisation, `@BeforeAll`, `@AfterAll`.
    setup: Series<u64>,
    tests: BTreeMap<String, TestTimings>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct TestTimings {
    runs: Series<Observation>,
    invocations: Series<InvocationTimes, KEPT_INVOCATIONS>,
}

/// Recording.
impl Timings {
    /// What is recorded from now on is of this run. Without it, it is of a run of which nothing is known, older than all others.
    pub fn begin_run(&mut self, run: RunKey) {
        self.run = run;
    }

    /// Notes that a test passed in this run and how long it took.
    pub fn record(&mut self, test: &TestId, duration: Duration) {
        self.record_outcome(test, Observation::Passed(micros(duration)));
    }

    /// Notes what a test came to in this run. What was noted for this run before is replaced.
    pub fn record_outcome(&mut self, test: &TestId, came_to: Observation) {
        let run = self.run;
        self.test_mut(test).runs.set(run, came_to);
    }

    /// Notes what became of a test in this run; `duration` is that of the attempt that the verdict comes from. Reused
    /// tests were not run, and of a lost or errored test it is unknown how long it takes.
    pub fn record_verdict(&mut self, test: &TestId, verdict: Verdict, duration: Duration) {
        let micros = micros(duration);
        match verdict {
            Verdict::Passed | Verdict::Skipped => self.record_outcome(test, Observation::Passed(micros)),
            Verdict::Flaky | Verdict::Failed => self.record_outcome(test, Observation::Failed(micros.max(1))),
            Verdict::Errored | Verdict::Lost => self.record_outcome(test, Observation::Broken),
            Verdict::Reused => {}
        }
    }

    /// Notes how long each invocation of a test took in this run, in the order of their numbers. Nothing is kept of tests
    /// that are too short to be sliced.
    pub fn record_invocations(&mut self, test: &TestId, durations: &[Duration]) {
        let micros: Vec<u64> = durations.iter().map(|duration| self::micros(*duration)).collect();
        let run = self.run;
        if let Some(times) = InvocationTimes::new(&micros).filter(|times| times.total() >= WORTH_KEEPING_US) {
            self.test_mut(test).invocations.set(run, times);
        }
    }

    /// Notes how long a top-level class took in this run, from its start to its end and in its tests alone;
    /// the difference is its set-up.
    pub fn record_class(&mut self, task: &TaskPath, class: &str, wall: Duration, tests: Duration) {
        let run = self.run;
        self.class_mut(task, class).setup.set(run, micros(wall.saturating_sub(tests)));
    }

    /// Notes how long a JVM of the Test task took in this run from its start until its harness answered.
    pub fn record_jvm_start(&mut self, task: &TaskPath, duration: Duration) {
        let run = self.run;
        self.tasks.entry(task.clone()).or_default().jvm.set(run, micros(duration));
    }

    /// Notes what was predicted of this run and what it came to.
    pub fn record_run(&mut self, run: PastRun) {
        self.past.set(self.run, run);
    }

    /// Notes that these units are still there, though they were not run. Days are counted from the Unix epoch.
    pub fn record_seen<'a>(&mut self, today: u32, units: impl Iterator<Item = &'a Unit>) {
        for unit in units {
            for class in unit.tests.iter().map(|test| &test.class).chain([&unit.class]) {
                let known = self.tasks.get_mut(&unit.task).and_then(|task| task.classes.get_mut(class));
                if let Some(class) = known
                    && class.seen.is_none_or(|day| day.saturating_add(SEEN_STEP_DAYS) <= today)
                {
                    class.seen = Some(today);
                }
            }
        }
    }
}

/// Forgetting and merging.
impl Timings {
    /// Forgets the tests that Test tasks no longer have: those of which `plan` holds all tests, as `is_whole` says.
    pub fn keep_only(&mut self, plan: &Plan, is_whole: impl Fn(&TaskPath) -> bool) {
        let mut planned: BTreeMap<&TaskPath, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
        for unit in &plan.units {
            let classes = planned.entry(&unit.task).or_default();
            // The set-up of a class is kept under its own name, also when all its tests are in nested classes.
            classes.entry(unit.class.as_str()).or_default();
            for test in &unit.tests {
                classes.entry(test.class.as_str()).or_default().insert(test.method.as_str());
            }
        }
        for (task, timings) in &mut self.tasks {
            let Some(planned) = planned.get(task).filter(|_| is_whole(task)) else { continue };
            timings.classes.retain(|name, class| match planned.get(name.as_str()) {
                Some(methods) => {
                    class.tests.retain(|method, _| methods.contains(method.as_str()));
                    true
                }
                None => false,
            });
        }
    }

    /// Forgets what was not seen in the last `days` before `today`, both counted in days since the Unix epoch; with 0 days
    /// nothing. What was never dated is dated now.
    pub fn expire(&mut self, today: u32, days: u32) {
        if days == 0 {
            return;
        }
        let oldest = today.saturating_sub(days);
        for task in self.tasks.values_mut() {
            task.classes.retain(|_, class| class.expire(today, oldest));
        }
        self.tasks.retain(|_, task| {
            !task.classes.is_empty() || task.jvm.newest().is_some_and(|(run, _)| run.day() >= Some(oldest))
        });
    }

    /// Adds what others saw.
    pub fn merge(&mut self, other: &Self) {
        for (path, theirs) in &other.tasks {
            let ours = self.tasks.entry(path.clone()).or_default();
            ours.jvm.merge(&theirs.jvm);
            for (name, class) in &theirs.classes {
                ours.classes.entry(name.clone()).or_default().merge(class);
            }
        }
        self.past.merge(&other.past);
    }
}

impl ClassTimings {
    fn merge(&mut self, other: &Self) {
        self.seen = self.seen.max(other.seen);
        self.setup.merge(&other.setup);
        for (method, test) in &other.tests {
            let ours = self.tests.entry(method.clone()).or_default();
            ours.runs.merge(&test.runs);
            ours.invocations.merge(&test.invocations);
        }
    }

    /// Forgets tests that are older; whether anything is left.
    fn expire(&mut self, today: u32, oldest: u32) -> bool {
        let newest = self.keys().filter_map(RunKey::day).max();
        if newest.is_none() && self.seen.is_none() {
            self.seen = Some(today);
        }
        let seen = self.seen;
        self.tests.retain(|_, test| {
            let day = test.runs.newest().and_then(|(run, _)| run.day()).max(seen);
            day.is_none_or(|day| day >= oldest)
        });
        newest.max(self.seen).is_some_and(|day| day >= oldest)
    }

    /// The runs of all that is known, some several times.
    fn keys(&self) -> impl Iterator<Item = RunKey> + '_ {
        let tests = self
            .tests
            .values()
            .flat_map(|test| test.runs.iter().map(|(run, _)| run).chain(test.invocations.iter().map(|(run, _)| run)));
        self.setup.iter().map(|(run, _)| run).chain(tests)
    }
}

/// Asking.
impl Timings {
    /// Whether nothing was ever recorded.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.past.is_empty()
    }

    /// Of how many tests something is known.
    pub fn test_count(&self) -> usize {
        self.tasks.values().flat_map(|task| task.classes.values()).map(|class| class.tests.len()).sum()
    }

    /// The last runs of all workers, the newest first.
    pub fn past_runs(&self) -> impl Iterator<Item = (RunKey, PastRun)> + '_ {
        self.past.iter().map(|(run, past)| (run, *past))
    }

    /// Whether the test did not pass in its last run.
    pub fn failed_recently(&self, task: &TaskPath, test: &TestName) -> bool {
        let newest = self.test(task, test).and_then(|test| test.runs.newest());
        newest.is_some_and(|(_, came_to)| !came_to.passed())
    }

    /// Whether no run of the test is known.
    pub fn is_new(&self, task: &TaskPath, test: &TestName) -> bool {
        self.test(task, test).is_none_or(|test| test.runs.is_empty())
    }

    /// What a test is expected to take, in microseconds; `None` when no run told it.
    pub fn of_test(&self, task: &TaskPath, test: &TestName) -> Option<u64> {
        expected_of(&self.test(task, test)?.runs)
    }

    /// What a class's set-up is expected to take, in microseconds.
    pub fn of_setup(&self, task: &TaskPath, class: &str) -> Option<u64> {
        self.class(task, class).and_then(|class| expected(class.setup.values().copied()))
    }

    /// What a JVM of the Test task is expected to take from its start until its harness answers, in microseconds.
    pub fn of_jvm_start(&self, task: &TaskPath) -> Option<u64> {
        expected(self.tasks.get(task)?.jvm.values().copied())
    }

    /// How a test's time was spread over its invocations in the last run that told it.
    pub fn of_invocations(&self, task: &TaskPath, test: &TestName) -> Option<&InvocationTimes> {
        self.test(task, test)?.invocations.newest().map(|(_, times)| times)
    }

    pub(super) fn fingerprint(&self) -> Result<String> {
        Ok(crate::hash::sha256(&self.bytes()?))
    }

    fn test(&self, task: &TaskPath, test: &TestName) -> Option<&TestTimings> {
        self.class(task, &test.class)?.tests.get(&test.method)
    }

    fn class(&self, task: &TaskPath, class: &str) -> Option<&ClassTimings> {
        self.tasks.get(task)?.classes.get(class)
    }

    fn class_mut(&mut self, task: &TaskPath, class: &str) -> &mut ClassTimings {
        self.tasks.entry(task.clone()).or_default().classes.entry(class.to_owned()).or_default()
    }

    fn test_mut(&mut self, test: &TestId) -> &mut TestTimings {
        self.class_mut(&test.task, &test.name.class).tests.entry(test.name.method.clone()).or_default()
    }
}

/// Reading and writing.
impl Timings {
    /// Reads timings; a missing file is empty timings.
    ///
    /// # Errors
    /// `TimingsBroken` for a damaged file, `ProtocolVersion` for one of another version.
    pub fn load(path: &Path) -> Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::io("read", path, &error)),
        }
    }

    /// Reads timings from the content of a file; `path` is for messages.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        if let Ok(Head { timings: Some(format), .. }) = serde_json::from_slice(bytes)
            && format > file::FORMAT
        {
            let cause = format!("it has format {format}, this Testfleet reads formats up to {}", file::FORMAT);
            let failure = DOCUMENT.failure(path).cause_text(cause);
            return Err(Failure { code: FailureCode::ProtocolVersion, ..failure });
        }
        DOCUMENT.parse(path, bytes)
    }

    /// Writes timings, whole or not at all: sorted, one line per class, so that version control merges them.
    ///
    /// # Errors
    /// `Io` when the file can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        document::write(path, &self.bytes()?)
    }

    /// The content of the file: equal timings give equal bytes.
    ///
    /// # Errors
    /// `Internal` when they have no JSON form.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let past = self.past.iter().map(|(run, past)| Line { run: Some(run), past: Some(*past), ..Line::default() });
        let tasks = self.tasks.iter().flat_map(|(path, task)| {
            let jvm = (!task.jvm.is_empty()).then(|| {
                let runs = columns(task.jvm.iter().map(|(run, _)| run));
                Line { task: Some(path.clone()), jvm: cells(&task.jvm, &runs), runs, ..Line::default() }
            });
            jvm.into_iter().chain(task.classes.iter().map(|(name, class)| class.line(path, name)))
        });
        file::text(VERSION, past.chain(tasks))
    }

    /// Adds a line of a file. Of several lines of one class, as a merge by version control may leave them, all count.
    fn add_line(&mut self, line: Line) -> std::result::Result<(), String> {
        if let (Some(run), Some(past)) = (line.run, line.past) {
            self.past.add(run, past);
            return Ok(());
        }
        let Some(path) = line.task else { return Err("a line is neither of a run nor of a Test task".to_owned()) };
        let task = self.tasks.entry(path).or_default();
        task.jvm.merge(&series(bounded(line.jvm), &line.runs)?);
        let Some(name) = line.class else { return Ok(()) };
        let class = task.classes.entry(name).or_default();
        class.seen = class.seen.max(line.seen);
        class.setup.merge(&series(bounded(line.setup), &line.runs)?);
        for (method, cells) in line.tests {
            class.tests.entry(method).or_default().runs.merge(&series(cells, &line.runs)?);
        }
        for (method, cells) in line.parts {
            class.tests.entry(method).or_default().invocations.merge(&series(cells, &line.runs)?);
        }
        Ok(())
    }
}

impl ClassTimings {
    fn line(&self, task: &TaskPath, name: &str) -> Line {
        let runs = columns(self.keys());
        let parts = self.tests.iter().filter(|(_, test)| !test.invocations.is_empty());
        Line {
            task: Some(task.clone()),
            class: Some(name.to_owned()),
            seen: self.seen,
            setup: cells(&self.setup, &runs),
            tests: self.tests.iter().map(|(method, test)| (method.clone(), cells(&test.runs, &runs))).collect(),
            parts: parts.map(|(method, test)| (method.clone(), cells(&test.invocations, &runs))).collect(),
            runs,
            ..Line::default()
        }
    }
}

impl TryFrom<File> for Timings {
    type Error = String;

    fn try_from(file: File) -> std::result::Result<Self, String> {
        let mut timings = Self::default();
        for (task, classes) in file.tasks {
            for (name, read) in classes {
                let class = timings.class_mut(&task, &name);
                class.setup = undated(&read.setup, |micros| micros.min(LONGEST_US));
                for (method, micros) in read.tests {
                    let runs = undated(&micros, |micros| Observation::Passed(micros.min(LONGEST_US)));
                    class.tests.entry(method).or_default().runs = runs;
                }
            }
        }
        file.lines.into_iter().flatten().try_for_each(|line| timings.add_line(line))?;
        timings.tasks.retain(|_, task| !task.classes.is_empty() || !task.jvm.is_empty());
        Ok(timings)
    }
}

/// What the first format kept, the oldest first: the last of all is of one run.
fn undated<T: Clone + Ord>(values: &[u64], found: impl Fn(u64) -> T) -> Series<T> {
    let mut series = Series::default();
    for (place, value) in (1..=KEPT_RUNS as u32).rev().zip(values.iter().rev()) {
        series.add(RunKey::unknown(place), found(*value));
    }
    series
}

fn bounded(cells: Vec<Option<u64>>) -> Vec<Option<u64>> {
    cells.into_iter().map(|micros| micros.map(|micros| micros.min(LONGEST_US))).collect()
}

fn expected_of(runs: &Series<Observation>) -> Option<u64> {
    expected(runs.values().filter_map(|came_to| came_to.micros()))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(LONGEST_US)
}

#[cfg(test)]
#[path = "timings_tests.rs"]
mod tests;
