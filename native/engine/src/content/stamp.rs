//! What tells without reading a file that it is the one that was read before.

use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file's place on the disk, its size and its times, of which no program can set the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified_ns: i64,
    pub(crate) changed_ns: i64,
}

const SECOND: i64 = 1_000_000_000;
/// Clocks of file systems go in steps of 1 to 10 ms, their times in nanoseconds.
const FINE: i64 = SECOND / 10;
/// Some know seconds alone, or every second one.
const COARSE: i64 = 2 * SECOND;

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(SECOND).saturating_add(nanos);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanos(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file had rested when it was looked at: one that changed just before may change again within the same
    /// step of the file system's clock, at the same size, and its stamp would not show it (git calls such an entry racy).
    pub(crate) fn is_settled(&self, looked_at_ns: i64) -> bool {
        let rest = if self.changed_ns % (SECOND / 1_000) == 0 { COARSE } else { FINE };
        self.modified_ns.max(self.changed_ns).saturating_add(rest) < looked_at_ns
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_young_as_the_look_at_it_is_not_trusted() {
        let at = |changed_ns| Stamp { device: 1, inode: 1, size: 1, modified_ns: 5 * SECOND, changed_ns };
        let fine = at(100 * SECOND + 123_456_789);
        assert!(!fine.is_settled(fine.changed_ns));
        assert!(!fine.is_settled(fine.changed_ns + 10_000_000));
        assert!(fine.is_settled(fine.changed_ns + SECOND));
        let coarse = at(100 * SECOND);
        assert!(!coarse.is_settled(coarse.changed_ns + SECOND));
        assert!(coarse.is_settled(coarse.changed_ns + 3 * SECOND));
        assert!(!fine.is_settled(0), "a time in the future");
        let set_ahead = Stamp { modified_ns: i64::MAX, ..fine };
        assert!(!set_ahead.is_settled(i64::MAX));
    }
}
