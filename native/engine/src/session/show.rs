//! Follows a run: every event goes to the console, the reports, the timings and whoever listens.

use super::Context;
use crate::backend::Backend;
use crate::plan::Timings;
use crate::report::words::{counted, verdict_word};
use crate::report::{Aggregate, Console, ConsoleOptions, ReportDirs, Summary, write_all};
use crate::reuse::Outcomes;
use crate::run::{RunInput, RunSummary, run};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testfleet_protocol::event::{Event, Level, RunEvent};
use testfleet_protocol::plan::Plan;
use testfleet_protocol::test::{Outcome, TaskPath};
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
    timings: Timings,
    record: Record,
    output: bool,
}

/// What a run tells about how long tests take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// The tests that ran; what is not there any more is forgotten.
    All,
    /// The tests that ran.
    Some,
    /// Nothing: somebody debugs.
    Nothing,
}

impl<'a> Show<'a> {
    pub(crate) fn new(
        context: &'a Context<'a>,
        plan: Arc<Plan>,
        timings: Timings,
        record: Record,
        output: bool,
    ) -> Self {
        let options = ConsoleOptions { build_name: context.request.build_name.clone(), workers: plan.workers };
        Self {
            context,
            aggregate: Aggregate::new(&plan).named(context.request.build_name.clone()),
            console: Console::new(&plan, options),
            outcomes: Outcomes::default(),
            plan,
            timings,
            record,
            output,
        }
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

    fn take(&mut self, event: RunEvent) {
        self.aggregate.apply(&event);
        self.outcomes.apply(&event);
        self.context.sink.say_all(self.console.on_event(&event));
        match &event {
            RunEvent::TestFinished { test, slice: None, finished, .. }
                if matches!(finished.outcome, Outcome::Passed | Outcome::Failed) =>
            {
                self.timings.record(test, Duration::from_micros(finished.duration_us));
            }
            // A test in slices takes as long as all of them; they have ended by now.
            RunEvent::TestVerdict { test, .. } if self.aggregate.is_sliced(test) => {
                if let Some(duration_us) = self.aggregate.whole_duration_us(test) {
                    self.timings.record(test, Duration::from_micros(duration_us));
                }
            }
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

    /// Writes the reports and the timings, says how it went.
    pub(crate) fn finish(&mut self, dirs: &ReportDirs, journal: &Path) -> Result<Summary> {
        let summary = self.aggregate.summary();
        let mut written = write_all(&self.aggregate, &self.plan, dirs)?;
        if self.record != Record::Nothing {
            self.record_classes(&summary);
            if self.record == Record::All && summary.finished && !summary.cancelled {
                self.timings.keep_only(&self.plan);
            }
            let timings_file = &self.context.request.timings_file;
            self.timings.save(timings_file)?;
            written.push(("timings".to_owned(), timings_file.clone()));
        }
        written.push(("journal".to_owned(), journal.to_owned()));
        for (what, path) in &written {
            self.context.sink.written(what, path);
        }
        self.context.sink.say_all(self.console.finish(&summary, &written));
        Ok(summary)
    }

    /// Class set-up, as far as units that ran whole in one try tell.
    fn record_classes(&mut self, summary: &Summary) {
        let durations: HashMap<_, _> = summary
            .tests
            .iter()
            .map(|test| ((&test.task, test.class.as_str(), test.method.as_str()), test.duration_us))
            .collect();
        let whole: HashMap<_, _> =
            self.plan.units.iter().filter(|unit| unit.whole_class).map(|unit| (&unit.id, unit)).collect();
        for ran in summary.units.iter().filter(|ran| ran.attempt == 1) {
            let Some(unit) = whole.get(&ran.unit) else { continue };
            // By the unit's own tests: a class may be nested in another and still be run by itself.
            let tests = unit
                .tests
                .iter()
                .filter_map(|test| durations.get(&(&unit.task, test.class.as_str(), test.method.as_str())))
                .fold(0, |sum: u64, duration| sum.saturating_add(*duration));
            let wall = Duration::from_millis(ran.duration_ms);
            self.timings.record_class(&unit.task, &unit.class, wall, Duration::from_micros(tests));
        }
    }

    /// # Errors
    /// [`FailureCode::TestsFailed`] with the names of the bad tests that count.
    pub(crate) fn judge(&self, summary: &Summary) -> Result<()> {
        let request = &self.context.request;
        let ignored = |task: &TaskPath| {
            request.options.ignore_failures
                || request.tasks.iter().any(|known| known.path == *task && known.ignore_failures)
        };
        let bad: Vec<_> = summary.bad_tests().filter(|test| !ignored(&test.task)).collect();
        if bad.is_empty() && (summary.unaccounted == 0 || request.options.ignore_failures) {
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

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
