//! Expected durations, also of tests that never ran.

use super::durations::{Durations, Expected};
use super::timings::Timings;
use crate::discover::TestClass;
use std::collections::HashMap;
use testfleet_protocol::plan::EstimateSource;
use testfleet_protocol::test::{TaskPath, TestName};

/// What a test is taken for when nothing was ever timed, in microseconds.
const UNKNOWN_TEST_US: u64 = 20_000;
/// The same for a class's set-up.
const UNKNOWN_SETUP_US: u64 = 20_000;

/// No estimate is longer, in milliseconds: a year. A damaged duration of the past would otherwise make sums overflow.
pub(super) const LONGEST_MS: u64 = 365 * 24 * 60 * 60 * 1_000;

/// Mean durations of what is known, to guess the rest by.
pub(super) struct Estimates<'a> {
    timings: &'a Timings,
    by_class: HashMap<(&'a TaskPath, &'a str), Mean>,
    by_package: HashMap<(&'a TaskPath, &'a str), Mean>,
    overall: Mean,
    setup: Mean,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: u128,
    count: u128,
}

impl Mean {
    fn add(&mut self, value: u64) {
        self.sum += u128::from(value);
        self.count += 1;
    }

    fn value(self) -> Option<u64> {
        self.sum.checked_div(self.count).map(|mean| u64::try_from(mean).unwrap_or(u64::MAX))
    }
}

impl<'a> Estimates<'a> {
    /// Means of all that was timed.
    pub(super) fn new(timings: &'a Timings) -> Self {
        let mut estimates = Self {
            timings,
            by_class: HashMap::new(),
            by_package: HashMap::new(),
            overall: Mean::default(),
            setup: Mean::default(),
        };
        for (task, class, duration) in timings.all_tests() {
            estimates.by_class.entry((task, class)).or_default().add(duration);
            estimates.by_package.entry((task, package(class))).or_default().add(duration);
            estimates.overall.add(duration);
        }
        timings.all_setups().for_each(|setup| estimates.setup.add(setup));
        estimates
    }

    #[cfg(test)]
    /// Milliseconds, at least one, for tests of a class with its set-up.
    pub(super) fn of(&self, task: &TaskPath, class: &str, tests: &[TestName]) -> (u64, EstimateSource) {
        let mut known = 0;
        let mut micros = self.of_setup(task, class);
        for test in tests {
            let duration = match self.timings.of_test(task, test) {
                Some(duration) => {
                    known += 1;
                    duration
                }
                None => self.guess(task, &test.class),
            };
            micros = micros.saturating_add(duration);
        }
        let source = match known {
            0 => EstimateSource::Guess,
            all if all == tests.len() => EstimateSource::Timings,
            _ => EstimateSource::Partly,
        };
        (micros.div_ceil(1000).clamp(1, LONGEST_MS), source)
    }

    fn of_setup(&self, task: &TaskPath, class: &str) -> u64 {
        self.timings.of_setup(task, class).or(self.setup.value()).unwrap_or(UNKNOWN_SETUP_US)
    }

    fn guess(&self, task: &TaskPath, class: &str) -> u64 {
        let mean = |means: &HashMap<_, Mean>, name| means.get(&(task, name)).and_then(|mean: &Mean| mean.value());
        mean(&self.by_class, class)
            .or_else(|| mean(&self.by_package, package(class)))
            .or_else(|| self.overall.value())
            .unwrap_or(UNKNOWN_TEST_US)
    }
}

impl Durations for Estimates<'_> {
    fn test(&self, task: &TaskPath, _class: &TestClass, test: &TestName) -> Expected {
        match self.timings.of_test(task, test) {
            Some(us) => Expected { us, known: true },
            None => Expected { us: self.guess(task, &test.class), known: false },
        }
    }

    fn setup_us(&self, task: &TaskPath, class: &TestClass) -> u64 {
        self.of_setup(task, &class.class)
    }

    fn invocations_us(&self, _task: &TaskPath, _test: &TestName) -> Vec<u64> {
        Vec::new()
    }

    fn failed_recently(&self, _task: &TaskPath, _test: &TestName) -> bool {
        false
    }

    fn is_new(&self, task: &TaskPath, test: &TestName) -> bool {
        self.timings.of_test(task, test).is_none()
    }
}

fn package(class: &str) -> &str {
    class.rsplit_once('.').map_or("", |(package, _)| package)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use testfleet_protocol::test::TestId;

    fn name(class: &str, method: &str) -> TestName {
        TestName { class: class.into(), method: method.into() }
    }

    #[test]
    fn unknown_tests_take_the_mean_of_the_nearest_that_is_known() {
        let task = TaskPath(":test".into());
        let mut timings = Timings::default();
        for (class, method, ms) in
            [("a.X", "one()", 10), ("a.X", "two()", 30), ("a.Y", "one()", 80), ("b.Z", "one()", 200)]
        {
            timings.record(&TestId { task: task.clone(), name: name(class, method) }, Duration::from_millis(ms));
        }
        timings.record_class(&task, "a.X", Duration::from_millis(5), Duration::ZERO);
        let estimates = Estimates::new(&timings);
        let of = |class: &str, tests: &[TestName]| estimates.of(&task, class, tests);
        assert_eq!(of("a.X", &[name("a.X", "one()")]), (15, EstimateSource::Timings));
        assert_eq!(of("a.X", &[name("a.X", "one()"), name("a.X", "new()")]), (35, EstimateSource::Partly));
        assert_eq!(of("a.New", &[name("a.New", "x()")]), (45, EstimateSource::Guess));
        assert_eq!(of("c.New", &[name("c.New", "x()")]), (85, EstimateSource::Guess));
    }

    #[test]
    fn a_damaged_duration_makes_no_estimate_that_overflows() {
        let task = TaskPath(":test".into());
        let mut timings = Timings::default();
        let test = name("a.X", "x()");
        timings.record(&TestId { task: task.clone(), name: test.clone() }, Duration::MAX);
        assert_eq!(Estimates::new(&timings).of(&task, "a.X", &[test]).0, LONGEST_MS);
    }

    #[test]
    fn no_estimate_is_zero() {
        let task = TaskPath(":test".into());
        let mut timings = Timings::default();
        timings.record(&TestId { task: task.clone(), name: name("a.X", "x()") }, Duration::ZERO);
        timings.record_class(&task, "a.X", Duration::ZERO, Duration::ZERO);
        assert_eq!(Estimates::new(&timings).of(&task, "a.X", &[name("a.X", "x()")]).0, 1);
        let nothing = Timings::default();
        assert_eq!(Estimates::new(&nothing).of(&task, "a.X", &[name("a.X", "x()")]), (40, EstimateSource::Guess));
    }
}
