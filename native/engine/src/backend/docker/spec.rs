//! What containers of a worker are started with, as Docker's API takes it.

use super::labels::{Labels, WORKER_ROLE};
use crate::backend::WorkerLife;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkCreateRequest, NetworkingConfig, PortBinding,
};
use std::collections::{BTreeMap, HashMap};
use testfleet_protocol::docker::{DockerOptions, Service};

/// A worker's own folder in its container.
const TEMP: &str = "/tmp/testfleet";
/// The port of a JVM that waits for a debugger.
const DEBUG_PORT: &str = "5005";

/// What all containers of a run have in common.
pub(super) struct Spec<'a> {
    pub(super) options: &'a DockerOptions,
    pub(super) labels: &'a Labels,
    pub(super) run: &'a str,
    pub(super) workers_total: u32,
    /// Variables by name, with their values. Secrets may be among them.
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) debug_jvm: bool,
}

impl Spec<'_> {
    /// Name of a worker's container, and of its network.
    pub(super) fn name(&self, life: WorkerLife) -> String {
        format!("testfleet-{}-w{}-{}", self.run, life.worker, life.life)
    }

    /// Name of the container of a service.
    pub(super) fn service_name(&self, life: WorkerLife, service: &str) -> String {
        format!("{}-{service}", self.name(life))
    }

    /// Whether workers have a network of their own.
    pub(super) fn has_network(&self) -> bool {
        !self.options.services.is_empty()
    }

    /// Another network that a worker is in, besides its own.
    pub(super) fn other_network(&self) -> Option<&str> {
        let chosen = self.options.network.as_deref().filter(|network| !matches!(*network, "none" | "bridge"));
        chosen.filter(|_| self.has_network())
    }

    /// A worker's network. Nothing leaves it when the build wants no network.
    pub(super) fn network(&self, life: WorkerLife) -> NetworkCreateRequest {
        NetworkCreateRequest {
            name: self.name(life),
            driver: Some("bridge".to_owned()),
            internal: Some(self.options.network.as_deref() == Some("none")),
            labels: Some(self.labels.of(life, "network")),
            ..NetworkCreateRequest::default()
        }
    }

    /// A worker of an image whose entry point is the agent.
    pub(super) fn worker(&self, life: WorkerLife, image: &str) -> ContainerCreateBody {
        let arguments = [
            "--worker".to_owned(),
            life.worker.to_string(),
            "--life".to_owned(),
            life.life.to_string(),
            "--workers".to_owned(),
            self.workers_total.to_string(),
            "--temp".to_owned(),
            temp(life),
            "--socket".to_owned(),
            socket(life),
            "--tell-usage".to_owned(),
        ];
        let debug = self.debug_jvm.then(|| "--debug-jvm".to_owned());
        let mut environment = self.environment.clone();
        environment.extend(self.addresses());
        ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(arguments.into_iter().chain(debug).collect()),
            env: Some(pairs(&environment)),
            user: self.options.user.clone(),
            labels: Some(self.labels.of(life, WORKER_ROLE)),
            exposed_ports: self.debug_jvm.then(|| vec![format!("{DEBUG_PORT}/tcp")]),
            host_config: Some(self.place(life)),
            networking_config: self.has_network().then(|| self.endpoint(life, "worker")),
            ..ContainerCreateBody::default()
        }
    }

    fn place(&self, life: WorkerLife) -> HostConfig {
        let options = self.options;
        let port = || {
            let at = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(DEBUG_PORT.to_owned()) };
            HashMap::from([(format!("{DEBUG_PORT}/tcp"), Some(vec![at]))])
        };
        HostConfig {
            nano_cpus: options.cpus.map(|cpus| (cpus * 1e9) as i64),
            memory: options.memory_bytes.map(signed),
            // The sum of both: no swap beside the memory.
            memory_swap: options.memory_bytes.map(signed),
            readonly_rootfs: Some(options.read_only_root),
            tmpfs: (options.read_only_root || options.tmpfs_bytes.is_some()).then(|| {
                // Libraries that a JVM unpacks there are executed.
                let size = options.tmpfs_bytes.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
                HashMap::from([("/tmp".to_owned(), format!("rw,exec,nosuid,nodev,mode=1777{size}"))])
            }),
            network_mode: Some(match &options.network {
                _ if self.has_network() => self.name(life),
                Some(network) => network.clone(),
                None => "bridge".to_owned(),
            }),
            port_bindings: self.debug_jvm.then(port),
            ..HostConfig::default()
        }
    }

    /// A service beside a worker.
    pub(super) fn service(&self, life: WorkerLife, name: &str, service: &Service) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(service.image.clone()),
            cmd: Some(service.command.clone()).filter(|command| !command.is_empty()),
            env: Some(pairs(&service.environment)),
            labels: Some(self.labels.of(life, "service")),
            host_config: Some(HostConfig {
                memory: service.memory_bytes.map(signed),
                memory_swap: service.memory_bytes.map(signed),
                network_mode: Some(self.name(life)),
                tmpfs: (!service.tmpfs.is_empty())
                    .then(|| service.tmpfs.iter().map(|dir| (dir.clone(), String::new())).collect()),
                ..HostConfig::default()
            }),
            networking_config: Some(self.endpoint(life, name)),
            ..ContainerCreateBody::default()
        }
    }

    fn endpoint(&self, life: WorkerLife, alias: &str) -> NetworkingConfig {
        let known_as = EndpointSettings { aliases: Some(vec![alias.to_owned()]), ..EndpointSettings::default() };
        NetworkingConfig { endpoints_config: Some(HashMap::from([(self.name(life), known_as)])) }
    }

    /// Where services are, for the worker's environment: `POSTGRES_HOST`, `POSTGRES_PORT`.
    fn addresses(&self) -> BTreeMap<String, String> {
        let mut addresses = BTreeMap::new();
        for (name, service) in &self.options.services {
            let variable = crate::backend::variable(name);
            addresses.insert(format!("{variable}_HOST"), name.clone());
            addresses.extend(service.port.map(|port| (format!("{variable}_PORT"), port.to_string())));
        }
        addresses
    }
}

