//! Digests of bytes and files.

use crate::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use testfleet_protocol::{Failure, Result};

/// A digest that grows with what it is given.
#[derive(Default, Clone)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest::of_hash(&self.0.finalize())
    }
}

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Adds the content of a file; returns how many bytes that were.
pub(crate) fn add_file(hasher: &mut Hasher, file: &mut File, path: &Path) -> Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer).map_err(|error| Failure::io("read", path, &error))?;
        if read == 0 {
            return Ok(size);
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}

/// Of a file.
pub(crate) fn of_file(path: &Path) -> Result<Digest> {
    let mut file = File::open(path).map_err(|error| Failure::io("read", path, &error))?;
    let mut hasher = Hasher::default();
    add_file(&mut hasher, &mut file, path)?;
    Ok(hasher.finish())
}
