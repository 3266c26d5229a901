//! What is known of a run, its tests, units and workers.

use super::output::TestTail;
use std::collections::BTreeSet;
use std::sync::Arc;
use testfleet_protocol::agent::{FileOf, Usage};
use testfleet_protocol::event::Attempt;
use testfleet_protocol::plan::{EstimateSource, Quarantined, Slice, UnitId};
use testfleet_protocol::test::{Finished, Invocation, Outcome, TaskPath, TestId, Verdict};

/// The run as a whole.
#[derive(Debug, Default)]
pub(super) struct RunRecord {
    pub(super) id: String,
    pub(super) plan: String,
    pub(super) workers: u32,
    /// Units and tests that were to run, as the run said at its start.
    pub(super) units: u64,
    pub(super) tests: u64,
    /// Tests that it did not run because an earlier run counts.
    pub(super) reused: u64,
    /// Whether it was to run all of the plan.
    pub(super) whole_plan: bool,
    pub(super) started_at_ms: u64,
    /// The latest time that any event told.
    pub(super) last_at_ms: u64,
    /// `None` until the run has said that it is over.
    pub(super) verdict: Option<Verdict>,
    pub(super) cancelled: bool,
}

/// One test of the plan, or one that a worker reported though it was not planned.
#[derive(Debug)]
pub(super) struct TestRecord {
    pub(super) id: TestId,
    /// Whether its framework's own reports name it without empty parentheses.
    pub(super) plain_name: bool,
    /// Whether this run was to run it; the other tests of the plan are none of its business.
    pub(super) in_run: bool,
    pub(super) verdict: Option<Verdict>,
    pub(super) reason: Option<String>,
    /// Why its verdict counts for nothing.
    pub(super) quarantined: Option<Quarantined>,
    /// In how many slices the plan runs it; 0 when it is run as a whole.
    pub(super) slices: u32,
    /// The slices that this run was to run.
    pub(super) slices_in_run: BTreeSet<u32>,
    /// Ordered by slice and number.
    pub(super) attempts: Vec<AttemptRecord>,
    /// Its last output, dropped when it ended well.
    pub(super) tail: TestTail,
}

/// One try at a test.
#[derive(Debug, Default)]
pub(super) struct AttemptRecord {
    /// The slice that was tried; 0 for a test that is run as a whole.
    pub(super) slice: u32,
    pub(super) number: Attempt,
    pub(super) worker: Option<u32>,
    /// Where that worker was then, as far as it is known.
    pub(super) place: Option<Arc<Place>>,
    /// By the coordinator's clock.
    pub(super) started_at_ms: Option<u64>,
    /// `None` for a try that was handed back or never ended.
    pub(super) finished: Option<Finished>,
    /// In the order in which they ended.
    pub(super) invocations: Vec<(Invocation, Finished)>,
}

impl TestRecord {
    pub(super) fn new(id: TestId) -> Self {
        Self {
            id,
            plain_name: false,
            in_run: false,
            verdict: None,
            reason: None,
            quarantined: None,
            slices: 0,
            slices_in_run: BTreeSet::new(),
            attempts: Vec::new(),
            tail: TestTail::default(),
        }
    }

    /// Its method as the framework's own reports name it.
    pub(super) fn reported_name(&self) -> &str {
        let method = self.id.name.method.as_str();
        if self.plain_name { method.strip_suffix("()").unwrap_or(method) } else { method }
    }

    pub(super) fn attempt(&mut self, slice: Option<u32>, number: Attempt) -> &mut AttemptRecord {
        let slice = slice.unwrap_or(0);
        let at = match self.attempts.binary_search_by_key(&(slice, number), |attempt| (attempt.slice, attempt.number)) {
            Ok(at) => at,
            Err(at) => {
                self.attempts.insert(at, AttemptRecord { slice, number, ..AttemptRecord::default() });
                at
            }
        };
        &mut self.attempts[at]
    }

    /// What became of it. A test that got no verdict before the events ended is lost.
    pub(super) fn verdict(&self) -> Verdict {
        self.verdict.unwrap_or(Verdict::Lost)
    }

