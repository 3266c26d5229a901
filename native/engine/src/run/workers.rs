//! The workers of a run, with what the queue asks of all of them at once kept ready.

use super::queue::PREFETCH_UNITS;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use testfleet_protocol::event::Attempt;
use testfleet_protocol::test::{TestName, Thrown};

/// How long after its end a worker is started again under its number, in milliseconds, for each start in a row of which nothing
/// came: what keeps them from starting may pass. What completes is bounded, so the starts are as well.
const START_AGAIN_AFTER_MS: [u64; 4] = [0, 2_000, 10_000, 30_000];

/// Where a worker's life stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Asked for; its agent has not spoken yet.
    Asked,
    /// Takes units.
    Ready,
    /// Was there when the run's coordinator was lost; it may come back to the next one, with what it has in hand.
    Away,
    /// Gone.
    Ended,
}

/// A worker.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WorkerState {
    pub(super) life: Life,
    /// How often it was started.
    pub(super) starts: u32,
    /// How often in a row without a test that completed there, or that it was lost with.
    pub(super) fruitless: u32,
    /// Whether an agent of this number was ever ready.
    pub(super) was_ready: bool,
    /// When it ended.
    pub(super) ended_ms: u64,
    /// How many starts of a JVM failed there in a row, for which nothing else is to blame.
    pub(super) failed_starts: u32,
    /// When it was last heard, as far as events tell.
    pub(super) heard_ms: u64,
    /// Why it has to end, if it said so; it gets nothing more.
    pub(super) leaving: Option<String>,
    /// Whether its JVM died and what that ran is still in its hands.
    pub(super) jvm_died: bool,
    /// Whether another start can't help.
    pub(super) hopeless: bool,
    /// Why it ended, if something said so.
    pub(super) failure: Option<String>,
    /// Whether it ended when it should not have.
    pub(super) lost: bool,
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
    /// Those of them that have not ended in this try.
    pub(super) due: BTreeSet<usize>,
    /// Whether nothing else may be at the worker.
    pub(super) solo: bool,
    /// Whether the worker has it for certain. Unknown once it said hello again without naming it: then either its end is on
    /// the way, or it never got it.
    pub(super) confirmed: bool,
    /// Of the whole unit.
    pub(super) estimate_ms: u64,
    /// Whether it belongs together with others.
    pub(super) bound: bool,
    /// Started and not ended, with the time of the start.
    pub(super) running: BTreeMap<TestName, u64>,
    /// Invocations that ended.
    pub(super) invocations: BTreeSet<(TestName, String)>,
    /// What failed outside of any test, by class.
    pub(super) failures: BTreeMap<String, Vec<Thrown>>,
    /// Whether its tests had all ended before, and it is there for what comes after them: their results count no more.
    pub(super) closing: bool,
}

/// All workers by number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Workers {
    all: BTreeMap<u32, WorkerState>,
    /// Those that have not ended.
    live: u64,
    /// Those of them that take units.
    ready: u64,
    /// How many of them serve each profile.
    servers: Vec<u64>,
    /// Those that are ready and have empty hands.
    idle: BTreeSet<u32>,
    /// Those that have ended and may be started again, by when.
    again: BTreeSet<(u64, u32)>,
    /// Those that may get more behind what runs there, by live profile, with the estimate of what waits there.
    room: Vec<BTreeSet<(u64, u32)>>,
}

/// What the look-ups need to know of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    lives: bool,
    ready: bool,
    idle: bool,
    again_ms: Option<u64>,
    profile: Option<usize>,
    room: Option<(usize, u64)>,
}

impl Held {
    /// Whether all of its tests have ended, so that only the end of the unit is waited for.
    pub(super) fn only_its_end_is_due(&self) -> bool {
        self.closing || self.due.is_empty()
    }
}

impl WorkerState {
    /// Whether it takes units.
    pub(super) fn is_ready(&self) -> bool {
        self.life == Life::Ready && self.leaving.is_none()
    }

    /// When it may be started again, if it was not in vain too often.
    fn start_again_ms(&self) -> Option<u64> {
        let after_ms = match self.fruitless.checked_sub(1) {
            None => 0,
            Some(in_vain) => *START_AGAIN_AFTER_MS.get(in_vain as usize)?,
        };
        // What never worked does not get better by waiting, and who started the run wants to know.
        Some(self.ended_ms + if self.was_ready { after_ms } else { 0 })
    }

    fn tally(&self) -> Tally {
        let lives = self.life != Life::Ended;
        let ready = self.is_ready();
        Tally {
            lives,
            ready,
            idle: ready && self.hand.is_empty(),
            again_ms: self.start_again_ms().filter(|_| !lives && !self.hopeless),
            profile: self.profile.filter(|_| lives),
            room: self.profile.filter(|_| ready).and_then(|profile| Some((profile, self.waiting_ms()?))),
        }
    }

    /// The estimate of what waits behind the unit that runs, and of a quarter of that unit, if more may wait there. Nothing comes between units that
    /// belong together, nor behind them: one that has to be tried again follows the others at once.
    fn waiting_ms(&self) -> Option<u64> {
        let may = self.hand.len() <= PREFETCH_UNITS && self.hand.back().is_some_and(|last| !last.bound && !last.solo);
        // What is stuck behind a long unit may be the last of all; the longer a unit, the less a round trip after it matters.
        let runs_ms = self.hand.front()?.estimate_ms / 4;
        may.then(|| self.hand.iter().skip(1).map(|held| held.estimate_ms).fold(runs_ms, u64::saturating_add))
    }
}

