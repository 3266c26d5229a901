//! What a run tells the store.

use super::keys::Keys;
use super::store::{Ending, Store};
use std::collections::{HashMap, HashSet};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::test::{Outcome, TestId, Verdict};

/// How the tests of a run ended, gathered from its events.
#[derive(Debug, Default)]
pub struct Outcomes {
    verdicts: HashMap<TestId, Verdict>,
    /// Tests that ended, or of which an invocation ended, in a way that another run need not share: an assumption that
    /// did not hold looks at what no key knows.
    unsure: HashSet<TestId>,
}

impl Outcomes {
    /// Takes in an event.
    pub fn apply(&mut self, event: &RunEvent) {
        match event {
            RunEvent::TestVerdict { test, verdict, .. } => {
                self.verdicts.insert(test.clone(), *verdict);
            }
            RunEvent::TestFinished { test, finished, .. } | RunEvent::InvocationFinished { test, finished, .. }
                if finished.outcome == Outcome::Aborted =>
            {
                self.unsure.insert(test.clone());
            }
            _ => {}
        }
    }

    /// Whether any test ran.
    pub fn is_empty(&self) -> bool {
        self.verdicts.values().all(|verdict| *verdict == Verdict::Reused)
    }

    /// Notes in `store` how the tests of `plan` ended, and that those that did not run were made use of. `before` are the
    /// keys from before the run, `after` those from after it: of a class whose key changed meanwhile nobody knows which
    /// version ran.
    pub fn record(&self, plan: &Plan, before: &Keys, after: &Keys, run: &str, at_ms: u64, store: &mut Store) {
        for unit in &plan.units {
            let Some(class) = before.of_class(&unit.task, &unit.class) else { continue };
            if unit.reused.is_some() {
                store.touch(&class.key, at_ms);
                continue;
            }
            let is_unchanged = after.of_class(&unit.task, &unit.class) == Some(class);
            for test in unit.test_ids() {
                // A failure counts against either version.
                if let Some(ending) = self.ending(&test).filter(|ending| is_unchanged || *ending == Ending::Bad) {
                    for key in [Some(&class.key), class.also.as_ref()].into_iter().flatten() {
                        store.record(key, &unit.class, &test.name, ending, run, at_ms);
                    }
                }
            }
        }
    }

    /// `None` for a test that did not run.
    fn ending(&self, test: &TestId) -> Option<Ending> {
        let ending = match self.verdicts.get(test)? {
            Verdict::Reused => return None,
            Verdict::Passed if !self.unsure.contains(test) => Ending::Passed,
            Verdict::Skipped if !self.unsure.contains(test) => Ending::Skipped,
            _ => Ending::Bad,
        };
        Some(ending)
    }
}
