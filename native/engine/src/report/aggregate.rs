//! The fold of a run's events: what every document is made from.

use super::output::{Budget, ClassOutput, TestTail, bounded, shorten};
use super::records::{JvmDeath, Place, RunRecord, StoredFile, TestRecord, UnitRecord, WorkerRecord};
use super::summary::{self, Summary};
use super::words::unit_note;
use crate::quarantined::Quarantine;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use testfleet_protocol::agent::FileOf;
use testfleet_protocol::event::{Attempt, RunEvent};
use testfleet_protocol::plan::{Plan, UnitId};
use testfleet_protocol::test::{Finished, Stream, TaskPath, TestId, Verdict};

/// Longest reason that is kept: a dead JVM's holds what it last wrote.
const REASON: usize = 16 * 1024;

/// The fold of a run's events. Holds every result, and of each class's output the beginning and the
/// end, so that its size is bounded by the number of tests and classes.
#[derive(Debug)]
pub struct Aggregate {
    pub(super) build_name: Option<String>,
    pub(super) run: RunRecord,
    /// Those of the plan in its order, then those that were not planned.
    pub(super) tests: Vec<TestRecord>,
    pub(super) units: Vec<UnitRecord>,
    pub(super) longest_group_ms: u64,
    pub(super) workers: BTreeMap<u32, WorkerRecord>,
    /// By task and class, nested classes by themselves.
    pub(super) output: BTreeMap<(TaskPath, String), ClassOutput>,
    /// What workers sent, in the order in which it first came.
    pub(super) files: Vec<StoredFile>,
    /// Which of `files` is at a path.
    file_index: HashMap<String, usize>,
    /// Which of `files` are of what a test wrote.
    output_files: HashMap<TestId, Vec<usize>>,
    /// The run's folder, which they are in.
    pub(super) run_dir: Option<PathBuf>,
    /// How many of `tests` are planned.
    planned: usize,
    quarantine: Quarantine,
    test_index: HashMap<TestId, usize>,
    unit_index: HashMap<UnitId, usize>,
    budget: Budget,
}

impl Aggregate {
    /// Nothing has happened yet.
    pub fn new(plan: &Plan) -> Self {
        let mut empty = Self {
            build_name: None,
            run: RunRecord::default(),
            tests: Vec::new(),
            units: Vec::with_capacity(plan.units.len()),
            longest_group_ms: plan.groups.iter().map(|group| group.estimate_ms).max().unwrap_or(0),
            workers: BTreeMap::new(),
            output: BTreeMap::new(),
            files: Vec::new(),
            file_index: HashMap::new(),
            output_files: HashMap::new(),
            run_dir: None,
            planned: 0,
            quarantine: Quarantine::of(plan),
            test_index: HashMap::new(),
            unit_index: HashMap::with_capacity(plan.units.len()),
            budget: Budget::default(),
        };
        for unit in &plan.units {
            let tests: Vec<usize> = unit.test_ids().map(|id| empty.test_at(&id)).collect();
            for &test in &tests {
                let record = &mut empty.tests[test];
                record.plain_name = unit.plain_names;
                record.slices = unit.slice.map_or(0, |slice| slice.of);
            }
            empty.unit_index.insert(unit.id.clone(), empty.units.len());
            empty.units.push(UnitRecord {
                id: unit.id.clone(),
                task: unit.task.clone(),
                class: unit.class.clone(),
                estimate_ms: unit.estimate_ms,
                estimate_source: unit.estimate_source,
                slice: unit.slice,
                is_reused: unit.reused.is_some(),
                note: unit_note(unit),
                tests,
            });
        }
        empty.planned = empty.tests.len();
        for test in &mut empty.tests {
            test.quarantined = empty.quarantine.holding(&test.id, true).cloned();
        }
        empty
    }

    /// Gives the documents the build's name in their titles.
    #[must_use]
    pub fn named(mut self, build_name: impl Into<String>) -> Self {
        self.build_name = Some(build_name.into());
        self
    }

    /// Says where the run's folder is, for links to files in it.
    #[must_use]
    pub fn of_folder(mut self, run_dir: impl Into<PathBuf>) -> Self {
        self.run_dir = Some(run_dir.into());
        self
    }

