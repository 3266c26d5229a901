//! What was discovered before, under a hash of everything that decides it.

use crate::content::Contents;
use crate::hash;
use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
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
    /// Jupiter's configuration parameters can be among them.
    jvm_args: &'a [String],
    system_properties: &'a BTreeMap<String, String>,
}

impl<'a> Cache<'a> {
    pub(super) fn new(contents: &'a Contents) -> Self {
        Self { contents, hits: AtomicU64::new(0) }
    }

    /// Tasks whose result was there.
    pub(super) fn known(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Hashes what all tasks have on their classpaths, each path once. What can't be read is for discovery to complain about.
    pub(super) fn hash_all(&self, tasks: &'a [TestTask]) {
        let parts = |task: &'a TestTask| [&task.class_dirs, &task.classpath, &task.launcher_classpath];
        let paths: BTreeSet<&PathBuf> = tasks.iter().flat_map(parts).flatten().collect();
        paths.into_par_iter().for_each(|path| drop(self.contents.digest(path)));
    }

    /// What was put under a key.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let store = self.contents.store();
        let known = serde_json::from_slice(&store.get(KIND, key)?).ok()?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        store.touch(KIND, key);
        Some(known)
    }

    /// Keeps what was found; what decides it beside files and rules must be part of the key.
    pub(super) fn put<T: Serialize>(&self, key: &str, found: &T) {
        if let Ok(bytes) = serde_json::to_vec(found) {
            self.contents.store().put(KIND, key, &bytes);
        }
    }

    /// A hash of everything that decides what is found for a task; `None` when its classpath can't be read.
    pub(super) fn key(&self, task: &TestTask, command_line: &[String]) -> Option<String> {
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
            jvm_args: &task.jvm_args,
            system_properties: &task.system_properties,
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
