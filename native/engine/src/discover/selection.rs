//! Which found tests a Test task wants: tags, categories, groups, name patterns.

use super::classpath::Classpath;
use super::found::FoundTest;
use super::tags::TagExpression;
use super::test_patterns::{TestPatterns, glob};
use testfleet_protocol::Result;
use testfleet_protocol::request::{Framework, TestTask};

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
    Groups { includes: Vec<String>, excludes: Vec<String> },
}

impl Selection {
    /// The filters of a task.
    ///
    /// # Errors
    /// `InvalidRequest` for a tag expression that is none.
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
                Labels::Groups { includes: include_groups.clone(), excludes: exclude_groups.clone() }
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

/// TestNG reads group names as regular expressions; of those only `.*` is in use.
fn any_group(groups: &[String], wanted: &[String]) -> bool {
    groups.iter().any(|group| wanted.iter().any(|one| group_matches(one, group)))
}

pub(super) fn group_matches(pattern: &str, group: &str) -> bool {
    glob(pattern, ".*", group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_patterns_match_as_regular_expressions_of_text_and_any() {
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
        ] {
            assert_eq!(group_matches(pattern, group), expected, "{pattern} {group}");
        }
    }

    #[test]
    fn a_group_pattern_takes_neither_deep_recursion_nor_exponential_time() {
        assert!(group_matches(&".*".repeat(100_000), "slow"));
        assert!(!group_matches(&("a.*".repeat(2_000) + "b"), &"a".repeat(4_000)));
    }
}
