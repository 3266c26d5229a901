//! Images that workers and services are made of: whether Docker has them, loading, pulling.

use super::host::Host;
use super::load;
use super::trouble;
use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use testfleet_image::layout;
use testfleet_protocol::docker::Pull;
use testfleet_protocol::image::ImageRef;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Between two lines that tell of progress.
const SAY_EVERY: Duration = Duration::from_secs(3);
/// Docker's own name of the registry that names without one are in.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What workers' containers are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerImage {
    /// As Docker knows it: its id, or name and digest.
    pub reference: String,
    /// Path of the agent in it.
    pub agent: String,
}

/// Gets images from their registries as `pull` says; `say` tells a person of it.
///
/// # Errors
/// When one is not to be had.
pub async fn pull_missing(
    host: &Host,
    images: &BTreeSet<String>,
    pull: Pull,
    say: &(dyn Fn(String) + Sync),
) -> Result<()> {
    for image in images {
        let wanted = match pull {
            Pull::Always => true,
            Pull::Missing => !host.has(image).await?,
            Pull::Never if host.has(image).await? => false,
            Pull::Never => {
                return Err(Failure::new(
                    FailureCode::WorkerBroken,
                    format!("failed to find the image {image} in Docker at {}", host.address),
                )
                .cause_text("images are never pulled: pull = 'never'")
                .hint(format!("pull it by hand: `docker pull {image}`")));
            }
        };
        if wanted {
            host.pull(image, say).await?;
        }
    }
    Ok(())
}

impl Host {
    /// Whether Docker has an image, by id, name or digest.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn has(&self, image: &str) -> Result<bool> {
        self.id_of(image).await.map(|id| id.is_some())
    }

    /// The id of an image that Docker has.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn id_of(&self, image: &str) -> Result<Option<String>> {
        match self.docker.inspect_image(image).await {
            Ok(about) => Ok(about.id),
            Err(error) if trouble::is_gone(&error) => Ok(None),
            Err(error) => Err(trouble::failure(&self.doing(&format!("look for the image {image}")), error)),
        }
    }

    /// Makes Docker have an image that was made; returns what containers are made of. Nothing is sent when it has it.
    ///
    /// # Errors
    /// When it is neither there nor to be had.
    pub async fn provide(&self, made: &ImageRef, pull: Pull, say: &(dyn Fn(String) + Sync)) -> Result<String> {
        if let Some(id) = self.id_of_made(made).await? {
            return Ok(id);
        }
        // The layout lacks what never came from the registry.
        match layout::read(&made.layout, &made.digest.parse()?) {
            Err(_) if made.pushed && pull != Pull::Never => {
                self.pull(&format!("{}@{}", made.name, made.digest), say).await?;
            }
            image => load::load(self, made, image?, say).await?,
        }
        self.id_of_made(made).await?.ok_or_else(|| {
            Failure::new(
                FailureCode::WorkerBroken,
                format!("failed to find the image {}@{} in Docker at {}", made.name, made.digest, self.address),
            )
            .hint("make it anew: ./gradlew image")
        })
    }

    /// Docker calls an image by its configuration, with containerd's store by its manifest; one that was pulled has a name
    /// with its digest.
    async fn id_of_made(&self, made: &ImageRef) -> Result<Option<String>> {
        let pulled = made.pushed.then(|| format!("{}@{}", made.name, made.digest));
        for id in [&made.config_digest, &made.digest].into_iter().chain(&pulled) {
            if let Some(id) = self.id_of(id).await? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Pulls an image from its registry, with the login that Docker's own command would take.
    ///
    /// # Errors
    /// With a hint for what is known to go wrong.
    pub async fn pull(&self, image: &str, say: &(dyn Fn(String) + Sync)) -> Result<()> {
        let (name, tag) = parts(image);
        let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
        let docker = self.patient();
        let mut news = docker.create_image(Some(options), None, login(image).await);
        let mut progress = Progress::default();
        let mut said = Instant::now();
        say(format!("Pulling {image}"));
        while let Some(one) = news.next().await {
            progress.add(one.map_err(|error| trouble::failure(&self.doing(&format!("pull {image}")), error))?);
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                say(format!("Pulling {image}: {}", progress.words()));
            }
        }
        Ok(())
    }
}

