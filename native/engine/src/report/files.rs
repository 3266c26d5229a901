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

/// The URL of `path` relative to the folder of a page, so that both can be moved together. Both are absolute, or relative to
/// the same folder.
pub(super) fn relative_url(folder: &Path, path: &Path) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (folder.components().collect(), path.components().collect());
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let names = to[common..].iter().map(|part| percent_encoded(&part.as_os_str().to_string_lossy()));
    std::iter::repeat_n("..".to_owned(), from.len() - common).chain(names).collect::<Vec<_>>().join("/")
}

/// All but what RFC 3986 calls unreserved.
fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Failure::io("make the folder", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_from_the_page_to_the_file() {
        let url = |folder: &str, path: &str| relative_url(Path::new(folder), Path::new(path));
        assert_eq!(
            url("/b/reports/testfleet", "/b/testfleet/runs/1/a#2fb ü.txt"),
            "../../testfleet/runs/1/a%232fb%20%C3%BC.txt"
        );
        assert_eq!(url("/b", "/b/files/x"), "files/x");
    }

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
