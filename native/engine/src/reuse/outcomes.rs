//! What a run tells the store.

use super::keys::Keys;
use super::store::{Ending, Store};
use std::collections::{BTreeSet, HashMap, HashSet};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::{Plan, Unit};
use testfleet_protocol::test::{Finished, Outcome, TestId, Verdict};

/// How the tests of a run ended, gathered from its events.
#[derive(Debug, Default)]
pub struct Outcomes {
    verdicts: HashMap<TestId, Verdict>,
    /// Tests that ended, or of which an invocation ended, in a way that another run need not share: an assumption that
    /// did not hold looks at what no key knows.
    unsure: HashSet<TestId>,
    /// Whether any test ran, or was to.
    has_run: bool,
    /// Which slices of tests ended: a run of one shard or of one worker may have some of them only.
    slices: HashMap<TestId, BTreeSet<u32>>,
}

impl Outcomes {
    /// Takes in an event.
    pub fn apply(&mut self, event: &RunEvent) {
        match event {
            RunEvent::TestVerdict { test, verdict, .. } => {
                // Those of tests that are not run again come without anything before.
                self.has_run |= !matches!(verdict, Verdict::Reused | Verdict::Skipped);
                self.verdicts.insert(test.clone(), *verdict);
            }
            RunEvent::TestFinished { test, finished, slice, .. } => {
                self.has_run = true;
                self.look_at(test, finished);
                if let Some(slice) = slice {
                    self.slices.entry(test.clone()).or_default().insert(*slice);
                }
            }
            RunEvent::InvocationFinished { test, finished, .. } => self.look_at(test, finished),
            _ => {}
        }
    }

    fn look_at(&mut self, test: &TestId, finished: &Finished) {
        if finished.outcome == Outcome::Aborted {
            self.unsure.insert(test.clone());
        }
    }

    /// Whether no test ran.
    pub fn is_empty(&self) -> bool {
        !self.has_run
    }

    /// Notes in `store` how the tests of `plan` ended, and that those that did not run were made use of. `before` are the
    /// keys from before the run, `after` those from after it: of a class whose key changed meanwhile nobody knows which
    /// version ran.
    pub fn record(&self, plan: &Plan, before: &Keys, after: &Keys, run: &str, at_ms: u64, store: &mut Store) {
        let outside = self.bad_outside_of(plan);
        for unit in &plan.units {
            let Some(class) = before.of_class(&unit.task, &unit.class) else { continue };
            if unit.reused.is_some() {
                store.touch(&class.key, at_ms);
                continue;
            }
            let is_unchanged = after.of_class(&unit.task, &unit.class) == Some(class);
            let is_marred = outside.iter().any(|test| unit.is_of_class(test));
            for test in unit.test_ids() {
                let ending = self.ending(unit, &test).map(|ending| if is_marred { Ending::Bad } else { ending });
                // A failure counts against either version.
                if let Some(ending) = ending.filter(|ending| is_unchanged || *ending == Ending::Bad) {
                    for key in [Some(&class.key), class.also.as_ref()].into_iter().flatten() {
                        store.record(key, unit, &test.name, ending, run, at_ms);
                    }
                }
            }
        }
    }

    /// Bad tests that were not planned: of what happened outside of any test (`@AfterAll`) nobody knows whose doing it is.
    fn bad_outside_of(&self, plan: &Plan) -> Vec<&TestId> {
        let planned: HashSet<TestId> = plan.units.iter().flat_map(Unit::test_ids).collect();
        let bad = self.verdicts.iter().filter(|(test, verdict)| verdict.is_bad() && !planned.contains(test));
        bad.map(|(test, _)| test).collect()
    }

    /// `None` for a test that did not run, or of which another run has the other slices.
    fn ending(&self, unit: &Unit, test: &TestId) -> Option<Ending> {
        let ending = match self.verdicts.get(test)? {
            Verdict::Reused => return None,
            Verdict::Passed if !self.unsure.contains(test) => Ending::Passed,
            Verdict::Skipped if !self.unsure.contains(test) => Ending::Skipped,
            _ => return Some(Ending::Bad),
        };
        let ended = self.slices.get(test).map_or(0, BTreeSet::len);
        unit.slice.is_none_or(|slice| ended == slice.of as usize).then_some(ending)
    }
}
