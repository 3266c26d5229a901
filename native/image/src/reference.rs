//! `image.json`, which names an image that was made.

use std::path::Path;
use testfleet_protocol::image::ImageRef;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// Reads `image.json`.
///
/// # Errors
/// `Io` when it can't be read or understood, `ProtocolVersion` when another release wrote it.
pub fn read_reference(file: &Path) -> Result<ImageRef> {
    let hint = "make an image: ./gradlew image";
    let json = std::fs::read(file).map_err(|error| Failure::io("read", file, &error).hint(hint))?;
    let made: ImageRef = serde_json::from_slice(&json).map_err(|error| {
        Failure::new(FailureCode::Io, format!("failed to understand {}", file.display())).cause(&error).hint(hint)
    })?;
    if made.protocol != VERSION {
        let text = format!("failed to use {}: it has protocol version {}", file.display(), made.protocol);
        return Err(Failure::new(FailureCode::ProtocolVersion, text).hint(hint));
    }
    Ok(made)
}
