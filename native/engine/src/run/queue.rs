//! The units that wait for a worker, and the rule by which they are handed out.
//!
//! The rule is described in docs/run.md. It is a pure function of what waits, of what is held and of which profiles the
//! workers serve, so that equal histories give equal choices.

use super::chains::Chains;
use super::job::Job;
use super::later::Later;
use super::locks::{FREE, Held};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use testfleet_protocol::plan::EstimateSource;

/// What starting a JVM for another profile costs, in milliseconds. Moving a worker must promise more than this.
const SWITCH_MS: u64 = 1_000;

/// Most estimated work, in milliseconds, that may wait at a worker behind the unit that runs there.
const PREFETCH_MS: u64 = 200;
/// ... and no more than this part of what waits for each worker: towards the end, a unit that waits behind one that takes longer than was
/// thought ends the run later.
const PART_OF_SHARE: u64 = 8;

/// Most units that may wait at a worker behind the one that runs there.
pub(super) const PREFETCH_UNITS: usize = 32;

/// Place of a waiting unit, or of the first of several that belong together, in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    /// Who goes first whatever its length.
    rank: Rank,
    /// Longest first.
    length: Reverse<u64>,
    /// Index of the unit in the job.
    pub(super) unit: usize,
    /// Estimate in milliseconds, at least 1; says nothing about the place.
    pub(super) estimate_ms: u64,
}

/// What was handed back goes first, then what the plan ranks lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    fresh: bool,
    planned: u32,
}

impl Ticket {
    pub(super) fn new(unit: usize, planned: u32, estimate_ms: u64, handed_back: bool) -> Self {
        let estimate_ms = estimate_ms.max(1);
        let rank = Rank { fresh: !handed_back, planned };
        Self { rank, length: Reverse(estimate_ms), unit, estimate_ms }
    }

    pub(super) fn was_handed_back(&self) -> bool {
        !self.rank.fresh
    }

    pub(super) fn planned_rank(&self) -> u32 {
        self.rank.planned
    }
}

/// What waits of one profile and one lock set.
#[derive(Debug, Clone, Default, PartialEq)]
struct Lane {
    tickets: BTreeSet<Ticket>,
    backlog_ms: u64,
    /// As it stands in the profile's line, with the backlog that it stands for there.
    shown: Option<(Ticket, u64)>,
}

/// What can be handed out of one profile.
#[derive(Debug, Clone, Default, PartialEq)]
struct Line {
    /// The first of each lane that is not blocked, with the lane's lock set.
    heads: BTreeSet<(Ticket, usize)>,
    /// Of these lanes.
    backlog_ms: u64,
}

/// All units that wait.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waiting {
    pub(super) job: Arc<Job>,
    /// By lock set and profile. In a fixed order there are none.
    lanes: BTreeMap<(usize, usize), Lane>,
    /// By profile.
    lines: Vec<Line>,
    /// By profile: what runs alone, when nothing else is left.
    alone: Vec<BTreeSet<Ticket>>,
    /// The whole queue of a fixed order.
    fixed: BTreeMap<usize, Ticket>,
    /// The ticket of each unit that waits, itself or through those that it belongs to.
    tickets: BTreeMap<usize, Ticket>,
    /// Tickets in `alone`.
    alone_tickets: usize,
    /// Tickets in `lanes`.
    lane_tickets: usize,
    /// Sum of the lines, or of the fixed order.
    backlog_ms: u64,
    pub(super) held: Held,
    pub(super) chains: Chains,
    /// What is handed out when all else is.
    pub(super) later: Later,
}

impl Waiting {
    /// Nothing waits.
    pub(super) fn new(job: &Arc<Job>) -> Self {
        let profiles = job.profiles.len();
        Self {
            job: Arc::clone(job),
            lanes: BTreeMap::new(),
            lines: vec![Line::default(); profiles],
            alone: vec![BTreeSet::new(); profiles],
            fixed: BTreeMap::new(),
            tickets: BTreeMap::new(),
            alone_tickets: 0,
            lane_tickets: 0,
            backlog_ms: 0,
            held: Held::new(&job.locks),
            chains: Chains::new(job.chains),
            later: Later::default(),
        }
    }

