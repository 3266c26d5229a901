//! The quarantine file: tests that run but do not fail the build, each with a reason and a last day.

use super::date::Date;
use crate::discover::TestPatterns;
use std::path::{Path, PathBuf};
use testfleet_protocol::plan::{Plan, Quarantined};
use testfleet_protocol::test::{TaskPath, TestId, TestName};
use testfleet_protocol::{Failure, FailureCode, Result};

/// What is written instead of a last day.
const NEVER: &str = "never";

/// The entries of a quarantine file.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    file: PathBuf,
    entries: Vec<Entry>,
}

/// One line of the file.
#[derive(Debug)]
struct Entry {
    line: usize,
    /// The only Test task that it is about.
    task: Option<TaskPath>,
    pattern: String,
    matcher: TestPatterns,
    /// The last day; `None` has no end.
    until: Option<Date>,
    reason: String,
}

/// Reads a quarantine file.
///
/// # Errors
/// `InvalidRequest` when there is none, and for a line that is no entry: a typing error must not let a test count
/// for nothing, or for something, unseen.
pub(crate) fn read(path: &Path) -> Result<Quarantine> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(FailureCode::InvalidRequest, format!("failed to read the quarantine file {}", path.display()))
            .cause(&error)
            .hint("create it (it may be empty), or take it out of testfleet { quarantineFile }")
    })?;
    parse(&text, path)
}

/// Reads the text of a quarantine file.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Quarantine> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = Entry::parse(index + 1, line).map_err(|why| {
            Failure::new(
                FailureCode::InvalidRequest,
                format!("failed to read line {} of the quarantine file {}", index + 1, path.display()),
            )
            .cause_text(why)
            .hint("write: PATTERN | LAST DAY or never | REASON, for example: com.acme.CartTest.adds* | 2026-12-31 | races with the clock")
        })?;
        entries.push(entry);
    }
    Ok(Quarantine { file: path.to_owned(), entries })
}

impl Entry {
    fn parse(line: usize, text: &str) -> std::result::Result<Self, String> {
        let parts: Vec<&str> = text.splitn(3, '|').map(str::trim).collect();
        let [pattern, until, reason] = parts[..] else {
            return Err(format!("it has {} of the three parts pattern | last day | reason", parts.len()));
        };
        let (task, pattern) = match pattern.split_once(char::is_whitespace) {
            Some((task, pattern)) if task.starts_with(':') => (Some(TaskPath(task.to_owned())), pattern.trim()),
            _ => (None, pattern),
        };
        if pattern.is_empty() || pattern.starts_with(':') {
            return Err("the pattern is missing".to_owned());
        }
        if reason.is_empty() {
            return Err("the reason is missing".to_owned());
        }
        let until = match until {
            NEVER => None,
            day => {
                Some(Date::parse(day).ok_or_else(|| format!("`{day}` is no day such as 2026-12-31, nor `{NEVER}`"))?)
            }
        };
        Ok(Self {
            line,
            task,
            pattern: pattern.to_owned(),
            matcher: TestPatterns::new(&[pattern.to_owned()], &[], &[]),
            until,
            reason: reason.to_owned(),
        })
    }

    fn is_over(&self, today: &Date) -> bool {
        self.until.is_some_and(|until| until < *today)
    }

    fn matches(&self, task: &TaskPath, test: &TestName) -> bool {
        if self.task.as_ref().is_some_and(|only| only != task) {
            return false;
        }
        let bare = test.method.split_once('(').map_or(test.method.as_str(), |(name, _)| name);
        // As in a filter, what is said of a class holds for the classes nested in it.
        let ends = test.class.match_indices('$').map(|(end, _)| end).filter(|end| *end > 0);
        ends.chain([test.class.len()]).any(|end| {
            let class = &test.class[..end];
            self.matcher.selects_method(class, &test.method) || self.matcher.selects_method(class, bare)
        })
    }
}

