//! `doctor` and `gc`: whether runs would work, and what they left behind.

use super::Context;
use super::elsewhere::{Elsewhere, threads};
use super::runs::RunDir;
use crate::backend::Sweep;
use crate::backend::kubernetes::{Looked, Outcome};
use crate::cancel::unless_wanted;
use crate::report::words::counted;
use std::time::Duration;
use testfleet_image::registry::{Patience, Place, Registry};
use testfleet_protocol::event::Level;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Looks at all that runs of this build need, where its options want them, and says what it saw.
///
/// # Errors
/// When something is missing without which runs would fail.
pub(crate) fn doctor(context: &Context<'_>) -> Result<()> {
    let mut looked = match Elsewhere::reach(context) {
        Ok(Some(elsewhere)) => elsewhere.examine(context),
        Ok(None) => local(context),
        Err(failure) => vec![Looked::of("backend", Err(failure))],
    };
    context.check_cancelled()?;
    if context.request.options.image.name.is_some() {
        looked.push(Looked::of("registry", registry(context)));
    }
    let mut bad = 0;
    for Looked { at, outcome } in &looked {
        let line = match outcome {
            Outcome::Good(text) => format!("ok       {at}: {text}"),
            Outcome::Unknown(text) => format!("unknown  {at}: {text}"),
            Outcome::Bad(failure) => {
                bad += 1;
                format!("FAILED   {at}: {}", failure.to_string().replace('\n', "\n         "))
            }
        };
        context.sink.say(Level::Result, line);
    }
    if bad == 0 {
        return Ok(());
    }
    let things = counted(bad, "thing is", "things are");
    Err(Failure::new(FailureCode::InvalidRequest, format!("runs would fail: {things} not as they have to be")))
}

/// What workers of this machine itself are started from.
fn local(context: &Context<'_>) -> Vec<Looked> {
    let request = &context.request;
    let is_there = |path: &std::path::Path| match path.is_file() {
        true => Ok(path.display().to_string()),
        false => Err(Failure::new(FailureCode::InvalidRequest, format!("there is no {}", path.display()))
            .hint("run `./gradlew prepare` again")),
    };
    let mut looked = vec![Looked::of("agent", is_there(&request.agent))];
    let mut javas: Vec<_> = request.tasks.iter().map(|task| task.java.home.join("bin/java")).collect();
    javas.sort();
    javas.dedup();
    looked.extend(javas.iter().map(|java| Looked::of("java", is_there(java))));
    looked
}

/// Whether the image could be pushed from here.
fn registry(context: &Context<'_>) -> Result<String> {
    let options = &context.request.options.image;
    let place = Place::parse(options.name.as_deref().unwrap_or_default())?;
    let registry = Registry::new(&options.registry, &context.environment, Some(place.host()), Patience::USUAL)?;
    threads("testfleet-registry")?.block_on(unless_wanted(&context.cancelled, registry.try_push(&place)))?;
    Ok(format!("images can be pushed to {place} from here; whether nodes can pull them is for the first run to show"))
}

/// Removes what runs left behind whose coordinator is gone.
///
/// # Errors
/// When it is not to be found out what there is, or can't be removed.
pub(crate) fn gc(context: &Context<'_>, older_than_ms: Option<u64>, kept: bool) -> Result<()> {
    match Elsewhere::reach(context)? {
        Some(elsewhere) => {
            let older_than = older_than_ms.map(Duration::from_millis);
            elsewhere.sweep(context, &Sweep { older_than, kept, ..Sweep::of_dead(&RunDir::is_dead) })
        }
        None => {
            let text = "Workers of this machine itself leave nothing; choose --backend docker or kubernetes";
            context.sink.say(Level::Lifecycle, text);
            Ok(())
        }
    }
}
