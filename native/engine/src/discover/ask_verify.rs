//! Class files and frameworks side by side: what `prepare --verify` says.

use crate::report::words::counted;
use std::collections::BTreeMap;
use testfleet_protocol::test::{TaskPath, TestName, Thrown};
use testfleet_protocol::{Failure, FailureCode};

/// Classes that a failure names.
const NAMED: usize = 50;
/// Tests of one class that it names.
const TESTS_NAMED: usize = 20;

/// What both sides tell of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BothSides {
    /// Test task.
    pub task: TaskPath,
    /// Binary name.
    pub class: String,
    /// Tests by its class files, sorted.
    pub class_files: Vec<TestName>,
    /// Tests by its framework, sorted.
    pub framework: Vec<TestName>,
    /// Why the framework could not look into it.
    pub refused: Option<Thrown>,
    /// Class files do not tell its tests, so there is nothing to compare.
    pub only_asking_tells: bool,
}

impl BothSides {
    fn differs(&self) -> bool {
        !self.only_asking_tells && (self.refused.is_some() || self.class_files != self.framework)
    }
}

/// What a comparison of all classes came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Classes on which the two sides differ, by task and class.
    pub differences: Vec<BothSides>,
    /// Classes with tests on which they agree.
    pub classes: u64,
    /// Their tests.
    pub tests: u64,
    /// Classes with tests that only asking tells.
    pub asked_classes: u64,
    /// Their tests.
    pub asked_tests: u64,
}

impl Verification {
    /// Compares.
    pub(super) fn of(sides: Vec<BothSides>) -> Self {
        let mut verification = Self::default();
        for class in sides {
            if class.differs() {
                verification.differences.push(class);
            } else if class.only_asking_tells {
                verification.asked_classes += u64::from(!class.framework.is_empty());
                verification.asked_tests += class.framework.len() as u64;
            } else {
                verification.classes += u64::from(!class.framework.is_empty());
                verification.tests += class.framework.len() as u64;
            }
        }
        verification.differences.sort_by(|a, b| (&a.task, &a.class).cmp(&(&b.task, &b.class)));
        verification
    }

    /// `Verified 214 tests of 21 classes: class files and frameworks agree`
    pub fn summary(&self) -> String {
        let tests = counted(self.tests, "test", "tests");
        let classes = counted(self.classes, "class", "classes");
        let asked = match self.asked_classes {
            0 => String::new(),
            n => format!(
                " ({} of {} more are known by asking alone)",
                counted(self.asked_tests, "test", "tests"),
                counted(n, "class", "classes")
            ),
        };
        match self.differences.len() as u64 {
            0 => format!("Verified {tests} of {classes}: class files and frameworks agree{asked}"),
            n => format!(
                "Class files and frameworks differ on {}; they agree on {tests} of {classes}{asked}",
                counted(n, "class", "classes")
            ),
        }
    }

    /// The differences as lines: a line for each Test task, below it one for each class, below that its tests.
    pub fn lines(&self) -> Vec<String> {
        let mut by_task: BTreeMap<&TaskPath, Vec<&BothSides>> = BTreeMap::new();
        for class in &self.differences {
            by_task.entry(&class.task).or_default().push(class);
        }
        let mut lines = Vec::new();
        for (task, classes) in by_task {
            lines.push(format!("{task}"));
            for class in classes.iter().take(NAMED) {
                lines.push(format!("  {}", class.class));
                if let Some(thrown) = &class.refused {
                    lines
                        .push(format!("    the framework could not look into it: {}: {}", thrown.kind, thrown.message));
                }
                let only = |from: &[TestName], other: &[TestName]| -> Vec<String> {
                    let only = from.iter().filter(|test| !other.contains(test));
                    only.map(|test| method_of(test, &class.class)).collect()
                };
                add(&mut lines, "only class files", &only(&class.class_files, &class.framework));
                add(&mut lines, "only the framework", &only(&class.framework, &class.class_files));
            }
            if classes.len() > NAMED {
                lines.push(format!("  and {} more", counted((classes.len() - NAMED) as u64, "class", "classes")));
            }
        }
        lines
    }

    /// # Errors
    /// `DiscoveryDiffers` when there is a difference.
    pub fn judge(&self) -> Result<(), Failure> {
        if self.differences.is_empty() {
            return Ok(());
        }
        let count = counted(self.differences.len() as u64, "class", "classes");
        let mut failure = Failure::new(
            FailureCode::DiscoveryDiffers,
            format!("failed to verify the tests: class files and frameworks differ on {count}"),
        );
        let named = self.differences.iter().take(NAMED);
        failure.causes.extend(named.map(|class| format!("{} {}", class.task, class.class)));
        Err(failure.hint(
            "the differences are listed above; until they are gone, the build's own test task is the one to trust for these classes",
        ))
    }
}

fn add(lines: &mut Vec<String>, who: &str, tests: &[String]) {
    lines.extend(tests.iter().take(TESTS_NAMED).map(|test| format!("    {who}: {test}")));
    if tests.len() > TESTS_NAMED {
        lines
            .push(format!("    {who}: and {}", counted((tests.len() - TESTS_NAMED) as u64, "more test", "more tests")));
    }
}

/// A test below its class: the method, with the nested class before it where it lies in one.
fn method_of(test: &TestName, class: &str) -> String {
    match test.class.strip_prefix(class) {
        Some("") => test.method.clone(),
        _ => test.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(class: &str, methods: &[&str]) -> Vec<TestName> {
        methods.iter().map(|method| TestName { class: class.into(), method: (*method).into() }).collect()
    }

    fn sides(class: &str, class_files: &[&str], framework: &[&str]) -> BothSides {
        BothSides {
            task: TaskPath(":app:test".into()),
            class: class.into(),
            class_files: tests(class, class_files),
            framework: tests(class, framework),
            refused: None,
            only_asking_tells: false,
        }
    }

    #[test]
    fn what_agrees_is_counted_and_what_only_asking_tells_apart() {
        let asked = BothSides { only_asking_tells: true, ..sides("a.Suite", &[], &["x()", "y()"]) };
        let verification =
            Verification::of(vec![sides("a.A", &["a()", "b()"], &["a()", "b()"]), sides("a.No", &[], &[]), asked]);
        assert_eq!(
            verification.summary(),
            "Verified 2 tests of 1 class: class files and frameworks agree (2 tests of 1 class more are known by asking alone)"
        );
        assert!(verification.judge().is_ok());
        assert!(verification.lines().is_empty());
    }

    #[test]
    fn differences_are_listed_by_task_class_and_side() {
        let thrown = Thrown {
            kind: "java.lang.NoClassDefFoundError".into(),
            message: "b/C".into(),
            stack: String::new(),
            hint: None,
        };
        let many: Vec<String> = (0..30).map(|n| format!("t{n:02}()")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let verification = Verification::of(vec![
            BothSides { task: TaskPath(":b:test".into()), ..sides("b.B", &[], &many) },
            sides("a.A", &["a()", "c()"], &["a()", "b(int)"]),
            BothSides { refused: Some(thrown), ..sides("a.Refused", &["a()"], &[]) },
            sides("a.Fine", &["a()"], &["a()"]),
        ]);
        insta::assert_snapshot!(format!(
            "{}\n{}\n\n{}",
            verification.summary(),
            verification.lines().join("\n"),
            verification.judge().unwrap_err()
        ));
    }
}
