//! Units to groups: longest processing time first (R. L. Graham, "Bounds on Multiprocessing Timing Anomalies",
//! 1969), with a charge for each further JVM profile in a group.

use std::collections::HashSet;
use testfleet_protocol::plan::{Group, Unit};
use testfleet_protocol::test::TaskPath;

/// What a group pays, in milliseconds, for each JVM profile after its first: the end of one harness JVM and
/// the start of another with its framework. A round figure: builds with a JVM for each module or class pay 0.6 to 0.9 s for each.
pub const PROFILE_SWITCH_MS: u64 = 700;

struct Bin<'a> {
    load: u64,
    profiles: HashSet<&'a TaskPath>,
    units: Vec<usize>,
}

impl Bin<'_> {
    /// The load with one unit more.
    fn with(&self, unit: &Unit) -> u64 {
        let switch = if self.units.is_empty() || self.profiles.contains(&unit.task) { 0 } else { PROFILE_SWITCH_MS };
        self.load.saturating_add(unit.estimate_ms).saturating_add(switch)
    }
}

/// Spreads units over `workers` groups. Groups are empty when there are fewer units than workers.
pub(crate) fn spread(units: &[Unit], workers: u32) -> Vec<Group> {
    let mut longest_first: Vec<usize> = (0..units.len()).filter(|index| units[*index].reused.is_none()).collect();
    longest_first.sort_by_key(|index| (std::cmp::Reverse(units[*index].estimate_ms), *index));
    // More groups than units stay empty whatever happens: no need to look at them.
    let busy = longest_first.len().min(workers as usize);
    let mut bins: Vec<Bin<'_>> =
        (0..busy).map(|_| Bin { load: 0, profiles: HashSet::new(), units: Vec::new() }).collect();
    for index in longest_first {
        let unit = &units[index];
        if let Some(bin) = bins.iter_mut().min_by_key(|bin| bin.with(unit)) {
            bin.load = bin.with(unit);
            bin.profiles.insert(&unit.task);
            bin.units.push(index);
        }
    }
    let mut groups = Vec::new();
    let mut bins = bins.into_iter();
    for number in 1..=workers {
        let (load, mut members) = bins.next().map_or((0, Vec::new()), |bin| (bin.load, bin.units));
        // A profile's units together, so that the group starts each JVM once.
        members.sort_by_key(|index| (&units[*index].task, std::cmp::Reverse(units[*index].estimate_ms), *index));
        let units = members.into_iter().map(|index| units[index].id.clone()).collect();
        groups.push(Group { number, estimate_ms: load, units });
    }
    groups
}
