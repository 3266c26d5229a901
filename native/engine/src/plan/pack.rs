//! Items to bins, such that the fullest bin is not much fuller than it has to be, and that a small change of the items
//! moves few of them: the core of grouping units and of cutting a class into parts.
//!
//! Two ways are gone: [`search`](super::search) looks for the lowest fullest bin, [`steady`](super::steady) for one that stays. The
//! steady one is taken when it is as good as the promise of the first ([`pack`]).

use super::{search, steady};

/// Something that goes into one bin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What it adds to its bin.
    pub(super) load: u64,
    /// A number for its name ([`super::names::number`]).
    pub(super) key: u64,
    /// Its kinds, each once: a bin is charged for each kind that it holds.
    pub(super) kinds: Vec<usize>,
}

/// What is to be packed.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) items: Vec<Item>,
    /// From 1.
    pub(super) bins: usize,
    /// What a bin pays for each kind.
    pub(super) charge: u64,
    /// A number for the name of each kind.
    pub(super) kinds: Vec<u64>,
}

impl Problem {
    /// No packing has a fullest bin below this: the mean; the largest item; of the `bins + 1` largest, two share a bin.
    pub(super) fn lower_bound(&self) -> u64 {
        let bins = self.bins as u64;
        let sum: u64 = self.items.iter().map(|item| item.load).fold(0, u64::saturating_add);
        let mut loads: Vec<u64> = self.items.iter().map(|item| item.load).collect();
        loads.sort_unstable_by(|a, b| b.cmp(a));
        let pair = match (loads.get(self.bins - 1), loads.get(self.bins)) {
            (Some(one), Some(other)) => one.saturating_add(*other),
            _ => 0,
        };
        let longest = loads.first().copied().unwrap_or(0);
        let used = sum.div_ceil(bins).max(longest).max(pair).saturating_add(self.charge);
        let charges = self.charge.saturating_mul(self.kinds.len() as u64);
        used.max(sum.saturating_add(charges).div_ceil(bins))
    }

    /// Items, largest first.
    pub(super) fn largest_first(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by_key(|&index| (std::cmp::Reverse(self.items[index].load), self.items[index].key, index));
        order
    }
}

/// Bins with items in them.
#[derive(Debug, Clone)]
pub(super) struct Bins<'a> {
    pub(super) problem: &'a Problem,
    pub(super) loads: Vec<u64>,
    /// How many items of a kind each bin holds.
    held: Vec<u32>,
    /// Smallest first.
    pub(super) members: Vec<Vec<usize>>,
}

impl<'a> Bins<'a> {
    pub(super) fn new(problem: &'a Problem) -> Self {
        Self {
            problem,
            loads: vec![0; problem.bins],
            held: vec![0; problem.bins * problem.kinds.len()],
            members: vec![Vec::new(); problem.bins],
        }
    }

    pub(super) fn count(&self, bin: usize, kind: usize) -> u32 {
        self.held[bin * self.problem.kinds.len() + kind]
    }

    /// How much fuller an item would make a bin.
    pub(super) fn added(&self, bin: usize, item: usize) -> u64 {
        let item = &self.problem.items[item];
        let new = item.kinds.iter().filter(|kind| self.count(bin, **kind) == 0).count() as u64;
        item.load.saturating_add(self.problem.charge.saturating_mul(new))
    }

    /// How full a bin is with the item.
    pub(super) fn with(&self, bin: usize, item: usize) -> u64 {
        self.loads[bin].saturating_add(self.added(bin, item))
    }

    /// How full a bin is without an item that it holds.
    pub(super) fn without(&self, bin: usize, item: usize) -> u64 {
        let item = &self.problem.items[item];
        let last = item.kinds.iter().filter(|kind| self.count(bin, **kind) == 1).count() as u64;
        self.loads[bin].saturating_sub(item.load.saturating_add(self.problem.charge.saturating_mul(last)))
    }

    /// How full a bin is with one item exchanged for another.
    pub(super) fn exchanged(&self, bin: usize, out: usize, into: usize) -> u64 {
        let items = &self.problem.items;
        let left = |kind: usize| self.count(bin, kind) - u32::from(items[out].kinds.contains(&kind));
        let new = items[into].kinds.iter().filter(|kind| left(**kind) == 0).count() as u64;
        self.without(bin, out).saturating_add(items[into].load).saturating_add(self.problem.charge.saturating_mul(new))
    }

    pub(super) fn put(&mut self, bin: usize, item: usize) {
        self.loads[bin] = self.with(bin, item);
        self.recount(bin, item, |count| count + 1);
        let place = self.place(bin, item);
        self.members[bin].insert(place, item);
    }

    pub(super) fn take(&mut self, bin: usize, item: usize) {
        self.loads[bin] = self.without(bin, item);
        self.recount(bin, item, |count| count - 1);
        let place = self.place(bin, item);
        self.members[bin].remove(place);
    }

    fn recount(&mut self, bin: usize, item: usize, change: impl Fn(u32) -> u32) {
        for kind in &self.problem.items[item].kinds {
            let count = &mut self.held[bin * self.problem.kinds.len() + kind];
            *count = change(*count);
        }
    }

    fn place(&self, bin: usize, item: usize) -> usize {
        let load = |index: usize| (self.problem.items[index].load, index);
        self.members[bin].partition_point(|other| load(*other) < load(item))
    }

    /// How full the fullest bin is.
    pub(super) fn fullest(&self) -> u64 {
        self.loads.iter().copied().max().unwrap_or(0)
    }

    /// Moves items to empty bins as long as another has two. No bin gets fuller than the fullest was: an item alone
    /// costs no more than it did among others.
    fn fill_empty(&mut self) {
        for bin in 0..self.problem.bins {
            if !self.members[bin].is_empty() {
                continue;
            }
            let rich = (0..self.problem.bins).filter(|bin| self.members[*bin].len() > 1);
            let Some(from) = rich.max_by_key(|bin| (self.loads[*bin], std::cmp::Reverse(*bin))) else { return };
            let Some(&item) = self.members[from].first() else { return };
            self.take(from, item);
            self.put(bin, item);
        }
    }

    /// The bin of each item.
    fn into_bins(self) -> Vec<usize> {
        let mut bins = vec![0; self.problem.items.len()];
        for (bin, members) in self.members.iter().enumerate() {
            members.iter().for_each(|item| bins[*item] = bin);
        }
        bins
    }
}

/// Puts each item into a bin. No bin is empty while another has two.
///
/// With one kind, the fullest bin is at most 4/3 - 1/(3m) as full as the best packing's, m being the number of bins: either
/// it is no fuller than that of longest-first (Graham 1969), or it is at most 2 % above what no packing can be below.
pub(super) fn pack(problem: &Problem) -> Vec<usize> {
    if problem.bins < 2 || problem.items.is_empty() {
        return vec![0; problem.items.len()];
    }
    let bound = problem.lower_bound();
    let searched = search::lowest(problem, bound);
    // Whoever asks for less than this moves tests for nothing: estimates are not that good.
    let work = bound - problem.charge.min(bound);
    let good = searched.best.fullest().max(bound + work / 100);
    let mut steady = steady::spread(problem);
    search::improve(&mut steady, good);
    let promised = searched.longest_first.min(searched.best.fullest() + searched.best.fullest() / 200);
    let mut chosen =
        if steady.fullest() <= promised.max(bound + work / 50) { steady } else { steady::renumbered(searched.best) };
    chosen.fill_empty();
    chosen.into_bins()
}
