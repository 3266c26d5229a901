//! JUnit XML as Gradle writes it: one `TEST-<class>.xml` for each class.

mod write;

use super::Aggregate;
use super::files;
use super::output::ClassOutput;
use super::records::TestRecord;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, Result};

/// One class with what it has to report.
pub(super) struct Suite<'a> {
    pub(super) task: &'a TaskPath,
    pub(super) class: &'a str,
    /// In the order in which they ran.
    pub(super) tests: Vec<&'a TestRecord>,
    pub(super) output: Option<&'a ClassOutput>,
}

/// Writes one file for each class (nested classes have their own) and returns their paths in order. With
/// one Test task in the plan they lie in `dir`, with several in a folder for each task: `:app:test` → `app/test/`.
/// Afterwards files of former runs are removed: `dir` is Testfleet's own.
///
/// # Errors
/// `FailureCode::Io` when a file can't be written or a stale one can't be removed.
pub fn write_junit(aggregate: &Aggregate, dir: &Path) -> Result<Vec<PathBuf>> {
    files::make_folder(dir)?;
    let tasks: BTreeSet<_> = aggregate.units.iter().map(|unit| &unit.task).collect();
    let several = tasks.len() > 1;
    let mut taken = HashSet::new();
    let mut written = Vec::new();
    for suite in suites(aggregate) {
        let folder = if several { files::task_folder(dir, suite.task) } else { dir.to_owned() };
        let path = free_name(&mut taken, folder, &suite);
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        let xml = write::suite(aggregate, &suite).map_err(|error| Failure::io("write", &path, &error))?;
        files::replace(&path, &xml)?;
        written.push(path);
    }
    remove_stale(dir, &written.iter().map(PathBuf::as_path).collect())?;
    Ok(written)
}

/// By task and class. A class without tests of its own is there when it wrote something.
fn suites(aggregate: &Aggregate) -> Vec<Suite<'_>> {
    let mut suites: BTreeMap<(&TaskPath, &str), Suite<'_>> = BTreeMap::new();
    let empty = |task, class| Suite { task, class, tests: Vec::new(), output: None };
    for test in aggregate.tests.iter().filter(|test| test.in_run) {
        let (task, class) = (&test.id.task, test.id.name.class.as_str());
        suites.entry((task, class)).or_insert_with(|| empty(task, class)).tests.push(test);
    }
    for ((task, class), output) in &aggregate.output {
        suites.entry((task, class)).or_insert_with(|| empty(task, class)).output = Some(output);
    }
    for suite in suites.values_mut() {
        let started = |test: &&TestRecord| test.decisive().and_then(|attempt| attempt.started_at_ms());
        suite.tests.sort_by_key(|test| (started(test).unwrap_or(u64::MAX), &test.id.name.method));
    }
    suites.into_values().collect()
}

/// File systems that ignore case would take `Foo` and `foo` for one file.
fn free_name(taken: &mut HashSet<String>, folder: PathBuf, suite: &Suite<'_>) -> PathBuf {
    let mut path = folder.join(format!("TEST-{}.xml", files::safe_name(suite.class)));
    if !taken.insert(path.to_string_lossy().to_lowercase()) {
        let digest = files::short_digest(&format!("{}\n{}", suite.task, suite.class));
        path = folder.join(format!("TEST-{}#{digest}.xml", files::safe_name(suite.class)));
    }
    path
}

fn remove_stale(dir: &Path, written: &HashSet<&Path>) -> Result<()> {
    for entry in walkdir::WalkDir::new(dir).contents_first(true) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(dir).to_owned();
            Failure::io("look for old results in", &path, &error.into())
        })?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy();
        let is_ours = (name.starts_with("TEST-") && name.ends_with(".xml")) || name.starts_with(files::UNFINISHED);
        if entry.file_type().is_dir() {
            if entry.depth() > 0 {
                // Fails when something is in it, which is what decides.
                let _not_empty = fs::remove_dir(path);
            }
        } else if is_ours && !written.contains(path) {
            fs::remove_file(path).map_err(|error| Failure::io("remove the old result", path, &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
