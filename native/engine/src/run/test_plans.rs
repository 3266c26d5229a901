//! Plans and inputs that the run's tests are made of, written down or thrown by dice.

use super::{Queue, RunInput};
use std::collections::BTreeMap;
use std::sync::Arc;
use testfleet_protocol::VERSION;
use testfleet_protocol::plan::{EstimateSource, Fingerprints, Plan, Unit, UnitId};
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
        images: BTreeMap::new(),
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
