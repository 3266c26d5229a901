//! Follows a run: every event goes to the console, the reports, the timings and whoever listens.

use super::Context;
use super::coverage::Coverage;
use super::history::Recorder;
use super::runs::RunDir;
use crate::backend::Backend;
use crate::clock::now_ms;
use crate::report::words::{counted, thousands, verdict_word};
use crate::report::{Aggregate, Console, ConsoleOptions, ReportDirs, Summary, TestSummary, write_all};
use crate::reuse::Outcomes;
use crate::run::{Recorded, RunInput, RunSummary, read_output, run};
use crate::undeclared::Places;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use testfleet_protocol::event::{Event, Level, RunEvent};
use testfleet_protocol::plan::Plan;
use testfleet_protocol::test::{TaskPath, Verdict};
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::sync::mpsc::unbounded_channel;

/// How many bad tests a failure names.
const NAMED: usize = 50;

pub(crate) struct Show<'a> {
    context: &'a Context<'a>,
    plan: Arc<Plan>,
    aggregate: Aggregate,
    console: Console,
    outcomes: Outcomes,
    coverage: Coverage,
    recorder: Recorder,
    record: Record,
    output: bool,
    /// Where things are on workers elsewhere.
    places: Option<Places>,
}

/// What a run tells about how long tests take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// The tests that ran; what is not there any more is forgotten.
    All,
    /// The tests that ran.
    Some,
    /// The tests that ran, on this machine only: one worker of a plan was run by hand.
    Single,
    /// Nothing: somebody debugs.
    Nothing,
}

impl<'a> Show<'a> {
    pub(crate) fn new(context: &'a Context<'a>, plan: Arc<Plan>, record: Record, output: bool, run_dir: &Path) -> Self {
        let options = ConsoleOptions { build_name: context.request.build_name.clone(), workers: plan.workers };
        Self {
            context,
            aggregate: Aggregate::new(&plan).named(context.request.build_name.clone()).of_folder(run_dir),
            console: Console::new(&plan, options),
            outcomes: Outcomes::default(),
            coverage: Coverage::default(),
            plan,
            recorder: Recorder::default(),
            record,
            output,
            places: None,
        }
    }

    /// Files that workers elsewhere miss are looked for here.
    pub(crate) fn with_places(mut self, places: Option<Places>) -> Self {
        self.places = places;
        self
    }

    /// Takes in what happened before another coordinator left the run.
    pub(crate) fn replay(&mut self, dir: &RunDir, recorded: &Recorded) {
        for event in read_output(&dir.journal()).chain(recorded.events.iter().cloned()) {
            let event = &self.hinted(event);
            self.aggregate.apply(event);
            self.outcomes.apply(event);
            self.coverage.apply(event);
            self.recorder.take(event);
            // It was said when it happened.
            let _ = self.console.on_event(event);
        }
        if recorded.torn_bytes > 0 {
            let bytes = counted(recorded.torn_bytes, "byte", "bytes");
            let text = format!("The record of run {} ended in the middle of a line: {bytes} were cut off", dir.id);
            self.context.sink.say(Level::Lifecycle, text);
        }
        let done = recorded.events.iter().filter(|event| matches!(event, RunEvent::TestVerdict { .. })).count() as u64;
        let planned: BTreeSet<_> = self.plan.units.iter().flat_map(|unit| unit.test_ids()).collect();
        let all = counted(planned.len() as u64, "test has its verdict", "tests have their verdict");
        let text = format!("Going on with run {}: {} of {all}", dir.id, thousands(done));
        self.context.sink.say(Level::Lifecycle, text);
    }

