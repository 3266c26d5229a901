//! Coverage that workers measured, merged into the file where the build's own JaCoCo tasks look for it.
//!
//! A `.exec` file is a row of blocks, and JaCoCo's own reader merges what it finds in them: files one after another are a
//! file (that is how its agent appends). Only whole blocks are taken: a JVM may be killed while it writes, and what
//! follows a torn block could not be read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use testfleet_protocol::agent::FileOf;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::request::TestTask;
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, Result};

/// What a run measured, by Test task.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    tasks: BTreeMap<TaskPath, Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    /// JVMs that ran; each of them measures.
    jvms: u64,
    /// Relative to the run's folder, and whether it is what the JVM wrote at its end. What it wrote before that is replaced.
    files: BTreeMap<String, bool>,
}

impl Coverage {
    /// Takes note of an event of the run.
    pub(crate) fn apply(&mut self, event: &RunEvent) {
        match event {
            RunEvent::JvmStarted { task, .. } => self.tasks.entry(task.clone()).or_default().jvms += 1,
            RunEvent::FileStored { of: FileOf::Jacoco { task, so_far, .. }, path, .. } => {
                self.tasks.entry(task.clone()).or_default().files.insert(path.clone(), !so_far);
            }
            _ => {}
        }
    }

    /// Writes what was measured of each task that JaCoCo watches. Returns what the user should know of it.
    ///
    /// # Errors
    /// When a file can't be read or written.
    pub(crate) fn merge(&self, tasks: &[TestTask], run_dir: &Path) -> Result<Vec<String>> {
        let mut notices = Vec::new();
        for task in tasks {
            let (Some(target), Some(measured)) = (&task.jacoco_file, self.tasks.get(&task.path)) else { continue };
            let mut merged = Vec::new();
            let mut missing = measured.jvms.saturating_sub(measured.files.len() as u64);
            for (file, is_last) in &measured.files {
                let path = run_dir.join(file);
                let bytes = match fs::read(&path) {
                    // A power cut may leave a record without its file.
                    Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                    read => read.map_err(|error| Failure::io("read", &path, &error))?,
                };
                let whole = whole_blocks(&bytes);
                // JaCoCo writes a header at least.
                missing += u64::from(!is_last || whole == 0 || whole < bytes.len());
                merged.extend_from_slice(&bytes[..whole]);
            }
            if missing > 0 {
                notices.push(format!(
                    "The coverage of {} is not complete: {missing} of its {} test JVMs ended before they had written all of theirs",
                    task.path, measured.jvms
                ));
            }
            replace(target, &merged)?;
        }
        Ok(notices)
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| Failure::io("write", path, &error);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Length of the whole blocks at the beginning of a `.exec` file, as JaCoCo's `ExecutionDataWriter` writes them.
pub(crate) fn whole_blocks(bytes: &[u8]) -> usize {
    let mut reader = Reader { bytes, at: 0 };
    let mut whole = 0;
    while reader.block(whole == 0).is_some() {
        whole = reader.at;
    }
    whole
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// A header first, then anything.
    fn block(&mut self, first: bool) -> Option<()> {
        match self.take(1)?[0] {
            // Magic number and version of the format.
            0x01 => (self.take(4)?[..2] == [0xc0, 0xc0]).then_some(()),
            _ if first => None,
            // A session: its id, start and end.
            0x10 => self.text().and_then(|()| self.take(16).map(drop)),
            // A class: its id, name and probes.
            0x11 => {
                self.take(8)?;
                self.text()?;
                let probes = self.number()?;
                self.take(probes.div_ceil(8)).map(drop)
            }
            _ => None,
        }
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn text(&mut self) -> Option<()> {
        let length = self.take(2)?;
        let length = usize::from(length[0]) << 8 | usize::from(length[1]);
        self.take(length).map(drop)
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<usize> {
        let mut value = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_request;
    use proptest::prelude::*;

    const HEADER: [u8; 5] = [1, 0xc0, 0xc0, 0x10, 0x07];

    fn session(id: &str) -> Vec<u8> {
        let mut bytes = vec![0x10, 0, id.len() as u8];
        bytes.extend(id.bytes());
        bytes.extend([0; 16]);
        bytes
    }

    fn class(name: &str, probes: usize) -> Vec<u8> {
        let mut bytes = vec![0x11];
        bytes.extend([7; 8]);
        bytes.extend([0, name.len() as u8]);
        bytes.extend(name.bytes());
        bytes.extend([probes as u8 | 0x80, (probes >> 7) as u8]);
        bytes.extend(vec![0xff; probes.div_ceil(8)]);
        bytes
    }

    fn file(id: &str) -> Vec<u8> {
        [HEADER.to_vec(), session(id), class("a/B", 9), class("a/C", 300)].concat()
    }

    #[test]
    fn files_one_after_another_are_whole() {
        let both = [file("one"), file("two")].concat();
        assert_eq!(whole_blocks(&both), both.len());
        assert_eq!(whole_blocks(b""), 0);
        assert_eq!(whole_blocks(&session("x")), 0, "the header is missing");
        assert_eq!(whole_blocks(b"not at all"), 0);
    }

    #[test]
    fn a_torn_file_counts_up_to_the_tear() {
        let bytes = file("one");
        let classes = bytes.len() - class("a/C", 300).len();
        assert_eq!(whole_blocks(&bytes[..bytes.len() - 1]), classes);
        assert_eq!(whole_blocks(&bytes[..classes]), classes);
    }

    #[test]
    fn what_was_measured_is_merged_and_what_is_missing_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = TaskPath(":test".into());
        let mut coverage = Coverage::default();
        let torn = file("two")[..20].to_vec();
        for (pid, bytes) in [(1, file("one")), (2, torn), (3, Vec::new()), (4, file("four"))] {
            if !bytes.is_empty() {
                fs::write(dir.path().join(format!("{pid}.exec")), bytes).unwrap();
            }
            coverage.apply(&RunEvent::JvmStarted { worker: 1, task: path.clone(), pid, at_ms: 0 });
            // The first went on after it had written something, the fourth was killed then.
            for so_far in [true, false].into_iter().take(if pid == 4 { 1 } else { 2 }) {
                let of = FileOf::Jacoco { task: path.clone(), jvm: pid.to_string(), so_far };
                coverage.apply(&RunEvent::FileStored { worker: 1, of, path: format!("{pid}.exec"), size: 0 });
            }
        }
        coverage.apply(&RunEvent::JvmStarted { worker: 2, task: path.clone(), pid: 5, at_ms: 0 });
        let mut task = test_request::task(":test");
        task.jacoco_file = Some(dir.path().join("build/jacoco/test.exec"));
        let notices = coverage.merge(&[task], dir.path()).unwrap();
        assert!(notices[0].contains("4 of its 5 test JVMs"), "{notices:?}");
        let merged = fs::read(dir.path().join("build/jacoco/test.exec")).unwrap();
        assert_eq!(merged, [file("one"), HEADER.to_vec(), file("four")].concat());
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_length(bytes in prop::collection::vec(any::<u8>(), 0..64), headed in any::<bool>()) {
            let bytes = if headed { [HEADER.to_vec(), bytes].concat() } else { bytes };
            let whole = whole_blocks(&bytes);
            prop_assert!(whole <= bytes.len());
            prop_assert_eq!(whole_blocks(&bytes[..whole]), whole);
        }
    }
}
