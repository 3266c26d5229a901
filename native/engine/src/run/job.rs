//! What a run has to do: the constant side of its state.

use super::locks::{LockSets, LockSetsBuilder};
use super::{Queue, RunInput};
use crate::quarantined::Quarantine;
use std::collections::{BTreeMap, HashMap};
use testfleet_protocol::plan::{Reused, Unit, UnitId};
use testfleet_protocol::run_options::RunOptions;
use testfleet_protocol::test::{TaskPath, TestId, TestName};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Where a planned test, or a slice of one, is: index of its unit, and its index there.
pub(super) type TestPlace = (usize, usize);

/// Stands for what happened to a class outside of any of its tests, as Gradle names it.
pub(super) const OUTSIDE_OF_TESTS: &str = "executionError";

/// The backend whose agents end with their coordinator.
const LOCAL: &str = "local";

/// The units of a run in the order that counts, with look-ups.
#[derive(Debug, PartialEq)]
pub(super) struct Job {
    pub(super) run: String,
    pub(super) plan_sha256: String,
    pub(super) backend: String,
    pub(super) images: BTreeMap<u32, String>,
    pub(super) workers: Vec<u32>,
    pub(super) fixed: bool,
    pub(super) units: Vec<Unit>,
    pub(super) profiles: Vec<TaskPath>,
    /// Index into `profiles`, for each unit.
    pub(super) profile_of: Vec<usize>,
    pub(super) unit_index: HashMap<UnitId, usize>,
    pub(super) tests: HashMap<TestId, Planned>,
    /// The places of each test that is run in slices, by slice.
    pub(super) sliced: Vec<Vec<TestPlace>>,
    pub(super) locks: LockSets,
    /// Number of the lock set of each unit; units that belong together have one for all.
    pub(super) lock_set_of: Vec<usize>,
    /// The units that belong together, and for each unit its number among them.
    pub(super) chains: usize,
    pub(super) chain_of: Vec<Option<usize>>,
    pub(super) quarantine: Quarantine,
    pub(super) options: RunOptions,
    /// Whether agents outlive their coordinator, so that the next one finds them at work.
    pub(super) agents_return: bool,
}

/// Where a planned test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Planned {
    /// In one unit.
    Whole(TestPlace),
    /// In several: index into [`Job::sliced`].
    Sliced(usize),
}

/// Whose a test is, seen from a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The unit's own, by its index there.
    Mine(usize),
    /// That of other units alone.
    Anothers,
    /// No unit plans it.
    Nobodys,
}

