//! What a run promises about who runs what beside whom, watched from outside: from the plan, the events and the state's
//! list of what waits, with none of the queue's own look-ups.

use super::State;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::{Lock, Plan, Unit, UnitId};
use testfleet_protocol::test::{TestId, Verdict};

/// Watches a run.
pub(super) struct Promises {
    units: HashMap<UnitId, Unit>,
    /// Locks of a unit, those of what it belongs together with included.
    locks: HashMap<UnitId, Vec<Lock>>,
    /// What each worker has, in order.
    hands: BTreeMap<u32, Vec<UnitId>>,
    /// What each life of each worker was given, in order.
    given: BTreeMap<(u32, usize), Vec<UnitId>>,
    lives: BTreeMap<u32, usize>,
    /// Workers that have not ended, and those of them that have to.
    live: BTreeSet<u32>,
    leaving: BTreeSet<u32>,
    /// How often this coordinator started each.
    starts: BTreeMap<u32, u32>,
    /// The worker that each name of belonging together was last given to, while that lives.
    homes: HashMap<String, u32>,
    /// Results of slices.
    slices: HashMap<(TestId, u32), Verdict>,
    verdicts: HashMap<TestId, Verdict>,
}

fn conflict(one: &[Lock], other: &[Lock]) -> bool {
    let all = |locks: &[Lock]| locks.iter().any(|lock| lock.resource == Lock::EVERYTHING);
    let pair = |a: &Lock, b: &Lock| a.resource == b.resource && (a.exclusive || b.exclusive);
    all(one) || all(other) || one.iter().any(|a| other.iter().any(|b| pair(a, b)))
}

impl Promises {
    /// `runs` is how often each test is run: when that is more than once, nothing is reused.
    pub(super) fn of(plan: &Plan, runs: u32) -> Self {
        let mut of_name: HashMap<&str, Vec<Lock>> = HashMap::new();
        for unit in plan.units.iter().filter(|unit| unit.reused.is_none() || runs > 1) {
            if let Some(name) = &unit.together {
                of_name.entry(name).or_default().extend(unit.locks.iter().cloned());
            }
        }
        let locks = |unit: &Unit| match &unit.together {
            Some(name) => of_name.get(name.as_str()).cloned().unwrap_or_default(),
            None => unit.locks.clone(),
        };
        Self {
            locks: plan.units.iter().map(|unit| (unit.id.clone(), locks(unit))).collect(),
            units: plan.units.iter().map(|unit| (unit.id.clone(), unit.clone())).collect(),
            hands: BTreeMap::new(),
            given: BTreeMap::new(),
            lives: BTreeMap::new(),
            live: BTreeSet::new(),
            leaving: BTreeSet::new(),
            starts: BTreeMap::new(),
            homes: HashMap::new(),
            slices: HashMap::new(),
            verdicts: HashMap::new(),
        }
    }

    /// Takes in an event that the run made.
    pub(super) fn see(&mut self, event: &RunEvent, state: &State) {
        match event {
            RunEvent::WorkerStarted { worker, .. } => {
                *self.lives.entry(*worker).or_default() += 1;
                *self.starts.entry(*worker).or_default() += 1;
                self.live.insert(*worker);
            }
            RunEvent::RunResumed { .. } => self.starts.clear(),
            RunEvent::RunAborted { .. } => {
                assert!(self.live.is_empty(), "nobody is said to be left, but {:?} are", self.live);
                for worker in &state.job.workers {
                    let starts = self.starts.get(worker).copied().unwrap_or_default();
                    assert!(starts > 4, "nobody is left, and worker {worker} was started {starts} times");
                }
            }
            RunEvent::WorkerEnded { worker, .. } | RunEvent::WorkerLeaving { worker, .. } => {
                if matches!(event, RunEvent::WorkerEnded { .. }) {
                    self.live.remove(worker);
                    self.leaving.remove(worker);
                } else {
                    self.leaving.insert(*worker);
                }
                self.homes.retain(|_, home| home != worker);
            }
            RunEvent::UnitAssigned { unit, worker, .. } => self.assigned(unit, *worker, state),
            RunEvent::UnitFinished { unit, worker, .. } => {
                self.hands.entry(*worker).or_default().retain(|held| held != unit);
            }
            RunEvent::TestFinished { test, slice: Some(slice), .. } => {
                // Unless it is tried again.
                if let Some(verdict) =
                    state.job.place(test, Some(*slice)).and_then(|(unit, at)| state.units[unit].verdicts[at])
                {
                    self.slice_ended(test, *slice, verdict);
                }
            }
            RunEvent::SliceLost { test, slice, reason } => {
                assert!(!reason.is_empty());
                self.slice_ended(test, *slice, Verdict::Lost);
            }
            RunEvent::TestVerdict { test, verdict, reason } => self.judged(test, *verdict, reason.as_deref(), state),
            _ => {}
        }
    }

