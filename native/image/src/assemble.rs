//! An image of a bundle: layers over a base, and the configuration that starts an agent.

use crate::base::Platform;
use crate::java::{self, Jdk};
use crate::layer::encode::Content;
use crate::layer::of_bundle::{is_program, recipes};
use crate::layer::tree::{PLAIN, PROGRAM};
use crate::layer::{FileBelow, FilesBelow, FolderDigest, Item, Kitchen, Made, Outcome, Recipe};
use crate::secrets::{Guard, refuse};
use crate::store::Lease;
use crate::{Base, Blob, Digest, Image, json, place};
use oci_spec::image::{
    Arch, Config, ConfigBuilder, HistoryBuilder, ImageConfiguration, ImageManifestBuilder, MediaType, Os, RootFsBuilder,
};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::image::{ImageOptions, LayerRef};
use testfleet_protocol::path::Roots;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Equal content, equal digests: nothing says when an image was made.
const CREATED: &str = "1970-01-01T00:00:00Z";

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
    let kitchen = Kitchen {
        shared: assembly.shared,
        own: assembly.own,
        compression: options.compression,
        files_below: assembly.files_below,
        guard: &guard,
        left_out: assembly.left_out,
    };
    let jdks = jdks(assembly);
    let places = java::places(&jdks);
    let bundle = bundle_of_image(assembly, &places)?;
    let bundle_sha256 = bundle_name(assembly.bundle)?;

    // Two things at once: the JDK takes longest when nothing is known, and everything else then takes the other processors.
    let (machine, layers) =
        rayon::join(|| machine_layers(assembly, &jdks, &places), || bundle_layers(&kitchen, assembly, bundle));
    let (machine, layers) = (machine?, layers?);
    let made: Vec<&Made> = machine.system.iter().chain(&machine.jdks).chain(&layers).collect();
    let image = compose(assembly, &made, &places, &bundle_sha256, None)?;
    let mut workers = BTreeMap::new();
    if options.per_worker {
        for worker in 1..=assembly.workers {
            let own = made_or_refused(vec![kitchen.layer(&worker_recipe(worker))?])?;
            let made: Vec<&Made> = made.iter().copied().chain(&own).collect();
            workers.insert(worker, compose(assembly, &made, &places, &bundle_sha256, Some(worker))?);
        }
    }
    Ok(Assembled {
        image,
        workers,
        layers: described(assembly, &made),
        bundle_sha256,
        reused: made.iter().filter(|made| made.reused).count()
            + assembly.base.as_ref().map_or(0, |base| base.layers.len()),
    })
}

