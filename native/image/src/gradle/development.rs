//! The image to work in: the build's JDK, Gradle and all that the build resolves; the sources are mounted.

use super::{DEPENDENCIES, FILES, READ_ONLY_CACHE, cache, distribution};
use crate::assemble::{BUNDLE_LABEL, Machine, described, made_or_refused};
use crate::compose::{Environment, compose};
use crate::java::{self, Jdk};
use crate::layer::encode::Content;
use crate::layer::{Item, Kitchen, Made, Recipe};
use crate::{Assembly, Image, place};
use oci_spec::image::Config;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use testfleet_protocol::image::LayerRef;
use testfleet_protocol::{Failure, Result};

/// Where the sources are mounted.
pub const WORK: &str = "/work";

/// The dependencies as a Maven repository: links to them. `init.gradle` names it.
const REPOSITORY: &str = "/testfleet/maven";

/// The image to work in, and what is in it.
#[derive(Debug)]
pub struct Development {
    /// For all who work in it.
    pub image: Image,
    /// Its layers, from the base upwards.
    pub layers: Vec<LayerRef>,
}

/// The image to work in, if the build wants one. Layers that `machine` and `of_bundle` have are shared with the image of the tests.
///
/// # Errors
/// As for [`crate::assemble`].
pub(crate) fn development(
    assembly: &Assembly<'_>,
    kitchen: &Kitchen<'_>,
    jdks: &[Jdk],
    places: &BTreeMap<PathBuf, String>,
    machine: &Machine,
    of_bundle: &[Made],
) -> Result<Option<Development>> {
    let Some(wanted) = &assembly.options.development else { return Ok(None) };
    let compression = assembly.options.compression;
    let build = Jdk { home: canonical(&wanted.java_home)?, release: wanted.java_version };
    let known = jdks.iter().find(|jdk| canonical(&jdk.home).is_ok_and(|home| home == build.home));
    let mut own = Vec::new();
    let mut homes: Vec<&str> = places.values().map(String::as_str).collect();
    let java = match known.and_then(|jdk| places.get(&jdk.home)) {
        Some(place) => place.clone(),
        None => {
            let place = format!("{}/build", place::JAVA);
            own.push(java::jdk_layer(&build, &place, compression, assembly.shared)?);
            place
        }
    };
    homes.push(&java);
    homes.sort_unstable();
    homes.dedup();
    let system = match (&machine.system, own.is_empty()) {
        (Some(_), false) => {
            let all: Vec<Jdk> = jdks.iter().cloned().chain([build]).collect();
            let agent = assembly.roots.resolve(&assembly.bundle.agent);
            Some(java::system_layer(&all, &agent, compression, assembly.shared)?)
        }
        _ => None,
    };
    let gradle = distribution::layer(wanted, compression, assembly.shared, kitchen.guard)?;
    let mut recipes = super::cache_recipes(assembly)?;
    recipes.push(last(assembly, &homes)?);
    let rest = recipes.iter().map(|recipe| kitchen.layer(recipe));
    own.extend(made_or_refused([Ok(gradle)].into_iter().chain(rest).collect::<Result<_>>()?)?);

    let dependencies = of_bundle.iter().filter(|made| made.record.holds == DEPENDENCIES);
    let made: Vec<&Made> = system
        .as_ref()
        .or(machine.system.as_ref())
        .into_iter()
        .chain(&machine.jdks)
        .chain(dependencies)
        .chain(&own)
        .collect();
    let base = assembly.base.as_ref();
    let image = compose(base, &made, &|config| Ok(start(assembly, config, &java)))?;
    Ok(Some(Development { layers: described(base, &made), image }))
}

fn canonical(home: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(home).map_err(|error| Failure::io("read", home, &error))
}

/// The layer that is new when a dependency is: links to all, and where JDKs are.
fn last(assembly: &Assembly<'_>, homes: &[&str]) -> Result<Recipe> {
    let cache = place::root(place::GRADLE_CACHE);
    let mut items = vec![
        Item::EmptyFolder { target: WORK.to_owned() },
        Item::EmptyFolder { target: REPOSITORY.to_owned() },
        Item::EmptyFolder { target: format!("{cache}/{FILES}") },
    ];
    for path in cache::all(assembly)? {
        if let [group, name, version, _hash, file] = path.split('/').collect::<Vec<_>>().as_slice() {
            let target = format!("{REPOSITORY}/{}/{name}/{version}/{file}", group.replace('.', "/"));
            items.push(Item::Link { target, to: format!("{cache}/{FILES}/{path}") });
        }
    }
    let properties = format!(
        "org.gradle.java.installations.paths={}\norg.gradle.java.installations.auto-download=false\n",
        homes.join(",")
    );
    items.push(Item::Bytes {
        target: format!("{}/gradle.properties", distribution::HOME),
        bytes: properties.into_bytes(),
    });
    Ok(Recipe { holds: "development".to_owned(), content: Content::Often, shared: false, items })
}

fn start(assembly: &Assembly<'_>, mut config: Config, java: &str) -> Config {
    let options = assembly.options;
    let mut environment = Environment::over(assembly.base.as_ref(), &config);
    environment.set_java(java);
    environment.add_to_path(&format!("{}/bin", distribution::HOME));
    environment.set("GRADLE_HOME", distribution::HOME);
    // Whoever works in it: their own home may not be there.
    environment.set("GRADLE_USER_HOME", "/tmp/gradle");
    environment.set(READ_ONLY_CACHE, &place::root(place::GRADLE_CACHE));
    for (name, value) in &options.environment {
        environment.set(name, value);
    }
    let mut labels: HashMap<String, String> = config.labels().clone().unwrap_or_default();
    labels.insert("org.opencontainers.image.title".to_owned(), format!("To work on {}", assembly.title));
    labels.remove(BUNDLE_LABEL);
    let usual_user = assembly.base.is_none().then(|| java::USER.to_owned());
    config.set_env(Some(environment.0));
    config.set_labels(Some(labels));
    config.set_entrypoint(None);
    config.set_cmd(Some(vec!["/bin/sh".to_owned()]));
    config.set_user(options.user.clone().or_else(|| config.user().clone()).or(usual_user));
    config.set_working_dir(Some(WORK.to_owned()));
    config
}
