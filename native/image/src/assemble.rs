//! An image of a bundle: layers over a base, and the configuration that starts an agent.

use crate::base::check_loaders;
use crate::compose::{Environment, compose, variable};
use crate::gradle::{self, Development};
use crate::java::{self, Jdk};
use crate::layer::encode::Content;
use crate::layer::of_bundle::{is_program, recipes};
use crate::layer::tree::{PLAIN, PROGRAM};
use crate::layer::{FileBelow, FilesBelow, FolderDigest, Item, Kitchen, Made, Outcome, Recipe};
use crate::secrets::{Guard, copies, refuse};
use crate::store::Lease;
use crate::{Base, Digest, Image, place};
use oci_spec::image::Config;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::image::{ImageOptions, LayerRef};
use testfleet_protocol::path::Roots;
use testfleet_protocol::{Failure, FailureCode, Result};

/// The label that names the bundle of an image, as [`bundle_name`] does.
pub const BUNDLE_LABEL: &str = "dev.testfleet.bundle";

/// The SHA-256 in hex of a bundle but for where its JDKs are, which is another place in an image and on each machine.
///
/// # Errors
/// `Internal`: never of a bundle.
pub fn bundle_name(bundle: &Bundle) -> Result<String> {
    let mut bundle = bundle.clone();
    bundle.profiles.iter_mut().for_each(|profile| profile.java_home = None);
    Ok(Digest::of(&written(&bundle)?).hex().to_owned())
}

/// What an image is made from.
pub struct Assembly<'a> {
    /// With the Java homes of this machine.
    pub bundle: &'a Bundle,
    /// `plan.json`
    pub plan: &'a [u8],
    /// Of this machine.
    pub roots: &'a Roots,
    /// What the build chose.
    pub options: &'a ImageOptions,
    /// Of the call: values of its secret variables must not be in the image.
    pub environment: &'a BTreeMap<String, String>,
    /// `None` is made from the JDKs of this machine.
    pub base: Option<Base>,
    /// Name of the build, for people.
    pub title: &'a str,
    /// How many workers there are, if each gets an image of its own.
    pub workers: u32,
    /// The store of this machine.
    pub shared: &'a Lease,
    /// A store for what no other build needs.
    pub own: &'a Lease,
    /// As the digests of the bundle's folders were made.
    pub files_below: FilesBelow<'a>,
    /// Folders that are left out of inputs that they lie in: what is made here.
    pub left_out: &'a [PathBuf],
}

/// An image that was made, and what is in it.
#[derive(Debug)]
pub struct Assembled {
    /// For all workers.
    pub image: Image,
    /// With an image of its own for each: by number.
    pub workers: BTreeMap<u32, Image>,
    /// To work in, if the build wants one.
    pub development: Option<Development>,
    /// The layers of `image`, from the base upwards.
    pub layers: Vec<LayerRef>,
    /// Names the bundle in it: see [`bundle_name`].
    pub bundle_sha256: String,
    /// How many of the layers were there already.
    pub reused: usize,
}

