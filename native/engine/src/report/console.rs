//! What a person at the terminal reads while a run goes on and when it ends.

mod bad;
mod end;
mod told;

use super::records::is_bad;
use super::summary::Summary;
use super::words::{counted, first_line, printable, quarantine_word, slices_word, thousands, whole_seconds};
use crate::quarantined::Quarantine;
use bad::{Trouble, indented};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use testfleet_protocol::event::{Level, RunEvent};
use testfleet_protocol::plan::{Plan, UnitId};
use testfleet_protocol::test::{TestId, Verdict};
use told::Told;

/// Between two progress lines, in milliseconds.
pub const PROGRESS_EVERY_MS: u64 = 10_000;
/// A test that runs for longer is named, once.
const SLOW_MS: u64 = 60_000;
/// How many bad tests are shown with what went wrong as they come.
const SHOWN_IN_FULL: u64 = 100;
/// How many bad tests in quarantine are shown likewise.
const HELD_IN_FULL: u64 = 20;
/// Characters that are shown of how a JVM died, when others died likewise.
const DEATH: usize = 160;

/// What the console can't know from events and plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleOptions {
    /// Name of the build.
    pub build_name: String,
    /// How many workers the plan is for; a run may need fewer.
    pub workers: u32,
}

/// Words a run's events for a person. Keeps only what it needs for the lines to come.
#[derive(Debug)]
pub struct Console {
    options: ConsoleOptions,
    several_tasks: bool,
    /// Of each planned test that is to run its share of its unit's estimate, in microseconds; of one in slices the sum.
    estimates: HashMap<TestId, u64>,
    /// The units that run a slice, and the tests and numbers that they run.
    slice_units: HashMap<UnitId, (TestId, u32)>,
    slices: HashMap<(TestId, u32), SliceOf>,
    /// Estimates of a test's slices that have ended.
    ended_us: HashMap<TestId, u64>,
    /// The slices that were assigned of each test, where a run is of a part of the plan.
    assigned: HashMap<TestId, BTreeSet<u32>>,
    /// Units of the plan that are to run.
    planned_units: u64,
    whole_plan: bool,
    quarantine: Quarantine,
    run: String,
    tests: u64,
    estimated_us: u64,
    done: u64,
    done_us: u64,
    bad: u64,
    /// Bad tests that were told of in full.
    shown: u64,
    /// The same of those in quarantine.
    shown_held: u64,
    started_at_ms: u64,
    last_line_at_ms: u64,
    /// Tests, or slices of them.
    running: HashMap<(TestId, Option<u32>), Running>,
    /// Units in each worker's hands.
    in_hand: BTreeMap<u32, u64>,
    /// What went wrong in tests that have no verdict yet.
    problems: HashMap<TestId, Trouble>,
    told: Told,
    /// Deaths of JVMs that were told of, by their reason: the worker and the process.
    deaths: HashMap<String, HashSet<(u32, u32)>>,
    cancelled: bool,
    /// Tests that have no result because the run was cancelled.
    lost_by_cancel: HashSet<TestId>,
}

#[derive(Debug)]
struct Running {
    worker: u32,
    since_ms: u64,
    named: bool,
}

#[derive(Debug)]
struct SliceOf {
    of: u32,
    estimate_us: u64,
}

type Lines = Vec<(Level, String)>;

