//! Texts that nobody is to see.

use std::fmt;
use zeroize::Zeroizing;

/// A user, password or token: shown nowhere, and wiped when it is given back.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Of a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// For the header or body of a request only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A text without the query of any URL in it: signatures and states are nobody's business.
pub(super) fn without_queries(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut in_query = false;
    for c in text.chars() {
        let ends = c.is_whitespace() || matches!(c, ')' | '(' | '"' | '\'' | '`' | '>' | ',' | ']');
        if in_query && !ends {
            continue;
        }
        in_query = c == '?';
        clean.push(c);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_left_out_of_texts() {
        for (text, clean) in [
            ("error for url (https://host/a?X-Sig=s3cret)", "error for url (https://host/a?)"),
            ("url https://host/a?b=c&d=e, code: 500", "url https://host/a?, code: 500"),
            ("really? yes", "really? yes"),
        ] {
            assert_eq!(without_queries(text), clean);
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("s3cret".into())), "<secret>");
    }
}