    /// Files with what this test wrote, as far as it was too much to be shown: which stream, and where.
    pub(super) fn whole_outputs(&self, test: &TestId) -> Vec<(Stream, &StoredFile)> {
        let outputs = self.output_files.get(test).into_iter().flatten().map(|at| &self.files[*at]);
        let of_streams = outputs.filter_map(|stored| match &stored.of {
            FileOf::Output { stream, .. } => Some((*stream, stored)),
            _ => None,
        });
        of_streams.collect()
    }

    /// Whether the plan runs a test in slices.
    pub fn is_sliced(&self, test: &TestId) -> bool {
        self.test_index.get(test).is_some_and(|&at| self.tests[at].slices > 0)
    }

    /// How long a test took, if all of it ran and came to an end that tells of its length: that of one in slices is the
    /// sum of them. In microseconds.
    pub fn whole_duration_us(&self, test: &TestId) -> Option<u64> {
        self.test_index.get(test).and_then(|&at| self.tests[at].whole_duration_us())
    }

    /// What the run came to so far.
    pub fn summary(&self) -> Summary {
        summary::of(self)
    }

    /// Adds what an event says. Events of a worker or test that nothing is known of are taken as they come.
    pub fn apply(&mut self, event: &RunEvent) {
        self.apply_time(event);
        match event {
            RunEvent::RunStarted { run, plan, workers, units, tests, reused, at_ms, protocol: _ } => {
                self.run.id.clone_from(run);
                self.run.plan.clone_from(plan);
                self.run.workers = *workers;
                self.run.units = *units;
                self.run.tests = *tests;
                self.run.reused = *reused;
                self.run.started_at_ms = *at_ms;
                if tests.saturating_add(*reused) == self.planned as u64 {
                    self.tests.iter_mut().for_each(|test| test.in_run = true);
                }
                self.run.whole_plan = *units == self.units.iter().filter(|unit| !unit.is_reused).count() as u64;
                for unit in self.units.iter().filter(|_| self.run.whole_plan) {
                    let tests = unit.tests.iter().zip(unit.slice);
                    tests.for_each(|(&test, slice)| self.tests[test].slices_in_run.extend([slice.number]));
                }
            }
            RunEvent::WorkerStarted { worker, backend, image, at_ms } => {
                let record = self.workers.entry(*worker).or_default();
                record.backend.clone_from(backend);
                record.place = Arc::new(Place { host: String::new(), image: image.clone() });
                record.started_at_ms = *at_ms;
            }
            RunEvent::WorkerReady { worker, host, pid, at_ms } => {
                let record = self.workers.entry(*worker).or_default();
                if record.place.host != *host {
                    Arc::make_mut(&mut record.place).host.clone_from(host);
                }
                record.pid = *pid;
                record.ready_at_ms = Some(*at_ms);
            }
            RunEvent::WorkerEnded { worker, failure, at_ms } => {
                let record = self.workers.entry(*worker).or_default();
                record.failure = failure.as_ref().map(ToString::to_string).or(record.failure.take());
                record.ended_at_ms = Some(*at_ms);
            }
            RunEvent::WorkerUsed { worker, usage, at_ms: _ } => {
                self.workers.entry(*worker).or_default().used(usage);
            }
            RunEvent::JvmStarted { worker, at_ms, task: _, pid: _ } => {
                let record = self.workers.entry(*worker).or_default();
                record.jvm_starts += 1;
                record.free_since_ms = record.free_since_ms.max(*at_ms);
            }
            RunEvent::JvmDied { worker, pid, reason, evidence, at_ms, never_ready: _ } => {
                let mut reason = reason.clone();
                shorten(&mut reason, REASON);
                let evidence = evidence.iter().map(|one| (one.name.clone(), self.budget.kept(&one.text))).collect();
                let death = JvmDeath { pid: *pid, reason, evidence, at_ms: *at_ms };
                self.workers.entry(*worker).or_default().jvm_deaths.push(death);
            }
            RunEvent::UnitAssigned { unit, worker, attempt, at_ms } => {
                self.workers.entry(*worker).or_default().assigned(unit.clone(), *attempt, *at_ms);
                if let Some(&at) = self.unit_index.get(unit) {
                    for &test in &self.units[at].tests {
                        self.tests[test].in_run = true;
                        self.tests[test].slices_in_run.extend(self.units[at].slice.map(|slice| slice.number));
                    }
                }
            }
            RunEvent::UnitFinished { unit, worker, attempt, at_ms, handed_back: _, unseen: _ } => {
                self.workers.entry(*worker).or_default().unit_done(unit, *attempt, *at_ms);
            }
            RunEvent::TestStarted { test, worker, attempt, slice, at_ms, unit: _ } => {
                let place = self.workers.get(worker).map(|record| Arc::clone(&record.place));
                let attempt = self.test(test).attempt(*slice, *attempt);
                attempt.worker = Some(*worker);
                attempt.place = place;
                attempt.started_at_ms = Some(*at_ms);
            }
            RunEvent::InvocationFinished { test, worker, attempt, slice, invocation, finished } => {
                let finished = self.bounded(finished);
                let attempt = self.test(test).attempt(*slice, *attempt);
                attempt.worker = Some(*worker);
                attempt.invocations.push((invocation.clone(), finished));
            }
            RunEvent::TestFinished { test, worker, attempt, slice, finished } => {
                let finished = self.bounded(finished);
                let attempt = self.test(test).attempt(*slice, *attempt);
                attempt.worker = worker.or(attempt.worker);
                attempt.finished = Some(finished);
            }
            // The test's verdict says why, and what stands for the class.
            RunEvent::SliceLost { .. } | RunEvent::ClassFailed { .. } => {}
            RunEvent::TestVerdict { test, verdict, reason } => self.test_verdict(test, *verdict, reason.as_deref()),
            RunEvent::Output { test, class, task, worker, stream, text } => {
                self.output(test.as_ref(), class, task, *worker, *stream, text);
            }
            RunEvent::FileStored { worker, of, path, size } => {
                self.file(StoredFile { worker: *worker, of: of.clone(), path: path.clone(), size: *size });
            }
            RunEvent::LeaseRenewed { .. }
            | RunEvent::RunResumed { .. }
            | RunEvent::WorkerLeaving { .. }
            | RunEvent::ProfileGivenUp { .. }
            | RunEvent::RunTimedOut { .. }
            | RunEvent::CoordinatorSlept { .. }
            | RunEvent::RunAborted { .. } => {}
            RunEvent::CancelRequested { .. } => self.run.cancelled = true,
            RunEvent::RunFinished { verdict, cancelled, counts: _, at_ms: _ } => {
                self.run.verdict = Some(*verdict);
                self.run.cancelled |= cancelled;
            }
        }
    }

