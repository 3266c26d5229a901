//! What the tests of a simulated run came to, watched from outside: from what agents do and from the events. What may still
//! be run follows from that.

use super::State;
use super::heard::in_hand;
use std::collections::{HashMap, HashSet};
use testfleet_protocol::event::{Attempt, RunEvent};
use testfleet_protocol::plan::{Plan, Unit, UnitId};
use testfleet_protocol::run_options::{Retries, RunOptions};
use testfleet_protocol::test::{Outcome, TaskPath, TestId, TestName, Verdict};

/// A test, or a slice of one.
type Part = (TestId, Option<u32>);

/// Watches the tests of a run.
pub(super) struct Results {
    retries: Retries,
    /// Tests that are to run, those in quarantine aside: only they count for the limits.
    counting: HashSet<TestId>,
    in_slices: HashSet<TestId>,
    /// Tests that count and ended, and those of them that were bad once.
    ended: HashSet<TestId>,
    bad: HashSet<TestId>,
    /// Whether a limit was passed.
    over: bool,
    passed: HashSet<Part>,
    /// The worker of the latest bad try.
    bad_at: HashMap<Part, u32>,
    /// Profiles of which a JVM was ready, and how often one was not.
    proven: HashSet<TaskPath>,
    failed_starts: HashMap<TaskPath, u32>,
    /// How often in a row at each worker, while its profile was not given up.
    failed_at: HashMap<u32, u32>,
    resumed: u32,
    /// Units that are run for their ends alone.
    unseen: HashSet<UnitId>,
    /// What really began, by try at a unit and worker.
    began: HashMap<(UnitId, Attempt, u32), HashSet<TestName>>,
}

impl Results {
    pub(super) fn of(plan: &Plan, options: &RunOptions) -> Self {
        let runs = |unit: &&Unit| unit.reused.is_none() || options.runs_of_each() > 1;
        let mut counting: HashSet<_> = plan.units.iter().filter(runs).flat_map(Unit::test_ids).collect();
        plan.quarantined.iter().for_each(|held| {
            counting.remove(&held.test);
        });
        let in_slices = plan.units.iter().filter(|unit| unit.slice.is_some()).flat_map(Unit::test_ids).collect();
        Self {
            retries: options.retries,
            counting,
            in_slices,
            ended: HashSet::new(),
            bad: HashSet::new(),
            over: false,
            passed: HashSet::new(),
            bad_at: HashMap::new(),
            proven: HashSet::new(),
            failed_starts: HashMap::new(),
            failed_at: HashMap::new(),
            resumed: 0,
            unseen: HashSet::new(),
            began: HashMap::new(),
        }
    }

    /// Takes in an event that the run made.
    pub(super) fn see(&mut self, event: &RunEvent) {
        match event {
            RunEvent::JvmStarted { task, worker, .. } => {
                self.proven.insert(task.clone());
                self.failed_at.remove(worker);
            }
            RunEvent::JvmDied { worker, never_ready: Some(task), .. } => {
                *self.failed_starts.entry(task.clone()).or_default() += 1;
                let in_a_row = self.failed_at.entry(*worker).or_default();
                *in_a_row += 1;
                // A coordinator may be lost before it comes to the end of the worker.
                assert!(*in_a_row <= 2 + self.resumed, "worker {worker} starts no JVM and stays");
            }
            RunEvent::ProfileGivenUp { task, .. } => {
                assert!(!self.proven.contains(task), "{task} is given up though its JVM worked");
                self.failed_at.clear();
            }
            RunEvent::WorkerStarted { worker, .. } => {
                self.failed_at.remove(worker);
            }
            RunEvent::RunResumed { .. } => self.resumed += 1,
            RunEvent::TestFinished { test, slice, finished, worker, .. } => {
                if finished.thrown.first().is_some_and(|thrown| thrown.kind == "JvmStart") {
                    let failed = self.failed_starts.get(&test.task).copied().unwrap_or_default();
                    assert!(!self.proven.contains(&test.task), "{test} is blamed for a start though others worked");
                    assert!(failed > 1, "{test} is blamed for the first start that failed");
                }
                let part = (test.clone(), *slice);
                let is_bad = Verdict::from(finished.outcome).is_bad();
                if let Some(worker) = worker.filter(|_| is_bad) {
                    self.bad_at.insert(part, worker);
                } else if finished.outcome == Outcome::Passed {
                    self.passed.insert(part);
                }
                self.one_ended(test, is_bad);
            }
            RunEvent::SliceLost { test, .. } => self.one_ended(test, true),
            RunEvent::UnitFinished { unit, unseen: true, .. } => {
                self.unseen.insert(unit.clone());
            }
            RunEvent::UnitFinished { unit, .. } => {
                self.unseen.remove(unit);
            }
            // One that is lost has ended, too. Of slices, each tells that itself.
            RunEvent::TestVerdict { test, verdict, .. }
                if !self.in_slices.contains(test) && *verdict != Verdict::Reused =>
            {
                self.one_ended(test, verdict.is_bad());
            }
            _ => {}
        }
    }

