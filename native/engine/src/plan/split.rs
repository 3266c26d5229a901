//! Which classes are cut into parts, and how long a part may be.

use super::constraints::{Bonds, Constraints, patterns};
use super::durations::Durations;
use super::names::{ClassPattern, number};
use crate::discover::{Discovery, FoundBy, TestClass};
use std::collections::BTreeMap;
use testfleet_protocol::Result;
use testfleet_protocol::plan::Lock;
use testfleet_protocol::request::{Options, Split};
use testfleet_protocol::test::{TaskPath, TestName};

/// No class is cut for the sake of a part shorter than this, in microseconds: a worker needs that long to start a JVM.
const SHORTEST_SHARE_US: u64 = 500_000;

/// While there is work for all workers, no part is longer than the fair share divided by this: what is handed out last is
/// then short, and so is the time for which workers wait at the end, also when estimates are off. Measured with
/// bench/makespan.
const PARTS_OF_A_SHARE: u64 = 2;

/// For how many workers a shard's classes are cut. All machines must cut alike, whatever workers each has.
const WORKERS_OF_A_SHARD: u64 = 4;

/// A test with what is expected of it, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timed<'a> {
    pub(super) name: &'a TestName,
    pub(super) us: u64,
    pub(super) known: bool,
    /// Its invocations, if it can be cut into slices.
    pub(super) invocations: Vec<u64>,
}

/// How a class may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freedom {
    /// It stays whole.
    Whole,
    /// Each method by itself.
    Methods,
    /// Parts of several methods, and slices of one, when that is worth it.
    Parts,
    /// The same, when much is gained.
    PartsIfMuch,
}

/// A class of a Test task, ready to be cut.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) task: &'a TaskPath,
    pub(super) class: &'a TestClass,
    pub(super) setup_us: u64,
    /// Sorted by name, each once.
    pub(super) tests: Vec<Timed<'a>>,
    pub(super) bonds: Bonds,
    pub(super) freedom: Freedom,
}

impl Candidate<'_> {
    /// The whole class, in microseconds.
    pub(super) fn us(&self) -> u64 {
        self.tests.iter().map(|test| test.us).fold(self.setup_us, u64::saturating_add)
    }

    /// Whether most of its tests ran before.
    pub(super) fn is_known(&self) -> bool {
        2 * self.tests.iter().filter(|test| test.known).count() >= self.tests.len()
    }

    /// The longest part that can't be made shorter.
    fn indivisible_us(&self) -> u64 {
        let longest = match self.freedom {
            Freedom::Whole => return self.us(),
            Freedom::Methods => self.tests.iter().map(|test| test.us).max(),
            Freedom::Parts | Freedom::PartsIfMuch => {
                self.tests.iter().map(|test| test.invocations.iter().copied().max().unwrap_or(test.us)).max()
            }
        };
        self.setup_us.saturating_add(longest.unwrap_or(0))
    }
}

/// The choices of the build.
pub(super) struct Choices {
    split: Split,
    overrides: Vec<(Vec<ClassPattern>, Split)>,
}

impl Choices {
    /// # Errors
    /// `InvalidRequest` for a pattern that can match nothing.
    pub(super) fn new(options: &Options) -> Result<Self> {
        let overrides =
            options.split_classes.iter().map(|one| Ok((patterns(&one.classes, "splitClasses")?, one.split)));
        Ok(Self { split: options.split, overrides: overrides.collect::<Result<_>>()? })
    }

    /// How a class may be cut. See docs/planning.md for the reasons.
    fn freedom(&self, class: &TestClass, tests: usize, sliceable: bool, bonds: &Bonds) -> Freedom {
        let matching =
            |(patterns, _): &&(Vec<ClassPattern>, Split)| patterns.iter().any(|one| one.matches(&class.class));
        let named = self.overrides.iter().rfind(matching).map(|(_, split)| *split);
        let unfilterable = class.asked || matches!(class.framework, FoundBy::Suite | FoundBy::Engine);
        if unfilterable || tests < 2 && !sliceable {
            return Freedom::Whole;
        }
        match named.unwrap_or(self.split) {
            Split::Class => Freedom::Whole,
            Split::Method if tests < 2 || class.traits.ordered && named.is_none() => Freedom::Whole,
            Split::Method => Freedom::Methods,
            Split::Auto if class.traits.ordered || bonds.is_serial() => Freedom::Whole,
            Split::Auto if class.traits.per_class => Freedom::PartsIfMuch,
            Split::Auto => Freedom::Parts,
        }
    }
}

