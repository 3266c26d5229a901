//! Files on their way to the coordinator, piece by piece, when there is nothing better to send.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use testfleet_protocol::agent::{AgentMessage, FILE_PIECE, FileOf};
use testfleet_protocol::{Failure, Result};

/// Files that wait, in a folder of the worker's own; each is removed once it was sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    folder: PathBuf,
    waiting: VecDeque<Waiting>,
    /// Bytes of all that wait.
    bytes: u64,
    sending: Option<Sending>,
    /// How many were begun.
    begun: u64,
    /// Names files.
    made: u64,
}

#[derive(Debug)]
struct Waiting {
    of: FileOf,
    path: PathBuf,
    size: u64,
}

#[derive(Debug)]
struct Sending {
    waiting: Waiting,
    file: File,
    offset: u64,
}

impl Outgoing {
    /// Makes the folder `outgoing` in the worker's own.
    ///
    /// # Errors
    /// [`testfleet_protocol::FailureCode::Io`].
    pub(crate) fn new(temp: &Path) -> Result<Self> {
        let folder = temp.join("outgoing");
        fs::create_dir(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
        Ok(Self { folder, waiting: VecDeque::new(), bytes: 0, sending: None, begun: 0, made: 0 })
    }

    /// Where files that are to be sent are best made.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path for one more file.
    pub(crate) fn free_path(&mut self) -> PathBuf {
        self.made += 1;
        self.folder.join(format!("file{}", self.made))
    }

    /// Takes a file; it belongs to this from now on.
    pub(crate) fn push(&mut self, of: FileOf, path: PathBuf) {
        match fs::metadata(&path) {
            Ok(about) => {
                self.forget_older(&of);
                self.bytes += about.len();
                self.waiting.push_back(Waiting { of, path, size: about.len() });
            }
            Err(error) => tracing::warn!("failed to read {}: {error}", path.display()),
        }
    }

    /// What a JVM measured later holds what it measured before. What it wrote at its end is the exception: it may have been
    /// killed while it wrote that, so the coordinator gets both.
    fn forget_older(&mut self, newer: &FileOf) {
        let FileOf::Jacoco { jvm: newer, so_far: true, .. } = newer else { return };
        self.waiting.retain(|waiting| {
            let is_older = matches!(&waiting.of, FileOf::Jacoco { jvm, .. } if jvm == newer);
            if is_older {
                self.bytes -= waiting.size;
                // It goes with the worker's folder at last.
                let _ = fs::remove_file(&waiting.path);
            }
            !is_older
        });
    }

    /// Takes a file that lies elsewhere and is not needed there any more.
    pub(crate) fn push_moved(&mut self, of: FileOf, from: &Path) {
        let path = self.free_path();
        // The build may have put it on another file system.
        match fs::rename(from, &path).or_else(|_| fs::copy(from, &path).map(drop)) {
            Ok(()) => self.push(of, path),
            Err(error) => tracing::warn!("failed to keep {}: {error}", from.display()),
        }
    }

    /// Takes a copy of a file that the build wants where it is, or that goes with its folder.
    pub(crate) fn push_copied(&mut self, of: FileOf, from: &Path) {
        let path = self.free_path();
        match fs::copy(from, &path) {
            Ok(_) => self.push(of, path),
            Err(error) => tracing::warn!("failed to keep {}: {error}", from.display()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sending.is_none()
    }

    /// Bytes that wait on this worker's disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next piece; `None` when there is none, or one that can't be read was left out.
    pub(crate) fn next_piece(&mut self) -> Option<AgentMessage> {
        if self.sending.is_none() {
            let waiting = self.waiting.pop_front()?;
            match File::open(&waiting.path) {
                Ok(file) => {
                    self.begun += 1;
                    self.sending = Some(Sending { waiting, file, offset: 0 });
                }
                Err(error) => {
                    tracing::warn!("failed to read {}: {error}", waiting.path.display());
                    self.bytes -= waiting.size;
                    return None;
                }
            }
        }
        let sending = self.sending.as_mut()?;
        let (of, offset, size) = (sending.waiting.of.clone(), sending.offset, sending.waiting.size);
        let mut piece = Vec::new();
        let wanted = (FILE_PIECE as u64).min(size - offset);
        if let Err(error) = Read::by_ref(&mut sending.file).take(wanted).read_to_end(&mut piece) {
            tracing::warn!("failed to read {}: {error}", sending.waiting.path.display());
        }
        sending.offset += piece.len() as u64;
        // One that can't be read to its end is as long as what could be.
        let last = (piece.len() as u64) < wanted || sending.offset == size;
        if last && let Some(sent) = self.sending.take() {
            self.bytes -= size;
            // It goes with the worker's folder at last.
            let _ = fs::remove_file(&sent.waiting.path);
        }
        Some(AgentMessage::FilePiece { file: self.begun, of, offset, data: STANDARD.encode(&piece), last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::test::TaskPath;

    fn of(name: &str) -> FileOf {
        FileOf::Crash { task: TaskPath(":test".into()), name: name.into() }
    }

    /// Number, offset, length and whether it is the last, of each piece.
    fn all(outgoing: &mut Outgoing) -> Vec<(u64, u64, usize, bool)> {
        let mut pieces = Vec::new();
        while !outgoing.is_empty() {
            if let Some(AgentMessage::FilePiece { file, offset, data, last, .. }) = outgoing.next_piece() {
                pieces.push((file, offset, STANDARD.decode(data).unwrap().len(), last));
            }
        }
        pieces
    }

    #[test]
    fn files_go_one_after_another_and_leave_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let mut outgoing = Outgoing::new(temp.path()).unwrap();
        for size in [0, FILE_PIECE, FILE_PIECE + 1] {
            let path = outgoing.free_path();
            fs::write(&path, vec![7; size]).unwrap();
            outgoing.push(of("a"), path);
        }
        assert_eq!(outgoing.bytes(), 2 * FILE_PIECE as u64 + 1);
        let piece = FILE_PIECE as u64;
        let expected = [(1, 0, 0, true), (2, 0, FILE_PIECE, true), (3, 0, FILE_PIECE, false), (3, piece, 1, true)];
        assert_eq!(all(&mut outgoing), expected);
        assert_eq!((outgoing.bytes(), fs::read_dir(outgoing.folder()).unwrap().count()), (0, 0));
    }

    #[test]
    fn a_file_that_shrinks_or_vanishes_ends_where_it_ends() {
        let temp = tempfile::tempdir().unwrap();
        let mut outgoing = Outgoing::new(temp.path()).unwrap();
        for name in ["short", "gone"] {
            let path = temp.path().join(name);
            fs::write(&path, "12345").unwrap();
            outgoing.push(of(name), path);
        }
        fs::write(temp.path().join("short"), "1").unwrap();
        fs::remove_file(temp.path().join("gone")).unwrap();
        assert_eq!(all(&mut outgoing), [(1, 0, 1, true)]);
        assert_eq!(outgoing.bytes(), 0);
    }

    #[test]
    fn only_the_newest_of_what_a_jvm_measured_is_sent() {
        let temp = tempfile::tempdir().unwrap();
        let mut outgoing = Outgoing::new(temp.path()).unwrap();
        for (jvm, size, so_far) in [("1-1", 1, true), ("1-2", 2, true), ("1-1", 3, true), ("1-1", 4, false)] {
            let path = outgoing.free_path();
            fs::write(&path, vec![7; size]).unwrap();
            outgoing.push(FileOf::Jacoco { task: TaskPath(":test".into()), jvm: jvm.into(), so_far }, path);
        }
        assert_eq!(outgoing.bytes(), 9);
        assert_eq!(all(&mut outgoing), [(1, 0, 2, true), (2, 0, 3, true), (3, 0, 4, true)], "the last may be torn");
    }

    #[test]
    fn a_file_from_elsewhere_is_moved() {
        let temp = tempfile::tempdir().unwrap();
        let mut outgoing = Outgoing::new(temp.path()).unwrap();
        let path = temp.path().join("hs_err");
        fs::write(&path, "x").unwrap();
        outgoing.push_moved(of("hs_err"), &path);
        assert!(!path.exists());
        assert_eq!(all(&mut outgoing), [(1, 0, 1, true)]);
    }
}