    /// Runs to the end, showing each event as it comes.
    pub(crate) fn follow(&mut self, input: RunInput, backend: Arc<dyn Backend>) -> Result<RunSummary> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("testfleet-run")
            .enable_all()
            .build()
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to start the run's threads").cause(&error))?;
        let cancelled = self.context.cancelled.clone();
        runtime.block_on(async {
            let (sender, mut events) = unbounded_channel();
            let run = tokio::spawn(run(input, backend, sender, cancelled));
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    event = events.recv() => match event {
                        Some(event) => self.take(event),
                        None => break,
                    },
                    _ = tick.tick() => self.context.sink.say_all(self.console.tick(now_ms())),
                }
            }
            match run.await {
                Ok(ended) => ended,
                Err(error) => Err(match error.try_into_panic() {
                    Ok(payload) => super::panicked(payload.as_ref()),
                    Err(error) => Failure::new(FailureCode::Internal, "failed to finish the run").cause(&error),
                }),
            }
        })
    }

    fn hinted(&self, mut event: RunEvent) -> RunEvent {
        if let Some(places) = &self.places {
            places.add_hints(&mut event);
        }
        event
    }

    fn take(&mut self, event: RunEvent) {
        let event = self.hinted(event);
        self.aggregate.apply(&event);
        self.outcomes.apply(&event);
        self.coverage.apply(&event);
        self.recorder.take(&event);
        self.context.sink.say_all(self.console.on_event(&event));
        match &event {
            RunEvent::Output { text, .. } if self.output => {
                self.context.sink.say(Level::Lifecycle, text.trim_end_matches('\n'));
            }
            _ => {}
        }
        if self.context.run_events {
            self.context.sink.send(Event::Run { event });
        }
    }

    /// How tests ended so far.
    pub(crate) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// Puts the coverage that was measured where the build looks for it. A run stands whatever becomes of it.
    pub(crate) fn merge_coverage(&self, run_dir: &Path) {
        match self.coverage.merge(&self.context.request.tasks, run_dir) {
            Ok(notices) => notices.iter().for_each(|notice| self.context.sink.say(Level::Warn, notice.as_str())),
            Err(failure) => self.context.sink.say(Level::Warn, failure.to_string()),
        }
    }

    /// Writes the reports and the timings, says how it went.
    pub(crate) fn finish(&mut self, dirs: &ReportDirs, journal: &Path) -> Result<Summary> {
        let summary = self.aggregate.summary();
        let mut written = write_all(&self.aggregate, &self.plan, dirs)?;
        let recorded = self.recorder.finish(self.context, &self.plan, &self.aggregate, &summary, self.record)?;
        if let Some(timings_file) = recorded {
            written.push(("timings".to_owned(), timings_file));
        }
        written.push(("journal".to_owned(), journal.to_owned()));
        for (what, path) in &written {
            self.context.sink.written(what, path);
        }
        self.context.sink.say_all(self.console.finish(&summary, &written));
        Ok(summary)
    }

    /// # Errors
    /// [`FailureCode::TestsFailed`] with the names of the bad tests that count; flaky ones do where the user wants that.
    pub(crate) fn judge(&self, summary: &Summary) -> Result<()> {
        let request = &self.context.request;
        let fail_on_flaky = request.options.run.retries.fail_on_flaky;
        let ignored = |task: &TaskPath| {
            request.options.ignore_failures
                || request.tasks.iter().any(|known| known.path == *task && known.ignore_failures)
        };
        // Whoever ignores failures of tests did not say that they need not run.
        let counting =
            |test: &&TestSummary| test.quarantined.is_none() && (test.verdict == Verdict::Lost || !ignored(&test.task));
        let is_bad = |test: &&TestSummary| test.verdict.is_bad() || fail_on_flaky && test.verdict == Verdict::Flaky;
        let bad: Vec<_> = summary.tests.iter().filter(is_bad).filter(counting).collect();
        if bad.is_empty() && summary.unaccounted == 0 {
            return Ok(());
        }
        let count = bad.len() as u64 + summary.unaccounted;
        let mut failure =
            Failure::new(FailureCode::TestsFailed, format!("{} did not pass", counted(count, "test", "tests")));
        failure.causes.extend(
            bad.iter()
                .take(NAMED)
                .map(|test| format!("{} {} > {} ({})", test.task, test.class, test.method, verdict_word(test.verdict))),
        );
        if bad.len() > NAMED {
            failure.causes.push(format!("and {} more", counted((bad.len() - NAMED) as u64, "test", "tests")));
        }
        Err(failure.hint("the report's path is above; testfleet { ignoreFailures = true } reports without failing"))
    }
}
