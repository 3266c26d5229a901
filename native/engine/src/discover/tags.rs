//! Tag expressions of the JUnit Platform: `fast & !(slow | database)`, `any()`, `none()`.

use testfleet_protocol::{Failure, FailureCode, Result};

/// Parentheses and negations deeper than this are no expression that anyone writes.
const MAX_DEPTH: u32 = 64;

/// A parsed tag expression.
#[derive(Debug, PartialEq)]
pub(crate) enum TagExpression {
    Tag(String),
    Any,
    None,
    Not(Box<TagExpression>),
    And(Vec<TagExpression>),
    Or(Vec<TagExpression>),
}

/// Whether a tag is one that the JUnit Platform takes: not empty, without blanks, control characters and the
/// characters of expressions.
pub(crate) fn is_valid_tag(tag: &str) -> bool {
    !tag.is_empty() && !tag.chars().any(|c| c.is_whitespace() || c.is_control() || ",()&|!".contains(c))
}

impl TagExpression {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when it is none.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser { rest: text };
        parser
            .or(0)
            .and_then(|expression| {
                if parser.peek().is_none() { Ok(expression) } else { Err(format!("unexpected '{}'", parser.rest)) }
            })
            .map_err(|cause| {
                Failure::new(FailureCode::InvalidRequest, format!("failed to read the tag expression '{text}'"))
                    .cause_text(cause)
                    .hint("tags are combined with & (and), | (or), ! (not) and parentheses; any() and none() are known")
            })
    }

    /// Whether a test with these tags is meant.
    pub(crate) fn matches(&self, tags: &[String]) -> bool {
        match self {
            Self::Tag(tag) => tags.contains(tag),
            Self::Any => !tags.is_empty(),
            Self::None => tags.is_empty(),
            Self::Not(inner) => !inner.matches(tags),
            Self::And(all) => all.iter().all(|one| one.matches(tags)),
            Self::Or(any) => any.iter().any(|one| one.matches(tags)),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn eat(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.rest = &self.rest[expected.len_utf8()..];
        }
        found
    }

    fn or(&mut self, depth: u32) -> std::result::Result<TagExpression, String> {
        let mut parts = vec![self.and(depth)?];
        while self.eat('|') {
            parts.push(self.and(depth)?);
        }
        Ok(one_or(parts, TagExpression::Or))
    }

    fn and(&mut self, depth: u32) -> std::result::Result<TagExpression, String> {
        let mut parts = vec![self.not(depth)?];
        while self.eat('&') {
            parts.push(self.not(depth)?);
        }
        Ok(one_or(parts, TagExpression::And))
    }

    fn not(&mut self, depth: u32) -> std::result::Result<TagExpression, String> {
        if depth > MAX_DEPTH {
            return Err("it nests too deeply".to_owned());
        }
        if self.eat('!') {
            return Ok(TagExpression::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.eat('(') {
            let inner = self.or(depth + 1)?;
            return if self.eat(')') { Ok(inner) } else { Err("a ) is missing".to_owned()) };
        }
        let word = self.word();
        match word {
            "" => Err("a tag is missing".to_owned()),
            "any" if self.eat_call() => Ok(TagExpression::Any),
            "none" if self.eat_call() => Ok(TagExpression::None),
            tag => Ok(TagExpression::Tag(tag.to_owned())),
        }
    }

    fn word(&mut self) -> &'a str {
        self.peek();
        let end = self.rest.find(|c: char| c.is_whitespace() || "()&|!".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn eat_call(&mut self) -> bool {
        let called = self.rest.starts_with("()");
        if called {
            self.rest = &self.rest[2..];
        }
        called
    }
}

fn one_or(mut parts: Vec<TagExpression>, many: fn(Vec<TagExpression>) -> TagExpression) -> TagExpression {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(expression: &str, tags: &[&str]) -> bool {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        TagExpression::parse(expression).unwrap().matches(&tags)
    }

    #[test]
    fn not_binds_tighter_than_and_and_and_tighter_than_or() {
        assert!(matches("a | b & c", &["a"]));
        assert!(!matches("(a | b) & c", &["a"]));
        assert!(matches("!a & b", &["b"]));
        assert!(!matches("!(a & b)", &["a", "b"]));
    }

    #[test]
    fn any_and_none_ask_whether_there_are_tags() {
        assert!(matches("any()", &["x"]) && !matches("any()", &[]));
        assert!(matches("none() | slow", &[]) && !matches("none()", &["x"]));
        assert!(matches("any", &["any"]));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_a_hint() {
        for text in ["", "a &", "(a", "a b", "a)", "!", "&"] {
            let failure = TagExpression::parse(text).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidRequest, "{text}");
            assert!(failure.hint.is_some());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ab&|!() ]{0,40}") {
            let _ = TagExpression::parse(&text);
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(TagExpression::parse(&"(".repeat(100_000)).is_err());
        assert!(TagExpression::parse(&"!".repeat(100_000)).is_err());
    }
}
