//! What the user chose about images, and the document that names one that was made.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `testfleet { image { } }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageOptions {
    /// What the image stands on.
    pub base: Base,
    /// Registry and repository, without a tag: `registry.example/team/app-tests`. `None` names it after the build, which is
    /// enough for a folder or Docker, but not for a registry.
    pub name: Option<String>,
    /// Templates of tags; `{git}` stands for the commit, `{build}` for the build's name. Empty: `git-{git}`.
    pub tags: Vec<String>,
    /// Where it goes besides the OCI layout below the output folder, which is always made.
    pub to: Vec<Target>,
    /// `linux/amd64`; `None` is this machine's.
    pub platform: Option<String>,
    /// How layers are compressed.
    pub compression: Compression,
    /// Whether the base lacks a Java and gets the JDK of this machine. `None`: when the base sets no `JAVA_HOME`.
    pub add_java: Option<bool>,
    /// Further files and folders: path in the image, and where it comes from.
    pub files: BTreeMap<String, PathBuf>,
    /// Variables of the environment of workers.
    pub environment: BTreeMap<String, String>,
    /// `name`, `1000` or `1000:1000`; `None` is the base's.
    pub user: Option<String>,
    /// Where the agent starts; `None` is the base's.
    pub working_dir: Option<String>,
    /// Goes before the agent on the command line: `xvfb-run -a`.
    pub command_prefix: Vec<String>,
    /// Patterns of stored paths that may look like credentials.
    pub allowed_secrets: Vec<String>,
    /// One image for each worker: a small layer of its own over shared ones.
    pub per_worker: bool,
    /// Whether an archive of loaded classes makes JVMs start faster.
    pub class_data_sharing: bool,
    /// Whether it has what Gradle needs to build without downloads: `build_modules` and `build_files`.
    pub dependency_cache: bool,
    /// Modules of repositories that the build is built with, as `group:name:version`; those included whose version lost.
    pub build_modules: Vec<String>,
    /// Their files.
    pub build_files: Vec<PathBuf>,
    /// What a second image to work in is made of; `None` makes none.
    pub development: Option<Development>,
    /// How registries are reached.
    pub registry: RegistryOptions,
    /// Where layers are kept for all builds of this machine.
    pub store: StoreOptions,
}

/// What the image to work in has besides the dependencies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Development {
    /// Home of the Gradle that runs the build.
    pub gradle_home: PathBuf,
    /// Its version.
    pub gradle_version: String,
    /// Home of the JDK that runs the build.
    pub java_home: PathBuf,
    /// Its feature release.
    pub java_version: u32,
}

/// The artifact store of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoreOptions {
    /// Its folder; `None` is `testfleet` in the user's cache folder, or what `TESTFLEET_STORE` says.
    pub dir: Option<PathBuf>,
    /// Most bytes of all that it keeps; `None` is 10 GB.
    pub max_size: Option<u64>,
    /// What was not used for so many days goes; `None` is 30.
    pub max_age_days: Option<u32>,
}

/// What an image stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Base {
    /// The JDK of this machine and the libraries that it needs; nothing is downloaded.
    #[default]
    None,
    /// An image of a registry: `eclipse-temurin:17`, `registry.example/base@sha256:...`.
    Registry {
        /// Which.
        reference: String,
    },
    /// A folder in the OCI image layout, or a tar file: of that layout or as `docker save` writes it.
    Path {
        /// Where.
        path: PathBuf,
    },
}

/// Where an image goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The registry in its name.
    Registry,
    /// The Docker (or Podman) of this machine, or of `DOCKER_HOST`.
    Docker,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// By what a layer holds: jars as they are, all else with gzip.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// All with gzip.
    Gzip,
    /// All with Zstandard, which containerd and Docker from 23 on take.
    Zstd,
}

/// How registries are reached. Logins come from Docker's configuration, its credential helpers, or variables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistryOptions {
    /// `host:port` of those that speak plain HTTP. Those on the loopback interface always may.
    pub insecure: Vec<String>,
    /// A file of certificates in PEM that are trusted besides the usual ones.
    pub authorities: Option<PathBuf>,
    /// Name of the variable that holds the user; the value is read when it is needed, never stored.
    pub user_variable: Option<String>,
    /// Name of the variable that holds the password or token.
    pub password_variable: Option<String>,
}

/// An image that was made: `build/testfleet/image.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRef {
    /// [`crate::VERSION`].
    pub protocol: u32,
    /// Registry and repository, without a tag.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Of the manifest: `sha256:...`.
    pub digest: String,
    /// Of the configuration: what Docker calls the image's id.
    pub config_digest: String,
    /// `linux/amd64`
    pub platform: String,
    /// Its folder in the OCI image layout.
    pub layout: PathBuf,
    /// Whether the registry in its name has it.
    pub pushed: bool,
    /// SHA-256 in hex that names the bundle that it holds, but for where its JDKs are.
    pub bundle_sha256: String,
    /// Its layers from the base upwards.
    pub layers: Vec<LayerRef>,
    /// With one image for each worker: the digests of their manifests, by number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workers: BTreeMap<u32, String>,
    /// The image to work in, whose tags are [`development_tag`]s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub development: Option<VariantRef>,
}

impl ImageRef {
    /// The image to work in, as one of its own.
    pub fn of_development(&self) -> Option<Self> {
        let made = self.development.clone()?;
        Some(Self {
            tags: self.tags.iter().map(|tag| development_tag(tag)).collect(),
            digest: made.digest,
            config_digest: made.config_digest,
            layers: made.layers,
            workers: BTreeMap::new(),
            development: None,
            ..self.clone()
        })
    }
}

/// A further image that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VariantRef {
    /// Of the manifest: `sha256:...`.
    pub digest: String,
    /// Of the configuration: what Docker calls the image's id.
    pub config_digest: String,
    /// Its layers from the base upwards.
    pub layers: Vec<LayerRef>,
}

/// The tag of a worker's own image beside the tag of that for all: `latest-worker-3`.
pub fn worker_tag(tag: &str, worker: u32) -> String {
    format!("{tag}-worker-{worker}")
}

/// The tag of the image to work in beside the tag of that for the tests: `latest-development`.
pub fn development_tag(tag: &str) -> String {
    format!("{tag}-development")
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerRef {
    /// What it holds: `base`, `java`, `testfleet`, `dependencies`, `changing`, `classes of :app`, `inputs`, `plan`.
    pub holds: String,
    /// Of the blob: `sha256:...`.
    pub digest: String,
    /// Bytes of the blob.
    pub size: u64,
    /// Media type of the blob.
    pub media_type: String,
}