    fn assigned(&mut self, id: &UnitId, worker: u32, state: &State) {
        if self.hands.get(&worker).is_some_and(|hand| hand.contains(id)) {
            // It says again that it has it.
            return;
        }
        assert!(!self.leaving.contains(&worker), "{id:?} is given to worker {worker}, which has to end");
        let unit = &self.units[id];
        let solo = state.workers.get(worker).is_some_and(|known| known.hand.iter().any(|held| held.solo));
        assert!(unit.reused.is_none() || state.job.runs() > 1, "{id:?} counts as passed and is run");
        let mine = &self.locks[id];
        let together = |other: &UnitId| unit.together.is_some() && self.units[other].together == unit.together;
        for (other_worker, hand) in &self.hands {
            for (place, other) in hand.iter().enumerate() {
                assert!(
                    *other_worker == worker || place > 0 || !conflict(mine, &self.locks[other]),
                    "{id:?} at {worker} shares a lock with {other:?} at {other_worker}"
                );
                assert!(*other_worker == worker || !together(other), "{id:?} and {other:?} are at two workers");
            }
        }
        let hand = self.hands.entry(worker).or_default();
        assert!(!solo || hand.is_empty(), "{id:?} is not alone at {worker}");
        // Whatever waits behind another unit must be in nobody's way.
        assert!(hand.is_empty() || mine.is_empty() || hand.iter().all(together), "{id:?} holds locks and waits");
        if let Some(name) = &unit.together {
            let home = self.homes.insert(name.clone(), worker);
            let moved = home.filter(|home| *home != worker);
            assert!(moved.is_none() || solo, "{id:?} left a worker that lives");
        }
        hand.push(id.clone());
        let life = self.lives.get(&worker).copied().unwrap_or_default();
        // What is tried again comes when all else is through.
        if !solo {
            self.given.entry((worker, life)).or_default().push(id.clone());
        }
    }

    fn slice_ended(&mut self, test: &TestId, slice: u32, verdict: Verdict) {
        assert!(!self.verdicts.contains_key(test), "{test} had its verdict before slice {slice} ended");
        let before = self.slices.insert((test.clone(), slice), verdict);
        assert_eq!(before, None, "slice {slice} of {test} ended twice");
    }

    fn judged(&mut self, test: &TestId, verdict: Verdict, reason: Option<&str>, state: &State) {
        let before = self.verdicts.insert(test.clone(), verdict);
        assert_eq!(before, None, "{test} has two verdicts");
        let of_test = |unit: &&Unit| unit.slice.is_some() && unit.test_ids().any(|id| id == *test);
        let mut results = Vec::new();
        for unit in self.units.values().filter(of_test) {
            let number = unit.slice.unwrap().number;
            let reused = unit.reused.as_ref().filter(|_| state.job.runs() == 1).map(|_| Verdict::Reused);
            // Past a limit, or at an early end, what waited for another try ends without one.
            let ends_early = state.stop.is_some() || state.workers.live_count() == 0;
            let over = || {
                let place = state.job.place(test, Some(number));
                let (unit, at) = place.filter(|_| state.limits.over || ends_early)?;
                state.units[unit].so_far(at, state.job.runs()).map(|(verdict, _)| verdict)
            };
            results.push(self.slices.get(&(test.clone(), number)).copied().or(reused).or_else(over));
        }
        if results.is_empty() || verdict == Verdict::Reused {
            return;
        }
        if results.iter().any(Option::is_none) {
            let given_up = reason.is_some_and(|reason| {
                reason == "cancelled"
                    || reason.starts_with("the run took longer")
                    || reason.starts_with("no worker is left")
            });
            assert!(verdict == Verdict::Lost && given_up, "{test} is {verdict:?} before its slices ended: {reason:?}");
            return;
        }
        let all: Vec<_> = results.into_iter().flatten().collect();
        let bad = all.iter().filter(|verdict| verdict.is_bad()).max();
        let ran = all.iter().any(|verdict| matches!(verdict, Verdict::Passed | Verdict::Reused));
        let flaky = all.contains(&Verdict::Flaky);
        let well = if flaky {
            Verdict::Flaky
        } else if ran {
            Verdict::Passed
        } else {
            Verdict::Skipped
        };
        let expected = bad.copied().unwrap_or(well);
        assert_eq!(verdict, expected, "{test} of {all:?}");
    }