/// Makes the layers that are not there yet, and an image of all.
///
/// # Errors
/// `InvalidRequest` for options that make no sense and for what looks like a credential; `Io` when something can't be read or
/// written; `JvmStart` when a JDK of this machine is not there.
pub fn assemble(assembly: &Assembly<'_>) -> Result<Assembled> {
    let options = assembly.options;
    let guard = Guard::new(&options.allowed_secrets);
    let copies = copies(&guard, assembly.environment, assembly.bundle, options);
    if !copies.is_empty() {
        return Err(refuse(copies));
    }
    let kitchen = Kitchen {
        shared: assembly.shared,
        own: assembly.own,
        compression: options.compression,
        files_below: assembly.files_below,
        guard: &guard,
        left_out: assembly.left_out,
    };
    let jdks = jdks(assembly.base.as_ref(), assembly.bundle, options);
    let places = java::places(&jdks);
    let bundle = bundle_of_image(assembly, &places)?;
    let bundle_sha256 = bundle_name(assembly.bundle)?;

    // Two things at once: the JDK takes longest when nothing is known, and everything else then takes the other processors.
    let (machine, layers) =
        rayon::join(|| machine_layers(assembly, &jdks, &places), || bundle_layers(&kitchen, assembly, bundle));
    let (machine, layers) = (machine?, layers?);
    let made: Vec<&Made> = machine.system.iter().chain(&machine.jdks).chain(&layers).collect();
    let base = assembly.base.as_ref();
    let start = |worker| {
        let (places, bundle_sha256) = (&places, bundle_sha256.as_str());
        move |config: Config| run_config(assembly, &config, places, bundle_sha256, worker)
    };
    let image = compose(base, &made, &start(None))?;
    let development = gradle::development(assembly, &kitchen, &jdks, &places, &machine, &layers)?;
    let mut workers = BTreeMap::new();
    if options.per_worker {
        for worker in 1..=assembly.workers {
            let own = made_or_refused(vec![kitchen.layer(&worker_recipe(worker))?])?;
            let made: Vec<&Made> = made.iter().copied().chain(&own).collect();
            workers.insert(worker, compose(base, &made, &start(Some(worker)))?);
        }
    }
    Ok(Assembled {
        image,
        workers,
        development,
        layers: described(base, &made),
        bundle_sha256,
        reused: made.iter().filter(|made| made.reused).count()
            + assembly.base.as_ref().map_or(0, |base| base.layers.len()),
    })
}

/// Looks whether what an image gets of this machine, the agent and JDKs, starts on a base. `fetched` is where a base's layers
/// are kept.
///
/// # Errors
/// `BaseUnusable` when it lacks their loader; `Io` when one of them can't be read.
pub fn check_base(base: &Base, bundle: &Bundle, options: &ImageOptions, roots: &Roots, fetched: &Path) -> Result<()> {
    let programs = jdks(Some(base), bundle, options).into_iter().map(|jdk| jdk.home.join("bin/java"));
    let programs: Vec<PathBuf> = programs.chain([roots.resolve(&bundle.agent)]).collect();
    check_loaders(base, &programs, fetched)
}

/// The JDKs of this machine that go into the image, in order.
fn jdks(base: Option<&Base>, bundle: &Bundle, options: &ImageOptions) -> Vec<Jdk> {
    let brings_java = |base: &Base| variable(base.config.config().as_ref(), "JAVA_HOME").is_some();
    let add = match base {
        None => true,
        Some(base) => options.add_java.unwrap_or_else(|| !brings_java(base)),
    };
    let homes = bundle.profiles.iter().filter_map(|profile| {
        Some(Jdk { home: PathBuf::from(profile.java_home.as_ref()?), release: profile.java_version })
    });
    let jdks: BTreeSet<Jdk> = if add { homes.collect() } else { BTreeSet::new() };
    jdks.into_iter().collect()
}

fn bundle_of_image(assembly: &Assembly<'_>, places: &BTreeMap<PathBuf, String>) -> Result<Vec<u8>> {
    let mut bundle = assembly.bundle.clone();
    for profile in &mut bundle.profiles {
        let home = profile.java_home.take().map(PathBuf::from);
        profile.java_home = home.and_then(|home| places.get(&home).cloned());
    }
    written(&bundle)
}

fn written(bundle: &Bundle) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(bundle)
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to write the bundle as JSON").cause(&error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What an image gets of this machine itself.
pub(crate) struct Machine {
    pub(crate) system: Option<Made>,
    pub(crate) jdks: Vec<Made>,
}

