//! What stays of the bases that were fetched: what the last image needs.

use super::{Platform, memo};
use crate::registry::{digest_of, file_of};
use crate::{Base, Digest};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use testfleet_protocol::image::Base as Chosen;
use testfleet_protocol::{Failure, Result};

/// Throws away of `fetched` what this base does not consist of; everything when there is none. What another process is
/// fetching right now stays.
///
/// # Errors
/// `Io` when the folder can't be read or written.
pub fn keep_only(base: Option<&Base>, chosen: &Chosen, platform: &Platform, fetched: &Path) -> Result<()> {
    let layers = base.iter().flat_map(|base| &base.layers).map(|layer| digest_of(&layer.descriptor));
    let mut digests = layers.collect::<Result<Vec<Digest>>>()?;
    digests.extend(base.iter().flat_map(|base| base.documents.iter().cloned()));
    let mut wanted: HashSet<PathBuf> = digests.iter().map(|digest| file_of(fetched, digest)).collect();
    if let Chosen::Path { path } = chosen {
        wanted.insert(memo::file_of(fetched, path, platform));
    }
    let folders: HashSet<PathBuf> = [file_of(fetched, &Digest::of(b"")), memo::file_of(fetched, fetched, platform)]
        .iter()
        .filter_map(|file| Some(file.parent()?.to_owned()))
        .collect();
    for folder in folders {
        remove_others(&folder, &wanted)?;
    }
    Ok(())
}

fn remove_others(folder: &Path, wanted: &HashSet<PathBuf>) -> Result<()> {
    let failed = |error: &std::io::Error| Failure::io("list", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| failed(&error))?.path();
        // `HEX`, `HEX.part` and `HEX.seen` belong together.
        if wanted.contains(&path) || wanted.contains(&path.with_extension("")) || is_in_use(&path) {
            continue;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Failure::io("remove", &path, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// Whoever fetches holds a lock on what it has so far.
fn is_in_use(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "part")
        && File::open(path).is_ok_and(|file| file.try_lock_shared().is_err())
}
