//! Going on with a run that did not come to its end: after a crash, a cancel, a power cut.

use super::Context;
use super::mirror;
use super::prepare::discover_aloud;
use super::reuse::Before;
use super::runs::RunDir;
use crate::bundle::{bundle, bundle_bytes, read_bundle};
use crate::discover::Discovery;
use crate::hash::sha256;
use crate::plan::{fits, read_plan};
use crate::report::words::counted;
use crate::run::{Recorded, read_journal};
use std::collections::BTreeMap;
use std::fs;
use testfleet_protocol::bundle::{Bundle, Profile};
use testfleet_protocol::event::{Level, RunEvent};
use testfleet_protocol::plan::Plan;
use testfleet_protocol::run_options::{Resume, Retries};
use testfleet_protocol::{Failure, FailureCode, Result};

/// How many changed files a failure names.
const NAMED: usize = 5;

/// A run that can go on; its folder is locked.
pub(crate) struct Unfinished {
    pub(crate) dir: RunDir,
    pub(crate) plan: Plan,
    pub(crate) bundle: Bundle,
    pub(crate) before: Before,
    /// What happened up to the crash or the cancel.
    pub(crate) recorded: Recorded,
}

/// The run that is to go on, if there is one.
///
/// # Errors
/// When a run was named that can't go on.
pub(crate) fn find(context: &mut Context<'_>) -> Result<Option<Unfinished>> {
    match context.request.options.run.resume.clone() {
        Resume::Off => Ok(None),
        Resume::Run { run } => {
            mirror::fetch(context)?;
            let dir = RunDir::find(context.output(), &run)?;
            let id = dir.id.clone();
            open(context, dir).map(Some).map_err(|failure| cannot_go_on(&id, failure))
        }
        Resume::Auto => automatic(context),
    }
}

/// What keeps the last run from going on is told, and a new run begins.
fn automatic(context: &mut Context<'_>) -> Result<Option<Unfinished>> {
    if let Err(failure) = mirror::fetch(context) {
        context.sink.say(Level::Lifecycle, format!("{failure}\nA new run begins"));
        return Ok(None);
    }
    let Ok(dir) = RunDir::find(context.output(), "last") else { return Ok(None) };
    let id = dir.id.clone();
    let asked = context.request.options.clone();
    match open(context, dir) {
        Ok(unfinished) => Ok(Some(unfinished)),
        Err(failure) if failure.code == FailureCode::Cancelled => Err(failure),
        Err(failure) => {
            context.request.options = asked;
            if failure.code != FailureCode::NothingToResume {
                let failure = cannot_go_on(&id, failure);
                context.sink.say(Level::Lifecycle, format!("{failure}\nA new run begins"));
            }
            Ok(None)
        }
    }
}

fn cannot_go_on(run: &str, failure: Failure) -> Failure {
    let mut told = Failure::new(failure.code, format!("failed to go on with run {run}"));
    told.causes = std::iter::once(failure.message).chain(failure.causes).collect();
    told.hint = failure.hint;
    told
}

/// Checks that everything is as it was, and locks the run.
fn open(context: &mut Context<'_>, mut dir: RunDir) -> Result<Unfinished> {
    if dir.is_single() {
        // Its journal names the whole plan, which all workers would go on with.
        return Err(Failure::new(FailureCode::InvalidRequest, "it is a run of one worker alone")
            .hint("begin it again with `runWorker`; `--resume` alone goes on with the last run of all workers"));
    }
    dir.lock()?;
    let recorded = unfinished_part(read_journal(&dir.journal())?)?;
    let plan = read_plan(&dir.plan_file())?;
    let stored = fs::read(dir.plan_file()).map_err(|error| Failure::io("read", &dir.plan_file(), &error))?;
    if sha256(&stored) != recorded.of.plan {
        return Err(Failure::new(FailureCode::PlanOutdated, "the run's plan.json is not the one that it began with")
            .hint("begin a new run: leave --resume out"));
    }
    context.choose_as(&plan)?;
    keep_rules(context, &recorded);
    let discovery = discover_aloud(context)?;
    let before = Before::read(context, discovery)?;
    let bundle = same_code(context, &dir, &plan, &recorded, before.discovery())?;
    Ok(Unfinished { dir, plan, bundle, before, recorded })
}