    /// Why, for a test whose verdict needs a word more.
    pub(super) fn reason(&self) -> Option<&str> {
        let said = self.reason.as_deref();
        let of_attempt = || self.decisive().and_then(|a| a.finished.as_ref()).and_then(|f| f.reason.as_deref());
        match self.verdict {
            None => said.or(Some("the run ended before it got a verdict")),
            Some(Verdict::Lost) => said.or(Some("no result came back")),
            Some(_) => said.or_else(of_attempt),
        }
    }

    /// Whether it makes the run red.
    pub(super) fn is_bad(&self) -> bool {
        self.verdict().is_bad() && self.quarantined.is_none()
    }

    /// Whether it is bad, and in quarantine.
    pub(super) fn is_held(&self) -> bool {
        self.verdict().is_bad() && self.quarantined.is_some()
    }

    /// The attempt that its verdict comes from: the last that came to it, else the last that ended, else the last. Of a
    /// test in slices, that of the first slice that came to the test's verdict.
    pub(super) fn decisive(&self) -> Option<&AttemptRecord> {
        if self.slices == 0 {
            return self.decisive_among(&self.attempts);
        }
        let of_each = self.decisive_of_each();
        let said = |attempt: &&&AttemptRecord| attempt.verdict().unwrap_or(Verdict::Lost) == self.verdict();
        of_each.iter().find(said).or(of_each.first()).copied()
    }

    /// Of each slice the attempt that counts; of a test that is run as a whole, its decisive one.
    pub(super) fn decisive_of_each(&self) -> Vec<&AttemptRecord> {
        let slices = self.attempts.chunk_by(|one, next| one.slice == next.slice);
        slices.filter_map(|attempts| self.decisive_among(attempts)).collect()
    }

    fn decisive_among<'a>(&self, attempts: &'a [AttemptRecord]) -> Option<&'a AttemptRecord> {
        let wanted = if self.verdict() == Verdict::Flaky { Verdict::Passed } else { self.verdict() };
        let ended = || attempts.iter().rev().filter(|attempt| attempt.finished.is_some());
        let agrees = |attempt: &&AttemptRecord| attempt.verdict() == Some(wanted);
        ended().find(agrees).or_else(|| ended().next()).or(attempts.last())
    }

    /// What is known of where it ran, in the decisive attempt.
    pub(super) fn place(&self) -> Option<&Place> {
        self.decisive().and_then(|attempt| attempt.place.as_deref()).filter(|place| !place.host.is_empty())
    }

    /// Where it ran, in the decisive attempt.
    pub(super) fn worker(&self) -> Option<u32> {
        self.decisive().and_then(|attempt| attempt.worker)
    }

    /// Where it ran: one worker, or those of its slices.
    pub(super) fn workers(&self) -> impl Iterator<Item = u32> {
        self.decisive_of_each().into_iter().filter_map(|attempt| attempt.worker)
    }

    /// How long the decisive attempt took, or those of all slices together, in microseconds.
    pub(super) fn duration_us(&self) -> u64 {
        self.decisive_of_each().into_iter().map(AttemptRecord::duration_us).fold(0, u64::saturating_add)
    }

    /// Whether this run ran some of its slices and not the others.
    pub(super) fn is_partial(&self) -> bool {
        !self.slices_in_run.is_empty() && self.slices_in_run.len() < self.slices as usize
    }

    /// How long it took, if all of it ran and came to an end that tells of its length.
    pub(super) fn whole_duration_us(&self) -> Option<u64> {
        let of_each = self.decisive_of_each();
        let tells = |attempt: &&AttemptRecord| matches!(attempt.verdict(), Some(Verdict::Passed | Verdict::Failed));
        let whole = of_each.len() == self.slices.max(1) as usize && of_each.iter().all(tells);
        whole.then(|| self.duration_us())
    }
}

impl AttemptRecord {
    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.finished.as_ref().map(|finished| finished.outcome.into())
    }

    /// How long it took; for one that never ended, what its invocations took.
    pub(super) fn duration_us(&self) -> u64 {
        match &self.finished {
            Some(finished) => finished.duration_us,
            None => self.invocations.iter().map(|(_, finished)| finished.duration_us).fold(0, u64::saturating_add),
        }
    }

    /// When it started in milliseconds since the Unix epoch, if anything said so.
    pub(super) fn started_at_ms(&self) -> Option<u64> {
        let told = self.finished.iter().map(|finished| finished.started_at_ms).find(|&at| at > 0);
        told.or(self.started_at_ms)
    }
}

