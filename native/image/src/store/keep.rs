//! What is in the store, what goes, and whether all of it is whole.

use super::Store;
#[cfg(test)]
use super::blob::stamp;
use super::record::LayerRecord;
use crate::Digest;
use crate::hashing::of_reader;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use testfleet_protocol::{Failure, Result};

/// What stays in the store. What a running build needs always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Most bytes of all blobs together; what was not used for longest goes first.
    pub max_size: u64,
    /// What was not used for so long goes.
    pub max_age: Duration,
}

impl Default for Policy {
    /// 10 GB, 30 days.
    fn default() -> Self {
        Self { max_size: 10 << 30, max_age: Duration::from_secs(30 * 86_400) }
    }
}

impl Policy {
    /// Nothing stays but what running builds need.
    pub const NOTHING: Self = Self { max_size: 0, max_age: Duration::ZERO };
}

/// A blob of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// When a build last needed it.
    pub last_used: SystemTime,
    /// Whether a running build needs it.
    pub in_use: bool,
    /// The layers that it is.
    pub layers: Vec<LayerRecord>,
}

/// What was thrown away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Blobs that went.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Blobs that stay.
    pub kept: u64,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// What looking at all blobs found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Blobs that are whole.
    pub whole: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Damaged ones, which were removed.
    pub removed: Vec<Digest>,
    /// Damaged ones that a running build needs: they are replaced when they are next made.
    pub in_use: Vec<Digest>,
}

impl Store {
    /// All blobs, the last used first.
    ///
    /// # Errors
    /// `Io` when the store can't be read.
    pub fn list(&self) -> Result<Vec<Stored>> {
        let needed = {
            let _gate = self.gate(true)?;
            self.needed()?
        };
        let mut layers: BTreeMap<Digest, Vec<LayerRecord>> = BTreeMap::new();
        for (_, record) in self.records()? {
            let Some(record) = record else { continue };
            layers.entry(record.digest.clone()).or_default().push(record);
        }
        let mut stored: Vec<Stored> = Vec::new();
        for Found { digest, size, last_used } in self.blobs()? {
            let layers = layers.remove(&digest).unwrap_or_default();
            let in_use = needed.contains(digest.hex());
            stored.push(Stored { digest, size, last_used, in_use, layers });
        }
        stored.sort_by(|a, b| b.last_used.cmp(&a.last_used).then_with(|| a.digest.cmp(&b.digest)));
        Ok(stored)
    }

    /// Throws away what the policy says, and what builds left behind that were killed.
    ///
    /// # Errors
    /// `Io` when the store can't be read or written.
    pub fn prune(&self, policy: &Policy) -> Result<Pruned> {
        let _gate = self.gate(true)?;
        let needed = self.needed()?;
        self.sweep()?;
        let mut found = self.blobs()?;
        found.sort_by(|a, b| b.last_used.cmp(&a.last_used).then_with(|| a.digest.cmp(&b.digest)));
        let now = SystemTime::now();
        let mut pruned = Pruned::default();
        // What is needed counts first, wherever it stands in the order of use.
        let mut total: u64 = found.iter().filter(|blob| needed.contains(blob.digest.hex())).map(|blob| blob.size).sum();
        let mut gone = HashSet::new();
        // What is older than one that goes was not used for longer still, and goes, too, however small it is.
        let mut full = false;
        for blob in found {
            let is_needed = needed.contains(blob.digest.hex());
            let age = now.duration_since(blob.last_used).unwrap_or_default();
            full |= !is_needed && (total.saturating_add(blob.size) > policy.max_size || age > policy.max_age);
            if is_needed || !full {
                total += if is_needed { 0 } else { blob.size };
                pruned.kept += 1;
                pruned.kept_bytes += blob.size;
                continue;
            }
            self.remove(&blob.digest)?;
            pruned.removed += 1;
            pruned.removed_bytes += blob.size;
            gone.insert(blob.digest);
        }
        for (path, record) in self.records()? {
            let leads_nowhere =
                |record: &LayerRecord| gone.contains(&record.digest) || !self.blob_file(record.digest.hex()).exists();
            if record.as_ref().is_none_or(leads_nowhere) {
                remove_file(&path)?;
            }
        }
        Ok(pruned)
    }

    /// As [`Store::prune`], but not more often than once within `every`.
    ///
    /// # Errors
    /// As for [`Store::prune`].
    pub fn prune_at_times(&self, policy: &Policy, every: Duration) -> Result<Option<Pruned>> {
        let mark = self.dir().join("pruned");
        let age = |path: &Path| fs::metadata(path).ok()?.modified().ok()?.elapsed().ok();
        if age(&mark).is_some_and(|age| age < every) {
            return Ok(None);
        }
        fs::write(&mark, b"").map_err(|error| Failure::io("write", &mark, &error))?;
        self.prune(policy).map(Some)
    }

