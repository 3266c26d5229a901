//! Hashing, and the tables of what was hashed before.

use super::listing::Listing;
use super::stamp::{Stamp, now_ns};
use super::store::Store;
use crate::hash;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use testfleet_image::FolderDigest;

/// SHA-256 in hex and size in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

/// Files below this size are read as a whole, in bytes.
const SMALL: u64 = 1 << 20;

/// The digest of a file's bytes.
pub(crate) fn hash_file(path: &Path) -> std::io::Result<Digest> {
    let (sha256, size) = hash_all_of(File::open(path)?, Sha256::new())?;
    Ok(Digest { sha256: hash::hex(&sha256), size })
}

/// SHA-256 of all that was hashed and of what is left of a file, and the size of what is left.
fn hash_all_of(mut file: impl Read, mut hasher: Sha256) -> std::io::Result<([u8; 32], u64)> {
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finalize().into(), size)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

thread_local! {
    /// What a thread reads small files into: one buffer for all of them.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// SHA-256 of a file that is most often small, and its stamp after it was read. The bytes of a small one are handed on.
pub(super) fn read_and_hash(path: &Path, on_read: &dyn Fn(&[u8], [u8; 32])) -> std::io::Result<([u8; 32], Stamp)> {
    let file = File::open(path)?;
    let mut bytes = BUFFER.take();
    bytes.clear();
    bytes.reserve(1 << 14);
    (&file).take(SMALL).read_to_end(&mut bytes)?;
    let sha256 = if (bytes.len() as u64) < SMALL {
        let sha256 = Sha256::digest(&bytes).into();
        on_read(&bytes, sha256);
        sha256
    } else {
        hash_all_of(&file, Sha256::new_with_prefix(&bytes))?.0
    };
    BUFFER.set(bytes);
    Ok((sha256, Stamp::of(&file.metadata()?)))
}

const DAY_NS: i64 = 86_400_000_000_000;
/// What was not met for so many days is forgotten.
pub(super) const KEPT_DAYS: i64 = 30;
/// Name of the table of files in the store.
const FILES: (&str, &str) = ("contents", "files");

/// Files that were hashed, by path.
#[derive(Default)]
pub(super) struct Known {
    files: HashMap<PathBuf, KnownFile>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KnownFile {
    path: Vec<u8>,
    stamp: Stamp,
    sha256: String,
    /// Day since 1970 when it was last met.
    day: i64,
}

impl Known {
    pub(super) fn load(store: &Store) -> Self {
        let files: Vec<KnownFile> = store.get(FILES.0, FILES.1).and_then(|bytes| decode(&bytes)).unwrap_or_default();
        let path = |file: &KnownFile| PathBuf::from(OsString::from_vec(file.path.clone()));
        Self { files: files.into_iter().map(|file| (path(&file), file)).collect() }
    }

    /// The digest of a file that has this stamp.
    pub(super) fn file(&self, path: &Path, stamp: &Stamp) -> Option<Digest> {
        let known = self.files.get(path).filter(|known| known.stamp == *stamp)?;
        Some(Digest { sha256: known.sha256.clone(), size: stamp.size })
    }

    /// Writes the table with what was met now, when that changes anything.
    pub(super) fn save(&self, store: &Store, met: Vec<(PathBuf, Stamp, Digest)>) {
        let day = now_ns() / DAY_NS;
        let is_news = |(path, stamp, _): &(PathBuf, Stamp, Digest)| {
            !self.files.get(path).is_some_and(|known| known.stamp == *stamp && known.day == day)
        };
        if !met.iter().any(is_news) {
            return;
        }
        // What another process learned meanwhile is kept. Two that write at once: one loses what it learned, nothing else.
        let mut files = Self::load(store).files;
        files.retain(|_, file| file.day > day - KEPT_DAYS);
        for (path, stamp, digest) in met {
            let file = KnownFile { path: path.as_os_str().as_bytes().to_vec(), stamp, sha256: digest.sha256, day };
            files.insert(path, file);
        }
        let files: Vec<KnownFile> = files.into_values().collect();
        store.put(FILES.0, FILES.1, &encode(&files));
    }
}

/// A directory that was hashed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownDir {
    /// Where: names of files in the store are hashes of it.
    path: Vec<u8>,
    sha256: String,
    size: u64,
    /// Sorted by relative path.
    files: Vec<KnownBelow>,
    /// Whether `files` are all of them: those that had not settled are not in it.
    whole: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct KnownBelow {
    relative: String,
    pub(super) stamp: Stamp,
    pub(super) sha256: [u8; 32],
}

impl KnownDir {
    fn key(path: &Path) -> String {
        hash::sha256(path.as_os_str().as_bytes())
    }

    pub(super) fn load(store: &Store, path: &Path) -> Option<Self> {
        let known: Self = decode(&store.get("contents", &Self::key(path))?)?;
        (known.path == path.as_os_str().as_bytes()).then_some(known)
    }

    pub(super) fn save(&self, store: &Store, path: &Path) {
        store.put("contents", &Self::key(path), &encode(self));
    }

    pub(super) fn touch(store: &Store, path: &Path) {
        store.touch("contents", &Self::key(path));
    }

    /// The digest, if the directory still has this listing.
    pub(super) fn digest_of(&self, listing: &Listing) -> Option<Digest> {
        let is_same = self.whole
            && self.files.len() == listing.files.len()
            && self.files.iter().zip(&listing.files).all(|(a, b)| a.stamp == b.stamp && a.relative == b.relative);
        is_same.then(|| Digest { sha256: self.sha256.clone(), size: self.size })
    }

    pub(super) fn by_path(&self) -> HashMap<&str, &KnownBelow> {
        self.files.iter().map(|file| (file.relative.as_str(), file)).collect()
    }

    /// The digest of a directory, and what to remember: of each file its hash, unless it is gone, and whether its stamp
    /// can be trusted.
    pub(super) fn make(path: &Path, listing: &Listing, hashes: &[Option<([u8; 32], bool)>]) -> (Digest, Self) {
        let mut digest = FolderDigest::default();
        let mut known = Self { path: path.as_os_str().as_bytes().to_vec(), whole: true, ..Self::default() };
        for (file, hashed) in listing.files.iter().zip(hashes) {
            let Some((sha256, is_settled)) = hashed else {
                known.whole = false;
                continue;
            };
            digest.add(&file.relative, &hash::hex(sha256));
            known.size += file.stamp.size;
            known.whole &= is_settled;
            if *is_settled {
                known.files.push(KnownBelow { relative: file.relative.clone(), stamp: file.stamp, sha256: *sha256 });
            }
        }
        known.sha256 = digest.finish();
        (Digest { sha256: known.sha256.clone(), size: known.size }, known)
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Writing to memory what has no floating keys or the like does not fail; an empty file is read as damaged.
    postcard::to_stdvec(value).unwrap_or_default()
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// Reads the tables from bytes, for [`crate::fuzzing`].
#[cfg(any(fuzzing, test))]
pub(crate) fn read_tables(bytes: &[u8]) {
    let _ = decode::<Vec<KnownFile>>(bytes);
    if let Some(known) = decode::<KnownDir>(bytes) {
        assert_eq!(decode::<KnownDir>(&encode(&known)).as_ref(), Some(&known));
        let _ = (known.digest_of(&Listing::default()), known.by_path());
    }
}
