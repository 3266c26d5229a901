//! `--list` and `--dry-run`: tests and plans as people and programs read them.

use crate::report::words::{counted, duration};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use testfleet_protocol::plan::{EstimateSource, Lock, Plan, Quarantined, Unit, UnitId};
use testfleet_protocol::test::{TaskPath, TestId, TestName};
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// How many tests of a unit that is a part of a class are named.
const NAMED: usize = 3;

/// Every test once, below its Test task and class.
pub(super) fn tests(plan: &Plan) -> String {
    let mut text = String::new();
    let mut of: BTreeMap<&TaskPath, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for unit in &plan.units {
        for TestName { class, method } in &unit.tests {
            of.entry(&unit.task).or_default().entry(class).or_default().insert(method);
        }
    }
    let (mut class_count, mut test_count) = (0, 0);
    for (task, classes) in &of {
        let _ = writeln!(text, "{task}");
        for (class, methods) in classes {
            let _ = writeln!(text, "  {class}");
            for method in methods {
                let _ = writeln!(text, "    {method}");
            }
            test_count += methods.len() as u64;
        }
        class_count += classes.len() as u64;
    }
    let _ = write!(
        text,
        "{} in {} of {}",
        counted(test_count, "test", "tests"),
        counted(class_count, "class", "classes"),
        counted(of.len() as u64, "Test task", "Test tasks"),
    );
    text
}

/// One object for each test, as a program reads it.
pub(super) fn tests_json(plan: &Plan) -> Result<String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Tests<'a> {
        protocol: u32,
        tests: Vec<Listed<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Listed<'a> {
        #[serde(flatten)]
        id: &'a TestId,
        units: Vec<&'a UnitId>,
        asked: bool,
        reused: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        quarantined: Option<&'a str>,
    }
    let mut units: BTreeMap<TestId, Vec<&Unit>> = BTreeMap::new();
    for unit in &plan.units {
        unit.test_ids().for_each(|id| units.entry(id).or_default().push(unit));
    }
    let quarantined: HashMap<&TestId, &str> =
        plan.quarantined.iter().map(|one| (&one.test, one.reason.as_str())).collect();
    let tests = units
        .iter()
        .map(|(id, units)| Listed {
            id,
            units: units.iter().map(|unit| &unit.id).collect(),
            asked: units.iter().any(|unit| unit.asked),
            reused: units.iter().all(|unit| unit.reused.is_some()),
            quarantined: quarantined.get(id).copied(),
        })
        .collect();
    json(&Tests { protocol: VERSION, tests })
}

/// The plan's own document, the one that `prepare` writes.
pub(super) fn plan_json(plan: &Plan) -> Result<String> {
    json(plan)
}