    /// Reads all blobs and removes those that are damaged.
    ///
    /// # Errors
    /// `Io` when the store can't be read or written.
    pub fn verify(&self) -> Result<Verified> {
        let mut verified = Verified::default();
        for Found { digest, size, .. } in self.blobs()? {
            let path = self.blob_file(digest.hex());
            let failed = |error: &std::io::Error| Failure::io("read", &path, error);
            // Gone since it was listed.
            let Ok(file) = File::open(&path) else { continue };
            if of_reader(&file).map_err(|error| failed(&error))? == digest {
                verified.whole += 1;
                verified.bytes += size;
                continue;
            }
            let read = file.metadata().map_err(|error| failed(&error))?.ino();
            let _gate = self.gate(true)?;
            // Whoever uses it next reads it, whatever it looks like.
            remove_file(&self.use_file(digest.hex()))?;
            if !fs::metadata(&path).is_ok_and(|now| now.ino() == read) {
                // Replaced meanwhile.
                verified.whole += 1;
                verified.bytes += size;
            } else if self.needed()?.contains(digest.hex()) {
                verified.in_use.push(digest);
            } else {
                self.remove(&digest)?;
                verified.removed.push(digest);
            }
        }
        Ok(verified)
    }

    /// What living builds need. Removes the leases of dead ones. Under the exclusive gate.
    fn needed(&self) -> Result<HashSet<String>> {
        let mut needed = HashSet::new();
        for path in files_in(&self.folder("leases"))? {
            let failed = |error: &std::io::Error| Failure::io("read", &path, error);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&error)),
            };
            if file.try_lock().is_ok() {
                remove_file(&path)?;
                continue;
            }
            let lines = match fs::read_to_string(&path) {
                Ok(lines) => lines,
                // Its build has just ended.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&error)),
            };
            needed.extend(lines.lines().map(str::to_owned));
        }
        Ok(needed)
    }

    /// Removes what dead builds were writing, and notes of blobs that are gone.
    fn sweep(&self) -> Result<()> {
        for path in files_in(&self.folder("temp"))? {
            let lease = self.folder("leases").join(path.file_name().unwrap_or_default());
            if !lease.exists() {
                let outcome = fs::remove_dir_all(&path);
                // A build that ends removes its own at the same time.
                if let Err(error) = outcome
                    && path.exists()
                {
                    return Err(Failure::io("remove", &path, &error));
                }
            }
        }
        for path in files_in(&self.folder("uses"))? {
            if !self.folder("blobs").join(path.file_name().unwrap_or_default()).exists() {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn remove(&self, digest: &Digest) -> Result<()> {
        remove_file(&self.blob_file(digest.hex()))?;
        remove_file(&self.use_file(digest.hex()))
    }

    fn blobs(&self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for path in files_in(&self.folder("blobs"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (Ok(digest), Ok(metadata)) = (Digest::of_hex(&name), fs::metadata(&path)) else { continue };
            let used = fs::metadata(self.use_file(&name)).and_then(|used| used.modified());
            let last_used = used.or_else(|_| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            found.push(Found { digest, size: metadata.len(), last_used });
        }
        Ok(found)
    }

    /// `None` for a record that can't be understood.
    fn records(&self) -> Result<Vec<(PathBuf, Option<LayerRecord>)>> {
        let files = files_in(&self.folder("layers"))?.into_iter();
        Ok(files
            .filter_map(|path| {
                let bytes = fs::read(&path).ok()?;
                Some((path, LayerRecord::from_bytes(&bytes)))
            })
            .collect())
    }

    /// Whether a file still looks as it did when it was found to be whole.
    #[cfg(test)]
    pub(super) fn is_known(&self, digest: &Digest) -> bool {
        let seen = fs::metadata(self.blob_file(digest.hex())).map(|metadata| stamp(&metadata));
        seen.is_ok_and(|seen| fs::read_to_string(self.use_file(digest.hex())).is_ok_and(|known| known == seen))
    }
}

struct Found {
    digest: Digest,
    size: u64,
    last_used: SystemTime,
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: &std::io::Error| Failure::io("list", dir, error);
    let entries = fs::read_dir(dir).map_err(|error| failed(&error))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<std::io::Result<_>>().map_err(|error| failed(&error))
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::io("remove", path, &error)),
        _ => Ok(()),
    }
}