/// A worker's own folder.
fn temp(life: WorkerLife) -> String {
    format!("{TEMP}/w{}", life.worker)
}

/// Where its agent is reached.
pub(super) fn socket(life: WorkerLife) -> String {
    format!("{}/agent.sock", temp(life))
}

fn pairs(environment: &BTreeMap<String, String>) -> Vec<String> {
    environment.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIFE: WorkerLife = WorkerLife { worker: 3, life: 2 };

    /// What is set, as JSON.
    fn set(value: impl serde::Serialize) -> serde_json::Value {
        fn clean(value: serde_json::Value) -> serde_json::Value {
            match value {
                serde_json::Value::Object(fields) => fields
                    .into_iter()
                    .map(|(name, value)| (name, clean(value)))
                    .filter(|(_, value)| !value.is_null() && value != &json!({}))
                    .collect(),
                other => other,
            }
        }
        clean(serde_json::to_value(value).unwrap())
    }

    fn with<T>(options: &DockerOptions, look: impl FnOnce(&Spec<'_>) -> T) -> T {
        let labels = Labels { run: "r1".into(), machine: "m".into(), folder: "/b/runs/r1".into(), keep: false };
        let environment = BTreeMap::from([("TOKEN".to_owned(), "s3cret".to_owned())]);
        look(&Spec {
            options,
            labels: &labels,
            run: "r1",
            workers_total: 4,
            environment: &environment,
            debug_jvm: false,
        })
    }

    #[test]
    fn a_plain_worker() {
        let body = with(&DockerOptions::default(), |spec| set(spec.worker(LIFE, "sha256:1")));
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn a_worker_with_limits_and_a_service() {
        let postgres = Service {
            image: "postgres:16".into(),
            environment: BTreeMap::from([("POSTGRES_PASSWORD".into(), "x".into())]),
            command: vec![],
            port: Some(5432),
            readiness: Default::default(),
            ready_within_ms: 1,
            memory_bytes: Some(1 << 28),
            tmpfs: vec!["/var/lib/postgresql/data".into()],
        };
        let options = DockerOptions {
            cpus: Some(1.5),
            memory_bytes: Some(1 << 30),
            network: Some("none".into()),
            read_only_root: true,
            tmpfs_bytes: Some(1 << 20),
            user: Some("1000".into()),
            services: BTreeMap::from([("my-db".to_owned(), postgres.clone())]),
            ..DockerOptions::default()
        };
        let all = with(&options, |spec| {
            json!({
                "network": set(spec.network(LIFE)),
                "service": set(spec.service(LIFE, "my-db", &postgres)),
                "worker": set(spec.worker(LIFE, "sha256:1")),
            })
        });
        insta::assert_snapshot!(serde_json::to_string_pretty(&all).unwrap());
    }
}
