//! Files that are replaced whole, with names that are safe everywhere.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::Path;
use testfleet_protocol::{Failure, Result};

/// Prefix of files that are not finished yet; what a killed run left of them is swept away by the next.
pub(super) const UNFINISHED: &str = ".testfleet-unfinished-";

/// Longest name in bytes: most file systems take 255, and there is an extension to come.
const LONGEST_NAME: usize = 200;

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

/// A file name for any text, different for different texts: ASCII letters, digits, `-`, `_`, `.`
/// and `$` stay as they are, every other character becomes `#` and its code point in hex, as Gradle does it.
pub(super) fn safe_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$') {
            name.push(c);
        } else {
            name.push_str(&format!("#{:x}", u32::from(c)));
        }
    }
    if name.is_empty() || name.bytes().all(|byte| byte == b'.') {
        name.insert(0, '#');
    }
    if name.len() > LONGEST_NAME {
        let digest = short_digest(text);
        name.truncate(LONGEST_NAME - digest.len() - 1);
        name = format!("{name}#{digest}");
    }
    name
}

/// The first 12 hex digits of SHA-256.
pub(super) fn short_digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_gradle() {
        assert_eq!(safe_name("com.acme.FooTest$Inner"), "com.acme.FooTest$Inner");
        assert_eq!(safe_name("a/b ü"), "a#2fb#20#fc");
        assert_eq!(safe_name(".."), "#..");
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

    proptest! {
        #[test]
        fn any_name_is_one_short_component(text in any::<String>()) {
            let name = safe_name(&text);
            prop_assert!(name.len() <= LONGEST_NAME && !name.is_empty() && name != "." && name != "..");
            prop_assert!(name.is_ascii() && !name.contains(['/', '\\', ':', '\0']));
        }

        #[test]
        fn long_names_stay_apart(a in "[a-z]{190,220}", b in "[a-z]{190,220}") {
            prop_assert_eq!(safe_name(&a) == safe_name(&b), a == b);
        }
    }
}
