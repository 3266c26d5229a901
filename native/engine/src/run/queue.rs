//! The units that wait for a worker, and the rule by which they are handed out.
//!
//! The rule is described in docs/run.md. It is a pure function of what waits and of which profiles the workers
//! serve, so that equal histories give equal choices.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// What starting a JVM for another profile costs, in milliseconds. Moving a worker must promise more than this.
const SWITCH_MS: u64 = 1_000;

/// Most estimated work, in milliseconds, that may wait at a worker behind the unit that runs there.
const PREFETCH_MS: u64 = 200;

/// Most units that may wait at a worker behind the one that runs there.
const PREFETCH_UNITS: usize = 32;

/// Place of a waiting unit in its profile's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    /// 0 for what was handed back, 1 for the others; always 0 in a fixed order.
    rank: u8,
    /// Longest first; equal for all in a fixed order.
    length: Reverse<u64>,
    /// Index of the unit in the job.
    unit: usize,
    /// Estimate in milliseconds, at least 1; says nothing about the place.
    estimate_ms: u64,
}

/// One profile's line.
#[derive(Debug, Clone, Default, PartialEq)]
struct Line {
    tickets: BTreeSet<Ticket>,
    backlog_ms: u64,
}

/// All units that wait, one line per profile.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waiting {
    fixed: bool,
    lines: Vec<Line>,
    units: usize,
    backlog_ms: u64,
}

impl Waiting {
    /// Empty lines. In a `fixed` order the unit with the lowest index is always the next.
    pub(super) fn new(profiles: usize, fixed: bool) -> Self {
        Self { fixed, lines: vec![Line::default(); profiles], units: 0, backlog_ms: 0 }
    }

    /// Puts a unit in line and returns its ticket.
    pub(super) fn push(&mut self, profile: usize, unit: usize, estimate_ms: u64, handed_back: bool) -> Ticket {
        let estimate_ms = estimate_ms.max(1);
        let ticket = if self.fixed {
            Ticket { rank: 0, length: Reverse(0), unit, estimate_ms }
        } else {
            Ticket { rank: u8::from(!handed_back), length: Reverse(estimate_ms), unit, estimate_ms }
        };
        if self.lines[profile].tickets.insert(ticket) {
            self.lines[profile].backlog_ms += estimate_ms;
            self.units += 1;
            self.backlog_ms += estimate_ms;
        }
        ticket
    }

