//! One suite on so many workers: every way, and what is promised of ours.

use crate::estimates::{Off, Random};
use crate::recorded::{Class, Suite};
use crate::simulate::{self, JVM_START_US};
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Write as _;
use testfleet_engine::plan::{NothingPassed, Past, Timings, plan, plan_by};
use testfleet_protocol::plan::{Plan, UnitId};
use testfleet_protocol::request::{Options, RunRequest, Split};

/// By how many percent estimates are off.
const OFF_PERCENT: u64 = 30;

/// What is promised above the lower bound, in thousandths: of the dynamic queue with estimates that are off, and of
/// the groups with good ones.
const DYNAMIC_ABOVE: u64 = 30;
const GROUPS_ABOVE: u64 = 50;

/// Makespans in microseconds.
pub(crate) struct Measured {
    workers: u32,
    units: usize,
    /// JVM start, and the mean load or the longest unit, for the units of the plan made with good estimates.
    bound: u64,
    /// The same without what cutting adds: nothing can be faster on so many workers, however it cuts classes into tests
    /// and tests into invocations.
    ideal: u64,
    good: u64,
    off: Vec<Ratio>,
    groups_good: u64,
    groups_off: Vec<Ratio>,
    cold: Ratio,
    random: Vec<u64>,
    round_robin: u64,
    by_count: u64,
    file_queue: u64,
    file_timings: Vec<u64>,
    moved_by_a_class: f64,
    moved_by_durations: f64,
}

/// A makespan beside the lower bound of the very units that ran.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    us: u64,
    bound: u64,
}

impl Ratio {
    fn above(self) -> f64 {
        self.us as f64 / self.bound as f64
    }

    fn is_within(self, thousandths: u64) -> bool {
        self.us * 1_000 <= self.bound * (1_000 + thousandths)
    }
}

fn request(workers: u32, split: Split) -> RunRequest {
    RunRequest {
        protocol: testfleet_protocol::VERSION,
        build_name: "bench".into(),
        roots: BTreeMap::new(),
        results_dir: "none".into(),
        reports_dir: "none".into(),
        timings_file: "none".into(),
        state_dir: "none".into(),
        harness_jar: "none".into(),
        agent: "none".into(),
        tasks: Vec::new(),
        options: Options { workers, split, ..Options::default() },
    }
}

fn truth(suite: &Suite, plan: &Plan) -> HashMap<UnitId, u64> {
    plan.units.iter().map(|unit| (unit.id.clone(), suite.unit_us(unit))).collect()
}

/// No run of these units is shorter: every worker starts a JVM, and then has its share or the longest unit to do.
fn bound(units: &HashMap<UnitId, u64>, workers: u32) -> u64 {
    let mean = units.values().sum::<u64>().div_ceil(u64::from(workers));
    JVM_START_US + mean.max(units.values().copied().max().unwrap_or(0))
}

fn groups(plan: &Plan, units: &HashMap<UnitId, u64>) -> u64 {
    let lists: Vec<u64> = plan.groups.iter().map(|group| group.units.iter().map(|unit| units[unit]).sum()).collect();
    simulate::fixed(&lists)
}