fn machine_layers(assembly: &Assembly<'_>, jdks: &[Jdk], places: &BTreeMap<PathBuf, String>) -> Result<Machine> {
    let compression = assembly.options.compression;
    let agent = assembly.roots.resolve(&assembly.bundle.agent);
    let of_jdk = |jdk: &Jdk| -> Result<Vec<Made>> {
        let target = places.get(&jdk.home).map_or("", String::as_str);
        let java = java::jdk_layer(jdk, target, compression, assembly.shared)?;
        let archive = match assembly.options.class_data_sharing {
            true => java::archive_layer(jdk, target, &java, compression, assembly.shared)?,
            false => None,
        };
        Ok([java].into_iter().chain(archive).collect())
    };
    let made: Vec<Vec<Made>> = jdks.par_iter().map(of_jdk).collect::<Result<_>>()?;
    let system = match &assembly.base {
        None => Some(java::system_layer(jdks, &agent, compression, assembly.shared)?),
        Some(_) => None,
    };
    Ok(Machine { system, jdks: made.into_iter().flatten().collect() })
}

fn bundle_layers(kitchen: &Kitchen<'_>, assembly: &Assembly<'_>, bundle: Vec<u8>) -> Result<Vec<Made>> {
    let mut all = recipes(assembly.bundle, assembly.roots, assembly.files_below, assembly.left_out)?;
    if assembly.options.dependency_cache {
        all.extend(gradle::cache_recipes(assembly)?);
    }
    if !assembly.options.files.is_empty() {
        all.push(extra_files(assembly)?);
    }
    all.push(last(assembly, bundle));
    made_or_refused(all.par_iter().map(|recipe| kitchen.layer(recipe)).collect::<Result<_>>()?)
}

/// The layers, or the failure that says what must not be in one.
pub(crate) fn made_or_refused(outcomes: Vec<Outcome>) -> Result<Vec<Made>> {
    let (mut made, mut found) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Outcome::Made(layer) => made.push(*layer),
            Outcome::Refused(more) => found.extend(more),
        }
    }
    if found.is_empty() { Ok(made) } else { Err(refuse(found)) }
}

/// What the build adds by itself.
fn extra_files(assembly: &Assembly<'_>) -> Result<Recipe> {
    let mut items = Vec::new();
    for (target, source) in &assembly.options.files {
        let target = plain_target(target)?;
        if source.is_dir() {
            let (mut digest, mut programs) = (FolderDigest::default(), BTreeSet::new());
            for FileBelow { relative, sha256 } in (assembly.files_below)(source)? {
                digest.add(&relative, &sha256);
                if is_program(&source.join(&relative))? {
                    programs.insert(relative);
                }
            }
            let (source, sha256) = (source.clone(), digest.finish());
            items.push(Item::Folder { target, source, sha256, programs, guarded: true });
        } else {
            let mode = if is_program(source)? { PROGRAM } else { PLAIN };
            let sha256 = crate::hashing::of_file(source)?.hex().to_owned();
            items.push(Item::File { target, source: source.clone(), sha256, mode, guarded: true });
        }
    }
    Ok(Recipe { holds: "files".to_owned(), content: Content::Often, shared: false, items })
}

fn plain_target(target: &str) -> Result<String> {
    let is_plain = target.starts_with('/')
        && target.len() > 1
        && target.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
    if is_plain {
        return Ok(target.to_owned());
    }
    Err(Failure::new(FailureCode::InvalidRequest, format!("failed to place a file at `{target}` in the image"))
        .cause_text("it is no absolute path without `.` and `..`")
        .hint("for example: testfleet { image { files.put('/etc/app/test.conf', file('test.conf')) } }"))
}

/// The layer that is new with each plan: the plan, the bundle, and the folders that a worker finds though nothing lies in them.
fn last(assembly: &Assembly<'_>, bundle: Vec<u8>) -> Recipe {
    let mut items: Vec<Item> = Vec::new();
    for name in assembly.roots.names() {
        items.push(Item::EmptyFolder { target: place::root(name) });
    }
    let folders: BTreeSet<String> =
        assembly.bundle.profiles.iter().filter_map(|profile| place::of_stored(&profile.working_dir).ok()).collect();
    items.extend(folders.into_iter().map(|target| Item::EmptyFolder { target }));
    items.push(Item::Bytes { target: place::BUNDLE.to_owned(), bytes: bundle });
    items.push(Item::Bytes { target: place::PLAN.to_owned(), bytes: assembly.plan.to_vec() });
    Recipe { holds: "plan".to_owned(), content: Content::Often, shared: false, items }
}