/// All classes that have tests, with what is expected of them.
///
/// # Errors
/// `InvalidRequest` for constraints that contradict each other.
pub(super) fn candidates<'a>(
    discovery: &'a Discovery,
    durations: &dyn Durations,
    options: &Options,
) -> Result<Vec<Candidate<'a>>> {
    let (choices, constraints) = (Choices::new(options)?, Constraints::new(options)?);
    let mut candidates = Vec::new();
    for task in &discovery.tasks {
        for class in task.classes.iter().filter(|class| !class.tests.is_empty()) {
            let bonds = constraints.of(class)?;
            let timed = |name: &'a TestName| {
                let expected = durations.test(&task.task, class, name);
                let invocations = if class.traits.sliceable.contains(name) {
                    durations.invocations_us(&task.task, name)
                } else {
                    Vec::new()
                };
                let invocations = if invocations.len() < 2 { Vec::new() } else { invocations };
                Timed { name, us: expected.us, known: expected.known, invocations }
            };
            let mut tests: Vec<Timed<'a>> = class.tests.iter().map(timed).collect();
            tests.sort_by(|a, b| a.name.cmp(b.name));
            tests.dedup_by(|a, b| a.name == b.name);
            let sliceable = tests.iter().any(|test| !test.invocations.is_empty());
            let freedom = choices.freedom(class, tests.len(), sliceable, &bonds);
            let setup_us = durations.setup_us(&task.task, class);
            candidates.push(Candidate { task: &task.task, class, setup_us, tests, bonds, freedom });
        }
    }
    candidates.sort_by(|a, b| (a.task, &a.class.class).cmp(&(b.task, &b.class.class)));
    Ok(candidates)
}

/// How long a class may be, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// No run is shorter than this: what each worker has to do, and the longest of what can't be cut.
    pub(super) fair_us: u64,
    /// What is longer is cut if that costs next to nothing.
    limit_us: u64,
}

impl Shares {
    /// The shares of `candidates` in a run that `options` ask for.
    pub(super) fn of(candidates: &[Candidate<'_>], options: &Options) -> Self {
        let workers = match options.shard {
            Some(shard) => WORKERS_OF_A_SHARD * u64::from(shard.of),
            None => u64::from(options.workers),
        };
        let mut serial: BTreeMap<(bool, &str), u64> = BTreeMap::new();
        let (mut total, mut longest) = (0_u64, 0_u64);
        for candidate in candidates {
            let us = candidate.us();
            total = total.saturating_add(us);
            longest = longest.max(candidate.indivisible_us());
            let locks = candidate.bonds.locks.iter().filter(|lock| lock.exclusive);
            let locks = locks.map(|lock| (false, lock.resource.as_str()));
            for bond in locks.chain(candidate.bonds.together.as_deref().map(|name| (true, name))) {
                let sum = serial.entry(bond).or_default();
                *sum = sum.saturating_add(us);
            }
        }
        let alone = serial.remove(&(false, Lock::EVERYTHING)).unwrap_or(0);
        let serial = serial.into_values().max().unwrap_or(0);
        let each = (total.saturating_sub(alone) / workers.max(1)).max(SHORTEST_SHARE_US);
        let fair_us = each.max(longest).max(serial);
        // With something indivisible twice as long as the mean, all that is nearly as long starts at once beside it.
        let slack = (fair_us - each).min(each);
        let part = each / PARTS_OF_A_SHARE;
        Self {
            fair_us,
            limit_us: if slack == each || workers < 2 { fair_us } else { part + scaled(fair_us - part, slack, each) },
        }
    }

    /// How long a class may be before it is cut. Each class has a limit of its own, a little more or less, so that not all
    /// are cut anew as the share changes.
    pub(super) fn limit_us(&self, candidate: &Candidate<'_>) -> u64 {
        let lot = number([candidate.task.0.as_str(), candidate.class.class.as_str()]) % 33;
        scaled(self.limit_us, 112 + lot, 128)
    }
}

/// `value * of / all`, without overflow.
fn scaled(value: u64, of: u64, all: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(of) / u128::from(all.max(1))).unwrap_or(u64::MAX)
}
