//! What was discovered before, under a hash of everything that decides it.

use super::Settled;
use super::cache_kept as kept;
use super::container::Containers;
use crate::content::Contents;
use crate::hash;
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use testfleet_protocol::Result;
use testfleet_protocol::request::{Framework, TestTask};

/// Changes whenever a source file of discovery does: other rules find other tests.
const RULES: &str = env!("TESTFLEET_DISCOVERY_RULES");
const KIND: &str = "tests";

/// Results of discovery by Test task.
pub(super) struct Cache<'a> {
    contents: &'a Contents,
    hits: AtomicU64,
}

/// Everything of a Test task, besides the content of its classpath, that decides what is discovered.
#[derive(Serialize)]
struct Decides<'a> {
    rules: &'a str,
    path: &'a str,
    release: u32,
    framework: &'a Framework,
    includes: &'a [String],
    excludes: &'a [String],
    scan: bool,
    include_tests: &'a [String],
    exclude_tests: &'a [String],
    command_line: &'a [String],
    /// Configuration parameters of the JUnit Platform.
    parameters: BTreeMap<&'a str, &'a str>,
}

impl<'a> Cache<'a> {
    pub(super) fn new(contents: &'a Contents) -> Self {
        Self { contents, hits: AtomicU64::new(0) }
    }

    /// Tasks whose result was there.
    pub(super) fn known(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Whether nothing is known of any task, so that all of them will have to be looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.contents.store().is_empty(KIND)
    }

    /// Hashes what all tasks have on their classpaths, each path once. What can't be read is for discovery to complain about.
    pub(super) fn hash_all(&self, tasks: &[TestTask]) {
        let paths: BTreeSet<&PathBuf> = tasks.iter().flat_map(paths_of).collect();
        paths.into_par_iter().for_each(|path| drop(self.contents.digest(path)));
    }

    /// Hashes the class directories of all tasks and parses their class files as they are read.
    pub(super) fn hash_searched(&self, tasks: &[TestTask], containers: &Containers) {
        let dirs: BTreeMap<&PathBuf, u32> =
            tasks.iter().flat_map(|task| task.class_dirs.iter().map(|dir| (dir, task.java.version))).collect();
        dirs.into_par_iter().for_each(|(dir, release)| containers.get(dir, release).hash());
    }

    /// The tests of a task that were put under a key.
    pub(super) fn get(&self, key: &str) -> Option<Settled> {
        let store = self.contents.store();
        let kept: kept::Task<'_> = postcard::from_bytes(&store.get(KIND, key)?).ok()?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        store.touch(KIND, key);
        Some(kept.into_settled())
    }

    /// Keeps the tests of tasks that were looked for, each under its key, unless anything on the task's classpath changed while
    /// that was going on: then nobody knows whether what was read is what the key is of.
    pub(super) fn put_all(&self, found: &[(&TestTask, String, &Settled)]) {
        let paths: BTreeSet<&PathBuf> = found.iter().flat_map(|(task, ..)| paths_of(task)).collect();
        let changed: HashSet<&PathBuf> =
            paths.into_par_iter().filter(|path| !self.contents.is_unchanged(path)).collect();
        found
            .par_iter()
            .filter(|(task, ..)| paths_of(task).all(|path| !changed.contains(path)))
            .for_each(|(_, key, settled)| self.put(key, settled));
    }

    fn put(&self, key: &str, settled: &Settled) {
        self.contents.store().put_written(KIND, key, |to| {
            postcard::to_io(&kept::Task::of(settled), to).map(|_| ()).map_err(std::io::Error::other)
        });
    }

    /// A hash of everything that decides what is found for a task; `None` when its classpath can't be read.
    pub(super) fn key(&self, task: &TestTask, command_line: &[String]) -> Option<String> {
        let parameters = task
            .system_properties
            .iter()
            .filter(|(name, _)| name.starts_with("junit."))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let decides = Decides {
            rules: RULES,
            path: &task.path.0,
            release: task.java.version,
            framework: &task.framework,
            includes: &task.includes,
            excludes: &task.excludes,
            scan: task.scan_for_test_classes,
            include_tests: &task.include_tests,
            exclude_tests: &task.exclude_tests,
            command_line,
            parameters,
        };
        let mut hasher = Sha256::new();
        hasher.update(serde_json::to_vec(&decides).ok()?);
        let parts = [&task.class_dirs, &task.classpath, &task.launcher_classpath];
        let paths: Vec<&PathBuf> = parts.iter().copied().flatten().collect();
        let digests: Vec<Option<String>> = paths
            .par_iter()
            .map(|path| Ok(self.contents.digest(path)?.map(|digest| digest.sha256)))
            .collect::<Result<_>>()
            .ok()?;
        let mut digests = paths.iter().zip(digests);
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            for (path, digest) in digests.by_ref().take(part.len()) {
                // What is no archive by its name is passed over when it can't be read.
                let is_archive = super::is_archive_name(path);
                hasher.update([u8::from(digest.is_some()), u8::from(is_archive), u8::from(path.is_dir())]);
                hasher.update(digest.unwrap_or_default().as_bytes());
            }
        }
        // A path that is a class directory and on the classpath counts once.
        for path in &task.classpath {
            hasher.update([u8::from(task.class_dirs.contains(path))]);
        }
        Some(hash::hex(&hasher.finalize()))
    }
}

fn paths_of(task: &TestTask) -> impl Iterator<Item = &PathBuf> {
    [&task.class_dirs, &task.classpath, &task.launcher_classpath].into_iter().flatten()
}
