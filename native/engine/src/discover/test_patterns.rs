//! Which tests the patterns of Gradle's `--tests` and `filter { }` select, as Gradle decides it.

/// The three lists of a Test task: a test must match one of each list that is not empty, and no exclusion.
#[derive(Debug, Default)]
pub(crate) struct TestPatterns {
    includes: Vec<TestPattern>,
    command_line: Vec<TestPattern>,
    excludes: Vec<TestPattern>,
}

impl TestPatterns {
    /// Patterns of the build and of the command line.
    pub(crate) fn new(includes: &[String], excludes: &[String], command_line: &[String]) -> Self {
        let all = |patterns: &[String]| patterns.iter().map(|pattern| TestPattern::new(pattern)).collect();
        Self { includes: all(includes), command_line: all(command_line), excludes: all(excludes) }
    }

    /// Whether there is nothing to filter by.
    pub(crate) fn is_empty(&self) -> bool {
        self.includes.is_empty() && self.command_line.is_empty() && self.excludes.is_empty()
    }

    /// Whether a class, by its binary name, can have selected tests: Gradle starts no other.
    pub(crate) fn may_include_class(&self, class: &str) -> bool {
        let allows = |patterns: &[TestPattern]| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.may_include_class(class))
        };
        allows(&self.includes)
            && allows(&self.command_line)
            && !self.excludes.iter().any(|one| one.matches_class(class))
    }

    /// Whether a whole class is selected.
    pub(crate) fn selects_class(&self, class: &str) -> bool {
        let allows =
            |patterns: &[TestPattern]| patterns.is_empty() || patterns.iter().any(|one| one.matches_class(class));
        // An exclusion that may concern a method of the class leaves the decision to each method.
        allows(&self.includes)
            && allows(&self.command_line)
            && !self.excludes.iter().any(|one| one.may_include_class(class) || one.matches_class(class))
    }

    /// Whether a method is selected.
    pub(crate) fn selects_method(&self, class: &str, method: &str) -> bool {
        let matches = |patterns: &[TestPattern]| {
            patterns.iter().any(|one| one.matches_method(class, method) || one.matches_class(class))
        };
        (self.includes.is_empty() || matches(&self.includes))
            && (self.command_line.is_empty() || matches(&self.command_line))
            && !matches(&self.excludes)
    }
}

#[derive(Debug)]
struct TestPattern {
    text: String,
    /// What stands before the first wildcard, split at dots.
    segments: Vec<String>,
    has_wildcard: bool,
    /// A pattern that begins with an upper-case letter means simple class names.
    by_simple_name: bool,
}

impl TestPattern {
    fn new(text: &str) -> Self {
        let literal = text.split('*').next().unwrap_or_default();
        let has_wildcard = literal.len() < text.len();
        // What stands in brackets is the name of an invocation: the dots in it separate nothing.
        let (name, invocation) = match literal.find('[') {
            Some(bracket) if !has_wildcard => literal.split_at(bracket),
            _ => (literal, ""),
        };
        let mut segments: Vec<String> =
            if literal.is_empty() { Vec::new() } else { name.split('.').map(str::to_owned).collect() };
        if let Some(last) = segments.last_mut() {
            last.push_str(invocation);
        }
        Self {
            segments,
            has_wildcard,
            by_simple_name: text.chars().next().is_some_and(char::is_uppercase),
            text: text.to_owned(),
        }
    }

    fn target<'a>(&self, class: &'a str) -> &'a str {
        match class.rsplit_once('.') {
            Some((_, simple)) if self.by_simple_name && !simple.is_empty() => simple,
            _ => class,
        }
    }

    fn matches_class(&self, class: &str) -> bool {
        glob(&self.text, "*", self.target(class))
    }

    fn matches_method(&self, class: &str, method: &str) -> bool {
        glob(&self.text, "*", &format!("{}.{method}", self.target(class)))
    }

    fn may_include_class(&self, class: &str) -> bool {
        if self.segments.is_empty() {
            return true;
        }
        let elements: Vec<&str> = self.target(class).split('.').collect();
        let last = self.segments.len() - 1;
        for (index, segment) in self.segments.iter().enumerate() {
            let Some(&element) = elements.get(index) else { return false };
            if index + 1 == last && index + 1 == elements.len() && same_class(element, segment) {
                return true;
            }
            if index == last {
                return same_class(element, segment) || (self.has_wildcard && element.starts_with(segment));
            }
            if element != segment {
                return false;
            }
        }
        false
    }
}

/// A pattern on `Foo$Nested` concerns `Foo`, which runs it.
fn same_class(class: &str, pattern: &str) -> bool {
    class == pattern || pattern.split_once('$').is_some_and(|(outer, _)| class == outer)
}

