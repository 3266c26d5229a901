//! What a Test task sets for Jupiter's classes as a whole: `junit-platform.properties` and system properties.

use super::classpath::Classpath;
use std::collections::BTreeMap;
use testfleet_protocol::Result;
use testfleet_protocol::request::TestTask;

const FILE: &str = "junit-platform.properties";
const LIFECYCLE: &str = "junit.jupiter.testinstance.lifecycle.default";
const ORDER: &str = "junit.jupiter.testmethod.order.default";
const RANDOM: &str = "org.junit.jupiter.api.MethodOrderer$Random";

/// Defaults that decide how classes may be split.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct JupiterSettings {
    /// One instance lives through all methods of a class that does not say otherwise.
    pub(crate) per_class: bool,
    /// Methods of all classes have an order, and not a random one.
    pub(crate) ordered: bool,
}

impl JupiterSettings {
    /// Reads them as the launcher does: system properties before the first file on the classpath.
    ///
    /// # Errors
    /// When the file, or a jar, can't be read.
    pub(crate) fn find(classpath: &Classpath, task: &TestTask) -> Result<Self> {
        let file = classpath.resources(FILE)?.into_iter().next().unwrap_or_default();
        let file = properties(&String::from_utf8_lossy(&file));
        let value = |name: &str| task.system_properties.get(name).or_else(|| file.get(name)).map(|value| value.trim());
        Ok(Self {
            per_class: value(LIFECYCLE).is_some_and(|value| value.eq_ignore_ascii_case("per_class")),
            ordered: value(ORDER).is_some_and(|value| !value.is_empty() && value != RANDOM),
        })
    }
}

/// The lines `name = value` and `name: value` of a properties file. Escapes, which no name or value asked for here needs, and
/// continued lines are left as they stand.
fn properties(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once(['=', ':']))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_past_comments_and_blanks() {
        let read = properties("# a=1\n! b=2\n c = 3 \nd:4\n\nnothing\n e=f=g\r\n");
        let expected = [("c", "3"), ("d", "4"), ("e", "f=g")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
