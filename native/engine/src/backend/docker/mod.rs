//! Workers as containers of Docker, or of what speaks its API.
//!
//! Agents are reached through relays: a second process in the worker's container, started by Docker, whose standard streams
//! are the line. Nothing is published, so a Docker on another machine works like one on this. Containers outlive their
//! coordinator until `orphanTimeout`; another that takes the run over finds them by their labels.

mod elsewhere;
mod host;
mod image;
mod labels;
mod line;
mod load;
mod logs;
mod services;
mod shell;
mod spec;
#[cfg(test)]
mod tests;
mod trouble;
mod worker;

pub use host::Host;
pub use image::{WorkerImage, pull_missing};
pub(crate) use labels::this_machine;
pub(crate) use shell::SHELL_HOURS;

use super::{Backend, BoxFuture, Connection, Line, WorkerLife};
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, EndpointSettings, NetworkConnectRequest};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use futures_util::StreamExt;
use labels::Labels;
use line::NoLine;
use spec::Spec;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testfleet_protocol::docker::DockerOptions;
use testfleet_protocol::{Failure, FailureCode, Result};
use testfleet_wire::{Backoff, RunSecret};
use worker::DockerProcess;

/// What workers in containers need. There is no `Debug`: the environment holds secrets.
pub struct DockerConfig {
    /// Docker.
    pub host: Host,
    /// What the user chose.
    pub options: DockerOptions,
    /// What containers are made of; Docker has it.
    pub image: WorkerImage,
    /// Names the run.
    pub run: String,
    /// Its folder, whose lock says whether its coordinator lives.
    pub run_dir: PathBuf,
    /// How many workers the run has, for `{workers}`.
    pub workers_total: u32,
    /// Variables that workers get. Never written or logged.
    pub environment: BTreeMap<String, String>,
    /// What agents know their coordinator by.
    pub secret: RunSecret,
    /// Agents say something at least every third of it, in milliseconds; 0: they do not.
    pub lease_ms: u64,
    /// Suspend each test JVM until a debugger attaches to port 5005 of Docker's machine.
    pub debug_jvm: bool,
}

/// Starts agents in containers.
pub struct DockerBackend {
    shared: Arc<Shared>,
}

/// What the backend and its workers' processes share.
struct Shared {
    config: DockerConfig,
    labels: Labels,
    /// Containers by life.
    containers: Mutex<HashMap<WorkerLife, String>>,
}

impl DockerBackend {
    /// A backend for one run.
    pub fn new(config: DockerConfig) -> Self {
        let labels = Labels {
            run: config.run.clone(),
            machine: this_machine(),
            folder: config.run_dir.clone(),
            keep: config.options.keep,
        };
        Self { shared: Arc::new(Shared { config, labels, containers: Mutex::default() }) }
    }
}

impl Shared {
    fn spec(&self) -> Spec<'_> {
        let config = &self.config;
        Spec {
            options: &config.options,
            labels: &self.labels,
            run: &config.run,
            workers_total: config.workers_total,
            environment: &config.environment,
            debug_jvm: config.debug_jvm,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerLife, String>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, life: WorkerLife) {
        self.lock().remove(&life);
    }

    /// Removes a worker's container, its services and its network.
    async fn remove(&self, life: WorkerLife) {
        let (host, spec) = (&self.config.host, self.spec());
        if self.config.options.keep {
            return;
        }
        let services = spec.options.services.keys().map(|name| spec.service_name(life, name));
        let all: Vec<_> = services.chain([spec.name(life)]).collect();
        futures_util::future::join_all(all.iter().map(|name| host.remove_container(name))).await;
        if spec.has_network() {
            host.remove_network(&spec.name(life)).await;
        }
    }