impl Measured {
    pub(crate) fn of(suite: &Suite, workers: u32, seeds: u64) -> Result<Self, Box<dyn Error>> {
        let auto = request(workers, Split::Auto);
        let plan_off = |suite: &Suite, percent: u64, seed: u64| {
            let durations = Off { suite, percent, seed };
            plan_by(&suite.discovery, &durations, &NothingPassed, &auto).map_err(|failure| failure.to_string())
        };
        let good_plan = plan_off(suite, 0, 0)?;
        let good_truth = truth(suite, &good_plan);
        let (mut off, mut groups_off) = (Vec::new(), Vec::new());
        for seed in 1..=seeds {
            let plan = plan_off(suite, OFF_PERCENT, seed)?;
            let units = truth(suite, &plan);
            let bound = bound(&units, workers);
            off.push(Ratio { us: simulate::dynamic(&plan, workers, &units)?, bound });
            groups_off.push(Ratio { us: groups(&plan, &units), bound });
        }
        off.sort_by(|a, b| a.above().total_cmp(&b.above()));
        groups_off.sort_by(|a, b| a.above().total_cmp(&b.above()));
        let nothing = Timings::default();
        let cold_plan = plan(&suite.discovery, &Past::of(&nothing), &auto).map_err(|failure| failure.to_string())?;
        let cold_truth = truth(suite, &cold_plan);
        let cold_us = simulate::dynamic(&cold_plan, workers, &cold_truth)?;
        let longest_atom = |class: &Class| {
            let pieces = class.tests.values().map(|test| test.invocations.iter().copied().max().unwrap_or(0));
            class.setup_us + pieces.max().unwrap_or(0)
        };
        let atom = suite.classes.values().map(longest_atom).max().unwrap_or(0);
        Ok(Self {
            workers,
            units: good_plan.units.len(),
            bound: bound(&good_truth, workers),
            ideal: JVM_START_US + (suite.serial_us() / u64::from(workers)).max(atom),
            good: simulate::dynamic(&good_plan, workers, &good_truth)?,
            off,
            groups_good: groups(&good_plan, &good_truth),
            groups_off,
            cold: Ratio { us: cold_us, bound: bound(&cold_truth, workers) },
            random: random(suite, workers, seeds),
            round_robin: round_robin(suite, workers),
            by_count: by_count(suite, workers),
            file_queue: simulate::queue(suite.classes.values().map(Class::us), workers),
            file_timings: file_timings(suite, workers, seeds),
            moved_by_a_class: moved(&good_plan, &plan_off(&suite.without(seeds as usize * 7), 0, 0)?),
            moved_by_durations: moved(&good_plan, &plan_off(suite, 10, 1)?),
        })
    }

    fn worst(&self) -> Ratio {
        self.off[self.off.len() - 1]
    }

    /// What was promised and is not so.
    pub(crate) fn broken(&self, suite: &str) -> Vec<String> {
        let mut broken = Vec::new();
        let mut promise = |is_kept: bool, what: String| {
            if !is_kept {
                broken.push(format!("{suite}, {} workers: {what}", self.workers));
            }
        };
        let worst = self.worst();
        promise(
            worst.is_within(DYNAMIC_ABOVE),
            format!("the dynamic queue with estimates off by {OFF_PERCENT} % is at {:.3} of the bound", worst.above()),
        );
        let groups = Ratio { us: self.groups_good, bound: self.bound };
        promise(
            groups.is_within(GROUPS_ABOVE),
            format!("the groups with good estimates are at {:.3} of the bound", groups.above()),
        );
        // 2 - 1/W of list scheduling, for the time after the start of the JVMs.
        let (us, bound) = (self.cold.us.saturating_sub(JVM_START_US), self.cold.bound - JVM_START_US);
        let most = 2.0 - 1.0 / f64::from(self.workers);
        promise(us as f64 <= bound as f64 * most, format!("without timings it is at {:.3}", us as f64 / bound as f64));
        broken
    }
}

/// The share of tests whose group has another number in the other plan, of those in both.
fn moved(one: &Plan, other: &Plan) -> f64 {
    let places = |plan: &Plan| {
        let mut of_unit: HashMap<UnitId, u32> = HashMap::new();
        for group in &plan.groups {
            of_unit.extend(group.units.iter().map(|unit| (unit.clone(), group.number)));
        }
        let mut places = HashMap::new();
        for unit in &plan.units {
            let slice = unit.slice.map_or(0, |slice| slice.number);
            places.extend(unit.test_ids().map(|test| ((test, slice), of_unit[&unit.id])));
        }
        places
    };
    let (one, other) = (places(one), places(other));
    let both = one.iter().filter_map(|(test, place)| Some((place, other.get(test)?)));
    let (mut all, mut moved) = (0, 0);
    for (before, after) in both {
        all += 1;
        moved += u32::from(before != after);
    }
    f64::from(moved) / f64::from(all.max(1))
}

/// Whole classes in random order.
fn random(suite: &Suite, workers: u32, seeds: u64) -> Vec<u64> {
    let one = |seed| {
        let mut classes: Vec<u64> = suite.classes.values().map(Class::us).collect();
        Random::new(seed, "order").shuffle(&mut classes);
        simulate::queue(classes, workers)
    };
    let mut all: Vec<u64> = (0..seeds.max(11)).map(one).collect();
    all.sort_unstable();
    all
}