    /// A later version of a collected file takes the place of the earlier one.
    fn file(&mut self, stored: StoredFile) {
        if let Some(&at) = self.file_index.get(&stored.path) {
            self.files[at] = stored;
            return;
        }
        let at = self.files.len();
        if let FileOf::Output { task, test: Some(name), .. } = &stored.of {
            let test = TestId { task: task.clone(), name: name.clone() };
            self.output_files.entry(test).or_default().push(at);
        }
        self.file_index.insert(stored.path.clone(), at);
        self.files.push(stored);
    }

    /// A unit of the plan.
    pub(super) fn unit(&self, id: &UnitId) -> Option<&UnitRecord> {
        self.unit_index.get(id).map(|&at| &self.units[at])
    }

    /// What the plan expected of the tests of a unit that ended in an attempt: their share of its estimate.
    pub(super) fn estimate_ms(&self, unit: &UnitRecord, attempt: Attempt) -> u64 {
        let slice = unit.slice.map_or(0, |slice| slice.number);
        let ended = |test: &&usize| {
            let mut attempts = self.tests[**test].attempts.iter().filter(|known| known.slice == slice);
            attempts.any(|known| known.number == attempt && known.finished.is_some())
        };
        let ended = unit.tests.iter().filter(ended).count() as u64;
        unit.estimate_ms.saturating_mul(ended) / (unit.tests.len() as u64).max(1)
    }

    /// Tests that the run said it would run and never mentioned again.
    pub(super) fn unaccounted(&self) -> u64 {
        let known = self.tests[..self.planned].iter().filter(|test| test.in_run).count() as u64;
        self.run.tests.saturating_add(self.run.reused).saturating_sub(known)
    }

