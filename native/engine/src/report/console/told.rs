//! What many tests have in common is told once: a JVM that does not start says the same of hundreds of them.

use crate::report::words::verdict_word;
use std::collections::HashMap;
use testfleet_protocol::test::Verdict;

/// Tests that are named after the one that a reason was told for.
const NAMED: u64 = 10;

/// Reasons that have been told in full.
#[derive(Debug, Default)]
pub(super) struct Told {
    by_reason: HashMap<String, First>,
}

/// The test that a reason was told for.
#[derive(Debug)]
struct First {
    title: String,
    /// Tests with the same reason after it.
    others: u64,
}

impl Told {
    /// What is left to say of a test whose reason was told before: its name, or nothing when there are many. `None`: the
    /// reason is new.
    pub(super) fn again(&mut self, title: &str, verdict: Verdict, reason: &str) -> Option<Vec<String>> {
        let first = self.by_reason.get_mut(reason)?;
        first.others += 1;
        Some(match first.others {
            0..=NAMED => {
                vec![format!("{title} {}, {}", verdict_word(verdict).to_uppercase(), same_reason_as(&first.title))]
            }
            others if others == NAMED + 1 => {
                vec![format!("More tests are bad {}: they are in the report at the end", same_reason_as(&first.title))]
            }
            _ => Vec::new(),
        })
    }

    /// A reason is told in full with this test.
    pub(super) fn tell(&mut self, title: &str, reason: &str) {
        self.by_reason.insert(reason.to_owned(), First { title: title.to_owned(), others: 0 });
    }
}

/// Points to the test that a reason was told for.
pub(super) fn same_reason_as(title: &str) -> String {
    format!("for the same reason as {title}")
}