    /// Takes a unit out of its line.
    pub(super) fn remove(&mut self, profile: usize, ticket: &Ticket) {
        let line = &mut self.lines[profile];
        if line.tickets.remove(ticket) {
            line.backlog_ms -= ticket.estimate_ms;
            self.units -= 1;
            self.backlog_ms -= ticket.estimate_ms;
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// The units of one profile in their order.
    pub(super) fn of_profile(&self, profile: usize) -> impl Iterator<Item = usize> + '_ {
        self.lines[profile].tickets.iter().map(|ticket| ticket.unit)
    }

    /// The unit for a worker with empty hands.
    ///
    /// `live` is the profile of the worker's JVM, `servers[profile]` how many workers serve a profile, this one
    /// included.
    pub(super) fn next(&self, live: Option<usize>, servers: &[u64]) -> Option<usize> {
        if self.fixed {
            return self.lines.iter().filter_map(|line| line.tickets.first()).min().map(|ticket| ticket.unit);
        }
        let neediest = (0..self.lines.len())
            .filter(|&profile| Some(profile) != live && !self.lines[profile].tickets.is_empty())
            .max_by_key(|&profile| (self.share(profile, servers[profile] + 1), Reverse(profile)));
        let chosen = match (live.filter(|&live| !self.lines[live].tickets.is_empty()), neediest) {
            (Some(live), Some(other)) => {
                let leave = self.share(other, servers[other] + 1) > self.share(live, servers[live].max(1)) + SWITCH_MS;
                if leave { other } else { live }
            }
            (Some(profile), None) | (None, Some(profile)) => profile,
            (None, None) => return None,
        };
        self.lines[chosen].tickets.first().map(|ticket| ticket.unit)
    }

    /// A unit to wait at a worker behind what it has: the longest that fits, of the profile that is live there, so that
    /// no round trip idles the worker and no unit of weight is stuck behind a long one.
    ///
    /// `held` are the estimates of what waits there already.
    pub(super) fn prefetch(&self, live: usize, held: &[u64], workers: u64) -> Option<usize> {
        if held.len() >= PREFETCH_UNITS {
            return None;
        }
        let share = self.backlog_ms / (2 * workers.max(1));
        let room = PREFETCH_MS.min(share).checked_sub(held.iter().sum())?;
        if self.fixed {
            let next = self.lines.iter().filter_map(|line| line.tickets.first()).min()?;
            return (self.lines[live].tickets.contains(next) && next.estimate_ms <= room).then_some(next.unit);
        }
        let line = &self.lines[live].tickets;
        let fits = |rank| {
            let longest = Ticket { rank, length: Reverse(room), unit: 0, estimate_ms: 0 };
            let end = Ticket { rank: rank + 1, length: Reverse(u64::MAX), unit: 0, estimate_ms: 0 };
            line.range(longest..end).next()
        };
        fits(0).or_else(|| fits(1)).map(|ticket| ticket.unit)
    }

    fn share(&self, profile: usize, workers: u64) -> u64 {
        self.lines[profile].backlog_ms / workers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(units: &[(usize, u64)]) -> Waiting {
        let profiles = units.iter().map(|(profile, _)| profile + 1).max().unwrap_or(0);
        let mut waiting = Waiting::new(profiles, false);
        for (unit, (profile, estimate)) in units.iter().enumerate() {
            waiting.push(*profile, unit, *estimate, false);
        }
        waiting
    }

    #[test]
    fn the_longest_comes_first_and_what_was_handed_back_before_it() {
        let mut waiting = waiting(&[(0, 10), (0, 500), (0, 40)]);
        assert_eq!(waiting.next(None, &[0]), Some(1));
        waiting.push(0, 7, 5, true);
        assert_eq!(waiting.next(Some(0), &[1]), Some(7));
    }

    #[test]
    fn a_worker_stays_with_its_profile_while_that_is_no_loss() {
        let waiting = waiting(&[(0, 600), (1, 1_500)]);
        assert_eq!(waiting.next(Some(0), &[1, 0]), Some(0));
    }

    #[test]
    fn a_worker_leaves_for_a_backlog_that_outweighs_a_new_jvm() {
        let waiting = waiting(&[(0, 600), (1, 9_000)]);
        assert_eq!(waiting.next(Some(0), &[2, 0]), Some(1));
        assert_eq!(waiting.next(Some(0), &[1, 9]), Some(0), "others serve it already");
    }

    #[test]
    fn a_worker_without_a_profile_takes_the_largest_share() {
        let waiting = waiting(&[(0, 9_000), (1, 5_000)]);
        assert_eq!(waiting.next(None, &[0, 0]), Some(0));
        assert_eq!(waiting.next(None, &[1, 0]), Some(1));
    }

    #[test]
    fn a_unit_of_weight_never_waits_behind_another() {
        let waiting = waiting(&[(0, 90_000), (0, 5_000), (0, 150), (0, 120), (0, 30)]);
        assert_eq!(waiting.prefetch(0, &[], 2), Some(2));
        assert_eq!(waiting.prefetch(0, &[150], 2), Some(4), "120 no longer fits into 200");
        assert_eq!(waiting.prefetch(0, &[150, 30, 20], 2), None);
    }

    #[test]
    fn at_the_end_little_is_fetched_ahead() {
        let waiting = waiting(&[(0, 60), (0, 20)]);
        assert_eq!(waiting.prefetch(0, &[], 2), Some(1), "a quarter of 80 ms is 20 ms");
        assert_eq!(waiting.prefetch(0, &[], 8), None);
    }

    #[test]
    fn a_fixed_order_is_kept_across_profiles() {
        let mut waiting = Waiting::new(2, true);
        let tickets: Vec<_> = [(1, 0, 5), (0, 1, 900), (1, 2, 70)]
            .map(|(profile, unit, estimate)| (profile, waiting.push(profile, unit, estimate, false)))
            .into();
        assert_eq!(waiting.next(Some(0), &[1, 0]), Some(0));
        waiting.remove(1, &tickets[0].1);
        assert_eq!(waiting.next(Some(1), &[0, 1]), Some(1));
        assert_eq!(waiting.prefetch(1, &[], 1), None, "the next is of another profile");
        waiting.push(1, 0, 5, true);
        assert_eq!(waiting.next(Some(0), &[1, 0]), Some(0), "handed back to its place");
    }
}