    fn apply_time(&mut self, event: &RunEvent) {
        let at_ms = match event {
            RunEvent::RunStarted { at_ms, .. }
            | RunEvent::WorkerStarted { at_ms, .. }
            | RunEvent::WorkerReady { at_ms, .. }
            | RunEvent::WorkerEnded { at_ms, .. }
            | RunEvent::JvmStarted { at_ms, .. }
            | RunEvent::WorkerUsed { at_ms, .. }
            | RunEvent::JvmDied { at_ms, .. }
            | RunEvent::ProfileGivenUp { at_ms, .. }
            | RunEvent::UnitAssigned { at_ms, .. }
            | RunEvent::TestStarted { at_ms, .. }
            | RunEvent::UnitFinished { at_ms, .. }
            | RunEvent::CancelRequested { at_ms }
            | RunEvent::WorkerLeaving { at_ms, .. }
            | RunEvent::RunTimedOut { at_ms, .. }
            | RunEvent::RunAborted { at_ms, .. }
            | RunEvent::CoordinatorSlept { at_ms, .. }
            | RunEvent::LeaseRenewed { at_ms, .. }
            | RunEvent::RunResumed { at_ms, .. }
            | RunEvent::RunFinished { at_ms, .. } => *at_ms,
            RunEvent::InvocationFinished { .. }
            | RunEvent::Output { .. }
            | RunEvent::SliceLost { .. }
            | RunEvent::ClassFailed { .. }
            | RunEvent::FileStored { .. }
            | RunEvent::TestFinished { .. }
            | RunEvent::TestVerdict { .. } => return,
        };
        self.run.last_at_ms = self.run.last_at_ms.max(at_ms);
    }

    fn test_at(&mut self, id: &TestId) -> usize {
        if let Some(&at) = self.test_index.get(id) {
            return at;
        }
        let at = self.tests.len();
        self.test_index.insert(id.clone(), at);
        let mut record = TestRecord::new(id.clone());
        record.quarantined = self.quarantine.holding(id, false).cloned();
        self.tests.push(record);
        at
    }

    fn test(&mut self, id: &TestId) -> &mut TestRecord {
        let at = self.test_at(id);
        let record = &mut self.tests[at];
        record.in_run = true;
        record
    }

    fn bounded(&mut self, finished: &Finished) -> Finished {
        let mut kept = finished.clone();
        kept.thrown = bounded(kept.thrown, &mut self.budget);
        if let Some(reason) = &mut kept.reason {
            shorten(reason, REASON);
        }
        kept
    }

    fn test_verdict(&mut self, test: &TestId, verdict: Verdict, reason: Option<&str>) {
        let record = self.test(test);
        record.verdict = Some(verdict);
        record.reason = reason.map(|reason| {
            let mut kept = reason.to_owned();
            shorten(&mut kept, REASON);
            kept
        });
        if !verdict.is_bad() && verdict != Verdict::Flaky {
            let tail = std::mem::take(&mut record.tail);
            tail.release(&mut self.budget);
        }
    }

    fn output(&mut self, test: Option<&TestId>, class: &str, task: &TaskPath, worker: u32, stream: Stream, text: &str) {
        let class = test.map_or(class, |test| &test.name.class);
        if class.is_empty() {
            self.workers.entry(worker).or_default().tail.push(text, &mut self.budget);
            return;
        }
        let task = test.map_or(task, |test| &test.task);
        let kept = self.output.entry((task.clone(), class.to_owned())).or_default();
        kept.push(stream, text, &mut self.budget);
        if let Some(test) = test {
            let at = self.test_at(test);
            let TestRecord { verdict, tail, .. } = &mut self.tests[at];
            if verdict.is_none_or(|verdict| verdict.is_bad() || verdict == Verdict::Flaky) {
                tail.push(text, &mut self.budget);
            }
        }
    }
}

impl TestTail {
    /// Nothing when the test wrote nothing.
    pub(super) fn shown(&self) -> Option<String> {
        Some(self.text()).filter(|text| !text.trim().is_empty())
    }
}