impl Quarantine {
    /// Marks the quarantined tests of a plan; returns what the user should know: entries that are over, and those that
    /// no test of the whole build fits. `whole` is `false` for a plan of some tests, where the latter says nothing.
    pub(crate) fn mark(&self, plan: &mut Plan, today: &Date, whole: bool) -> Vec<String> {
        let mut used = vec![false; self.entries.len()];
        let mut marked: Vec<Quarantined> = Vec::new();
        for unit in &plan.units {
            for test in &unit.tests {
                let matching = self.entries.iter().enumerate().filter(|(_, entry)| entry.matches(&unit.task, test));
                let mut chosen: Option<&Entry> = None;
                for (index, entry) in matching {
                    used[index] = true;
                    // Of several, the one that lasts longest.
                    let lasts_longer = |known: &Entry| match (&known.until, &entry.until) {
                        (None, _) => false,
                        (_, None) => true,
                        (Some(known), Some(new)) => new > known,
                    };
                    if !entry.is_over(today) && chosen.is_none_or(lasts_longer) {
                        chosen = Some(entry);
                    }
                }
                if let Some(entry) = chosen {
                    marked.push(Quarantined {
                        test: TestId { task: unit.task.clone(), name: test.clone() },
                        reason: entry.reason.clone(),
                        until: entry.until.map(|day| day.to_string()),
                    });
                }
            }
        }
        marked.sort_by(|a, b| a.test.cmp(&b.test));
        marked.dedup_by(|a, b| a.test == b.test); // slices of one test
        plan.quarantined = marked;
        self.entries
            .iter()
            .zip(used)
            .filter_map(|(entry, used)| {
                let place = format!("{}:{}: `{}`", self.file.display(), entry.line, entry.pattern);
                match &entry.until {
                    Some(day) if entry.is_over(today) => Some(format!(
                        "{place} was quarantined until {day}: its tests count again. Take the line out, or give it a new day"
                    )),
                    _ if whole && !used => {
                        Some(format!("{place} is quarantined, but no test fits it. Is it spelled right?"))
                    }
                    _ => None,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use testfleet_protocol::plan::Unit;

    fn quarantine(text: &str) -> Quarantine {
        parse(text, Path::new("quarantine.txt")).unwrap()
    }

    fn plan(tests: &[(&str, &str, &str)]) -> Plan {
        let unit = |(task, class, method): &(&str, &str, &str)| Unit {
            task: TaskPath((*task).into()),
            class: (*class).into(),
            tests: vec![TestName { class: (*class).into(), method: (*method).into() }],
            ..Unit::default()
        };
        Plan { units: tests.iter().map(unit).collect(), ..Plan::default() }
    }

    fn day(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn patterns_mark_tests_with_reason_and_day() {
        let mut plan = plan(&[
            (":app:test", "com.acme.CartTest", "adds(int)"),
            (":app:test", "com.acme.CartTest", "removes()"),
            (":app:test", "com.acme.CartTest$Inner", "nested()"),
            (":app:it", "com.acme.WebTest", "opens()"),
            (":lib:it", "com.acme.WebTest", "opens()"),
            (":lib:test", "com.acme.CartSpec", "it just works (mostly)"),
        ]);
        let said = quarantine(
            "# why\n\n com.acme.CartTest.adds | 2026-12-31 | races with | the clock\r\n\
             CartTest$Inner | never | no idea\n:lib:it  WebTest.opens() | 2026-11-21 | port 80\n\
             CartSpec.it just works (mostly) | never | prose\n",
        )
        .mark(&mut plan, &day("2026-11-21"), true);
        assert_eq!(said, Vec::<String>::new());
        let marked: Vec<_> = plan
            .quarantined
            .iter()
            .map(|one| format!("{} | {} | {}", one.test, one.until.as_deref().unwrap_or("never"), one.reason))
            .collect();
        insta::assert_snapshot!(marked.join("\n"));
    }

    #[test]
    fn entries_that_are_over_or_fit_nothing_are_told() {
        let mut plan = plan(&[(":test", "A", "a()")]);
        let quarantine = quarantine("A | 2026-11-20 | old\nB | never | gone\nA.a | 2026-11-21 | last day\n");
        let said = quarantine.mark(&mut plan, &day("2026-11-21"), true);
        insta::assert_snapshot!(said.join("\n"));
        assert_eq!(plan.quarantined.len(), 1);
        assert_eq!(plan.quarantined[0].reason, "last day");
        assert_eq!(
            quarantine.mark(&mut plan, &day("2026-11-21"), false).len(),
            1,
            "a part of the tests tells no misses"
        );
        quarantine.mark(&mut plan, &day("2026-11-22"), true);
        assert_eq!(plan.quarantined, []);
    }

    #[test]
    fn a_line_that_is_no_entry_is_refused_with_its_number() {
        for (text, cause) in [
            ("# ok\nA.a", "1 of the three parts"),
            ("\nA.a | 2026-12-31", "2 of the three parts"),
            ("\nA.a | 2026-02-30 | x", "no day"),
            ("\nA.a | soon | x", "no day"),
            ("\nA.a | never | ", "reason is missing"),
            ("\n | never | x", "pattern is missing"),
            ("\n:app:test | never | x", "pattern is missing"),
        ] {
            let failure = parse(text, Path::new("q.txt")).unwrap_err();
            assert!(failure.message.contains("line 2") && failure.message.contains("q.txt"), "{failure}");
            assert!(failure.causes[0].contains(cause), "{failure}");
            assert!(failure.hint.is_some());
        }
    }

    #[test]
    fn a_missing_file_is_a_failure() {
        let failure = read(Path::new("/nowhere/quarantine.txt")).unwrap_err();
        assert_eq!(failure.code, FailureCode::InvalidRequest);
        assert!(failure.message.contains("/nowhere/quarantine.txt"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\PC|\n|\\|){0,80}") {
            let mut plan = plan(&[(":test", "a.A$B", "a(int)")]);
            if let Ok(quarantine) = parse(&text, Path::new("q")) {
                quarantine.mark(&mut plan, &day("2026-11-21"), true);
            }
        }
    }
}