    fn one_ended(&mut self, test: &TestId, is_bad: bool) {
        if !self.counting.contains(test) {
            return;
        }
        self.ended.insert(test.clone());
        if is_bad {
            self.bad.insert(test.clone());
        }
        let Retries { max_failures, max_failure_rate, .. } = self.retries;
        let (bad, ended) = (self.bad.len(), self.ended.len());
        let says_something = ended as u64 >= Retries::RATE_FROM || ended == self.counting.len();
        self.over |= max_failures > 0 && bad as u64 >= u64::from(max_failures);
        self.over |= says_something && bad as f64 > max_failure_rate * ended as f64;
    }

    /// The run knows whether a limit was passed, where that makes a difference.
    pub(super) fn fit(&self, state: &State) {
        let (bad, ended) = (self.bad.len(), self.ended.len());
        let known = state.limits.over == self.over || state.job.max_retries() == 0;
        assert!(known, "{bad} bad tests of {ended} are over a limit: {}", self.over);
    }

    /// What is handed out is to be run.
    pub(super) fn may_run(&self, worker: u32, unit: &Unit, fresh_jvm: bool, state: &State) {
        assert!(!unit.tests.is_empty());
        if self.unseen.contains(&unit.id) {
            assert!(unit.tests.len() == 1 && fresh_jvm, "{unit:?} is run again for its end alone");
            return;
        }
        let slice = unit.slice.map(|slice| slice.number);
        let runs = state.job.runs();
        let mut again = 0;
        for id in unit.test_ids() {
            let part = (id, slice);
            assert!(runs > 1 || !self.passed.contains(&part), "{part:?} passed already and is run again");
            let Some(bad_at) = self.bad_at.get(&part).filter(|_| runs == 1) else { continue };
            again += 1;
            assert!(!self.over, "{part:?} is tried again though too many tests are bad");
            let others = state.workers.ready_count() > 1;
            let elsewhere = *bad_at != worker || !others || unit.tests.len() > 1;
            assert!(elsewhere, "{part:?} is tried again where it was bad");
            assert!(fresh_jvm, "{part:?} is tried again in a JVM that is not its own");
        }
        assert!(again == 0 || again == unit.tests.len() || fresh_jvm);
    }

    /// A test really began, in a try at a unit.
    pub(super) fn begins(&mut self, of: (UnitId, Attempt, u32), test: TestName) {
        let is_new = self.began.entry(of.clone()).or_default().insert(test.clone());
        assert!(is_new, "{test} begins twice in one try at {of:?}");
    }

    /// What ran in a try that comes to its own end was written down, or is with this message: nothing ran for nothing.
    pub(super) fn end_well(&self, worker: u32, unit: &UnitId, attempt: Attempt, state: &State) {
        let Some(held) = in_hand(state, worker, unit, attempt) else { return };
        let names = &state.job.units[held.unit].tests;
        for test in self.began.get(&(unit.clone(), attempt, worker)).into_iter().flatten() {
            let open = held.due.iter().any(|due| names[*due] == *test);
            assert!(!open || held.closing || held.running.contains_key(test), "{test} ran and nobody knows");
        }
    }
}
