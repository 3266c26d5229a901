//! What a worker really ran, taken from a run's events.

use testfleet_protocol::event::{Attempt, RunEvent};
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::test::TestId;

/// A try at a unit that really ran at a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RanUnit {
    /// Which.
    pub unit: UnitId,
    /// Which try.
    pub attempt: Attempt,
    /// The tests that started, in order.
    pub tests: Vec<TestId>,
}

/// The units that `worker` really ran, in the order in which they began. Units that only waited there are left out; a
/// unit of which several tries ran there comes once for each.
pub fn units_run_by(events: &[RunEvent], worker: u32) -> Vec<RanUnit> {
    let mut ran: Vec<RanUnit> = Vec::new();
    let mut begin = |unit: &UnitId, attempt: Attempt| {
        let known = ran.iter().rposition(|ran| ran.unit == *unit && ran.attempt == attempt);
        known.unwrap_or_else(|| {
            ran.push(RanUnit { unit: unit.clone(), attempt, tests: Vec::new() });
            ran.len() - 1
        })
    };
    let mut started = Vec::new();
    for event in events {
        match event {
            RunEvent::TestStarted { test, unit, worker: at, attempt, .. } if *at == worker => {
                started.push((begin(unit, *attempt), test.clone()));
            }
            // A unit without a single start (all skipped, or its class failed) ran as well, unless it was handed back.
            RunEvent::UnitFinished { unit, worker: at, attempt, handed_back, .. }
                if *at == worker && handed_back.is_empty() =>
            {
                begin(unit, *attempt);
            }
            _ => {}
        }
    }
    for (index, test) in started {
        ran[index].tests.push(test);
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::test::{TaskPath, TestName};

    fn test(method: &str) -> TestId {
        TestId { task: TaskPath(":test".into()), name: TestName { class: "A".into(), method: method.into() } }
    }

    fn started(unit: &str, worker: u32, attempt: Attempt, method: &str) -> RunEvent {
        RunEvent::TestStarted { test: test(method), unit: UnitId(unit.into()), worker, attempt, slice: None, at_ms: 0 }
    }

    fn finished(unit: &str, worker: u32, attempt: Attempt, handed_back: Vec<TestId>) -> RunEvent {
        RunEvent::UnitFinished { unit: UnitId(unit.into()), worker, attempt, handed_back, unseen: false, at_ms: 0 }
    }

    #[test]
    fn each_slice_of_a_test_is_a_unit_of_its_own() {
        let slice = |unit: &str, worker| match started(unit, worker, 1, "many(int)") {
            RunEvent::TestStarted { test, unit, worker, attempt, at_ms, .. } => {
                let slice = unit.0.rsplit('-').next().and_then(|number| number.parse().ok());
                RunEvent::TestStarted { test, unit, worker, attempt, slice, at_ms }
            }
            other => other,
        };
        let events = [slice("u1-2", 1), slice("u1-1", 2), slice("u1-3", 1), finished("u1-3", 1, 1, vec![])];
        let ran: Vec<_> = units_run_by(&events, 1).into_iter().map(|ran| (ran.unit.0, ran.tests.len())).collect();
        assert_eq!(ran, [("u1-2".to_owned(), 1), ("u1-3".to_owned(), 1)]);
    }

    #[test]
    fn order_tries_and_waiting_units() {
        let events = [
            started("u3", 1, 1, "a()"),
            started("u9", 2, 1, "z()"),
            finished("u3", 1, 1, vec![]),
            finished("u5", 1, 1, vec![]),
            started("u1", 1, 1, "b()"),
            finished("u4", 1, 1, vec![test("waited()")]),
            finished("u1", 1, 1, vec![test("c()")]),
            started("u1", 1, 2, "c()"),
        ];
        let ran = units_run_by(&events, 1);
        let short: Vec<_> = ran
            .iter()
            .map(|ran| (ran.unit.0.as_str(), ran.attempt, ran.tests.iter().map(|t| t.name.method.as_str()).collect()))
            .collect::<Vec<(_, _, Vec<_>)>>();
        assert_eq!(short, [("u3", 1, vec!["a()"]), ("u5", 1, vec![]), ("u1", 1, vec!["b()"]), ("u1", 2, vec!["c()"])]);
    }
}