impl Console {
    /// Before the first event.
    pub fn new(plan: &Plan, options: ConsoleOptions) -> Self {
        let mut estimates: HashMap<TestId, u64> = HashMap::new();
        let (mut slice_units, mut slices) = (HashMap::new(), HashMap::new());
        let to_run = || plan.units.iter().filter(|unit| unit.reused.is_none());
        for unit in to_run() {
            let share = (unit.estimate_ms.saturating_mul(1_000) / (unit.tests.len() as u64).max(1)).max(1);
            for test in unit.test_ids() {
                if let Some(slice) = unit.slice {
                    let key = (test.clone(), slice.number);
                    slice_units.insert(unit.id.clone(), key.clone());
                    slices.insert(key, SliceOf { of: slice.of, estimate_us: share });
                }
                let sum = estimates.entry(test).or_default();
                *sum = sum.saturating_add(share);
            }
        }
        Self {
            options,
            several_tasks: plan.units.windows(2).any(|pair| pair[0].task != pair[1].task),
            estimates,
            slice_units,
            slices,
            ended_us: HashMap::new(),
            assigned: HashMap::new(),
            planned_units: to_run().count() as u64,
            whole_plan: false,
            quarantine: Quarantine::of(plan),
            run: String::new(),
            tests: 0,
            estimated_us: 0,
            done: 0,
            done_us: 0,
            bad: 0,
            shown: 0,
            shown_held: 0,
            started_at_ms: 0,
            last_line_at_ms: 0,
            running: HashMap::new(),
            in_hand: BTreeMap::new(),
            problems: HashMap::new(),
            told: Told::default(),
            deaths: HashMap::new(),
            cancelled: false,
            lost_by_cancel: HashSet::new(),
        }
    }

