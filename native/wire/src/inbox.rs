//! Each numbered message once and in order, over lines that break and repeat.

use testfleet_protocol::{Failure, FailureCode, Result};

/// What arrived from one life of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inbox {
    /// Highest number that arrived; `None` when whatever comes first is the beginning.
    seen: Option<u64>,
}

impl Inbox {
    /// Goes on after `seen`; `None` where it is not known what arrived before.
    pub fn after(seen: Option<u64>) -> Self {
        Self { seen }
    }

    /// The highest number that arrived.
    pub fn seen(&self) -> Option<u64> {
        self.seen
    }

    /// Whether a message of this number, which is not 0, is new.
    ///
    /// # Errors
    /// [`FailureCode::WorkerBroken`] when something before it is missing.
    pub fn take(&mut self, seq: u64) -> Result<bool> {
        match self.seen {
            Some(seen) if seq <= seen => Ok(false),
            Some(seen) if seq - seen > 1 => Err(Failure::new(
                FailureCode::WorkerBroken,
                format!("message {seq} followed message {seen}; something in between was lost"),
            )),
            _ => {
                self.seen = Some(seq);
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_numbers_count_once_and_a_gap_is_an_error() {
        let mut inbox = Inbox::after(Some(0));
        let taken: Vec<_> = [1, 2, 1, 2, 3].map(|seq| inbox.take(seq).unwrap()).into();
        assert_eq!(taken, [true, true, false, false, true]);
        assert!(inbox.take(5).unwrap_err().message.contains("message 5 followed message 3"));
        assert!(Inbox::after(Some(0)).take(2).is_err());
    }

    #[test]
    fn who_does_not_know_what_came_before_begins_with_what_comes() {
        let mut inbox = Inbox::after(None);
        assert!(inbox.take(40).unwrap());
        assert!(!inbox.take(39).unwrap());
        assert!(inbox.take(42).is_err());
    }
}
