//! The files of Gradle's dependency cache that a build needs besides the tests' own jars.

use super::pom::{Module, Pom, references};
use super::{BUILD_DEPENDENCIES, FILES, METADATA};
use crate::Assembly;
use crate::hashing;
use crate::layer::encode::Content;
use crate::layer::tree::PLAIN;
use crate::layer::{Item, Recipe};
use crate::place;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use testfleet_protocol::bundle::EntryKind;
use testfleet_protocol::{Failure, Result};

/// A chain of parents is no longer.
const MOST_PARENTS: usize = 32;

/// The layers of these files: the jars that only the build needs, and all metadata.
///
/// # Errors
/// `Io` when a file can't be read.
pub(crate) fn recipes(assembly: &Assembly<'_>) -> Result<Vec<Recipe>> {
    let found = Found::of(assembly)?;
    let of_tests: BTreeSet<String> = tests_own(assembly).collect();
    let (metadata, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        found.files.into_iter().filter(|(path, _)| !of_tests.contains(path)).partition(|(path, _)| is_metadata(path));
    let layers = [(BUILD_DEPENDENCIES, Content::Jars, others), (METADATA, Content::Seldom, metadata)];
    let recipes = layers.into_iter().filter(|(_, _, files)| !files.is_empty()).map(|(holds, content, files)| {
        let items = files.into_iter().map(|(path, source)| item(&path, source)).collect::<Result<_>>()?;
        Ok(Recipe { holds: holds.to_owned(), content, shared: true, items })
    });
    recipes.collect()
}

/// All files of a dependency cache that an image has, by their paths from `files-2.1`.
///
/// # Errors
/// As for [`recipes`].
pub(super) fn all(assembly: &Assembly<'_>) -> Result<BTreeSet<String>> {
    let found = Found::of(assembly)?;
    Ok(tests_own(assembly).chain(found.files.into_keys()).collect())
}

fn item(path: &str, source: PathBuf) -> Result<Item> {
    let digest = hashing::of_file(&source)?;
    let target = format!("{}/{FILES}/{path}", place::root(place::GRADLE_CACHE));
    Ok(Item::File { target, source, sha256: digest.hex().to_owned(), mode: PLAIN, guarded: false })
}

/// The jars of the bundle that lie in a dependency cache.
fn tests_own(assembly: &Assembly<'_>) -> impl Iterator<Item = String> {
    let released = assembly.bundle.entries.iter().filter(|entry| entry.kind == EntryKind::Dependency);
    released.filter_map(|entry| Some(entry.path.split_once(&format!("/{FILES}/"))?.1.to_owned()))
}

fn is_metadata(path: &str) -> bool {
    path.ends_with(".pom") || path.ends_with(".module")
}

/// What is found on this machine, by the path from `files-2.1`.
struct Found {
    /// Every `files-2.1` of this machine.
    folders: Vec<PathBuf>,
    files: BTreeMap<String, PathBuf>,
}

impl Found {
    fn of(assembly: &Assembly<'_>) -> Result<Self> {
        let usual = assembly.roots.get("gradleHome").map(|home| home.join("caches"));
        let read_only = assembly.roots.get(place::GRADLE_CACHE).map(Path::to_owned);
        let folders = usual.into_iter().chain(read_only).map(|folder| folder.join(FILES)).collect();
        let mut found = Self { folders, files: BTreeMap::new() };
        for file in &assembly.options.build_files {
            found.add_file(file);
        }
        let modules = assembly.options.build_modules.iter().filter_map(|text| Module::of_notation(text));
        found.add_metadata(modules.collect())?;
        Ok(found)
    }

    fn add_file(&mut self, file: &Path) {
        match self.folders.iter().find_map(|folder| file.strip_prefix(folder).ok()).and_then(Path::to_str) {
            // Nobody knows what a snapshot will be.
            Some(path) if path.contains("-SNAPSHOT/") => {}
            Some(path) => drop(self.files.insert(path.to_owned(), file.to_owned())),
            None => tracing::info!("{} comes from no cache of Gradle's and is left out of the image", file.display()),
        }
    }

    /// Adds POMs and module files, and the POMs that they refer to. One that was never read is not there, and is not needed.
    fn add_metadata(&mut self, mut left: Vec<Module>) -> Result<()> {
        let mut seen: BTreeSet<Module> = BTreeSet::new();
        while let Some(module) = left.pop() {
            if module.version.ends_with("-SNAPSHOT") || !seen.insert(module.clone()) {
                continue;
            }
            let mut has_module_file = false;
            for (path, file) in self.files_of(&module, "module")? {
                has_module_file = true;
                self.files.insert(path, file);
            }
            for (path, file) in self.files_of(&module, "pom")? {
                // With a module file Gradle reads no further.
                if !has_module_file {
                    left.extend(references(&self.chain(&file)?));
                }
                self.files.insert(path, file);
            }
        }
        Ok(())
    }

    /// A POM and its parents, as far as they are there.
    fn chain(&self, pom: &Path) -> Result<Vec<Pom>> {
        let mut chain = vec![read(pom)?];
        while let Some(parent) = chain.last().and_then(|pom| pom.parent.clone()).filter(|_| chain.len() < MOST_PARENTS)
        {
            match self.files_of(&parent, "pom")?.pop() {
                Some((_, file)) => chain.push(read(&file)?),
                None => break,
            }
        }
        Ok(chain)
    }

    /// `NAME-VERSION.EXTENSION` of a module, once for each content that repositories gave it.
    fn files_of(&self, module: &Module, extension: &str) -> Result<Vec<(String, PathBuf)>> {
        let Module { group, name, version } = module;
        let (folder, file) = (format!("{group}/{name}/{version}"), format!("{name}-{version}.{extension}"));
        let mut found = BTreeMap::new();
        for files in &self.folders {
            let dir = files.join(&folder);
            let failed = |error: &std::io::Error| Failure::io("list", &dir, error);
            let entries = match fs::read_dir(&dir) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                entries => entries.map_err(|error| failed(&error))?,
            };
            for entry in entries {
                let hash = entry.map_err(|error| failed(&error))?.file_name().to_string_lossy().into_owned();
                let path = dir.join(&hash).join(&file);
                if path.is_file() {
                    found.insert(format!("{folder}/{hash}/{file}"), path);
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// One that can't be understood refers to nothing: Gradle says what is wrong with it.
fn read(pom: &Path) -> Result<Pom> {
    let bytes = fs::read(pom).map_err(|error| Failure::io("read", pom, &error))?;
    Ok(Pom::read(&bytes).unwrap_or_else(|error| {
        tracing::info!("{} can't be understood: {error}", pom.display());
        Pom::default()
    }))
}