    /// The lines that an event is worth, most often none.
    pub fn on_event(&mut self, event: &RunEvent) -> Vec<(Level, String)> {
        match event {
            RunEvent::RunStarted { run, tests, units, reused, workers, at_ms, .. } => {
                self.run.clone_from(run);
                self.tests = *tests;
                self.started_at_ms = *at_ms;
                self.last_line_at_ms = *at_ms;
                let all = *tests == self.estimates.len() as u64;
                self.estimated_us = if all { self.estimates.values().copied().fold(0, u64::saturating_add) } else { 0 };
                self.whole_plan = *units == self.planned_units;
                let mut lines = vec![(Level::Lifecycle, self.first(*tests, *units, *reused, *workers))];
                if *reused > 0 && *tests > 0 {
                    let all = counted(tests.saturating_add(*reused), "test", "tests");
                    let said = if *reused == 1 { REUSED_ONE } else { REUSED };
                    let text = format!("{} of {all} {said}", thousands(*reused));
                    lines.push((Level::Lifecycle, text));
                }
                lines
            }
            RunEvent::WorkerStarted { worker, backend, .. } => {
                vec![(Level::Info, format!("Worker {worker} is being started ({})", printable(backend)))]
            }
            RunEvent::WorkerReady { worker, host, pid, .. } => {
                // One that comes back names what it still has.
                self.in_hand.remove(worker);
                vec![(Level::Info, format!("Worker {worker} is ready on {}, process {pid}", printable(host)))]
            }
            RunEvent::WorkerEnded { worker, failure, .. } => {
                self.in_hand.remove(worker);
                self.running.retain(|_, running| running.worker != *worker);
                vec![match failure {
                    Some(failure) => {
                        (Level::Warn, format!("Worker {worker} broke down: {}", printable(&failure.to_string())))
                    }
                    None => (Level::Info, format!("Worker {worker} ended")),
                }]
            }
            RunEvent::JvmStarted { worker, task, pid, .. } => {
                vec![(Level::Info, format!("Worker {worker} runs a test JVM for {task}, process {pid}"))]
            }
            RunEvent::JvmDied { worker, pid, reason, .. } => self.jvm_died(*worker, *pid, reason),
            RunEvent::UnitAssigned { unit, worker, .. } => {
                if let Some((test, number)) = self.slice_units.get(unit).filter(|_| !self.whole_plan) {
                    self.assigned.entry(test.clone()).or_default().insert(*number);
                }
                *self.in_hand.entry(*worker).or_default() += 1;
                Vec::new()
            }
            RunEvent::WorkerLeaving { worker, reason, .. } => {
                vec![(
                    Level::Warn,
                    format!("Worker {worker} has to end and gives its work back: {}", printable(reason)),
                )]
            }
            RunEvent::WorkerUsed { worker, usage, .. } => {
                vec![(Level::Info, format!("Worker {worker} used {}", super::words::usage(usage)))]
            }
            RunEvent::RunTimedOut { limit_ms, .. } => {
                self.cancelled = true;
                let text = format!(
                    "The run took longer than {}: workers are being stopped, results so far are kept",
                    super::words::duration(*limit_ms)
                );
                vec![(Level::Error, text)]
            }
            RunEvent::RunAborted { .. } => {
                let text = "No worker is left: what has no result is lost. `./gradlew runParallel --resume` runs it once workers start again";
                vec![(Level::Error, text.to_owned())]
            }
            RunEvent::ProfileGivenUp { task, .. } => {
                vec![(Level::Error, format!("No test JVM of {task} starts: its tests are not tried any more"))]
            }
            RunEvent::CoordinatorSlept { .. }
            | RunEvent::LeaseRenewed { .. }
            | RunEvent::RunResumed { .. }
            | RunEvent::FileStored { .. } => Vec::new(),
            RunEvent::UnitFinished { worker, .. } => {
                if let Some(units) = self.in_hand.get_mut(worker) {
                    *units = units.saturating_sub(1);
                }
                Vec::new()
            }
            RunEvent::TestStarted { test, worker, slice, at_ms, .. } => {
                let running = Running { worker: *worker, since_ms: *at_ms, named: false };
                self.running.insert((test.clone(), *slice), running);
                Vec::new()
            }
            RunEvent::InvocationFinished { test, worker, invocation, finished, .. } => {
                if is_bad(finished.outcome) {
                    self.problems.entry(test.clone()).or_default().invocation(
                        &test.name.class,
                        *worker,
                        invocation,
                        finished,
                    );
                }
                Vec::new()
            }
            RunEvent::TestFinished { test, worker, slice, finished, .. } => {
                self.running.remove(&(test.clone(), *slice));
                if let Some(slice) = slice {
                    self.slice_ended(test, *slice);
                }
                if is_bad(finished.outcome) || slice.is_some() {
                    self.problems.entry(test.clone()).or_default().test(&test.name.class, *worker, finished);
                }
                Vec::new()
            }
            RunEvent::TestVerdict { test, verdict, reason } => self.verdict(test, *verdict, reason.as_deref()),
            RunEvent::CancelRequested { .. } => {
                self.cancelled = true;
                vec![(Level::Warn, "Cancelled: workers are being stopped, results so far are kept".to_owned())]
            }
            RunEvent::SliceLost { test, slice, .. } => {
                self.running.remove(&(test.clone(), Some(*slice)));
                self.slice_ended(test, *slice);
                Vec::new()
            }
            RunEvent::Output { .. } | RunEvent::ClassFailed { .. } | RunEvent::RunFinished { .. } => Vec::new(),
        }
    }

    /// The progress line, when it is time for one, and tests that have been running for long. `now_ms` is by the clock
    /// of the events.
    pub fn tick(&mut self, now_ms: u64) -> Vec<(Level, String)> {
        let mut lines = self.slow_tests(now_ms);
        let is_time = now_ms >= self.last_line_at_ms.saturating_add(PROGRESS_EVERY_MS);
        if !self.run.is_empty() && self.done < self.tests && is_time {
            self.last_line_at_ms = now_ms;
            lines.push((Level::Lifecycle, self.progress(now_ms)));
        }
        lines
    }

    /// What is said when all is over: verdict, counts, bad tests, what took longest, and where to look. `written` is what
    /// [`super::write_all`] and the session wrote.
    pub fn finish(&mut self, summary: &Summary, written: &[(String, PathBuf)]) -> Vec<(Level, String)> {
        end::lines(summary, written, self.several_tasks, &self.lost_by_cancel)
    }

