//! A packing that stays: where an item goes is decided by its name as far as there is room.
//!
//! Each item prefers bins in an order of its own (rendezvous hashing: D. G. Thaler, C. V. Ravishankar, "Using Name-Based Mappings
//! to Increase Hit Rates", IEEE/ACM Trans. Networking 6(1), 1998) and goes to the first of them with room, bins being only
//! a little larger than the mean (V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018).
//! One item more, or somewhat other sizes, change the choice of those few that find another bin full.

use super::names::mixed;
use super::pack::{Bins, Item, Problem};
use std::cmp::Reverse;
use std::collections::HashSet;

/// How much room a bin has above the mean: one part of so many.
const ROOM: u64 = 100;

/// What is smaller than one part of so many of the mean is dust: so little that it need not make bins even.
const DUST: u64 = 32;

/// Items by name, as far as there is room: what needs a bin for itself, then dust, evenly over the others, then the rest. Most
/// tests are dust. Put last it would fill what the others leave, and go elsewhere as soon as one of them changes.
pub(super) fn spread(problem: &Problem) -> Bins<'_> {
    let mut bins = Bins::new(problem);
    let (level, giants) = level(problem);
    let size = level + level / ROOM;
    let open = opened(problem, size);
    let load = |item: &usize| problem.items[*item].load;
    let is_dust = |item: &usize| problem.kinds.len() < 2 && load(item) <= level / DUST;
    let order = large_first(problem);
    let (dust, others): (Vec<usize>, Vec<usize>) = order.into_iter().partition(is_dust);
    let (large, rest): (Vec<usize>, Vec<usize>) = others.into_iter().partition(|item| giants.contains(item));
    large.into_iter().for_each(|item| put(&mut bins, &open, item, size));
    let free = problem.bins.saturating_sub(giants.len()).max(1) as u64;
    let sum = dust.iter().map(load).fold(0, u64::saturating_add);
    let most = dust.first().map_or(0, load);
    let dust_size = (sum / free).saturating_add(sum / free / ROOM).saturating_add(problem.charge).saturating_add(most);
    dust.into_iter().for_each(|item| put(&mut bins, &open, item, dust_size.min(size)));
    rest.into_iter().for_each(|item| put(&mut bins, &open, item, size));
    bins
}

/// Puts an item into the bin that it prefers of those that have room in `size`.
fn put(bins: &mut Bins<'_>, open: &[bool], item: usize, size: u64) {
    let problem = bins.problem;
    let Item { kinds, key, .. } = &problem.items[item];
    let is_open = |bin: &usize| kinds.iter().all(|kind| open[bin * problem.kinds.len() + kind]);
    let fits = |bin: &usize| bins.with(*bin, item) <= size;
    let all = || 0..problem.bins;
    let preferred = |bin: &usize| preference(*key, *bin);
    let bin = all()
        .filter(is_open)
        .filter(fits)
        .max_by_key(preferred)
        .or_else(|| all().filter(fits).max_by_key(preferred))
        .or_else(|| all().min_by_key(|bin| (bins.with(*bin, item), Reverse(preferred(bin)))));
    if let Some(bin) = bin {
        bins.put(bin, item);
    }
}

/// The same packing with bins numbered by the preference of the largest item in each, so that bins that hold much the
/// same have the same number in the next plan.
pub(super) fn renumbered(bins: Bins<'_>) -> Bins<'_> {
    let problem = bins.problem;
    let mut packed = Bins::new(problem);
    let mut by_largest: Vec<&Vec<usize>> = bins.members.iter().filter(|members| !members.is_empty()).collect();
    let load = |item: usize| problem.items[item].load;
    by_largest
        .sort_by_key(|members| members.last().map(|item| (Reverse(load(*item)), problem.items[*item].key, *item)));
    for members in by_largest {
        let Some(largest) = members.last() else { continue };
        let key = problem.items[*largest].key;
        let free = (0..problem.bins).filter(|bin| packed.members[*bin].is_empty());
        if let Some(bin) = free.max_by_key(|bin| preference(key, *bin)) {
            members.iter().for_each(|item| packed.put(bin, *item));
        }
    }
    packed
}

fn preference(key: u64, bin: usize) -> u64 {
    mixed(key ^ mixed(bin as u64 + 1))
}

/// Large items first, by powers of two that lie elsewhere for each name: a size that changes a little changes few places.
fn large_first(problem: &Problem) -> Vec<usize> {
    let mut order: Vec<usize> = (0..problem.items.len()).collect();
    order.sort_by_key(|&index| {
        let item = &problem.items[index];
        let scaled = u128::from(item.load) * u128::from(256 + item.key % 256);
        (scaled.leading_zeros(), item.key, index)
    });
    order
}

/// How full bins are when those that have one too large item have nothing else, with the charges; and those items.
fn level(problem: &Problem) -> (u64, HashSet<usize>) {
    let mut rest: u64 = problem.items.iter().map(|item| item.load).fold(0, u64::saturating_add);
    let mut bins = problem.bins as u64;
    let mut giants = HashSet::new();
    for item in problem.largest_first() {
        let load = problem.items[item].load;
        if bins < 2 || load < rest.div_ceil(bins) {
            break;
        }
        rest -= load.min(rest);
        bins -= 1;
        giants.insert(item);
    }
    let charges = (problem.kinds.len() as u64).div_ceil(problem.bins as u64).max(1);
    (rest.div_ceil(bins).saturating_add(problem.charge.saturating_mul(charges)), giants)
}

/// The bins in which each kind is at home: as many as it fills, by its name as far as there is room for it.
fn opened(problem: &Problem, size: u64) -> Vec<bool> {
    let kinds = problem.kinds.len();
    if kinds < 2 {
        return vec![true; problem.bins * kinds];
    }
    let mut totals = vec![0_u64; kinds];
    for item in &problem.items {
        item.kinds.iter().for_each(|kind| totals[*kind] = totals[*kind].saturating_add(item.load));
    }
    let mut largest_first: Vec<usize> = (0..kinds).collect();
    largest_first.sort_by_key(|kind| (Reverse(totals[*kind]), problem.kinds[*kind]));
    let mut open = vec![false; problem.bins * kinds];
    let mut reserved = vec![0_u64; problem.bins];
    for kind in largest_first {
        let room = size.saturating_sub(problem.charge).max(1);
        let shares = totals[kind].div_ceil(room).clamp(1, problem.bins as u64);
        let share = totals[kind] / shares + problem.charge;
        for _ in 0..shares {
            let closed = || (0..problem.bins).filter(|bin| !open[bin * kinds + kind]);
            let fits = |bin: &usize| reserved[*bin].saturating_add(share) <= size;
            let bin = closed()
                .filter(fits)
                .max_by_key(|bin| preference(problem.kinds[kind], *bin))
                .or_else(|| closed().min_by_key(|bin| (reserved[*bin], *bin)));
            if let Some(bin) = bin {
                open[bin * kinds + kind] = true;
                reserved[bin] = reserved[bin].saturating_add(share);
            }
        }
    }
    open
}
