//! Runs on Docker: where it is, the image, what is left when a run ends, a shell in the image.

use super::Context;
use super::elsewhere::{agent_in_image, image_as_it_is, image_file, passed_on, threads, wait};
use super::image::outside;
use super::prepare::say_time;
use super::runs::RunDir;
use crate::backend::Sweep;
use crate::backend::docker::{DockerBackend, DockerConfig, Host, WorkerImage, pull_missing};
use crate::backend::kubernetes::Looked;
use crate::image;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Instant;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::docker::{DockerOptions, Pull, Readiness, Service};
use testfleet_protocol::event::{Event, Level};
use testfleet_protocol::image::{ImageRef, Target};
use testfleet_protocol::plan::Plan;
use testfleet_protocol::{Failure, FailureCode, Result};
use testfleet_wire::RunSecret;
use tokio::runtime::Runtime;

/// As requests name the backend.
pub(super) const NAME: &str = "docker";

/// Docker takes no less for a container.
const LEAST_MEMORY: u64 = 16 << 20;

/// A Docker that answers.
pub(super) struct Docker {
    host: Host,
    runtime: Runtime,
}

impl Docker {
    /// Removes what runs left there. Returns their ids.
    pub(super) fn sweep(&self, context: &Context<'_>, sweep: &Sweep<'_>) -> Result<BTreeSet<String>> {
        self.wait(context, self.host.sweep(sweep))
    }

    /// What is known of it.
    pub(super) fn examine(&self) -> Vec<Looked> {
        let Host { version, platform, address, .. } = &self.host;
        vec![Looked::of("docker", Ok(format!("Docker {version} ({platform}) at {address}")))]
    }

    pub(super) fn connect(context: &Context<'_>) -> Result<Self> {
        let runtime = threads("testfleet-docker")?;
        let connected = Host::connect(&context.request.options.docker, &context.environment);
        let host = wait(&runtime, context, connected)?;
        let text = format!("Docker {} ({}) at {}", host.version, host.platform, host.address);
        context.sink.say(Level::Info, text);
        Ok(Self { host, runtime })
    }

    /// Waits, unless the end is asked for.
    fn wait<T>(&self, context: &Context<'_>, future: impl Future<Output = Result<T>>) -> Result<T> {
        wait(&self.runtime, context, future)
    }

    /// Gets the images of services, and those of these workers that `image.json` names, which have to be of this bundle.
    pub(super) fn image_as_it_is(
        &self,
        context: &Context<'_>,
        bundle: &Bundle,
        workers: &[u32],
    ) -> Result<WorkerImage> {
        let made = image_as_it_is(context, bundle)?;
        self.get(context, &made, bundle, workers)
    }

    /// Gets the images of services, and makes those of these workers, for this Docker alone: only the task `image` pushes.
    pub(super) fn image(
        &self,
        context: &Context<'_>,
        plan: &Plan,
        bundle: &Bundle,
        workers: &[u32],
    ) -> Result<WorkerImage> {
        let started = Instant::now();
        let say = |text: String| context.sink.say(Level::Lifecycle, text);
        let made = image::make(&context.request, plan, bundle, &[Target::Docker], &outside(context, &say))?;
        say_time(context, "Making the image", started, "");
        context.check_cancelled()?;
        self.get(context, &made.reference, bundle, workers)
    }

    /// Makes Docker have an image that was made, with those of its workers.
    pub(super) fn load(context: &Context<'_>, made: &ImageRef) -> Result<()> {
        let docker = Self::connect(context)?;
        let say = |text: String| context.sink.say(Level::Lifecycle, text);
        docker.wait(context, docker.host.provide_all(made, Pull::Never, &say))
    }

    /// Makes Docker have the images of workers that were made, and those of services.
    fn get(&self, context: &Context<'_>, made: &ImageRef, bundle: &Bundle, workers: &[u32]) -> Result<WorkerImage> {
        let options = &context.request.options.docker;
        let say = |text: String| context.sink.say(Level::Lifecycle, text);
        let services: BTreeSet<String> = options.services.values().map(|service| service.image.clone()).collect();
        self.wait(context, async {
            pull_missing(&self.host, &services, options.pull, &say).await?;
            let references = self.host.provide(made, workers, options.pull, &say).await?;
            Ok(WorkerImage { references, agent: agent_in_image(context, bundle) })
        })
    }

