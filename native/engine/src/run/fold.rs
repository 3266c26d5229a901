//! What each event changes.

use super::job::{OUTSIDE_OF_TESTS, Planned, TestPlace};
use super::state::{Settled, State, Stop};
use super::tries::{Judgement, LOSSES_UNTIL_ALONE, Policy};
use super::workers::{Held, Life};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use testfleet_protocol::event::{Attempt, RunEvent};
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::test::{Finished, Outcome, TestId, Verdict};
use testfleet_protocol::{Failure, FailureCode};

impl State {
    /// Takes in one event. Events that name what the run does not know change nothing.
    pub fn apply(&mut self, event: &RunEvent) {
        match event {
            // What happens while a unit runs calls for nothing.
            RunEvent::TestStarted { test, unit, worker, at_ms, .. } => {
                self.workers.heard(*worker, *at_ms);
                if let Some(held) = self.held_mut(*worker, unit) {
                    held.running.insert(test.name.clone(), *at_ms);
                }
                return;
            }
            RunEvent::ClassFailed { unit, worker, class, thrown, .. } => {
                if let Some(held) = self.held_mut(*worker, unit) {
                    held.failures.entry(class.clone()).or_default().push(thrown.clone());
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
                return self.test_finished(test, *worker, *slice, finished);
            }
            RunEvent::SliceLost { test, slice, reason } => {
                if let Some(place) = self.job.place(test, Some(*slice)) {
                    self.first_end(place, true);
                    self.close(place, (Verdict::Lost, Some(reason.clone())));
                }
                return;
            }
            RunEvent::TestVerdict { test, verdict, .. } => return self.judged(test, *verdict),
            RunEvent::LeaseRenewed { worker, at_ms } => return self.workers.heard(*worker, *at_ms),
            RunEvent::Output { .. }
            | RunEvent::FileStored { .. }
            | RunEvent::WorkerUsed { .. }
            | RunEvent::RunAborted { .. } => return,
            RunEvent::RunStarted { at_ms, .. } => {
                self.started = true;
                self.epoch = 1;
                self.since_ms = *at_ms;
            }
            RunEvent::RunResumed { epoch, at_ms } => self.resumed(*epoch, *at_ms),
            RunEvent::WorkerStarted { worker, at_ms, .. } => self.workers.started(*worker, *at_ms),
            RunEvent::WorkerReady { worker, at_ms, .. } => {
                self.workers.heard(*worker, *at_ms);
                self.workers.change(*worker, |worker| {
                    worker.life = Life::Ready;
                    worker.was_ready = true;
                    worker.hand.iter_mut().for_each(|held| held.confirmed = false);
                });
            }
            RunEvent::WorkerLeaving { worker, reason, at_ms } => {
                self.workers.heard(*worker, *at_ms);
                self.workers.change(*worker, |worker| worker.leaving = Some(reason.clone()));
                self.waiting.worker_gone(*worker);
            }
            RunEvent::WorkerEnded { worker, failure, at_ms } => self.worker_ended(*worker, failure.as_ref(), *at_ms),
            RunEvent::JvmStarted { worker, task, pid, at_ms } => {
                self.workers.heard(*worker, *at_ms);
                self.proven.insert(task.clone());
                self.workers.change(*worker, |worker| {
                    worker.jvm = Some(*pid);
                    worker.jvm_died = false;
                    worker.failed_starts = 0;
                });
            }
            RunEvent::JvmDied { worker, never_ready, at_ms, .. } => {
                self.workers.heard(*worker, *at_ms);
                self.workers.change(*worker, |worker| {
                    worker.jvm = None;
                    worker.jvm_died = never_ready.is_none();
                });
                if let Some(task) = never_ready {
                    self.start_failed(*worker, task);
                }
            }
            RunEvent::ProfileGivenUp { task, .. } => self.profile_given_up(task),
            RunEvent::UnitAssigned { unit, worker, attempt, .. } => {
                if let Some(&unit) = self.job.unit_index.get(unit) {
                    self.assigned(unit, *worker, *attempt);
                }
            }
            RunEvent::UnitFinished { unit, worker, unseen, at_ms, .. } => {
                self.workers.heard(*worker, *at_ms);
                if let Some(&unit) = self.job.unit_index.get(unit) {
                    self.unit_finished(unit, *worker, *unseen);
                }
            }
            RunEvent::CancelRequested { .. } => self.stop = self.stop.or(Some(Stop::Cancelled)),
            RunEvent::RunTimedOut { limit_ms, at_ms } => {
                self.stop = self.stop.or(Some(Stop::TimedOut { limit_ms: *limit_ms, at_ms: *at_ms }));
            }
            RunEvent::CoordinatorSlept { late_ms, .. } => self.since_ms += late_ms,
            RunEvent::RunFinished { .. } => self.finished = true,
        }
        self.settled = Settled::No;
    }

    /// Whoever was there may come back; what they missed is not their fault.
    fn resumed(&mut self, epoch: u64, at_ms: u64) {
        self.epoch = epoch;
        self.since_ms = at_ms;
        self.stop = None;
        let all: Vec<_> = self.workers.all().map(|(number, _)| number).collect();
        for number in all {
            self.workers.heard(number, at_ms);
            self.workers.change(number, |worker| {
                if worker.life != Life::Ended {
                    worker.life = Life::Away;
                }
                worker.fruitless = 0;
                worker.hopeless = false;
            });
        }
    }

    fn worker_ended(&mut self, number: u32, failure: Option<&Failure>, at_ms: u64) {
        self.workers.change(number, |worker| {
            worker.life = Life::Ended;
            worker.ended_ms = at_ms;
            worker.jvm = None;
            worker.jvm_died = false;
            worker.profile = None;
            worker.failure = failure
                .map(|failure| {
                    std::iter::once(&failure.message).chain(&failure.causes).cloned().collect::<Vec<_>>().join(": ")
                })
                .or(worker.leaving.take());
            worker.lost = failure.is_some();
            worker.hopeless |= failure.is_some_and(|failure| failure.code == FailureCode::ProtocolVersion);
        });
        self.waiting.worker_gone(number);
    }

    fn assigned(&mut self, unit: usize, number: u32, attempt: Attempt) {
        if !self.workers.known(number) {
            return;
        }
        if let Some(held) = self.workers.hand_mut(number).find(|held| held.unit == unit && held.attempt == attempt) {
            held.confirmed = true;
            return;
        }
        let state = &mut self.units[unit];
        let due = state.due(self.job.runs());
        let closing = self.unseen.remove(&unit);
        state.attempt = attempt;
        state.holder = Some(number);
        let held = Held {
            unit,
            attempt,
            given: due.tests.len(),
            due: due.tests.into_iter().collect(),
            solo: due.solo,
            confirmed: true,
            estimate_ms: self.job.units[unit].estimate_ms,
            bound: self.job.chain_of[unit].is_some(),
            running: BTreeMap::new(),
            invocations: BTreeSet::new(),
            failures: BTreeMap::new(),
            closing,
        };
        let profile = self.job.profile_of[unit];
        self.waiting.given(unit, number);
        self.workers.change(number, |worker| {
            worker.hand.push_back(held);
            worker.profile = Some(profile);
        });
        self.in_hand += 1;
    }

    fn test_finished(&mut self, test: &TestId, worker: Option<u32>, slice: Option<u32>, finished: &Finished) {
        let place = self.job.place(test, slice);
        let mut ran = false;
        if let Some(number) = worker {
            for held in self.workers.hand_mut(number) {
                if place.is_none_or(|(unit, _)| unit == held.unit) && self.job.units[held.unit].task == test.task {
                    ran |= held.running.remove(&test.name).is_some();
                    if let Some((_, index)) = place {
                        held.due.remove(&index);
                    }
                }
            }
            // That it was lost says something of the test, not of the worker.
            let lost_with = ran && self.workers.get(number).is_some_and(|known| known.life == Life::Ended);
            if lost_with {
                self.workers.not_in_vain(number);
            }
            if finished.outcome != Outcome::Errored && self.workers.get(number).is_some_and(|known| known.fruitless > 0)
            {
                self.workers.change(number, |worker| worker.fruitless = 0);
            }
        }
        let verdict = Verdict::from(finished.outcome);
        let Some(place) = place else {
            if !self.unplanned.contains_key(test) {
                let reason = finished.reason.clone().filter(|_| finished.outcome == Outcome::Errored);
                self.to_tell.insert(test.clone(), (verdict, reason));
                self.settled.verdicts();
            }
            return;
        };
        let (unit, index) = place;
        self.units[unit].last = index;
        if self.units[unit].verdicts[index].is_some() {
            return;
        }
        self.first_end(place, verdict.is_bad());
        let policy = self.policy();
        if let Some(judgement) = self.units[unit].ended(index, finished, worker, ran, policy) {
            self.close(place, judgement);
        }
    }

    /// Which tries are followed by another, as things stand.
    pub(super) fn policy(&self) -> Policy {
        let max_retries = self.job.max_retries();
        Policy { retries: if self.limits.over { 0 } else { max_retries }, max_retries, runs: self.job.runs() }
    }

    /// A try at a test ended, or it was given up. The first end of each test, and its first bad one, count for the limits.
    fn first_end(&mut self, place: TestPlace, bad: bool) {
        if self.job.max_retries() == 0 {
            return;
        }
        let id = self.job.test_id(place);
        let (ended, bad) = match self.job.tests.get(&id) {
            Some(Planned::Sliced(sliced)) => {
                let known = &mut self.sliced[*sliced];
                let first = !std::mem::replace(&mut known.has_ended, true);
                let first_bad = bad && !std::mem::replace(&mut known.was_bad, true);
                (u64::from(first), u64::from(first_bad))
            }
            _ => {
                let unit = &self.units[place.0];
                if unit.verdicts[place.1].is_some() {
                    return;
                }
                (u64::from(!unit.was_tried(place.1)), u64::from(bad && unit.bad_tries(place.1) == 0))
            }
        };
        if self.job.quarantine.holding(&id, true).is_some() {
            return;
        }
        if self.limits.count(ended, bad, &self.job.options.retries) {
            self.no_more_retries();
        }
    }

    /// What waits for another try gets its verdict. Tries that run are still waited for.
    fn no_more_retries(&mut self) {
        (0..self.units.len()).for_each(|unit| self.no_more_retries_of(unit));
    }

    fn no_more_retries_of(&mut self, index: usize) {
        let unit = &self.units[index];
        if unit.tries.is_empty() {
            return;
        }
        let held = unit.holder.and_then(|worker| self.workers.get(worker));
        let held = held.and_then(|worker| worker.hand.iter().find(|held| held.unit == index));
        let runs = |test: &usize| held.is_some_and(|held| held.due.contains(test));
        let waiting = unit.open().filter(|test| unit.bad_tries(*test) > 0 && !runs(test));
        let over: Vec<_> = waiting.filter_map(|test| Some((test, unit.so_far(test, 1)?))).collect();
        over.into_iter().for_each(|(test, judgement)| self.close((index, test), judgement));
    }

    /// Nothing more is awaited of this test, or slice, in its unit.
    pub(super) fn close(&mut self, (unit, index): TestPlace, (verdict, reason): Judgement) {
        let state = &mut self.units[unit];
        if state.verdicts[index].is_some() {
            return;
        }
        state.verdicts[index] = Some(verdict);
        state.missing -= 1;
        self.settled.verdicts();
        if state.missing == 0 && self.waiting.holds(unit) {
            self.waiting.remove(unit);
            self.settled = Settled::No;
        } else if self.waiting.later.holds(unit) {
            // Another of its tests is due now, which may be bad elsewhere or nowhere.
            let avoid = state.avoid(&state.due(self.job.runs()));
            self.waiting.later.push(unit, avoid);
            self.settled = Settled::No;
        }
        let Some(planned) = self.job.tests.get(&self.job.test_id((unit, index))).copied() else { return };
        let Planned::Sliced(sliced) = planned else {
            self.to_judge.insert(planned, (verdict, reason));
            return;
        };
        let number = self.job.slice_of(unit).unwrap_or(0);
        let known = &mut self.sliced[sliced];
        known.missing -= 1;
        if known.told.as_ref().is_none_or(|(worst, ..)| verdict > *worst) {
            known.told = reason.map(|reason| (verdict, number, reason)).or(known.told.take());
        }
        if known.missing == 0 && !known.judged {
            let judgement = self.verdict_of_slices(sliced);
            self.to_judge.insert(planned, judgement);
        }
    }

    fn judged(&mut self, test: &TestId, verdict: Verdict) {
        let planned = self.job.tests.get(test).copied();
        match planned {
            Some(Planned::Whole(place)) => {
                let was_closed = self.units[place.0].verdicts[place.1].is_some();
                if !was_closed && self.job.reused(place.0).is_none() {
                    self.first_end(place, verdict.is_bad());
                }
                self.close(place, (verdict, None));
                if self.to_judge.remove(&Planned::Whole(place)).is_none() {
                    return;
                }
                self.open -= 1;
            }
            Some(Planned::Sliced(sliced)) => {
                if std::mem::replace(&mut self.sliced[sliced].judged, true) {
                    return;
                }
                let job = Arc::clone(&self.job);
                job.sliced[sliced].iter().for_each(|place| self.close(*place, (verdict, None)));
                self.to_judge.remove(&Planned::Sliced(sliced));
                self.open -= 1;
            }
            None => {
                if test.name.method == OUTSIDE_OF_TESTS {
                    self.class_judged(test);
                }
                self.to_tell.remove(test);
                if self.unplanned.insert(test.clone(), verdict).is_some() {
                    return;
                }
            }
        }
        if self.job.quarantine.holding(test, planned.is_some()).is_none() {
            self.worst = self.worst.max(verdict);
        }
        if self.open == 0 {
            self.settled = Settled::No;
        }
        *self.counts.entry(verdict).or_default() += 1;
    }

    /// That a class is bad outside of its tests is known: nothing more of it has to be seen.
    fn class_judged(&mut self, outside: &TestId) {
        let job = Arc::clone(&self.job);
        let known: Vec<_> = self.unseen.extract_if(.., |unit| job.outside_of(*unit) == *outside).collect();
        for unit in known {
            self.waiting.remove(unit);
            self.settled = Settled::No;
        }
    }

    fn unit_finished(&mut self, unit: usize, number: u32, unseen: bool) {
        let Some((index, held)) = self.workers.take_back(number, unit) else { return };
        self.in_hand -= 1;
        let (mut lost, mut jvm_died) = (None, false);
        self.workers.change(number, |worker| {
            jvm_died = std::mem::take(&mut worker.jvm_died);
            lost = worker.failure.clone().filter(|_| worker.life == Life::Ended && worker.lost);
        });
        let state = &mut self.units[unit];
        state.holder = None;
        let silent = held.due.len() == held.given;
        if !silent {
            state.silent_deaths = 0;
            state.silent_losses.clear();
        } else if jvm_died {
            state.silent_deaths += 1;
        }
        // What waited behind another unit is not to blame.
        if let Some(reason) = lost.filter(|_| index == 0) {
            self.lost(unit, number, &held, silent || unseen, reason);
        }
        if unseen {
            self.unseen.insert(unit);
        }
        if self.limits.over {
            // A try that was cut short waits for another one now, and gets none.
            self.no_more_retries_of(unit);
        }
        self.queue(unit, true);
        self.waiting.came_back(unit);
    }

    /// A worker was lost with this unit as the one that ran.
    fn lost(&mut self, unit: usize, number: u32, held: &Held, silent: bool, reason: String) {
        let state = &mut self.units[unit];
        let names = &self.job.units[unit].tests;
        let running: Vec<_> =
            held.due.iter().copied().filter(|test| held.running.contains_key(&names[*test])).collect();
        for &test in running.iter().filter(|test| state.verdicts[**test].is_none()) {
            let losses = &mut state.tries.entry(test).or_default().losses;
            losses.push(reason.clone());
            state.isolated |= losses.len() >= LOSSES_UNTIL_ALONE;
        }
        if !running.is_empty() {
            self.workers.not_in_vain(number);
        }
        if running.is_empty() && silent {
            state.silent_losses.push(reason);
            state.isolated |= state.silent_losses.len() >= LOSSES_UNTIL_ALONE;
        }
    }

    /// Puts what is left of a unit in its line.
    pub(super) fn queue(&mut self, unit: usize, handed_back: bool) {
        let (state, planned) = (&self.units[unit], &self.job.units[unit]);
        if state.missing == 0 && !self.unseen.contains(&unit) {
            return;
        }
        let due = state.due(self.job.runs());
        if due.solo {
            return self.waiting.push_later(unit, state.avoid(&due));
        }
        // A unit that is merely run again is as fresh as any other.
        let handed_back = handed_back && self.job.runs() == 1;
        let share = planned.estimate_ms.saturating_mul(due.tests.len() as u64) / planned.tests.len().max(1) as u64;
        self.waiting.push(unit, share, handed_back);
    }

    fn held_mut(&mut self, worker: u32, unit: &UnitId) -> Option<&mut Held> {
        let unit = *self.job.unit_index.get(unit)?;
        self.workers.hand_mut(worker).find(|held| held.unit == unit)
    }
}
