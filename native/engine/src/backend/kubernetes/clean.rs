//! What is checked before a run, and removed after it.

use super::cluster::Cluster;
use super::spec::{self, Spec};
use super::{jobs, this_machine, trouble, within};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use kube::core::ApiResource;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use testfleet_protocol::Result;
use testfleet_protocol::kubernetes::KubernetesOptions;
use tokio::time::{Instant, sleep};

/// How long it is tried to remove what a run that has ended still has there.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(500);

impl Cluster {
    /// Whether the cluster would take the job of a run, as far as it says so without one.
    ///
    /// # Errors
    /// With what it says against it.
    pub async fn would_take(&self, options: &KubernetesOptions) -> Result<()> {
        let spec = Spec {
            options,
            run: "dry-run",
            image: "registry.invalid/tests:none",
            agent: "/agent",
            workers_total: 1,
            has_environment: false,
            debug_jvm: false,
            machine: "",
            folder: "",
        };
        let jobs = Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::erase::<Job>(&()));
        let what = format!("start workers in the namespace {} of {}", self.namespace, self.address);
        within(&what, jobs::post(&jobs, spec.job(1, 1, "")?, true)).await.map(drop)
    }

    /// Removes the jobs of a run with all that goes with them, except those that are to be kept.
    ///
    /// # Errors
    /// When the cluster does not say what there is, or refuses to remove it, for as long as it is tried.
    pub async fn remove_run(&self, run: &str) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.remove(&format!("{}={run}", spec::RUN), |_, _| true).await {
                // The API server may just be starting again, and nobody comes back to this run.
                Err(failure) if Instant::now() < until => tracing::info!("{failure}"),
                removed => return removed.map(drop),
            }
            sleep(AGAIN).await;
        }
    }

    /// Removes what runs of this machine left behind whose coordinator is dead, which `is_dead` says of a run's folder.
    /// Returns the ids of the runs.
    ///
    /// # Errors
    /// As for [`Cluster::remove_run`].
    pub async fn remove_dead_runs(&self, is_dead: impl Fn(&Path) -> bool) -> Result<BTreeSet<String>> {
        let own = this_machine();
        let label = format!("{}={}", spec::MANAGED_BY, spec::MANAGER);
        // A folder that is not there may be that of another container that looks like this machine.
        let is_over = |folder: &Path| folder.exists() && is_dead(folder);
        self.remove(&label, |machine, folder| machine == own && is_over(Path::new(folder))).await
    }

    async fn remove(&self, label: &str, mut is_over: impl FnMut(&str, &str) -> bool) -> Result<BTreeSet<String>> {
        let what = format!("remove what runs left in the namespace {}", self.namespace);
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut removed = BTreeSet::new();
        for job in within(&what, jobs.list(&ListParams::default().labels(label))).await? {
            let annotations = job.metadata.annotations.unwrap_or_default();
            let of = |name: &str| annotations.get(name).map(String::as_str).unwrap_or_default();
            let run = job.metadata.labels.unwrap_or_default().remove(spec::RUN);
            let (Some(name), Some(run)) = (job.metadata.name, run) else { continue };
            if annotations.contains_key(spec::KEEP) || !is_over(of(spec::MACHINE), of(spec::FOLDER)) {
                continue;
            }
            let deleted = async {
                match jobs.delete(&name, &DeleteParams::background()).await {
                    Err(error) if !trouble::is_gone(&error) => Err(error),
                    _ => Ok(()),
                }
            };
            within(&what, deleted).await?;
            removed.insert(run);
        }
        Ok(removed)
    }
}
