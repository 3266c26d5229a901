//! Discover, plan, bundle: the stages before a run.

use super::ask::LocalHarness;
use super::reuse::Before;
use super::runs::RunDir;
use super::{Context, history, listing};
use crate::bundle::{bundle, write_bundle};
use crate::discover::{Discovery, Effort, Notice, discover_and_ask, discover_and_verify};
use crate::hash;
use crate::plan::{Past, notices, plan, read_plan, write_plan};
use crate::report::words::{counted, duration};
use crate::run::read_events;
use crate::select::{keep_only, not_passed, read_quarantine, today};
use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::event::Level;
use testfleet_protocol::plan::{Fingerprints, Plan};
use testfleet_protocol::request::{Listing, Reuse};
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, FailureCode, Result};

/// How many classes that were found by asking are named.
const ASKED_NAMED: usize = 5;

/// What the stages before a run come to.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) bundle: Bundle,
    pub(crate) before: Before,
}

/// Discovers and plans; writes `plan.json` and `bundle.json`.
pub(crate) fn prepare(context: &mut Context<'_>) -> Result<Prepared> {
    let discovery = discover_aloud(context)?;
    prepare_for(context, discovery)
}

/// `prepare`, with class files and frameworks compared on every class.
///
/// # Errors
/// `DiscoveryDiffers` when they differ; plan and bundle are written nevertheless.
pub(crate) fn verify(context: &mut Context<'_>) -> Result<()> {
    let (discovery, verification) = discover_and_verify(&context.request, &LocalHarness { context })?;
    tell(context, &discovery)?;
    prepare_for(context, discovery)?;
    let lines = verification.lines();
    if !lines.is_empty() {
        context.sink.say(Level::Error, lines.join("\n"));
    }
    context.sink.say(Level::Lifecycle, verification.summary());
    verification.judge()
}

fn prepare_for(context: &mut Context<'_>, discovery: Discovery) -> Result<Prepared> {
    let (plan, before) = make_plan(context, discovery, Before::read)?;
    let started = Instant::now();
    let bundle = bundle(&context.request, &plan)?;
    say_time(context, "Bundling", started, "");
    context.check_cancelled()?;
    create_dir(context)?;
    write_plan(&plan, &context.plan_file())?;
    context.sink.written("plan", &context.plan_file());
    write_bundle(&bundle, &context.bundle_file())?;
    context.sink.written("bundle", &context.bundle_file());
    context.sink.say(Level::Lifecycle, describe(&plan));
    Ok(Prepared { plan, bundle, before })
}

