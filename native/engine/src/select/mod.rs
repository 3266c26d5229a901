//! Which of the discovered tests a plan is made of, and which of them may fail.
//!
//! Selection by name, tag and group belongs to [`crate::discover`], because frameworks and Gradle define it; what is
//! here are Testfleet's own choices. See docs/selecting.md.

mod date;
mod failed;
mod quarantine;
mod shard;

pub(crate) use date::today;
pub(crate) use failed::{keep_only, not_passed};
#[cfg(any(fuzzing, test))]
pub(crate) use quarantine::parse as parse_quarantine;
pub(crate) use quarantine::read as read_quarantine;
pub(crate) use shard::part as part_of;
