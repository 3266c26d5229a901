//! Images without a daemon: what a bundle needs, as layers in the order in which things change.
//!
//! A [`Base`] comes from this machine's JDK, a registry, a folder or a tar file; layers are laid over it; the outcome is an
//! [`Image`], whose blobs are files of the store, bytes, or still in the registry of the base. It is written as an OCI
//! layout, streamed as an archive for Docker, or pushed to a registry.

mod digest;
pub mod place;

pub use digest::Digest;

use oci_spec::image::{Descriptor, ImageConfiguration};
use std::path::PathBuf;

/// A blob and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Media type, digest and size in bytes.
    pub descriptor: Descriptor,
    /// Where its bytes are.
    pub source: BlobSource,
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
