//! `--rerun-failed`: the tests of an earlier run that did not pass there.

use crate::discover::Discovery;
use std::collections::{BTreeMap, BTreeSet};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::{Plan, Unit};
use testfleet_protocol::test::{TestId, Verdict};

/// Tests of a run that have a bad verdict, or none because the run was cut off. What was bad there without being planned,
/// as what happens outside of any test (`@AfterAll`), stands for all planned tests of its class.
pub(crate) fn not_passed(plan: &Plan, journal: &[RunEvent]) -> BTreeSet<TestId> {
    let mut verdicts: BTreeMap<&TestId, Verdict> = BTreeMap::new();
    for event in journal {
        if let RunEvent::TestVerdict { test, verdict, .. } = event {
            verdicts.insert(test, *verdict);
        }
    }
    let mut planned: BTreeSet<TestId> = plan.units.iter().flat_map(Unit::test_ids).collect();
    let outside: Vec<&TestId> = verdicts
        .iter()
        .filter(|(test, verdict)| verdict.is_bad() && !planned.contains(**test))
        .map(|(test, _)| *test)
        .collect();
    let mut tests = BTreeSet::new();
    for test in outside {
        let units = plan.units.iter().filter(|unit| unit.is_of_class(test));
        let of_class: Vec<TestId> = units.flat_map(Unit::test_ids).collect();
        if of_class.is_empty() {
            tests.insert(test.clone());
        }
        tests.extend(of_class);
    }
    planned.retain(|test| verdicts.get(test).is_none_or(|verdict| verdict.is_bad()));
    tests.extend(planned);
    tests
}

/// Leaves just these tests; returns those that are not there any more.
pub(crate) fn keep_only(discovery: &mut Discovery, tests: &BTreeSet<TestId>) -> BTreeSet<TestId> {
    let mut gone = tests.clone();
    for task in &mut discovery.tasks {
        for class in &mut task.classes {
            let before = class.tests.len();
            class.tests.retain(|name| gone.remove(&TestId { task: task.task.clone(), name: name.clone() }));
            class.whole_class &= class.tests.len() == before;
        }
        task.classes.retain(|class| !class.tests.is_empty());
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::{DiscoveredTask, TestClass};
    use testfleet_protocol::test::{TaskPath, TestName};

    fn id(class: &str, method: &str) -> TestId {
        TestId { task: TaskPath(":test".into()), name: TestName { class: class.into(), method: method.into() } }
    }

    #[test]
    fn what_is_bad_or_has_no_verdict_did_not_pass() {
        let tests = ["passed", "failed", "lost", "flaky", "reused", "cut"].map(|method| id("A", method).name);
        let unit = Unit { task: TaskPath(":test".into()), tests: tests.to_vec(), ..Unit::default() };
        let plan = Plan { units: vec![unit], ..Plan::default() };
        let verdict = |method: &str, verdict| RunEvent::TestVerdict { test: id("A", method), verdict, reason: None };
        let journal = [
            verdict("passed", Verdict::Passed),
            verdict("failed", Verdict::Failed),
            verdict("lost", Verdict::Lost),
            verdict("flaky", Verdict::Flaky),
            verdict("reused", Verdict::Reused),
        ];
        let expected = ["failed", "lost", "cut"].map(|method| id("A", method));
        assert_eq!(not_passed(&plan, &journal), BTreeSet::from(expected));
    }

    #[test]
    fn what_failed_outside_of_tests_stands_for_all_tests_of_its_class() {
        let unit = |class: &str, tests: &[TestId]| Unit {
            task: TaskPath(":test".into()),
            class: class.into(),
            tests: tests.iter().map(|test| test.name.clone()).collect(),
            ..Unit::default()
        };
        let units = vec![
            unit("A", &[id("A", "a")]),
            unit("A", &[id("A$In", "b"), id("Base$In", "c")]),
            unit("AB", &[id("AB", "d")]),
        ];
        let all: Vec<TestId> = units.iter().flat_map(Unit::test_ids).collect();
        let plan = Plan { units, ..Plan::default() };
        for (class, expected) in [
            ("A", vec![id("A", "a"), id("A$In", "b"), id("Base$In", "c")]),
            ("A$Other", vec![id("A", "a"), id("A$In", "b"), id("Base$In", "c")]),
            ("Base$In", vec![id("A$In", "b"), id("Base$In", "c")]),
            ("Elsewhere", vec![id("Elsewhere", "executionError")]),
        ] {
            let passed = all.iter().map(|test| (test.clone(), Verdict::Passed));
            let verdicts = passed.chain([(id(class, "executionError"), Verdict::Errored)]);
            let journal: Vec<RunEvent> =
                verdicts.map(|(test, verdict)| RunEvent::TestVerdict { test, verdict, reason: None }).collect();
            assert_eq!(not_passed(&plan, &journal), expected.into_iter().collect(), "{class}");
        }
    }

    #[test]
    fn just_the_named_tests_stay_and_the_missing_ones_are_told() {
        let class = |name: &str, methods: &[&str]| TestClass {
            class: name.into(),
            tests: methods.iter().map(|method| id(name, method).name).collect(),
            whole_class: true,
            ..TestClass::default()
        };
        let mut discovery = Discovery {
            tasks: vec![DiscoveredTask {
                task: TaskPath(":test".into()),
                searched: 3,
                classes: vec![class("A", &["a", "b"]), class("B", &["c"]), class("C", &["d"])],
            }],
            notices: vec![],
        };
        let wanted = [id("A", "b"), id("C", "d"), id("D", "gone")];
        let gone = keep_only(&mut discovery, &BTreeSet::from(wanted));
        assert_eq!(gone, BTreeSet::from([id("D", "gone")]));
        let left: Vec<_> =
            discovery.tasks[0].classes.iter().map(|class| (class.class.as_str(), class.whole_class)).collect();
        assert_eq!(left, [("A", false), ("C", true)]);
    }
}
