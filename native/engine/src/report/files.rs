//! Files that are replaced whole.

use std::fs;
use std::io::Write;
use std::path::Path;
use testfleet_protocol::{Failure, Result};

pub(super) use crate::file_names::{safe_name, short_digest, task_folder};

/// Prefix of files that are not finished yet; what a killed run left of them is swept away by the next.
pub(super) const UNFINISHED: &str = ".testfleet-unfinished-";

/// Writes `bytes` to `path` beside it first, so that a reader sees the old file or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| Failure::io("write", path, &error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    #[cfg(unix)]
    {
        // Temporary files are private by default; reports are as public as the umask says.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Failure::io("make the folder", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.xml");
        replace(&path, b"one").expect("written");
        replace(&path, b"two").expect("written again");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_folder_that_is_missing_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = replace(&folder.path().join("no/x.xml"), b"one").expect_err("no such folder");
        assert!(failure.message.starts_with("failed to write "), "{failure}");
    }
}
