//! What is known of a unit and of the tries at its tests, and which of these are to be tried next.

use std::collections::BTreeMap;
use testfleet_protocol::agent::DeathCause;
use testfleet_protocol::event::Attempt;
use testfleet_protocol::test::{Finished, Outcome, Verdict};

/// How often a unit or a test may be lost with its worker until it is handed out alone.
pub(super) const LOSSES_UNTIL_ALONE: usize = 2;

/// With this loss a test that ran, or a unit of which nothing ran, is given up.
pub(super) const LOSSES: usize = 3;

/// What a test is errored with when no JVM of its profile starts.
pub(super) const NEVER_STARTED: &str = "JvmStart";

/// A verdict, and why.
pub(super) type Judgement = (Verdict, Option<String>);

/// A unit of the job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UnitState {
    /// The latest try; 0 before the first.
    pub(super) attempt: Attempt,
    /// The worker that has it.
    pub(super) holder: Option<u32>,
    /// How often in a row a JVM died with it before any of its tests had a result.
    pub(super) silent_deaths: u32,
    /// Why its workers were lost, in a row, while none of its tests ran and before any had a result.
    pub(super) silent_losses: Vec<String>,
    /// Whether it, or one of its tests, was lost so often that nothing else may be at its worker.
    pub(super) isolated: bool,
    /// One for each planned test: its verdict, or what its slice came to.
    pub(super) verdicts: Vec<Option<Verdict>>,
    /// How many of them are missing.
    pub(super) missing: usize,
    /// The test that ended last.
    pub(super) last: usize,
    /// Of the tests that have not simply ended in their first try.
    pub(super) tries: BTreeMap<usize, Tries>,
}

/// What the tries at a test, or at a slice of one, came to so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tries {
    pub(super) ended: u32,
    bad: u32,
    passed: bool,
    last_bad: Option<Judgement>,
    /// The worker of the latest bad try.
    pub(super) bad_at: Option<u32>,
    /// Why its workers were lost while it ran.
    pub(super) losses: Vec<String>,
}

/// What of a unit is to be handed out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Due {
    /// Indexes of the tests.
    pub(super) tests: Vec<usize>,
    /// Whether it goes last, to an empty hand, with nothing behind it, and into a JVM of its own.
    pub(super) solo: bool,
}

/// Which tries are followed by another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    /// How often a bad test is tried again, as things stand.
    pub(super) retries: u32,
    /// How often it would be if all went well.
    pub(super) max_retries: u32,
    /// How often each test is run.
    pub(super) runs: u32,
}

impl UnitState {
    pub(super) fn new(tests: usize) -> Self {
        Self {
            attempt: 0,
            holder: None,
            silent_deaths: 0,
            silent_losses: Vec::new(),
            isolated: false,
            verdicts: vec![None; tests],
            missing: tests,
            last: 0,
            tries: BTreeMap::new(),
        }
    }

