//! The state of a run: the fold of its events over what it has to do.

use super::job::{Job, Planned, TestPlace};
use super::queue::Waiting;
use super::workers::{Held, Life, Workers};
use super::{RunInput, decide};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use testfleet_protocol::event::{Attempt, RunEvent};
use testfleet_protocol::test::{TaskPath, TestId, Verdict};
use testfleet_protocol::{FailureCode, Result};

/// What is known of a run. Changed by [`State::apply`] alone.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub(super) job: Arc<Job>,
    pub(super) started: bool,
    pub(super) cancelled: bool,
    pub(super) finished: bool,
    pub(super) units: Vec<UnitState>,
    /// By index into [`Job::sliced`].
    pub(super) sliced: Vec<SlicedState>,
    /// Those whose slices have all ended and that have no verdict yet.
    pub(super) ended_slices: BTreeSet<usize>,
    pub(super) waiting: Waiting,
    pub(super) workers: Workers,
    /// Profiles of which a JVM was ready in this run.
    pub(super) proven: BTreeSet<TaskPath>,
    /// Verdicts of tests that were reported without being planned.
    pub(super) unplanned: BTreeMap<TestId, Verdict>,
    /// Tests by verdict, the unplanned included.
    pub(super) counts: BTreeMap<Verdict, u64>,
    /// The worst verdict of a test that is not in quarantine.
    worst: Verdict,
    /// Planned tests without a verdict.
    pub(super) open: usize,
    /// Units at workers.
    pub(super) in_hand: usize,
    /// Nothing has happened since the last [`decide::Input::Settle`] that could call for anything.
    pub(super) settled: Settled,
}

/// Saves asking again; no part of what is known, so that it makes no two states differ.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settled(pub(super) bool);

impl PartialEq for Settled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A unit of the job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UnitState {
    /// The latest try; 0 before the first.
    pub(super) attempt: Attempt,
    /// How often in a row a JVM or worker died with it before any of its tests had a result.
    pub(super) silent_deaths: u32,
    /// One for each planned test: its verdict, or what its slice came to.
    pub(super) verdicts: Vec<Option<Verdict>>,
    /// How many of them are missing.
    pub(super) missing: usize,
}

impl UnitState {
    /// Indexes of the tests without a verdict.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> + '_ {
        self.verdicts.iter().enumerate().filter(|(_, verdict)| verdict.is_none()).map(|(index, _)| index)
    }
}

/// A test that is run in several units.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SlicedState {
    /// Slices that have not ended.
    missing: usize,
    judged: bool,
    /// What the worst slice says of why, with its number.
    told: Option<(Verdict, u32, String)>,
}

impl State {
    /// The state before the first event.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when the input contradicts itself.
    pub fn new(input: &RunInput, backend: &str) -> Result<Self> {
        let job = Arc::new(Job::new(input, backend)?);
        let mut waiting = Waiting::new(&job);
        let mut units = Vec::with_capacity(job.units.len());
        for (index, unit) in job.units.iter().enumerate() {
            if !unit.tests.is_empty() && job.reused(index).is_none() {
                waiting.push(index, unit.estimate_ms, false);
            }
            let missing = unit.tests.len();
            units.push(UnitState { attempt: 0, silent_deaths: 0, verdicts: vec![None; missing], missing });
        }
        let sliced = |places: &Vec<TestPlace>| SlicedState { missing: places.len(), judged: false, told: None };
        let mut state = Self {
            started: false,
            cancelled: false,
            finished: false,
            units,
            sliced: job.sliced.iter().map(sliced).collect(),
            ended_slices: BTreeSet::new(),
            waiting,
            workers: Workers::new(job.profiles.len()),
            proven: BTreeSet::new(),
            unplanned: BTreeMap::new(),
            counts: BTreeMap::new(),
            worst: Verdict::Passed,
            open: job.tests.len(),
            in_hand: 0,
            settled: Settled::default(),
            job,
        };
        state.reuse_slices();
        Ok(state)
    }

    /// Of a test whose other slices run, a slice that passed before has its result from the beginning.
    fn reuse_slices(&mut self) {
        let job = Arc::clone(&self.job);
        for places in &job.sliced {
            let reused = |place: &&TestPlace| job.reused(place.0).is_some();
            if places.iter().any(|place| !reused(&place)) {
                places.iter().filter(reused).for_each(|place| self.close(*place, Verdict::Reused, None));
            }
        }
    }