    /// A slice counts as done before its test does.
    fn slice_ended(&mut self, test: &TestId, number: u32) {
        let Some(slice) = self.slices.get(&(test.clone(), number)) else { return };
        self.done_us = self.done_us.saturating_add(slice.estimate_us);
        *self.ended_us.entry(test.clone()).or_default() += slice.estimate_us;
    }

    /// `slice 2 of 5`, for a test of which this run has no more.
    fn part(&self, test: &TestId) -> Option<String> {
        let numbers = self.assigned.get(test)?;
        let of = self.slices.get(&(test.clone(), *numbers.first()?))?.of;
        (numbers.len() < of as usize).then(|| slices_word(numbers.iter().copied(), of))
    }

    fn first(&self, tests: u64, units: u64, reused: u64, workers: u32) -> String {
        let name = Some(printable(&self.options.build_name)).filter(|name| !name.is_empty());
        let of = name.map(|name| format!(" of {name}")).unwrap_or_default();
        if units == 0 && reused > 0 {
            return match reused {
                1 => format!("The only test{of} {REUSED_ONE}"),
                _ => format!("All {}{of} {REUSED}", counted(reused, "test", "tests")),
            };
        }
        if units == 0 {
            return format!("There is no test{of} to run");
        }
        let planned = self.options.workers;
        let some = if workers < planned { format!("{} of ", thousands(workers.into())) } else { String::new() };
        format!(
            "Running {}{of} in {} on {some}{}",
            counted(tests, "test", "tests"),
            counted(units, "unit", "units"),
            counted(workers.max(planned).into(), "worker", "workers"),
        )
    }

    fn progress(&self, now_ms: u64) -> String {
        let share = self.share_done(now_ms);
        let busy = self.in_hand.values().filter(|units| **units > 0).count();
        let elapsed = now_ms.saturating_sub(self.started_at_ms);
        let mut line = format!(
            "[{:>3.0} %] {} of {}, {} failed, {busy} of {} busy, {} so far",
            (share * 100.0).floor(),
            thousands(self.done),
            counted(self.tests, "test", "tests"),
            if self.bad == 0 { "none".to_owned() } else { thousands(self.bad) },
            counted(self.in_hand.len().max(busy) as u64, "worker", "workers"),
            whole_seconds(elapsed),
        );
        // Before that, the start of workers and JVMs weighs too much.
        if share >= 0.05 {
            let left = elapsed as f64 * (1.0 - share) / share;
            line.push_str(&format!(", about {} left", whole_seconds(left as u64)));
        }
        line
    }

    /// Of the estimated time when all planned tests run, else of the number of tests. A running test counts with the
    /// time that it has run, up to what was expected of it.
    fn share_done(&self, now_ms: u64) -> f64 {
        let (done, all) = if self.estimated_us > 0 {
            let so_far = |((test, slice), running): (&(TestId, Option<u32>), &Running)| {
                let elapsed_us = now_ms.saturating_sub(running.since_ms).saturating_mul(1_000);
                let whole_us = self.estimates.get(test).copied().unwrap_or(0);
                let estimate_us = slice
                    .and_then(|slice| self.slices.get(&(test.clone(), slice)))
                    .map_or(whole_us, |it| it.estimate_us);
                elapsed_us.min(estimate_us)
            };
            (self.running.iter().map(so_far).fold(self.done_us, u64::saturating_add), self.estimated_us)
        } else {
            (self.done, self.tests)
        };
        if all == 0 { 0.0 } else { (done as f64 / all as f64).min(1.0) }
    }

    fn slow_tests(&mut self, now_ms: u64) -> Lines {
        let mut slow: Vec<_> = self
            .running
            .iter_mut()
            .filter(|(_, running)| !running.named && now_ms.saturating_sub(running.since_ms) >= SLOW_MS)
            .collect();
        slow.sort_by(|a, b| a.0.cmp(b.0));
        let several = self.several_tasks;
        let line = |((test, slice), running): (&(TestId, Option<u32>), &mut Running)| {
            running.named = true;
            let since = whole_seconds(now_ms.saturating_sub(running.since_ms));
            let slice = slice.map(|slice| format!(", slice {slice},")).unwrap_or_default();
            let title = title(test, several);
            let text = format!("{title}{slice} has been running for {since} on worker {}", running.worker);
            (Level::Lifecycle, text)
        };
        slow.into_iter().map(line).collect()
    }

