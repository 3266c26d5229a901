//! `image`: prepares, and makes the image.

use super::Context;
use super::docker::Docker;
use super::prepare::{prepare, say_time};
use crate::image::{self, MadeImage, Outside};
use crate::report::words::{counted, megabytes};
use std::time::Instant;
use testfleet_image::WORK;
use testfleet_image::registry::Pushed;
use testfleet_protocol::Result;
use testfleet_protocol::event::Level;
use testfleet_protocol::image::{ImageRef, Target};

/// `prepare`, then makes the image in `build/testfleet/image`.
pub(crate) fn image(context: &mut Context<'_>) -> Result<()> {
    let prepared = prepare(context)?;
    context.check_cancelled()?;
    let started = Instant::now();
    let say = |text: String| context.sink.say(Level::Lifecycle, text);
    let to = &context.request.options.image.to;
    let made = image::make(&context.request, &prepared.plan, &prepared.bundle, to, &outside(context, &say))?;
    say_time(context, "Making the image", started, "");
    context.sink.written("image", &made.reference.layout);
    context.sink.written("image reference", &context.output().join("image.json"));
    for line in details(&made) {
        context.sink.say(Level::Info, line);
    }
    context.sink.say(Level::Lifecycle, describe(&made));
    let development = made.reference.of_development();
    if let Some(development) = &development {
        context.sink.say(Level::Lifecycle, work_in(development, to));
    }
    if let Some(pushed) = &made.pushed {
        context.sink.say(Level::Lifecycle, sent(&made.names.name, pushed));
    }
    if to.contains(&Target::Docker) {
        for reference in [Some(&made.reference), development.as_ref()].into_iter().flatten() {
            Docker::load(context, reference)?;
        }
    }
    Ok(())
}

/// What making an image is told, and who hears of it.
pub(super) fn outside<'a>(context: &'a Context<'_>, say: &'a (dyn Fn(String) + Sync)) -> Outside<'a> {
    Outside { environment: &context.environment, cancelled: &context.cancelled, say }
}

/// `Image localhost/testfleet/app:git-0a1b...: 14 layers, 152.3 MB, of which 13 were there already; sha256:...`
fn describe(made: &MadeImage) -> String {
    let reference = &made.reference;
    let layers = reference.layers.len();
    let there = match made.assembled.reused {
        reused if reused == layers => "all of them there already".to_owned(),
        0 => "all of them new".to_owned(),
        reused => format!("{reused} of them there already"),
    };
    let size: u64 = reference.layers.iter().map(|layer| layer.size).sum();
    let workers = match reference.workers.len() as u64 {
        0 => String::new(),
        count => {
            format!(", and {} of their own for {}", counted(count, "one", "ones"), counted(count, "worker", "workers"))
        }
    };
    format!(
        "Image {}:{}: {}, {}, {there}{workers}; {}",
        made.names.name,
        made.names.tags.join(", "),
        counted(layers as u64, "layer", "layers"),
        megabytes(size),
        reference.digest
    )
}

/// The command with which a project is worked on that has nothing of it but its sources.
fn work_in(made: &ImageRef, to: &[Target]) -> String {
    let name = format!("{}:{}", made.name, made.tags.first().map_or("latest", String::as_str));
    let size: u64 = made.layers.iter().map(|layer| layer.size).sum();
    let missing = match to {
        [] => {
            "\nIt is in the folder alone: testfleet { image { to = ['docker'] } } gives it to Docker, 'registry' to all"
        }
        _ => "",
    };
    format!(
        "Image to work in: {name}, {}. Build without a network, in the folder of the sources:\n    \
         docker run --rm -it --user \"$(id -u):$(id -g)\" -v \"$PWD:{WORK}\" {name} gradle --offline build{missing}",
        megabytes(size)
    )
}

/// `Pushed to registry.example/app: 3 of 15 blobs, 1.2 MB; 2 were in another repository there, 10 there already`
pub(super) fn sent(name: &str, pushed: &Pushed) -> String {
    if pushed.bytes == 0 && pushed.manifests == 0 {
        return format!("{name} has the image already: nothing was sent");
    }
    let Pushed { sent, there, mounted, .. } = pushed;
    let blobs = counted(u64::from(sent + there + mounted), "blob", "blobs");
    format!(
        "Pushed to {name}: {sent} of {blobs}, {}; {mounted} came from other repositories of the registry, {there} were there",
        megabytes(pushed.bytes)
    )
}

/// A line for each layer, and what the store threw away.
fn details(made: &MadeImage) -> Vec<String> {
    let layers = made.reference.layers.iter();
    let mut lines: Vec<String> =
        layers.map(|layer| format!("  {} {}: {}", megabytes(layer.size), layer.holds, layer.digest)).collect();
    if let Some(pruned) = made.pruned.as_ref().filter(|pruned| pruned.removed > 0) {
        let layers = counted(pruned.removed, "layer", "layers");
        lines.push(format!("The artifact store gave up {layers}, {}", megabytes(pruned.removed_bytes)));
    }
    lines
}
