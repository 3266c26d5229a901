//! Names of documents that every place can have: as a file, in a URL, and as the tag of an image.

use crate::hash::sha256;

/// So much of a branch's name is readable.
const READABLE: usize = 60;
/// So many hex digits tell branches apart that read the same.
const DIGITS: usize = 12;

/// The name of a branch's document, `timings-feature-x-1a2b3c4d5e6f`: different for different branches, also where upper and
/// lower case are the same. At most 128 characters, as tags of images have, for documents with short names.
pub(super) fn of(document: &str, branch: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let readable: String = branch.chars().map(safe).take(READABLE).collect();
    let digits = &sha256(branch.as_bytes())[..DIGITS];
    match readable.trim_matches('-') {
        "" => format!("{document}-{digits}"),
        readable => format!("{document}-{readable}-{digits}"),
    }
}

/// Whether `name` is one that [`of`] makes for any document and branch.
pub(super) fn is_one(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(front, digits)| {
        digits.len() == DIGITS
            && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && front.starts_with(|c: char| c.is_ascii_lowercase())
            && front.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn branches_are_told_apart_and_readable() {
        insta::assert_snapshot!(
            ["main", "Main", "feature/x", "feature-x", "", "../../etc", "größe", "///", &"long/".repeat(40)]
                .map(|branch| of("timings", branch))
                .join("\n")
        );
    }

    proptest! {
        #[test]
        fn every_branch_has_a_name_that_all_places_take(branch in "\\PC{0,300}") {
            let name = of("passed", &branch);
            prop_assert!(is_one(&name) && name.len() <= 128, "{name}");
        }

        #[test]
        fn different_branches_have_different_names(a in "[a-cA-C/-]{0,6}", b in "[a-cA-C/-]{0,6}") {
            prop_assert_eq!(of("timings", &a).to_lowercase() == of("timings", &b).to_lowercase(), a == b);
        }
    }
}
