//! Files that tests produce and a `collect` pattern wants.
//!
//! They are looked for when a unit has ended, unless looking takes more than a fiftieth of the time, and when a JVM has. What is
//! new or different from how it was when the JVM started, or from how it was last sent, is copied at once, so that what
//! comes later does not change it.
//!
//! Workers of one host may share the working directory, and then each of them sees what the others write. Nothing on the
//! host tells whose a file is; the coordinator, which sees all of them, keeps equal content of one path once.

use crate::outgoing::Outgoing;
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testfleet_protocol::agent::FileOf;
use testfleet_protocol::ant_pattern::FileFilter;
use testfleet_protocol::test::TaskPath;
use tokio::time::Instant;
use walkdir::WalkDir;

/// Largest file that is taken.
const LARGEST: u64 = 1 << 30;
/// How many times as long as a look takes there is none.
const REST: u32 = 50;

/// What tells one state of a file from another: changed and modified times, size and place.
type State = (i64, i64, i64, i64, u64, u64);

/// Looks after the working directory of one JVM.
#[derive(Debug)]
pub(crate) struct Collector {
    task: TaskPath,
    working_dir: PathBuf,
    wanted: FileFilter,
    seen: HashMap<PathBuf, State>,
    /// Not before this is there another look.
    not_before: Instant,
}

impl Collector {
    /// Notes what is there before the JVM starts. `None` when nothing is to be collected.
    pub(crate) fn new(patterns: &[String], task: &TaskPath, working_dir: &Path) -> Option<Self> {
        if patterns.is_empty() {
            return None;
        }
        let mut collector = Self {
            task: task.clone(),
            working_dir: working_dir.to_owned(),
            wanted: FileFilter::new(patterns, &[]),
            seen: HashMap::new(),
            not_before: Instant::now(),
        };
        let there = collector.look();
        collector.seen = there.into_iter().map(|(path, _, state)| (path, state)).collect();
        Some(collector)
    }

    /// Takes what is new after a unit. Returns remarks.
    pub(crate) fn after_unit(&mut self, outgoing: &mut Outgoing) -> Vec<String> {
        if Instant::now() < self.not_before { Vec::new() } else { self.take(outgoing) }
    }

    /// Takes what is new. Returns remarks.
    pub(crate) fn take(&mut self, outgoing: &mut Outgoing) -> Vec<String> {
        let started = Instant::now();
        let mut remarks = Vec::new();
        for (path, relative, state) in self.look() {
            if self.seen.get(&path) == Some(&state) {
                continue;
            }
            if state.4 > LARGEST {
                remarks.push(format!(
                    "{relative} is not collected: its {} bytes are over the limit of {LARGEST}",
                    state.4
                ));
            } else {
                let copy = outgoing.free_path();
                match fs::copy(&path, &copy) {
                    Ok(_) => outgoing.push(FileOf::Collected { task: self.task.clone(), path: relative }, copy),
                    // A test removed it meanwhile: it is not there to be collected.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => remarks.push(format!("{relative} is not collected: {error}")),
                }
            }
            self.seen.insert(path, state);
        }
        self.not_before = Instant::now() + started.elapsed().max(Duration::from_millis(1)) * REST;
        remarks
    }

    /// Matching regular files: path, path as patterns have it, state. Links are not followed.
    fn look(&self) -> Vec<(PathBuf, String, State)> {
        let mut found = Vec::new();
        for folder in self.wanted.folders() {
            let folder = self.working_dir.join(folder);
            let entries = WalkDir::new(&folder).sort_by_file_name().into_iter();
            // What can't be looked into has nothing that could be taken.
            for entry in entries.flatten().filter(|entry| entry.file_type().is_file()) {
                let relative = entry.path().strip_prefix(&self.working_dir).ok().and_then(Path::to_str);
                let Some(relative) = relative.filter(|relative| self.wanted.accepts(relative)) else { continue };
                if let Ok(about) = entry.metadata() {
                    found.push((entry.path().to_owned(), relative.to_owned(), state(&about)));
                }
            }
        }
        found
    }
}

fn state(about: &Metadata) -> State {
    (about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec(), about.len(), about.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::agent::AgentMessage;

    fn sent(outgoing: &mut Outgoing) -> Vec<String> {
        let mut paths = Vec::new();
        while !outgoing.is_empty() {
            if let Some(AgentMessage::FilePiece { of: FileOf::Collected { path, .. }, .. }) = outgoing.next_piece() {
                paths.push(path);
            }
        }
        paths
    }

    #[test]
    fn what_is_new_or_changed_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let temp = tempfile::tempdir().unwrap();
        let mut outgoing = Outgoing::new(temp.path()).unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("out/old.txt", "1");
        write("out/changes.txt", "1");
        let patterns = ["out/**/*.txt".to_owned(), "top.txt".to_owned()];
        let mut collector = Collector::new(&patterns, &TaskPath(":test".into()), dir.path()).unwrap();
        write("out/changes.txt", "22");
        write("out/deep/new.txt", "3");
        write("out/new.bin", "4");
        write("top.txt", "5");
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("out/link.txt")).unwrap();
        assert!(collector.take(&mut outgoing).is_empty());
        assert_eq!(sent(&mut outgoing), ["out/changes.txt", "out/deep/new.txt", "top.txt"]);
        collector.take(&mut outgoing);
        assert!(sent(&mut outgoing).is_empty());
        write("out/new.txt", "6");
        collector.not_before = Instant::now() + Duration::from_secs(60);
        collector.after_unit(&mut outgoing);
        assert!(sent(&mut outgoing).is_empty(), "too soon");
        collector.take(&mut outgoing);
        assert_eq!(sent(&mut outgoing), ["out/new.txt"]);
    }

    #[test]
    fn nothing_is_looked_for_without_a_pattern() {
        assert!(Collector::new(&[], &TaskPath(":test".into()), Path::new("/")).is_none());
    }
}
