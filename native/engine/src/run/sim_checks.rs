//! What is checked when a simulated run is over.

use super::job::OUTSIDE_OF_TESTS;
use super::sim_plan::{Nature, Trouble};
use super::simulation::World;
use super::state::Stop;
use std::collections::{HashMap, HashSet};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::Unit;
use testfleet_protocol::test::{Outcome, TestId, TestName, Verdict};

impl World {
    pub(super) fn check(&self) {
        let plan = &self.scene.input.plan;
        let runs = self.state.job.runs();
        let mut verdicts: HashMap<&TestId, (Verdict, &str)> = HashMap::new();
        let mut tries: HashMap<&TestId, Vec<Outcome>> = HashMap::new();
        for event in &self.events {
            match event {
                RunEvent::TestVerdict { test, verdict, reason } => {
                    let reason = reason.as_deref().unwrap_or("");
                    assert!(verdicts.insert(test, (*verdict, reason)).is_none(), "{test} has two verdicts");
                    assert!(!reason.is_empty() || *verdict != Verdict::Lost, "{test} is lost without a reason");
                }
                RunEvent::TestFinished { test, slice: None, finished, .. } => {
                    tries.entry(test).or_default().push(finished.outcome);
                }
                _ => {}
            }
        }
        for unit in &plan.units {
            for test in unit.test_ids() {
                let Some((verdict, reason)) = verdicts.get(&test).copied() else { panic!("{test} has no verdict") };
                if unit.slice.is_some() {
                    continue;
                }
                if unit.reused.is_some() && runs == 1 {
                    assert_eq!(verdict, Verdict::Reused, "{test}");
                    continue;
                }
                let tries = tries.remove(&test).unwrap_or_default();
                self.fits(&test, verdict, reason, &tries, runs);
            }
        }
        self.classes_that_failed_are_bad(&verdicts);
        self.promises.nothing_came_between();
        assert!(self.state.waiting.is_at_rest(), "something waits or is held at the end");
        let Some(RunEvent::RunFinished { counts, cancelled, verdict, .. }) = self.events.last() else {
            panic!("the last event is {:?}", self.events.last());
        };
        let mut worst = self.promises.worst(plan, &self.state);
        if matches!(self.state.stop, Some(Stop::TimedOut { .. })) {
            worst = worst.max(Verdict::Errored);
        }
        assert_eq!(*verdict, worst);
        assert_eq!(counts.values().sum::<u64>(), verdicts.len() as u64);
        assert_eq!(*cancelled, self.state.is_cancelled());
        assert_eq!(self.events.iter().filter(|event| matches!(event, RunEvent::RunFinished { .. })).count(), 1);
        self.assignments_end_once();
        assert!(self.replayed() == self.state, "the state is not what its events make");
    }

    /// Whatever else happened: a failure outside of tests that was heard of, or that comes at each end of a class, is a bad
    /// result of that class or of a test in it.
    fn classes_that_failed_are_bad(&self, verdicts: &HashMap<&TestId, (Verdict, &str)>) {
        let units: HashMap<_, _> = self.scene.input.plan.units.iter().map(|unit| (&unit.id, unit)).collect();
        let is_bad = |unit: &Unit, class: &str| {
            let name = TestName { class: class.to_owned(), method: OUTSIDE_OF_TESTS.to_owned() };
            let outside = TestId { task: unit.task.clone(), name };
            let bad = |test: &TestId| verdicts.get(test).is_some_and(|(verdict, _)| verdict.is_bad());
            bad(&outside) || unit.test_ids().any(|test| test.name.class.starts_with(class) && bad(&test))
        };
        for event in &self.events {
            if let RunEvent::ClassFailed { unit, class, .. } = event {
                assert!(is_bad(units[unit], class), "{class} failed in {unit:?}, and that is forgotten");
            }
        }
        let runs = self.state.job.runs();
        for unit in units.values().filter(|unit| unit.reused.is_none() || runs > 1) {
            let fails = self.scene.trouble(unit) == Some(Trouble::AfterAll);
            assert!(!fails || is_bad(unit, &unit.class), "what comes after the tests of {:?} was not seen", unit.id);
        }
    }

    /// Whether a verdict is what the tries came to.
    fn fits(&self, test: &TestId, verdict: Verdict, reason: &str, tries: &[Outcome], runs: u32) {
        let is_bad = |outcome: &Outcome| Verdict::from(*outcome).is_bad();
        let bad = tries.iter().filter(|outcome| is_bad(outcome)).count();
        let last_bad = tries.iter().rev().find(|outcome| is_bad(outcome)).map(|outcome| Verdict::from(*outcome));
        let told = || format!("{test} is {verdict:?} ({reason}) by {tries:?}");
        let hangs = self.scene.nature(&test.name) == Nature::Hangs;
        assert!(!hangs || verdict.is_bad(), "it hangs: {}", told());
        if verdict == Verdict::Lost {
            let known = ["cancelled", "the run took longer", "no worker is left", "the test framework ran"];
            assert!(known.iter().any(|known| reason.starts_with(known)), "{}", told());
            return;
        }
        if runs > 1 {
            let complete = tries.len() == runs as usize;
            // Who goes on with a run that was stopped forgets that it was, but not the verdicts that it came to.
            let cuts = |event: &RunEvent| {
                matches!(
                    event,
                    RunEvent::WorkerEnded { failure: Some(_), .. }
                        | RunEvent::ProfileGivenUp { .. }
                        | RunEvent::RunTimedOut { .. }
                        | RunEvent::CancelRequested { .. }
                )
            };
            let cut = self.events.iter().any(cuts);
            assert!(complete || cut && bad > 0, "{}", told());
            let some = bad > 0 && bad < tries.len();
            assert_eq!(verdict == Verdict::Flaky, some, "{}", told());
            assert_eq!(verdict.is_bad(), bad == tries.len(), "{}", told());
            return;
        }
        let passed = tries.last() == Some(&Outcome::Passed);
        match verdict {
            Verdict::Passed => assert!(passed && bad == 0, "{}", told()),
            Verdict::Flaky => assert!(passed && bad > 0, "{}", told()),
            Verdict::Skipped => assert!(bad == 0 && !passed && !tries.is_empty(), "{}", told()),
            bad => assert!(last_bad == Some(bad) && !passed, "{}", told()),
        }
        assert!(tries.len() <= self.state.job.max_retries() as usize + 1, "{}", told());
    }

    /// Every assignment ends exactly once, and each try at a test at most once.
    fn assignments_end_once(&self) {
        let mut open = HashSet::new();
        let mut tries = HashSet::new();
        for event in &self.events {
            match event {
                // One that comes back says again what it has.
                RunEvent::UnitAssigned { unit, worker, attempt, .. } => {
                    open.insert((unit, worker, attempt));
                }
                RunEvent::UnitFinished { unit, worker, attempt, .. } => {
                    assert!(open.remove(&(unit, worker, attempt)), "{unit:?} ends twice in try {attempt}");
                }
                RunEvent::TestFinished { test, slice, attempt, .. } => {
                    assert!(tries.insert((test, slice, attempt)), "{test} ends twice in try {attempt}");
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "without an end: {open:?}");
    }
}
