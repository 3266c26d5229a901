//! Packings with a low fullest bin.
//!
//! Three constructions, the best of which is improved step by step:
//! - longest first (LPT): R. L. Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM J. Appl. Math. 17(2), 1969: at
//!   most 4/3 - 1/(3m) of the optimum.
//! - SLACK: F. Della Croce, R. Scatamacchia, "The Longest Processing Time rule for identical parallel machines revisited",
//!   J. Scheduling 23, 2020, doi:10.1007/s10951-018-0597-6: longest first, but in tuples of m by how much their sizes differ.
//! - MULTIFIT: E. G. Coffman, M. R. Garey, D. S. Johnson, "An Application of Bin-Packing to Multiprocessor Scheduling", SIAM
//!   J. Comput. 7(1), 1978: first fit into bins of the smallest size that suffices, found by bisection.
//!
//! Then items of the fullest bin are moved to, or exchanged with smaller ones of, the emptiest bins while that makes the
//! fuller of both less full than it was: a descent, so it ends.

use super::pack::{Bins, Problem};
use std::cmp::Reverse;

/// Bisections of MULTIFIT; its authors' bound of 1.22 + 2^-k is as good as reached with 7.
const BISECTIONS: u32 = 10;

/// MULTIFIT looks at each bin for each item, several times: beyond this product longest first is as good, because there
/// are many items for each bin.
const MULTIFIT_UP_TO: usize = 2_000_000;

/// How many of the emptiest bins are looked at in one step.
const OTHERS: usize = 16;

/// How many pairs of an item and a bin are looked at in all.
const LOOKS: usize = 1_500_000;

/// What the search came to.
pub(super) struct Searched<'a> {
    pub(super) best: Bins<'a>,
    /// The fullest bin of longest first, to which the bound of the whole refers.
    pub(super) longest_first: u64,
}

/// A packing with a low fullest bin, never above that of longest first.
pub(super) fn lowest<'a>(problem: &'a Problem, bound: u64) -> Searched<'a> {
    let order = problem.largest_first();
    let mut best = in_order(problem, &order);
    let longest_first = best.fullest();
    // A thousandth is less than what a millisecond of an estimate is worth.
    let enough = bound + (bound - problem.charge.min(bound)) / 1_000;
    if longest_first > enough {
        let other = in_order(problem, &by_slack(problem, &order));
        best = if other.fullest() < longest_first { other } else { best };
    }
    if best.fullest() > enough && problem.items.len().saturating_mul(problem.bins) <= MULTIFIT_UP_TO {
        best = multifit(problem, &order, bound, best.fullest() - 1).unwrap_or(best);
    }
    improve(&mut best, enough);
    Searched { best, longest_first }
}

/// Each item to the bin that is then the least full.
fn in_order<'a>(problem: &'a Problem, order: &[usize]) -> Bins<'a> {
    let mut bins = Bins::new(problem);
    for &item in order {
        if let Some(bin) = (0..problem.bins).min_by_key(|bin| (bins.with(*bin, item), *bin)) {
            bins.put(bin, item);
        }
    }
    bins
}

fn by_slack(problem: &Problem, largest_first: &[usize]) -> Vec<usize> {
    let load = |item: usize| problem.items[item].load;
    let mut tuples: Vec<&[usize]> = largest_first.chunks(problem.bins).collect();
    tuples.sort_by_key(|tuple| {
        let last = if tuple.len() == problem.bins { load(tuple[tuple.len() - 1]) } else { 0 };
        Reverse(load(tuple[0]) - last)
    });
    tuples.concat()
}

fn multifit<'a>(problem: &'a Problem, largest_first: &[usize], bound: u64, reached: u64) -> Option<Bins<'a>> {
    let (mut low, mut high) = (bound, reached);
    let mut best = None;
    for _ in 0..BISECTIONS {
        if low >= high {
            break;
        }
        let size = low + (high - low) / 2;
        match first_fit(problem, largest_first, size) {
            Some(bins) => {
                high = size;
                best = Some(bins);
            }
            None => low = size + 1,
        }
    }
    best
}

/// Each item to the first bin with room that is not charged for it, else to the first with room.
fn first_fit<'a>(problem: &'a Problem, order: &[usize], size: u64) -> Option<Bins<'a>> {
    let mut bins = Bins::new(problem);
    for &item in order {
        let fits = |bin: &usize| bins.with(*bin, item) <= size;
        let free = |bin: &usize| bins.added(*bin, item) == problem.items[item].load;
        let bin = (0..problem.bins).filter(free).find(fits).or_else(|| (0..problem.bins).find(fits))?;
        bins.put(bin, item);
    }
    Some(bins)
}

/// One step of the improvement.
#[derive(Debug, Clone, Copy)]
struct Step {
    item: usize,
    to: usize,
    back: Option<usize>,
}

/// Makes the fullest bin less full, until it is no fuller than `goal` or no step helps.
pub(super) fn improve(bins: &mut Bins<'_>, goal: u64) {
    let mut looks = 0;
    while looks < LOOKS {
        looks += 1;
        let Some(fullest) = (0..bins.loads.len()).max_by_key(|bin| (bins.loads[*bin], Reverse(*bin))) else { return };
        if bins.loads[fullest] <= goal {
            return;
        }
        let Some(step) = best_step(bins, fullest, &mut looks) else { return };
        bins.take(fullest, step.item);
        if let Some(back) = step.back {
            bins.take(step.to, back);
            bins.put(fullest, back);
        }
        bins.put(step.to, step.item);
    }
}

fn best_step(bins: &Bins<'_>, fullest: usize, looks: &mut usize) -> Option<Step> {
    let mut others: Vec<usize> = (0..bins.loads.len()).filter(|bin| *bin != fullest).collect();
    others.sort_by_key(|bin| (bins.loads[*bin], *bin));
    others.truncate(OTHERS);
    let mut best: Option<(u64, Step)> = None;
    let mut offer = |worst: u64, step: Step| {
        if worst < best.as_ref().map_or(bins.loads[fullest], |(least, _)| *least) {
            best = Some((worst, step));
        }
    };
    let load = |item: usize| bins.problem.items[item].load;
    for to in others {
        let half = (bins.loads[fullest] - bins.loads[to]) / 2;
        let mut before = None;
        for &item in &bins.members[fullest] {
            // Items of equal load and kind make equal steps.
            let same = before == Some((load(item), &bins.problem.items[item].kinds));
            before = Some((load(item), &bins.problem.items[item].kinds));
            if same {
                continue;
            }
            *looks += 1;
            offer(bins.without(fullest, item).max(bins.with(to, item)), Step { item, to, back: None });
            let wanted = load(item).saturating_sub(half);
            let near = bins.members[to].partition_point(|other| load(*other) < wanted);
            for &back in bins.members[to].iter().skip(near.saturating_sub(1)).take(3) {
                let worst = bins.exchanged(fullest, item, back).max(bins.exchanged(to, back, item));
                offer(worst, Step { item, to, back: Some(back) });
            }
        }
    }
    best.map(|(_, step)| step)
}
