//! JSON documents on disk: written whole or not at all, read with clear errors.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// What to say of a document that can't be read.
pub(crate) struct Kind {
    /// `plan`, `bundle`, `timings file`: completes "failed to read the ...".
    pub(crate) what: &'static str,
    /// Code of the failure when its content is damaged.
    pub(crate) broken: FailureCode,
    /// What the user can do then.
    pub(crate) hint: &'static str,
}

impl Kind {
    pub(crate) fn failure(&self, path: &Path) -> Failure {
        Failure::new(self.broken, format!("failed to read the {} {}", self.what, path.display())).hint(self.hint)
    }

    /// Reads a document; `None` when there is no such file.
    ///
    /// # Errors
    /// `ProtocolVersion` for a document of another version, the kind's own code for a damaged one.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("read", path, &error)),
        };
        self.parse(path, &bytes).map(Some)
    }

    /// Reads a document from bytes; `path` is for messages.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(crate) fn parse<T: DeserializeOwned>(&self, path: &Path, bytes: &[u8]) -> Result<T> {
        #[derive(serde::Deserialize)]
        struct Versioned {
            protocol: u32,
        }
        let version: Versioned = serde_json::from_slice(bytes).map_err(|error| self.failure(path).cause(&error))?;
        if version.protocol != VERSION {
            return Err(Failure::new(
                FailureCode::ProtocolVersion,
                format!("failed to read the {} {}", self.what, path.display()),
            )
            .cause_text(format!("it has version {}, this Testfleet reads version {VERSION}", version.protocol))
            .hint(self.hint));
        }
        serde_json::from_slice(bytes).map_err(|error| self.failure(path).cause(&error))
    }
}

/// The bytes of a document: indented JSON with a line break at the end.
///
/// # Errors
/// `Internal` when a value has no JSON form.
pub(crate) fn bytes<T: Serialize>(document: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(document)
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to write a document as JSON").cause(&error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Replaces a file, so that readers see the old or the new content and never a part.
///
/// # Errors
/// `Io` when the folder or file can't be written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))?;
    let failed = |error: &std::io::Error| Failure::io("write", path, error);
    let mut file = tempfile::Builder::new()
        .prefix(".testfleet-")
        .permissions(permissions())
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_data()).map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

/// Does something that no other process does meanwhile under the same lock file, which is made and stays.
///
/// # Errors
/// `Io` when it can't be locked; what `work` fails with.
pub(crate) fn locked<T>(lock_file: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let folder = lock_file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))?;
    let opened = File::options().create(true).append(true).open(lock_file);
    let locked = opened.and_then(|file| file.lock().map(|()| file));
    let lock = locked.map_err(|error| Failure::io("lock", lock_file, &error))?;
    let done = work();
    drop(lock);
    done
}

/// A temporary file is for its owner alone; a document is as readable as the umask lets files be.
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}
