//! The state of a run: the fold of its events over what it has to do.

use super::job::{Job, Planned, TestPlace};
use super::limits::Limits;
use super::queue::Waiting;
use super::starts::FailedStarts;
use super::tries::{Judgement, UnitState};
use super::workers::{Life, Workers};
use super::{RunInput, decide};
use crate::backend::WorkerLife;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::test::{TaskPath, TestId, Verdict};

/// What is known of a run. Changed by [`State::apply`] alone.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub(super) job: Arc<Job>,
    pub(super) started: bool,
    /// Whether the run is to end early.
    pub(super) stop: Option<Stop>,
    pub(super) finished: bool,
    /// Which coordinator of the run this is, from 1; 0 before the start.
    pub(super) epoch: u64,
    /// When this coordinator began.
    pub(super) since_ms: u64,
    pub(super) units: Vec<UnitState>,
    /// By index into [`Job::sliced`].
    pub(super) sliced: Vec<SlicedState>,
    /// Planned tests that have ended for good, and whose verdict is still to be told.
    pub(super) to_judge: BTreeMap<Planned, Judgement>,
    /// The same of tests that were reported without being planned.
    pub(super) to_tell: BTreeMap<TestId, Judgement>,
    pub(super) limits: Limits,
    pub(super) waiting: Waiting,
    pub(super) workers: Workers,
    /// Profiles of which a JVM was ready in this run.
    pub(super) proven: BTreeSet<TaskPath>,
    /// By profile.
    pub(super) failed_starts: BTreeMap<TaskPath, FailedStarts>,
    /// Verdicts of tests that were reported without being planned.
    pub(super) unplanned: BTreeMap<TestId, Verdict>,
    /// Tests by verdict, the unplanned included.
    pub(super) counts: BTreeMap<Verdict, u64>,
    /// The worst verdict of a test that is not in quarantine.
    pub(super) worst: Verdict,
    /// Planned tests without a verdict.
    pub(super) open: usize,
    /// Units at workers.
    pub(super) in_hand: usize,
    /// Units whose tests have all ended, and of which nobody saw what came after those.
    pub(super) unseen: BTreeSet<usize>,
    /// Nothing has happened since the last [`decide::Input::Settle`] that could call for anything.
    pub(super) settled: Settled,
}

/// What may have to be done since the last [`decide::Input::Settle`]. Saves asking; no part of what is known, so that it makes
/// no two states differ.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Settled {
    /// Anything.
    #[default]
    No,
    /// Nothing but telling verdicts.
    ButVerdicts,
    /// Nothing.
    Yes,
}

impl Settled {
    /// There are verdicts to tell.
    pub(super) fn verdicts(&mut self) {
        if matches!(self, Self::Yes) {
            *self = Self::ButVerdicts;
        }
    }
}

impl PartialEq for Settled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Why a run ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The user or the build wants it.
    Cancelled,
    /// It took longer than so many milliseconds, which was noticed then.
    TimedOut { limit_ms: u64, at_ms: u64 },
}

/// A test that is run in several units.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SlicedState {
    /// Slices that have not ended.
    pub(super) missing: usize,
    pub(super) judged: bool,
    /// Whether a try at one of its slices has ended, and whether one was bad.
    pub(super) has_ended: bool,
    pub(super) was_bad: bool,
    /// What the worst slice says of why, with its number.
    pub(super) told: Option<(Verdict, u32, String)>,
}

impl State {
    /// The state before the first event.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when the input contradicts itself.
    pub fn new(input: &RunInput, backend: &str) -> Result<Self> {
        let job = Arc::new(Job::new(input, backend)?);
        let units: Vec<_> = job.units.iter().map(|unit| UnitState::new(unit.tests.len())).collect();
        let counts = |(test, planned): &(&TestId, &Planned)| {
            !job.is_reused(**planned) && job.quarantine.holding(test, true).is_none()
        };
        let counting = job.tests.iter().filter(counts).count();
        let sliced = |places: &Vec<TestPlace>| SlicedState {
            missing: places.len(),
            judged: false,
            has_ended: false,
            was_bad: false,
            told: None,
        };
        let mut state = Self {
            started: false,
            stop: None,
            finished: false,
            epoch: 0,
            since_ms: 0,
            units,
            sliced: job.sliced.iter().map(sliced).collect(),
            to_judge: BTreeMap::new(),
            to_tell: BTreeMap::new(),
            limits: Limits::new(counting as u64),
            waiting: Waiting::new(&job),
            workers: Workers::new(job.profiles.len()),
            proven: BTreeSet::new(),
            failed_starts: BTreeMap::new(),
            unplanned: BTreeMap::new(),
            counts: BTreeMap::new(),
            worst: Verdict::Passed,
            open: job.tests.len(),
            in_hand: 0,
            unseen: BTreeSet::new(),
            settled: Settled::default(),
            job,
        };
        for unit in 0..state.units.len() {
            if state.job.reused(unit).is_none() {
                state.queue(unit, false);
            }
        }
        state.reuse_slices();
        Ok(state)
    }