    /// Puts a unit in line, if it is not there yet.
    pub(super) fn push(&mut self, unit: usize, estimate_ms: u64, handed_back: bool) {
        let ticket = Ticket::new(unit, self.job.units[unit].rank, estimate_ms, handed_back);
        if self.holds(unit) {
            return;
        }
        self.tickets.insert(unit, ticket);
        if self.job.fixed {
            self.fixed.insert(unit, ticket);
            self.backlog_ms += ticket.estimate_ms;
        } else if let Some(chain) = self.job.chain_of[unit] {
            self.chains.push(chain, self.job.profile_of[unit], ticket);
            self.show_chain(chain);
        } else {
            self.insert(unit, ticket);
        }
    }

    /// Takes a unit out of its line, because there is nothing left to run of it.
    pub(super) fn remove(&mut self, unit: usize) {
        self.later.remove(unit);
        let Some(ticket) = self.tickets.remove(&unit) else { return };
        if self.job.fixed {
            self.fixed.remove(&unit);
            self.backlog_ms -= ticket.estimate_ms;
        } else if let Some(chain) = self.job.chain_of[unit] {
            self.chains.remove(chain, self.job.profile_of[unit], ticket);
            self.settle_chain(chain);
        } else {
            self.take_out(unit, ticket);
        }
    }

    /// A worker got a unit.
    pub(super) fn given(&mut self, unit: usize, worker: u32) {
        let was_later = self.later.remove(unit);
        let ticket = match self.tickets.remove(&unit) {
            Some(ticket) => ticket,
            None if was_later => self.later_ticket(unit),
            None => return,
        };
        if self.job.fixed {
            if self.fixed.remove(&unit).is_some() {
                self.backlog_ms -= ticket.estimate_ms;
            }
        } else if let Some(chain) = self.job.chain_of[unit] {
            let is_first = self.chains.given(chain, self.job.profile_of[unit], ticket, worker);
            self.show_chain(chain);
            if is_first {
                self.take(self.job.lock_set_of[unit]);
            }
        } else {
            if !was_later {
                self.take_out(unit, ticket);
            }
            self.take(self.job.lock_set_of[unit]);
        }
    }

    /// A unit is out of a worker's hands. What is handed back of it was pushed before.
    pub(super) fn came_back(&mut self, unit: usize) {
        match self.job.chain_of[unit] {
            Some(chain) => {
                self.chains.came_back(chain);
                self.settle_chain(chain);
            }
            None => self.release(self.job.lock_set_of[unit]),
        }
    }