/// Shows what would be planned, and writes nothing.
pub(crate) fn show(context: &mut Context<'_>, what: Listing, json: bool) -> Result<()> {
    let discovery = discover_aloud(context)?;
    // The text that lists tests says nothing of what is reused.
    let needs_passed = (json || what == Listing::Plan) && context.request.options.reuse != Reuse::Off;
    let read: ReadBefore =
        if needs_passed { Before::read } else { |_: &Context<'_>, discovery| Ok(Before::unread(discovery)) };
    let plan = make_plan(context, discovery, read)?.0;
    let text = match (what, json) {
        (Listing::Tests, false) => listing::tests(&plan),
        (Listing::Tests, true) => listing::tests_json(&plan)?,
        (Listing::Plan, false) => listing::plan(&plan),
        (Listing::Plan, true) => listing::plan_json(&plan)?,
    };
    context.sink.say(Level::Result, text);
    Ok(())
}

/// Reads what passed before.
type ReadBefore = fn(&Context<'_>, Discovery) -> Result<Before>;

/// Selects of what was discovered, and plans by what passed before.
fn make_plan(context: &mut Context<'_>, mut discovery: Discovery, read: ReadBefore) -> Result<(Plan, Before)> {
    let started = Instant::now();
    select_failed(context, &mut discovery)?;
    let timings = history::load(context, &discovery)?;
    let before = read(context, discovery)?;
    for exempt in before.describe_exempt(context) {
        context.sink.say(Level::Lifecycle, exempt);
    }
    let past = Past { timings: &timings, passed: &before.passed(context.request.options.reuse) };
    let mut plan = plan(before.discovery(), &past, &context.request)?;
    say_all(context, &notices(before.discovery(), &context.request.options)?);
    context.check_cancelled()?;
    if let Some(file) = &context.request.options.quarantine_file {
        let whole = !plan.is_partial();
        for warning in read_quarantine(file)?.mark(&mut plan, &today(), whole) {
            context.sink.say(Level::Warn, warning);
        }
    }
    say_time(context, "Planning", started, "");
    Ok((plan, before))
}

/// With `--rerun-failed`, leaves the tests that did not pass in that run, and notes its id in the request.
fn select_failed(context: &mut Context<'_>, discovery: &mut Discovery) -> Result<()> {
    let Some(run) = &context.request.options.rerun_failed else { return Ok(()) };
    let dir = RunDir::find(context.output(), run)?;
    let failed = not_passed(&read_plan(&dir.plan_file())?, &read_events(&dir.journal())?);
    let gone = keep_only(discovery, &failed);
    let (failed, gone) = (failed.len() as u64, gone.len() as u64);
    if failed > 0 && gone == failed {
        return Err(Failure::new(
            FailureCode::NoTests,
            format!("failed to find a test that did not pass in run {}", dir.id),
        )
        .cause_text(format!(
            "{} not in the build any more, or left out by its filters",
            counted(failed, "such test is", "such tests are")
        ))
        .hint("run all tests: leave --rerun-failed out"));
    }
    context.sink.say(
        Level::Lifecycle,
        match failed {
            0 => format!("Every test of run {} passed: there is nothing to run again", dir.id),
            _ => format!("Running again what did not pass in run {}: {}", dir.id, counted(failed, "test", "tests")),
        },
    );
    if gone > 0 {
        let tests = counted(gone, "of these tests is", "of these tests are");
        context.sink.say(Level::Warn, format!("{tests} not in the build any more, or left out by its filters"));
    }
    context.request.options.rerun_failed = Some(dir.id);
    Ok(())
}

/// Discovers, asking the frameworks where class files can't tell, and shows what discovery has to say.
pub(crate) fn discover_aloud(context: &Context<'_>) -> Result<Discovery> {
    let started = Instant::now();
    let (discovery, effort) = discover_and_ask(&context.request, &LocalHarness { context })?;
    say_time(context, "Discovery", started, &describe_effort(&effort));
    tell(context, &discovery)?;
    Ok(discovery)
}

fn tell(context: &Context<'_>, discovery: &Discovery) -> Result<()> {
    say_all(context, &discovery.notices);
    context.check_cancelled()
}

fn say_all(context: &Context<'_>, notices: &[Notice]) {
    for notice in notices {
        let hint = notice.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
        context.sink.say(Level::Warn, format!("{}{hint}", notice.text));
    }
}

fn create_dir(context: &Context<'_>) -> Result<()> {
    let dir = context.output();
    fs::create_dir_all(dir).map_err(|error| Failure::io("create", dir, &error))
}

/// `Discovery took 12.3 ms; ...`
pub(crate) fn say_time(context: &Context<'_>, stage: &str, started: Instant, more: &str) {
    let ms = started.elapsed().as_secs_f64() * 1_000.0;
    context.sink.say(Level::Info, format!("{stage} took {ms:.1} ms{more}"));
}

/// What was known and what was not.
fn describe_effort(effort: &Effort) -> String {
    format!(
        "; the tests of {} were known, {} searched, {} MB were read to look for changes",
        counted(effort.known, "Test task", "Test tasks"),
        counted(effort.searched, "was", "were"),
        effort.bytes_read.div_ceil(1 << 20),
    )
}

/// Eight letters that are the same on all machines whose shards belong together.
fn made_from(plan: &Plan) -> String {
    let Fingerprints { code, options, timings } = &plan.made_from;
    let mut text = hash::sha256(format!("{code} {options} {timings}").as_bytes());
    text.truncate(8);
    text
}

/// `Planned 4,466 tests in 217 units for 2 workers, about 51 s each; 120 tests in 6 units passed before`
pub(crate) fn describe(plan: &Plan) -> String {
    let count = |reused: bool| {
        let units: Vec<_> = plan.units.iter().filter(|unit| unit.reused.is_some() == reused).collect();
        let tests: BTreeSet<_> = units.iter().flat_map(|unit| unit.test_ids()).collect();
        (counted(tests.len() as u64, "test", "tests"), counted(units.len() as u64, "unit", "units"), units.len())
    };
    let longest = plan.groups.iter().map(|group| group.estimate_ms).max().unwrap_or(0);
    let part = plan.shard.map(|shard| format!(" of shard {shard} (made from {})", made_from(plan))).unwrap_or_default();
    let (tests, units, to_run) = count(false);
    let workers = counted(u64::from(plan.workers), "worker", "workers");
    let planned = format!("Planned {tests}{part} in {units} for {workers}, about {} each", duration(longest));
    let mut text = match count(true) {
        (_, _, 0) => planned,
        (tests, units, _) if to_run == 0 => format!("Nothing to run{part}: {tests} in {units} passed before"),
        (tests, units, _) => format!("{planned}; {tests} in {units} passed before"),
    };
    let asked: BTreeSet<(&TaskPath, &str)> =
        plan.units.iter().filter(|unit| unit.asked).map(|unit| (&unit.task, unit.class.as_str())).collect();
    if !asked.is_empty() {
        let mut names: Vec<&str> = asked.iter().take(ASKED_NAMED).map(|(_, class)| *class).collect();
        if asked.len() > ASKED_NAMED {
            names.push("...");
        }
        let classes = counted(asked.len() as u64, "class was", "classes were");
        text.push_str(&format!("; {classes} found by asking: {}", names.join(", ")));
    }
    text
}
