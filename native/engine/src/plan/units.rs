//! Discovered classes to units.

use super::estimate::Estimates;
use super::timings::Timings;
use crate::discover::{Discovery, FoundBy, TestClass};
use testfleet_protocol::plan::{Unit, UnitId};
use testfleet_protocol::request::Split;
use testfleet_protocol::test::{TaskPath, TestName};

/// All units, numbered in the order of task, class and first method.
pub(super) fn make(discovery: &Discovery, timings: &Timings, split: Split) -> Vec<Unit> {
    let mut parts: Vec<(&TaskPath, &TestClass, Vec<TestName>, bool)> = Vec::new();
    for task in &discovery.tasks {
        for class in &task.classes {
            let mut tests = class.tests.clone();
            tests.sort();
            tests.dedup();
            if split == Split::Class || tests.len() < 2 || class.framework == FoundBy::Suite {
                parts.push((&task.task, class, tests, class.whole_class));
            } else {
                parts.extend(tests.into_iter().map(|test| (&task.task, class, vec![test], false)));
            }
        }
    }
    parts.retain(|(_, _, tests, _)| !tests.is_empty());
    parts.sort_by(|a, b| (a.0, &a.1.class, &a.2).cmp(&(b.0, &b.1.class, &b.2)));
    let estimates = Estimates::new(timings, discovery);
    let unit = |(index, (task, class, tests, whole_class)): (usize, (&TaskPath, &TestClass, Vec<TestName>, bool))| {
        let (estimate_ms, estimate_source) = estimates.of(task, &class.class, &tests);
        Unit {
            id: UnitId(format!("u{}", index + 1)),
            task: task.clone(),
            class: class.class.clone(),
            whole_class,
            plain_names: class.framework != FoundBy::Jupiter,
            tests,
            estimate_ms,
            estimate_source,
            asked: class.asked,
            ..Unit::default()
        }
    };
    parts.into_iter().enumerate().map(unit).collect()
}
