//! What a run takes from earlier ones and adds for later ones: the timings file, and the history that machines share.
//!
//! A shared history is a help and never a reason to fail: what can't be read or written is said and gone without. A shard alone
//! is different: it plans the same as the others or tests run nowhere, so it fails when it can't know what they plan by.

use super::Context;
use super::show::Record;
use crate::discover::Discovery;
use crate::document;
use crate::history::{Observation, PastRun, RunKey, Store, drift};
use crate::plan::{Timings, code_fingerprint};
use crate::report::{Aggregate, Summary};
use crate::reuse::KEPT_DAYS;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;
use testfleet_protocol::event::{Level, RunEvent};
use testfleet_protocol::plan::{Plan, Unit};
use testfleet_protocol::request::SharedHistory;
use testfleet_protocol::test::{TaskPath, TestId, TestName, Verdict};
use testfleet_protocol::{Failure, Result};

/// Name of the shared document with timings.
const TIMINGS: &str = "timings";

/// What is planned with: the timings file and, where history is shared, what the others saw. With a shard, what all
/// shards of equal code plan with, and nothing else.
///
/// # Errors
/// Those of the timings file; with a shard, those of the shared history too.
pub(super) fn load(context: &Context<'_>, discovery: &Discovery) -> Result<Timings> {
    let Some(shared) = &context.request.options.history else { return load_local(context) };
    if let Some(shard) = context.request.options.shard {
        return load_for_shard(context, shared, discovery).map_err(|failure| Failure {
            message: format!("failed to plan shard {shard} like the others"),
            causes: std::iter::once(failure.message).chain(failure.causes).collect(),
            hint: Some(failure.hint.unwrap_or_else(|| "shards need the shared history; run this one again".to_owned())),
            code: failure.code,
        });
    }
    let mut timings = load_local(context)?;
    match open(context, shared).and_then(|store| store.read(TIMINGS)) {
        Ok(Some(bytes)) => timings.merge(&parse_shared(context, shared, &bytes)),
        Ok(None) => {}
        Err(failure) => context.sink.say(Level::Warn, failure.to_string()),
    }
    Ok(timings)
}

/// The timings file alone.
///
/// # Errors
/// `TimingsBroken`, `ProtocolVersion`, `Io`.
pub(super) fn load_local(context: &Context<'_>) -> Result<Timings> {
    Timings::load(&context.request.timings_file)
}

/// The first shard of some code pins what it finds, so that one that starts later does not see what it added.
fn load_for_shard(context: &Context<'_>, shared: &SharedHistory, discovery: &Discovery) -> Result<Timings> {
    let store = open(context, shared)?;
    let code = code_fingerprint(discovery)?;
    let pinned = store.pin(&format!("shards-{}", &code[..16]), TIMINGS, &Timings::default().bytes()?)?;
    Ok(parse_shared(context, shared, &pinned))
}

/// The place that machines share.
///
/// # Errors
/// Those of [`Store::open`].
pub(super) fn open(context: &Context<'_>, shared: &SharedHistory) -> Result<Store> {
    let mut shared = shared.clone();
    if !shared.location.contains("://") {
        let folder = context.request.roots["project"].join(&shared.location);
        shared.location = folder.display().to_string();
    }
    Store::open(&shared, &context.environment)
}

/// A document of the shared history, if there is one. What can't be read is said and gone without.
pub(super) fn read_shared(context: &Context<'_>, document: &str) -> Option<Vec<u8>> {
    let shared = context.request.options.history.as_ref()?;
    open(context, shared).and_then(|store| store.read(document)).unwrap_or_else(|failure| {
        context.sink.say(Level::Warn, failure.to_string());
        None
    })
}

/// Merges into a document of the shared history, when the build publishes. What can't be written is said and gone without.
pub(super) fn publish(context: &Context<'_>, document: &str, merge: impl FnMut(Option<&[u8]>) -> Result<Vec<u8>>) {
    let Some(shared) = &context.request.options.history else { return };
    if let Err(failure) = open(context, shared).and_then(|store| store.merge(document, merge)) {
        context.sink.say(Level::Warn, failure.to_string());
    }
}

/// For how many days without use things are kept; 0 is for ever.
pub(super) fn kept_days(context: &Context<'_>) -> u32 {
    context.request.options.history.as_ref().map_or(KEPT_DAYS, |history| history.expire_days)
}

