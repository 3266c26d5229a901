//! A test as a framework's rules found it, with what filters ask of it, and the walk through the classes that hold tests.

use std::sync::Arc;
use testfleet_protocol::test::TestName;
use testfleet_protocol::{Failure, FailureCode, Result};

/// A test before the filters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FoundTest {
    /// Its name.
    pub(crate) name: TestName,
    /// Binary names of the classes it lies in, innermost first: Gradle's filters match these.
    pub(crate) classes: Arc<[String]>,
    /// Name of the method alone.
    pub(crate) method: String,
    /// Tags; for JUnit 4 the names of category classes, for TestNG groups.
    pub(crate) tags: Vec<String>,
}

impl FoundTest {
    /// Adds a class around those that the test lies in.
    pub(crate) fn add_class(&mut self, outer: &str) {
        self.classes = self.classes.iter().cloned().chain([outer.to_owned()]).collect();
    }
}

/// Classes in classes deeper than this is nothing that anyone writes.
const MAX_DEPTH: usize = 64;
/// More classes than this are in no suite; that many steps take seconds.
const MAX_STEPS: u32 = 100_000;

/// A walk from a class through those that it holds: nested ones, or those of a suite.
///
/// Bounded, because class files say where it leads: a chain of classes would overflow the stack, and thirty suites that
/// each name the next one twice would take a billion steps.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    on_the_way: Vec<String>,
    steps: u32,
}

impl Walk {
    /// Enters a class; `false` when it is on the way already and so contains itself.
    ///
    /// # Errors
    /// [`FailureCode::BrokenClassFile`] when the walk gets too deep or too long.
    pub(crate) fn enter(&mut self, class: &str) -> Result<bool> {
        if self.on_the_way.iter().any(|known| known == class) {
            return Ok(false);
        }
        self.steps += 1;
        if self.on_the_way.len() >= MAX_DEPTH || self.steps > MAX_STEPS {
            let first = self.on_the_way.first().map_or(class, String::as_str);
            return Err(Failure::new(FailureCode::BrokenClassFile, format!("failed to find the tests in {first}"))
                .cause_text(format!(
                    "its nested classes or suites go deeper than {MAX_DEPTH} or name more than {MAX_STEPS} classes"
                ))
                .hint("split it, or exclude it from the Test task"));
        }
        self.on_the_way.push(class.to_owned());
        Ok(true)
    }

    /// Leaves the class that was entered last.
    pub(crate) fn leave(&mut self) {
        self.on_the_way.pop();
    }

    /// The classes that were entered and not left, outermost first.
    pub(crate) fn on_the_way(&self) -> impl DoubleEndedIterator<Item = &String> {
        self.on_the_way.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_contains_itself_is_seen() {
        let mut walk = Walk::default();
        assert!(walk.enter("A").unwrap() && walk.enter("B").unwrap() && !walk.enter("A").unwrap());
        walk.leave();
        assert!(walk.enter("B").unwrap());
    }

    #[test]
    fn a_walk_that_is_too_deep_or_too_long_is_refused_by_name() {
        let mut deep = Walk::default();
        let failure = (0..1_000).find_map(|depth| deep.enter(&format!("C{depth}")).err()).unwrap();
        assert_eq!(failure.code, FailureCode::BrokenClassFile);
        assert!(failure.message.ends_with(" C0"), "{failure}");
        let mut long = Walk::default();
        for _ in 0..MAX_STEPS {
            assert!(long.enter("A").unwrap());
            long.leave();
        }
        assert!(long.enter("A").is_err());
    }
}
