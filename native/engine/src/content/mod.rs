//! Content hashes of files and directories, without reading again what did not change, and a store of results under such
//! hashes. Both are a cache: what can't be read is made anew, what can't be written is made again next time.

mod files;
mod listing;
mod stamp;
mod store;

#[cfg(any(fuzzing, test))]
pub(crate) use files::read_tables;
pub(crate) use files::{Digest, hash_file};
pub(crate) use listing::{Listing, list};
pub(crate) use store::Store;

use files::{Known, KnownDir};
use rayon::prelude::*;
use stamp::{Stamp, now_ns};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use testfleet_protocol::{Failure, Result};

/// Content hashes by path; each path is looked at once.
pub(crate) struct Contents {
    store: Store,
    /// Files, as they were when the table was saved.
    known: Known,
    seen: Mutex<HashMap<PathBuf, Slot>>,
    /// Directories that were listed.
    listings: Mutex<HashMap<PathBuf, Arc<Listing>>>,
    /// Bytes that had to be read.
    read: AtomicU64,
    /// Before anything was looked at, in nanoseconds since 1970.
    opened_ns: i64,
}

/// Is told of each small file of a directory that had to be read: its position in the [`Listing`], its bytes, their SHA-256.
pub(crate) type OnRead<'a> = &'a (dyn Fn(usize, &[u8], [u8; 32]) + Sync);

/// What was seen at a path, once it was looked at.
type Slot = Arc<OnceLock<Result<Arc<Seen>>>>;

/// What lies at a path.
struct Seen {
    /// Of its content.
    digest: Digest,
    /// What to remember of it.
    record: Record,
    /// How it looked before it was read.
    look: Look,
}

/// What tells whether something was changed.
#[derive(PartialEq, Eq)]
enum Look {
    File(Stamp),
    Dir(Arc<Listing>),
}

impl Look {
    /// `None` where nothing is that can be read.
    fn at(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        if metadata.is_dir() {
            return list(path).ok().map(|listing| Self::Dir(Arc::new(listing)));
        }
        Some(Self::File(Stamp::of(&metadata)))
    }

    fn is_settled(&self, at_ns: i64) -> bool {
        match self {
            Self::File(stamp) => stamp.is_settled(at_ns),
            Self::Dir(listing) => listing.files.iter().all(|file| file.stamp.is_settled(at_ns)),
        }
    }
}

enum Record {
    Nothing,
    File(Stamp),
    Dir(Option<KnownDir>),
}

impl Contents {
    /// Contents with what is known from earlier runs in a state folder.
    pub(crate) fn open(state_dir: &Path) -> Self {
        let store = Store::new(state_dir);
        Self::new(Known::load(&store), store)
    }

    /// Contents that nothing is known of and that remember nothing.
    pub(crate) fn forgetful() -> Self {
        Self::new(Known::default(), Store::none())
    }

    fn new(known: Known, store: Store) -> Self {
        let (seen, listings) = (Mutex::default(), Mutex::default());
        Self { store, known, seen, listings, read: AtomicU64::new(0), opened_ns: now_ns() }
    }

    /// Where results are kept.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// How many bytes were read because nothing said that they had not changed.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// SHA-256 and size of what lies at a path: a file's bytes, or the sorted relative paths of a directory with the hashes
    /// of their files. `None` when nothing is there.
    ///
    /// # Errors
    /// `Io` when something can't be read.
    pub(crate) fn digest(&self, path: &Path) -> Result<Option<Digest>> {
        self.digest_and_read(path, &|_, _, _| {})
    }

