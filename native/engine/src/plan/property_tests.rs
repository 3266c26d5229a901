//! What holds for every plan.

use super::*;
use crate::discover::{DiscoveredTask, FoundBy, TestClass};
use crate::test_request;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use testfleet_protocol::plan::{Lock, Unit, UnitId};
use testfleet_protocol::request::Split;
use testfleet_protocol::test::{TaskPath, TestId, TestName};

/// Task number, class number, method number and its duration in milliseconds, if it ever ran.
type Test = (u8, u8, u8, Option<u16>);

fn tests() -> impl Strategy<Value = Vec<Test>> {
    prop::collection::vec((0..3u8, 0..6u8, 0..4u8, prop::option::of(0..3000u16)), 1..60)
}

fn discovery(tests: &[Test]) -> (Discovery, Timings) {
    let mut timings = Timings::default();
    let mut tasks: BTreeMap<TaskPath, BTreeMap<String, BTreeSet<TestName>>> = BTreeMap::new();
    for (task, class, method, duration) in tests {
        let task = TaskPath(format!(":m{task}:test"));
        let class = format!("com.acme{}.C{class}", class % 2);
        let name = TestName { class: class.clone(), method: format!("t{method}()") };
        if let Some(ms) = duration {
            timings.record(&TestId { task: task.clone(), name: name.clone() }, Duration::from_millis(u64::from(*ms)));
        }
        tasks.entry(task).or_default().entry(class).or_default().insert(name);
    }
    let tasks = tasks
        .into_iter()
        .map(|(task, classes)| DiscoveredTask {
            task,
            searched: 0,
            classes: classes
                .into_iter()
                .map(|(class, tests)| TestClass {
                    sha256: class.clone(),
                    class,
                    framework: FoundBy::Jupiter,
                    tests: tests.into_iter().collect(),
                    whole_class: true,
                    ..TestClass::default()
                })
                .collect(),
        })
        .collect();
    (Discovery { tasks, notices: vec![] }, timings)
}

#[test]
fn a_plan_with_an_estimate_that_would_overflow_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    let (discovery, timings) = discovery(&[(0, 0, 0, Some(1))]);
    let mut plan = super::plan(&discovery, &Past::of(&timings), &request(1, Split::Class)).unwrap();
    super::write_plan(&plan, &path).unwrap();
    assert_eq!(super::read_plan(&path).unwrap(), plan);
    plan.units[0].estimate_ms = u64::MAX;
    super::write_plan(&plan, &path).unwrap();
    let failure = super::read_plan(&path).unwrap_err();
    assert_eq!(failure.code, testfleet_protocol::FailureCode::PlanOutdated);
    assert!(failure.causes[0].contains("u1"), "{failure}");
}

fn request(workers: u32, split: Split) -> RunRequest {
    let mut request = test_request::empty();
    request.options.workers = workers;
    request.options.split = split;
    request
}

fn split() -> impl Strategy<Value = Split> {
    prop_oneof![Just(Split::Class), Just(Split::Method), Just(Split::Auto)]
}

fn unit(number: usize, task: &str, estimate_ms: u64) -> Unit {
    Unit {
        id: UnitId(format!("u{number}")),
        task: TaskPath(task.into()),
        class: format!("C{number}"),
        whole_class: true,
        plain_names: false,
        tests: vec![],
        estimate_ms,
        estimate_source: testfleet_protocol::plan::EstimateSource::Guess,
        ..Unit::default()
    }
}

/// The shortest possible longest group, by trying all.
fn optimum(estimates: &[u64], workers: usize) -> u64 {
    fn place(rest: &[u64], loads: &mut Vec<u64>) -> u64 {
        let Some((first, rest)) = rest.split_first() else { return loads.iter().copied().max().unwrap_or(0) };
        (0..loads.len())
            .map(|at| {
                loads[at] += first;
                let best = place(rest, loads);
                loads[at] -= first;
                best
            })
            .min()
            .unwrap_or(0)
    }
    place(estimates, &mut vec![0; workers])
}

