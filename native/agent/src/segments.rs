//! The files of the spool: messages are appended, read back by their place, and a file goes when all of its messages have.
//!
//! A file has no name: it is removed from its folder as soon as it is open, so that nothing is left whatever ends the
//! agent, and tests that tidy up their temporary folder do not take it along.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use testfleet_protocol::Result;
use testfleet_wire::record;

/// Bytes after which another file is begun.
const SEGMENT: u64 = 8 << 20;

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    segment: u32,
    offset: u32,
    length: u32,
}

impl Place {
    /// Bytes of the message.
    pub(crate) fn message_length(self) -> usize {
        self.length as usize - record::HEADER
    }
}

#[derive(Debug)]
struct Segment {
    file: File,
    length: u64,
    /// Messages that are still wanted.
    wanted: u32,
}

/// Files in one folder.
#[derive(Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
    files: BTreeMap<u32, Segment>,
    last: u32,
    record: Vec<u8>,
}

impl Segments {
    /// No file yet.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, files: BTreeMap::new(), last: 0, record: Vec::new() }
    }

    /// Appends a message.
    ///
    /// # Errors
    /// Whatever the system says, a full disk above all; then nothing has changed.
    pub(crate) fn append(&mut self, seq: u64, message: &[u8]) -> io::Result<Place> {
        self.record.clear();
        record::append(seq, message, &mut self.record).map_err(io::Error::other)?;
        if self.files.get(&self.last).is_none_or(|segment| segment.length >= SEGMENT) {
            let file = self.create()?;
            self.last += 1;
            self.files.insert(self.last, Segment { file, length: 0, wanted: 0 });
        }
        let Some(segment) = self.files.get_mut(&self.last) else { return Err(io::Error::other("no file")) };
        if let Err(error) = segment.file.write_all_at(&self.record, segment.length) {
            // Half a record takes space that is short already.
            let _ = segment.file.set_len(segment.length);
            self.forget_if_unwanted(self.last);
            return Err(error);
        }
        let narrow = |number: u64| u32::try_from(number).map_err(io::Error::other);
        let place =
            Place { segment: self.last, offset: narrow(segment.length)?, length: narrow(self.record.len() as u64)? };
        segment.length += self.record.len() as u64;
        segment.wanted += 1;
        Ok(place)
    }

    fn create(&self) -> io::Result<File> {
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join((self.last + 1).to_string());
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`testfleet_protocol::FailureCode::Io`] when it can't be read, or is not what was written.
    pub(crate) fn read(&self, seq: u64, place: Place) -> Result<Vec<u8>> {
        let mut bytes = vec![0; place.length as usize];
        let read = match self.files.get(&place.segment) {
            Some(segment) => segment.file.read_exact_at(&mut bytes, u64::from(place.offset)),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        read.map_err(|error| testfleet_protocol::Failure::io("read the spool in", &self.folder, &error))?;
        record::read(seq, &bytes)?;
        bytes.drain(..record::HEADER);
        Ok(bytes)
    }

    /// Gives up a message.
    pub(crate) fn release(&mut self, place: Place) {
        if let Some(segment) = self.files.get_mut(&place.segment) {
            segment.wanted = segment.wanted.saturating_sub(1);
        }
        self.forget_if_unwanted(place.segment);
    }

    fn forget_if_unwanted(&mut self, segment: u32) {
        if self.files.get(&segment).is_some_and(|segment| segment.wanted == 0) {
            self.files.remove(&segment);
        }
    }

    /// Bytes on disk.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().map(|segment| segment.length).sum()
    }

    /// Damages what is there.
    #[cfg(test)]
    pub(crate) fn damage(&self) {
        for segment in self.files.values() {
            segment.file.write_all_at(&[0xff; 4], segment.length - 4).unwrap();
        }
    }
}
