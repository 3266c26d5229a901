//! Digests of bytes and files.

use crate::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read};
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

/// Adds all that is left to read; returns how many bytes that were.
fn add(hasher: &mut Hasher, mut from: impl Read) -> std::io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Adds the content of a file; returns how many bytes that were.
pub(crate) fn add_file(hasher: &mut Hasher, file: &mut File, path: &Path) -> Result<u64> {
    add(hasher, file).map_err(|error| Failure::io("read", path, &error))
}

/// Of all that is left to read.
pub(crate) fn of_reader(from: impl Read) -> std::io::Result<Digest> {
    let mut hasher = Hasher::default();
    add(&mut hasher, from)?;
    Ok(hasher.finish())
}

/// Of a file.
pub(crate) fn of_file(path: &Path) -> Result<Digest> {
    File::open(path).and_then(of_reader).map_err(|error| Failure::io("read", path, &error))
}
