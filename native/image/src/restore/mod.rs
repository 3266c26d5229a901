//! Gradle's dependency cache from an image: what its layers of dependencies hold goes into a folder that
//! `GRADLE_RO_DEP_CACHE` names.
//!
//! | where | what |
//! |---|---|
//! | `modules-2/files-2.1/GROUP/NAME/VERSION/SHA1/FILE` | Gradle's; each file appears whole, by a rename |
//! | `.testfleet/layers/HEX` | the files of a layer that was restored, with their sizes |
//! | `.testfleet/fetched/` | what is fetched; it goes when it was unpacked |
//! | `.testfleet/unpacked-*` | what is unpacked and not moved yet |
//! | `.testfleet/lock` | held by the one who restores |

mod source;
#[cfg(test)]
mod tests;
mod unpack;

pub use source::Source;
#[cfg(any(fuzzing, test))]
pub(crate) use unpack::unpack;

use crate::compose::MADE_BY;
use crate::gradle::{BUILD_DEPENDENCIES, DEPENDENCIES, FILES, METADATA};
use crate::{Blob, Digest};
use oci_spec::image::ImageConfiguration;
use source::Found;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use testfleet_protocol::{Failure, FailureCode, Result};

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files that are there now and were not before.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there.
    pub there: u64,
    /// Bytes that came from a registry.
    pub fetched: u64,
    /// Whether the image has metadata of dependencies: without it Gradle downloads POMs.
    pub has_metadata: bool,
}

/// Restores the dependency cache from an image into a folder. Any number may do so at once: they wait for each other.
///
/// # Errors
/// `InvalidRequest` for an image without layers of dependencies; `RegistryFailed` and `BaseUnusable` as for a base; `Io` when the folder
/// can't be written. What was there stays, and nothing appears by half.
pub fn restore(source: &Source<'_>, to: &Path) -> Result<Restored> {
    let folder = Folder::open(to)?;
    let found = source.find(&folder.own.join("fetched"))?;
    let layers = layers(&found, &source.to_string())?;
    let mut restored =
        Restored { has_metadata: layers.iter().any(|(holds, _)| holds == METADATA), ..Restored::default() };
    for (_, layer) in &layers {
        let digest = layer.digest()?;
        match folder.files_of_restored(&digest) {
            Some(files) => restored.there += files,
            None => folder.restore_layer(&found, layer, &digest, &mut restored)?,
        }
    }
    if restored.files + restored.there == 0 {
        return Err(no_artifacts(
            &source.to_string(),
            "its layers of dependencies have no files of a dependency cache",
        ));
    }
    Ok(restored)
}

/// The layers of an image that hold dependencies, by its history.
fn layers(found: &Found, image: &str) -> Result<Vec<(String, Blob)>> {
    let steps = steps(&found.config);
    if steps.len() != found.layers.len() || !steps.iter().any(|step| step.starts_with(MADE_BY)) {
        return Err(no_artifacts(image, "its history does not tell that Testfleet made it"));
    }
    let wanted = |holds: &str| [DEPENDENCIES, BUILD_DEPENDENCIES, METADATA].contains(&holds);
    let named = steps.iter().zip(&found.layers).filter_map(|(step, layer)| {
        let holds = step.strip_prefix(MADE_BY).filter(|holds| wanted(holds))?;
        Some((holds.to_owned(), layer.clone()))
    });
    let layers: Vec<_> = named.collect();
    if layers.is_empty() {
        return Err(no_artifacts(image, "it has no layer of dependencies"));
    }
    Ok(layers)
}

fn steps(config: &ImageConfiguration) -> Vec<String> {
    let history = config.history().iter().flatten();
    let of_layers = history.filter(|step| step.empty_layer() != Some(true));
    of_layers.map(|step| step.created_by().clone().unwrap_or_default()).collect()
}

fn no_artifacts(image: &str, why: &str) -> Failure {
    Failure::new(FailureCode::InvalidRequest, format!("failed to restore dependencies from {image}"))
        .cause_text(why)
        .hint(
            "name an image that `./gradlew image` of this release made from tests with released dependencies, \
             with testfleet { image { dependencyCache = true } } for all that the build needs",
        )
}

