//! Units that belong together: one worker runs them one after another, with nothing between.
//!
//! As long as none of them is at a worker, one ticket stands for all that wait. The worker that gets the first gets the
//! others behind it at once, and holds the locks of all of them until the last has come back. When it is gone, one
//! ticket stands for the rest.

use super::queue::Ticket;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// All chains of a job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chains {
    chains: Vec<Chain>,
    /// The chain at each worker that has one.
    at: BTreeMap<u32, usize>,
    /// Chains that are at a worker and wait in part.
    homeward: BTreeSet<usize>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Chain {
    /// In the order in which they are to run: by profile, rank and the plan's order.
    waiting: BTreeMap<(usize, u32, usize), Ticket>,
    backlog_ms: u64,
    /// How many of those that wait have a rank.
    ranks: BTreeMap<u32, usize>,
    handed_back: usize,
    in_hand: usize,
    /// The worker that has, or had, some of it and is there for the rest.
    home: Option<u32>,
    /// A unit of it, while its locks are held.
    holding: Option<usize>,
    /// What stands for it in line.
    shown: Option<Ticket>,
}

impl Chains {
    pub(super) fn new(count: usize) -> Self {
        Self { chains: vec![Chain::default(); count], at: BTreeMap::new(), homeward: BTreeSet::new() }
    }

    pub(super) fn push(&mut self, chain: usize, profile: usize, ticket: Ticket) {
        let known = &mut self.chains[chain];
        known.waiting.insert((profile, ticket.planned_rank(), ticket.unit), ticket);
        known.backlog_ms += ticket.estimate_ms;
        *known.ranks.entry(ticket.planned_rank()).or_default() += 1;
        known.handed_back += usize::from(ticket.was_handed_back());
        if known.home.is_some() {
            self.homeward.insert(chain);
        }
    }

    pub(super) fn remove(&mut self, chain: usize, profile: usize, ticket: Ticket) {
        let known = &mut self.chains[chain];
        if known.waiting.remove(&(profile, ticket.planned_rank(), ticket.unit)).is_some() {
            known.backlog_ms -= ticket.estimate_ms;
            if let Entry::Occupied(mut count) = known.ranks.entry(ticket.planned_rank()) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
            known.handed_back -= usize::from(ticket.was_handed_back());
        }
        if known.waiting.is_empty() {
            self.homeward.remove(&chain);
        }
    }

    /// A worker got a unit of it. Returns whether its locks are to be taken now.
    pub(super) fn given(&mut self, chain: usize, profile: usize, ticket: Ticket, worker: u32) -> bool {
        self.remove(chain, profile, ticket);
        let known = &mut self.chains[chain];
        known.in_hand += 1;
        known.home = Some(worker);
        let is_first = known.holding.is_none();
        known.holding.get_or_insert(ticket.unit);
        if !known.waiting.is_empty() {
            self.homeward.insert(chain);
        }
        self.at.insert(worker, chain);
        is_first
    }

    /// A unit of it is out of its worker's hands.
    pub(super) fn came_back(&mut self, chain: usize) {
        let known = &mut self.chains[chain];
        known.in_hand = known.in_hand.saturating_sub(1);
    }

    /// Whether no worker has any of it, or is there for it.
    pub(super) fn is_free(&self, chain: usize) -> bool {
        self.chains[chain].home.is_none() && self.chains[chain].holding.is_none()
    }

    /// Returns the chain that was at home there.
    pub(super) fn worker_gone(&mut self, worker: u32) -> Option<usize> {
        let chain = self.at.remove(&worker)?;
        self.chains[chain].home = None;
        self.homeward.remove(&chain);
        Some(chain)
    }

    /// Ends its stay at a worker if nothing of it is there any more and nothing more is to go there. Returns a unit
    /// whose locks are to be given back then.
    pub(super) fn ended(&mut self, chain: usize) -> Option<usize> {
        let known = &mut self.chains[chain];
        if known.in_hand > 0 || known.home.is_some() && !known.waiting.is_empty() {
            return None;
        }
        if let Some(home) = known.home.take() {
            self.at.remove(&home);
        }
        known.holding.take()
    }

    /// For each chain that waits in part, the next unit that is to follow others, and where they are.
    pub(super) fn homeward(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.homeward.iter().filter_map(|chain| {
            let chain = &self.chains[*chain];
            Some((chain.home?, chain.waiting.keys().next()?.2))
        })
    }

    /// What is to stand for a chain in line.
    pub(super) fn ticket(&self, chain: usize) -> Option<Ticket> {
        let chain = &self.chains[chain];
        if chain.home.is_some() || chain.holding.is_some() {
            return None;
        }
        let ((_, _, first), _) = chain.waiting.first_key_value()?;
        let (rank, _) = chain.ranks.first_key_value()?;
        Some(Ticket::new(*first, *rank, chain.backlog_ms, chain.handed_back > 0))
    }

    /// Notes what stands for a chain in line; returns what did before.
    pub(super) fn show(&mut self, chain: usize, ticket: Option<Ticket>) -> Option<Ticket> {
        std::mem::replace(&mut self.chains[chain].shown, ticket)
    }
}
