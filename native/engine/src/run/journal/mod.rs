//! The journal: what happened in a run, on the disk, so that another coordinator can go on with it.
//!
//! One record a line: the CRC-32 of its JSON as eight hex digits, a blank, the JSON. The first record is the [`Header`],
//! the others are events and marks. A mark says how many lines were on the disk for sure when it was written. So a reader
//! can tell damage apart: behind the last mark it is what a crash or a power cut leaves, and is cut off with a notice;
//! before a mark it is a broken disk or a hand in the file, and is an error.

mod line;
mod output;
mod read;
#[cfg(test)]
mod tests;
mod write;

#[cfg(any(fuzzing, test))]
pub(crate) use line::reseal;
pub(crate) use output::{OutputLog, read_output};
#[cfg(any(fuzzing, test))]
pub(crate) use read::parse_journal;
pub use read::{Recorded, read_events, read_journal};
pub use write::JournalWriter;

use serde::{Deserialize, Serialize};
use testfleet_protocol::run_options::Retries;

/// Of the lines, apart from [`testfleet_protocol::VERSION`], which is that of the events.
const FORMAT: u32 = 2;

/// What kind of file this is.
const KIND: &str = "testfleet";

/// What a journal is of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalOf {
    /// Id of the run.
    pub run: String,
    /// SHA-256 in hex of its `plan.json`.
    pub plan: String,
    /// SHA-256 in hex of its `bundle.json`, and so of all code that ran.
    pub bundle: String,
    /// How often each test is run: what tests came to makes no sense by another rule.
    #[serde(default)]
    pub repeat: u32,
    /// Which tests are tried again.
    #[serde(default)]
    pub retries: Retries,
}

/// First record of a journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    /// [`KIND`]
    journal: String,
    /// [`FORMAT`]
    format: u32,
    /// [`testfleet_protocol::VERSION`] of the events.
    version: u32,
    #[serde(flatten)]
    of: JournalOf,
}

/// A record that is no event.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Mark {
    /// So many lines were on the disk when this was written.
    synced_lines: u64,
}