proptest! {
    #[test]
    fn every_test_is_in_one_unit_and_every_unit_in_one_group(tests in tests(), workers in 1..12u32, split in split()) {
        let (discovery, timings) = discovery(&tests);
        let plan = plan(&discovery, &Past::of(&timings), &request(workers, split)).unwrap();
        let planned: Vec<TestId> = plan.units.iter().flat_map(|unit| unit.test_ids()).collect();
        prop_assert_eq!(planned.len(), discovery.test_count());
        prop_assert_eq!(planned.iter().collect::<BTreeSet<_>>().len(), planned.len());
        let mut grouped: Vec<&UnitId> = plan.groups.iter().flat_map(|group| &group.units).collect();
        let mut units: Vec<&UnitId> = plan.units.iter().map(|unit| &unit.id).collect();
        grouped.sort();
        units.sort();
        prop_assert_eq!(grouped, units);
        prop_assert_eq!(plan.groups.iter().map(|group| group.number).collect::<Vec<_>>(), (1..=workers).collect::<Vec<_>>());
        prop_assert!(plan.units.iter().all(|unit| unit.estimate_ms > 0 && !unit.tests.is_empty()));
        for (index, unit) in plan.units.iter().enumerate() {
            prop_assert_eq!(&unit.id.0, &format!("u{}", index + 1));
        }
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(tests in tests(), workers in 1..6u32, split in split(), turn in 0..60usize) {
        let (first, timings) = discovery(&tests);
        let mut second = first.clone();
        second.tasks.reverse();
        for task in &mut second.tasks {
            let turn = turn % task.classes.len();
            task.classes.rotate_left(turn);
            task.classes.iter_mut().for_each(|class| class.tests.reverse());
        }
        let request = request(workers, split);
        let first_plan = plan(&first, &Past::of(&timings), &request).unwrap();
        let second_plan = plan(&second, &Past::of(&timings), &request).unwrap();
        prop_assert_eq!(document::bytes(&first_plan).unwrap(), document::bytes(&second_plan).unwrap());
        prop_assert!(fits(&first_plan, &second, &request).is_ok());
    }

    #[test]
    fn a_group_is_charged_what_it_holds_and_starts_each_profile_once(tests in tests(), workers in 1..5u32) {
        let (discovery, timings) = discovery(&tests);
        let plan = plan(&discovery, &Past::of(&timings), &request(workers, Split::Class)).unwrap();
        let by_id: BTreeMap<&UnitId, &Unit> = plan.units.iter().map(|unit| (&unit.id, unit)).collect();
        for group in &plan.groups {
            let units: Vec<&Unit> = group.units.iter().map(|id| by_id[id]).collect();
            let profiles: BTreeSet<&TaskPath> = units.iter().map(|unit| &unit.task).collect();
            let switches = units.windows(2).filter(|pair| pair[0].task != pair[1].task).count();
            prop_assert_eq!(switches, profiles.len().saturating_sub(1));
            let work: u64 = units.iter().map(|unit| unit.estimate_ms).sum();
            prop_assert_eq!(group.estimate_ms, work + PROFILE_SWITCH_MS * profiles.len() as u64);
        }
    }

    #[test]
    fn the_longest_group_keeps_grahams_bound(estimates in prop::collection::vec(1..1000u64, 1..9), workers in 1..4u32) {
        let units: Vec<Unit> =
            estimates.iter().enumerate().map(|(index, ms)| unit(index + 1, ":test", *ms)).collect();
        let longest = group::spread(&units, workers, PROFILE_SWITCH_MS).iter().map(|group| group.estimate_ms).max().unwrap();
        // Each group starts a JVM, in the best plan, too: the bound holds for what comes after that.
        let longest = longest - PROFILE_SWITCH_MS;
        let best = optimum(&estimates, workers as usize);
        // 4/3 - 1/(3m), in whole numbers.
        let m = u64::from(workers.min(units.len() as u32));
        prop_assert!(longest * 3 * m <= best * (4 * m - 1), "{longest} for {best}");
    }

    #[test]
    fn no_group_is_empty_while_another_has_two_units(
        units in prop::collection::vec((0..4u8, 0..2_000u64), 0..40),
        workers in 1..20u32,
    ) {
        let units: Vec<Unit> = units
            .iter()
            .enumerate()
            .map(|(index, (task, ms))| unit(index + 1, &format!(":m{task}:test"), *ms))
            .collect();
        let groups = group::spread(&units, workers, PROFILE_SWITCH_MS);
        let most = groups.iter().map(|group| group.units.len()).max().unwrap();
        prop_assert!(most < 2 || groups.iter().all(|group| !group.units.is_empty()), "{groups:?}");
    }

    #[test]
    fn units_without_length_are_spread_over_groups(count in 8..200usize, workers in 2..9u32) {
        let units: Vec<Unit> = (1..=count).map(|number| unit(number, ":test", 1)).collect();
        let counts: Vec<usize> = group::spread(&units, workers, PROFILE_SWITCH_MS).iter().map(|group| group.units.len()).collect();
        let even = count.div_ceil(workers as usize);
        prop_assert!(counts.iter().all(|one| *one <= even + even.div_ceil(4)), "{counts:?}");
    }

    #[test]
    fn what_is_bound_shares_a_group(
        units in prop::collection::vec((0..3u8, 1..2_000u64, 0..6u8, 0..8u8, any::<bool>(), 0..9u8), 1..40),
        workers in 1..8u32,
    ) {
        let units: Vec<Unit> = units
            .iter()
            .enumerate()
            .map(|(index, (task, ms, chain, lock, exclusive, reused))| {
                let mut unit = unit(index + 1, &format!(":m{task}:test"), *ms);
                unit.together = (*chain < 2).then(|| format!("chain{chain}"));
                let lock = Lock { resource: format!("r{lock}"), exclusive: *exclusive };
                unit.locks = if lock.resource.as_str() < "r3" { vec![lock] } else { vec![] };
                unit.reused = (*reused == 0).then(|| Reused { run: "r".into(), at_ms: 1, skipped: Vec::new() });
                unit
            })
            .collect();
        let groups = group::spread(&units, workers, PROFILE_SWITCH_MS);
        let order: Vec<(u32, usize, &Unit)> = groups
            .iter()
            .flat_map(|group| group.units.iter().enumerate().map(|(place, id)| (group.number, place, id)))
            .map(|(group, place, id)| (group, place, units.iter().find(|unit| unit.id == *id).unwrap()))
            .collect();
        prop_assert_eq!(order.len(), units.iter().filter(|unit| unit.reused.is_none()).count());
        for chain in ["chain0", "chain1"] {
            let places: Vec<_> = order.iter().filter(|(.., unit)| unit.together.as_deref() == Some(chain)).collect();
            for pair in places.windows(2) {
                prop_assert_eq!((pair[0].0, pair[0].1 + 1), (pair[1].0, pair[1].1), "side by side");
            }
        }
        for (group, _, one) in &order {
            for (other_group, _, other) in &order {
                let conflict = one.locks.iter().any(|lock| {
                    other.locks.iter().any(|theirs| theirs.resource == lock.resource && (lock.exclusive || theirs.exclusive))
                });
                prop_assert!(!conflict || one.id == other.id || group == other_group);
            }
        }
    }

    #[test]
    fn any_bytes_are_a_plan_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        std::fs::write(&path, &bytes).unwrap();
        prop_assert!(read_plan(&path).is_err());
    }

    #[test]
    fn a_plan_cut_anywhere_is_refused(tests in tests(), cut in 0.0..1.0f64) {
        let (discovery, timings) = discovery(&tests);
        let plan = plan(&discovery, &Past::of(&timings), &request(2, Split::Class)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        write_plan(&plan, &path).unwrap();
        prop_assert_eq!(&read_plan(&path).unwrap(), &plan);
        let bytes = std::fs::read(&path).unwrap();
        let end = ((bytes.len() - 2) as f64 * cut) as usize;
        std::fs::write(&path, &bytes[..end]).unwrap();
        let failure = read_plan(&path).unwrap_err();
        prop_assert_eq!(failure.code, FailureCode::PlanOutdated);
        prop_assert!(failure.hint.unwrap().contains("./gradlew prepare"));
    }
}

#[test]
fn a_small_change_moves_few_units_on_average() {
    let places = |units: &[Unit]| -> BTreeMap<UnitId, u32> {
        let groups = group::spread(units, 8, PROFILE_SWITCH_MS);
        groups.iter().flat_map(|group| group.units.iter().map(|unit| (unit.clone(), group.number))).collect()
    };
    let (mut by_a_unit, mut by_durations, mut all, mut worst) = (0, 0, 0, 0);
    for seed in 0..40 {
        let dice = |number: usize, of: u64| names::mixed(seed * 1_000 + number as u64) % of;
        // Each size is twice the one before, up to 4 s: as skewed as recorded suites.
        let units: Vec<Unit> = (1..=200).map(|number| unit(number, ":test", 4 << dice(number, 11))).collect();
        let off = |unit: &Unit| unit.estimate_ms * (90 + names::mixed(unit.estimate_ms ^ seed) % 21) / 100;
        let others: Vec<Unit> = units.iter().map(|unit| Unit { estimate_ms: off(unit), ..unit.clone() }).collect();
        let before = places(&units);
        let moved = |other: &[Unit]| {
            let after = places(other);
            before.iter().filter(|(unit, group)| after.get(*unit).is_some_and(|other| other != *group)).count()
        };
        let (by_one, by_others) = (moved(&units[1..]), moved(&others));
        (by_a_unit, by_durations, all) = (by_a_unit + by_one, by_durations + by_others, all + 200);
        worst = worst.max(by_one).max(by_others);
    }
    // No promise for every build: where half of all units are equal and as long as can be, one less can move nearly all.
    assert!(worst * 4 <= 200 * 3, "{worst} of 200 in the worst build");
    assert!(by_a_unit * 100 <= all * 12, "without a unit {by_a_unit} of {all}");
    assert!(by_durations * 100 <= all * 35, "by other durations {by_durations} of {all}");
}

#[test]
fn profiles_stay_apart_when_a_switch_costs_more_than_it_saves() {
    let units = [unit(1, ":a:test", 300), unit(2, ":b:test", 250), unit(3, ":b:test", 200)];
    let groups = group::spread(&units, 2, PROFILE_SWITCH_MS);
    assert_eq!(groups[0].units, [UnitId("u1".into())]);
    assert_eq!(groups[1].units, [UnitId("u2".into()), UnitId("u3".into())]);
}

#[test]
fn an_outdated_plan_says_what_changed() {
    let request = request(2, Split::Class);
    let (before, timings) = discovery(&[(0, 0, 0, None), (0, 1, 0, None)]);
    let made = plan(&before, &Past::of(&timings), &request).unwrap();
    let (after, _) = discovery(&[(0, 0, 0, None), (0, 2, 0, None)]);
    insta::assert_snapshot!(fits(&made, &after, &request).unwrap_err());
    let mut edited = before.clone();
    edited.tasks[0].classes[0].sha256 = "other".into();
    fits(&made, &edited, &request).expect("a test that is edited and run again has the plan that it had");
    let mut filtered = request.clone();
    filtered.options.tests = vec!["FooTest".into()];
    insta::assert_snapshot!(fits(&made, &before, &filtered).unwrap_err());
    let mut more_workers = request.clone();
    more_workers.options.workers = 9;
    fits(&made, &before, &more_workers).unwrap();
}

#[test]
fn a_missing_plan_and_an_empty_test_set_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read_plan(&folder.path().join("plan.json")).unwrap_err().code, FailureCode::PlanMissing);
    let mut request = request(2, Split::Class);
    request.tasks.push(test_request::task(":app:test"));
    request.tasks[0].includes = vec!["**/*IT.class".into()];
    let discovery = Discovery {
        tasks: vec![DiscoveredTask { task: TaskPath(":app:test".into()), searched: 7, classes: vec![] }],
        notices: vec![],
    };
    insta::assert_snapshot!(plan(&discovery, &Past::of(&Timings::default()), &request).unwrap_err());
}

#[test]
fn timings_of_tests_that_are_gone_are_forgotten() {
    let (before, mut timings) = discovery(&[(0, 0, 0, Some(5)), (0, 1, 0, Some(7)), (1, 0, 0, Some(9))]);
    let request = request(2, Split::Class);
    timings.keep_only(&plan(&before, &Past::of(&timings), &request).unwrap(), |_| true);
    assert_eq!(timings.test_count(), 3);
    let (after, _) = discovery(&[(0, 0, 0, None)]);
    timings.keep_only(&plan(&after, &Past::of(&timings), &request).unwrap(), |_| false);
    assert_eq!(timings.test_count(), 3, "the plan has some of the tests of its tasks only");
    timings.keep_only(&plan(&after, &Past::of(&timings), &request).unwrap(), |_| true);
    assert_eq!(timings.test_count(), 2, "one of the task that ran, one of the task that did not");
}
