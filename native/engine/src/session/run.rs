//! `runParallel` and `runWorker`: which units run where, and everything that shows the run.

use super::elsewhere::{self, Elsewhere};
use super::mirror::Mirror;
use super::prepare::{Prepared, discover_aloud, prepare};
use super::resume::{self, Unfinished};
use super::reuse::Before;
use super::runs::RunDir;
use super::show::{Record, Show};
use super::{Context, cancelled, history};
use crate::backend::Backend;
use crate::backend::local::{LocalBackend, LocalConfig};
use crate::bundle::{bundle, write_bundle};
use crate::hash::sha256;
use crate::plan::{fits, read_plan, write_plan};
use crate::report::ReportDirs;
use crate::report::words::counted;
use crate::run::{Queue, Recorded, RunInput, read_events, units_run_by};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::event::{Level, RunEvent};
use testfleet_protocol::plan::{Plan, UnitId};
use testfleet_protocol::request::Reuse;
use testfleet_protocol::test::Verdict;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Which units `runWorker` runs.
pub(crate) struct WorkerChoice {
    pub(crate) worker: u32,
    pub(crate) plan: Option<PathBuf>,
    pub(crate) from_run: Option<String>,
    pub(crate) debug_jvm: bool,
    pub(crate) in_image: bool,
    pub(crate) keep: bool,
}

/// As requests name it.
pub(super) const LOCAL: &str = "local";

/// What a run needs beside the context.
struct Job {
    plan: Plan,
    bundle: Bundle,
    before: Before,
    queue: Queue,
    workers: Vec<u32>,
    debug_jvm: bool,
    record: Record,
    dirs: ReportDirs,
    /// Show what tests write as they write it.
    output: bool,
    /// The run that goes on, with what happened in it.
    going_on: Option<(RunDir, Recorded)>,
    /// Where its workers are, if that is not this machine itself.
    elsewhere: Option<Elsewhere>,
    /// Whether the image that is there is taken as it is.
    in_image: bool,
}

/// Plans and runs everything on all workers, or goes on where an earlier run stopped.
pub(crate) fn parallel(context: &mut Context<'_>) -> Result<()> {
    // Before anything that takes long.
    let elsewhere = Elsewhere::of_request(context)?;
    if let Some(unfinished) = resume::find(context)? {
        let Unfinished { dir, plan, bundle, before, recorded } = unfinished;
        return execute(context, of_all(context, plan, bundle, before, Some((dir, recorded)), elsewhere));
    }
    let prepared = prepare(context)?;
    if prepared.plan.units.is_empty() {
        context.sink.say(Level::Lifecycle, nothing_to_run(&prepared.plan));
        return Ok(());
    }
    let Prepared { plan, bundle, before } = prepared;
    execute(context, of_all(context, plan, bundle, before, None, elsewhere))
}

/// All units of a plan on all its workers.
fn of_all(
    context: &Context<'_>,
    plan: Plan,
    bundle: Bundle,
    before: Before,
    going_on: Option<(RunDir, Recorded)>,
    elsewhere: Option<Elsewhere>,
) -> Job {
    Job {
        record: if plan.is_partial() { Record::Some } else { Record::All },
        workers: (1..=plan.workers).collect(),
        plan,
        bundle,
        before,
        queue: Queue::Dynamic,
        debug_jvm: false,
        dirs: ReportDirs {
            results_dir: context.request.results_dir.clone(),
            reports_dir: context.request.reports_dir.clone(),
        },
        output: false,
        going_on,
        elsewhere,
        in_image: false,
    }
}

