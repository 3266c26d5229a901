//! Whose containers and networks are: labels, and the removal of what nobody needs any more.

use super::elsewhere::LifeOf;
use super::host::Host;
use super::trouble;
use crate::backend::{Sweep, WorkerLife};
use bollard::models::{ContainerSummary, Network};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::future::join_all;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use testfleet_protocol::Result;

pub(super) const RUN: &str = "dev.testfleet.run";
pub(super) const WORKER: &str = "dev.testfleet.worker";
pub(super) const LIFE: &str = "dev.testfleet.life";
pub(super) const ROLE: &str = "dev.testfleet.role";
const MACHINE: &str = "dev.testfleet.machine";
const FOLDER: &str = "dev.testfleet.folder";
const KEEP: &str = "dev.testfleet.keep";

/// The role of the container in which a worker's agent is.
pub(super) const WORKER_ROLE: &str = "worker";

/// Whose something is.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    pub(super) run: String,
    /// The coordinator's machine.
    pub(super) machine: String,
    /// The run's folder there.
    pub(super) folder: PathBuf,
    /// Whether it stays after the run.
    pub(super) keep: bool,
}

impl Labels {
    pub(super) fn of(&self, life: WorkerLife, role: &str) -> HashMap<String, String> {
        let mut labels = HashMap::from([
            (RUN.to_owned(), self.run.clone()),
            (WORKER.to_owned(), life.worker.to_string()),
            (LIFE.to_owned(), life.life.to_string()),
            (ROLE.to_owned(), role.to_owned()),
            (MACHINE.to_owned(), self.machine.clone()),
            (FOLDER.to_owned(), self.folder.to_string_lossy().into_owned()),
        ]);
        if self.keep {
            labels.insert(KEEP.to_owned(), "true".to_owned());
        }
        labels
    }
}

/// Names this machine among those that may share a Docker. A machine that was cloned is told apart by its host name.
pub(crate) fn this_machine() -> String {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned());
    crate::hash::sha256(format!("{}@{host}", id.trim()).as_bytes()).chars().take(16).collect()
}

/// What is to be removed of all that Testfleet ever started.
pub(super) struct Found {
    pub(super) containers: Vec<ContainerSummary>,
    pub(super) networks: Vec<FoundNetwork>,
}

pub(super) struct FoundNetwork {
    id: String,
    pub(super) labels: HashMap<String, String>,
    /// As RFC 3339 has it.
    pub(super) created: Option<String>,
}

impl FoundNetwork {
    fn of(network: Network) -> Option<Self> {
        Some(Self { id: network.id?, labels: network.labels?, created: network.created })
    }
}

impl Host {
    /// Removes all containers and networks of a run, except those that are to be kept.
    ///
    /// # Errors
    /// When Docker does not say what there is. What can't be removed is logged.
    pub async fn remove_run(&self, run: &str) -> Result<()> {
        let found = self.find(&format!("{RUN}={run}")).await?;
        self.remove(found, |labels, _| !labels.contains_key(KEEP)).await;
        Ok(())
    }

    /// Removes what runs left behind, as `sweep` says. Of other machines' runs, what belongs to a worker is removed an hour
    /// after its end. Returns the ids of the runs.
    ///
    /// # Errors
    /// As for [`Host::remove_run`].
    pub async fn sweep(&self, sweep: &Sweep<'_>) -> Result<BTreeSet<String>> {
        let machine = this_machine();
        let found = self.find(RUN).await?;
        let is_others = |labels: &HashMap<String, String>| labels.get(MACHINE) != Some(&machine);
        let stays = |labels: &HashMap<String, String>| labels.contains_key(KEEP) && !sweep.kept;
        let over = self.over(&found, |labels| is_others(labels) && !stays(labels)).await;
        let mut asked: HashMap<String, bool> = HashMap::new();
        let is_over = |labels: &HashMap<String, String>, created: Option<Timestamp>| {
            if stays(labels) {
                return false;
            }
            if sweep.is_too_old(created) {
                return true;
            }
            if is_others(labels) {
                return over.contains(&LifeOf::of(labels));
            }
            let folder = labels.get(FOLDER).cloned().unwrap_or_default();
            *asked.entry(folder).or_insert_with_key(|folder| (sweep.is_dead)(Path::new(folder)))
        };
        Ok(self.remove(found, is_over).await)
    }