/// The JDKs of this machine that go into the image, in order.
fn jdks(assembly: &Assembly<'_>) -> Vec<Jdk> {
    let brings_java = |base: &Base| variable(base.config.config().as_ref(), "JAVA_HOME").is_some();
    let add = match &assembly.base {
        None => true,
        Some(base) => assembly.options.add_java.unwrap_or_else(|| !brings_java(base)),
    };
    let homes = assembly.bundle.profiles.iter().filter_map(|profile| {
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
struct Machine {
    system: Option<Made>,
    jdks: Vec<Made>,
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
    if !assembly.options.files.is_empty() {
        all.push(extra_files(assembly)?);
    }
    all.push(last(assembly, bundle));
    made_or_refused(all.par_iter().map(|recipe| kitchen.layer(recipe)).collect::<Result<_>>()?)
}

fn made_or_refused(outcomes: Vec<Outcome>) -> Result<Vec<Made>> {
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

fn described(assembly: &Assembly<'_>, made: &[&Made]) -> Vec<LayerRef> {
    let base = assembly.base.iter().flat_map(|base| &base.layers).map(|layer| LayerRef {
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

/// The image of these layers over the base.
fn compose(
    assembly: &Assembly<'_>,
    made: &[&Made],
    places: &BTreeMap<PathBuf, String>,
    bundle_sha256: &str,
    worker: Option<u32>,
) -> Result<Image> {
    let mut layers: Vec<Blob> = assembly.base.iter().flat_map(|base| base.layers.clone()).collect();
    for made in made {
        layers.push(made.record.blob(made.file.clone())?);
    }
    let config = configuration(assembly, made, places, bundle_sha256, worker)?;
    let config = Blob::of_bytes(MediaType::ImageConfig, json(&config)?)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageManifest)
        .config(config.descriptor.clone())
        .layers(layers.iter().map(|layer| layer.descriptor.clone()).collect::<Vec<_>>())
        .build()
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to describe an image").cause(&error))?;
    Ok(Image { manifest: Blob::of_bytes(MediaType::ImageManifest, json(&manifest)?)?, config, layers })
}

fn configuration(
    assembly: &Assembly<'_>,
    made: &[&Made],
    places: &BTreeMap<PathBuf, String>,
    bundle_sha256: &str,
    worker: Option<u32>,
) -> Result<ImageConfiguration> {
    let base = assembly.base.as_ref();
    let mut configuration = base.map_or_else(of_machine, |base| base.config.clone());
    let layers_of_base = base.map_or(0, |base| base.layers.len());
    let mut diff_ids = configuration.rootfs().diff_ids().clone();
    if diff_ids.len() != layers_of_base {
        return Err(Failure::new(FailureCode::InvalidRequest, "failed to lay layers over the base").cause_text(
            format!("its configuration tells of {} layers, its manifest of {layers_of_base}", diff_ids.len()),
        ));
    }
    diff_ids.extend(made.iter().map(|made| made.record.diff_id.to_string()));
    let internal = |error: oci_spec::OciSpecError| {
        Failure::new(FailureCode::Internal, "failed to describe an image").cause(&error)
    };
    let rootfs = RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build().map_err(internal)?;
    configuration.set_rootfs(rootfs);
    add_history(&mut configuration, made, layers_of_base)?;
    configuration.set_created(Some(CREATED.to_owned()));
    let config = run_config(assembly, configuration.config().clone(), places, bundle_sha256, worker)?;
    configuration.set_config(Some(config));
    Ok(configuration)
}

/// A base without history has none, and one whose history does not fit its layers loses it: half of one is worse.
fn add_history(configuration: &mut ImageConfiguration, made: &[&Made], layers_of_base: usize) -> Result<()> {
    let mut history = configuration.history().clone().unwrap_or_default();
    let of_layers = history.iter().filter(|step| step.empty_layer() != Some(true)).count();
    if of_layers != layers_of_base {
        configuration.set_history(None);
        return Ok(());
    }
    for made in made {
        let step = HistoryBuilder::default()
            .created(CREATED)
            .created_by(format!("testfleet: {}", made.record.holds))
            .build()
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to describe an image").cause(&error))?;
        history.push(step);
    }
    configuration.set_history(Some(history));
    Ok(())
}

fn of_machine() -> ImageConfiguration {
    let mut configuration = ImageConfiguration::default();
    let platform = Platform::machine();
    configuration.set_os(Os::from(platform.os.as_str()));
    configuration.set_architecture(Arch::from(platform.architecture.as_str()));
    configuration
}

fn run_config(
    assembly: &Assembly<'_>,
    base: Option<Config>,
    places: &BTreeMap<PathBuf, String>,
    bundle_sha256: &str,
    worker: Option<u32>,
) -> Result<Config> {
    let options = assembly.options;
    let made_here = assembly.base.is_none();
    let base = match base {
        Some(base) => base,
        None => ConfigBuilder::default()
            .build()
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to describe an image").cause(&error))?,
    };
    let mut environment = Environment(base.env().clone().unwrap_or_default());
    if made_here {
        environment.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        environment.set("LANG", "C.UTF-8");
        environment.set("HOME", "/home/nonroot");
    }
    // The newest, for what looks there; profiles name their own.
    if let Some(home) = places.values().max_by_key(|home| release_of(home)) {
        environment.set("JAVA_HOME", home);
        let path = environment.get("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin").to_owned();
        environment.set("PATH", &format!("{home}/bin:{path}"));
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

/// `NAME=VALUE`, each name once.
struct Environment(Vec<String>);

impl Environment {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|pair| pair.split_once('=').filter(|(found, _)| *found == name).map(|(_, value)| value))
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|pair| pair.split_once('=').is_none_or(|(found, _)| found != name));
        self.0.push(format!("{name}={value}"));
    }
}

fn variable(config: Option<&Config>, name: &str) -> Option<String> {
    Environment(config?.env().clone().unwrap_or_default()).get(name).map(str::to_owned)
}

#[cfg(test)]
mod tests;
