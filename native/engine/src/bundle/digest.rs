//! Content hashes of files and directories, as they are now: nothing that was known before is asked.

pub(super) use crate::content::Digest;

#[cfg(test)]
use crate::content::Contents;
use crate::content::list;
use std::path::{Path, PathBuf};
use testfleet_protocol::Result;

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
#[cfg(test)]
pub(super) fn of(path: &Path) -> Result<Digest> {
    Contents::forgetful().of(path)
}

/// All regular files below a directory, through symbolic links, sorted by relative path. Links to nowhere, sockets and
/// pipes have no content that a worker could be given.
///
/// # Errors
/// `Io` when a directory can't be listed or links form a circle.
pub(crate) fn files_below(dir: &Path) -> Result<Vec<Below>> {
    let files = list(dir)?.files.into_iter();
    Ok(files.map(|file| Below { path: dir.join(&file.relative), relative: file.relative }).collect())
}
