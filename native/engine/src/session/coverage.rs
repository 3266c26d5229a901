//! Coverage that workers measured, merged into the file where the build's own JaCoCo tasks look for it.
//!
//! Only whole blocks are taken: a JVM may be killed while it writes, and what follows a torn block could not be read.

use crate::jacoco::whole_blocks;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jacoco::tests::{HEADER, file};
    use crate::test_request;

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
}
