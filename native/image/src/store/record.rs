//! What a layer was made from, and which blob it is.

use crate::{Blob, BlobSource, Digest};
use oci_spec::image::{Descriptor, MediaType};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use testfleet_protocol::{Failure, FailureCode, Result};

/// A layer that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerRecord {
    /// What it holds, in a few words.
    pub holds: String,
    /// Of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Of the tar file before it was compressed.
    pub diff_id: Digest,
    /// Media type of the blob.
    pub media_type: String,
    /// The files and folders that it was made from.
    pub made_from: Vec<MadeFrom>,
}

/// A file or folder that is in a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// Its place in the image, or on the machine for what an image gets of the machine itself.
    pub path: String,
    /// SHA-256 in hex, as in the bundle.
    pub sha256: String,
}

impl LayerRecord {
    /// The layer as a blob in a file.
    ///
    /// # Errors
    /// `Internal`: never of a record that was read or made.
    pub fn blob(&self, file: PathBuf) -> Result<Blob> {
        Ok(Blob { descriptor: self.descriptor()?, source: BlobSource::File(file) })
    }

    /// Media type, digest and size.
    ///
    /// # Errors
    /// As for [`Self::blob`].
    pub fn descriptor(&self) -> Result<Descriptor> {
        Ok(Descriptor::new(MediaType::from(self.media_type.as_str()), self.size, self.digest.to_oci()?))
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to write a layer's record").cause(&error))
    }

    /// `None` for what is none: a record is a cache's.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
