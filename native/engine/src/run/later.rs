//! What is handed out when nothing else waits: units that are tried again, and units that are isolated.

use super::queue::{Ticket, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// Units by number, and by the worker that had better not get them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Later {
    avoid: BTreeMap<usize, Option<u32>>,
    units: BTreeMap<Option<u32>, BTreeSet<usize>>,
}

impl Later {
    pub(super) fn push(&mut self, unit: usize, avoid: Option<u32>) {
        self.remove(unit);
        self.avoid.insert(unit, avoid);
        self.units.entry(avoid).or_default().insert(unit);
    }

    /// Returns whether it was there.
    pub(super) fn remove(&mut self, unit: usize) -> bool {
        let Some(avoid) = self.avoid.remove(&unit) else { return false };
        if let Some(units) = self.units.get_mut(&avoid) {
            units.remove(&unit);
            if units.is_empty() {
                self.units.remove(&avoid);
            }
        }
        true
    }

    pub(super) fn holds(&self, unit: usize) -> bool {
        self.avoid.contains_key(&unit)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.avoid.is_empty()
    }

    pub(super) fn units(&self) -> impl Iterator<Item = usize> + '_ {
        self.avoid.keys().copied()
    }
}

impl Waiting {
    /// Puts a unit behind all that waits.
    pub(super) fn push_later(&mut self, unit: usize, avoid: Option<u32>) {
        if !self.holds(unit) {
            self.later.push(unit, avoid);
        }
    }

    /// The unit of those that come last for a worker with empty hands, once it is their turn. With `others` about, it is
    /// none that this worker is to be spared.
    pub(super) fn next_later(&self, worker: u32, others: bool, in_hand: usize) -> Option<usize> {
        if !self.nothing_first() {
            return None;
        }
        let spared = |avoid: &Option<u32>| others && *avoid == Some(worker);
        let lists = self.later.units.iter().filter(|(avoid, _)| !spared(avoid));
        lists.filter_map(|(_, units)| units.iter().copied().find(|unit| self.admits(*unit, in_hand))).min()
    }

    /// Whether a unit could begin now, as far as others are concerned.
    fn admits(&self, unit: usize, in_hand: usize) -> bool {
        if self.job.fixed {
            return true;
        }
        let locks = &self.job.locks[self.job.lock_set_of[unit]];
        let alone = !locks.alone || in_hand == 0;
        let chain_is_free = self.job.chain_of[unit].is_none_or(|chain| self.chains.is_free(chain));
        !self.held.is_alone() && alone && chain_is_free && self.held.admits(locks)
    }

    /// Its ticket, for those that count tickets.
    pub(super) fn later_ticket(&self, unit: usize) -> Ticket {
        let planned = &self.job.units[unit];
        Ticket::new(unit, planned.rank, planned.estimate_ms, true)
    }
}