/// Whether an outcome is one to look at.
pub(super) fn is_bad(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::Errored)
}

/// Where a life of a worker was. Each of its tests refers to it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Host, container, or pod and node; empty until its agent answers.
    pub(super) host: String,
    /// What it was made of, where that is an image.
    pub(super) image: Option<String>,
}

/// One worker, through all its lives.
#[derive(Debug, Default)]
pub(super) struct WorkerRecord {
    pub(super) backend: String,
    /// Of its latest life.
    pub(super) place: Arc<Place>,
    /// The agent's; 0 when it never said hello.
    pub(super) pid: u32,
    pub(super) started_at_ms: u64,
    pub(super) ready_at_ms: Option<u64>,
    pub(super) ended_at_ms: Option<u64>,
    pub(super) failure: Option<String>,
    pub(super) jvm_starts: u64,
    pub(super) jvm_deaths: Vec<JvmDeath>,
    /// Of all its lives.
    pub(super) usage: Option<Usage>,
    /// Given and not done, in the order in which they were given: the first is running.
    pub(super) in_hand: Vec<(UnitId, Attempt, u64)>,
    /// When a unit can first have begun: the end of the one before, or the start of the JVM.
    pub(super) free_since_ms: u64,
    /// What it did, in order.
    pub(super) spans: Vec<Span>,
    /// What was written while no class ran.
    pub(super) tail: TestTail,
}

/// A JVM that ended without being told to.
#[derive(Debug, Clone)]
pub(super) struct JvmDeath {
    pub(super) pid: u32,
    pub(super) reason: String,
    /// What tells more: name and text.
    pub(super) evidence: Vec<(String, String)>,
    pub(super) at_ms: u64,
}

/// A file that came from a worker.
#[derive(Debug, Clone)]
pub(super) struct StoredFile {
    pub(super) worker: u32,
    pub(super) of: FileOf,
    /// Relative to the run's folder.
    pub(super) path: String,
    pub(super) size: u64,
}

/// One unit at one worker, from when it could begin to its end.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) unit: UnitId,
    pub(super) attempt: Attempt,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

impl Span {
    pub(super) fn length_ms(&self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }
}

impl WorkerRecord {
    /// Another life of it has ended.
    pub(super) fn used(&mut self, usage: &Usage) {
        let former = self.usage.unwrap_or_default();
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        self.usage = Some(Usage {
            peak_memory_bytes: former.peak_memory_bytes.max(usage.peak_memory_bytes),
            memory_limit_bytes: usage.memory_limit_bytes.or(former.memory_limit_bytes),
            cpu_us: sum(former.cpu_us, usage.cpu_us),
            throttled_us: sum(former.throttled_us, usage.throttled_us),
            oom_kills: sum(former.oom_kills, usage.oom_kills),
        });
    }

    /// Time in which it had a unit to run.
    pub(super) fn busy_ms(&self) -> u64 {
        self.spans.iter().map(Span::length_ms).fold(0, u64::saturating_add)
    }

    pub(super) fn assigned(&mut self, unit: UnitId, attempt: Attempt, at_ms: u64) {
        self.in_hand.push((unit, attempt, at_ms));
    }

    pub(super) fn unit_done(&mut self, unit: &UnitId, attempt: Attempt, at_ms: u64) {
        let held = self.in_hand.iter().position(|(id, number, _)| id == unit && *number == attempt);
        let assigned_at_ms = held.map_or(at_ms, |at| self.in_hand.remove(at).2);
        let from_ms = assigned_at_ms.max(self.free_since_ms).min(at_ms);
        self.free_since_ms = self.free_since_ms.max(at_ms);
        self.spans.push(Span { unit: unit.clone(), attempt, from_ms, to_ms: at_ms });
    }
}

/// One unit of the plan.
#[derive(Debug)]
pub(super) struct UnitRecord {
    pub(super) id: UnitId,
    pub(super) task: TaskPath,
    pub(super) class: String,
    pub(super) estimate_ms: u64,
    pub(super) estimate_source: EstimateSource,
    pub(super) slice: Option<Slice>,
    pub(super) is_reused: bool,
    /// What is special about it, in words; empty for most.
    pub(super) note: String,
    /// Where its tests are in the aggregate.
    pub(super) tests: Vec<usize>,
}
