//! What tests wrote, beside the journal: it is no part of the run's state and can be much, but reports of a run that goes
//! on want it. Nothing waits for the disk here.

use super::line;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::{Failure, Result};

/// Most bytes that are kept; reports keep less.
const ROOM: u64 = 256 << 20;

/// Appends what tests write to a file.
#[derive(Debug)]
pub(crate) struct OutputLog {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
    bytes: u64,
}

impl OutputLog {
    /// The log beside a journal; of a run that goes on, behind what is there.
    ///
    /// # Errors
    /// `Io`
    pub(crate) fn open(journal: &Path, goes_on: bool) -> Result<Self> {
        let path = path_beside(journal);
        let failed = |error: &std::io::Error| Failure::io("open", &path, error);
        let file = File::options().create(true).append(true).open(&path).map_err(|error| failed(&error))?;
        if !goes_on {
            file.set_len(0).map_err(|error| failed(&error))?;
        }
        let bytes = file.metadata().map_err(|error| failed(&error))?.len();
        let mut log = Self { path, file, pending: Vec::new(), bytes };
        if goes_on && bytes > 0 {
            // A crash may have torn the last line.
            log.pending.push(b'\n');
        }
        Ok(log)
    }

    /// Adds what a test wrote, unless there is no more room.
    pub(crate) fn append(&mut self, event: &RunEvent) {
        let before = self.pending.len();
        if self.bytes + before as u64 > ROOM || line::append(event, &mut self.pending).is_err() {
            self.pending.truncate(before);
        }
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// `Io`
    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.file.write_all(&self.pending).map_err(|error| Failure::io("write", &self.path, &error))?;
            self.bytes += self.pending.len() as u64;
            self.pending.clear();
        }
        Ok(())
    }
}

/// What tests wrote in the run of this journal, one event at a time: it can be much. What a crash tore is left out.
pub(crate) fn read_output(journal: &Path) -> impl Iterator<Item = RunEvent> {
    let file = File::open(path_beside(journal)).ok().map(BufReader::new);
    let lines = file.into_iter().flat_map(|mut file| {
        std::iter::from_fn(move || {
            let mut line = Vec::new();
            // What can't be read is missing in the reports alone.
            file.read_until(b'\n', &mut line).ok().filter(|count| *count > 0).map(|_| line)
        })
    });
    lines
        .filter_map(|line| serde_json::from_slice(line::json_of(&line)?).ok())
        .filter(|event| matches!(event, RunEvent::Output { .. }))
}

fn path_beside(journal: &Path) -> PathBuf {
    journal.with_file_name("output.jsonl")
}
