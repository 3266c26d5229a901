//! Writing blobs, and looking whether a blob's file is whole.

use super::lease::Lease;
use crate::Digest;
use crate::hashing::of_reader;
use sha2::{Digest as _, Sha256};
use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use testfleet_protocol::{Failure, Result};

/// Writes a blob. It appears in the store with [`BlobWriter::finish`], whole, under the name of its content.
pub struct BlobWriter<'a> {
    lease: &'a Lease,
    file: NamedTempFile,
    hasher: Sha256,
    size: u64,
}

impl<'a> BlobWriter<'a> {
    pub(super) fn new(lease: &'a Lease, temp: &Path) -> Result<Self> {
        let file = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o444))
            .tempfile_in(temp)
            .map_err(|error| Failure::io("create a file in", temp, &error))?;
        Ok(Self { lease, file, hasher: Sha256::new(), size: 0 })
    }

    /// Digest, size in bytes, and the file, which stays as long as the lease.
    ///
    /// # Errors
    /// `Io` when it can't be given its name.
    pub fn finish(self) -> Result<(Digest, u64, PathBuf)> {
        let digest = Digest::of_hash(&self.hasher.finalize());
        let path = self.lease.adopt(self.file, &digest)?;
        Ok((digest, self.size, path))
    }

    /// As [`BlobWriter::finish`], of what should have a certain content.
    ///
    /// # Errors
    /// `Io` when it has another, or can't be given its name; nothing appears then.
    pub fn finish_as(self, expected: &Digest) -> Result<PathBuf> {
        let digest = Digest::of_hash(&self.hasher.finalize());
        if digest != *expected {
            return Err(Failure::new(
                testfleet_protocol::FailureCode::Io,
                format!("failed to get the blob {expected}"),
            )
            .cause_text(format!("{} bytes came that are {digest}", self.size)));
        }
        self.lease.adopt(self.file, &digest)
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// How a file looked when its content was known: as long as it looks so, it is not read to find out. Not the time of its
/// last change, which links to it change as well.
pub(crate) fn stamp(metadata: &Metadata) -> String {
    format!("{} {} {}.{:09}", metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Whether the open file of a blob has the content that it is named by.
pub(super) fn is_whole(file: &File, digest: &Digest) -> std::io::Result<bool> {
    Ok(of_reader(file)? == *digest)
}