/// What tests came to was told by the rules that the run began with, and the rest is by the same ones.
fn keep_rules(context: &mut Context<'_>, recorded: &Recorded) {
    let (repeat, retries) = (recorded.of.repeat, recorded.of.retries);
    let options = &mut context.request.options.run;
    let (other_repeat, other_retries) = (options.repeat.max(1) != repeat.max(1), options.retries != retries);
    options.repeat = repeat;
    options.retries = retries;
    let kept = match (other_repeat, other_retries) {
        (false, false) => return,
        (true, false) => format!("runs of each test: {}", repeat.max(1)),
        (false, true) => format!("retries: {}", told(&retries)),
        (true, true) => format!("runs of each test: {}, retries: {}", repeat.max(1), told(&retries)),
    };
    context.sink.say(Level::Lifecycle, format!("The run goes on by the rules that it began with ({kept})"));
}

fn told(retries: &Retries) -> String {
    let Retries { max_retries, max_failures, max_failure_rate, fail_on_flaky } = retries;
    format!(
        "maxRetries {max_retries}, maxFailures {max_failures}, maxFailureRate {max_failure_rate}, failOnFlaky {fail_on_flaky}"
    )
}

/// Leaves out what a cancel, a time-out or the loss of all workers made of the tests that had no result yet: they are open again.
fn unfinished_part(mut recorded: Recorded) -> Result<Recorded> {
    // What came before an earlier resume was cut then.
    let ends = |event: &RunEvent| {
        use RunEvent::{CancelRequested, RunAborted, RunTimedOut};
        matches!(event, CancelRequested { .. } | RunTimedOut { .. } | RunAborted { .. })
    };
    if let Some(end) = recorded.events.iter().position(ends) {
        recorded.truncate(end);
    }
    let nothing = |cause: &str, hint: &str| Err(Failure::new(FailureCode::NothingToResume, cause).hint(hint));
    match (recorded.events.first(), recorded.events.last()) {
        (None, _) => nothing("it ended before anything ran", "begin a new run: leave --resume out"),
        (_, Some(RunEvent::RunFinished { .. })) => nothing(
            "it came to its end",
            "run again what did not pass in it with --rerun-failed, or begin a new run: leave --resume out",
        ),
        _ => Ok(recorded),
    }
}

/// Whether nothing of a run is left to go on with.
pub(crate) fn is_over(dir: &RunDir) -> bool {
    let rest = read_journal(&dir.journal()).and_then(unfinished_part);
    rest.is_err_and(|failure| failure.code == FailureCode::NothingToResume)
}

/// Results of other code must not be mixed with those that are there.
fn same_code(
    context: &Context<'_>,
    dir: &RunDir,
    plan: &Plan,
    recorded: &Recorded,
    discovery: &Discovery,
) -> Result<Bundle> {
    let changed = |causes: Vec<String>| {
        let failure = Failure::new(FailureCode::PlanOutdated, "the build is not what it was when the run began");
        causes.into_iter().fold(failure, Failure::cause_text).hint("begin a new run: leave --resume out")
    };
    fits(plan, discovery, &context.request).map_err(|failure| changed(failure.causes))?;
    let bundle = bundle(&context.request, plan)?;
    if sha256(&bundle_bytes(&bundle)?) == recorded.of.bundle {
        return Ok(bundle);
    }
    let then = read_bundle(&dir.bundle_file())?;
    Err(changed(differences(&then, &bundle)))
}

/// What two bundles do not have in common, in words.
fn differences(then: &Bundle, now: &Bundle) -> Vec<String> {
    let entries = |bundle: &Bundle| -> BTreeMap<String, String> {
        bundle.entries.iter().map(|entry| (entry.path.clone(), entry.sha256.clone())).collect()
    };
    let (before, after) = (entries(then), entries(now));
    let mut named: Vec<String> = Vec::new();
    for (path, sha256) in &before {
        match after.get(path) {
            None => named.push(format!("{path} is gone")),
            Some(other) if other != sha256 => named.push(format!("{path} changed")),
            Some(_) => {}
        }
    }
    named.extend(after.keys().filter(|path| !before.contains_key(*path)).map(|path| format!("{path} is new")));
    let profiles = |bundle: &Bundle| -> BTreeMap<String, Profile> {
        bundle.profiles.iter().map(|profile| (profile.task.0.clone(), profile.clone())).collect()
    };
    let before = profiles(then);
    named.extend(
        profiles(now)
            .iter()
            .filter(|(task, profile)| before.get(*task) != Some(*profile))
            .map(|(task, _)| format!("the JVM of {task} is started in another way")),
    );
    if named.len() > NAMED {
        let more = counted((named.len() - NAMED) as u64, "more", "more");
        named.truncate(NAMED);
        named.push(format!("and {more}"));
    }
    named
}
