//! Expected durations, also of tests that never ran.

use super::guess::{Guesses, Known, LEAST_US, Size};
use super::timings::Timings;
use crate::discover::{Discovery, TestClass};
use crate::history::InvocationTimes;
use std::collections::HashMap;
use testfleet_protocol::plan::EstimateSource;
use testfleet_protocol::test::{TaskPath, TestName};

/// As many known tests of a class count as much as what the class's size tells.
const SHRINKAGE: f64 = 2.0;
/// What a class's set-up is taken for when none was ever timed, in microseconds.
const UNKNOWN_SETUP_US: f64 = 3_000.0;
/// As many set-ups count as much as that.
const SETUP_SHRINKAGE: f64 = 5.0;
/// What the start of a JVM is taken for where none was timed, in microseconds. A round figure: builds with a JVM for each
/// module or class pay 0.6 to 0.9 s for each.
const UNKNOWN_JVM_START_US: u64 = 700_000;

/// No estimate is longer, in milliseconds: a year. A damaged duration of the past would otherwise make sums overflow.
pub(super) const LONGEST_MS: u64 = 365 * 24 * 60 * 60 * 1_000;

/// What is known, and what the unknown is guessed by.
pub(super) struct Estimates<'a> {
    timings: &'a Timings,
    guessed: HashMap<(&'a TaskPath, &'a str), GuessedTest>,
    guesses: Guesses<'a>,
    setup_us: u64,
}

/// What a test of a class is taken for that never ran, in microseconds.
#[derive(Debug, Clone, Copy)]
struct GuessedTest(u64);

impl<'a> Estimates<'a> {
    /// What `timings` tell of the classes that were discovered now.
    pub(super) fn new(timings: &'a Timings, discovery: &'a Discovery) -> Self {
        let mut ran = Vec::new();
        let mut known_tests = HashMap::new();
        let mut setups: Vec<f64> = Vec::new();
        for (task, class) in classes(discovery) {
            let durations: Vec<u64> = class.tests.iter().filter_map(|test| timings.of_test(task, test)).collect();
            if let Some(setup) = timings.of_setup(task, &class.class) {
                setups.push((setup.max(1) as f64).ln());
            }
            if durations.is_empty() {
                continue;
            }
            let sum: f64 = durations.iter().map(|micros| *micros as f64).sum();
            known_tests.insert((task, class.class.as_str()), (durations.len() as f64, sum));
            let micros = sum * class.tests.len() as f64 / durations.len() as f64;
            ran.push(Known { task, class: &class.class, size: size(class), micros });
        }
        let guesses = Guesses::new(ran);
        let guess = |task: &'a TaskPath, class: &'a TestClass| {
            let by_size = guesses.of(task, &class.class, size(class)) / class.tests.len().max(1) as f64;
            let (count, sum) = known_tests.get(&(task, class.class.as_str())).copied().unwrap_or_default();
            GuessedTest(((sum + SHRINKAGE * by_size) / (count + SHRINKAGE)) as u64)
        };
        let guessed =
            classes(discovery).map(|(task, class)| ((task, class.class.as_str()), guess(task, class))).collect();
        // Summed up in one order, so that equal classes give equal sums.
        setups.sort_by(f64::total_cmp);
        let known = setups.len() as f64;
        let log = (setups.iter().sum::<f64>() + SETUP_SHRINKAGE * UNKNOWN_SETUP_US.ln()) / (known + SETUP_SHRINKAGE);
        Self { timings, guessed, guesses, setup_us: log.exp() as u64 }
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
        // No class takes no time at all, however quick its tests are: it is loaded, and its results travel.
        (micros.max(LEAST_US as u64).div_ceil(1000).clamp(1, LONGEST_MS), source)
    }

    /// Microseconds of one test of the top-level class `class`, without the class's set-up.
    pub(super) fn of_test(&self, task: &TaskPath, class: &str, test: &TestName) -> u64 {
        self.timings.of_test(task, test).unwrap_or_else(|| match self.guessed.get(&(task, class)) {
            Some(GuessedTest(micros)) => *micros,
            // No class that was discovered: as a class with this test alone.
            None => self.guesses.of(task, class, Size { tests: 1, bytes: 0 }) as u64,
        })
    }

    /// Whether past runs tell how long a test takes.
    pub(super) fn is_known(&self, task: &TaskPath, test: &TestName) -> bool {
        self.timings.of_test(task, test).is_some()
    }

    /// Microseconds that a top-level class takes beyond its tests, each time that some of them are run.
    pub(super) fn of_setup(&self, task: &TaskPath, class: &str) -> u64 {
        self.timings.of_setup(task, class).unwrap_or(self.setup_us)
    }

    /// How a test's time is spread over its invocations, if a run told it: shares of [`Self::of_test`] rather than
    /// durations of their own. `None` for tests that took too little to be sliced.
    pub(super) fn of_invocations(&self, task: &TaskPath, test: &TestName) -> Option<&InvocationTimes> {
        self.timings.of_invocations(task, test)
    }

    #[allow(dead_code, reason = "groups charge a round figure as yet")]
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
}

fn classes(discovery: &Discovery) -> impl Iterator<Item = (&TaskPath, &TestClass)> {
    discovery.tasks.iter().flat_map(|task| task.classes.iter().map(move |class| (&task.task, class)))
}

