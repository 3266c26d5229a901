//! Digests of large files that did not change since this process read them: a daemon reads each jar once.

use super::digest::Digest;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testfleet_protocol::Result;

/// Smaller files are read faster than a table of them is worth.
const MIN_SIZE: u64 = 64 << 10;
/// A daemon may live through many builds: beyond that many files the table starts anew.
const MAX_FILES: usize = 10_000;
/// A file that was written within this time before it was read may be written again without a change that its times show.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells that a file is still the same: its place on the disk, its size, and its times, of which no program can set the
/// last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i128,
    changed_ns: i128,
}

static KNOWN: LazyLock<Mutex<HashMap<PathBuf, (Stamp, Digest)>>> = LazyLock::new(Mutex::default);

/// The digest of a file as it was read before, or as `read` gives it.
///
/// # Errors
/// Those of `read`.
pub(super) fn remembered(path: &Path, read: impl FnOnce() -> Result<Digest>) -> Result<Digest> {
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
    let Some(stamp) = stamp(path).filter(|stamp| stamp.size >= MIN_SIZE) else { return read() };
    if let Some((_, digest)) = lock().get(path).filter(|(known, _)| *known == stamp) {
        return Ok(digest.clone());
    }
    let digest = read()?;
    if stamp.modified_ns.max(stamp.changed_ns) + (SETTLED.as_nanos() as i128) < now_ns {
        let mut known = lock();
        if known.len() >= MAX_FILES {
            known.clear();
        }
        known.insert(path.to_owned(), (stamp, digest.clone()));
    }
    Ok(digest)
}

fn lock() -> std::sync::MutexGuard<'static, HashMap<PathBuf, (Stamp, Digest)>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified_ns: nanos(metadata.mtime(), metadata.mtime_nsec()),
        changed_ns: nanos(metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::digest;
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_keeps_its_size_and_time_of_change_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.jar");
        fs::write(&path, vec![1; MIN_SIZE as usize]).unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let first = digest::of_file(&path).unwrap();
        fs::write(&path, vec![2; MIN_SIZE as usize]).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let second = digest::of_file(&path).unwrap();
        assert_ne!(first, second);
        assert_eq!(second.sha256, crate::hash::sha256(&vec![2; MIN_SIZE as usize]));
    }

    #[test]
    fn a_file_that_rests_is_read_once() {
        // The program of this test: it was written before it was started.
        let path = std::env::current_exe().unwrap();
        let settled = stamp(&path).unwrap();
        let digest = Digest { sha256: "remembered".into(), size: settled.size };
        lock().insert(path.clone(), (settled, digest.clone()));
        assert_eq!(digest::of_file(&path).unwrap(), digest);
        lock().insert(path.clone(), (Stamp { inode: settled.inode + 1, ..settled }, digest.clone()));
        assert_ne!(digest::of_file(&path).unwrap(), digest, "another file in its place");
        lock().remove(&path);
    }
}