/// A damaged copy is as good as none: the next run that publishes replaces it.
fn parse_shared(context: &Context<'_>, shared: &SharedHistory, bytes: &[u8]) -> Timings {
    Timings::parse(Path::new(TIMINGS), bytes).unwrap_or_else(|failure| {
        let hint = if shared.publish { "this run writes it anew" } else { "a run that publishes writes it anew" };
        let failure = Failure::new(failure.code, format!("failed to use the shared timings in {}", shared.location))
            .cause_text(failure.causes.join(": "))
            .hint(hint);
        context.sink.say(Level::Warn, failure.to_string());
        Timings::default()
    })
}

/// What is learned while a run goes on.
#[derive(Default)]
pub(super) struct Recorder {
    /// Of this run and no other: others may add to the file meanwhile.
    learned: Timings,
    /// Since when each worker had nothing to do but to start a JVM, in milliseconds since the Unix epoch.
    idle_since: HashMap<u32, u64>,
    /// The longest start of a JVM for each Test task.
    jvm_starts: HashMap<TaskPath, u64>,
}

impl Recorder {
    pub(super) fn take(&mut self, event: &RunEvent) {
        match event {
            RunEvent::WorkerReady { worker, at_ms, .. } | RunEvent::UnitFinished { worker, at_ms, .. } => {
                self.idle_since.insert(*worker, *at_ms);
            }
            RunEvent::JvmStarted { worker, task, at_ms, .. } => {
                if let Some(since) = self.idle_since.remove(worker) {
                    let took = at_ms.saturating_sub(since);
                    let longest = self.jvm_starts.entry(task.clone()).or_default();
                    *longest = took.max(*longest);
                }
            }
            // How long a dead JVM was at work is nothing to plan by.
            RunEvent::JvmDied { worker, .. } => {
                self.idle_since.remove(worker);
            }
            _ => {}
        }
    }

    /// Notes what the run came to, writes the timings file, and shares it. The file's path, unless nothing is recorded.
    pub(super) fn finish(
        &mut self,
        context: &Context<'_>,
        plan: &Plan,
        aggregate: &Aggregate,
        summary: &Summary,
        record: Record,
    ) -> Result<Option<PathBuf>> {
        if record == Record::Nothing {
            return Ok(None);
        }
        self.learned.begin_run(RunKey::new(&summary.run, summary.started_at_ms));
        self.record_tests(aggregate, summary);
        self.record_classes(plan, summary);
        for (task, ms) in &self.jvm_starts {
            self.learned.record_jvm_start(task, Duration::from_millis(*ms));
        }
        let is_whole = record == Record::All && summary.finished && !summary.cancelled;
        // Guesses are no predictions.
        let is_predicted = is_whole && !summary.prediction.guessed;
        if is_predicted {
            self.learned.record_run(past_run(summary));
        }
        let of_whole_tasks = context.request.tasks.iter().filter(|task| is_whole && !task.leaves_out_tests());
        let addition = Addition {
            learned: &self.learned,
            plan,
            is_whole,
            whole: of_whole_tasks.map(|task| &task.path).collect(),
            today: day(summary.started_at_ms),
            kept_days: kept_days(context),
        };
        let timings = addition.save(context)?;
        if is_predicted {
            warn_of_drift(context, &timings);
        }
        // A single worker's run is somebody's own.
        if record != Record::Single {
            addition.publish(context);
        }
        Ok(Some(context.request.timings_file.clone()))
    }

    fn record_tests(&mut self, aggregate: &Aggregate, summary: &Summary) {
        let complete = summary.finished && !summary.cancelled;
        for test in &summary.tests {
            let name = TestName { class: test.class.clone(), method: test.method.clone() };
            let id = TestId { task: test.task.clone(), name };
            // A part of a test says nothing of the whole.
            if test.slices.as_ref().is_some_and(|slices| slices.numbers.len() < slices.of as usize) {
                continue;
            }
            let duration = Duration::from_micros(test.duration_us);
            match test.verdict {
                // In a run that was broken off most tests are lost, which is not their doing.
                Verdict::Lost | Verdict::Errored if !complete => continue,
                Verdict::Failed | Verdict::Flaky if aggregate.whole_duration_us(&id).is_none() => {
                    self.learned.record_outcome(&id, Observation::Broken);
                }
                verdict => self.learned.record_verdict(&id, verdict, duration),
            }
            if test.verdict == Verdict::Passed {
                // Those of nested dynamic tests have two numbers: they can't be run some at a time.
                let number = |id: &str| id.strip_prefix('#').and_then(|number| number.parse::<u32>().ok());
                let mut numbered: Vec<(u32, u64)> =
                    test.invocations.iter().filter_map(|one| Some((number(&one.id)?, one.duration_us))).collect();
                numbered.sort_unstable();
                if numbered.iter().zip(1..).all(|((number, _), expected)| *number == expected) {
                    let durations: Vec<Duration> =
                        numbered.iter().map(|(_, micros)| Duration::from_micros(*micros)).collect();
                    self.learned.record_invocations(&id, &durations);
                }
            }
        }
    }

