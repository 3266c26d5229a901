//! Images without a daemon: what a bundle needs, as layers in the order in which things change.
//!
//! A [`Base`] comes from this machine's JDK, a registry, a folder or a tar file; layers are laid over it; the outcome is an
//! [`Image`], whose blobs are files of the store, bytes, or still in the registry of the base. It is written as an OCI
//! layout, streamed as an archive for Docker, or pushed to a registry.

pub mod archive;
mod assemble;
pub mod base;
mod compose;
mod digest;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod gradle;
mod hashing;
pub mod java;
mod layer;
pub mod layout;
pub mod place;
mod reference;
pub mod registry;
pub mod restore;
mod secrets;
pub mod store;
#[cfg(test)]
mod test_build;

pub use assemble::{Assembled, Assembly, BUNDLE_LABEL, assemble, bundle_name, check_base};
pub use digest::{Digest, hex};
pub use gradle::{Development, WORK};
pub use layer::{FileBelow, FilesBelow, FolderDigest};

pub use reference::read_reference;

use oci_spec::image::{Descriptor, ImageConfiguration, MediaType};
use std::path::PathBuf;
use testfleet_protocol::{Failure, FailureCode, Result};

/// A blob and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Media type, digest and size in bytes.
    pub descriptor: Descriptor,
    /// Where its bytes are.
    pub source: BlobSource,
}

impl Blob {
    /// A document as a blob.
    ///
    /// # Errors
    /// `Internal`: never of bytes.
    pub fn of_bytes(media_type: MediaType, bytes: Vec<u8>) -> Result<Self> {
        let digest = Digest::of(&bytes).to_oci()?;
        let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest);
        Ok(Self { descriptor, source: BlobSource::Bytes(bytes) })
    }

    /// Its digest.
    ///
    /// # Errors
    /// `InvalidRequest` when it is no SHA-256.
    pub fn digest(&self) -> Result<Digest> {
        self.descriptor.digest().to_string().parse()
    }

    /// Whether it is a layer that is compressed with Zstandard, which not everybody takes.
    pub fn is_zstd(&self) -> bool {
        *self.descriptor.media_type() == MediaType::ImageLayerZstd
    }

    /// Its bytes, of a small one.
    ///
    /// # Errors
    /// `Io` when its file can't be read, `Internal` when it is still in a registry.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match &self.source {
            BlobSource::Bytes(bytes) => Ok(bytes.clone()),
            BlobSource::File(file) => std::fs::read(file).map_err(|error| Failure::io("read", file, &error)),
            BlobSource::Registry(from) => Err(Failure::new(
                FailureCode::Internal,
                format!("failed to read the blob {}", self.descriptor.digest()),
            )
            .cause_text(format!("it was not fetched from {from}"))),
        }
    }
}

/// A document as JSON whose members are sorted: equal documents, equal bytes.
pub(crate) fn json<T: serde::Serialize>(document: &T) -> Result<Vec<u8>> {
    serde_json::to_value(document)
        .and_then(|value| serde_json::to_vec(&value))
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to write a document as JSON").cause(&error))
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobSource {
    /// In a file of this machine.
    File(PathBuf),
    /// Here.
    Bytes(Vec<u8>),
    /// In a registry: `registry.example/repository`, without a tag. It is fetched only where it is needed as a file;
    /// a push to the same registry mounts it.
    Registry(String),
}

/// What layers are laid over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Platform, environment, user, entry point, and the digests of the uncompressed layers.
    pub config: ImageConfiguration,
    /// From the lowest upwards.
    pub layers: Vec<Blob>,
    /// What names its content: equal identities, equal bases.
    pub identity: String,
    /// Manifests, indexes and configurations that lead to it, as far as they are kept with what was fetched.
    pub documents: Vec<Digest>,
}

/// An image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// An OCI image manifest as JSON.
    pub manifest: Blob,
    /// An OCI image configuration as JSON.
    pub config: Blob,
    /// From the lowest upwards.
    pub layers: Vec<Blob>,
}
