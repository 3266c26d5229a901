//! Containers beside a worker: started first, waited for until they are ready.

use super::host::Host;
use super::logs;
use super::spec::Spec;
use super::trouble;
use crate::backend::WorkerLife;
use bollard::container::LogOutput;
use bollard::models::HealthStatusEnum;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use std::time::Duration;
use testfleet_protocol::docker::{Readiness, Service};
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::time::{sleep, timeout};

/// Between two looks at a service.
const PAUSE: Duration = Duration::from_millis(200);
/// Last lines of a log in a failure.
const LINES: usize = 20;
/// What is kept of what a log said last, to find a text that comes in two pieces.
const LOG_TAIL: usize = 16 << 10;

/// Starts all services of a worker, whose network is there.
pub(super) async fn start(host: &Host, spec: &Spec<'_>, life: WorkerLife) -> Result<()> {
    let all = spec.options.services.iter().map(|(name, service)| async move {
        let container = spec.service_name(life, name);
        let what = format!("start the service {name} of worker {}", life.worker);
        host.run(&what, &container, spec.service(life, name, service)).await.map(drop)
    });
    try_join_all(all).await.map(drop)
}

/// Waits until all services of a worker are ready. Ports are tried from the worker's own container, by its `agent`.
pub(super) async fn ready(host: &Host, spec: &Spec<'_>, life: WorkerLife, worker: &str, agent: &str) -> Result<()> {
    let all = spec.options.services.iter().map(|(name, service)| async move {
        let container = spec.service_name(life, name);
        let probe = Probe { host, name, service, container: &container, worker, agent };
        probe.wait(life).await
    });
    tokio::select! {
        biased;
        ready = try_join_all(all) => ready.map(drop),
        how = until_ended(host, worker) => Err(worker_ended(host, life, worker, how).await),
    }
}

/// What is tried from a worker that has ended would be tried in vain until the time is over.
async fn worker_ended(host: &Host, life: WorkerLife, worker: &str, how: String) -> Failure {
    let failure =
        Failure::new(FailureCode::WorkerBroken, format!("failed to start worker {}", life.worker)).cause_text(how);
    match logs::tail(host, worker, LINES).await {
        lines if lines.is_empty() => failure,
        lines => failure.cause_text(format!("it last wrote:\n{}", lines.join("\n"))),
    }
}

/// One service, and how to look at it.
struct Probe<'a> {
    host: &'a Host,
    name: &'a str,
    service: &'a Service,
    container: &'a str,
    worker: &'a str,
    agent: &'a str,
}

impl Probe<'_> {
    async fn wait(&self, life: WorkerLife) -> Result<()> {
        let within = Duration::from_millis(self.service.ready_within_ms);
        let why = tokio::select! {
            ready = timeout(within, self.until_ready(within)) => match ready {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(why)) => why,
                Err(_) => format!("it was not ready within {} s: {}", within.as_secs_f64(), self.awaited()),
            },
            how = until_ended(self.host, self.container) => how,
        };
        let failure = Failure::new(
            FailureCode::WorkerBroken,
            format!("failed to start the service {} of worker {}", self.name, life.worker),
        )
        .cause_text(why);
        Err(match logs::tail(self.host, self.container, LINES).await {
            lines if lines.is_empty() => failure.cause_text("it wrote nothing"),
            lines => failure.cause_text(format!("it last wrote:\n{}", lines.join("\n"))),
        }
        .hint("see docs/docker.md, Services; readyWithin gives it more time"))
    }

    fn awaited(&self) -> String {
        match (&self.service.readiness, self.service.port) {
            (Readiness::Port, Some(port)) => format!("nothing accepts connections at port {port}"),
            (Readiness::Port, None) => "it has no port".to_owned(),
            (Readiness::Command { command }, _) => format!("`{}` did not end well", command.join(" ")),
            (Readiness::Log { text }, _) => format!("its log does not say `{text}`"),
            (Readiness::Healthy, _) => "its health check does not call it healthy".to_owned(),
        }
    }

    /// An error says why it never will be.
    async fn until_ready(&self, within: Duration) -> std::result::Result<(), String> {
        match &self.service.readiness {
            Readiness::Port => match self.service.port {
                Some(port) => {
                    let (address, within) = (format!("{}:{port}", self.name), within.as_secs().max(1).to_string());
                    let probe = [self.agent, "probe", "--within", &within, &address];
                    // It tries for so long itself.
                    while !self.host.ends_well(self.worker, &probe).await {
                        sleep(PAUSE).await;
                    }
                    Ok(())
                }
                None => Ok(()),
            },
            Readiness::Command { command } => {
                let command: Vec<_> = command.iter().map(String::as_str).collect();
                while !self.host.ends_well(self.container, &command).await {
                    sleep(PAUSE).await;
                }
                Ok(())
            }
            Readiness::Log { text } => self.log_says(text).await,
            Readiness::Healthy => self.is_healthy().await,
        }
    }

    async fn log_says(&self, text: &str) -> std::result::Result<(), String> {
        let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
        let mut log = self.host.docker.logs(self.container, Some(options));
        let mut said = String::new();
        while let Some(part) = log.next().await {
            let part = part.map_err(|error| format!("its log can't be read: {error}"))?;
            said.push_str(&String::from_utf8_lossy(&LogOutput::into_bytes(part)));
            if said.contains(text) {
                return Ok(());
            }
            let from = said.ceil_char_boundary(said.len().saturating_sub(LOG_TAIL.max(text.len())));
            said.drain(..from);
        }
        // Its end is told by the container's.
        std::future::pending().await
    }

    async fn is_healthy(&self) -> std::result::Result<(), String> {
        loop {
            let about = self.host.docker.inspect_container(self.container, None).await;
            let health = about.ok().and_then(|about| about.state?.health?.status);
            match health {
                Some(HealthStatusEnum::HEALTHY) => return Ok(()),
                None | Some(HealthStatusEnum::NONE) => {
                    return Err("its image has no health check: say otherwise when it is ready".to_owned());
                }
                _ => sleep(PAUSE).await,
            }
        }
    }
}

/// Waits for a container's end: one that has ended is never ready.
async fn until_ended(host: &Host, container: &str) -> String {
    loop {
        match host.docker.inspect_container(container, None).await {
            Ok(about) => {
                let state = about.state.unwrap_or_default();
                if state.running == Some(false) {
                    let memory = if state.oom_killed == Some(true) { ", because it ran out of memory" } else { "" };
                    return format!("it ended with exit code {}{memory}", state.exit_code.unwrap_or(-1));
                }
            }
            Err(error) if trouble::is_gone(&error) => return "it was removed".to_owned(),
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}
