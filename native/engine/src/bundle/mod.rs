//! What a worker needs, by content hash, relative to named roots.

pub(crate) mod digest;
pub(crate) mod jvm_args;
#[cfg(test)]
mod tests;

use crate::content::Contents;
use crate::discover::is_archive_name;
use crate::document;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use testfleet_image::place;
use testfleet_protocol::bundle::{Bundle, Entry, EntryKind, Profile};
use testfleet_protocol::path::Roots;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::request::{RunRequest, TestTask};
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

pub(crate) const DOCUMENT: document::Kind =
    document::Kind { what: "bundle", broken: FailureCode::Io, hint: "make a new one: ./gradlew prepare" };

/// Describes what the units of a plan need: a profile for each Test task that has units, and every file and
/// directory that these name.
///
/// # Errors
/// `MissingClasspathEntry` for a jar, agent or harness that is not there, `PathOutsideRoots` for a path that no
/// root holds, `Io` for what can't be read.
pub fn bundle(request: &RunRequest, plan: &Plan) -> Result<Bundle> {
    of_tasks(request, &plan.units.iter().map(|unit| &unit.task).collect())
}

/// Describes what harness JVMs of these Test tasks need, whatever they are to do.
///
/// # Errors
/// As for [`bundle`].
pub(crate) fn of_tasks(request: &RunRequest, wanted: &BTreeSet<&TaskPath>) -> Result<Bundle> {
    let mut tasks: Vec<&TestTask> = request.tasks.iter().filter(|task| wanted.contains(&task.path)).collect();
    tasks.sort_by(|a, b| a.path.cmp(&b.path));
    let roots = Roots::new(request.roots.clone());
    let mut files = Files::default();
    let harness_jar = files.require(&request.harness_jar, EntryKind::Testfleet, &roots, "the harness")?;
    let agent = files.require(&request.agent, EntryKind::Testfleet, &roots, "the agent")?;
    let profiles = tasks.into_iter().map(|task| profile(task, &roots, &mut files)).collect::<Result<_>>()?;
    let contents = Contents::open(&request.state_dir);
    let entries = files.entries(&contents)?;
    contents.save();
    Ok(Bundle { protocol: VERSION, profiles, entries, harness_jar, agent })
}

/// For each profile of a bundle, SHA-256 in hex of all that decides what its harness JVM does before a test runs: JVM,
/// arguments, environment, framework options, and the content of harness, classpath and declared inputs.
///
/// # Errors
/// `Io` when the JVM's own description can't be read.
pub(crate) fn content_keys(request: &RunRequest, bundle: &Bundle) -> Result<BTreeMap<TaskPath, String>> {
    let roots = Roots::new(request.roots.clone());
    let contents: BTreeMap<&str, &str> =
        bundle.entries.iter().map(|entry| (entry.path.as_str(), entry.sha256.as_str())).collect();
    let mut keys = BTreeMap::new();
    for profile in &bundle.profiles {
        let Some(task) = request.tasks.iter().find(|task| task.path == profile.task) else { continue };
        let mut inputs = Vec::new();
        for path in &task.declared_inputs {
            inputs.push(roots.relativize(path)?);
        }
        // What `java -version` says, without starting it; a JVM without the file is known by its folder alone.
        let release = task.java.home.join("release");
        let release = if release.is_file() { Some(Contents::forgetful().of(&release)?.sha256) } else { None };
        let files: Vec<_> = std::iter::once(&bundle.harness_jar)
            .chain(&profile.classpath)
            .chain(&inputs)
            .map(|path| (path, contents.get(path.as_str())))
            .collect();
        let decides = document::bytes(&(bundle.protocol, profile, release, files))?;
        keys.insert(profile.task.clone(), crate::hash::sha256(&decides));
    }
    Ok(keys)
}

/// Reads a bundle.
///
/// # Errors
/// `Io` when there is none or it is damaged, `ProtocolVersion` for one of another version.
pub fn read_bundle(path: &Path) -> Result<Bundle> {
    DOCUMENT.read(path)?.ok_or_else(|| {
        Failure::new(FailureCode::Io, format!("failed to find a bundle at {}", path.display()))
            .hint("make one: ./gradlew prepare")
    })
}

