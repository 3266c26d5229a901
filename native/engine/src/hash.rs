//! SHA-256 as documents write it.

use sha2::{Digest, Sha256};

pub(crate) use testfleet_image::hex;

/// SHA-256 of bytes, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
