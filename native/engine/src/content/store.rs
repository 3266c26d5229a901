//! Files of a cache by kind and key, each with a checksum: whole and as it was written, or not there.

use super::files::KEPT_DAYS;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufWriter, IntoInnerError, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// All files together; beyond it those go that were not used for longest.
const MAX_TOTAL: u64 = 512 << 20;
/// A file beyond this size is none of ours.
const MAX_FILE: u64 = 256 << 20;
const DAY: Duration = Duration::from_secs(86_400);
/// Stands first in each file; another number for another form.
const MAGIC: &[u8; 8] = b"tfcache1";

/// A folder for files of a cache. Its content may be deleted at any time, by anyone, in part.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    dir: Option<PathBuf>,
    max_total: u64,
}

impl Store {
    /// The store in a state folder.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { dir: Some(state_dir.join("discovery")), max_total: MAX_TOTAL }
    }

    /// A store that keeps nothing.
    pub(super) fn none() -> Self {
        Self { dir: None, max_total: 0 }
    }

    #[cfg(test)]
    pub(super) fn with_max_total(mut self, max_total: u64) -> Self {
        self.max_total = max_total;
        self
    }

    fn path(&self, kind: &str, key: &str) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(kind).join(key))
    }

    /// What was put under a key; `None` when it is not there or not whole.
    pub(crate) fn get(&self, kind: &str, key: &str) -> Option<Vec<u8>> {
        let file = fs::File::open(self.path(kind, key)?).ok()?;
        let size = file.metadata().ok()?.len();
        if size > MAX_FILE {
            return None;
        }
        let mut bytes = Vec::with_capacity(size as usize + 1);
        file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        let (head, payload) = bytes.split_at_checked(MAGIC.len() + 32)?;
        if head[..MAGIC.len()] != *MAGIC || head[MAGIC.len()..] != *checksum(kind, key).chain_update(payload).finalize()
        {
            return None;
        }
        bytes.drain(..MAGIC.len() + 32);
        Some(bytes)
    }

    /// Whether nothing of a kind was ever put, or all of it is gone.
    pub(crate) fn is_empty(&self, kind: &str) -> bool {
        let Some(dir) = &self.dir else { return true };
        fs::read_dir(dir.join(kind)).map_or(true, |mut entries| entries.next().is_none())
    }

    /// Puts bytes under a key, whole or not at all. Never fails: it is a cache.
    pub(crate) fn put(&self, kind: &str, key: &str, payload: &[u8]) {
        self.put_written(kind, key, |to| to.write_all(payload));
    }

    /// As [`Store::put`] of what is written bit by bit, so that it need not be in memory as a whole.
    pub(crate) fn put_written(&self, kind: &str, key: &str, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) {
        let Some(path) = self.path(kind, key) else { return };
        if let Err(error) = self::write(&path, checksum(kind, key), write) {
            tracing::debug!("failed to write {}: {error}", path.display());
        }
    }

    /// Says that what lies under a key was used.
    pub(crate) fn touch(&self, kind: &str, key: &str) {
        let Some(path) = self.path(kind, key) else { return };
        let is_old = |path: &Path| age(path).is_some_and(|age| age > DAY);
        if is_old(&path)
            && let Ok(file) = fs::File::options().append(true).open(&path)
        {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// Once a day: throws away what was not used for 30 days, and what is too much.
    pub(crate) fn tidy(&self) {
        let Some(dir) = &self.dir else { return };
        let mark = dir.join("tidied");
        if age(&mark).is_none_or(|age| age > DAY) && dir.is_dir() && fs::write(&mark, b"").is_ok() {
            self.tidy_now();
        }
    }

    pub(super) fn tidy_now(&self) {
        let Some(dir) = &self.dir else { return };
        let kept = DAY * KEPT_DAYS as u32;
        let mut files: Vec<(Duration, u64, PathBuf)> = Vec::new();
        for entry in walkdir::WalkDir::new(dir).min_depth(2).max_depth(2).into_iter().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let age = metadata.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
            let is_half_written = entry.file_name().to_string_lossy().starts_with(TEMPORARY) && age > DAY;
            if metadata.is_file() && (age > kept || is_half_written) {
                let _ = fs::remove_file(entry.path());
            } else if metadata.is_file() {
                files.push((age, metadata.len(), entry.into_path()));
            }
        }
        files.sort();
        let mut total = 0;
        for (_, size, path) in files {
            total += size;
            if total > self.max_total {
                let _ = fs::remove_file(path);
            }
        }
    }
}

const TEMPORARY: &str = ".testfleet-";

/// Begins the checksum of a file: its kind and key are part of it.
fn checksum(kind: &str, key: &str) -> Sha256 {
    let mut hasher = Sha256::new();
    for text in [kind, key] {
        hasher.update(text.as_bytes());
        hasher.update([0]);
    }
    hasher
}

/// Hashes and counts what is written.
struct Checked<W> {
    to: W,
    hasher: Sha256,
    left: u64,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        let too_large = || std::io::Error::other(format!("it is larger than {} MB", MAX_FILE >> 20));
        self.left = self.left.checked_sub(count as u64).ok_or_else(too_large)?;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// No sync: after a crash the checksum tells what is not whole.
fn write(
    path: &Path,
    hasher: Sha256,
    payload: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(&[0; 32])?;
    let checked = Checked { to: file.as_file(), hasher, left: MAX_FILE - MAGIC.len() as u64 - 32 };
    let mut buffered = BufWriter::with_capacity(1 << 16, checked);
    payload(&mut buffered)?;
    let checked = buffered.into_inner().map_err(IntoInnerError::into_error)?;
    let checksum = checked.hasher.finalize();
    file.seek(SeekFrom::Start(MAGIC.len() as u64))?;
    file.write_all(&checksum)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn age(path: &Path) -> Option<Duration> {
    fs::metadata(path).ok()?.modified().ok()?.elapsed().ok()
}