    /// Decides on one input and everything that follows from it, and applies it all.
    ///
    /// Time, randomness and the outside world are in the input alone.
    pub fn step(&mut self, input: decide::Input) -> (Vec<RunEvent>, Vec<decide::Command>) {
        let at_ms = input.at_ms();
        let (mut events, mut commands) = decide::decide(self, input);
        events.iter().for_each(|event| self.apply(event));
        while !self.settled.0 {
            let (more, also) = decide::decide(self, decide::Input::Settle { at_ms });
            self.settled.0 = more.is_empty();
            more.iter().for_each(|event| self.apply(event));
            commands.extend(also);
            events.extend(more);
        }
        (events, commands)
    }

    /// Takes in one event. Events that name what the run does not know change nothing.
    pub fn apply(&mut self, event: &RunEvent) {
        match event {
            // What happens while a unit runs calls for nothing.
            RunEvent::TestStarted { test, unit, worker, at_ms, .. } => {
                if let Some(held) = self.held_mut(*worker, unit) {
                    held.running.insert(test.name.clone(), *at_ms);
                }
                return;
            }
            RunEvent::InvocationFinished { test, worker, attempt, slice, invocation, .. } => {
                let place = self.job.place(test, *slice);
                let of_unit = |held: &&mut Held| place.is_none_or(|(unit, _)| unit == held.unit);
                let mut hand = self.workers.hand_mut(*worker).filter(|held| held.attempt == *attempt);
                if let Some(held) = hand.find(of_unit) {
                    held.invocations.insert((test.name.clone(), invocation.id.clone()));
                }
                return;
            }
            RunEvent::TestFinished { test, worker, slice, finished, .. } => {
                return self.test_finished(test, *worker, *slice, finished.outcome.into(), finished.reason.as_deref());
            }
            RunEvent::SliceLost { test, slice, reason } => {
                if let Some(place) = self.job.place(test, Some(*slice)) {
                    self.close(place, Verdict::Lost, Some(reason));
                }
                return;
            }
            RunEvent::TestVerdict { test, verdict, .. } => return self.judged(test, *verdict),
            RunEvent::Output { .. }
            | RunEvent::LeaseRenewed { .. }
            | RunEvent::RunResumed { .. }
            | RunEvent::FileStored { .. } => return,
            RunEvent::RunStarted { .. } => self.started = true,
            RunEvent::WorkerStarted { worker, .. } => self.workers.started(*worker),
            RunEvent::WorkerReady { worker, .. } => self.workers.change(*worker, |worker| worker.life = Life::Ready),
            RunEvent::WorkerEnded { worker, failure, .. } => {
                self.workers.change(*worker, |worker| {
                    worker.life = Life::Ended;
                    worker.jvm = None;
                    worker.profile = None;
                    worker.failure = failure.as_ref().map(|failure| failure.message.clone());
                    worker.hopeless |=
                        failure.as_ref().is_some_and(|failure| failure.code == FailureCode::ProtocolVersion);
                });
                self.waiting.worker_gone(*worker);
            }
            RunEvent::JvmStarted { worker, task, pid, .. } => {
                self.proven.insert(task.clone());
                self.workers.change(*worker, |worker| worker.jvm = Some(*pid));
            }
            RunEvent::JvmDied { worker, .. } => self.workers.change(*worker, |worker| worker.jvm = None),
            RunEvent::UnitAssigned { unit, worker, attempt, .. } => {
                if let Some(&unit) = self.job.unit_index.get(unit) {
                    self.assigned(unit, *worker, *attempt);
                }
            }
            RunEvent::UnitFinished { unit, worker, handed_back, .. } => {
                if let Some(&unit) = self.job.unit_index.get(unit) {
                    self.unit_finished(unit, *worker, handed_back.len());
                }
            }
            RunEvent::CancelRequested { .. } => self.cancelled = true,
            RunEvent::RunFinished { .. } => self.finished = true,
        }
        self.settled.0 = false;
    }

    fn assigned(&mut self, unit: usize, number: u32, attempt: Attempt) {
        let state = &mut self.units[unit];
        state.attempt = attempt;
        let held = Held {
            unit,
            attempt,
            given: state.missing,
            estimate_ms: self.job.units[unit].estimate_ms,
            bound: self.job.chain_of[unit].is_some(),
            running: BTreeMap::new(),
            invocations: BTreeSet::new(),
        };
        let profile = self.job.profile_of[unit];
        if self.workers.known(number) {
            self.waiting.given(unit, number);
            self.workers.change(number, |worker| {
                worker.hand.push_back(held);
                worker.profile = Some(profile);
            });
            self.in_hand += 1;
        }
    }