    /// Each unit that waited for a JVM that did not start tells of its end.
    fn jvm_died(&mut self, worker: u32, pid: u32, reason: &str) -> Lines {
        let deaths = self.deaths.entry(reason.to_owned()).or_default();
        let is_first = deaths.is_empty();
        if !deaths.insert((worker, pid)) {
            return Vec::new();
        }
        let text = if is_first {
            format!("The test JVM of worker {worker} died:\n{}", indented(reason, "    "))
        } else {
            format!("A test JVM of worker {worker} ended in the same way: {}", first_line(reason, DEATH))
        };
        vec![(Level::Warn, text)]
    }

    fn verdict(&mut self, test: &TestId, verdict: Verdict, reason: Option<&str>) -> Lines {
        let trouble = self.problems.remove(test).unwrap_or_default();
        // A failure outside of any planned test comes as a test of its own, which nothing waits for.
        if let Some(estimate_us) = self.estimates.get(test) {
            self.done += 1;
            let ended_us = self.ended_us.remove(test).unwrap_or(0);
            self.done_us = self.done_us.saturating_add(estimate_us.saturating_sub(ended_us));
        }
        if verdict == Verdict::Flaky {
            let how = reason.unwrap_or("it failed and passed in different attempts");
            let text = format!("{} FLAKY: {}", title(test, self.several_tasks), printable(how));
            return vec![(Level::Warn, text)];
        }
        if !verdict.is_bad() {
            return Vec::new();
        }
        let held = self
            .quarantine
            .holding(test, self.estimates.contains_key(test))
            .map(|held| quarantine_word(&held.reason, held.until.as_deref()));
        if self.cancelled && verdict == Verdict::Lost {
            if held.is_none() {
                self.lost_by_cancel.insert(test.clone());
            }
            return Vec::new();
        }
        let mut title = title(test, self.several_tasks);
        title.extend(self.part(test).map(|part| format!(" ({part})")));
        if let Some(held) = held {
            self.shown_held += 1;
            let text = || format!("{}\n    {held}", trouble.worded(&title, verdict, reason));
            return if self.shown_held <= HELD_IN_FULL { vec![(Level::Warn, text())] } else { Vec::new() };
        }
        self.bad += 1;
        // What an invocation came to is its own.
        let shared = reason.filter(|_| !trouble.has_invocations());
        if let Some(left) = shared.and_then(|reason| self.told.again(&title, verdict, reason)) {
            return left.into_iter().map(|text| (Level::Error, text)).collect();
        }
        self.shown += 1;
        if self.shown > SHOWN_IN_FULL {
            let more = format!("More than {SHOWN_IN_FULL} bad tests: the others are in the report at the end");
            return if self.shown == SHOWN_IN_FULL + 1 { vec![(Level::Error, more)] } else { Vec::new() };
        }
        if let Some(reason) = shared {
            self.told.tell(&title, reason);
        }
        vec![(Level::Error, trouble.worded(&title, verdict, reason))]
    }
}

/// Said of a test that is not run.
const REUSED_ONE: &str = "passed before with equal classes and inputs and is not run again";

/// Said of several of them.
const REUSED: &str = "passed before with equal classes and inputs and are not run again";

/// `com.acme.FooTest > adds(int)`, with the Test task before it where there are several.
fn title(test: &TestId, several_tasks: bool) -> String {
    let name = if several_tasks { test.to_string() } else { test.name.to_string() };
    printable(&name).replace('\n', " ")
}

#[cfg(test)]
mod tests;
