//! What a simulated run consists of: plan, options, and the nature of each test.

use super::dice::Dice;
use super::test_plans::{finished, input_of, plan_of};
use super::{Queue, RunInput};
use std::sync::Arc;
use testfleet_protocol::plan::{EstimateSource, Invocations, Lock, Plan, Quarantined, Reused, Slice, Unit};
use testfleet_protocol::run_options::{Retries, RunOptions};
use testfleet_protocol::test::{Finished, Outcome, TaskPath, TestName};

/// How a test behaves, whenever it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Passes,
    Fails,
    /// Passes in some tries.
    Flaky,
    /// Takes its JVM with it, always or sometimes.
    KillsJvm(bool),
    /// Takes its worker with it, always or sometimes.
    KillsWorker(bool),
    /// The framework does not report it.
    Silent,
    /// Its end is not reported.
    NeverEnds,
    /// It never ends, until its limit does.
    Hangs,
    Skipped,
}

/// What goes wrong with a class outside of its tests, whenever it comes to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Before the first test.
    SetUp,
    /// In a nested class, when half of the tests are through.
    Nested,
    /// After the last test.
    AfterAll,
}

/// All of a simulated run that is decided before it starts.
pub(super) struct Scene {
    pub(super) input: RunInput,
    /// `local` agents end with their coordinator.
    pub(super) backend: &'static str,
    seed: u64,
}

fn plan(dice: &mut Dice) -> Plan {
    let units = dice.skewed(20, 200);
    let profiles = 1 + dice.below(4);
    let shape: Vec<_> = (0..units)
        .map(|_| (dice.below(profiles) as u8, 1 + dice.below(4) as usize, [5, 90, 400, 20_000][dice.below(4) as usize]))
        .collect();
    let plain = plan_of(&shape);
    let special = dice.below(4) > 0;
    let mut all = Vec::new();
    let mut quarantined = Vec::new();
    for mut unit in plain.units {
        if !special {
            all.push(unit);
            continue;
        }
        unit.rank = if dice.chance(300) { dice.below(3) as u32 } else { 0 };
        if dice.chance(100) {
            unit.estimate_source = EstimateSource::Guess;
        }
        unit.locks = match dice.below(40) {
            0..=3 => vec![lock("a", true)],
            4..=6 => vec![lock("a", false)],
            7 => vec![lock("a", false), lock("b", true)],
            8 => vec![lock(Lock::EVERYTHING, true)],
            _ => Vec::new(),
        };
        unit.together = dice.chance(120).then(|| format!("t{}", dice.below(4)));
        if dice.chance(60) {
            unit.reused = Some(Reused { run: "r0".into(), at_ms: dice.below(9), skipped: Vec::new() });
        }
        if dice.chance(50) {
            quarantined.extend(unit.test_ids().map(|test| Quarantined {
                test,
                reason: "it sulks".into(),
                until: None,
            }));
        }
        if dice.chance(100) {
            sliced(dice, unit, &mut all);
        } else {
            all.push(unit);
        }
    }
    Plan { units: all, quarantined, ..plan_of(&[]) }
}

fn lock(resource: &str, exclusive: bool) -> Lock {
    Lock { resource: resource.into(), exclusive }
}

fn sliced(dice: &mut Dice, mut unit: Unit, all: &mut Vec<Unit>) {
    unit.tests.truncate(1);
    unit.whole_class = false;
    let of = 2 + dice.below(3) as u32;
    for number in 1..=of {
        let mut slice = unit.clone();
        slice.id.0 = format!("{}-{number}", unit.id.0);
        slice.slice = Some(Slice { number, of, invocations: Invocations { from: number, to: Some(number) } });
        slice.reused = slice.reused.filter(|_| dice.chance(700));
        all.push(slice);
    }
}

impl Scene {
    pub(super) fn new(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let mut plan = plan(dice);
        let mut options = RunOptions::default();
        options.connection.lease_ms = 9_000;
        match dice.below(10) {
            0..=4 => {
                let max_failures = if dice.chance(300) { 1 + dice.below(20) as u32 } else { 0 };
                let max_failure_rate = if dice.chance(500) { 1.0 } else { 0.2 };
                let max_retries = 1 + dice.below(3) as u32;
                let fail_on_flaky = dice.chance(300);
                options.retries = Retries { max_retries, max_failures, max_failure_rate, fail_on_flaky };
            }
            5 => options.repeat = 2 + dice.below(3) as u32,
            _ => {}
        }
        if dice.chance(30) {
            options.timeouts.run_ms = Some(5_000 + dice.below(60_000));
        }
        let mut workers = dice.skewed(1, 50) as u32;
        let mut queue = Queue::Dynamic;
        if dice.chance(60) {
            plan.units.iter_mut().for_each(|unit| (unit.reused, unit.together, unit.locks) = (None, None, Vec::new()));
            (queue, workers) = (Queue::Fixed(plan.units.iter().map(|unit| unit.id.clone()).collect()), 1);
        }
        let mut input = input_of(Plan::default(), queue, workers);
        (input.plan, input.options) = (Arc::new(plan), options);
        let backend = if dice.chance(400) { "local" } else { "simulated" };
        Self { input, backend, seed }
    }

    fn hash(&self, test: &TestName, salt: u64) -> u64 {
        let text = test.class.bytes().chain(test.method.bytes());
        let mixed = text.fold(self.seed ^ salt, |mixed, byte| (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Dice::new(mixed).below(1_000)
    }

    /// How a test behaves: equal in every try, as the plan's tests are.
    pub(super) fn nature(&self, test: &TestName) -> Nature {
        // In some runs, much is broken.
        let broken = if self.seed.is_multiple_of(11) { 250 } else { 0 };
        match self.hash(test, 7) {
            nature if nature < 40 + broken => Nature::Fails,
            0..330 if broken > 0 => Nature::Flaky,
            40..90 => Nature::Flaky,
            900..910 => Nature::KillsJvm(true),
            910..920 => Nature::KillsJvm(false),
            920..923 => Nature::KillsWorker(true),
            923..930 => Nature::KillsWorker(false),
            930..940 => Nature::Silent,
            940..945 => Nature::NeverEnds,
            945..955 => Nature::Skipped,
            955..960 => Nature::Hangs,
            _ => Nature::Passes,
        }
    }

    /// Whether a JVM fails to start: always of this profile, always there, or this time.
    pub(super) fn start_fails(&self, worker: u32, task: &TaskPath, dice: &mut Dice) -> bool {
        let always = |class: &str, method: String| self.hash(&TestName { class: class.into(), method }, 11);
        always("profile", task.0.clone()) < 15 || always("worker", worker.to_string()) < 40 || dice.chance(15)
    }

    /// What goes wrong with the class of a unit.
    pub(super) fn trouble(&self, unit: &Unit) -> Option<Trouble> {
        match self.hash(&TestName { class: unit.class.clone(), method: String::new() }, 3) {
            0..10 => Some(Trouble::SetUp),
            10..30 => Some(Trouble::Nested),
            30..70 => Some(Trouble::AfterAll),
            _ => None,
        }
    }
}

/// The end of a try.
pub(super) fn outcome(nature: Nature, dice: &mut Dice) -> Finished {
    let passes = match nature {
        Nature::Skipped => return finished(Outcome::Skipped),
        Nature::Fails => false,
        Nature::Flaky => dice.chance(500),
        _ => true,
    };
    finished(if passes { Outcome::Passed } else { Outcome::Failed })
}