    /// A worker is gone; what it held comes back after this.
    pub(super) fn worker_gone(&mut self, worker: u32) {
        if let Some(chain) = self.chains.worker_gone(worker) {
            self.settle_chain(chain);
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.later.is_empty()
    }

    /// Whether nothing waits but what comes last.
    pub(super) fn nothing_first(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Whether a unit waits.
    pub(super) fn holds(&self, unit: usize) -> bool {
        self.tickets.contains_key(&unit) || self.later.holds(unit)
    }

    /// The units of one profile, in the plan's order, and behind them those that come last.
    pub(super) fn of_profile(&self, profile: usize) -> impl Iterator<Item = usize> + '_ {
        self.tickets.keys().copied().chain(self.later.units()).filter(move |unit| self.job.profile_of[*unit] == profile)
    }

    /// Units whose place is behind others at a worker: they belong together.
    pub(super) fn homeward(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.chains.homeward()
    }

    /// Whether it is the turn of the units that run alone: nothing else waits, and nothing runs.
    pub(super) fn only_alone(&self, in_hand: usize) -> bool {
        self.alone_tickets > 0 && self.lane_tickets == 0 && in_hand == 0 && !self.held.is_alone()
    }

    /// Whether a unit that runs alone waits for this profile.
    pub(super) fn has_alone(&self, profile: usize) -> bool {
        !self.alone[profile].is_empty()
    }

    /// The unit for a worker with empty hands.
    ///
    /// `live` is the profile of the worker's JVM, `servers[profile]` how many workers serve a profile, this one
    /// included, `in_hand` how many units are at workers.
    pub(super) fn next(&self, live: Option<usize>, servers: &[u64], in_hand: usize) -> Option<usize> {
        if self.job.fixed {
            return self.fixed.keys().next().copied();
        }
        if self.only_alone(in_hand) {
            let own = live.and_then(|live| self.alone[live].first());
            return own.or_else(|| self.alone.iter().filter_map(BTreeSet::first).min()).map(|ticket| ticket.unit);
        }
        if self.held.is_alone() {
            return None;
        }
        let chosen = self.profile_for(live, servers)?;
        let (_, set) = *self.lines[chosen].heads.first()?;
        self.lanes.get(&(set, chosen))?.tickets.first().map(|ticket| ticket.unit)
    }

    /// The profile of which a worker takes its next unit: its own, unless another calls for it more.
    fn profile_for(&self, live: Option<usize>, servers: &[u64]) -> Option<usize> {
        let others =
            || (0..self.lines.len()).filter(|&profile| Some(profile) != live && !self.lines[profile].heads.is_empty());
        let share = |profile: usize| self.share(profile, servers[profile] + 1);
        let Some(live) = live.filter(|&live| !self.lines[live].heads.is_empty()) else {
            return others().min_by_key(|&profile| (self.rank(profile), Reverse(share(profile)), profile));
        };
        // Somebody has to serve it sooner or later: then rather while its first units come first.
        let urgent = others().filter(|&profile| servers[profile] == 0 && self.rank(profile) < self.rank(live));
        let urgent = urgent.min_by_key(|&profile| (self.rank(profile), Reverse(share(profile)), profile));
        let neediest = || others().max_by_key(|&profile| (share(profile), Reverse(profile)));
        let outweighs = |other: &usize| share(*other) > self.share(live, servers[live].max(1)) + SWITCH_MS;
        Some(urgent.or_else(|| neediest().filter(outweighs)).unwrap_or(live))
    }

    /// A unit to wait at a worker behind what it has: the longest that fits, of the profile that is live there, so that
    /// no round trip idles the worker and no unit of weight is stuck behind a long one. Only units that hold nothing and
    /// are bound to nothing are fetched ahead: while they wait, they are in nobody's way.
    ///
    /// `runs_ms` is the estimate of what runs there, `held_ms` of what waits there already.
    pub(super) fn prefetch(&self, live: usize, runs_ms: u64, held_ms: u64, workers: u64) -> Option<usize> {
        let workers = workers.max(1);
        if self.job.fixed {
            let (_, next) = self.fixed.iter().next()?;
            let room = PREFETCH_MS.min(self.backlog_ms / (PART_OF_SHARE * workers)).checked_sub(held_ms)?;
            let fits = self.job.profile_of[next.unit] == live && next.estimate_ms <= room;
            return fits.then_some(next.unit);
        }
        if self.held.is_alone() {
            return None;
        }
        // Behind a unit that takes as long as all that is left for each worker, whatever waits ends the run later.
        if runs_ms > self.backlog_ms / workers {
            return None;
        }
        let room = PREFETCH_MS.min(self.backlog_ms / (PART_OF_SHARE * workers)).checked_sub(held_ms)?;
        let free = &self.lanes.get(&(FREE, live))?.tickets;
        let mut front = free.first()?.rank;
        loop {
            let longest = Ticket { rank: front, length: Reverse(room), unit: 0, estimate_ms: 0 };
            let next = free.range(longest..).next()?;
            // A guess may be far too short, and then it is stuck with all that it really takes.
            if self.job.units[next.unit].estimate_source == EstimateSource::Guess {
                return None;
            }
            if next.rank == front {
                return Some(next.unit);
            }
            // What ranks behind must not overtake; only what was handed back goes ahead of its rank.
            if front.fresh {
                return None;
            }
            front = next.rank;
        }
    }

    /// Whether nothing waits, and nothing is held.
    #[cfg(test)]
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_empty()
            && self.held == Held::new(&self.job.locks)
            && self.chains == Chains::new(self.job.chains)
            && (self.alone_tickets, self.lane_tickets, self.backlog_ms) == (0, 0, 0)
    }

