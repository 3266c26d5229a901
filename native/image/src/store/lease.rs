//! What a running build needs of the store.

use super::Store;
use super::blob::{BlobWriter, is_whole, stamp};
use super::record::LayerRecord;
use crate::Digest;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use tempfile::NamedTempFile;
use testfleet_protocol::{Failure, Result};

/// A running build's hold on the blobs that it was given: none of them is deleted before the lease is dropped, or its process
/// ends.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    name: String,
    needs: Mutex<Needs>,
}

#[derive(Debug)]
struct Needs {
    /// Locked; a line for each blob.
    file: File,
    known: HashSet<Digest>,
}

impl Store {
    /// A lease for a build that begins.
    ///
    /// # Errors
    /// `Io` when the store can't be written.
    pub fn lease(&self) -> Result<Lease> {
        let leases = self.folder("leases");
        let failed = |error: &std::io::Error| Failure::io("write", &leases, error);
        // Under the gate: nobody takes a file that is not locked yet for one that a dead build left.
        let _gate = self.gate(false)?;
        let file = tempfile::Builder::new()
            .prefix(&format!("{}-", std::process::id()))
            .tempfile_in(&leases)
            .map_err(|error| failed(&error))?;
        file.as_file().lock().map_err(|error| failed(&error))?;
        let (file, path) = file.keep().map_err(|error| failed(&error.error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let temp = self.folder("temp").join(&name);
        fs::create_dir_all(&temp).map_err(|error| Failure::io("create", &temp, &error))?;
        Ok(Lease { store: self.clone(), name, needs: Mutex::new(Needs { file, known: HashSet::new() }) })
    }
}

impl Lease {
    /// The store that it is of.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A folder for what is not finished; it goes with the lease.
    pub fn temp(&self) -> PathBuf {
        self.store.folder("temp").join(&self.name)
    }

    /// The file of a blob, whole; `None` when the store lacks it or has it damaged, which is the same: whoever makes it anew
    /// replaces it.
    ///
    /// # Errors
    /// `Io` when the store can't be read or written.
    pub fn blob(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        let path = self.store.blob_file(digest.hex());
        let failed = |error: &std::io::Error| Failure::io("read", &path, error);
        {
            let _gate = self.store.gate(false)?;
            self.need(digest)?;
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let seen = stamp(&file.metadata().map_err(|error| failed(&error))?);
        let used = self.store.use_file(digest.hex());
        if fs::read_to_string(&used).is_ok_and(|known| known == seen) {
            // The time of use alone; a store that can't be told loses its order, not its content.
            let _ = File::options().append(true).open(&used).and_then(|file| file.set_modified(SystemTime::now()));
            return Ok(Some(path));
        }
        if !is_whole(&file, digest).map_err(|error| failed(&error))? {
            tracing::warn!("{} is damaged and will be replaced", path.display());
            return Ok(None);
        }
        self.note_use(digest, &seen)?;
        Ok(Some(path))
    }

    /// A layer that was made under this key, and its file.
    ///
    /// # Errors
    /// As for [`Lease::blob`].
    pub fn layer(&self, key: &str) -> Result<Option<(LayerRecord, PathBuf)>> {
        let path = self.store.folder("layers").join(key);
        let record = match fs::read(&path) {
            Ok(bytes) => LayerRecord::from_bytes(&bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::io("read", &path, &error)),
        };
        let Some(record) = record else { return Ok(None) };
        Ok(self.blob(&record.digest)?.map(|file| (record, file)))
    }

    /// Remembers what was made under a key.
    ///
    /// # Errors
    /// `Io` when the store can't be written.
    pub fn remember(&self, key: &str, record: &LayerRecord) -> Result<()> {
        self.write(&self.store.folder("layers").join(key), &record.to_bytes()?)
    }

    /// Begins a blob.
    ///
    /// # Errors
    /// `Io` when the store can't be written.
    pub fn writer(&self) -> Result<BlobWriter<'_>> {
        BlobWriter::new(self, &self.temp())
    }

    /// Gives a file that was written its name.
    pub(super) fn adopt(&self, file: NamedTempFile, digest: &Digest) -> Result<PathBuf> {
        let path = self.store.blob_file(digest.hex());
        let failed = |error: &std::io::Error| Failure::io("write", &path, error);
        let seen = stamp(&file.as_file().metadata().map_err(|error| failed(&error))?);
        let _gate = self.store.gate(false)?;
        self.need(digest)?;
        // Over one that is there as well: it may be damaged, and readers of it keep the file that they have open.
        file.persist(&path).map_err(|error| failed(&error.error))?;
        self.note_use(digest, &seen)?;
        Ok(path)
    }

    /// Says that a blob is needed; under the gate.
    fn need(&self, digest: &Digest) -> Result<()> {
        let mut needs = self.needs.lock().unwrap_or_else(PoisonError::into_inner);
        if needs.known.contains(digest) {
            return Ok(());
        }
        let line = format!("{}\n", digest.hex());
        let path = self.store.folder("leases").join(&self.name);
        needs.file.write_all(line.as_bytes()).map_err(|error| Failure::io("write", &path, &error))?;
        needs.known.insert(digest.clone());
        Ok(())
    }

    fn note_use(&self, digest: &Digest, seen: &str) -> Result<()> {
        self.write(&self.store.use_file(digest.hex()), seen.as_bytes())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let failed = |error: &std::io::Error| Failure::io("write", path, error);
        let mut file = NamedTempFile::new_in(self.temp()).map_err(|error| failed(&error))?;
        file.write_all(bytes).map_err(|error| failed(&error))?;
        file.persist(path).map_err(|error| failed(&error.error))?;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What is left is removed by the next who prunes: its lock goes with the file.
        let _ = fs::remove_dir_all(self.temp());
        let _ = fs::remove_file(self.store.folder("leases").join(&self.name));
    }
}