/// What tells one worker's image from another's.
fn worker_recipe(worker: u32) -> Recipe {
    let items = vec![Item::Bytes { target: place::WORKER.to_owned(), bytes: format!("{worker}\n").into_bytes() }];
    Recipe { holds: format!("worker {worker}"), content: Content::Often, shared: false, items }
}

/// The layers of an image, for people and programs.
pub(crate) fn described(base: Option<&Base>, made: &[&Made]) -> Vec<LayerRef> {
    let base = base.iter().flat_map(|base| &base.layers).map(|layer| LayerRef {
        holds: "base".to_owned(),
        digest: layer.descriptor.digest().to_string(),
        size: layer.descriptor.size(),
        media_type: layer.descriptor.media_type().to_string(),
    });
    let laid = made.iter().map(|made| LayerRef {
        holds: made.record.holds.clone(),
        digest: made.record.digest.to_string(),
        size: made.record.size,
        media_type: made.record.media_type.clone(),
    });
    base.chain(laid).collect()
}

fn run_config(
    assembly: &Assembly<'_>,
    base: &Config,
    places: &BTreeMap<PathBuf, String>,
    bundle_sha256: &str,
    worker: Option<u32>,
) -> Result<Config> {
    let options = assembly.options;
    let made_here = assembly.base.is_none();
    let mut environment = Environment::over(assembly.base.as_ref(), base);
    // The newest, for what looks there; profiles name their own.
    if let Some(home) = places.values().max_by_key(|home| release_of(home)) {
        environment.set_java(home);
    }
    if options.dependency_cache {
        environment.set(gradle::READ_ONLY_CACHE, &place::root(place::GRADLE_CACHE));
    }
    for (name, value) in &options.environment {
        environment.set(name, value);
    }
    if let Some(worker) = worker {
        environment.set("TESTFLEET_WORKER", &worker.to_string());
    }
    let mut labels: HashMap<String, String> = base.labels().clone().unwrap_or_default();
    labels.insert("org.opencontainers.image.title".to_owned(), format!("Tests of {}", assembly.title));
    labels.insert(BUNDLE_LABEL.to_owned(), bundle_sha256.to_owned());
    if let testfleet_protocol::image::Base::Registry { reference } = &options.base {
        labels.insert("org.opencontainers.image.base.name".to_owned(), reference.clone());
    }
    let usual_user = made_here.then(|| java::USER.to_owned());
    let mut config = base.clone();
    config.set_env(Some(environment.0));
    config.set_labels(Some(labels));
    config.set_entrypoint(Some(entry_point(assembly)?));
    config.set_cmd(None);
    config.set_user(options.user.clone().or_else(|| base.user().clone()).or(usual_user));
    let usual_dir = made_here.then(|| "/".to_owned());
    config.set_working_dir(options.working_dir.clone().or_else(|| base.working_dir().clone()).or(usual_dir));
    Ok(config)
}

fn release_of(home: &str) -> u32 {
    let digits: String = home.rsplit('/').next().unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// As [`place`] says.
fn entry_point(assembly: &Assembly<'_>) -> Result<Vec<String>> {
    let mut command = assembly.options.command_prefix.clone();
    command.push(place::of_stored(&assembly.bundle.agent)?);
    command.extend(["--bundle".to_owned(), place::BUNDLE.to_owned()]);
    for name in assembly.roots.names() {
        command.extend(["--root".to_owned(), format!("{name}={}", place::root(name))]);
    }
    Ok(command)
}

#[cfg(test)]
mod tests;
