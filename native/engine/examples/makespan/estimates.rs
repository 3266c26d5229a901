//! Estimates that are off by so much.

use crate::recorded::Suite;
use testfleet_engine::discover::TestClass;
use testfleet_engine::plan::{Durations, Expected};
use testfleet_protocol::test::{TaskPath, TestName};

/// Random numbers that are the same everywhere: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, text: &str) -> Self {
        Self(text.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

/// What is known of a suite: the truth, each duration of it off by up to `percent`. With even seeds all of a class is
/// off alike, with odd seeds each test by itself.
pub(crate) struct Off<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) percent: u64,
    pub(crate) seed: u64,
}

impl Off<'_> {
    fn off(&self, us: u64, class: &str, method: &str) -> u64 {
        let method = if self.seed.is_multiple_of(2) { "" } else { method };
        let dice = Random::new(self.seed, &format!("{class} {method}")).next() % (2 * self.percent + 1);
        us * (100 + dice - self.percent) / 100
    }
}

impl Durations for Off<'_> {
    fn test(&self, _: &TaskPath, class: &TestClass, test: &TestName) -> Expected {
        let us = self.suite.classes[&class.class].tests[test].us();
        Expected { us: self.off(us, &class.class, &test.method), known: true }
    }

    fn setup_us(&self, _: &TaskPath, class: &TestClass) -> u64 {
        self.off(self.suite.classes[&class.class].setup_us, &class.class, "")
    }

    fn invocations_us(&self, _: &TaskPath, test: &TestName) -> Vec<u64> {
        // The class of a nested test is the outermost.
        let class = test.class.split('$').next().unwrap_or(&test.class);
        let top = if self.suite.classes.contains_key(&test.class) { test.class.as_str() } else { class };
        let Some(found) = self.suite.classes.get(top).and_then(|class| class.tests.get(test)) else {
            return Vec::new();
        };
        found.invocations.iter().map(|us| self.off(*us, top, &test.method)).collect()
    }

    fn failed_recently(&self, _: &TaskPath, _: &TestName) -> bool {
        false
    }

    fn is_new(&self, _: &TaskPath, _: &TestName) -> bool {
        false
    }
}