fn size(class: &TestClass) -> Size {
    Size { tests: class.tests.len(), bytes: class.traits.bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::{DiscoveredTask, Traits};
    use std::time::Duration;
    use testfleet_protocol::test::TestId;

    fn name(class: &str, method: &str) -> TestName {
        TestName { class: class.into(), method: method.into() }
    }

    fn task() -> TaskPath {
        TaskPath(":test".into())
    }

    /// Classes with their sizes and methods.
    fn discovery(classes: &[(&str, u64, &[&str])]) -> Discovery {
        let class = |(class, bytes, methods): &(&str, u64, &[&str])| TestClass {
            class: (*class).to_owned(),
            tests: methods.iter().map(|method| name(class, method)).collect(),
            traits: Traits { bytes: *bytes, ..Traits::default() },
            ..TestClass::default()
        };
        let tasks = vec![DiscoveredTask { task: task(), searched: 0, classes: classes.iter().map(class).collect() }];
        Discovery { tasks, notices: vec![] }
    }

    fn timings(durations: &[(&str, &str, u64)]) -> Timings {
        let mut timings = Timings::default();
        for (class, method, ms) in durations {
            timings.record(&TestId { task: task(), name: name(class, method) }, Duration::from_millis(*ms));
        }
        timings
    }

    #[test]
    fn known_tests_count_as_they_are_and_unknown_ones_like_those_beside_them() {
        let mut timings = timings(&[("a.X", "one()", 1_000), ("a.X", "two()", 3_000), ("a.Y", "one()", 8)]);
        timings.record_class(&task(), "a.X", Duration::from_millis(5), Duration::ZERO);
        let discovery = discovery(&[("a.X", 5_000, &["one()", "two()", "new()"]), ("a.Y", 5_000, &["one()", "new()"])]);
        let estimates = Estimates::new(&timings, &discovery);
        let of = |class: &str, tests: &[&str]| {
            let tests: Vec<TestName> = tests.iter().map(|test| name(class, test)).collect();
            estimates.of(&task(), class, &tests)
        };
        assert_eq!(of("a.X", &["one()"]), (1_005, EstimateSource::Timings));
        let (both, source) = of("a.X", &["one()", "new()"]);
        assert_eq!(source, EstimateSource::Partly);
        assert!((1_900..4_000).contains(&both), "{both}");
        let (new, source) = of("a.Y", &["new()"]);
        assert_eq!(source, EstimateSource::Guess);
        assert!(new < 1_000, "{new}");
        assert!(estimates.of(&task(), "b.Elsewhere", &[name("b.Elsewhere", "x()")]).0 > 0);
    }

    #[test]
    fn unknown_classes_differ_by_size_and_package() {
        let known: Vec<(String, u64)> = (0..10).map(|number| (format!("slow.C{number}"), 2_000)).collect();
        let known: Vec<(String, u64)> =
            known.into_iter().chain((0..10).map(|number| (format!("quick.C{number}"), 2))).collect();
        let timings = timings(&known.iter().map(|(class, ms)| (class.as_str(), "t()", *ms)).collect::<Vec<_>>());
        let mut classes: Vec<(&str, u64, &[&str])> =
            known.iter().map(|(class, _)| (class.as_str(), 2_000, &["t()"] as &[&str])).collect();
        classes.extend([("slow.New", 2_000, &["t()"] as &[&str]), ("quick.New", 2_000, &["t()"])]);
        classes.extend([("other.Small", 1_000, &["t()"] as &[&str]), ("other.Large", 90_000, &["t()", "u()"])]);
        let discovery = discovery(&classes);
        let estimates = Estimates::new(&timings, &discovery);
        let of = |class: &str| estimates.of_test(&task(), class, &name(class, "t()"));
        assert!(of("slow.New") > 5 * of("quick.New"), "{} {}", of("slow.New"), of("quick.New"));
        assert!(of("other.Large") > of("other.Small"));
    }

    #[test]
    fn a_damaged_duration_makes_no_estimate_that_overflows() {
        let mut timings = Timings::default();
        let test = name("a.X", "x()");
        timings.record(&TestId { task: task(), name: test.clone() }, Duration::MAX);
        let discovery = discovery(&[("a.X", 500, &["x()", "y()"])]);
        let estimates = Estimates::new(&timings, &discovery);
        assert_eq!(estimates.of(&task(), "a.X", &[test]).0, LONGEST_MS);
        assert!(estimates.of(&task(), "a.X", &[name("a.X", "y()")]).0 <= LONGEST_MS);
    }

    #[test]
    fn no_estimate_is_zero_and_classes_of_no_length_are_spread() {
        let classes: Vec<String> = (0..40).map(|number| format!("a.C{number}")).collect();
        let mut timings = Timings::default();
        for class in &classes {
            timings.record(&TestId { task: task(), name: name(class, "t()") }, Duration::ZERO);
            timings.record_class(&task(), class, Duration::ZERO, Duration::ZERO);
        }
        let discovery =
            discovery(&classes.iter().map(|class| (class.as_str(), 900, &["t()"] as &[&str])).collect::<Vec<_>>());
        let estimates = Estimates::new(&timings, &discovery);
        assert_eq!(estimates.of(&task(), "a.C0", &[name("a.C0", "t()")]), (1, EstimateSource::Timings));
        let mut request = crate::test_request::empty();
        request.options.workers = 4;
        let plan = super::super::plan(&discovery, &super::super::Past::of(&timings), &request).unwrap();
        assert!(plan.groups.iter().all(|group| (8..=12).contains(&group.units.len())), "{:?}", plan.groups);
    }
}