    fn test_finished(
        &mut self,
        test: &TestId,
        worker: Option<u32>,
        slice: Option<u32>,
        verdict: Verdict,
        reason: Option<&str>,
    ) {
        let place = self.job.place(test, slice);
        if let Some(worker) = worker {
            for held in self.workers.hand_mut(worker) {
                if place.is_none_or(|(unit, _)| unit == held.unit) && self.job.units[held.unit].task == test.task {
                    held.running.remove(&test.name);
                }
            }
        }
        if let Some(place) = place.filter(|_| slice.is_some()) {
            self.close(place, verdict, reason);
        }
    }

    /// Nothing more is awaited of this test, or slice, in its unit.
    fn close(&mut self, (unit, index): TestPlace, verdict: Verdict, reason: Option<&str>) {
        let state = &mut self.units[unit];
        if state.verdicts[index].is_some() {
            return;
        }
        state.verdicts[index] = Some(verdict);
        state.missing -= 1;
        if state.missing == 0 && self.waiting.holds(unit) {
            self.waiting.remove(unit);
            self.settled.0 = false;
        }
        let Some(number) = self.job.slice_of(unit) else { return };
        let Some(Planned::Sliced(sliced)) = self.job.tests.get(&self.job.test_id((unit, index))).copied() else {
            return;
        };
        let known = &mut self.sliced[sliced];
        known.missing -= 1;
        if known.told.as_ref().is_none_or(|(worst, ..)| verdict > *worst) {
            known.told = reason.map(|reason| (verdict, number, reason.to_owned())).or(known.told.take());
        }
        if known.missing == 0 && !known.judged {
            self.ended_slices.insert(sliced);
            self.settled.0 = false;
        }
    }

    fn judged(&mut self, test: &TestId, verdict: Verdict) {
        let planned = self.job.tests.get(test).copied();
        match planned {
            Some(Planned::Whole((unit, index))) => {
                if self.units[unit].verdicts[index].is_some() {
                    return;
                }
                self.close((unit, index), verdict, None);
                self.open -= 1;
            }
            Some(Planned::Sliced(sliced)) => {
                if std::mem::replace(&mut self.sliced[sliced].judged, true) {
                    return;
                }
                let job = Arc::clone(&self.job);
                job.sliced[sliced].iter().for_each(|place| self.close(*place, verdict, None));
                self.ended_slices.remove(&sliced);
                self.open -= 1;
            }
            None => {
                if self.unplanned.insert(test.clone(), verdict).is_some() {
                    return;
                }
            }
        }
        if self.job.quarantine.holding(test, planned.is_some()).is_none() {
            self.worst = self.worst.max(verdict);
        }
        if self.open == 0 {
            self.settled.0 = false;
        }
        *self.counts.entry(verdict).or_default() += 1;
    }

    fn unit_finished(&mut self, unit: usize, number: u32, handed_back: usize) {
        let Some((index, held)) = self.workers.take_back(number, unit) else { return };
        self.in_hand -= 1;
        let state = &mut self.units[unit];
        if index == 0 {
            // What waited behind another unit is not to blame for a death.
            state.silent_deaths = if handed_back == held.given { state.silent_deaths + 1 } else { 0 };
        }
        if handed_back > 0 {
            let planned = &self.job.units[unit];
            let share = planned.estimate_ms.saturating_mul(handed_back as u64) / planned.tests.len().max(1) as u64;
            self.waiting.push(unit, share, true);
        }
        self.waiting.came_back(unit);
    }

    fn held_mut(&mut self, worker: u32, unit: &testfleet_protocol::plan::UnitId) -> Option<&mut Held> {
        let unit = *self.job.unit_index.get(unit)?;
        self.workers.hand_mut(worker).find(|held| held.unit == unit)
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

    /// Whether no test waits for a verdict and no unit for its end.
    pub(super) fn is_done(&self) -> bool {
        self.open == 0 && self.in_hand == 0
    }

    /// Tests by verdict so far.
    pub fn counts(&self) -> &BTreeMap<Verdict, u64> {
        &self.counts
    }

    /// The worst verdict that counts: a bad one, else flaky, else passed. Tests in quarantine do not count.
    pub fn verdict(&self) -> Verdict {
        if self.worst.is_bad() || self.worst == Verdict::Flaky { self.worst } else { Verdict::Passed }
    }

    /// Whether the run is over.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
}