    /// Of a test whose other slices run, a slice that passed before has its result from the beginning.
    fn reuse_slices(&mut self) {
        let job = Arc::clone(&self.job);
        for places in &job.sliced {
            let reused = |place: &&TestPlace| job.reused(place.0).is_some();
            if places.iter().any(|place| !reused(&place)) {
                places.iter().filter(reused).for_each(|place| self.close(*place, (Verdict::Reused, None)));
            }
        }
    }

    /// Decides on one input and everything that follows from it, and applies it all.
    ///
    /// Time, randomness and the outside world are in the input alone.
    pub fn step(&mut self, input: decide::Input) -> decide::Decision {
        self.step_by(input, decide::decide, Self::apply)
    }

    /// As [`State::step`], with whatever decides and applies.
    pub(super) fn step_by(
        &mut self,
        input: decide::Input,
        decide: impl Fn(&Self, decide::Input) -> decide::Decision,
        apply: impl Fn(&mut Self, &RunEvent),
    ) -> decide::Decision {
        let at_ms = input.at_ms();
        let (mut events, mut commands) = decide(self, input);
        events.iter().for_each(|event| apply(self, event));
        loop {
            let only_verdicts = match self.settled {
                Settled::Yes => return (events, commands),
                Settled::ButVerdicts => true,
                Settled::No => false,
            };
            let (more, also) = decide(self, decide::Input::Settle { at_ms });
            self.settled = if only_verdicts || more.is_empty() { Settled::Yes } else { Settled::No };
            more.iter().for_each(|event| apply(self, event));
            commands.extend(also);
            events.extend(more);
        }
    }

    /// What a test whose slices have all ended came to, with the reason if something said one: the worst of its slices.
    /// Where some passed and others were skipped, it passed.
    pub(super) fn verdict_of_slices(&self, sliced: usize) -> (Verdict, Option<String>) {
        let places = &self.job.sliced[sliced];
        let results = || places.iter().filter_map(|(unit, index)| self.units[*unit].verdicts[*index]);
        let worst = results().max().unwrap_or(Verdict::Lost);
        if !worst.is_bad() && worst != Verdict::Flaky {
            let ran = results().any(|verdict| verdict == Verdict::Passed || verdict == Verdict::Reused);
            return (if ran { Verdict::Passed } else { Verdict::Skipped }, None);
        }
        let told =
            self.sliced[sliced].told.as_ref().filter(|(verdict, ..)| *verdict == worst && worst != Verdict::Failed);
        let of = self.job.units[places[0].0].slice.map_or(0, |slice| slice.of);
        (worst, told.map(|(_, number, reason)| format!("slice {number} of {of}: {reason}")))
    }

    /// What a test in slices came to so far, if each of them was tried, and those that are to be tried again were bad.
    pub(super) fn slices_so_far(&self, sliced: usize) -> Option<Judgement> {
        let so_far = |(unit, index): &TestPlace| match self.units[*unit].verdicts[*index] {
            Some(verdict) => Some((verdict, None)),
            None => {
                let (verdict, reason) = self.units[*unit].so_far(*index, self.job.runs())?;
                let slice = self.job.units[*unit].slice?;
                Some((verdict, reason.map(|reason| format!("slice {} of {}: {reason}", slice.number, slice.of))))
            }
        };
        let all: Option<Vec<Judgement>> = self.job.sliced[sliced].iter().map(so_far).collect();
        all?.into_iter().max_by_key(|(verdict, reason)| (*verdict, reason.is_some()))
    }

    /// Whether no test waits for a verdict and no unit for its end.
    pub(super) fn is_done(&self) -> bool {
        self.open == 0 && self.in_hand == 0 && self.unseen.is_empty()
    }

    /// Tests by verdict so far.
    pub fn counts(&self) -> &BTreeMap<Verdict, u64> {
        &self.counts
    }

    /// The worst verdict that counts: a bad one, else flaky, else passed. Tests in quarantine do not count. A flaky test counts
    /// as a failed one where the user wants that, and a run that took too long is never a good one.
    pub fn verdict(&self) -> Verdict {
        let fail_on_flaky = self.job.options.retries.fail_on_flaky;
        let of_tests = match self.worst {
            Verdict::Flaky if fail_on_flaky => Verdict::Failed,
            worst if worst.is_bad() || worst == Verdict::Flaky => worst,
            _ => Verdict::Passed,
        };
        if matches!(self.stop, Some(Stop::TimedOut { .. })) { of_tests.max(Verdict::Errored) } else { of_tests }
    }

    /// Whether the user or the build wanted the end.
    pub fn is_cancelled(&self) -> bool {
        self.stop == Some(Stop::Cancelled)
    }

    /// Which coordinator of the run this is, from 1; 0 before the start.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The present life of a worker, unless that is over. What another life says is to be refused: it was given up.
    pub fn life(&self, worker: u32) -> Option<u32> {
        self.workers.get(worker).filter(|worker| worker.life != Life::Ended).map(|worker| worker.starts)
    }

    /// The lives that may still come back to a run that goes on, with what they have in hand. They are not started: whoever
    /// connects agents expects them.
    pub fn returning(&self) -> Vec<WorkerLife> {
        let away = self.workers.live().filter(|(_, worker)| worker.life == Life::Away);
        away.map(|(number, worker)| WorkerLife { worker: number, life: worker.starts }).collect()
    }

    /// Whether the run is over.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
}
