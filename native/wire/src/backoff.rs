//! How long to wait before the next try.

use std::time::Duration;

/// Waits that double from 100 ms to 5 s, each shortened at random by up to half, so that many agents that lost their
/// coordinator at once do not come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let mut random = [0; 4];
        // Without random numbers the waits are merely equal.
        let _ = rustls::crypto::ring::default_provider().secure_random.fill(&mut random);
        let share = f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX);
        let full = Self::FIRST.saturating_mul(1 << self.tries.min(10)).min(Self::LONGEST);
        self.tries += 1;
        full.mul_f64(1.0 - share / 2.0)
    }

    /// It worked: the next wait is short again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_have_an_end() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(100));
        assert!(waits[2] > waits[0]);
        assert!(waits.iter().skip(10).all(|wait| *wait >= Duration::from_millis(2_500)));
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(5)));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