    /// As [`Contents::digest`]. What has to be read of a directory is handed on, so that it need not be read once more; nothing
    /// is when the path was looked at before.
    ///
    /// # Errors
    /// `Io` when something can't be read.
    pub(crate) fn digest_and_read(&self, path: &Path, on_read: OnRead<'_>) -> Result<Option<Digest>> {
        match self.seen(path, on_read) {
            Ok(seen) => Ok(Some(seen.digest.clone())),
            Err(_) if is_absent(path) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether what was looked at is as it was when this was opened: who read of it since has read what has its digest, be it
    /// before or after it was hashed.
    pub(crate) fn is_unchanged(&self, path: &Path) -> bool {
        let slot = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        match slot.as_ref().and_then(|slot| slot.get()) {
            Some(Ok(seen)) => seen.look.is_settled(self.opened_ns) && Look::at(path).as_ref() == Some(&seen.look),
            Some(Err(_)) => is_absent(path),
            None => false,
        }
    }

    /// As [`Contents::digest`] of something that has to be there.
    ///
    /// # Errors
    /// `Io` when something can't be read or is not there.
    pub(crate) fn of(&self, path: &Path) -> Result<Digest> {
        Ok(self.seen(path, &|_, _, _| {})?.digest.clone())
    }

    /// The regular files below a directory, sorted: relative path and SHA-256 in hex, those that its digest is made of.
    ///
    /// # Errors
    /// `Io` when something can't be read or is not there.
    pub(crate) fn files_below(&self, dir: &Path) -> Result<Vec<(String, String)>> {
        let seen = self.seen(dir, &|_, _, _| {})?;
        let loaded;
        let known = match &seen.record {
            Record::Dir(Some(known)) => Some(known),
            _ => {
                loaded = KnownDir::load(&self.store, dir);
                loaded.as_ref()
            }
        };
        let known = known.map(KnownDir::by_path).unwrap_or_default();
        let listing = self.listing(dir)?;
        let of_file = |file: &listing::Listed| {
            if let Some(known) = known.get(file.relative.as_str()).filter(|known| known.stamp == file.stamp) {
                return Ok((file.relative.clone(), crate::hash::hex(&known.sha256)));
            }
            // What changed a moment ago is not in the table.
            let path = dir.join(&file.relative);
            let digest = files::hash_file(&path).map_err(|error| Failure::io("read", &path, &error))?;
            Ok((file.relative.clone(), digest.sha256))
        };
        listing.files.par_iter().map(of_file).collect()
    }

    fn seen(&self, path: &Path, on_read: OnRead<'_>) -> Result<Arc<Seen>> {
        let slot = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(seen.entry(path.to_owned()).or_default())
        };
        if let Some(seen) = slot.get() {
            return seen.clone();
        }
        // Not inside of `get_or_init`: a thread that hashes in parallel takes up other work meanwhile, and would wait for
        // itself when that asks for the same path.
        let seen = self.look(path, on_read).map(Arc::new);
        slot.get_or_init(|| seen).clone()
    }

    /// Everything below a directory, listed once.
    ///
    /// # Errors
    /// `Io` when it can't be listed.
    pub(crate) fn listing(&self, path: &Path) -> Result<Arc<Listing>> {
        let listings = || self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listings().get(path) {
            return Ok(Arc::clone(known));
        }
        // Without the lock: listing is done by many threads, which take up other work meanwhile.
        let listing = Arc::new(list(path)?);
        Ok(Arc::clone(listings().entry(path.to_owned()).or_insert(listing)))
    }

    fn look(&self, path: &Path, on_read: OnRead<'_>) -> Result<Seen> {
        let failed = |error: &std::io::Error| Failure::io("read", path, error);
        let now = now_ns();
        let metadata = std::fs::metadata(path).map_err(|error| failed(&error))?;
        if metadata.is_dir() {
            return self.look_into(path, on_read);
        }
        let stamp = Stamp::of(&metadata);
        if let Some(digest) = self.known.file(path, &stamp) {
            return Ok(Seen { digest, record: Record::File(stamp), look: Look::File(stamp) });
        }
        let digest = files::hash_file(path).map_err(|error| failed(&error))?;
        self.read.fetch_add(digest.size, Ordering::Relaxed);
        let is_same = std::fs::metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == stamp);
        let record = if is_same && stamp.is_settled(now) { Record::File(stamp) } else { Record::Nothing };
        Ok(Seen { digest, record, look: Look::File(stamp) })
    }

    fn look_into(&self, path: &Path, on_read: OnRead<'_>) -> Result<Seen> {
        let now = now_ns();
        let listing = self.listing(path)?;
        let known = KnownDir::load(&self.store, path);
        if let Some(digest) = known.as_ref().and_then(|known| known.digest_of(&listing)) {
            return Ok(Seen { digest, record: Record::Dir(None), look: Look::Dir(listing) });
        }
        let known = known.as_ref().map(KnownDir::by_path).unwrap_or_default();
        let hashes: Vec<Option<([u8; 32], bool)>> = listing
            .files
            .par_iter()
            .enumerate()
            .map(|(at, file)| {
                if let Some(known) = known.get(file.relative.as_str()).filter(|known| known.stamp == file.stamp) {
                    return Ok(Some((known.sha256, true)));
                }
                let path = path.join(&file.relative);
                let (hash, stamp) = match files::read_and_hash(&path, &|bytes, sha256| on_read(at, bytes, sha256)) {
                    Ok(read) => read,
                    // Gone since it was listed.
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(Failure::io("read", &path, &error)),
                };
                self.read.fetch_add(file.stamp.size, Ordering::Relaxed);
                Ok(Some((hash, stamp == file.stamp && stamp.is_settled(now))))
            })
            .collect::<Result<_>>()?;
        let (digest, known) = KnownDir::make(path, &listing, &hashes);
        Ok(Seen { digest, record: Record::Dir(Some(known)), look: Look::Dir(listing) })
    }

    /// Writes what was learned, for the next run; throws away what was not used for long. What can't be written is not.
    pub(crate) fn save(&self) {
        let mut files = Vec::new();
        for (path, slot) in self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let Some(Ok(seen)) = slot.get() else { continue };
            match &seen.record {
                Record::Nothing => {}
                Record::File(stamp) => files.push((path.clone(), *stamp, seen.digest.clone())),
                Record::Dir(Some(known)) => known.save(&self.store, path),
                Record::Dir(None) => KnownDir::touch(&self.store, path),
            }
        }
        self.known.save(&self.store, files);
        self.store.tidy();
    }
}

fn is_absent(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

#[cfg(test)]
mod tests;