    /// Class set-up, as far as units that ran whole in one try tell.
    fn record_classes(&mut self, plan: &Plan, summary: &Summary) {
        let durations: HashMap<_, _> = summary
            .tests
            .iter()
            .map(|test| ((&test.task, test.class.as_str(), test.method.as_str()), test.duration_us))
            .collect();
        let whole: HashMap<_, &Unit> =
            plan.units.iter().filter(|unit| unit.whole_class).map(|unit| (&unit.id, unit)).collect();
        for ran in summary.units.iter().filter(|ran| ran.attempt == 1) {
            let Some(unit) = whole.get(&ran.unit) else { continue };
            // By the unit's own tests: a class may be nested in another and still be run by itself.
            let tests = unit
                .tests
                .iter()
                .filter_map(|test| durations.get(&(&unit.task, test.class.as_str(), test.method.as_str())))
                .fold(0, |sum: u64, duration| sum.saturating_add(*duration));
            let wall = Duration::from_millis(ran.duration_ms);
            self.learned.record_class(&unit.task, &unit.class, wall, Duration::from_micros(tests));
        }
    }
}

/// What a run adds to timings, those of its machine and the shared ones alike.
struct Addition<'a> {
    learned: &'a Timings,
    plan: &'a Plan,
    /// Whether the run was of all tests that the build chooses.
    is_whole: bool,
    /// Test tasks of which the plan holds all tests.
    whole: BTreeSet<&'a TaskPath>,
    /// In days since the Unix epoch.
    today: u32,
    kept_days: u32,
}

impl Addition<'_> {
    fn add_to(&self, timings: &mut Timings) {
        timings.merge(self.learned);
        timings.record_seen(self.today, self.plan.units.iter().filter(|unit| unit.reused.is_some()));
        timings.keep_only(self.plan, |task| self.whole.contains(task));
    }

    /// Adds to the timings file as it is now; what it then holds.
    fn save(&self, context: &Context<'_>) -> Result<Timings> {
        document::locked(&context.request.state_dir.join("timings.lock"), || {
            let mut timings = load_local(context)?;
            self.add_to(&mut timings);
            // Some tests that run after a pause must not make the machine forget all others.
            if self.is_whole {
                timings.expire(self.today, self.kept_days);
            }
            timings.save(&context.request.timings_file)?;
            Ok(timings)
        })
    }

    /// Adds to the shared timings, where there are some.
    fn publish(&self, context: &Context<'_>) {
        let Some(shared) = &context.request.options.history else { return };
        publish(context, TIMINGS, |theirs| {
            let mut all = theirs.map_or_else(Timings::default, |bytes| parse_shared(context, shared, bytes));
            self.add_to(&mut all);
            all.expire(self.today, self.kept_days);
            all.bytes()
        });
    }
}

/// What the plan of a whole run said, and what came.
fn past_run(summary: &Summary) -> PastRun {
    let prediction = &summary.prediction;
    PastRun {
        workers: summary.workers_asked,
        units: summary.units.len() as u64,
        predicted_ms: prediction.predicted_ms,
        actual_ms: summary.wall_ms,
        predicted_work_ms: prediction.estimated_work_ms,
        actual_work_ms: prediction.actual_work_ms,
    }
}

fn warn_of_drift(context: &Context<'_>, timings: &Timings) {
    let Some(percent) = drift(timings.past_runs().map(|(_, run)| run)) else { return };
    let word = if percent > 0 { "longer" } else { "shorter" };
    context.sink.say(
        Level::Warn,
        format!(
            "The last 3 runs took {}% {word} than planned, by the sum of their units\n  hint: were the timings taken on \
             another machine, or with fewer workers beside each other? delete {} to learn anew",
            percent.unsigned_abs(),
            context.request.timings_file.display()
        ),
    );
}

fn day(at_ms: u64) -> u32 {
    u32::try_from(at_ms / 86_400_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
