//! Names of blobs by their content.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use testfleet_protocol::{Failure, FailureCode};

/// `sha256:` and 64 digits in lower-case hex (OCI image specification, "Digests"; no other algorithm is in use).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

const ALGORITHM: &str = "sha256:";

impl Digest {
    /// Of an SHA-256 in hex.
    ///
    /// # Errors
    /// `InvalidRequest` when it is no such thing.
    pub fn of_hex(hex: &str) -> Result<Self, Failure> {
        format!("{ALGORITHM}{hex}").parse()
    }

    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_hash(&Sha256::digest(bytes))
    }

    /// Of a hash that was computed.
    pub(crate) fn of_hash(hash: &[u8]) -> Self {
        Self(format!("{ALGORITHM}{}", hex(hash)))
    }

    /// As descriptors have it.
    ///
    /// # Errors
    /// `Internal`: never of a digest that is one.
    pub fn to_oci(&self) -> Result<oci_spec::image::Digest, Failure> {
        self.0.parse().map_err(|error: oci_spec::OciSpecError| {
            Failure::new(FailureCode::Internal, format!("failed to name a blob {self}")).cause(&error)
        })
    }

    /// Without the algorithm.
    pub fn hex(&self) -> &str {
        &self.0[ALGORITHM.len()..]
    }

    /// With the algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lower-case hex of bytes.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

impl FromStr for Digest {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let hex = text.strip_prefix(ALGORITHM);
        let fits = |hex: &str| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.is_some_and(fits) {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(100).collect();
        Err(Failure::new(FailureCode::InvalidRequest, format!("failed to understand the digest `{shown}`"))
            .hint("a digest is `sha256:` and 64 digits in lower-case hex"))
    }
}

impl TryFrom<String> for Digest {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sha256_in_lower_case_is_a_digest() {
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!(Digest::of_hex(&hex).unwrap().hex(), hex);
        for broken in ["", "sha256:", &hex, &format!("sha256:{}", hex.to_uppercase()), &format!("sha512:{hex}")] {
            assert!(broken.parse::<Digest>().is_err(), "{broken}");
        }
    }
}
