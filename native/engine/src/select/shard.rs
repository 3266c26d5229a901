//! `--shard 2/5`: one of several parts of all tests, each for a machine of its own.

use crate::plan;
use testfleet_protocol::plan::{Shard, Unit};

/// The units of one part. All parts together hold every unit once, as long as all machines have equal units: equal
/// code, options and timings.
///
/// The parts are the groups that a plan for so many workers would have, so that all machines take about as long.
pub(crate) fn part(units: Vec<Unit>, shard: Shard, jvm_start_ms: u64) -> Vec<Unit> {
    let groups = plan::spread(&units, shard.of, jvm_start_ms);
    let Some(group) = groups.into_iter().find(|group| group.number == shard.number) else { return Vec::new() };
    let wanted: std::collections::HashSet<_> = group.units.into_iter().collect();
    units.into_iter().filter(|unit| wanted.contains(&unit.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use testfleet_protocol::plan::UnitId;
    use testfleet_protocol::test::TaskPath;

    fn units() -> impl Strategy<Value = Vec<Unit>> {
        prop::collection::vec((0..3u8, 1..5_000u64), 0..60).prop_map(|units| {
            let unit = |(index, (task, estimate_ms)): (usize, &(u8, u64))| Unit {
                id: UnitId(format!("u{}", index + 1)),
                task: TaskPath(format!(":m{task}:test")),
                estimate_ms: *estimate_ms,
                ..Unit::default()
            };
            units.iter().enumerate().map(unit).collect()
        })
    }

    proptest! {
        #[test]
        fn the_parts_hold_every_unit_once(units in units(), of in 1..9u32) {
            let mut all: Vec<UnitId> = (1..=of)
                .flat_map(|number| part(units.clone(), Shard { number, of }, 700))
                .map(|unit| unit.id)
                .collect();
            all.sort();
            let mut expected: Vec<UnitId> = units.iter().map(|unit| unit.id.clone()).collect();
            expected.sort();
            prop_assert_eq!(all, expected);
        }
    }
}
