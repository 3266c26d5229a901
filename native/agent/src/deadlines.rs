//! When a unit and its tests are over their limits, by the agent's own monotonic clock.
//!
//! A class's time counts from when its unit was given to the JVM. A test's time counts from its start, but for when the
//! harness says that nothing of it runs. Several tests may run at once; each has its own time. While the agent does not
//! listen to the JVM, because too much waits for the coordinator, no time counts.

use std::collections::BTreeMap;
use std::time::Duration;
use testfleet_protocol::run_options::Timeouts;
use testfleet_protocol::test::TestName;
use tokio::time::Instant;

/// The limits of the unit at hand.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    test: Option<Duration>,
    class: Option<Duration>,
    class_by: Option<Instant>,
    tests: BTreeMap<TestName, Clock>,
}

/// The time of one test.
#[derive(Debug)]
struct Clock {
    left: Option<Duration>,
    /// `None` while it is paused.
    since: Option<Instant>,
}

impl Clock {
    fn by(&self) -> Option<Instant> {
        Some(self.since? + self.left?)
    }
}

/// What is over its limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// The whole run.
    Run(Duration),
    /// The unit.
    Class(Duration),
    /// These tests.
    Tests(Duration, Vec<TestName>),
}

impl Deadlines {
    /// For JVMs under these limits.
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        Self {
            test: timeouts.test_ms.map(Duration::from_millis),
            class: timeouts.class_ms.map(Duration::from_millis),
            ..Self::default()
        }
    }

    pub(crate) fn unit_started(&mut self, now: Instant) {
        self.tests.clear();
        self.class_by = self.class.map(|limit| now + limit);
    }

    pub(crate) fn unit_finished(&mut self) {
        self.tests.clear();
        self.class_by = None;
    }

    pub(crate) fn test_started(&mut self, test: TestName, now: Instant) {
        self.tests.insert(test, Clock { left: self.test, since: Some(now) });
    }

    pub(crate) fn test_paused(&mut self, test: &TestName, now: Instant) {
        if let Some(clock) = self.tests.get_mut(test)
            && let Some(since) = clock.since.take()
        {
            clock.left = clock.left.map(|left| left.saturating_sub(now - since));
        }
    }

    pub(crate) fn test_resumed(&mut self, test: &TestName, now: Instant) {
        if let Some(clock) = self.tests.get_mut(test) {
            clock.since.get_or_insert(now);
        }
    }

    pub(crate) fn test_finished(&mut self, test: &TestName) {
        self.tests.remove(test);
    }

    /// The time until which nobody listened does not count.
    pub(crate) fn postpone(&mut self, by: Duration) {
        self.class_by = self.class_by.map(|at| at + by);
        for clock in self.tests.values_mut() {
            clock.since = clock.since.map(|since| since + by);
        }
    }

    /// When something is over its limit next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.tests.values().filter_map(Clock::by).chain(self.class_by).min()
    }

    /// What is over its limit; tests before their class, as they tell more.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Overdue> {
        let late = |clock: &Clock| clock.by().is_some_and(|by| by <= now);
        let tests: Vec<_> = self.tests.iter().filter(|(_, clock)| late(clock)).map(|(test, _)| test.clone()).collect();
        match (self.test, self.class) {
            (Some(limit), _) if !tests.is_empty() => Some(Overdue::Tests(limit, tests)),
            (_, Some(limit)) if self.class_by.is_some_and(|by| by <= now) => Some(Overdue::Class(limit)),
            _ => None,
        }
    }

    /// Tests that have started and not finished, but for those that are paused.
    pub(crate) fn running(&self) -> Vec<TestName> {
        self.tests.iter().filter(|(_, clock)| clock.since.is_some()).map(|(test, _)| test.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(method: &str) -> TestName {
        TestName { class: "A".into(), method: method.into() }
    }

    fn limits(test_ms: Option<u64>, class_ms: Option<u64>) -> Deadlines {
        Deadlines::new(Timeouts { test_ms, class_ms, run_ms: None })
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn each_test_has_its_own_time() {
        let start = Instant::now();
        let mut deadlines = limits(Some(100), None);
        deadlines.unit_started(start);
        deadlines.test_started(test("a"), start);
        deadlines.test_started(test("b"), start + ms(50));
        assert_eq!(deadlines.next(), Some(start + ms(100)));
        assert_eq!(deadlines.overdue(start + ms(99)), None);
        assert_eq!(deadlines.overdue(start + ms(100)), Some(Overdue::Tests(ms(100), vec![test("a")])));
        deadlines.test_finished(&test("a"));
        assert_eq!(deadlines.next(), Some(start + ms(150)));
        deadlines.unit_finished();
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn a_pause_does_not_count() {
        let start = Instant::now();
        let mut deadlines = limits(Some(100), None);
        deadlines.test_started(test("a"), start);
        deadlines.test_paused(&test("a"), start + ms(60));
        assert_eq!((deadlines.next(), deadlines.running().len()), (None, 0));
        deadlines.test_resumed(&test("a"), start + ms(1_000));
        assert_eq!(deadlines.next(), Some(start + ms(1_040)));
        deadlines.test_resumed(&test("a"), start + ms(1_020));
        assert_eq!(deadlines.next(), Some(start + ms(1_040)), "it goes on already");
    }

    #[test]
    fn the_class_counts_from_the_unit_and_tests_go_first() {
        let start = Instant::now();
        let mut deadlines = limits(Some(100), Some(100));
        deadlines.unit_started(start);
        assert_eq!(deadlines.overdue(start + ms(100)), Some(Overdue::Class(ms(100))));
        deadlines.test_started(test("a"), start);
        assert_eq!(deadlines.overdue(start + ms(100)), Some(Overdue::Tests(ms(100), vec![test("a")])));
    }

    #[test]
    fn time_in_which_nobody_listened_does_not_count() {
        let start = Instant::now();
        let mut deadlines = limits(Some(100), Some(500));
        deadlines.unit_started(start);
        deadlines.test_started(test("a"), start);
        deadlines.postpone(ms(70));
        assert_eq!(deadlines.next(), Some(start + ms(170)));
        deadlines.test_finished(&test("a"));
        assert_eq!(deadlines.next(), Some(start + ms(570)));
    }

    #[test]
    fn without_limits_nothing_is_late() {
        let mut deadlines = limits(None, None);
        deadlines.unit_started(Instant::now());
        deadlines.test_started(test("a"), Instant::now());
        assert_eq!((deadlines.next(), deadlines.overdue(Instant::now())), (None, None));
        assert_eq!(deadlines.running(), [test("a")]);
    }
}
