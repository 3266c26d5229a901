//! How many tests are bad: past a limit, something is broken for all, and nothing is tried again.

use testfleet_protocol::run_options::Retries;

/// The first ends of tests, counted; those in quarantine aside.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Limits {
    /// Tests that are to run and count.
    to_run: u64,
    ended: u64,
    bad: u64,
    /// Whether a limit was passed. It stays so.
    pub(super) over: bool,
}

impl Limits {
    pub(super) fn new(to_run: u64) -> Self {
        Self { to_run, ..Self::default() }
    }

    /// `ended` further tests ended for the first time, `bad` tests were bad for the first time. Returns whether a limit is
    /// passed with that.
    pub(super) fn count(&mut self, ended: u64, bad: u64, retries: &Retries) -> bool {
        self.ended += ended;
        self.bad += bad;
        let many = retries.max_failures > 0 && self.bad >= u64::from(retries.max_failures);
        let says_something = self.ended >= Retries::RATE_FROM || self.ended >= self.to_run;
        let often = says_something && self.bad as f64 > retries.max_failure_rate * self.ended as f64;
        let was_over = self.over;
        self.over |= many || often;
        self.over && !was_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(max_failures: u32, max_failure_rate: f64) -> Retries {
        Retries { max_retries: 1, max_failures, max_failure_rate, fail_on_flaky: false }
    }

    #[test]
    fn the_rate_counts_from_twenty_tests_on_or_when_all_have_ended() {
        let mut limits = Limits::new(100);
        for _ in 0..19 {
            assert!(!limits.count(1, 1, &retries(0, 0.3)));
        }
        assert!(limits.count(1, 0, &retries(0, 0.3)) && limits.over);
        assert!(!limits.count(1, 1, &retries(0, 0.3)), "only once");
        let mut few = Limits::new(3);
        assert!(!few.count(2, 1, &retries(0, 0.3)));
        assert!(few.count(1, 0, &retries(0, 0.3)), "1 of 3");
        assert!(!Limits::new(10).count(10, 3, &retries(0, 0.3)), "not above it");
    }

    #[test]
    fn so_many_bad_tests_are_enough() {
        let mut limits = Limits::new(1_000);
        assert!(!limits.count(50, 4, &retries(5, 1.0)));
        assert!(limits.count(1, 1, &retries(5, 1.0)));
        assert!(!Limits::new(9).count(9, 9, &retries(0, 1.0)), "no limit");
    }
}