    fn rank(&self, profile: usize) -> Option<Rank> {
        self.lines[profile].heads.first().map(|(ticket, _)| ticket.rank)
    }

    fn share(&self, profile: usize, workers: u64) -> u64 {
        self.lines[profile].backlog_ms / workers
    }

    fn insert(&mut self, unit: usize, ticket: Ticket) {
        let (profile, set) = (self.job.profile_of[unit], self.job.lock_set_of[unit]);
        if self.job.locks[set].alone {
            self.alone_tickets += usize::from(self.alone[profile].insert(ticket));
            return;
        }
        let lane = self.lanes.entry((set, profile)).or_default();
        if lane.tickets.insert(ticket) {
            lane.backlog_ms += ticket.estimate_ms;
            self.lane_tickets += 1;
        }
        self.show(set, profile);
    }

    fn take_out(&mut self, unit: usize, ticket: Ticket) {
        let (profile, set) = (self.job.profile_of[unit], self.job.lock_set_of[unit]);
        if self.job.locks[set].alone {
            self.alone_tickets -= usize::from(self.alone[profile].remove(&ticket));
            return;
        }
        let Some(lane) = self.lanes.get_mut(&(set, profile)) else { return };
        if lane.tickets.remove(&ticket) {
            lane.backlog_ms -= ticket.estimate_ms;
            self.lane_tickets -= 1;
        }
        self.show(set, profile);
    }

    /// Brings a lane's part of its profile's line up to date.
    fn show(&mut self, set: usize, profile: usize) {
        let Some(lane) = self.lanes.get_mut(&(set, profile)) else { return };
        let locks = &self.job.locks[set];
        let admitted = set == FREE || self.held.admits(locks);
        let head = lane.tickets.first().copied().filter(|_| admitted).map(|mut head| {
            if locks.is_serial() {
                // Its units can only follow each other: they are as long as all of them together.
                head.length = Reverse(lane.backlog_ms);
            }
            (head, lane.backlog_ms)
        });
        if head == lane.shown {
            return;
        }
        let line = &mut self.lines[profile];
        if let Some((ticket, backlog_ms)) = std::mem::replace(&mut lane.shown, head) {
            line.heads.remove(&(ticket, set));
            line.backlog_ms -= backlog_ms;
            self.backlog_ms -= backlog_ms;
        }
        if let Some((ticket, backlog_ms)) = head {
            line.heads.insert((ticket, set));
            line.backlog_ms += backlog_ms;
            self.backlog_ms += backlog_ms;
        }
    }

    fn take(&mut self, set: usize) {
        let touched = self.held.take(&self.job.locks, set);
        self.show_all(touched);
    }

    fn release(&mut self, set: usize) {
        let touched = self.held.release(&self.job.locks, set);
        self.show_all(touched);
    }

    fn show_all(&mut self, sets: Vec<usize>) {
        for set in sets {
            let profiles: Vec<_> = self.lanes.range((set, 0)..(set + 1, 0)).map(|((_, profile), _)| *profile).collect();
            profiles.into_iter().for_each(|profile| self.show(set, profile));
        }
    }

    /// Gives up a chain's locks when it is through with its worker, and puts what is left of it in line.
    fn settle_chain(&mut self, chain: usize) {
        if let Some(unit) = self.chains.ended(chain) {
            self.release(self.job.lock_set_of[unit]);
        }
        self.show_chain(chain);
    }

    /// Brings the ticket that stands for a chain up to date.
    fn show_chain(&mut self, chain: usize) {
        let ticket = self.chains.ticket(chain);
        if let Some(old) = self.chains.show(chain, ticket) {
            self.take_out(old.unit, old);
        }
        if let Some(new) = ticket {
            self.insert(new.unit, new);
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
