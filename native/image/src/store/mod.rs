//! The artifact store: blobs by their content, shared by all builds of a machine.
//!
//! | where | what |
//! |---|---|
//! | `blobs/HEX` | a blob; appears whole, by a rename |
//! | `uses/HEX` | how its file looked when it was found to be whole; its time is that of the last use |
//! | `layers/KEY` | which blob was made from what: see [`LayerRecord`] |
//! | `leases/NAME` | what a running build needs; locked as long as the build lives |
//! | `temp/NAME/` | what that build has not finished writing |
//! | `gate` | builds share it while they say what they need; who deletes has it alone |
//!
//! A build says that it needs a blob before it looks whether the blob is there, and it does so under the shared gate; what is
//! deleted is chosen and deleted under the exclusive gate. So nothing that a living build was given disappears. Locks are those of
//! `flock`: the kernel drops them with the process, however that ends.

mod blob;
mod keep;
mod lease;
mod record;
#[cfg(test)]
mod tests;

pub use blob::BlobWriter;
pub(crate) use blob::stamp;
pub use keep::{Policy, Pruned, Stored, Verified};
pub use lease::Lease;
pub use record::{LayerRecord, MadeFrom};

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Name of the variable that chooses the store's folder.
pub const STORE_VARIABLE: &str = "TESTFLEET_STORE";

/// A folder of blobs by content. Cheap to open.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// The folders of a store.
const FOLDERS: [&str; 5] = ["blobs", "uses", "layers", "leases", "temp"];

impl Store {
    /// The store in a folder, which is made.
    ///
    /// # Errors
    /// `Io` when the folder can't be written.
    pub fn open(dir: &Path) -> Result<Self> {
        for folder in FOLDERS {
            let path = dir.join(folder);
            fs::create_dir_all(&path).map_err(|error| {
                Failure::io("create", &path, &error).hint(
                    "make the folder writable, or choose another: testfleet { image { store { dir = file('...') } } }",
                )
            })?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Where the store is unless the build says something else: `TESTFLEET_STORE`, or `testfleet` below `XDG_CACHE_HOME`,
    /// or `.cache/testfleet` below `HOME`.
    ///
    /// # Errors
    /// `InvalidRequest` when no variable of the environment leads to a folder.
    pub fn usual_dir(variable: impl Fn(&str) -> Option<String>) -> Result<PathBuf> {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute(STORE_VARIABLE)
            .or_else(|| absolute("XDG_CACHE_HOME").map(|cache| cache.join("testfleet")))
            .or_else(|| absolute("HOME").map(|home| home.join(".cache/testfleet")))
            .ok_or_else(|| {
                Failure::new(FailureCode::InvalidRequest, "failed to find a folder for the artifact store")
                    .cause_text(format!("none of {STORE_VARIABLE}, XDG_CACHE_HOME and HOME is an absolute folder"))
                    .hint("set one of them, or choose the folder: testfleet { image { store { dir = file('...') } } }")
            })
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn blob_file(&self, hex: &str) -> PathBuf {
        self.dir.join("blobs").join(hex)
    }

    fn use_file(&self, hex: &str) -> PathBuf {
        self.dir.join("uses").join(hex)
    }

    /// Waits for the gate; dropping the file opens it again.
    fn gate(&self, alone: bool) -> Result<File> {
        let path = self.dir.join("gate");
        let failed = |error: &std::io::Error| Failure::io("lock", &path, error);
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| failed(&error))?;
        if alone { file.lock() } else { file.lock_shared() }.map_err(|error| failed(&error))?;
        Ok(file)
    }
}