    /// The backend of a run.
    pub(super) fn backend(
        &self,
        context: &Context<'_>,
        dir: &RunDir,
        image: WorkerImage,
        workers_total: u32,
        debug_jvm: bool,
    ) -> Result<DockerBackend> {
        let options = &context.request.options;
        Ok(DockerBackend::new(DockerConfig {
            host: self.host.clone(),
            options: options.docker.clone(),
            image,
            run: dir.id.clone(),
            run_dir: dir.folder().to_owned(),
            workers_total,
            environment: passed_on(&options.pass_environment, &context.environment),
            secret: secret(&dir.secret_file())?,
            lease_ms: options.run.connection.lease_ms,
            debug_jvm,
        }))
    }

    /// Removes what a run still has there. A run stands whatever becomes of it.
    pub(super) fn clean_up(&self, context: &Context<'_>, dir: &RunDir) {
        if let Err(failure) = self.runtime.block_on(self.host.remove_run(&dir.id)) {
            context.sink.say(Level::Warn, failure.to_string());
        }
        // No agent is left that knows it.
        let _ = fs::remove_file(dir.secret_file());
    }
}

/// Starts a container of the image that is there and says how to open a shell in it: a Gradle daemon has no terminal, and
/// who has one opens it by the same command.
pub(super) fn shell(context: &Context<'_>, worker: u32) -> Result<()> {
    let docker = Docker::connect(context)?;
    let made = testfleet_image::read_reference(&image_file(context))?;
    let bundle = crate::bundle::read_bundle(&context.bundle_file())?;
    let name = format!("testfleet-shell-{}", super::runs::new_id());
    let environment = passed_on(&context.request.options.pass_environment, &context.environment);
    let options = &context.request.options.docker;
    let say = |text: String| context.sink.say(Level::Lifecycle, text);
    let shell = docker.wait(context, async {
        let references = docker.host.provide(&made, &[worker], options.pull, &say).await?;
        let image = WorkerImage { references, agent: agent_in_image(context, &bundle) };
        docker.host.open_shell(&name, &image, worker, options, &environment).await
    })?;
    let docker: Vec<String> = match context.request.options.docker.host.as_deref() {
        Some(host) => ["docker", "--host", host].map(str::to_owned).into(),
        None => vec!["docker".to_owned()],
    };
    let at = docker.join(" ");
    let command = shell.map(|shell| [&docker[..], &["exec", "-it", &name, shell].map(str::to_owned)].concat());
    let enter = match &command {
        Some(command) => format!("Open a shell in it:\n    {}", command.join(" ")),
        None => "The image has no shell. A static busybox makes one: \
                 testfleet { image { files.put('/bin/sh', file('/bin/busybox')) } }"
            .to_owned(),
    };
    let hours = crate::backend::docker::SHELL_HOURS;
    let text = format!(
        "The image of {} runs as {name}. {enter}\nIt goes by itself after {hours} h, or with:\n    {at} rm -f {name}",
        image_file(context).display()
    );
    context.sink.say(Level::Result, text);
    if let Some(command) = command {
        context.sink.send(Event::Enter { command });
    }
    Ok(())
}