impl Workers {
    pub(super) fn new(profiles: usize) -> Self {
        Self {
            all: BTreeMap::new(),
            live: 0,
            ready: 0,
            servers: vec![0; profiles],
            idle: BTreeSet::new(),
            again: BTreeSet::new(),
            room: vec![BTreeSet::new(); profiles],
        }
    }

    /// A worker was asked for, for the first time or again.
    pub(super) fn started(&mut self, number: u32, at_ms: u64) {
        self.all.entry(number).or_insert_with(|| WorkerState {
            life: Life::Ended,
            starts: 0,
            fruitless: 0,
            was_ready: false,
            ended_ms: 0,
            failed_starts: 0,
            heard_ms: 0,
            leaving: None,
            jvm_died: false,
            hopeless: true,
            failure: None,
            lost: false,
            profile: None,
            jvm: None,
            hand: VecDeque::new(),
        });
        self.change(number, |worker| {
            worker.life = Life::Asked;
            worker.hopeless &= worker.starts > 0;
            worker.starts += 1;
            worker.fruitless += 1;
            worker.failed_starts = 0;
            worker.heard_ms = at_ms;
            worker.leaving = None;
            worker.jvm_died = false;
        });
    }

    /// Changes a worker, if there is one of this number.
    pub(super) fn change(&mut self, number: u32, change: impl FnOnce(&mut WorkerState)) {
        let Some(worker) = self.all.get_mut(&number) else { return };
        let before = worker.tally();
        change(worker);
        let after = worker.tally();
        if before != after {
            self.count(number, before, false);
            self.count(number, after, true);
        }
    }

    fn count(&mut self, number: u32, tally: Tally, there: bool) {
        if tally.idle && there {
            self.idle.insert(number);
        } else if tally.idle {
            self.idle.remove(&number);
        }
        if let Some(again_ms) = tally.again_ms {
            if there {
                self.again.insert((again_ms, number));
            } else {
                self.again.remove(&(again_ms, number));
            }
        }
        let count = |count: &mut u64| if there { *count += 1 } else { *count -= 1 };
        if tally.lives {
            count(&mut self.live);
        }
        if tally.ready {
            count(&mut self.ready);
        }
        if let Some(profile) = tally.profile {
            count(&mut self.servers[profile]);
        }
        if let Some((profile, waiting_ms)) = tally.room {
            if there {
                self.room[profile].insert((waiting_ms, number));
            } else {
                self.room[profile].remove(&(waiting_ms, number));
            }
        }
    }

    /// Takes a unit out of a worker's hands; returns also where it was.
    pub(super) fn take_back(&mut self, number: u32, unit: usize) -> Option<(usize, Held)> {
        let index = self.all.get(&number)?.hand.iter().position(|held| held.unit == unit)?;
        let mut taken = None;
        self.change(number, |worker| taken = worker.hand.remove(index));
        taken.map(|held| (index, held))
    }

    /// A worker by its number.
    pub(super) fn get(&self, number: u32) -> Option<&WorkerState> {
        self.all.get(&number)
    }

    /// Whether there is one of this number.
    pub(super) fn known(&self, number: u32) -> bool {
        self.all.contains_key(&number)
    }

    /// All, by number.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &WorkerState)> {
        self.all.iter().map(|(number, worker)| (*number, worker))
    }

    /// Those that have not ended.
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, &WorkerState)> {
        self.all().filter(|(_, worker)| worker.life != Life::Ended)
    }

    /// How many have not ended.
    pub(super) fn live_count(&self) -> u64 {
        self.live
    }

    /// How many take units.
    pub(super) fn ready_count(&self) -> u64 {
        self.ready
    }

    /// A start led to something that is known of a test.
    pub(super) fn not_in_vain(&mut self, number: u32) {
        self.change(number, |worker| worker.fruitless = worker.fruitless.saturating_sub(1));
    }

    /// A worker was heard. No look-up depends on that.
    pub(super) fn heard(&mut self, number: u32, at_ms: u64) {
        if let Some(worker) = self.all.get_mut(&number) {
            worker.heard_ms = worker.heard_ms.max(at_ms);
        }
    }

    /// How many of these serve each profile.
    pub(super) fn servers(&self) -> &[u64] {
        &self.servers
    }

    /// Those that are ready and have empty hands.
    pub(super) fn idle(&self) -> impl Iterator<Item = (u32, &WorkerState)> {
        self.idle.iter().filter_map(|number| Some((*number, self.all.get(number)?)))
    }

    /// One that has ended and is to be started again now.
    pub(super) fn to_start_again(&self, at_ms: u64) -> Option<u32> {
        self.again.first().filter(|(again_ms, _)| *again_ms <= at_ms).map(|(_, number)| *number)
    }

    /// Whether one that has ended is to be started again, now or later.
    pub(super) fn may_start_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// For each profile the worker that has the most room behind the unit that runs there: profile, estimate of what
    /// waits there, number. What does not fit there fits nowhere.
    pub(super) fn roomiest(&self) -> impl Iterator<Item = (usize, u64, u32)> + '_ {
        let first = |(profile, workers): (usize, &BTreeSet<(u64, u32)>)| {
            workers.first().map(|(waiting_ms, number)| (profile, *waiting_ms, *number))
        };
        self.room.iter().enumerate().filter_map(first)
    }

    /// What is in a worker's hands. Nothing that the look-ups depend on may be changed.
    pub(super) fn hand_mut(&mut self, number: u32) -> impl Iterator<Item = &mut Held> {
        self.all.get_mut(&number).into_iter().flat_map(|worker| worker.hand.iter_mut())
    }
}
