//! An image of layers that are there, over a base: its manifest and its configuration.

use crate::base::Platform;
use crate::layer::Made;
use crate::{Base, Blob, Image, json};
use oci_spec::image::{
    Arch, Config, ConfigBuilder, HistoryBuilder, ImageConfiguration, ImageManifestBuilder, MediaType, Os, RootFsBuilder,
};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Equal content, equal digests: nothing says when an image was made.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// In an image's history, before what a layer holds.
pub(crate) const MADE_BY: &str = "testfleet: ";

/// How what runs in an image starts: the base's configuration, changed.
pub(crate) type StartOf<'a> = &'a dyn Fn(Config) -> Result<Config>;

/// The image of these layers over a base, or over nothing.
pub(crate) fn compose(base: Option<&Base>, made: &[&Made], start: StartOf<'_>) -> Result<Image> {
    let mut layers: Vec<Blob> = base.iter().flat_map(|base| base.layers.clone()).collect();
    for made in made {
        layers.push(made.record.blob(made.file.clone())?);
    }
    let config = configuration(base, made, start)?;
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

fn configuration(base: Option<&Base>, made: &[&Made], start: StartOf<'_>) -> Result<ImageConfiguration> {
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
    let config =
        configuration.config().clone().map_or_else(|| ConfigBuilder::default().build().map_err(internal), Ok)?;
    configuration.set_config(Some(start(config)?));
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
            .created_by(format!("{MADE_BY}{}", made.record.holds))
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

/// `NAME=VALUE`, each name once.
pub(crate) struct Environment(pub(crate) Vec<String>);

impl Environment {
    /// That of an image over a base; over nothing it begins with what every program needs.
    pub(crate) fn over(base: Option<&Base>, config: &Config) -> Self {
        let mut environment = Self(config.env().clone().unwrap_or_default());
        if base.is_none() {
            environment.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
            environment.set("LANG", "C.UTF-8");
            environment.set("HOME", "/home/nonroot");
        }
        environment
    }

    /// Chooses the Java for what looks there.
    pub(crate) fn set_java(&mut self, home: &str) {
        self.set("JAVA_HOME", home);
        self.add_to_path(&format!("{home}/bin"));
    }

    /// Programs of a folder are found first.
    pub(crate) fn add_to_path(&mut self, folder: &str) {
        let path = self.get("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin").to_owned();
        self.set("PATH", &format!("{folder}:{path}"));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|pair| pair.split_once('=').filter(|(found, _)| *found == name).map(|(_, value)| value))
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|pair| pair.split_once('=').is_none_or(|(found, _)| found != name));
        self.0.push(format!("{name}={value}"));
    }
}

/// A variable of an image's environment.
pub(crate) fn variable(config: Option<&Config>, name: &str) -> Option<String> {
    Environment(config?.env().clone().unwrap_or_default()).get(name).map(str::to_owned)
}
