//! What passed in earlier runs, by key: `passed.json`.
//!
//! Under a key lie marks, one for each test: when it last ended in a run of its own, and how. A later mark replaces an
//! earlier one, so that a test which failed with equal inputs is run again until it passes; merging two stores keeps the
//! later mark of each test and so gives the same whichever comes first.

use crate::document;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use testfleet_protocol::plan::{Reused, Unit};
use testfleet_protocol::test::{TaskPath, TestName};
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// What no run added to or made use of for so long is forgotten, unless the build says otherwise.
pub const KEPT_DAYS: u32 = 30;
/// Beyond that many test classes, those that were used longest ago are forgotten: some 50 MB.
const MAX_KEYS: usize = 100_000;
/// Of one test class of a Test task that many versions are kept: about one for each branch that is worked on.
const MAX_KEYS_OF_CLASS: usize = 16;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

pub(crate) const DOCUMENT: document::Kind = document::Kind {
    what: "store of passed tests",
    broken: FailureCode::Io,
    hint: "nothing to do: tests that passed before are run again, and a new store is written",
};

/// How a test ended. Of two that ended at the same time, the later here counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    Passed,
    /// The framework was told not to run it.
    Skipped,
    /// In any other way.
    Bad,
}

/// When a test ended, how, and in which run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    at_ms: u64,
    ending: Ending,
    run: String,
}

/// What passed in earlier runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    keys: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    task: TaskPath,
    class: String,
    /// The last day, from the Unix epoch, on which a run added to it or made use of it.
    used_day: u64,
    marks: BTreeMap<String, Mark>,
}