impl Job {
    /// Checks the input and makes its look-ups.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when the plan names a unit or test twice, contradicts itself about slices, or when
    /// the input names a unit that the plan lacks.
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
        workers.truncate(
            units.iter().filter(|unit| fixed || input.options.runs_of_each() > 1 || unit.reused.is_none()).count(),
        );
        let mut job = Self {
            run: input.run.clone(),
            plan_sha256: input.plan_sha256.clone(),
            backend: backend.to_owned(),
            images: input.images.clone(),
            workers,
            fixed,
            profiles: Vec::new(),
            profile_of: Vec::new(),
            unit_index: HashMap::new(),
            tests: HashMap::new(),
            sliced: Vec::new(),
            locks: LockSetsBuilder::new().build(),
            lock_set_of: Vec::new(),
            chains: 0,
            chain_of: Vec::new(),
            quarantine: Quarantine::of(&input.plan),
            options: input.options.clone(),
            agents_return: backend != LOCAL && input.options.connection.lease_ms > 0,
            units,
        };
        job.index()?;
        job.index_locks();
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
            if unit.slice.is_some() {
                slice_is_sound(unit)?;
            }
            for (place, test) in unit.test_ids().enumerate() {
                let known = self.tests.get(&test).copied();
                let sliced = match (unit.slice, known) {
                    (None, None) => {
                        self.tests.insert(test, Planned::Whole((index, place)));
                        continue;
                    }
                    (Some(_), None) => {
                        self.tests.insert(test, Planned::Sliced(self.sliced.len()));
                        self.sliced.push(vec![(index, place)]);
                        continue;
                    }
                    (Some(_), Some(Planned::Sliced(sliced))) => sliced,
                    (_, Some(Planned::Whole((other, _)))) => return Err(twice(&test, &self.units[other], unit)),
                    (None, Some(Planned::Sliced(sliced))) => {
                        return Err(twice(&test, &self.units[self.sliced[sliced][0].0], unit));
                    }
                };
                slices_fit(&test, &self.units[self.sliced[sliced][0].0], unit)?;
                self.sliced[sliced].push((index, place));
            }
        }
        for places in &mut self.sliced {
            let number = |place: &TestPlace| self.units[place.0].slice.map(|slice| slice.number);
            places.sort_by_key(number);
            if let Some(pair) = places.windows(2).find(|pair| number(&pair[0]) == number(&pair[1])) {
                let (one, other) = (&self.units[pair[0].0], &self.units[pair[1].0]);
                let slice = number(&pair[0]).unwrap_or(0);
                let cause = format!("slice {slice} of {} > {}", one.class, one.tests[pair[0].1].method);
                return Err(invalid(format!("{cause} is in unit {} and in unit {}", one.id.0, other.id.0)));
            }
        }
        Ok(())
    }

    /// One worker has nobody to keep apart from, and keeps its order anyway.
    fn index_locks(&mut self) {
        let mut sets = LockSetsBuilder::new();
        let mut chains: HashMap<&str, usize> = HashMap::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        self.chain_of = vec![None; self.units.len()];
        self.lock_set_of = vec![super::locks::FREE; self.units.len()];
        for (index, unit) in self.units.iter().enumerate().filter(|_| !self.fixed) {
            let Some(name) = &unit.together else {
                self.lock_set_of[index] = sets.set(&unit.locks, false);
                continue;
            };
            let chain = *chains.entry(name.as_str()).or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            });
            self.chain_of[index] = Some(chain);
            if self.reused(index).is_none() {
                members[chain].push(index);
            }
        }
        for units in &members {
            let set = sets.set(units.iter().flat_map(|unit| &self.units[*unit].locks), true);
            units.iter().for_each(|unit| self.lock_set_of[*unit] = set);
        }
        self.chains = members.len();
        self.locks = sets.build();
    }

    /// Whether nothing of a test is run.
    pub(super) fn is_reused(&self, planned: Planned) -> bool {
        match planned {
            Planned::Whole((unit, _)) => self.reused(unit).is_some(),
            Planned::Sliced(sliced) => self.sliced[sliced].iter().all(|(unit, _)| self.reused(*unit).is_some()),
        }
    }

    /// How often each test is run, whatever comes out.
    pub(super) fn runs(&self) -> u32 {
        self.options.runs_of_each()
    }

    /// How often a bad test is tried again.
    pub(super) fn max_retries(&self) -> u32 {
        if self.runs() > 1 { 0 } else { self.options.retries.max_retries }
    }

    /// How long a worker may say nothing, in milliseconds, if there is a limit.
    pub(super) fn lease_ms(&self) -> Option<u64> {
        Some(self.options.connection.lease_ms).filter(|lease_ms| *lease_ms > 0)
    }

    /// A planned test by its place.
    pub(super) fn test_id(&self, (unit, test): TestPlace) -> TestId {
        let unit = &self.units[unit];
        TestId { task: unit.task.clone(), name: unit.tests[test].clone() }
    }

    /// What stands for what happens to the class of a unit outside of its tests.
    pub(super) fn outside_of(&self, unit: usize) -> TestId {
        let Unit { task, class, .. } = &self.units[unit];
        TestId { task: task.clone(), name: TestName { class: class.clone(), method: OUTSIDE_OF_TESTS.to_owned() } }
    }

    /// Whose a test is, seen from a unit.
    pub(super) fn whose(&self, test: &TestId, unit: usize) -> Whose {
        let mine = match self.tests.get(test) {
            None => return Whose::Nobodys,
            Some(Planned::Whole(place)) => Some(place).filter(|place| place.0 == unit),
            Some(Planned::Sliced(sliced)) => {
                self.of_slice(*sliced, self.slice_of(unit)).filter(|place| place.0 == unit)
            }
        };
        mine.map_or(Whose::Anothers, |(_, index)| Whose::Mine(*index))
    }

    /// Where a test, or this slice of it, is.
    pub(super) fn place(&self, test: &TestId, slice: Option<u32>) -> Option<TestPlace> {
        match self.tests.get(test)? {
            Planned::Whole(place) => Some(*place),
            Planned::Sliced(sliced) => self.of_slice(*sliced, slice).copied(),
        }
    }

    fn of_slice(&self, sliced: usize, number: Option<u32>) -> Option<&TestPlace> {
        let places = &self.sliced[sliced];
        places.binary_search_by_key(&number, |(unit, _)| self.slice_of(*unit)).ok().map(|at| &places[at])
    }

    /// Number of the slice that a unit runs.
    pub(super) fn slice_of(&self, unit: usize) -> Option<u32> {
        self.units[unit].slice.map(|slice| slice.number)
    }

    /// The earlier run that counts for a unit. Who names a unit wants it to run, and so does who wants it to run often.
    pub(super) fn reused(&self, unit: usize) -> Option<&Reused> {
        self.units[unit].reused.as_ref().filter(|_| !self.fixed && self.runs() == 1)
    }
}

fn slice_is_sound(unit: &Unit) -> Result<()> {
    let Some(slice) = unit.slice else { return Ok(()) };
    if unit.tests.len() != 1 {
        return Err(invalid(format!("unit {} is a slice of {} tests, not of one", unit.id.0, unit.tests.len())));
    }
    if slice.number == 0 || slice.number > slice.of {
        return Err(invalid(format!("unit {} is slice {} of {}", unit.id.0, slice.number, slice.of)));
    }
    Ok(())
}

fn slices_fit(test: &TestId, one: &Unit, other: &Unit) -> Result<()> {
    let (Some(mine), Some(its)) = (one.slice, other.slice) else { return Err(twice(test, one, other)) };
    if mine.of != its.of {
        return Err(invalid(format!(
            "{test} has {} slices by unit {} and {} by {}",
            mine.of, one.id.0, its.of, other.id.0
        )));
    }
    Ok(())
}

fn twice(test: &TestId, one: &Unit, other: &Unit) -> Failure {
    invalid(format!("{test} is in unit {} and in unit {}", one.id.0, other.id.0))
}

fn invalid(cause: String) -> Failure {
    Failure::new(FailureCode::InvalidRequest, "failed to run the plan")
        .cause_text(cause)
        .hint("make a new plan with the prepare task")
}
