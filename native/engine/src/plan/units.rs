//! Discovered classes to units.

use super::durations::Durations;
use super::estimate::LONGEST_MS;
use super::order::{self, Fate};
use super::parts::{self, Part};
use super::split::{Candidate, Shares, candidates};
use crate::discover::{Discovery, FoundBy};
use testfleet_protocol::Result;
use testfleet_protocol::plan::{EstimateSource, Unit, UnitId};
use testfleet_protocol::request::Options;

/// All units, numbered in the order of task, class, first method and slice.
///
/// # Errors
/// `InvalidRequest` for patterns that can match nothing and constraints that contradict each other.
pub(super) fn make(discovery: &Discovery, durations: &dyn Durations, options: &Options) -> Result<Vec<Unit>> {
    let candidates = candidates(discovery, durations, options)?;
    let shares = Shares::of(&candidates, options);
    let mut units = Vec::new();
    let mut fates = Vec::new();
    for class in &candidates {
        let mut parts = parts::cut(class, &shares);
        parts.sort_by_key(|part| (part.tests.clone(), part.slice.map(|slice| slice.number)));
        let is_whole = parts.len() == 1;
        for part in parts {
            let mut fate = Fate::default();
            for test in &part.tests {
                fate.failed |= durations.failed_recently(class.task, class.tests[*test].name);
                fate.new |= durations.is_new(class.task, class.tests[*test].name);
            }
            let id = UnitId(format!("u{}", units.len() + 1));
            units.push(unit(id, class, part, is_whole));
            fates.push(fate);
        }
    }
    order::rank(&mut units, &fates, &options.order);
    Ok(units)
}

fn unit(id: UnitId, class: &Candidate<'_>, part: Part, is_whole: bool) -> Unit {
    let known = part.tests.iter().filter(|test| class.tests[**test].known).count();
    Unit {
        id,
        task: class.task.clone(),
        class: class.class.class.clone(),
        whole_class: is_whole && class.class.whole_class,
        plain_names: class.class.framework != FoundBy::Jupiter,
        estimate_ms: part.us.div_ceil(1000).clamp(1, LONGEST_MS),
        estimate_source: match known {
            0 => EstimateSource::Guess,
            all if all == part.tests.len() => EstimateSource::Timings,
            _ => EstimateSource::Partly,
        },
        asked: class.class.asked,
        tests: part.tests.into_iter().map(|test| class.tests[test].name.clone()).collect(),
        slice: part.slice,
        together: class.bonds.together.clone(),
        locks: class.bonds.locks.clone(),
        ..Unit::default()
    }
}
