//! How often a person is told of progress.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines.
pub(crate) const EVERY: Duration = Duration::from_secs(3);

/// Says when another line is due.
#[derive(Debug)]
pub(crate) struct Pace {
    said: Mutex<Instant>,
}

impl Pace {
    /// The first line is due some time after now.
    pub(crate) fn new() -> Self {
        Self { said: Mutex::new(Instant::now()) }
    }

    /// Whether a line is due; then the next one is some time later.
    pub(crate) fn is_due(&self) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = said.elapsed() >= EVERY;
        if is_due {
            *said = Instant::now();
        }
        is_due
    }
}
