//! What planning asks of the past.

use super::estimate::Estimates;
use crate::discover::TestClass;
use testfleet_protocol::test::{TaskPath, TestName};

/// A test with more invocations is not sliced: a number like that is damage rather than a test.
const MOST_INVOCATIONS: u32 = 1 << 20;

/// How long a test is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Microseconds.
    pub us: u64,
    /// Whether earlier runs of this very test say so; otherwise it is a guess.
    pub known: bool,
}

/// Expected durations and the recent fate of tests. All answers are functions of their arguments alone, so that equal
/// pasts give equal plans.
pub trait Durations {
    /// A test of a class, without the class's set-up.
    fn test(&self, task: &TaskPath, class: &TestClass, test: &TestName) -> Expected;

    /// What a class takes beyond its tests, in microseconds: each part of it that runs by itself pays this again.
    fn setup_us(&self, task: &TaskPath, class: &TestClass) -> u64;

    /// Microseconds of each invocation of a test in their order; empty when nothing is known of them.
    fn invocations_us(&self, task: &TaskPath, test: &TestName) -> Vec<u64>;

    /// From the start of a JVM of the Test task until it can run tests, in microseconds.
    fn jvm_start_us(&self, _task: &TaskPath) -> u64 {
        super::PROFILE_SWITCH_MS * 1_000
    }

    /// Whether the test did not pass in one of its last runs.
    fn failed_recently(&self, task: &TaskPath, test: &TestName) -> bool;

    /// Whether the test never ran.
    fn is_new(&self, task: &TaskPath, test: &TestName) -> bool;
}

impl Durations for Estimates<'_> {
    fn test(&self, task: &TaskPath, class: &TestClass, test: &TestName) -> Expected {
        Expected { us: self.of_test(task, &class.class, test), known: self.is_known(task, test) }
    }

    fn setup_us(&self, task: &TaskPath, class: &TestClass) -> u64 {
        self.of_setup(task, &class.class)
    }

    fn jvm_start_us(&self, task: &TaskPath) -> u64 {
        self.of_jvm_start(task).unwrap_or(super::PROFILE_SWITCH_MS * 1_000)
    }

    fn invocations_us(&self, task: &TaskPath, test: &TestName) -> Vec<u64> {
        let Some(times) = self.of_invocations(task, test).filter(|times| times.count() <= MOST_INVOCATIONS) else {
            return Vec::new();
        };
        // They are shares of what the test takes.
        let (all, total) = (u128::from(self.of_test(task, &test.class, test)), u128::from(times.total().max(1)));
        let share = |us: u64| u64::try_from(u128::from(us) * all / total).unwrap_or(u64::MAX);
        (1..=times.count()).map(|number| share(times.between(number, Some(number)))).collect()
    }

    fn failed_recently(&self, task: &TaskPath, test: &TestName) -> bool {
        self.failed_recently(task, test)
    }

    fn is_new(&self, task: &TaskPath, test: &TestName) -> bool {
        self.is_new(task, test)
    }
}
