//! A folder that machines share: a mounted disk, or what a CI system keeps between jobs.

use super::{Found, LARGEST, Written, name, too_large};
use crate::{document, hash};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use testfleet_protocol::{Failure, FailureCode, Result};

/// The file that is locked while a document is replaced.
const LOCK: &str = ".testfleet-lock";
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Longer than anybody waits for a merge.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

pub(super) struct Folder {
    path: PathBuf,
    /// Documents that nobody wrote for so many days are deleted; 0 keeps them.
    expire_days: u32,
}

impl Folder {
    pub(super) fn new(path: PathBuf, expire_days: u32) -> Self {
        Self { path, expire_days }
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Found>> {
        let path = self.path.join(name);
        aside(move || read(&path)).await
    }

    pub(super) async fn write(&self, name: &str, bytes: &[u8], expected: Option<&Found>) -> Result<Written> {
        let (folder, name, bytes) = (self.path.clone(), name.to_owned(), bytes.to_owned());
        let (expected, expire_days) = (expected.and_then(|found| found.version.clone()), self.expire_days);
        aside(move || {
            fs::create_dir_all(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
            let _lock = lock(&folder)?;
            let path = folder.join(&name);
            if read(&path)?.and_then(|found| found.version) != expected {
                return Ok(Written::Conflict);
            }
            document::write(&path, &bytes)?;
            delete_old(&folder, expire_days);
            Ok(Written::Done)
        })
        .await
    }
}

/// Disks of other machines may not answer: their calls get a thread of their own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(Failure::new(FailureCode::Internal, "failed to use a folder").cause(&error)))
}

fn read(path: &Path) -> Result<Option<Found>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io("read", path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(|error| Failure::io("read", path, &error))?;
    if bytes.len() > LARGEST {
        return Err(too_large(&path.display().to_string()));
    }
    let version = Some(hash::sha256(&bytes));
    Ok(Some(Found { bytes, version }))
}

/// Keeps others from writing until it is dropped. `None` where a disk knows no locks: what is written is looked at again.
fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    let failed = |error: &std::io::Error| Failure::io("lock", &path, error);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| failed(&error))?;
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(FailureCode::Io, format!("failed to lock {}", path.display()))
                    .cause_text("another process holds it"));
            }
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

/// Deletes documents of branches that are gone. That it can't be done is no reason to fail: the next run tries again.
fn delete_old(folder: &Path, expire_days: u32) {
    let age = Duration::from_secs(u64::from(expire_days) * SECONDS_PER_DAY);
    let Some(oldest) = SystemTime::now().checked_sub(age).filter(|_| expire_days > 0) else { return };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_old = || entry.metadata().and_then(|data| data.modified()).is_ok_and(|modified| modified < oldest);
        if entry.file_name().to_str().is_some_and(name::is_one) && is_old() {
            let _ = fs::remove_file(entry.path());
        }
    }
}
