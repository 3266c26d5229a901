//! What a run has to do: the constant side of its state.

use super::{Queue, RunInput};
use std::collections::HashMap;
use testfleet_protocol::plan::{Unit, UnitId};
use testfleet_protocol::test::{TaskPath, TestId};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Where a planned test is: index of its unit, and its index there.
pub(super) type TestPlace = (usize, usize);

/// The units of a run in the order that counts, with look-ups.
#[derive(Debug, PartialEq)]
pub(super) struct Job {
    pub(super) run: String,
    pub(super) plan_sha256: String,
    pub(super) backend: String,
    pub(super) workers: Vec<u32>,
    pub(super) fixed: bool,
    pub(super) units: Vec<Unit>,
    pub(super) profiles: Vec<TaskPath>,
    /// Index into `profiles`, for each unit.
    pub(super) profile_of: Vec<usize>,
    pub(super) unit_index: HashMap<UnitId, usize>,
    pub(super) tests: HashMap<TestId, TestPlace>,
}

impl Job {
    /// Checks the input and makes its look-ups.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when the plan names a unit or test twice, or the input a unit that the plan lacks.
    pub(super) fn new(input: &RunInput, backend: &str) -> Result<Self> {
        let (units, fixed) = match &input.queue {
            Queue::Dynamic => (input.plan.units.clone(), false),
            Queue::Fixed(ids) => {
                let planned: HashMap<_, _> = input.plan.units.iter().map(|unit| (&unit.id, unit)).collect();
                let find = |id: &UnitId| {
                    planned
                        .get(id)
                        .map(|unit| (*unit).clone())
                        .ok_or_else(|| invalid(format!("unit {} is not in the plan", id.0)))
                };
                (ids.iter().map(find).collect::<Result<Vec<_>>>()?, true)
            }
        };
        if input.workers.is_empty() || fixed && input.workers.len() != 1 {
            return Err(invalid(format!("{} workers can't run this queue", input.workers.len())));
        }
        let mut workers = input.workers.clone();
        workers.sort_unstable();
        workers.dedup();
        workers.truncate(units.iter().filter(|unit| fixed || unit.reused.is_none()).count());
        let mut job = Self {
            run: input.run.clone(),
            plan_sha256: input.plan_sha256.clone(),
            backend: backend.to_owned(),
            workers,
            fixed,
            profiles: Vec::new(),
            profile_of: Vec::new(),
            unit_index: HashMap::new(),
            tests: HashMap::new(),
            units,
        };
        job.index()?;
        Ok(job)
    }

    fn index(&mut self) -> Result<()> {
        let mut profiles = HashMap::new();
        for (index, unit) in self.units.iter().enumerate() {
            let profile = *profiles.entry(unit.task.clone()).or_insert_with(|| {
                self.profiles.push(unit.task.clone());
                self.profiles.len() - 1
            });
            self.profile_of.push(profile);
            if self.unit_index.insert(unit.id.clone(), index).is_some() {
                return Err(invalid(format!("unit {} is there twice", unit.id.0)));
            }
            for (place, test) in unit.test_ids().enumerate() {
                if let Some((other, _)) = self.tests.insert(test.clone(), (index, place)) {
                    let other = &self.units[other].id.0;
                    return Err(invalid(format!("{test} is in unit {other} and in unit {}", unit.id.0)));
                }
            }
        }
        Ok(())
    }

    /// A planned test by its place.
    pub(super) fn test_id(&self, (unit, test): TestPlace) -> TestId {
        let unit = &self.units[unit];
        TestId { task: unit.task.clone(), name: unit.tests[test].clone() }
    }
}

fn invalid(cause: String) -> Failure {
    Failure::new(FailureCode::InvalidRequest, "failed to run the plan")
        .cause_text(cause)
        .hint("make a new plan with the prepare task")
}
