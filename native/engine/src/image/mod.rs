//! Images of a build: how they are named, made from what was prepared, and where they go.

mod git;
mod names;
mod transfer;

pub(crate) use names::{Names, names};

use crate::content::Contents;
use crate::document;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testfleet_image::base::Platform;
use testfleet_image::registry::Pushed;
use testfleet_image::store::{Lease, Policy, Pruned, Store};
use testfleet_image::{Assembled, Assembly, Development, FileBelow, Image, assemble, check_base, layout};
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::image::{ImageOptions, ImageRef, StoreOptions, Target, VariantRef};
use testfleet_protocol::path::Roots;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::request::RunRequest;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::sync::watch;
use transfer::Transfer;

/// How often a build throws away what the store's policy says, at most.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// What making an image has to do with besides the build.
pub(crate) struct Outside<'a> {
    /// Of the call.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Turns true when the end is wanted.
    pub(crate) cancelled: &'a watch::Receiver<bool>,
    /// Tells a person of what takes long.
    pub(crate) say: &'a (dyn Fn(String) + Sync),
}

/// An image that was made. What it consists of stays in the stores as long as this does.
pub(crate) struct MadeImage {
    pub(crate) assembled: Assembled,
    pub(crate) names: Names,
    /// What `image.json` says.
    pub(crate) reference: ImageRef,
    /// What was sent to its registry, if it went there.
    pub(crate) pushed: Option<Pushed>,
    /// What the store threw away afterwards.
    pub(crate) pruned: Option<Pruned>,
    _leases: [Lease; 2],
}

/// Makes the image of a plan and its bundle, as an OCI layout in `image` of the output folder, pushes it if `to` has the
/// registry, and writes `image.json`. `to` is what this call wants, not what the build says of the task `image`: a run must not
/// move tags that others use.
///
/// # Errors
/// As for [`assemble`]; `InvalidRequest` for names and tags that are none; `Cancelled`.
pub(crate) fn make(
    request: &RunRequest,
    plan: &Plan,
    bundle: &Bundle,
    to: &[Target],
    outside: &Outside<'_>,
) -> Result<MadeImage> {
    let options = &request.options.image;
    check_platform(options)?;
    let roots = Roots::new(request.roots.clone());
    let output = &request.roots["build"];
    let folder = output.join("image");
    let shared = store(&options.store, outside.environment)?.lease()?;
    let own = Store::open(&request.state_dir.join("layers"))?.lease()?;
    let plan_json = document::bytes(plan)?;
    let contents = Contents::open(&request.state_dir);
    let below = |(relative, sha256)| FileBelow { relative, sha256 };
    let fetched = request.state_dir.join("bases");
    let mut transfer = Transfer::new(options, to, outside, fetched.clone());
    let base = transfer.base()?;
    if let Some(base) = &base {
        check_base(base, bundle, options, &roots, &fetched)?;
    }
    let assembled = assemble(&Assembly {
        bundle,
        plan: &plan_json,
        roots: &roots,
        options,
        environment: outside.environment,
        base: base.clone(),
        title: &request.build_name,
        workers: plan.workers,
        shared: &shared,
        own: &own,
        files_below: &|dir: &Path| Ok(contents.files_below(dir)?.into_iter().map(below).collect()),
        left_out: &[folder.clone(), request.state_dir.clone(), shared.store().dir().to_owned()],
    })?;
    contents.save();
    let names = names(options, &request.build_name, &request.roots["project"], &assembled.bundle_sha256)?;
    remove_other_forms(&folder)?;
    layout::write(&folder, &named(&assembled, &names))?;
    let pushed = transfer.push(&assembled, &names)?;
    transfer.keep_only(base.as_ref())?;
    let reference = reference(&assembled, &names, folder, pushed.is_some())?;
    document::write(&output.join("image.json"), &document::bytes(&reference)?)?;
    // The build's own store keeps what this image needs, the machine's what its policy says.
    own.store().prune(&Policy::NOTHING)?;
    let pruned = shared.store().prune_at_times(&policy(&options.store), PRUNE_EVERY)?;
    Ok(MadeImage { assembled, names, reference, pushed, pruned, _leases: [shared, own] })
}

/// The store of this machine.
///
/// # Errors
/// `InvalidRequest` when there is no folder for it, `Io` when it can't be written.
pub(crate) fn store(options: &StoreOptions, environment: &BTreeMap<String, String>) -> Result<Store> {
    match &options.dir {
        Some(dir) => Store::open(dir),
        None => Store::open(&Store::usual_dir(|name| environment.get(name).cloned())?),
    }
}

/// What stays in the store.
pub(crate) fn policy(options: &StoreOptions) -> Policy {
    let usual = Policy::default();
    Policy {
        max_size: options.max_size.unwrap_or(usual.max_size),
        max_age: options.max_age_days.map_or(usual.max_age, |days| Duration::from_secs(u64::from(days) * 86_400)),
    }
}

/// The agent of a bundle is this machine's.
fn check_platform(options: &ImageOptions) -> Result<()> {
    let own = Platform::machine();
    match &options.platform {
        Some(platform) if !platform.parse::<Platform>()?.takes(&own) => {
            Err(Failure::new(FailureCode::InvalidRequest, format!("failed to make an image for {platform}"))
                .cause_text(format!("the agent that goes into it is this machine's, for {own}"))
                .hint("make it on a machine of that platform, or leave the platform out"))
        }
        _ => Ok(()),
    }
}

/// An earlier release left the bundle there as a folder of plain files.
fn remove_other_forms(folder: &Path) -> Result<()> {
    if folder.join("bundle.json").is_file() && !folder.join("oci-layout").exists() {
        fs::remove_dir_all(folder).map_err(|error| Failure::io("remove", folder, &error))?;
    }
    Ok(())
}

fn named<'a>(assembled: &'a Assembled, names: &Names) -> Vec<layout::Named<'a>> {
    let named =
        |image: &'a Image, tags: Vec<String>| tags.into_iter().map(move |tag| layout::Named { image, name: Some(tag) });
    let own = assembled.workers.iter().flat_map(|(worker, image)| named(image, names.of_worker(*worker)));
    let development =
        assembled.development.iter().flat_map(|development| named(&development.image, names.of_development()));
    named(&assembled.image, names.tags.clone()).chain(own).chain(development).collect()
}

fn reference(assembled: &Assembled, names: &Names, layout: PathBuf, pushed: bool) -> Result<ImageRef> {
    let digest = |image: &Image| image.manifest.digest().map(|digest| digest.to_string());
    let workers = assembled.workers.iter().map(|(worker, image)| Ok((*worker, digest(image)?)));
    Ok(ImageRef {
        protocol: VERSION,
        name: names.name.clone(),
        tags: names.tags.clone(),
        digest: digest(&assembled.image)?,
        config_digest: assembled.image.config.digest()?.to_string(),
        platform: Platform::machine().to_string(),
        layout,
        pushed,
        bundle_sha256: assembled.bundle_sha256.clone(),
        layers: assembled.layers.clone(),
        workers: workers.collect::<Result<_>>()?,
        development: assembled.development.as_ref().map(variant).transpose()?,
    })
}

fn variant(made: &Development) -> Result<VariantRef> {
    Ok(VariantRef {
        digest: made.image.manifest.digest()?.to_string(),
        config_digest: made.image.config.digest()?.to_string(),
        layers: made.layers.clone(),
    })
}

#[cfg(test)]
mod tests;
