//! Reading a journal, also one that a crash cut short.

use super::{FORMAT, Header, JournalOf, KIND, Mark, line};
use serde::Deserialize;
use std::path::Path;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// What a journal says.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// What it is of.
    pub of: JournalOf,
    /// What happened, in order.
    pub events: Vec<RunEvent>,
    /// Bytes of a torn end that are left out.
    pub torn_bytes: u64,
    /// For each event, where its line ends in the file, and how many lines that makes.
    ends: Vec<Position>,
    /// Where the header ends.
    begin: Position,
}

/// A place between two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) bytes: u64,
    pub(super) lines: u64,
}

impl Recorded {
    /// Forgets all events from this one on. The file is cut when a writer goes on with it.
    pub fn truncate(&mut self, events: usize) {
        self.events.truncate(events);
        self.ends.truncate(events);
    }

    /// Where the next event goes.
    pub(super) fn end(&self) -> Position {
        self.ends.last().copied().unwrap_or(self.begin)
    }
}

/// Any record after the first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Record {
    Event(RunEvent),
    Mark(Mark),
}

/// Reads a journal. A torn end, as a crash or a power cut leaves it, is left out with a notice in the log.
///
/// # Errors
/// [`FailureCode::Io`]; [`FailureCode::JournalBroken`] when it is no journal, or damaged where it was safely on the disk;
/// [`FailureCode::ProtocolVersion`] when another version wrote it.
pub fn read_journal(path: &Path) -> Result<Recorded> {
    let bytes = std::fs::read(path).map_err(|error| Failure::io("read the journal", path, &error))?;
    parse_journal(path, &bytes)
}

/// The events of a journal alone.
///
/// # Errors
/// As for [`read_journal`].
pub fn read_events(path: &Path) -> Result<Vec<RunEvent>> {
    read_journal(path).map(|recorded| recorded.events)
}

/// [`read_journal`] of bytes; `path` is for messages.
///
/// # Errors
/// As for [`read_journal`].
pub(crate) fn parse_journal(path: &Path, bytes: &[u8]) -> Result<Recorded> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let of = header(path, first)?;
    let begin = Position { bytes: first.len() as u64, lines: 1 };
    let mut recorded = Recorded { of, events: Vec::new(), torn_bytes: 0, ends: Vec::new(), begin };
    let mut at = begin;
    while let Some(next) = lines.next() {
        let Some(json) = line::json_of(next) else {
            if lines.any(|later| was_safe(later, at.lines)) {
                return Err(broken(path, at.lines + 1, "it is damaged, though it was on the disk"));
            }
            recorded.torn_bytes = bytes.len() as u64 - at.bytes;
            tracing::warn!(journal = %path.display(), bytes = recorded.torn_bytes, "left out the torn end of a journal");
            break;
        };
        let record: Record =
            serde_json::from_slice(json).map_err(|error| broken(path, at.lines + 1, &error.to_string()))?;
        let before = at.lines;
        at = Position { bytes: at.bytes + next.len() as u64, lines: before + 1 };
        match record {
            Record::Event(event) => {
                recorded.events.push(event);
                recorded.ends.push(at);
            }
            Record::Mark(mark) if mark.synced_lines > before => {
                return Err(broken(path, at.lines, "it tells of more lines than there are"));
            }
            Record::Mark(_) => {}
        }
    }
    Ok(recorded)
}

fn header(path: &Path, first: &[u8]) -> Result<JournalOf> {
    // Looked at without its checksum first, so that another version is called that.
    #[derive(Deserialize)]
    struct Kind {
        journal: String,
        #[serde(default)]
        format: u32,
        version: u32,
    }
    let json = first.iter().position(|byte| *byte == b'{').map_or(first, |start| &first[start..]);
    let kind = serde_json::from_slice::<Kind>(json).ok().filter(|kind| kind.journal == KIND);
    let Some(kind) = kind else { return Err(broken(path, 1, "it does not begin as a journal does")) };
    if (kind.format, kind.version) != (FORMAT, VERSION) {
        let found = format!("it has format {} and version {}", kind.format, kind.version);
        return Err(Failure::new(
            FailureCode::ProtocolVersion,
            format!("failed to read the journal {}", path.display()),
        )
        .cause_text(format!("{found}; this Testfleet reads format {FORMAT} and version {VERSION}"))
        .hint("read it with the Testfleet version that wrote it, or run again"));
    }
    let header = line::json_of(first).and_then(|json| serde_json::from_slice::<Header>(json).ok());
    header.map(|header| header.of).ok_or_else(|| broken(path, 1, "it is damaged"))
}

/// Whether this is a mark which says that the line of this index (from 0) was on the disk.
fn was_safe(candidate: &[u8], index: u64) -> bool {
    let mark = line::json_of(candidate).and_then(|json| serde_json::from_slice::<Mark>(json).ok());
    mark.is_some_and(|mark| mark.synced_lines > index)
}

fn broken(path: &Path, line: u64, why: &str) -> Failure {
    Failure::new(FailureCode::JournalBroken, format!("failed to read the journal {}", path.display()))
        .cause_text(format!("line {line}: {why}"))
        .hint("name the journal of another run, or run again")
}
