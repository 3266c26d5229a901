//! A class to parts, and a test to slices of its invocations.

use super::names::{mixed, number};
use super::pack::{Item, Problem, pack};
use super::split::{Candidate, Freedom, Shares, Timed};
use testfleet_protocol::plan::{Invocations, Slice};

/// What a part costs besides the set-up of its class, in microseconds: being handed out, a filter, reports.
const PART_US: u64 = 5_000;

/// A class of which nothing is known is cut only if it has so many tests.
const HUGE_TESTS: usize = 64;

/// Slices begin at round numbers: a part of so many of a slice.
const GRID: usize = 16;

/// Some tests of a class, or some invocations of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Indexes into the candidate's tests, in order.
    pub(super) tests: Vec<usize>,
    pub(super) slice: Option<Slice>,
    /// With the set-up.
    pub(super) us: u64,
}

/// The parts of a class: one, if it stays whole.
pub(super) fn cut(class: &Candidate<'_>, shares: &Shares) -> Vec<Part> {
    match class.freedom {
        Freedom::Whole => vec![whole(class)],
        Freedom::Methods => (0..class.tests.len()).map(|test| part(class, vec![test])).collect(),
        Freedom::Parts | Freedom::PartsIfMuch => cut_if_worth(class, shares),
    }
}

fn whole(class: &Candidate<'_>) -> Part {
    part(class, (0..class.tests.len()).collect())
}

fn part(class: &Candidate<'_>, tests: Vec<usize>) -> Part {
    let us = tests.iter().map(|test| class.tests[*test].us).fold(class.setup_us, u64::saturating_add);
    Part { tests, slice: None, us }
}

fn cut_if_worth(class: &Candidate<'_>, shares: &Shares) -> Vec<Part> {
    let (all, mut limit) = (class.us(), shares.limit_us(class));
    let much = all > shares.fair_us.saturating_mul(2);
    let is_long = match (class.freedom, class.is_known()) {
        (Freedom::PartsIfMuch, _) => much,
        (_, false) => much && class.tests.len() >= HUGE_TESTS,
        _ => all > limit,
    };
    // Fewer and longer parts cost less.
    while is_long && limit < all {
        let parts = cut_to(class, limit);
        if parts.len() > 1 && is_worth(class, shares, &parts) {
            return parts;
        }
        limit = limit.saturating_add(limit / 2 + 1);
    }
    vec![whole(class)]
}

/// Whether parts gain more than they cost. A class longer than the fair share keeps the whole run waiting: there the gain
/// is what its longest part is shorter. Another is cut only to have short units at the end: that must cost next to nothing.
fn is_worth(class: &Candidate<'_>, shares: &Shares, parts: &[Part]) -> bool {
    let all = class.us();
    let cost = (class.setup_us + PART_US).saturating_mul(parts.len() as u64 - 1);
    if all <= shares.fair_us {
        return cost <= all / 20;
    }
    let longest = parts.iter().map(|part| part.us).max().unwrap_or(all).max(shares.fair_us / 2);
    let gain = all.saturating_sub(longest);
    let times = if class.freedom == Freedom::PartsIfMuch { 4 } else { 1 };
    gain > all / 32 && gain > cost.saturating_mul(times)
}

/// Parts of about `limit` microseconds or less, as far as tests can be cut.
fn cut_to(class: &Candidate<'_>, limit: u64) -> Vec<Part> {
    // Where the set-up takes most of the limit, parts get longer than that.
    let room = limit.saturating_sub(class.setup_us).max(limit / 4).max(1);
    let mut slices = Vec::new();
    let mut rest = Vec::new();
    for (index, test) in class.tests.iter().enumerate() {
        if test.us > room && !test.invocations.is_empty() {
            slices.extend(slices_of(class, index, test, room));
        } else {
            rest.push(index);
        }
    }
    let mut parts = packed(class, &rest, room);
    parts.extend(slices);
    parts
}

/// Tests in as few parts as the room asks for, about equally long.
fn packed(class: &Candidate<'_>, tests: &[usize], room: u64) -> Vec<Part> {
    if tests.is_empty() {
        return Vec::new();
    }
    // A test that is longer than the room has a part of its own, whatever the others have.
    let (long, short): (Vec<usize>, Vec<usize>) = tests.iter().partition(|test| class.tests[**test].us > room);
    let short_sum = short.iter().map(|test| class.tests[*test].us).fold(0, u64::saturating_add);
    let parts = long.len() as u64 + short_sum.div_ceil(room).max(u64::from(!short.is_empty()));
    let parts = usize::try_from(parts).unwrap_or(usize::MAX).clamp(1, tests.len());
    let names = [class.task.0.as_str(), class.class.class.as_str()];
    let item = |test: &usize| {
        let name = class.tests[*test].name;
        let key = number([name.class.as_str(), name.method.as_str()]);
        Item { load: class.tests[*test].us, key, kinds: vec![0] }
    };
    let items = tests.iter().map(item).collect();
    let bins = pack(&Problem { items, bins: parts, charge: class.setup_us, kinds: vec![mixed(number(names))] });
    let of_part = |bin: usize| {
        let members = tests.iter().zip(&bins).filter(|(_, of)| **of == bin).map(|(test, _)| *test);
        part(class, members.collect())
    };
    (0..parts).map(of_part).filter(|part| !part.tests.is_empty()).collect()
}

/// Ranges of a test's invocations that take about equally long. The last has no end, so that no invocation is left out
/// however many there are when it runs.
fn slices_of(class: &Candidate<'_>, index: usize, test: &Timed<'_>, room: u64) -> Vec<Part> {
    let all = &test.invocations;
    // What the test takes beyond its invocations counts for each in equal parts.
    let sum = all.iter().copied().fold(0, u64::saturating_add);
    let each = test.us.saturating_sub(sum) / all.len() as u64;
    let us = |invocation: &u64| invocation.saturating_add(each);
    let total = all.iter().map(us).fold(0, u64::saturating_add);
    let wanted = total.div_ceil(room).clamp(1, all.len() as u64);
    let grid = (all.len() / (wanted as usize * GRID)).max(1);
    let mut ends: Vec<usize> = Vec::new();
    let mut reached = 0_u64;
    for (at, invocation) in all.iter().enumerate() {
        reached = reached.saturating_add(us(invocation));
        let end = (at + 1).next_multiple_of(grid);
        let goal = total / wanted * (ends.len() as u64 + 1);
        if reached >= goal && ends.last().is_none_or(|last| end > *last) && end < all.len() {
            ends.push(end);
        }
    }
    ends.push(all.len());
    let of = ends.len() as u32;
    let mut from = 0;
    let mut slices = Vec::new();
    for (number, end) in (1..).zip(ends) {
        let work = all[from..end].iter().map(us).fold(class.setup_us, u64::saturating_add);
        let to = (number < of).then_some(end as u32);
        let slice = Slice { number, of, invocations: Invocations { from: from as u32 + 1, to } };
        slices.push(Part { tests: vec![index], slice: (of > 1).then_some(slice), us: work });
        from = end;
    }
    slices
}
