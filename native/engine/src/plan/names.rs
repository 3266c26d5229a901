//! Names of classes: patterns that match them, and numbers that stand for them.

use testfleet_protocol::{Failure, FailureCode, Result};

/// A pattern of class names: `*` stands for any text, also with dots. A pattern without a dot is for simple names, one
/// with a dot for qualified names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClassPattern {
    text: String,
}

impl ClassPattern {
    /// # Errors
    /// `InvalidRequest` for a pattern that can match nothing. `place` says where it stands.
    pub(super) fn new(text: &str, place: &str) -> Result<Self> {
        if text.is_empty() || text.chars().any(char::is_whitespace) {
            return Err(Failure::new(
                FailureCode::InvalidRequest,
                format!("failed to read the class pattern '{text}' of {place}"),
            )
            .cause_text("no class has such a name")
            .hint("a pattern is a class name with * for any text: com.acme.db.*, *DatabaseTest"));
        }
        Ok(Self { text: text.to_owned() })
    }

    /// Whether it matches a class by its binary name.
    pub(super) fn matches(&self, class: &str) -> bool {
        if self.text.contains('.') {
            return matches(&self.text, class);
        }
        let simple = class.rsplit_once('.').map_or(class, |(_, simple)| simple);
        let innermost = simple.rsplit_once('$').map_or(simple, |(_, innermost)| innermost);
        matches(&self.text, simple) || matches(&self.text, innermost)
    }

    /// As the user wrote it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Whether `*` in the pattern can stand for texts that make it the name. Linear in the name for each star.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or("");
    for piece in pieces {
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    left.ends_with(last)
}

/// A number for a name, the same on every machine and in every version: FNV-1a, with the finaliser of SplitMix64
/// (Steele, Lea, Flood 2014) so that names that differ little have numbers that differ much.
pub(super) fn number<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mixed(hash)
}

/// Bits of a number well mixed.
pub(super) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> ClassPattern {
        ClassPattern::new(text, "a test").unwrap()
    }

    #[test]
    fn patterns_match_simple_or_qualified_names() {
        for (text, class, expected) in [
            ("CartTest", "com.acme.CartTest", true),
            ("CartTest", "com.acme.BigCartTest", false),
            ("CartTest", "CartTest", true),
            ("*CartTest", "com.acme.BigCartTest", true),
            ("com*", "com.acme.CartTest", false),
            ("Inner*", "com.acme.CartTest$InnerTest", true),
            ("CartTest$*", "com.acme.CartTest$InnerTest", true),
            ("com.acme.*", "com.acme.db.CartTest", true),
            ("com.acme.*", "com.acme", false),
            ("com.*.Cart*", "com.acme.db.CartTest", true),
            ("*.db.*Test", "com.acme.db.CartTest", true),
            ("*.db.*Test", "com.acme.dbs.CartTest", false),
            ("com.acme.CartTest", "com.acme.CartTests", false),
            ("a*a.b", "a.b", false),
            ("*", "CartTest", true),
            ("**.b*", "a.b", true),
        ] {
            assert_eq!(pattern(text).matches(class), expected, "{text} {class}");
        }
    }

    #[test]
    fn a_pattern_that_can_match_nothing_is_refused() {
        for text in ["", " ", "com.acme.A B"] {
            let failure = ClassPattern::new(text, "together").unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidRequest);
            assert!(failure.message.contains("together") && failure.hint.is_some(), "{failure}");
        }
    }

    #[test]
    fn numbers_of_names_stay_what_they_are() {
        assert_eq!(number(["a", "b"]), 0xdda5_d2bf_db6b_35a9);
        assert_ne!(number(["a", "b"]), number(["ab"]));
    }
}