    async fn find(&self, label: &str) -> Result<Found> {
        let filters = HashMap::from([("label", vec![label])]);
        let doing = self.doing("list containers");
        let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let containers = self.docker.list_containers(Some(containers)).await;
        let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let networks = self.docker.list_networks(Some(networks)).await;
        let networks = networks.map_err(|error| trouble::failure(&doing, error))?;
        Ok(Found {
            containers: containers.map_err(|error| trouble::failure(&doing, error))?,
            networks: networks.into_iter().filter_map(FoundNetwork::of).collect(),
        })
    }

    /// Removes what is wanted by its labels and the time when it was made.
    async fn remove(
        &self,
        found: Found,
        mut wanted: impl FnMut(&HashMap<String, String>, Option<Timestamp>) -> bool,
    ) -> BTreeSet<String> {
        let mut runs = BTreeSet::new();
        let mut containers = Vec::new();
        for container in &found.containers {
            let (Some(id), Some(labels)) = (&container.id, &container.labels) else { continue };
            let created = container.created.and_then(|second| Timestamp::from_second(second).ok());
            if wanted(labels, created) {
                runs.extend(labels.get(RUN).cloned());
                containers.push(self.remove_container(id));
            }
        }
        join_all(containers).await;
        let mut networks = Vec::new();
        for FoundNetwork { id, labels, created } in &found.networks {
            let created = created.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
            if wanted(labels, created) {
                runs.extend(labels.get(RUN).cloned());
                networks.push(self.remove_network(id));
            }
        }
        join_all(networks).await;
        runs
    }

    /// Removes a container with its anonymous volumes, by force. One that is not there is fine.
    pub(super) async fn remove_container(&self, container: &str) {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        if let Err(error) = self.docker.remove_container(container, Some(options)).await
            && !trouble::is_gone(&error)
            && !trouble::is_conflict(&error)
        {
            tracing::warn!(container, %error, "failed to remove a container");
        }
    }

    /// Removes a network. One that is not there is fine.
    pub(super) async fn remove_network(&self, network: &str) {
        if let Err(error) = self.docker.remove_network(network).await
            && !trouble::is_gone(&error)
        {
            tracing::warn!(network, %error, "failed to remove a network");
        }
    }

    /// The container of a life of a worker, if it is running.
    pub(super) async fn find_worker(&self, run: &str, life: WorkerLife) -> Result<Option<String>> {
        let labels = [
            format!("{RUN}={run}"),
            format!("{WORKER}={}", life.worker),
            format!("{LIFE}={}", life.life),
            format!("{ROLE}={WORKER_ROLE}"),
        ];
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListContainersOptionsBuilder::default().filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await;
        let found = found.map_err(|error| trouble::failure(&self.doing("list containers"), error))?;
        Ok(found.into_iter().find_map(|container| container.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_run_worker_and_machine() {
        let mut labels = Labels { run: "r1".into(), machine: this_machine(), folder: "/b".into(), keep: false };
        let of = labels.of(WorkerLife { worker: 3, life: 2 }, "worker");
        assert_eq!((of[RUN].as_str(), of[WORKER].as_str(), of[LIFE].as_str()), ("r1", "3", "2"));
        assert_eq!(of[MACHINE].len(), 16);
        assert!(!of.contains_key(KEEP));
        labels.keep = true;
        assert!(labels.of(WorkerLife { worker: 1, life: 1 }, "network").contains_key(KEEP));
    }
}
