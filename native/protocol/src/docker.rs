//! What the user chose about workers in containers: `testfleet { docker { } }`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `testfleet { docker { } }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DockerOptions {
    /// `unix:///run/docker.sock`, `tcp://host:2376`. `None`: what the environment and this machine say.
    pub host: Option<String>,
    /// Folder with `ca.pem`, `cert.pem` and `key.pem`; with it a `tcp` host is reached over TLS.
    pub cert_path: Option<PathBuf>,
    /// Processors of each worker, also parts of one: 1.5. `None` is no limit.
    pub cpus: Option<f64>,
    /// Memory of each worker in bytes, swap included. `None` is no limit.
    pub memory_bytes: Option<u64>,
    /// `bridge`, `none`, or the name of a network that is there. `None`: `bridge`, or with services a network of the
    /// worker's own.
    pub network: Option<String>,
    /// Whether a worker can write to its temporary folder alone.
    pub read_only_root: bool,
    /// Size of that folder in bytes when the root is read-only, or when it is to be in memory. `None` is half of the
    /// machine's memory with a read-only root, and the container's own disk without.
    pub tmpfs_bytes: Option<u64>,
    /// `name`, `1000` or `1000:1000`; `None` is the image's.
    pub user: Option<String>,
    /// Whether images come from their registry.
    pub pull: Pull,
    /// Whether containers stay when the run has ended, to be looked at.
    pub keep: bool,
    /// Containers that each worker has beside it, by name.
    pub services: BTreeMap<String, Service>,
}

/// Whether images come from their registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// Those that Docker has not got.
    #[default]
    Missing,
    /// All, each time.
    Always,
    /// None.
    Never,
}

/// A container that each worker has beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its image, as `docker run` takes it.
    pub image: String,
    /// Its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What it runs instead of what its image says.
    #[serde(default)]
    pub command: Vec<String>,
    /// The port that the worker's environment names.
    #[serde(default)]
    pub port: Option<u16>,
    /// When it is ready.
    #[serde(default)]
    pub readiness: Readiness,
    /// How long it may take until then, in milliseconds.
    #[serde(default = "one_minute")]
    pub ready_within_ms: u64,
    /// Its memory in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Folders of it that are kept in memory, for a database that need not last.
    #[serde(default)]
    pub tmpfs: Vec<String>,
}

fn one_minute() -> u64 {
    60_000
}

/// When a service is ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Readiness {
    /// When its port takes connections; without a port as soon as it was started.
    #[default]
    Port,
    /// When this command ends well in it.
    Command {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// When its log has this text.
    Log {
        /// Which.
        text: String,
    },
    /// When the health check of its image says so.
    Healthy,
}
