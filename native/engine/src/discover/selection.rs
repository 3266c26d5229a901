//! Which found tests a Test task wants: tags, categories, groups, name patterns.

use super::classpath::Classpath;
use super::found::FoundTest;
use super::tags::TagExpression;
use super::test_patterns::TestPatterns;
use regex::Regex;
use testfleet_protocol::request::{Framework, TestTask};
use testfleet_protocol::{Failure, FailureCode, Result};

/// The filters of a Test task and of the command line.
pub(crate) struct Selection {
    pub(crate) patterns: TestPatterns,
    labels: Labels,
    /// A selected class brings all its tests along (JUnit); TestNG asks for each method.
    class_brings_methods: bool,
}

enum Labels {
    Tags { includes: Vec<TagExpression>, excludes: Vec<TagExpression> },
    Categories { includes: Vec<String>, excludes: Vec<String> },
    Groups { includes: Vec<Regex>, excludes: Vec<Regex> },
}

impl Selection {
    /// The filters of a task.
    ///
    /// # Errors
    /// `InvalidRequest` for a tag expression or a pattern of groups that is none.
    pub(crate) fn new(task: &TestTask, command_line: &[String]) -> Result<Self> {
        let parse = |texts: &[String]| texts.iter().map(|text| TagExpression::parse(text)).collect::<Result<Vec<_>>>();
        let labels = match &task.framework {
            Framework::JunitPlatform { include_tags, exclude_tags, .. } => {
                Labels::Tags { includes: parse(include_tags)?, excludes: parse(exclude_tags)? }
            }
            Framework::JUnit4 { include_categories, exclude_categories } => {
                Labels::Categories { includes: include_categories.clone(), excludes: exclude_categories.clone() }
            }
            Framework::TestNg { include_groups, exclude_groups, .. } => {
                let parse = |texts: &[String]| texts.iter().map(|text| group_pattern(text)).collect::<Result<Vec<_>>>();
                Labels::Groups { includes: parse(include_groups)?, excludes: parse(exclude_groups)? }
            }
        };
        Ok(Self {
            patterns: TestPatterns::new(&task.include_tests, &task.exclude_tests, command_line),
            labels,
            class_brings_methods: !matches!(task.framework, Framework::TestNg { .. }),
        })
    }

    /// Whether a test is wanted.
    ///
    /// # Errors
    /// When a category class is broken.
    pub(crate) fn wants(&self, test: &FoundTest, classpath: &Classpath) -> Result<bool> {
        Ok(self.wants_name(test) && self.labels.want(&test.tags, classpath)?)
    }

    /// Whether a test's name is wanted, whatever its tags are.
    pub(crate) fn wants_name(&self, test: &FoundTest) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        (self.class_brings_methods && test.classes.iter().any(|class| self.patterns.selects_class(class)))
            || test.classes.first().is_some_and(|class| self.patterns.selects_method(class, &test.method))
    }
}

impl Labels {
    fn want(&self, labels: &[String], classpath: &Classpath) -> Result<bool> {
        Ok(match self {
            Self::Tags { includes, excludes } => {
                (includes.is_empty() || includes.iter().any(|one| one.matches(labels)))
                    && !excludes.iter().any(|one| one.matches(labels))
            }
            Self::Categories { includes, excludes } => {
                (includes.is_empty() || any_subtype(labels, includes, classpath)?)
                    && !any_subtype(labels, excludes, classpath)?
            }
            Self::Groups { includes, excludes } => {
                (includes.is_empty() || any_group(labels, includes)) && !any_group(labels, excludes)
            }
        })
    }
}

fn any_subtype(categories: &[String], of: &[String], classpath: &Classpath) -> Result<bool> {
    for category in categories {
        for one in of {
            if classpath.is_subtype(category, &one.replace('/', "."))? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn any_group(groups: &[String], wanted: &[Regex]) -> bool {
    groups.iter().any(|group| wanted.iter().any(|one| one.is_match(group)))
}

/// TestNG reads names of groups as regular expressions that match a whole name.
///
/// # Errors
/// `InvalidRequest` for text that is none, or that uses what takes exponential time (references back, look-around).
pub(super) fn group_pattern(text: &str) -> Result<Regex> {
    Regex::new(&format!("^(?:{text})$")).map_err(|error| {
        Failure::new(FailureCode::InvalidRequest, format!("failed to read the TestNG group `{text}`"))
            .cause(&error)
            .hint("write a regular expression without look-around and references back, such as fast|db.*")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_patterns_match_whole_names_as_regular_expressions() {
        for (pattern, group, expected) in [
            ("slow", "slow", true),
            ("slow", "slower", false),
            ("slow.*", "slow", true),
            ("slow.*", "slow-db", true),
            (".*db", "slow-db", true),
            ("a.*b.*c", "aXbYbZc", true),
            ("a.*b.*c", "acb", false),
            ("a.*a", "a", false),
            (".*", "", true),
            ("", "", true),
            ("", "slow", false),
            ("slow|db", "db", true),
            ("slow|db", "dbs", false),
            ("t[0-9]+", "t12", true),
            ("(?i)Slow", "sLOW", true),
        ] {
            assert_eq!(group_pattern(pattern).unwrap().is_match(group), expected, "{pattern} {group}");
        }
    }

    #[test]
    fn what_is_no_pattern_of_groups_is_refused() {
        for pattern in ["(", "(?!slow).*", "(a)\\1", "*"] {
            let failure = group_pattern(pattern).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidRequest);
            assert!(failure.message.contains(pattern) && failure.hint.is_some(), "{failure}");
        }
    }

    #[test]
    fn a_group_pattern_takes_neither_deep_recursion_nor_exponential_time() {
        assert!(group_pattern(&".*".repeat(100_000)).is_err(), "it is too large");
        assert!(!group_pattern(&("a.*".repeat(500) + "b")).unwrap().is_match(&"a".repeat(4_000)));
    }
}