/// The folder of a dependency cache, locked.
struct Folder {
    dir: PathBuf,
    own: PathBuf,
    _lock: File,
}

impl Folder {
    fn open(dir: &Path) -> Result<Self> {
        let own = dir.join(".testfleet");
        for folder in [dir.join("modules-2"), own.join("layers"), own.join("fetched")] {
            fs::create_dir_all(&folder).map_err(|error| {
                Failure::io("create", &folder, &error).hint("make the folder writable, or choose another with --to")
            })?;
        }
        let path = own.join("lock");
        let failed = |error: &std::io::Error| Failure::io("lock", &path, error);
        let lock =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| failed(&error))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            tracing::info!("somebody else restores into {}: waiting", dir.display());
            lock.lock().map_err(|error| failed(&error))?;
        }
        let folder = Self { dir: dir.to_owned(), own, _lock: lock };
        folder.remove_unfinished()?;
        Ok(folder)
    }

    /// What somebody left who was killed.
    fn remove_unfinished(&self) -> Result<()> {
        let failed = |error: &std::io::Error| Failure::io("list", &self.own, error);
        for entry in fs::read_dir(&self.own).map_err(|error| failed(&error))? {
            let path = entry.map_err(|error| failed(&error))?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNPACKED)) {
                fs::remove_dir_all(&path).map_err(|error| Failure::io("remove", &path, &error))?;
            }
        }
        Ok(())
    }

    fn record(&self, layer: &Digest) -> PathBuf {
        self.own.join("layers").join(layer.hex())
    }

    /// How many files a layer has that was restored; `None` when it was not, or one of them is not there any more.
    fn files_of_restored(&self, layer: &Digest) -> Option<u64> {
        let files: BTreeMap<String, u64> = serde_json::from_slice(&fs::read(self.record(layer)).ok()?).ok()?;
        let is_there = |(path, size): (&String, &u64)| has_size(&self.dir.join(FILES).join(path), *size);
        files.iter().all(is_there).then_some(files.len() as u64)
    }

    fn restore_layer(&self, found: &Found, layer: &Blob, digest: &Digest, restored: &mut Restored) -> Result<()> {
        let (blob, fetched) = found.file(layer, &self.own.join("fetched"))?;
        let unpacked = tempfile::Builder::new()
            .prefix(UNPACKED)
            .tempdir_in(&self.own)
            .map_err(|error| Failure::io("create a folder in", &self.own, &error))?;
        let files = unpack::unpack(&blob, layer.descriptor.media_type(), unpacked.path())?;
        for (path, size) in &files {
            let target = self.dir.join(FILES).join(path);
            if has_size(&target, *size) {
                restored.there += 1;
                continue;
            }
            let failed = |error: &std::io::Error| Failure::io("write", &target, error);
            let parent = target.parent().unwrap_or(&self.dir);
            fs::create_dir_all(parent).map_err(|error| failed(&error))?;
            fs::rename(unpacked.path().join(path), &target).map_err(|error| failed(&error))?;
            restored.files += 1;
            restored.bytes += size;
        }
        let bytes = serde_json::to_vec(&files)
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to write a layer's files").cause(&error))?;
        let record = self.record(digest);
        let failed = |error: &std::io::Error| Failure::io("write", &record, error);
        let file = NamedTempFile::new_in(&self.own).map_err(|error| failed(&error))?;
        fs::write(file.path(), bytes).map_err(|error| failed(&error))?;
        file.persist(&record).map_err(|error| failed(&error.error))?;
        if fetched {
            restored.fetched += layer.descriptor.size();
            match fs::remove_file(&blob) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(Failure::io("remove", &blob, &error)),
                _ => {}
            }
        }
        Ok(())
    }
}

const UNPACKED: &str = "unpacked-";

fn has_size(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|there| there.is_file() && there.len() == size)
}
