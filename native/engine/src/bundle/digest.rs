//! Content hashes of files and directories.

use super::stamps;
use crate::hash;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use testfleet_protocol::{Failure, FailureCode, Result};
use walkdir::WalkDir;

/// SHA-256 in hex and size in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

/// What lies at a path below a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Below {
    /// Relative, with `/`.
    pub(crate) relative: String,
    pub(crate) path: PathBuf,
}

/// The digest of a file's bytes, or of a directory's sorted relative paths with the hashes of their files.
///
/// # Errors
/// `Io` when something can't be read.
pub(crate) fn of(path: &Path) -> Result<Digest> {
    if !path.is_dir() {
        return of_file(path);
    }
    let files = files_below(path)?;
    let digests: Vec<Digest> = files.par_iter().map(|file| of_file(&file.path)).collect::<Result<_>>()?;
    let mut hasher = Sha256::new();
    let mut size = 0;
    for (file, digest) in files.iter().zip(&digests) {
        hasher.update(file.relative.as_bytes());
        hasher.update([0]);
        hasher.update(digest.sha256.as_bytes());
        hasher.update(b"\n");
        size += digest.size;
    }
    Ok(Digest { sha256: hash::hex(&hasher.finalize()), size })
}

/// All regular files below a directory, through symbolic links, sorted by relative path. Links to nowhere, sockets and
/// pipes have no content that a worker could be given.
///
/// # Errors
/// `Io` when a directory can't be listed or links form a circle.
pub(crate) fn files_below(dir: &Path) -> Result<Vec<Below>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(dir).follow_links(true) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound) => continue,
            Err(error) => {
                let failure = Failure::new(FailureCode::Io, format!("failed to list {}", dir.display()));
                return Err(failure.cause(&error).hint("make it readable, and free of links that lead back into it"));
            }
        };
        if let (true, Ok(relative)) = (entry.file_type().is_file(), entry.path().strip_prefix(dir)) {
            let relative = relative.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
            files.push(Below { relative, path: entry.into_path() });
        }
    }
    files.sort();
    Ok(files)
}

/// SHA-256 of a file's bytes.
///
/// # Errors
/// `Io` when the file can't be read.
pub(crate) fn of_file(path: &Path) -> Result<Digest> {
    stamps::remembered(path, || read_file(path))
}

fn read_file(path: &Path) -> Result<Digest> {
    let failed = |error: &std::io::Error| Failure::io("read", path, error);
    let mut file = File::open(path).map_err(|error| failed(&error))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest { sha256: hash::hex(&hasher.finalize()), size }),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}
