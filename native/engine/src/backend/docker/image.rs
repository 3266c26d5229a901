//! Images that workers and services are made of: whether Docker has them, loading, pulling.

use super::host::Host;
use super::load;
use super::trouble;
use crate::pace::Pace;
use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use testfleet_image::registry::{Login, Place, Reference, Secret, docker_login};
use testfleet_image::{Digest, layout};
use testfleet_protocol::docker::Pull;
use testfleet_protocol::image::{ImageRef, worker_tag};
use testfleet_protocol::{Failure, FailureCode, Result};

/// What workers' containers are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerImage {
    /// As Docker knows it, by worker: its id, or name and digest.
    pub references: BTreeMap<u32, String>,
    /// Path of the agent in it.
    pub agent: String,
}

impl WorkerImage {
    /// What the containers of a worker are made of.
    pub(super) fn of(&self, worker: u32) -> Result<&str> {
        self.references
            .get(&worker)
            .map(String::as_str)
            .ok_or_else(|| Failure::new(FailureCode::Internal, format!("failed to find the image of worker {worker}")))
    }
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

    /// Makes Docker have what containers of these workers are made of; returns what Docker calls it, by worker. Nothing is sent
    /// when it has it.
    ///
    /// # Errors
    /// When it is neither there nor to be had, or no image was made for one of the workers.
    pub async fn provide(
        &self,
        made: &ImageRef,
        workers: &[u32],
        pull: Pull,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<BTreeMap<u32, String>> {
        let own = |worker: u32| (!made.workers.is_empty()).then_some(worker);
        let wanted = workers.iter().map(|worker| own(*worker)).collect();
        let ids = self.provide_each(made, wanted, pull, say).await?;
        Ok(workers.iter().filter_map(|worker| Some((*worker, ids.get(&own(*worker))?.clone()))).collect())
    }

    /// Makes Docker have all images that were made together: that for all workers, and each worker's own.
    ///
    /// # Errors
    /// When one is neither there nor to be had.
    pub async fn provide_all(&self, made: &ImageRef, pull: Pull, say: &(dyn Fn(String) + Sync)) -> Result<()> {
        let wanted = std::iter::once(None).chain(made.workers.keys().map(|worker| Some(*worker))).collect();
        self.provide_each(made, wanted, pull, say).await.map(drop)
    }

    async fn provide_each(
        &self,
        made: &ImageRef,
        wanted: BTreeSet<Option<u32>>,
        pull: Pull,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<BTreeMap<Option<u32>, String>> {
        let (mut ids, mut missing) = (BTreeMap::new(), Vec::new());
        for worker in wanted {
            let one = One::of(made, worker)?;
            match self.id_of_made(made, &one).await? {
                Some(id) => drop(ids.insert(worker, id)),
                None => missing.push((worker, one)),
            }
        }
        if missing.is_empty() {
            return Ok(ids);
        }
        let images: Result<Vec<load::Wanted>> = missing.iter().map(|(_, one)| one.read(made)).collect();
        match images {
            // The layout lacks what never came from the registry.
            Err(_) if made.pushed && pull != Pull::Never => {
                for (_, one) in &missing {
                    self.pull(&one.in_registry(made), say).await?;
                }
            }
            images => load::load(self, images?, say).await?,
        }
        for (worker, one) in missing {
            let id = self.id_of_made(made, &one).await?.ok_or_else(|| {
                Failure::new(
                    FailureCode::WorkerBroken,
                    format!("failed to find the image {} in Docker at {}", one.in_registry(made), self.address),
                )
                .hint("make it anew: ./gradlew image")
            })?;
            ids.insert(worker, id);
        }
        Ok(ids)
    }

    /// Docker calls an image by its configuration, with containerd's store by its manifest; one that was pulled has a name
    /// with its digest.
    async fn id_of_made(&self, made: &ImageRef, one: &One) -> Result<Option<String>> {
        let pulled = made.pushed.then(|| one.in_registry(made));
        for id in one.config_digest.iter().chain([&one.digest.to_string()]).chain(&pulled) {
            if let Some(id) = self.id_of(id).await? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Pulls an image from its registry, with the login that Docker's own command would take.
    ///
    /// # Errors
    /// With a hint for what is known to go wrong; `InvalidRequest` when that is no image's name.
    pub async fn pull(&self, image: &str, say: &(dyn Fn(String) + Sync)) -> Result<()> {
        let reference = Reference::parse(image)?;
        let (name, wanted) = (reference.place.to_string(), reference.wanted());
        let options = CreateImageOptionsBuilder::default().from_image(&name).tag(wanted).build();
        let docker = self.patient();
        let mut news = docker.create_image(Some(options), None, self.login(&reference.place).await);
        let mut progress = Progress::default();
        let pace = Pace::new();
        say(format!("Pulling {image}"));
        while let Some(one) = news.next().await {
            progress.add(one.map_err(|error| trouble::failure(&self.doing(&format!("pull {image}")), error))?);
            if pace.is_due() {
                say(format!("Pulling {image}: {}", progress.words()));
            }
        }
        Ok(())
    }

    /// The login for a registry. Many images need none, so that one that can't be had is left to the registry to complain of.
    async fn login(&self, place: &Place) -> Option<DockerCredentials> {
        let login = match docker_login(self.docker_folder.as_deref()?, place).await {
            Ok(login) => login,
            Err(failure) => {
                tracing::warn!("{failure}");
                return None;
            }
        };
        let credentials =
            DockerCredentials { serveraddress: Some(place.docker_login().to_owned()), ..DockerCredentials::default() };
        let shown = |secret: &Secret| Some(secret.reveal().to_owned());
        match &login {
            Login::Anonymous => None,
            Login::Basic { user, password } => {
                Some(DockerCredentials { username: shown(user), password: shown(password), ..credentials })
            }
            Login::Identity(token) => Some(DockerCredentials { identitytoken: shown(token), ..credentials }),
            Login::Token(token) => Some(DockerCredentials { registrytoken: shown(token), ..credentials }),
        }
    }
}

/// One of the images that were made together.
struct One {
    /// Of its manifest.
    digest: Digest,
    /// Of its configuration, if that is still known here.
    config_digest: Option<String>,
    tags: Vec<String>,
}

impl One {
    /// That for all workers, or a worker's own.
    fn of(made: &ImageRef, worker: Option<u32>) -> Result<Self> {
        let Some(worker) = worker else {
            let config_digest = Some(made.config_digest.clone());
            return Ok(Self { digest: made.digest.parse()?, config_digest, tags: made.tags.clone() });
        };
        let digest: Digest = match made.workers.get(&worker) {
            Some(digest) => digest.parse()?,
            None => {
                return Err(Failure::new(
                    FailureCode::NoSuchWorker,
                    format!("failed to find an image for worker {worker}: there are {} of them", made.workers.len()),
                )
                .hint("make them anew, for as many workers as the plan has: ./gradlew image"));
            }
        };
        let image = layout::read(&made.layout, &digest).ok();
        let config_digest = image.map(|image| image.config.descriptor.digest().to_string());
        Ok(Self { digest, config_digest, tags: made.tags.iter().map(|tag| worker_tag(tag, worker)).collect() })
    }

    fn in_registry(&self, made: &ImageRef) -> String {
        format!("{}@{}", made.name, self.digest)
    }

    fn read(&self, made: &ImageRef) -> Result<load::Wanted> {
        let names = self.tags.iter().map(|tag| format!("{}:{tag}", made.name)).collect();
        Ok(load::Wanted { image: layout::read(&made.layout, &self.digest)?, names })
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
