//! What planning asks of the past.

use crate::discover::TestClass;
use testfleet_protocol::test::{TaskPath, TestName};

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

    /// Whether the test did not pass in one of its last runs.
    fn failed_recently(&self, task: &TaskPath, test: &TestName) -> bool;

    /// Whether the test never ran.
    fn is_new(&self, task: &TaskPath, test: &TestName) -> bool;
}