    /// Indexes of the tests without a verdict.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> + '_ {
        self.verdicts.iter().enumerate().filter(|(_, verdict)| verdict.is_none()).map(|(index, _)| index)
    }

    /// Which of the open tests go to a worker next: those without a bad try before those that are tried again. Of an isolated
    /// unit first those that no loss points at, then the others one by one. When none is open, the last that ended: what comes
    /// after it is to be seen.
    pub(super) fn due(&self, runs: u32) -> Due {
        if self.missing == 0 {
            return Due { tests: vec![self.last], solo: true };
        }
        if self.isolated {
            let innocent = |test: &usize| self.losses(*test).is_empty();
            let blank = self.silent_losses.len() < LOSSES_UNTIL_ALONE;
            let mut tests: Vec<_> = self.open().filter(|test| blank && innocent(test)).collect();
            if tests.is_empty() {
                tests.extend(self.open().next());
            }
            return Due { tests, solo: true };
        }
        let first: Vec<_> = self.open().filter(|test| runs > 1 || self.bad_tries(*test) == 0).collect();
        if first.is_empty() {
            Due { tests: self.open().collect(), solo: true }
        } else {
            Due { tests: first, solo: false }
        }
    }

    /// The worker that had better not get what is due.
    pub(super) fn avoid(&self, due: &Due) -> Option<u32> {
        due.tests.iter().find_map(|test| self.tries.get(test)?.bad_at)
    }

    /// How many tries at a test were bad.
    pub(super) fn bad_tries(&self, test: usize) -> u32 {
        self.tries.get(&test).map_or(0, |tries| tries.bad)
    }

    /// Why workers were lost while a test ran there.
    pub(super) fn losses(&self, test: usize) -> &[String] {
        self.tries.get(&test).map_or(&[], |tries| &tries.losses)
    }

    /// Whether a try at a test ended.
    pub(super) fn was_tried(&self, test: usize) -> bool {
        self.tries.get(&test).is_some_and(|tries| tries.ended > 0)
    }

    /// A try at an open test ended. What the test came to with that, unless it is tried again.
    pub(super) fn ended(
        &mut self,
        test: usize,
        finished: &Finished,
        worker: Option<u32>,
        ran: bool,
        policy: Policy,
    ) -> Option<Judgement> {
        let verdict = Verdict::from(finished.outcome);
        let reason = finished.reason.clone().filter(|_| finished.outcome == Outcome::Errored);
        if policy.runs <= 1 && !verdict.is_bad() && !self.was_tried(test) {
            return Some((verdict, None));
        }
        let tries = self.tries.entry(test).or_default();
        tries.ended += 1;
        tries.passed |= verdict == Verdict::Passed;
        if verdict.is_bad() {
            tries.bad += 1;
            tries.last_bad = Some((verdict, reason));
            tries.bad_at = worker;
        }
        if policy.runs > 1 {
            // Where no JVM starts, nothing can be run again.
            let is_over = tries.ended >= policy.runs || is_of(finished, &[NEVER_STARTED]);
            return is_over.then(|| tries.so_far(policy.runs)).flatten();
        }
        if verdict.is_bad() && tries.bad <= policy.retries && may_do_better(finished, ran) {
            return None;
        }
        if verdict == Verdict::Passed && tries.bad > 0 {
            let reason = format!("passed in try {} of {}", tries.ended, policy.max_retries + 1);
            return Some((Verdict::Flaky, Some(reason)));
        }
        // That a test is skipped in its second try takes nothing back.
        tries.last_bad.clone().or(Some((verdict, None)))
    }

    /// What the tries at a test came to so far, if that is bad, or if it was run as often as it should.
    pub(super) fn so_far(&self, test: usize, runs: u32) -> Option<Judgement> {
        self.tries.get(&test)?.so_far(runs)
    }
}

impl Tries {
    fn so_far(&self, runs: u32) -> Option<Judgement> {
        if runs > 1 && self.bad > 0 {
            let worst = self.last_bad.as_ref().map_or(Verdict::Failed, |(verdict, _)| *verdict);
            let verdict = if self.bad == self.ended { worst } else { Verdict::Flaky };
            return Some((verdict, Some(format!("{} of {} tries failed", self.bad, self.ended))));
        }
        if runs > 1 && self.ended >= runs {
            return Some((if self.passed { Verdict::Passed } else { Verdict::Skipped }, None));
        }
        self.last_bad.clone()
    }
}

/// Whether another try at a test may end otherwise: its own code failed, or its JVM ended while it ran. What happens
/// outside of tests is never tried again, nor is a test that was lost with worker after worker.
fn may_do_better(finished: &Finished, ran: bool) -> bool {
    match finished.outcome {
        Outcome::Failed => true,
        Outcome::Errored => {
            let deaths = [DeathCause::Died, DeathCause::OutOfMemory, DeathCause::TestTimeout, DeathCause::ClassTimeout];
            ran && is_of(finished, &deaths.map(DeathCause::kind))
        }
        Outcome::Passed | Outcome::Aborted | Outcome::Skipped => false,
    }
}

/// Whether a test was errored by one of these.
fn is_of(finished: &Finished, kinds: &[&str]) -> bool {
    finished.outcome == Outcome::Errored
        && finished.thrown.first().is_some_and(|first| kinds.contains(&first.kind.as_str()))
}