/// Name, and tag or digest: a registry's port is no tag.
fn parts(image: &str) -> (&str, &str) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, digest);
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// The host of the registry that an image is in, as Docker's configuration names it.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => DOCKER_HUB,
    }
}

/// The login for an image's registry. Many need none.
async fn login(image: &str) -> Option<DockerCredentials> {
    let server = registry(image).to_owned();
    let found = {
        let server = server.clone();
        // A helper is another program, which may take its time.
        tokio::task::spawn_blocking(move || docker_credential::get_credential(&server)).await.ok()?
    };
    match found {
        Ok(DockerCredential::UsernamePassword(username, password)) => Some(DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress: Some(server),
            ..DockerCredentials::default()
        }),
        Ok(DockerCredential::IdentityToken(token)) => Some(DockerCredentials {
            identitytoken: Some(token),
            serveraddress: Some(server),
            ..DockerCredentials::default()
        }),
        Err(
            CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigReadError,
        ) => None,
        Err(error) => {
            // No part of what a helper said is told.
            tracing::warn!(server, "failed to get a login: {}", kind(&error));
            None
        }
    }
}

fn kind(error: &CredentialRetrievalError) -> &'static str {
    match error {
        CredentialRetrievalError::HelperCommunicationError => "the credential helper could not be started",
        CredentialRetrievalError::HelperFailure { .. } => "the credential helper failed",
        _ => "Docker's configuration makes no sense",
    }
}

/// How far a pull is.
#[derive(Debug, Default)]
struct Progress {
    /// Bytes that came and bytes in all, by layer.
    layers: BTreeMap<String, (i64, i64)>,
}

impl Progress {
    fn add(&mut self, news: CreateImageInfo) {
        let Some(layer) = news.id else { return };
        let detail = news.progress_detail.unwrap_or_default();
        match (news.status.as_deref(), detail.current, detail.total) {
            (Some("Downloading"), Some(current), Some(total)) => {
                self.layers.insert(layer, (current, total));
            }
            (Some("Download complete" | "Pull complete"), ..) => {
                self.layers.entry(layer).and_modify(|(current, total)| *current = *total);
            }
            _ => {}
        }
    }

    fn words(&self) -> String {
        let sum = |of: fn(&(i64, i64)) -> i64| self.layers.values().map(of).sum::<i64>().max(0) >> 20;
        format!("{} of {} MB", sum(|layer| layer.0), sum(|layer| layer.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(parts("postgres"), ("postgres", "latest"));
        assert_eq!(parts("localhost:5000/a/b"), ("localhost:5000/a/b", "latest"));
        assert_eq!(parts("localhost:5000/a/b:1.2"), ("localhost:5000/a/b", "1.2"));
        assert_eq!(parts("r.io/a@sha256:00"), ("r.io/a", "sha256:00"));
        assert_eq!((registry("postgres:16"), registry("bitnami/redis")), (DOCKER_HUB, DOCKER_HUB));
        assert_eq!((registry("localhost:5000/a"), registry("ghcr.io/a/b")), ("localhost:5000", "ghcr.io"));
    }

    #[test]
    fn progress_is_the_sum_of_layers() {
        let news = |id: &str, status: &str, current, total| CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: Some(ProgressDetail { current, total }),
            ..CreateImageInfo::default()
        };
        let mut progress = Progress::default();
        progress.add(news("16", "Pulling from library/postgres", None, None));
        progress.add(news("a", "Downloading", Some(10 << 20), Some(30 << 20)));
        progress.add(news("b", "Downloading", Some(5 << 20), Some(10 << 20)));
        assert_eq!(progress.words(), "15 of 40 MB");
        progress.add(news("b", "Download complete", None, None));
        assert_eq!(progress.words(), "20 of 40 MB");
    }
}
