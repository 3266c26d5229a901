//! Names of files that are safe everywhere, whatever they are made from.

use crate::hash::sha256;
use std::path::{Path, PathBuf};
use testfleet_protocol::test::TaskPath;

/// Longest name in bytes: most file systems take 255, and there is an extension to come.
const LONGEST_NAME: usize = 200;

/// A file name for any text, different for different texts: ASCII letters, digits, `-`, `_`, `.`
/// and `$` stay as they are, every other character becomes `#` and its code point in hex, as Gradle does it.
pub(crate) fn safe_name(text: &str) -> String {
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
pub(crate) fn short_digest(text: &str) -> String {
    sha256(text.as_bytes()).chars().take(12).collect()
}

/// The folder of a Test task below `dir`: `:app:test` is `app/test`.
pub(crate) fn task_folder(dir: &Path, task: &TaskPath) -> PathBuf {
    let parts = task.0.split(':').filter(|part| !part.is_empty());
    parts.fold(dir.to_owned(), |folder, part| folder.join(safe_name(part)))
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
