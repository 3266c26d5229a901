//! The state of a run: the fold of its events over what it has to do.

use super::job::Job;
use super::queue::{Ticket, Waiting};
use super::{RunInput, decide};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use testfleet_protocol::event::{Attempt, RunEvent};
use testfleet_protocol::test::{TaskPath, TestId, TestName, Verdict};
use testfleet_protocol::{FailureCode, Result};

/// How often a worker is started under one number: once, and again after each of three losses.
pub(super) const STARTS_PER_WORKER: u32 = 4;

/// What is known of a run. Changed by [`State::apply`] alone.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub(super) job: Arc<Job>,
    pub(super) started: bool,
    pub(super) cancelled: bool,
    pub(super) finished: bool,
    pub(super) units: Vec<UnitState>,
    pub(super) waiting: Waiting,
    pub(super) workers: BTreeMap<u32, WorkerState>,
    /// Profiles of which a JVM was ready in this run.
    pub(super) proven: BTreeSet<TaskPath>,
    /// Verdicts of tests that were reported without being planned.
    pub(super) unplanned: BTreeMap<TestId, Verdict>,
    /// Tests by verdict, the unplanned included.
    pub(super) counts: BTreeMap<Verdict, u64>,
    /// Planned tests without a verdict.
    pub(super) open: usize,
    /// Units at workers.
    pub(super) in_hand: usize,
}

/// A unit of the job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UnitState {
    /// The latest try; 0 before the first.
    pub(super) attempt: Attempt,
    /// How often in a row a JVM or worker died with it before any of its tests had a result.
    pub(super) silent_deaths: u32,
    /// While it waits.
    ticket: Option<Ticket>,
    /// One for each planned test.
    pub(super) verdicts: Vec<Option<Verdict>>,
}

impl UnitState {
    /// Indexes of the tests without a verdict.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> + '_ {
        self.verdicts.iter().enumerate().filter(|(_, verdict)| verdict.is_none()).map(|(index, _)| index)
    }
}

/// Where a worker's life stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Asked for; its agent has not spoken yet.
    Asked,
    /// Takes units.
    Ready,
    /// Gone.
    Ended,
}

/// A worker.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WorkerState {
    pub(super) life: Life,
    /// How often it was started.
    pub(super) starts: u32,
    /// Whether another start can't help.
    pub(super) hopeless: bool,
    /// Why it ended when it should not have.
    pub(super) failure: Option<String>,
    /// Index of the profile of its JVM, or of the last one in its hands.
    pub(super) profile: Option<usize>,
    /// Process id of its JVM.
    pub(super) jvm: Option<u32>,
    /// What was given to it and has not come back; the first is what runs.
    pub(super) hand: VecDeque<Held>,
}

/// A unit in a worker's hands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub(super) unit: usize,
    pub(super) attempt: Attempt,
    /// How many tests it was given with.
    pub(super) given: usize,
    /// Started and not ended, with the time of the start.
    pub(super) running: BTreeMap<TestName, u64>,
    /// Invocations that ended.
    pub(super) invocations: BTreeSet<(TestName, String)>,
}

impl State {
    /// The state before the first event.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when the input contradicts itself.
    pub fn new(input: &RunInput, backend: &str) -> Result<Self> {
        let job = Arc::new(Job::new(input, backend)?);
        let mut waiting = Waiting::new(job.profiles.len(), job.fixed);
        let mut units = Vec::with_capacity(job.units.len());
        for (index, unit) in job.units.iter().enumerate() {
            let ticket =
                (!unit.tests.is_empty()).then(|| waiting.push(job.profile_of[index], index, unit.estimate_ms, false));
            units.push(UnitState { attempt: 0, silent_deaths: 0, ticket, verdicts: vec![None; unit.tests.len()] });
        }
        let open = job.tests.len();
        Ok(Self {
            job,
            started: false,
            cancelled: false,
            finished: false,
            units,
            waiting,
            workers: BTreeMap::new(),
            proven: BTreeSet::new(),
            unplanned: BTreeMap::new(),
            counts: BTreeMap::new(),
            open,
            in_hand: 0,
        })
    }