/// Whether the pattern, in which `any` is any number of any characters, matches the whole text.
pub(super) fn glob(pattern: &str, any: &str, text: &str) -> bool {
    let mut parts = pattern.split(any);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn includes(patterns: &[&str]) -> TestPatterns {
        TestPatterns::new(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>(), &[], &[])
    }

    fn excludes(pattern: &str) -> TestPatterns {
        TestPatterns::new(&[], &[pattern.to_owned()], &[])
    }

    #[test]
    fn patterns_select_methods() {
        for (pattern, class, method, expected) in [
            // Upper case first: the simple name, in any package.
            ("CartTest", "CartTest", "adds", true),
            ("CartTest", "shop.CartTest", "adds", true),
            ("CartTest", "shop.CartTestIT", "adds", false),
            ("CartTest.adds", "shop.CartTest", "adds", true),
            ("CartTest.adds", "shop.CartTest", "addsTwice", false),
            ("CartTest.add*", "shop.CartTest", "addsTwice", true),
            ("CartTest.*Twice", "shop.CartTest", "adds twice or Twice", true),
            ("C*Test", "shop.CartTest", "adds", true),
            ("C*Test", "Checkout.CartTest", "adds", true),
            ("Shop.CartTest", "Shop.CartTest", "adds", false),
            // Lower case first: the whole name.
            ("shop.CartTest", "shop.CartTest", "adds", true),
            ("shop.CartTest", "shop.CartTestIT", "adds", false),
            ("shop.CartTest", "web.shop.CartTest", "adds", false),
            ("shop.CartTest.adds", "shop.CartTest", "adds", true),
            ("shop", "shop.CartTest", "adds", false),
            ("shop.*", "shop.cart.CartTest", "adds", true),
            ("shop*Test", "shop.CartTest", "adds", true),
            ("shop*Test", "webshop.CartTest", "adds", false),
            ("shop.CartTest.*", "shop.CartTestIT", "adds", false),
            // A wildcard first: anything before it.
            ("*.CartTest", "shop.CartTest", "adds", true),
            ("*.CartTest", "CartTest", "adds", false),
            ("*Cart*Twice", "shop.CartTest", "addsTwice", true),
            ("*Cart*Twice", "shop.CartTest", "adds", false),
            ("*", "CartTest", "adds", true),
            ("", "CartTest", "adds", false),
            // A dot is a dot, and nothing else is special.
            ("shop.Cart.est", "shop.CartTest", "adds", false),
            ("*[1]*", "shop.CartTest", "adds[1]", true),
        ] {
            assert_eq!(includes(&[pattern]).selects_method(class, method), expected, "{pattern} {class}.{method}");
            assert_eq!(!excludes(pattern).selects_method(class, method), expected, "not {pattern} {class}.{method}");
        }
    }

    #[test]
    fn classes_that_can_have_no_selected_test_are_left_out() {
        for (pattern, class, expected) in [
            ("CartTest", "shop.CartTest", true),
            ("CartTest", "shop.PriceTest", false),
            ("CartTest.adds", "shop.CartTest", true),
            ("CartTest.adds", "shop.CartTest$Empty", false),
            ("Cart", "shop.CartTest", false),
            ("Cart*", "shop.CartTest", true),
            ("shop.CartTest.adds", "shop.CartTest", true),
            ("shop.CartTest.adds", "web.CartTest", false),
            ("shop.CartTest.add*", "shop.CartTest", true),
            ("shop.Cart.*", "shop.CartTest", false),
            ("shop.*Test", "shop.cart.PriceTest", true),
            ("shop.*", "web.CartTest", false),
            ("sh*", "shop.CartTest", true),
            // After a leading wildcard a method of any class may follow.
            ("*adds", "shop.PriceTest", true),
            // The class around is what runs a nested one.
            ("shop.CartTest$Empty.adds", "shop.CartTest", true),
            ("CartTest$Empty$Deep", "shop.CartTest", true),
            ("CartTest$Empty", "shop.PriceTest", false),
            // The name of an invocation may have dots.
            ("CartTest.adds[1.5]", "shop.CartTest", true),
            ("shop.CartTest.adds[a.b.c]", "shop.CartTest", true),
        ] {
            assert_eq!(includes(&[pattern]).may_include_class(class), expected, "{pattern} {class}");
        }
    }

    #[test]
    fn a_pattern_on_the_command_line_narrows_those_of_the_build() {
        let patterns = TestPatterns::new(&["FooTest".into(), "Bar".into()], &[], &["FooTest.a".into()]);
        assert!(patterns.selects_method("FooTest", "a"));
        assert!(!patterns.selects_method("FooTest", "b"));
        assert!(!patterns.selects_method("Bar", "a"));
    }

    #[test]
    fn an_excluded_method_is_not_saved_by_its_class() {
        let patterns = TestPatterns::new(&["FooTest".into()], &["FooTest.slow".into()], &[]);
        assert!(!patterns.selects_class("FooTest"));
        assert!(patterns.selects_method("FooTest", "fast"));
        assert!(!patterns.selects_method("FooTest", "slow"));
        assert!(patterns.may_include_class("FooTest"));
    }

    proptest! {
        #[test]
        fn a_class_with_a_selected_method_may_be_included(
            pattern in "[A-Ba-b*.$]{0,6}", class in "[A-Ba-b$]{1,2}([.][A-Ba-b$]{1,2}){0,2}", method in "[ab]{1,2}",
        ) {
            let patterns = includes(&[&pattern]);
            // Gradle looks at what stands before the first wildcard alone, so that some patterns with a wildcard
            // in the middle of a `$` name are not seen through.
            if !pattern.contains('$') && !class.contains('$') && !pattern.contains("..") && !pattern.is_empty()
                && patterns.selects_method(&class, &method) {
                prop_assert!(patterns.may_include_class(&class));
            }
        }
    }
}
