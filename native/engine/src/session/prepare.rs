//! Discover, plan, bundle: the stages before a run.

use super::{Context, cancelled};
use crate::bundle::{bundle, materialise, write_bundle};
use crate::discover::{Discovery, Effort, discover_counting};
use crate::plan::{Past, Timings, plan, write_plan};
use crate::report::words::{counted, duration};
use std::fs;
use std::time::Instant;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::event::Level;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::{Failure, Result};

/// What the stages before a run come to.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) bundle: Bundle,
    pub(crate) timings: Timings,
}

/// Discovers and plans; writes `plan.json` and `bundle.json`.
pub(crate) fn prepare(context: &Context<'_>) -> Result<Prepared> {
    let discovery = discover_aloud(context)?;
    let started = Instant::now();
    let timings = Timings::load(&context.request.timings_file)?;
    let plan = plan(&discovery, &Past::of(&timings), &context.request)?;
    say_time(context, "Planning", started, "");
    context.check_cancelled()?;
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
    Ok(Prepared { plan, bundle, timings })
}

/// Discovers and shows what discovery has to say.
pub(crate) fn discover_aloud(context: &Context<'_>) -> Result<Discovery> {
    let started = Instant::now();
    let (discovery, effort) = discover_counting(&context.request)?;
    say_time(context, "Discovery", started, &describe_effort(&effort));
    for notice in &discovery.notices {
        let hint = notice.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
        context.sink.say(Level::Warn, format!("{}{hint}", notice.text));
    }
    context.check_cancelled()?;
    Ok(discovery)
}

/// `prepare`, then makes the bundle a folder of its own: `build/testfleet/image`.
pub(crate) fn image(context: &Context<'_>) -> Result<()> {
    let prepared = prepare(context)?;
    let dest = context.output().join("image");
    materialise(&prepared.bundle, &context.roots(), &dest)?;
    write_plan(&prepared.plan, &dest.join("plan.json"))?;
    if *context.cancelled.borrow() {
        return Err(cancelled());
    }
    context.sink.written("image", &dest);
    let bytes: u64 = prepared.bundle.entries.iter().map(|entry| entry.size).sum();
    context.sink.say(
        Level::Lifecycle,
        format!(
            "Bundled {} entries ({} MB) in {}",
            prepared.bundle.entries.len(),
            bytes.div_ceil(1 << 20),
            dest.display()
        ),
    );
    Ok(())
}

fn create_dir(context: &Context<'_>) -> Result<()> {
    let dir = context.output();
    fs::create_dir_all(dir).map_err(|error| Failure::io("create", dir, &error))
}

/// `Discovery took 12.3 ms; ...`
fn say_time(context: &Context<'_>, stage: &str, started: Instant, more: &str) {
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

/// `Planned 4,466 tests in 217 units for 2 workers, about 51 s each`
fn describe(plan: &Plan) -> String {
    let tests: usize = plan.units.iter().map(|unit| unit.tests.len()).sum();
    let longest = plan.groups.iter().map(|group| group.estimate_ms).max().unwrap_or(0);
    format!(
        "Planned {} in {} for {}, about {} each",
        counted(tests as u64, "test", "tests"),
        counted(plan.units.len() as u64, "unit", "units"),
        counted(u64::from(plan.workers), "worker", "workers"),
        duration(longest),
    )
}