    /// Starts all containers of a life and waits for its services.
    async fn start(&self, life: WorkerLife) -> Result<String> {
        let (host, spec, image) = (&self.config.host, self.spec(), &self.config.image);
        if spec.has_network() {
            let what = format!("make the network of worker {}", life.worker);
            let made = host.docker.create_network(spec.network(life)).await;
            made.map_err(|error| trouble::failure(&host.doing(&what), error))?;
            services::start(host, &spec, life).await?;
        }
        let what = format!("start worker {}", life.worker);
        let name = spec.name(life);
        let body = spec.worker(life, image.of(life.worker)?);
        let container = match spec.other_network() {
            None => host.run(&what, &name, body).await?,
            Some(network) => {
                let container = host.create(&what, &name, body).await?;
                let endpoint = Some(EndpointSettings::default());
                let connect = NetworkConnectRequest { container: container.clone(), endpoint_config: endpoint };
                let connected = host.docker.connect_network(network, connect).await;
                connected.map_err(|error| trouble::failure(&host.doing(&what), error))?;
                host.start(&what, &container).await?;
                container
            }
        };
        services::ready(host, &spec, life, &container, &image.agent).await?;
        Ok(container)
    }

    /// How long a line may be silent before it counts as broken: agents speak twice as often.
    fn silence(&self) -> Option<Duration> {
        (self.config.lease_ms > 0).then(|| Duration::from_millis(self.config.lease_ms / 3 * 2))
    }

    async fn line(&self, life: WorkerLife) -> Result<Line> {
        let Some(container) = self.lock().get(&life).cloned() else {
            // Its container has ended, which is told elsewhere.
            return std::future::pending().await;
        };
        let config = &self.config;
        let mut backoff = Backoff::default();
        loop {
            let opened =
                line::open(&config.host, &container, &config.image.agent, life, &config.secret, self.silence());
            match opened.await {
                Ok(line) => return Ok(line),
                Err(NoLine::Now(failure)) => tracing::info!("{failure}"),
                Err(NoLine::Never(failure)) => return Err(failure),
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}

impl Backend for DockerBackend {
    fn name(&self) -> &str {
        "docker"
    }

    fn start(&self, life: WorkerLife) -> BoxFuture<'_, Result<Connection>> {
        Box::pin(async move {
            let shared = &self.shared;
            match shared.start(life).await {
                Ok(container) => {
                    shared.lock().insert(life, container.clone());
                    let process = DockerProcess::new(Arc::clone(shared), life, container);
                    Ok(Connection { line: None, process: Box::new(process) })
                }
                Err(failure) => {
                    shared.remove(life).await;
                    Err(failure)
                }
            }
        })
    }

    fn reconnect(&self, life: WorkerLife) -> Option<BoxFuture<'_, Result<Line>>> {
        Some(Box::pin(self.shared.line(life)))
    }

    fn take_over(&self, life: WorkerLife) -> Option<BoxFuture<'_, Result<Connection>>> {
        Some(Box::pin(async move {
            let shared = &self.shared;
            match shared.config.host.find_worker(&shared.config.run, life).await? {
                Some(container) => {
                    shared.lock().insert(life, container.clone());
                    let process = DockerProcess::new(Arc::clone(shared), life, container);
                    Ok(Connection { line: None, process: Box::new(process) })
                }
                None => Err(Failure::new(
                    FailureCode::WorkerBroken,
                    format!("failed to take over worker {}: its container is not running any more", life.worker),
                )),
            }
        }))
    }
}

impl Host {
    /// Makes and starts a container; returns its id.
    async fn run(&self, what: &str, name: &str, body: ContainerCreateBody) -> Result<String> {
        let container = self.create(what, name, body).await?;
        self.start(what, &container).await?;
        Ok(container)
    }

    async fn create(&self, what: &str, name: &str, body: ContainerCreateBody) -> Result<String> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let created = self.docker.create_container(Some(options), body).await;
        created.map(|created| created.id).map_err(|error| trouble::failure(&self.doing(what), error))
    }

    async fn start(&self, what: &str, container: &str) -> Result<()> {
        let started = self.docker.start_container(container, None).await;
        started.map_err(|error| trouble::failure(&self.doing(what), error))
    }

    /// Whether a command in a container ends with exit code 0; not if it can't be started.
    async fn ends_well(&self, container: &str, command: &[&str]) -> bool {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let Ok(exec) = self.docker.create_exec(container, options).await else { return false };
        let Ok(StartExecResults::Attached { mut output, .. }) =
            self.docker.start_exec(&exec.id, None::<StartExecOptions>).await
        else {
            return false;
        };
        while let Some(Ok(said)) = output.next().await {
            tracing::debug!(container, command = command.first(), %said);
        }
        self.docker.inspect_exec(&exec.id).await.is_ok_and(|ended| ended.exit_code == Some(0))
    }
}
