//! Units to groups: which units must share one, which group each gets, and in which order a group runs.

use super::names::number;
use super::pack::{Item, Problem, pack};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use testfleet_protocol::plan::{Group, Lock, Unit};
use testfleet_protocol::test::TaskPath;

/// What a group pays, in milliseconds, for each JVM that it starts, one for each JVM profile, when no run told it. A round
/// figure: builds with a JVM for each module or class pay 0.6 to 0.9 s for each.
pub const PROFILE_SWITCH_MS: u64 = 700;

/// Spreads the units that are to run over `workers` groups, each of which pays `jvm_start_ms` for each JVM that it starts.
/// With fewer units than workers some groups are empty.
pub(crate) fn spread(units: &[Unit], workers: u32, jvm_start_ms: u64) -> Vec<Group> {
    let blocks = blocks(units);
    let mut tasks: Vec<&TaskPath> = units.iter().map(|unit| &unit.task).collect();
    tasks.sort();
    tasks.dedup();
    let item = |block: &Vec<usize>| {
        let of_block = || block.iter().map(|index| &units[*index]);
        let mut kinds: Vec<usize> = of_block().filter_map(|unit| tasks.binary_search(&&unit.task).ok()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let load = of_block().map(|unit| unit.estimate_ms).fold(0, u64::saturating_add);
        Item { load, key: of_block().next().map_or(0, key), kinds }
    };
    let problem = Problem {
        items: blocks.iter().map(item).collect(),
        // More groups than blocks stay empty whatever happens: no need to look at them.
        bins: blocks.len().min(workers as usize).max(1),
        charge: jvm_start_ms,
        kinds: tasks.iter().map(|task| number([task.0.as_str()])).collect(),
    };
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); problem.bins];
    for (block, bin) in blocks.iter().zip(pack(&problem)) {
        members[bin].extend(block);
    }
    let mut members = members.into_iter();
    let group = |number: u32| {
        let order = in_order(units, members.next().unwrap_or_default());
        let work = order.iter().map(|index| units[*index].estimate_ms).fold(0, u64::saturating_add);
        let starts = order.chunk_by(|one, next| units[*one].task == units[*next].task).count() as u64;
        Group {
            number,
            estimate_ms: work.saturating_add(starts.saturating_mul(jvm_start_ms)),
            units: order.into_iter().map(|index| units[index].id.clone()).collect(),
        }
    };
    (1..=workers).map(group).collect()
}

/// A number for what a unit runs, whatever its place in the plan.
fn key(unit: &Unit) -> u64 {
    let (class, method) = unit.tests.first().map_or(("", ""), |test| (test.class.as_str(), test.method.as_str()));
    let slice = unit.slice.map_or(String::new(), |slice| slice.number.to_string());
    number([unit.task.0.as_str(), unit.class.as_str(), class, method, slice.as_str()])
}

/// Units that must share a group: those that run together, and those that want the same resource, if one of them wants
/// it for itself. Groups know nothing of each other, so a lock between them would be none.
fn blocks(units: &[Unit]) -> Vec<Vec<usize>> {
    let mut of: Vec<usize> = (0..units.len()).collect();
    let mut first_of: HashMap<(bool, &str), usize> = HashMap::new();
    let locks = || units.iter().flat_map(|unit| &unit.locks).filter(|lock| lock.exclusive);
    let exclusive: std::collections::HashSet<&str> = locks().map(|lock| lock.resource.as_str()).collect();
    for (index, unit) in units.iter().enumerate().filter(|(_, unit)| unit.reused.is_none()) {
        let wanted = unit.locks.iter().map(|lock: &Lock| lock.resource.as_str());
        let bonds = wanted.filter(|resource| exclusive.contains(resource)).map(|resource| (false, resource));
        for bond in bonds.chain(unit.together.as_deref().map(|name| (true, name))) {
            let other = *first_of.entry(bond).or_insert(index);
            let (one, other) = (root(&of, index), root(&of, other));
            of[one.max(other)] = one.min(other);
        }
    }
    let mut blocks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in (0..units.len()).filter(|index| units[*index].reused.is_none()) {
        blocks.entry(root(&of, index)).or_default().push(index);
    }
    blocks.into_values().collect()
}

/// Whom a unit is bound to: the first of them all. Each points to an earlier one.
fn root(of: &[usize], mut index: usize) -> usize {
    while of[index] != index {
        index = of[index];
    }
    index
}

/// The order in which a group runs: each JVM profile's units one after another, so that its JVM starts once; in a
/// profile by rank, then longest first; what runs together side by side.
fn in_order(units: &[Unit], members: Vec<usize>) -> Vec<usize> {
    let mut chains: BTreeMap<(bool, String), Vec<usize>> = BTreeMap::new();
    for index in members {
        let name = match &units[index].together {
            Some(name) => (true, name.clone()),
            None => (false, units[index].id.0.clone()),
        };
        chains.entry(name).or_default().push(index);
    }
    let urgency = |chain: &[usize]| {
        let of_chain = || chain.iter().map(|index| &units[*index]);
        let rank = of_chain().map(|unit| unit.rank).min();
        let length = of_chain().map(|unit| unit.estimate_ms).fold(0, u64::saturating_add);
        (rank, Reverse(length), chain.first().copied())
    };
    let mut chains: Vec<Vec<usize>> = chains.into_values().collect();
    chains.iter_mut().for_each(|chain| chain.sort_by_key(|index| (&units[*index].task, *index)));
    chains.sort_by_key(|chain| urgency(chain));
    let tasks_of = |chain: &[usize]| chain.chunk_by(|one, next| units[*one].task == units[*next].task).count();
    let (single, several): (Vec<_>, Vec<_>) = chains.into_iter().partition(|chain| tasks_of(chain) == 1);
    // The profile with the most urgent unit first.
    let mut by_task: BTreeMap<&TaskPath, (usize, Vec<usize>)> = BTreeMap::new();
    for (place, chain) in single.into_iter().enumerate() {
        let line = by_task.entry(&units[chain[0]].task).or_insert((place, Vec::new()));
        line.1.extend(chain);
    }
    let mut placed: Vec<_> = by_task.into_iter().collect();
    placed.sort_by_key(|(_, (place, _))| *place);
    let mut lines: Vec<(&TaskPath, Vec<usize>)> = placed.into_iter().map(|(task, (_, line))| (task, line)).collect();
    let mut order = Vec::new();
    let take = |lines: &mut Vec<(&TaskPath, Vec<usize>)>, task: &TaskPath| {
        let at = lines.iter().position(|(of, _)| *of == task);
        at.map_or_else(Vec::new, |at| lines.remove(at).1)
    };
    // What runs in several JVMs goes between the line of its first profile and that of its last.
    for chain in several {
        let (first, last) = (&units[chain[0]].task, &units[chain[chain.len() - 1]].task);
        order.extend(take(&mut lines, first));
        order.extend(&chain);
        order.extend(take(&mut lines, last));
    }
    order.extend(lines.into_iter().flat_map(|(_, line)| line));
    order
}