/// The run's secret: that of the coordinator before, or a new one. It is random, because nothing that two coordinators
/// both know is secret, and in a file, because a coordinator that takes over comes after the first has died.
fn secret(file: &Path) -> Result<RunSecret> {
    match fs::read(file) {
        Ok(bytes) => {
            return RunSecret::of(&bytes).ok_or_else(|| {
                Failure::new(FailureCode::Io, format!("failed to use {}", file.display()))
                    .cause_text("it is not what a coordinator wrote")
                    .hint("begin a new run: leave --resume out")
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::io("read", file, &error)),
    }
    let secret = RunSecret::random()?;
    let failed = |error: std::io::Error| Failure::io("write", file, &error);
    // For this user alone, from its first byte on; whole or not at all.
    let partial = file.with_extension("new");
    let _ = fs::remove_file(&partial);
    let mut written = File::options().write(true).create_new(true).mode(0o600).open(&partial).map_err(failed)?;
    written.write_all(secret.bytes()).and_then(|()| written.sync_all()).map_err(failed)?;
    fs::rename(&partial, file).map_err(failed)?;
    Ok(secret)
}

/// # Errors
/// [`FailureCode::InvalidRequest`] for what Docker would refuse late, or in words that help nobody.
pub(super) fn check(options: &DockerOptions) -> Result<()> {
    let invalid = |message: String, hint: &str| Err(Failure::new(FailureCode::InvalidRequest, message).hint(hint));
    if options.cpus.is_some_and(|cpus| !(cpus.is_finite() && (0.01..=10_000.0).contains(&cpus))) {
        return invalid("failed to choose docker.cpus".to_owned(), "it is a number of processors, such as 1.5");
    }
    if let Some(bytes) = options.memory_bytes.filter(|bytes| *bytes < LEAST_MEMORY) {
        return invalid(
            format!("failed to choose docker.memory: {bytes} bytes are too few"),
            "it is what JVM and agent may take together, such as '2g'",
        );
    }
    check_services(&options.services)
}

/// # Errors
/// [`FailureCode::InvalidRequest`] for a service that no backend can start.
pub(super) fn check_services(services: &BTreeMap<String, Service>) -> Result<()> {
    let invalid = |message: String, hint: &str| Err(Failure::new(FailureCode::InvalidRequest, message).hint(hint));
    if let Some(bytes) =
        services.values().filter_map(|service| service.memory_bytes).find(|bytes| *bytes < LEAST_MEMORY)
    {
        return invalid(
            format!("failed to choose the memory of a service: {bytes} bytes are too few"),
            "such as '512m'",
        );
    }
    for (name, service) in services {
        let is_name = name.len() <= 40
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !is_name || name == "worker" {
            return invalid(
                format!("failed to name a service `{name}`"),
                "a name has lower-case letters, digits and `-`, begins with a letter, and is not `worker`",
            );
        }
        if service.image.trim().is_empty() {
            return invalid(format!("failed to start the service {name}: it has no image"), "name one: image = 'x:1'");
        }
        if service.ready_within_ms == 0 || service.port == Some(0) {
            return invalid(
                format!("failed to choose the port or the time of the service {name}: 0 is none"),
                "for example port = 5432, readyWithin = Duration.ofMinutes(2)",
            );
        }
        if let Readiness::Command { command } = &service.readiness
            && command.is_empty()
        {
            return invalid(
                format!("failed to choose when the service {name} is ready: the command is empty"),
                "for example readyCommand = ['pg_isready', '-U', 'postgres']",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_secret_of_a_run_is_kept_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let made = secret(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(secret(&file).unwrap().bytes(), made.bytes(), "another coordinator has the same");
        fs::write(&file, "x").unwrap();
        assert!(secret(&file).is_err());
    }

    #[test]
    fn what_docker_would_refuse_is_refused_before() {
        let service = |json: &str| serde_json::from_str::<Service>(json).unwrap();
        let with = |name: &str, json: &str| DockerOptions {
            services: BTreeMap::from([(name.to_owned(), service(json))]),
            ..DockerOptions::default()
        };
        assert!(check(&with("my-db2", r#"{"image":"x:1","port":1}"#)).is_ok());
        for bad in [
            with("My_db", r#"{"image":"x"}"#),
            with("worker", r#"{"image":"x"}"#),
            with("db", r#"{"image":" "}"#),
            with("db", r#"{"image":"x","port":0}"#),
            with("db", r#"{"image":"x","readiness":{"type":"command","command":[]}}"#),
            with("db", r#"{"image":"x","memoryBytes":1}"#),
            DockerOptions { cpus: Some(f64::NAN), ..DockerOptions::default() },
            DockerOptions { cpus: Some(0.0), ..DockerOptions::default() },
            DockerOptions { memory_bytes: Some(4096), ..DockerOptions::default() },
        ] {
            assert_eq!(check(&bad).unwrap_err().code, FailureCode::InvalidRequest, "{bad:?}");
        }
    }
}
