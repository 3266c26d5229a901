//! Discover, plan, bundle: the stages before a run.

use super::reuse::History;
use super::{Context, cancelled};
use crate::bundle::{bundle, materialise, write_bundle};
use crate::discover::{Discovery, discover};
use crate::plan::{Past, Timings, plan, write_plan};
use crate::report::words::{counted, duration};
use std::fs;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::event::Level;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::request::Reuse;
use testfleet_protocol::{Failure, Result};

/// What the stages before a run come to.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) bundle: Bundle,
    pub(crate) timings: Timings,
    pub(crate) history: History,
}

/// Discovers and plans; writes `plan.json` and `bundle.json`.
pub(crate) fn prepare(context: &Context<'_>, reuse: Reuse) -> Result<Prepared> {
    let history = History::read(context, discover_aloud(context)?)?;
    context.sink.say(Level::Info, history.describe());
    let timings = Timings::load(&context.request.timings_file)?;
    let past = Past { timings: &timings, passed: &history.passed(reuse) };
    let plan = plan(history.discovery(), &past, &context.request)?;
    context.check_cancelled()?;
    let bundle = bundle(&context.request, &plan)?;
    context.check_cancelled()?;
    create_dir(context)?;
    write_plan(&plan, &context.plan_file())?;
    context.sink.written("plan", &context.plan_file());
    write_bundle(&bundle, &context.bundle_file())?;
    context.sink.written("bundle", &context.bundle_file());
    context.sink.say(Level::Lifecycle, describe(&plan));
    Ok(Prepared { plan, bundle, timings, history })
}

/// Discovers and shows what discovery has to say.
pub(crate) fn discover_aloud(context: &Context<'_>) -> Result<Discovery> {
    let discovery = discover(&context.request)?;
    for notice in &discovery.notices {
        let hint = notice.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
        context.sink.say(Level::Warn, format!("{}{hint}", notice.text));
    }
    context.check_cancelled()?;
    Ok(discovery)
}

/// `prepare`, then makes the bundle a folder of its own: `build/testfleet/image`.
pub(crate) fn image(context: &Context<'_>) -> Result<()> {
    let prepared = prepare(context, context.request.options.reuse)?;
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

/// `Planned 4,466 tests in 217 units for 2 workers, about 51 s each; 120 tests in 6 units passed before`
fn describe(plan: &Plan) -> String {
    let count = |reused: bool| {
        let units = plan.units.iter().filter(|unit| unit.reused.is_some() == reused);
        let (tests, units) = units.fold((0, 0), |(tests, units), unit| (tests + unit.tests.len() as u64, units + 1));
        (units > 0).then(|| format!("{} in {}", counted(tests, "test", "tests"), counted(units, "unit", "units")))
    };
    let longest = plan.groups.iter().map(|group| group.estimate_ms).max().unwrap_or(0);
    let planned = count(false).map(|planned| {
        let workers = counted(u64::from(plan.workers), "worker", "workers");
        format!("Planned {planned} for {workers}, about {} each", duration(longest))
    });
    let reused = count(true).map(|reused| format!("{reused} passed before"));
    match (planned, reused) {
        (Some(planned), Some(reused)) => format!("{planned}; {reused}"),
        (Some(planned), None) => planned,
        (None, Some(reused)) => format!("Nothing to run: {reused}"),
        (None, None) => "Nothing to run".to_owned(),
    }
}