/// The plan: groups with their units in order, then what does not run and what counts for nothing.
pub(super) fn plan(plan: &Plan) -> String {
    let units: HashMap<&UnitId, &Unit> = plan.units.iter().map(|unit| (&unit.id, unit)).collect();
    let mut text = super::prepare::describe(plan);
    text.push('\n');
    for group in &plan.groups {
        let count = counted(group.units.len() as u64, "unit", "units");
        let _ = writeln!(text, "\n{}: {count}, about {}", group.name(), duration(group.estimate_ms));
        for unit in group.units.iter().filter_map(|id| units.get(id)) {
            let _ = writeln!(text, "  {}", line(unit));
        }
    }
    let reused: Vec<&Unit> = plan.units.iter().filter(|unit| unit.reused.is_some()).collect();
    if !reused.is_empty() {
        let tests: usize = reused.iter().map(|unit| unit.tests.len()).sum();
        let _ = writeln!(
            text,
            "\nNot run: {} passed before with equal classes and inputs",
            counted(tests as u64, "test", "tests")
        );
        for unit in reused {
            let run = unit.reused.as_ref().map(|reused| reused.run.as_str()).unwrap_or_default();
            let _ = writeln!(text, "  {} {}{} (run {run})", unit.task, unit.class, what(unit));
        }
    }
    let asked: BTreeSet<(&TaskPath, &str)> =
        plan.units.iter().filter(|unit| unit.asked).map(|unit| (&unit.task, unit.class.as_str())).collect();
    if !asked.is_empty() {
        let _ = writeln!(text, "\nTests named by the framework itself, because class files do not tell them:");
        for (task, class) in asked {
            let _ = writeln!(text, "  {task} {class}");
        }
    }
    if !plan.quarantined.is_empty() {
        let _ = writeln!(text, "\nQuarantined: these run, but do not fail the build:");
        for Quarantined { test, reason, until } in &plan.quarantined {
            let until = until.as_ref().map(|day| format!(" until {day}")).unwrap_or_default();
            let _ = writeln!(text, "  {test}{until}: {reason}");
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// `u12  3.4 s  :app:test com.acme.CartTest (12 tests)`
fn line(unit: &Unit) -> String {
    let guess = match unit.estimate_source {
        EstimateSource::Timings => "",
        EstimateSource::Partly => ", partly guessed",
        EstimateSource::Guess => ", guessed",
    };
    let mut notes = Vec::new();
    if let Some(together) = &unit.together {
        notes.push(format!("together with {together}"));
    }
    for Lock { resource, exclusive } in &unit.locks {
        notes.push(match (resource.as_str(), exclusive) {
            (Lock::EVERYTHING, _) => "alone".to_owned(),
            (resource, true) => format!("locks {resource}"),
            (resource, false) => format!("shares {resource}"),
        });
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" [{}]", notes.join(", ")) };
    format!("{}  {}{guess}  {} {}{}{notes}", unit.id.0, duration(unit.estimate_ms), unit.task, unit.class, what(unit))
}

/// What of its class a unit is.
fn what(unit: &Unit) -> String {
    if let (Some(slice), [test]) = (unit.slice, unit.tests.as_slice()) {
        let to = slice.invocations.to.map(|to| format!(" to {to}")).unwrap_or(" and on".to_owned());
        return format!(" > {}, invocations {}{to}", test.method, slice.invocations.from);
    }
    let count = counted(unit.tests.len() as u64, "test", "tests");
    if unit.whole_class {
        return format!(" ({count})");
    }
    let named: Vec<&str> = unit.tests.iter().take(NAMED).map(|test| test.method.as_str()).collect();
    let more = if unit.tests.len() > NAMED { ", ..." } else { "" };
    format!(" ({count}: {}{more})", named.join(", "))
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to write a listing as JSON").cause(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::plan::{Group, Invocations, Reused, Shard, Slice};

    fn unit(number: u32, task: &str, class: &str, methods: &[&str]) -> Unit {
        Unit {
            id: UnitId(format!("u{number}")),
            task: TaskPath(task.into()),
            class: class.into(),
            whole_class: true,
            tests: methods.iter().map(|m| TestName { class: class.into(), method: (*m).into() }).collect(),
            estimate_ms: u64::from(number) * 1_100,
            estimate_source: EstimateSource::Timings,
            ..Unit::default()
        }
    }

    fn example() -> Plan {
        let mut units = vec![
            unit(1, ":app:test", "com.acme.CartTest", &["adds(int)", "removes()"]),
            unit(2, ":app:test", "com.acme.GridTest", &["all(int)"]),
            unit(3, ":app:test", "com.acme.GridTest", &["all(int)"]),
            unit(4, ":app:test", "com.acme.LongTest", &["a()", "b()", "c()", "d()"]),
            unit(5, ":lib:test", "com.acme.AllTests", &["com.acme.OldTest.works()"]),
            unit(6, ":lib:test", "com.acme.DoneTest", &["done()"]),
        ];
        for (index, invocations) in
            [(1, Invocations { from: 1, to: Some(40) }), (2, Invocations { from: 41, to: None })]
        {
            units[index].whole_class = false;
            units[index].slice = Some(Slice { number: index as u32, of: 2, invocations });
        }
        units[3].whole_class = false;
        units[3].estimate_source = EstimateSource::Partly;
        units[3].locks = vec![Lock { resource: "db".into(), exclusive: true }];
        units[4].asked = true;
        units[4].together = Some("suites".into());
        units[4].estimate_source = EstimateSource::Guess;
        units[5].reused = Some(Reused { run: "20261120T101500000Z-0001".into(), at_ms: 0, skipped: Vec::new() });
        let group = |number, ids: &[&str]| Group {
            number,
            estimate_ms: 5_000,
            units: ids.iter().map(|id| UnitId((*id).into())).collect(),
        };
        let first = units[0].test_ids().next().unwrap();
        Plan {
            workers: 3,
            groups: vec![group(1, &["u4", "u1"]), group(2, &["u5", "u3", "u2"]), group(3, &[])],
            shard: Some(Shard { number: 2, of: 5 }),
            quarantined: vec![Quarantined {
                test: first,
                reason: "races with the clock".into(),
                until: Some("2026-12-31".into()),
            }],
            units,
            ..Plan::default()
        }
    }

    #[test]
    fn tests_are_listed_once_each() {
        insta::assert_snapshot!(tests(&example()));
        insta::assert_snapshot!(tests_json(&example()).unwrap());
    }

    #[test]
    fn a_plan_is_shown_with_all_that_decides_the_run() {
        insta::assert_snapshot!(plan(&example()));
        let read: Plan = serde_json::from_str(&plan_json(&example()).unwrap()).unwrap();
        assert_eq!(read, example());
    }
}