/// Runs one group of the existing plan, or what a worker of an earlier run really ran.
pub(crate) fn worker(context: &mut Context<'_>, choice: &WorkerChoice) -> Result<()> {
    let number = choice.worker;
    if choice.in_image {
        elsewhere::take_image(&mut context.request.options);
    }
    if choice.keep {
        elsewhere::keep(&mut context.request.options)?;
    }
    let elsewhere = Elsewhere::of_request(context)?;
    let (plan, units) = match &choice.from_run {
        Some(run) => replayed(context, run, number)?,
        None => planned(context, choice)?,
    };
    context.choose_as(&plan)?;
    let before = Before::read(context, discover_aloud(context)?)?;
    fits(&plan, before.discovery(), &context.request)?;
    let bundle = bundle(&context.request, &plan)?;
    if units.is_empty() {
        let units = counted(plan.units.len() as u64, "unit", "units");
        let workers = counted(u64::from(plan.workers), "worker", "workers");
        context.sink.say(Level::Lifecycle, format!("test-group-{number} is empty: the plan has {units} for {workers}"));
        return Ok(());
    }
    context.sink.say(Level::Lifecycle, describe(number, &plan, &units, choice.from_run.as_deref()));
    let job = Job {
        before,
        queue: Queue::Fixed(units),
        workers: vec![number],
        debug_jvm: choice.debug_jvm,
        record: if choice.debug_jvm { Record::Nothing } else { Record::Single },
        dirs: ReportDirs {
            results_dir: context.request.results_dir.with_file_name("runWorker").join(format!("worker-{number}")),
            reports_dir: context.request.reports_dir.join(format!("worker-{number}")),
        },
        output: true,
        going_on: None,
        elsewhere,
        in_image: choice.in_image,
        plan,
        bundle,
    };
    execute(context, job)
}

fn planned(context: &mut Context<'_>, choice: &WorkerChoice) -> Result<(Plan, Vec<UnitId>)> {
    let plan = match &choice.plan {
        Some(file) => read_plan(file)?,
        None if context.plan_file().exists() => read_plan(&context.plan_file())?,
        None => {
            context.sink.say(Level::Lifecycle, "There is no plan yet: making one");
            // A worker runs what it is told to, whatever passed before.
            context.request.options.reuse = Reuse::Off;
            prepare(context)?.plan
        }
    };
    let number = choice.worker;
    match plan.groups.iter().find(|group| group.number == number) {
        Some(group) => {
            let units = group.units.clone();
            Ok((plan, units))
        }
        None => Err(Failure::new(
            FailureCode::NoSuchWorker,
            format!("failed to find test-group-{number}: the plan has {} of them", plan.groups.len()),
        )
        .hint(format!(
            "choose a worker from 1 to {}, or plan for more with `./gradlew prepare --workers N`",
            plan.groups.len()
        ))),
    }
}

fn replayed(context: &Context<'_>, run: &str, number: u32) -> Result<(Plan, Vec<UnitId>)> {
    let dir = RunDir::find(context.output(), run)?;
    let plan = read_plan(&dir.plan_file())?;
    let journal = read_events(&dir.journal())?;
    let mut units: Vec<UnitId> = Vec::new();
    for ran in units_run_by(&journal, number) {
        // A unit that was begun twice there, because its JVM died, is run once, whole.
        if !units.contains(&ran.unit) {
            units.push(ran.unit);
        }
    }
    if units.is_empty() {
        return Err(Failure::new(
            FailureCode::NoSuchWorker,
            format!("failed to replay worker {number} of run {}: it ran nothing there", dir.id),
        )
        .hint(match workers_of(&journal).as_slice() {
            [] => "no worker ran anything in that run; name another".to_owned(),
            workers => format!("workers that ran something there: {}", workers.join(", ")),
        }));
    }
    Ok((plan, units))
}

/// Numbers of the workers that ran something, in order.
fn workers_of(journal: &[RunEvent]) -> Vec<String> {
    let workers: BTreeSet<_> = journal
        .iter()
        .filter_map(|event| match event {
            RunEvent::UnitFinished { worker, .. } | RunEvent::TestStarted { worker, .. } => Some(*worker),
            _ => None,
        })
        .collect();
    workers.iter().map(u32::to_string).collect()
}

fn describe(number: u32, plan: &Plan, units: &[UnitId], from_run: Option<&str>) -> String {
    let what = match from_run {
        Some(run) => format!("what worker {number} ran in run {run}"),
        None => format!("test-group-{number} of {}", plan.groups.len()),
    };
    let mine: BTreeSet<_> = units.iter().collect();
    // Several slices are one test.
    let tests: BTreeSet<_> =
        plan.units.iter().filter(|unit| mine.contains(&unit.id)).flat_map(|unit| unit.test_ids()).collect();
    let tests = counted(tests.len() as u64, "test", "tests");
    format!("Running {what}: {tests} in {}", counted(units.len() as u64, "unit", "units"))
}

