//! Expected durations, also of tests that never ran.

use super::timings::Timings;
use crate::discover::{Discovery, TestClass};
use crate::history::InvocationTimes;
use std::collections::HashMap;
use testfleet_protocol::plan::EstimateSource;
use testfleet_protocol::test::{TaskPath, TestName};

/// What a test is taken for when nothing was ever timed, in microseconds.
const UNKNOWN_TEST_US: f64 = 20_000.0;
/// The same for a class's set-up.
const UNKNOWN_SETUP_US: u64 = 20_000;
/// No class takes less, in microseconds, however quick its tests are: it is loaded, its results travel.
const LEAST_CLASS_US: u64 = 500;
/// What the start of a JVM is taken for where none was timed, in microseconds. A round figure: builds with a JVM for each
/// module or class pay 0.6 to 0.9 s for each.
const UNKNOWN_JVM_START_US: u64 = 700_000;
/// As many classes of a group count as much as all that is known of the larger group.
const SHRINKAGE: f64 = 3.0;

/// No estimate is longer, in milliseconds: a year. A damaged duration of the past would otherwise make sums overflow.
pub(super) const LONGEST_MS: u64 = 365 * 24 * 60 * 60 * 1_000;

/// What is known, and what the unknown is guessed by.
pub(super) struct Estimates<'a> {
    timings: &'a Timings,
    by_class: HashMap<(&'a TaskPath, &'a str), Mean>,
    by_package: HashMap<(&'a TaskPath, &'a str), Mean>,
    overall: Mean,
    setup: Mean,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    fn shrunk(self, towards: f64) -> f64 {
        (self.sum + SHRINKAGE * towards) / (self.count + SHRINKAGE)
    }
}

impl<'a> Estimates<'a> {
    /// What `timings` tell of the classes that were discovered now.
    pub(super) fn new(timings: &'a Timings, discovery: &'a Discovery) -> Self {
        let mut estimates = Self {
            timings,
            by_class: HashMap::new(),
            by_package: HashMap::new(),
            overall: Mean::default(),
            setup: Mean::default(),
        };
        for (task, class, duration) in timings.all_tests() {
            let log = (duration.max(1) as f64).ln();
            estimates.by_class.entry((task, class)).or_default().add(log);
            estimates.by_package.entry((task, package(class))).or_default().add(log);
            estimates.overall.add(log);
        }
        for (task, class) in classes(discovery) {
            if let Some(setup) = timings.of_setup(task, &class.class) {
                estimates.setup.add((setup.max(1) as f64).ln());
            }
        }
        estimates
    }

    #[allow(dead_code, reason = "estimates are tested by it")]
    /// Milliseconds, at least one, for tests of a class with its set-up.
    pub(super) fn of(&self, task: &TaskPath, class: &str, tests: &[TestName]) -> (u64, EstimateSource) {
        let mut micros = self.of_setup(task, class);
        for test in tests {
            micros = micros.saturating_add(self.of_test(task, class, test));
        }
        let source = match tests.iter().filter(|test| self.is_known(task, test)).count() {
            0 => EstimateSource::Guess,
            all if all == tests.len() => EstimateSource::Timings,
            _ => EstimateSource::Partly,
        };
        (micros.max(LEAST_CLASS_US).div_ceil(1000).clamp(1, LONGEST_MS), source)
    }

    /// Microseconds of one test of the top-level class `class`, without the class's set-up.
    pub(super) fn of_test(&self, task: &TaskPath, class: &str, test: &TestName) -> u64 {
        self.timings.of_test(task, test).unwrap_or_else(|| self.guess(task, class, test))
    }

    /// Whether past runs tell how long a test takes.
    pub(super) fn is_known(&self, task: &TaskPath, test: &TestName) -> bool {
        self.timings.of_test(task, test).is_some()
    }

    /// Microseconds that a top-level class takes beyond its tests, each time that some of them are run.
    pub(super) fn of_setup(&self, task: &TaskPath, class: &str) -> u64 {
        let guess = || self.setup.shrunk((UNKNOWN_SETUP_US as f64).ln()).exp() as u64;
        self.timings.of_setup(task, class).unwrap_or_else(guess)
    }

    /// How a test's time is spread over its invocations, if a run told it: shares of [`Self::of_test`] rather than
    /// durations of their own. `None` for tests that took too little to be sliced.
    pub(super) fn of_invocations(&self, task: &TaskPath, test: &TestName) -> Option<&InvocationTimes> {
        self.timings.of_invocations(task, test)
    }

    /// Microseconds from the start of a JVM of the Test task until it can run tests.
    pub(super) fn of_jvm_start(&self, task: &TaskPath) -> u64 {
        self.timings.of_jvm_start(task).unwrap_or(UNKNOWN_JVM_START_US)
    }

    /// Whether a test did not pass in its last run.
    pub(super) fn failed_recently(&self, task: &TaskPath, test: &TestName) -> bool {
        self.timings.failed_recently(task, test)
    }

    /// Whether no run of a test is known.
    pub(super) fn is_new(&self, task: &TaskPath, test: &TestName) -> bool {
        self.timings.is_new(task, test)
    }

    fn guess(&self, task: &TaskPath, class: &str, test: &TestName) -> u64 {
        let mean = |means: &HashMap<_, Mean>, name| means.get(&(task, name)).copied().unwrap_or_default();
        let overall = self.overall.shrunk(UNKNOWN_TEST_US.ln());
        let package = mean(&self.by_package, package(class)).shrunk(overall);
        mean(&self.by_class, &test.class).shrunk(package).exp() as u64
    }
}

fn classes(discovery: &Discovery) -> impl Iterator<Item = (&TaskPath, &TestClass)> {
    discovery.tasks.iter().flat_map(|task| task.classes.iter().map(move |class| (&task.task, class)))
}

fn package(class: &str) -> &str {
    class.rsplit_once('.').map_or("", |(package, _)| package)
}
