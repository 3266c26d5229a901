//! What a folder or tar file held when it was read last: reading it again would mean reading all of its layers.

use super::Platform;
use crate::store::stamp;
use crate::{Base, Blob, BlobSource, Digest};
use oci_spec::image::{Descriptor, ImageConfiguration};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use testfleet_protocol::{Failure, Result};

/// Rises whenever bases are read in another way.
const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Memo {
    version: u32,
    path: PathBuf,
    platform: String,
    files: Vec<Stamp>,
    config: ImageConfiguration,
    layers: Vec<(Descriptor, PathBuf)>,
    identity: String,
}

/// What tells a file from what it was.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    seen: String,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self { path: path.to_owned(), seen: stamp(&found) })
    }
}

/// What `read` found the last time, if none of the files changed since; else what it finds now.
pub(super) fn remembered(
    path: &Path,
    platform: &Platform,
    folder: &Path,
    read: impl FnOnce() -> Result<Base>,
) -> Result<Base> {
    let file = file_of(folder, path, platform);
    if let Some(base) = recall(&file, path, platform) {
        return Ok(base);
    }
    // A tar file is itself what is looked at, of a folder the index.
    let main = || Stamp::of(&if path.is_dir() { path.join("index.json") } else { path.to_owned() });
    let before = main();
    let base = read()?;
    // What changed while it was read is read again the next time.
    if let Some(main) = before.filter(|before| main().as_ref() == Some(before)) {
        remember(&file, path, platform, main, &base)?;
    }
    Ok(base)
}

/// The file below `folder` that tells of what is at `path`.
pub(super) fn file_of(folder: &Path, path: &Path, platform: &Platform) -> PathBuf {
    let name = Digest::of(format!("{platform}\n{}", path.display()).as_bytes());
    folder.join("bases").join(format!("{}.json", name.hex()))
}

fn recall(file: &Path, path: &Path, platform: &Platform) -> Option<Base> {
    let memo: Memo = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let same = memo.version == VERSION && memo.path == path && memo.platform == platform.to_string();
    if !same || memo.files.iter().any(|stamp| Stamp::of(&stamp.path).as_ref() != Some(stamp)) {
        return None;
    }
    let blob = |(descriptor, path)| Blob { descriptor, source: BlobSource::File(path) };
    let layers = memo.layers.into_iter().map(blob).collect();
    Some(Base { config: memo.config, layers, identity: memo.identity, documents: Vec::new() })
}

fn remember(file: &Path, path: &Path, platform: &Platform, main: Stamp, base: &Base) -> Result<()> {
    let mut files = vec![main];
    let mut layers = Vec::new();
    for layer in &base.layers {
        let BlobSource::File(path) = &layer.source else { return Ok(()) };
        let Some(stamp) = Stamp::of(path) else { return Ok(()) };
        files.push(stamp);
        layers.push((layer.descriptor.clone(), path.clone()));
    }
    let memo = Memo {
        version: VERSION,
        path: path.to_owned(),
        platform: platform.to_string(),
        files,
        config: base.config.clone(),
        layers,
        identity: base.identity.clone(),
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    let failed =
        |error: std::io::Error| Failure::io("write", file, &error).hint("make room or another folder for caches");
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(&serde_json::to_vec(&memo)?)?;
        new.persist(file)?;
        Ok(())
    });
    written.map_err(failed)
}