fn execute(context: &Context<'_>, job: Job) -> Result<()> {
    if job.record != Record::Nothing {
        // What the run is added to at its end must be in order: that is told before it, not after.
        history::load_local(context)?;
    }
    let single = matches!(job.queue, Queue::Fixed(_)).then(|| job.workers[0]);
    // Before the run has a folder: one that could not begin is not the last run.
    let image = match &job.elsewhere {
        None => None,
        Some(elsewhere) if job.in_image => Some(elsewhere.image_as_it_is(context, &job.bundle, &job.workers)?),
        Some(elsewhere) => Some(elsewhere.image(context, &job.plan, &job.bundle, &job.workers)?),
    };
    let (dir, resumed) = match job.going_on {
        Some((dir, recorded)) => (dir, Some(recorded)),
        None => {
            let mut dir = RunDir::create(context.output(), single)?;
            dir.lock()?;
            write_plan(&job.plan, &dir.plan_file())?;
            write_bundle(&job.bundle, &dir.bundle_file())?;
            (dir, None)
        }
    };
    let plan = Arc::new(job.plan);
    let places = job.elsewhere.as_ref().map(|_| elsewhere::places(context, &job.bundle));
    let mut show = Show::new(context, Arc::clone(&plan), job.record, job.output, dir.folder()).with_places(places);
    if let Some(recorded) = &resumed {
        show.replay(&dir, recorded);
    }
    let images = image.as_ref().map(|image| image.by_worker(&job.workers)).unwrap_or_default();
    let backend: Arc<dyn Backend> = match job.elsewhere.as_ref().zip(image) {
        None => Arc::new(local(context, &dir, plan.workers, job.debug_jvm)),
        Some((elsewhere, image)) => elsewhere.backend(context, &dir, image, plan.workers, job.debug_jvm)?,
    };
    let input = RunInput {
        run: dir.id.clone(),
        plan: Arc::clone(&plan),
        plan_sha256: sha256_of(&dir.plan_file())?,
        queue: job.queue,
        workers: job.workers,
        images,
        bundle_sha256: sha256_of(&dir.bundle_file())?,
        journal: dir.journal(),
        resumed,
        options: context.request.options.run.clone(),
    };
    let mirror = single.is_none().then(|| Mirror::begin(context, &dir)).flatten();
    let ended = show.follow(input, backend);
    if let Some(mirror) = mirror {
        mirror.end(resume::is_over(&dir));
    }
    if let Some(elsewhere) = &job.elsewhere {
        elsewhere.clean_up(context, &dir);
    }
    // The coverage of one worker alone is not what the build's own reports are of.
    if single.is_none() {
        show.merge_coverage(dir.folder());
    }
    // Whatever ended the run, what came before is reported.
    let summary = show.finish(&job.dirs, &dir.journal());
    if job.record != Record::Nothing {
        // The run stands whatever becomes of its record.
        if let Err(failure) = job.before.record(context, &plan, show.outcomes(), &dir.id) {
            context.sink.say(Level::Warn, failure.to_string());
        }
    }
    let problems = ended?.problems;
    let summary = summary?;
    for problem in &problems {
        context.sink.say(Level::Warn, problem.to_string());
    }
    if *context.cancelled.borrow() {
        return Err(match single {
            None => cancelled().hint("go on where it stopped: `./gradlew runParallel --resume`"),
            Some(_) => cancelled(),
        });
    }
    show.judge(&summary).map_err(|failure| match problems.into_iter().next() {
        // Not one test got as far as to say something itself: what kept them all is the failure.
        Some(problem) if summary.total() == summary.count(Verdict::Errored) + summary.count(Verdict::Lost) => problem,
        _ => failure,
    })
}

/// Workers as processes of this machine.
fn local(context: &Context<'_>, dir: &RunDir, workers_total: u32, debug_jvm: bool) -> LocalBackend {
    LocalBackend::new(LocalConfig {
        agent: context.request.agent.clone(),
        bundle: dir.bundle_file(),
        roots: context.request.roots.clone().into_iter().collect(),
        workers_total,
        environment: context.environment.clone(),
        run: dir.id.clone(),
        isolation: context.request.options.run.isolation,
        debug_jvm,
        answer_within: None,
        connection: context.request.options.run.connection,
    })
}

/// A plan of some tests can be empty, which is no failure.
fn nothing_to_run(plan: &Plan) -> String {
    match plan.shard {
        Some(shard) => {
            format!("Shard {shard} is empty: there are fewer units than shards. The other shards run them all")
        }
        None => "There is nothing to run".to_owned(),
    }
}

fn sha256_of(path: &Path) -> Result<String> {
    fs::read(path).map(|bytes| sha256(&bytes)).map_err(|error| Failure::io("read", path, &error))
}
