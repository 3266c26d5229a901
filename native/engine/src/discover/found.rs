//! A test as a framework's rules found it, with what filters ask of it.

use testfleet_protocol::test::TestName;

/// A test before the filters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FoundTest {
    /// Its name.
    pub(crate) name: TestName,
    /// Binary names of the classes it lies in, innermost first: Gradle's filters match these.
    pub(crate) classes: Vec<String>,
    /// Name of the method alone.
    pub(crate) method: String,
    /// Tags; for JUnit 4 the names of category classes, for TestNG groups.
    pub(crate) tags: Vec<String>,
}