/// As it is written: tests of one run together.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredEntry {
    #[serde(default)]
    task: TaskPath,
    class: String,
    used_day: u64,
    runs: Vec<StoredRun>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredRun {
    run: String,
    at_ms: u64,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    passed: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    skipped: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    bad: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Stored {
    keys: BTreeMap<String, StoredEntry>,
}

impl Store {
    /// Reads a store from bytes; `path` is for messages.
    ///
    /// # Errors
    /// `Io` for a damaged one, `ProtocolVersion` for one of another version. Both may be overwritten.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let stored: Stored = DOCUMENT.parse(path, bytes)?;
        Ok(Self { keys: stored.keys.into_iter().map(|(key, entry)| (key, entry.into())).collect() })
    }

    /// The document: sorted, a line for each class.
    ///
    /// # Errors
    /// `Internal` when it has no JSON form.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut text = format!("{{\"protocol\": {VERSION},\n\"keys\": {{");
        for (index, (key, entry)) in self.keys.iter().enumerate() {
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            text.push_str(&format!("{}: {}", json(key)?, json(&StoredEntry::from(entry))?));
        }
        text.push_str("\n}}\n");
        Ok(text.into_bytes())
    }

    /// Reads the store at `path`. Without one it is empty; one that can't be read is empty, too, and the failure says why.
    pub fn load(path: &Path) -> (Self, Option<Failure>) {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (Self::default(), None),
            Err(error) => return (Self::default(), Some(Failure::io("read", path, &error))),
        };
        match Self::parse(path, &bytes) {
            Ok(store) => (store, None),
            Err(failure) => (Self::default(), Some(failure)),
        }
    }

    /// Changes the store at `path`: no other process changes it meanwhile, and who reads it sees it before or after.
    ///
    /// # Errors
    /// `Io` when it can't be locked or written.
    pub fn update(path: &Path, change: impl FnOnce(&mut Self)) -> Result<()> {
        document::locked(&path.with_extension("lock"), || {
            // What was damaged has been told when the run was planned.
            let (mut store, _) = Self::load(path);
            let before = store.clone();
            change(&mut store);
            if store == before { Ok(()) } else { document::write(path, &store.bytes()?) }
        })
    }

    /// Notes how a test of a unit ended under a key.
    pub(super) fn record(&mut self, key: &str, unit: &Unit, test: &TestName, ending: Ending, run: &str, at_ms: u64) {
        let entry = self.keys.entry(key.to_owned()).or_default();
        entry.task.clone_from(&unit.task);
        entry.class.clone_from(&unit.class);
        entry.used_day = entry.used_day.max(at_ms / DAY_MS);
        let mark = Mark { at_ms, ending, run: run.to_owned() };
        entry.add(short(&unit.class, test), mark);
    }

    /// Notes that a run made use of a key.
    pub(super) fn touch(&mut self, key: &str, at_ms: u64) {
        if let Some(entry) = self.keys.get_mut(key) {
            entry.used_day = entry.used_day.max(at_ms / DAY_MS);
        }
    }

    /// The run that counts for tests of a class, when under this key all of them passed, or all but some that the
    /// framework was told not to run.
    pub(crate) fn reused(&self, key: &str, class: &str, tests: &[TestName]) -> Option<Reused> {
        let entry = self.keys.get(key).filter(|entry| entry.class == class)?;
        let marks: Vec<(&TestName, &Mark)> =
            tests.iter().map(|test| Some((test, entry.marks.get(&short(class, test))?))).collect::<Option<Vec<_>>>()?;
        if marks.iter().any(|(_, mark)| mark.ending == Ending::Bad) {
            return None;
        }
        let last = marks.iter().map(|(_, mark)| *mark).max()?;
        let skipped = marks.iter().filter(|(_, mark)| mark.ending == Ending::Skipped);
        Some(Reused {
            run: last.run.clone(),
            at_ms: last.at_ms,
            skipped: skipped.map(|(test, _)| (*test).clone()).collect(),
        })
    }

    /// Adds what another store knows.
    pub fn merge(&mut self, other: &Self) {
        for (key, entry) in &other.keys {
            let known = self.keys.entry(key.clone()).or_insert_with(|| Entry {
                task: entry.task.clone(),
                class: entry.class.clone(),
                ..Entry::default()
            });
            // Equal keys are of equal classes; should somebody have edited one, both orders give the same.
            if (&entry.task, &entry.class) < (&known.task, &known.class) {
                known.task.clone_from(&entry.task);
                known.class.clone_from(&entry.class);
            }
            known.used_day = known.used_day.max(entry.used_day);
            for (test, mark) in &entry.marks {
                known.add(test.clone(), mark.clone());
            }
        }
    }

    /// Forgets what was not used for `days`, unless they are 0, and what is too much.
    pub fn expire(&mut self, now_ms: u64, days: u32) {
        if days > 0 {
            let first_day = (now_ms / DAY_MS).saturating_sub(days.into());
            self.keys.retain(|_, entry| entry.used_day >= first_day);
        }
        let of = |entry: &Entry| (entry.task.clone(), entry.class.clone());
        let mut by_use: Vec<(u64, (TaskPath, String), String)> =
            self.keys.iter().map(|(key, entry)| (entry.used(), of(entry), key.clone())).collect();
        by_use.sort_unstable_by(|a, b| b.cmp(a));
        let mut of_class: BTreeMap<(TaskPath, String), usize> = BTreeMap::new();
        let mut kept = 0;
        for (_, class, key) in by_use {
            let count = of_class.entry(class).or_default();
            *count += 1;
            kept += 1;
            if *count > MAX_KEYS_OF_CLASS || kept > MAX_KEYS {
                self.keys.remove(&key);
                kept -= 1;
            }
        }
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Entry {
    fn add(&mut self, test: String, mark: Mark) {
        match self.marks.entry(test) {
            std::collections::btree_map::Entry::Vacant(empty) => {
                empty.insert(mark);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => {
                if *known.get() < mark {
                    known.insert(mark);
                }
            }
        }
    }

    /// When it was last of use, in milliseconds as far as that is known.
    fn used(&self) -> u64 {
        let marked = self.marks.values().map(|mark| mark.at_ms).max().unwrap_or(0);
        marked.max(self.used_day.saturating_mul(DAY_MS))
    }
}

impl From<StoredEntry> for Entry {
    fn from(stored: StoredEntry) -> Self {
        let StoredEntry { task, class, used_day, runs } = stored;
        let mut entry = Self { task, class, used_day, marks: BTreeMap::new() };
        for run in runs {
            for (tests, ending) in
                [(run.passed, Ending::Passed), (run.skipped, Ending::Skipped), (run.bad, Ending::Bad)]
            {
                for test in tests {
                    entry.add(test, Mark { at_ms: run.at_ms, ending, run: run.run.clone() });
                }
            }
        }
        entry
    }
}

impl From<&Entry> for StoredEntry {
    fn from(entry: &Entry) -> Self {
        let mut runs: BTreeMap<(u64, &str), StoredRun> = BTreeMap::new();
        for (test, mark) in &entry.marks {
            let run = runs.entry((mark.at_ms, &mark.run)).or_insert_with(|| StoredRun {
                run: mark.run.clone(),
                at_ms: mark.at_ms,
                passed: BTreeSet::new(),
                skipped: BTreeSet::new(),
                bad: BTreeSet::new(),
            });
            let tests = match mark.ending {
                Ending::Passed => &mut run.passed,
                Ending::Skipped => &mut run.skipped,
                Ending::Bad => &mut run.bad,
            };
            tests.insert(test.clone());
        }
        Self {
            task: entry.task.clone(),
            class: entry.class.clone(),
            used_day: entry.used_day,
            runs: runs.into_values().collect(),
        }
    }
}

/// A test of a class in few letters: its method, or the nested class, `;` and the method. No name of a class has a `;`.
fn short(class: &str, test: &TestName) -> String {
    if test.class == class && !test.method.contains(';') {
        test.method.clone()
    } else {
        format!("{};{}", test.class, test.method)
    }
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Failure::new(FailureCode::Internal, "failed to write the store of passed tests as JSON").cause(&error)
    })
}
