//! All files below a directory, listed in parallel, with their stamps.

use super::stamp::Stamp;
use rayon::prelude::*;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testfleet_protocol::{Failure, FailureCode, Result};

/// The regular files below a directory, through symbolic links, sorted by relative path. Links to nowhere, sockets and
/// pipes have no content.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) files: Vec<Listed>,
}

impl Listing {
    /// Position of the file at a relative path.
    pub(crate) fn position(&self, relative: &str) -> Option<usize> {
        self.files.binary_search_by(|file| file.relative.as_str().cmp(relative)).ok()
    }
}

/// A file of a [`Listing`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// With `/`; what is no Unicode is replaced.
    pub(crate) relative: String,
    pub(crate) stamp: Stamp,
}

struct Dir {
    path: PathBuf,
    /// With `/` at its end; empty for the top.
    relative: String,
    way: Arc<Way>,
}

/// The directories on the way down, by device and inode.
struct Way {
    id: (u64, u64),
    up: Option<Arc<Way>>,
}

impl Way {
    fn holds(&self, id: (u64, u64)) -> bool {
        let mut next = Some(self);
        while let Some(way) = next {
            if way.id == id {
                return true;
            }
            next = way.up.as_deref();
        }
        false
    }
}

/// Lists a directory.
///
/// # Errors
/// `Io` when it can't be listed or links form a circle.
pub(crate) fn list(dir: &Path) -> Result<Listing> {
    let failed = |error: &std::io::Error| {
        let failure = Failure::new(FailureCode::Io, format!("failed to list {}", dir.display()));
        failure.cause(error).hint("make it readable, and free of links that lead back into it")
    };
    let top = std::fs::metadata(dir).map_err(|error| failed(&error))?;
    let way = Arc::new(Way { id: (top.dev(), top.ino()), up: None });
    let mut todo = vec![Dir { path: dir.to_owned(), relative: String::new(), way }];
    let mut files = Vec::new();
    // Level by level rather than by recursion: nothing bounds how deep directories go but the length of a path.
    while !todo.is_empty() {
        let levels: Vec<(Vec<Listed>, Vec<Dir>)> =
            todo.par_iter().map(list_one).collect::<std::io::Result<_>>().map_err(|error| failed(&error))?;
        todo = Vec::new();
        for (more, dirs) in levels {
            files.extend(more);
            todo.extend(dirs);
        }
    }
    files.par_sort_unstable_by(|a, b| a.relative.cmp(&b.relative));
    Ok(Listing { files })
}

fn list_one(dir: &Dir) -> std::io::Result<(Vec<Listed>, Vec<Dir>)> {
    let (mut files, mut dirs) = (Vec::new(), Vec::new());
    let entries = match std::fs::read_dir(&dir.path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((files, dirs)),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        let metadata = if kind.is_symlink() { std::fs::metadata(entry.path()) } else { entry.metadata() };
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_dir() {
            let id = (metadata.dev(), metadata.ino());
            if kind.is_symlink() && dir.way.holds(id) {
                let text = format!("{} leads back to a directory that it lies in", entry.path().display());
                return Err(std::io::Error::other(text));
            }
            let relative = relative(dir, entry.file_name()) + "/";
            let way = Arc::new(Way { id, up: Some(Arc::clone(&dir.way)) });
            dirs.push(Dir { path: entry.path(), relative, way });
        } else if metadata.is_file() {
            files.push(Listed { relative: relative(dir, entry.file_name()), stamp: Stamp::of(&metadata) });
        }
    }
    Ok((files, dirs))
}

fn relative(dir: &Dir, name: OsString) -> String {
    let mut relative = dir.relative.clone();
    relative.push_str(&name.to_string_lossy());
    relative
}
