//! Which tests a plan has in quarantine: they run and are shown, and make no run red.

use std::collections::HashMap;
use testfleet_protocol::plan::{Plan, Quarantined};
use testfleet_protocol::test::{TaskPath, TestId};

/// The quarantine of a plan.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Quarantine {
    tests: HashMap<TestId, Quarantined>,
    /// Classes all of whose planned tests, those of nested classes included, are in quarantine; with one of them.
    classes: HashMap<(TaskPath, String), Quarantined>,
}

impl Quarantine {
    /// That of `plan`.
    pub(crate) fn of(plan: &Plan) -> Self {
        if plan.quarantined.is_empty() {
            return Self::default();
        }
        let tests: HashMap<_, _> = plan.quarantined.iter().map(|entry| (entry.test.clone(), entry.clone())).collect();
        let mut classes: HashMap<(TaskPath, String), Option<Quarantined>> = HashMap::new();
        for id in plan.units.iter().flat_map(|unit| unit.test_ids()) {
            let entry = tests.get(&id);
            for class in enclosing(&id.name.class) {
                let known = classes.entry((id.task.clone(), class.to_owned())).or_insert_with(|| entry.cloned());
                if entry.is_none() {
                    *known = None;
                }
            }
        }
        let classes = classes.into_iter().filter_map(|(class, entry)| Some((class, entry?))).collect();
        Self { tests, classes }
    }

    /// Why a test counts for nothing, if that is so. What was not planned, such as a failure outside of any test, counts
    /// for nothing when that is so of all planned tests of its class.
    pub(crate) fn holding(&self, test: &TestId, planned: bool) -> Option<&Quarantined> {
        if planned || self.classes.is_empty() {
            return self.tests.get(test);
        }
        self.tests.get(test).or_else(|| self.classes.get(&(test.task.clone(), test.name.class.clone())))
    }
}

/// A class and those that it is nested in, by binary names.
fn enclosing(class: &str) -> impl Iterator<Item = &str> {
    let outer = class.match_indices('$').map(|(at, _)| &class[..at]).filter(|outer| !outer.is_empty());
    std::iter::once(class).chain(outer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::plan::Unit;
    use testfleet_protocol::test::TestName;

    fn name(class: &str, method: &str) -> TestName {
        TestName { class: class.into(), method: method.into() }
    }

    fn id(class: &str, method: &str) -> TestId {
        TestId { task: TaskPath(":test".into()), name: name(class, method) }
    }

    #[test]
    fn a_failure_outside_of_tests_is_held_when_all_of_its_class_are() {
        let tests = vec![name("A", "a()"), name("A$In", "b()"), name("A$In", "c()")];
        let unit = Unit { task: TaskPath(":test".into()), class: "A".into(), tests, ..Unit::default() };
        let held = |test: TestId| Quarantined { test, reason: "it sulks".into(), until: None };
        let quarantined = vec![held(id("A$In", "b()")), held(id("A$In", "c()"))];
        let plan = Plan { units: vec![unit], quarantined, ..Plan::default() };
        let quarantine = Quarantine::of(&plan);
        assert!(quarantine.holding(&id("A$In", "b()"), true).is_some());
        assert!(quarantine.holding(&id("A", "a()"), true).is_none());
        assert!(quarantine.holding(&id("A$In", "executionError"), false).is_some());
        assert!(quarantine.holding(&id("A", "executionError"), false).is_none(), "A has a test that counts");
        assert!(quarantine.holding(&id("A$In", "executionError"), true).is_none(), "a planned test speaks for itself");
    }
}