    /// Decides on one input and everything that follows from it, and applies it all.
    ///
    /// Time, randomness and the outside world are in the input alone.
    pub fn step(&mut self, input: decide::Input) -> (Vec<RunEvent>, Vec<decide::Command>) {
        let at_ms = input.at_ms();
        let (mut events, mut commands) = decide::decide(self, input);
        events.iter().for_each(|event| self.apply(event));
        loop {
            let (more, also) = decide::decide(self, decide::Input::Settle { at_ms });
            more.iter().for_each(|event| self.apply(event));
            commands.extend(also);
            if more.is_empty() {
                return (events, commands);
            }
            events.extend(more);
        }
    }

    /// Takes in one event. Events that name what the run does not know change nothing.
    pub fn apply(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RunStarted { .. } => self.started = true,
            RunEvent::WorkerStarted { worker, .. } => self.worker_started(*worker),
            RunEvent::WorkerReady { worker, .. } => {
                self.worker(*worker, |worker| worker.life = Life::Ready);
            }
            RunEvent::WorkerEnded { worker, failure, .. } => self.worker(*worker, |worker| {
                worker.life = Life::Ended;
                worker.jvm = None;
                worker.profile = None;
                worker.failure = failure.as_ref().map(|failure| failure.message.clone());
                worker.hopeless |= failure.as_ref().is_some_and(|failure| failure.code == FailureCode::ProtocolVersion);
            }),
            RunEvent::JvmStarted { worker, task, pid, .. } => {
                self.proven.insert(task.clone());
                self.worker(*worker, |worker| worker.jvm = Some(*pid));
            }
            RunEvent::JvmDied { worker, .. } => self.worker(*worker, |worker| worker.jvm = None),
            RunEvent::UnitAssigned { unit, worker, attempt, .. } => {
                if let Some(&unit) = self.job.unit_index.get(unit) {
                    self.assigned(unit, *worker, *attempt);
                }
            }
            RunEvent::TestStarted { test, unit, worker, at_ms, .. } => {
                if let Some(held) = self.held_mut(*worker, unit) {
                    held.running.insert(test.name.clone(), *at_ms);
                }
            }
            RunEvent::InvocationFinished { test, worker, attempt, invocation, .. } => {
                let place = self.job.tests.get(test).copied();
                self.worker(*worker, |worker| {
                    let of_unit = |held: &&mut Held| place.is_none_or(|(unit, _)| unit == held.unit);
                    if let Some(held) = worker.hand.iter_mut().filter(|held| held.attempt == *attempt).find(of_unit) {
                        held.invocations.insert((test.name.clone(), invocation.id.clone()));
                    }
                });
            }
            RunEvent::TestFinished { test, worker, .. } => self.test_finished(test, *worker),
            RunEvent::TestVerdict { test, verdict, .. } => self.judged(test, *verdict),
            RunEvent::UnitFinished { unit, worker, handed_back, .. } => {
                if let Some(&unit) = self.job.unit_index.get(unit) {
                    self.unit_finished(unit, *worker, handed_back.len());
                }
            }
            RunEvent::CancelRequested { .. } => self.cancelled = true,
            RunEvent::RunFinished { .. } => self.finished = true,
            RunEvent::Output { .. } => {}
        }
    }

    fn worker(&mut self, number: u32, change: impl FnOnce(&mut WorkerState)) {
        if let Some(worker) = self.workers.get_mut(&number) {
            change(worker);
        }
    }

    fn worker_started(&mut self, number: u32) {
        let worker = self.workers.entry(number).or_insert_with(|| WorkerState {
            life: Life::Asked,
            starts: 0,
            hopeless: false,
            failure: None,
            profile: None,
            jvm: None,
            hand: VecDeque::new(),
        });
        worker.life = Life::Asked;
        worker.starts += 1;
    }

    fn assigned(&mut self, unit: usize, number: u32, attempt: Attempt) {
        let profile = self.job.profile_of[unit];
        let state = &mut self.units[unit];
        if let Some(ticket) = state.ticket.take() {
            self.waiting.remove(profile, &ticket);
        }
        state.attempt = attempt;
        let given = state.open().count();
        if let Some(worker) = self.workers.get_mut(&number) {
            let held = Held { unit, attempt, given, running: BTreeMap::new(), invocations: BTreeSet::new() };
            worker.hand.push_back(held);
            worker.profile = Some(profile);
            self.in_hand += 1;
        }
    }

    fn test_finished(&mut self, test: &TestId, worker: Option<u32>) {
        let Some(worker) = worker.and_then(|worker| self.workers.get_mut(&worker)) else { return };
        let place = self.job.tests.get(test).copied();
        for held in &mut worker.hand {
            if place.is_none_or(|(unit, _)| unit == held.unit) && self.job.units[held.unit].task == test.task {
                held.running.remove(&test.name);
            }
        }
    }

    fn judged(&mut self, test: &TestId, verdict: Verdict) {
        match self.job.tests.get(test).copied() {
            Some((unit, index)) => {
                let state = &mut self.units[unit];
                if state.verdicts[index].replace(verdict).is_some() {
                    return;
                }
                self.open -= 1;
                if state.open().next().is_none()
                    && let Some(ticket) = state.ticket.take()
                {
                    self.waiting.remove(self.job.profile_of[unit], &ticket);
                }
            }
            None => {
                if self.unplanned.insert(test.clone(), verdict).is_some() {
                    return;
                }
            }
        }
        *self.counts.entry(verdict).or_default() += 1;
    }

    fn unit_finished(&mut self, unit: usize, number: u32, handed_back: usize) {
        let Some(worker) = self.workers.get_mut(&number) else { return };
        let Some(index) = worker.hand.iter().position(|held| held.unit == unit) else { return };
        let Some(held) = worker.hand.remove(index) else { return };
        self.in_hand -= 1;
        let state = &mut self.units[unit];
        if index == 0 {
            // What waited behind another unit is not to blame for a death.
            state.silent_deaths = if handed_back == held.given { state.silent_deaths + 1 } else { 0 };
        }
        if handed_back > 0 {
            let planned = &self.job.units[unit];
            let share = planned.estimate_ms.saturating_mul(handed_back as u64) / planned.tests.len().max(1) as u64;
            state.ticket = Some(self.waiting.push(self.job.profile_of[unit], unit, share, true));
        }
    }

    fn held_mut(&mut self, worker: u32, unit: &testfleet_protocol::plan::UnitId) -> Option<&mut Held> {
        let unit = *self.job.unit_index.get(unit)?;
        self.workers.get_mut(&worker)?.hand.iter_mut().find(|held| held.unit == unit)
    }

    /// Whether no test waits for a verdict and no unit for its end.
    pub(super) fn is_done(&self) -> bool {
        self.open == 0 && self.in_hand == 0
    }

    /// Workers that have not ended.
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, &WorkerState)> {
        self.workers.iter().filter(|(_, worker)| worker.life != Life::Ended).map(|(number, worker)| (*number, worker))
    }

    /// Tests by verdict so far.
    pub fn counts(&self) -> &BTreeMap<Verdict, u64> {
        &self.counts
    }

    /// The worst verdict that counts: a bad one, else flaky, else passed.
    pub fn verdict(&self) -> Verdict {
        let worst = self.counts.keys().next_back().copied().unwrap_or(Verdict::Passed);
        if worst.is_bad() || worst == Verdict::Flaky { worst } else { Verdict::Passed }
    }

    /// Whether the run is over.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
}
