//! Plans and inputs that the run's tests are made of, written down or thrown by dice.

use super::{Queue, RunInput};
use proptest::prelude::*;
use std::sync::Arc;
use testfleet_protocol::VERSION;
use testfleet_protocol::plan::{
    EstimateSource, Fingerprints, Invocations, Lock, Plan, Quarantined, Reused, Slice, Unit, UnitId,
};
use testfleet_protocol::run_options::RunOptions;
use testfleet_protocol::test::{Finished, Outcome, TaskPath, TestName};

/// A plan with one unit for each (profile, tests, estimate).
pub(super) fn plan_of(shape: &[(u8, usize, u64)]) -> Plan {
    let units = shape
        .iter()
        .enumerate()
        .map(|(index, &(profile, tests, estimate_ms))| Unit {
            id: UnitId(format!("u{}", index + 1)),
            task: TaskPath(format!(":m{profile}:test")),
            class: format!("C{}", index + 1),
            whole_class: true,
            plain_names: false,
            tests: (0..tests).map(|test| name(&format!("C{}", index + 1), test)).collect(),
            estimate_ms,
            estimate_source: EstimateSource::Timings,
            ..Unit::default()
        })
        .collect();
    let made_from = Fingerprints { code: String::new(), options: String::new(), timings: String::new() };
    Plan { protocol: VERSION, workers: 1, tests: Vec::new(), made_from, units, groups: Vec::new(), ..Plan::default() }
}

/// What is special about a unit, by a few throws of the dice.
#[derive(Debug, Clone)]
pub(super) struct Trait {
    rank: u32,
    locks: u8,
    together: u8,
    slices: u8,
    reused: u8,
    quarantined: u8,
}

/// Units of which a few have something special.
pub(super) fn traits() -> impl Strategy<Value = Trait> {
    let rare = || prop_oneof![6 => Just(0_u8), 1 => 1_u8..5];
    (0_u32..3, prop_oneof![Just(0_u8), 0_u8..8], rare(), rare(), rare(), rare()).prop_map(
        |(rank, locks, together, slices, reused, quarantined)| Trait {
            rank,
            locks,
            together,
            slices,
            reused,
            quarantined,
        },
    )
}

/// A plan of units that have something special.
pub(super) fn special_plan(shape: &[((u8, usize, u64), Trait)]) -> Plan {
    let plain: Vec<_> = shape.iter().map(|(unit, _)| *unit).collect();
    let mut plan = plan_of(&plain);
    let mut units = Vec::new();
    for (mut unit, (_, special)) in plan.units.into_iter().zip(shape) {
        unit.rank = special.rank;
        let lock = |resource: &str, exclusive| Lock { resource: resource.into(), exclusive };
        unit.locks = match special.locks {
            1 | 2 => vec![lock("a", true)],
            3 => vec![lock("a", false)],
            4 => vec![lock("a", false), lock("b", true)],
            5 => vec![lock("b", false)],
            6 => vec![lock(Lock::EVERYTHING, true)],
            7 => vec![lock("c", true), lock("b", false)],
            _ => Vec::new(),
        };
        unit.together = Some(format!("t{}", special.together % 3)).filter(|_| special.together > 0);
        if special.reused > 0 {
            unit.reused = Some(Reused { run: format!("r{}", special.reused), at_ms: special.reused.into() });
        }
        if special.quarantined > 0 {
            let entry = |test| Quarantined { test, reason: "it sulks".into(), until: None };
            plan.quarantined.extend(unit.test_ids().take(special.quarantined.into()).map(entry));
        }
        if special.slices < 2 {
            units.push(unit);
            continue;
        }
        unit.tests.truncate(1);
        for number in 1..=u32::from(special.slices) {
            let of = special.slices.into();
            let mut slice = unit.clone();
            slice.id = UnitId(format!("{}-{number}", unit.id.0));
            slice.whole_class = false;
            slice.slice = Some(Slice { number, of, invocations: Invocations { from: number, to: Some(number) } });
            // Of some tests, only the first slices passed before.
            slice.reused = slice.reused.filter(|_| special.reused > 2 || number == 1);
            units.push(slice);
        }
    }
    Plan { units, ..plan }
}

/// The name of a test by its number.
pub(super) fn name(class: &str, test: usize) -> TestName {
    TestName { class: class.to_owned(), method: format!("t{test}()") }
}

/// What is needed to run a plan.
pub(super) fn input_of(plan: Plan, queue: Queue, workers: u32) -> RunInput {
    RunInput {
        run: "r1".into(),
        plan: Arc::new(plan),
        plan_sha256: "00".into(),
        queue,
        workers: (1..=workers).collect(),
        bundle_sha256: "11".into(),
        journal: "unused".into(),
        resumed: None,
        options: RunOptions::default(),
    }
}

/// The end of a test.
pub(super) fn finished(outcome: Outcome) -> Finished {
    Finished { outcome, started_at_ms: 1, duration_us: 1_000, reason: None, thrown: Vec::new() }
}

/// Plain units: profile, tests, estimate.
pub(super) fn shapes() -> impl Strategy<Value = Vec<(u8, usize, u64)>> {
    let estimate = prop_oneof![0_u64..50, 50_u64..400, 1_000_u64..90_000];
    prop::collection::vec((0_u8..3, 1_usize..5, estimate), 0..12)
}