    /// Nothing that could run waits while a worker has nothing to do.
    pub(super) fn nobody_idles(&self, state: &State) {
        let idle = state.workers.idle().next();
        // A run that is being stopped hands out nothing, though it may still wait for a slice of what is left.
        let Some((idle, _)) = idle.filter(|_| !state.is_finished() && state.stop.is_none()) else { return };
        let running: Vec<_> = self.hands.values().flatten().collect();
        let all: Vec<_> = (0..state.units.len()).filter(|&unit| state.waiting.holds(unit)).collect();
        let is_later = |unit: &usize| state.waiting.later.holds(*unit);
        let spared = |unit: usize| {
            let unit = &state.units[unit];
            unit.avoid(&unit.due(state.job.runs())) == Some(idle) && state.workers.ready_count() > 1
        };
        let first = all.iter().any(|unit| !is_later(unit));
        let due = all.into_iter().filter(|unit| !is_later(unit) || !first && !spared(*unit));
        let waiting: Vec<_> = due.map(|unit| &state.job.units[unit]).collect();
        let is_alone = |unit: &Unit| self.locks[&unit.id].iter().any(|lock| lock.resource == Lock::EVERYTHING);
        let others_wait = waiting.iter().any(|unit| !is_alone(unit));
        for unit in waiting {
            let home = unit.together.as_ref().and_then(|name| self.homes.get(name));
            let elsewhere = home.is_some_and(|home| *home != idle);
            let blocked = running.iter().any(|other| conflict(&self.locks[&unit.id], &self.locks[*other]));
            let together = |other: &UnitId| unit.together.is_some() && self.units[other].together == unit.together;
            let blocked = blocked || running.iter().any(|other| together(other));
            let has_turn = !is_alone(unit) || !others_wait || !first;
            assert!(elsewhere || blocked || !has_turn, "worker {idle} idles while {unit:?} could run");
        }
    }

    /// No two units that run at the same time share a lock; `fronts` is what each agent really runs.
    pub(super) fn nobody_collides<'a>(&self, fronts: impl Iterator<Item = (u32, &'a UnitId)>) {
        let fronts: Vec<_> = fronts.collect();
        for (index, (worker, unit)) in fronts.iter().enumerate() {
            for (other_worker, other) in &fronts[index + 1..] {
                let shares = conflict(&self.locks[*unit], &self.locks[*other]);
                assert!(!shares, "{unit:?} at {worker} runs beside {other:?} at {other_worker}");
            }
        }
    }

    /// At the end: in each life of a worker, what belongs together came without anything between.
    pub(super) fn nothing_came_between(&self) {
        for (life, given) in &self.given {
            let names: Vec<_> = given.iter().map(|id| self.units[id].together.clone()).collect();
            let mut over = BTreeSet::new();
            for pair in names.chunk_by(|a, b| a == b) {
                if let Some(name) = &pair[0] {
                    assert!(
                        over.insert(name.clone()),
                        "something came between the units of {name} at {life:?}: {given:?}"
                    );
                }
            }
        }
    }

    /// What the run's verdict must be.
    pub(super) fn worst(&self, plan: &Plan, state: &State) -> Verdict {
        let held: HashSet<_> = plan.quarantined.iter().map(|entry| entry.test.clone()).collect();
        let planned: HashSet<_> = plan.units.iter().flat_map(|unit| unit.test_ids()).collect();
        // What happens outside of any test is held with the last of its class's tests.
        let is_held = |test: &TestId| {
            let mut of_class = planned.iter().filter(|id| id.task == test.task && id.name.class == test.name.class);
            let all = of_class.clone().next().is_some() && of_class.all(|id| held.contains(id));
            held.contains(test) || !planned.contains(test) && all
        };
        let counting = self.verdicts.iter().filter(|(test, _)| !is_held(test)).map(|(_, verdict)| *verdict);
        let worst = counting.max().unwrap_or(Verdict::Passed);
        match worst {
            Verdict::Flaky if state.job.options.retries.fail_on_flaky => Verdict::Failed,
            worst if worst.is_bad() || worst == Verdict::Flaky => worst,
            _ => Verdict::Passed,
        }
    }
}