/// Gradle's way: each class that its scan finds to the next process in turn.
fn round_robin(suite: &Suite, workers: u32) -> u64 {
    let mut lists = vec![0; workers as usize];
    for (index, class) in suite.classes.values().enumerate() {
        lists[index % workers as usize] += class.us();
    }
    simulate::fixed(&lists)
}

/// Each class to the worker that has the fewest tests.
fn by_count(suite: &Suite, workers: u32) -> u64 {
    let mut lists = vec![(0, 0_u64); workers as usize];
    for class in suite.classes.values() {
        if let Some(least) = lists.iter_mut().min_by_key(|(tests, _)| *tests) {
            least.0 += class.tests.len();
            least.1 += class.us();
        }
    }
    simulate::fixed(&lists.into_iter().map(|(_, us)| us).collect::<Vec<_>>())
}

/// Whole files by their timings to fixed lists, longest first: what splitters of files do; estimates are off as ours.
fn file_timings(suite: &Suite, workers: u32, seeds: u64) -> Vec<u64> {
    let one = |seed: u64| {
        let mut classes: Vec<(u64, u64)> = suite
            .classes
            .iter()
            .map(|(name, class)| {
                let dice = Random::new(seed, name).next() % (2 * OFF_PERCENT + 1);
                (class.us() * (100 + dice - OFF_PERCENT) / 100, class.us())
            })
            .collect();
        classes.sort_unstable_by(|a, b| b.cmp(a));
        let mut lists = vec![(0_u64, 0_u64); workers as usize];
        for (estimate, us) in classes {
            if let Some(least) = lists.iter_mut().min() {
                least.0 += estimate;
                least.1 += us;
            }
        }
        simulate::fixed(&lists.into_iter().map(|(_, us)| us).collect::<Vec<_>>())
    };
    let mut all: Vec<u64> = (1..=seeds).map(one).collect();
    all.sort_unstable();
    all
}

fn median<T: Copy>(sorted: &[T]) -> T {
    sorted[sorted.len() / 2]
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// A table in Markdown.
pub(crate) fn table(text: &mut String, suite: &Suite, measured: &[Measured]) {
    let tests: usize = suite.classes.values().map(|class| class.tests.len()).sum();
    let _ = writeln!(
        text,
        "### {}\n{} classes, {tests} tests, {:.1} s in one JVM\n",
        suite.name,
        suite.classes.len(),
        seconds(suite.serial_us())
    );
    text.push_str("| workers | units | bound s | ideal | queue | ±30 % median | ±30 % worst | groups | groups ±30 % | cold | random | round robin | by count | file queue | file timings | moved: a class less | moved: ±10 % |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for one in measured {
        let ratio = |us: u64| us as f64 / one.bound as f64;
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} % | {:.0} % |",
            one.workers,
            one.units,
            seconds(one.bound),
            ratio(one.ideal),
            ratio(one.good),
            median(&one.off).above(),
            one.worst().above(),
            ratio(one.groups_good),
            median(&one.groups_off).above(),
            ratio(one.cold.us),
            ratio(median(&one.random)),
            ratio(one.round_robin),
            ratio(one.by_count),
            ratio(one.file_queue),
            ratio(median(&one.file_timings)),
            one.moved_by_a_class * 100.0,
            one.moved_by_durations * 100.0,
        );
    }
    text.push('\n');
}

/// Each figure with its place, as tab-separated values.
pub(crate) fn rows(rows: &mut String, suite: &Suite, measured: &[Measured]) {
    for one in measured {
        let ways = [
            ("Testfleet, queue, estimates ±30 %", median(&one.off).us),
            ("Testfleet, groups, good estimates", one.groups_good),
            ("Testfleet, queue, no timings", one.cold.us),
            ("random order", median(&one.random)),
            ("round robin (Gradle)", one.round_robin),
            ("by number of tests", one.by_count),
            ("queue of files", one.file_queue),
            ("files by timings ±30 %", median(&one.file_timings)),
        ];
        for (way, us) in ways {
            let ratio = us as f64 / one.ideal as f64;
            let _ = writeln!(rows, "{}\t{}\t{way}\t{:.3}\t{ratio:.4}", suite.name, one.workers, seconds(us));
        }
    }
}
