//! What is handed out first.

use std::cmp::Reverse;
use testfleet_protocol::plan::Unit;
use testfleet_protocol::request::OrderKey;

/// What the order asks of a unit's tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// One of them did not pass lately.
    pub(super) failed: bool,
    /// One of them never ran.
    pub(super) new: bool,
}

/// A unit's place by one key; smaller is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Late(bool),
    Longest(Reverse<u64>),
    Shortest(u64),
    Index(usize),
}

/// Gives units their rank. `fates` has one for each unit; units are in the order of task, class and method.
///
/// Ranks are as few as the keys allow: within one rank the longest unit is handed out first, and of equal length the first
/// by name, so that the last `longest`, with or without `name` behind it, needs no rank of its own.
pub(super) fn rank(units: &mut [Unit], fates: &[Fate], keys: &[OrderKey]) {
    let keys = match keys {
        [first @ .., OrderKey::Longest, OrderKey::Name] | [first @ .., OrderKey::Longest] => first,
        keys => keys,
    };
    let place = |index: usize, unit: &Unit, key: &OrderKey| match key {
        OrderKey::Failed => Place::Late(!fates[index].failed),
        OrderKey::New => Place::Late(!fates[index].new),
        OrderKey::Longest => Place::Longest(Reverse(unit.estimate_ms)),
        OrderKey::Shortest => Place::Shortest(unit.estimate_ms),
        OrderKey::Name => Place::Index(index),
    };
    let places: Vec<Vec<Place>> = units
        .iter()
        .enumerate()
        .map(|(index, unit)| keys.iter().map(|key| place(index, unit, key)).collect())
        .collect();
    let mut ranks: Vec<&Vec<Place>> = places.iter().collect();
    ranks.sort();
    ranks.dedup();
    for (unit, place) in units.iter_mut().zip(&places) {
        unit.rank = ranks.binary_search(&place).map_or(0, |rank| u32::try_from(rank).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(keys: &[OrderKey]) -> Vec<u32> {
        let fate = |failed, new| Fate { failed, new };
        let fates = [fate(false, false), fate(false, true), fate(true, false), fate(true, true), fate(false, false)];
        let mut units: Vec<Unit> =
            [50, 10, 30, 30, 40].map(|estimate_ms| Unit { estimate_ms, ..Unit::default() }).into();
        rank(&mut units, &fates, keys);
        units.iter().map(|unit| unit.rank).collect()
    }

    #[test]
    fn keys_count_one_after_another() {
        use OrderKey::{Failed, Longest, Name, New, Shortest};
        assert_eq!(ranks(&OrderKey::USUAL), [3, 2, 1, 0, 3]);
        assert_eq!(ranks(&[New, Longest, Name]), [1, 0, 1, 0, 1]);
        assert_eq!(ranks(&[Longest]), [0; 5], "within a rank the longest goes first anyway");
        assert_eq!(ranks(&[]), [0; 5]);
        assert_eq!(ranks(&[Shortest]), [3, 0, 1, 1, 2]);
        assert_eq!(ranks(&[Name]), [0, 1, 2, 3, 4]);
        assert_eq!(ranks(&[Failed, Name]), [2, 3, 0, 1, 4]);
        assert_eq!(ranks(&[Longest, New]), [0, 4, 3, 2, 1]);
    }
}