/// A bundle as [`write_bundle`] writes it.
///
/// # Errors
/// `Internal` when it has no JSON form.
pub(crate) fn bundle_bytes(bundle: &Bundle) -> Result<Vec<u8>> {
    document::bytes(bundle)
}

/// Writes a bundle, whole or not at all.
///
/// # Errors
/// `Io` when the file can't be written.
pub fn write_bundle(bundle: &Bundle, path: &Path) -> Result<()> {
    document::write(path, &bundle_bytes(bundle)?)
}

fn profile(task: &TestTask, roots: &Roots, files: &mut Files) -> Result<Profile> {
    let texts = roots.clone().with("jdk", &task.java.home);
    let mut classpath = Vec::new();
    for path in task.launcher_classpath.iter().chain(&task.classpath) {
        let who = format!("the classpath of {}", task.path);
        classpath.extend(files.classpath_entry(path, roots, &who)?);
    }
    for path in &task.declared_inputs {
        files.input(path, roots)?;
    }
    Ok(Profile {
        task: task.path.clone(),
        java_version: task.java.version,
        java_home: Some(task.java.home.to_string_lossy().into_owned()),
        classpath,
        jvm_args: jvm_args::assemble(task).iter().map(|argument| texts.relativize_text(argument)).collect(),
        environment: task
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), texts.relativize_text(value)))
            .collect(),
        working_dir: roots.relativize(&task.working_dir)?,
        fork_every: task.fork_every,
        class_timeout_ms: task.timeout_ms,
        framework: task.framework.clone(),
    })
}

/// The files and directories that profiles name, each once.
#[derive(Default)]
struct Files {
    by_stored: BTreeMap<String, (PathBuf, EntryKind)>,
}

impl Files {
    /// A file that has to be there.
    fn require(&mut self, path: &Path, kind: EntryKind, roots: &Roots, what: &str) -> Result<String> {
        if path.is_file() { self.add(path, kind, roots) } else { Err(missing(path, what)) }
    }

    /// A classpath entry; `None` for a directory that is not there, which Gradle allows: a source set without
    /// resources has none.
    fn classpath_entry(&mut self, path: &Path, roots: &Roots, who: &str) -> Result<Option<String>> {
        if path.is_dir() {
            return self.add(path, EntryKind::Classes, roots).map(Some);
        }
        if path.exists() {
            return self.add(path, jar_kind(path, roots), roots).map(Some);
        }
        if is_archive_name(path) { Err(missing(path, who)) } else { Ok(None) }
    }

    /// A declared input. Gradle has checked those that must exist.
    fn input(&mut self, path: &Path, roots: &Roots) -> Result<()> {
        if path.exists() { self.add(path, EntryKind::Input, roots).map(drop) } else { Ok(()) }
    }

    fn add(&mut self, path: &Path, kind: EntryKind, roots: &Roots) -> Result<String> {
        let stored = roots.relativize(path)?;
        let entry = self.by_stored.entry(stored.clone()).or_insert_with(|| (path.to_owned(), kind));
        entry.1 = entry.1.min(kind);
        Ok(stored)
    }

    fn entries(self, contents: &Contents) -> Result<Vec<Entry>> {
        self.by_stored
            .into_par_iter()
            .map(|(path, (file, kind))| {
                let digest::Digest { sha256, size } = contents.of(&file)?;
                Ok(Entry { path, kind, sha256, size })
            })
            .collect()
    }
}

/// A jar from Gradle's cache is a release, unless it is a snapshot; one from anywhere else changes with the build.
fn jar_kind(path: &Path, roots: &Roots) -> EntryKind {
    let is_cached =
        ["gradleHome", place::GRADLE_CACHE].iter().any(|root| roots.get(root).is_some_and(|dir| path.starts_with(dir)));
    let is_snapshot = path.file_name().is_some_and(|name| name.to_string_lossy().contains("-SNAPSHOT"));
    if is_cached && !is_snapshot { EntryKind::Dependency } else { EntryKind::Changing }
}

fn missing(path: &Path, what: &str) -> Failure {
    Failure::new(FailureCode::MissingClasspathEntry, format!("failed to find {}", path.display()))
        .cause_text(format!("{what} names it, but there is no such file"))
        .hint("build what makes it, or take it off the classpath; a file in Gradle's cache comes back with --refresh-dependencies")
}
