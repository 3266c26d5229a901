//! What is checked before a run, and removed after it.

use super::cluster::Cluster;
use super::spec;
use super::{jobs, this_machine, trouble, within};
use crate::backend::Sweep;
use jiff::Timestamp;
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
/// After so long nobody lets a job begin any more that its coordinator made.
const UNBEGUN: Duration = Duration::from_secs(600);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(500);

impl Cluster {
    /// Whether the cluster would take the job of a run, as far as it says so without one.
    ///
    /// # Errors
    /// With what it says against it.
    pub async fn would_take(&self, options: &KubernetesOptions) -> Result<()> {
        let spec = spec::dry_run(options);
        let jobs = Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::erase::<Job>(&()));
        let what = format!("start workers in the namespace {} of {}", self.namespace, self.address);
        within(&what, jobs::post(&jobs, spec.job(1, 1, "")?, true)).await.map(drop)
    }

    /// How to look at what stays of a run, and to remove it.
    pub fn kept(&self, run: &str) -> String {
        let (namespace, of_run) = (&self.namespace, format!("-l {}={run}", spec::RUN));
        format!(
            "The pods of run {run} stay, for 8 h as something to look into:\n    kubectl -n {namespace} get pods {of_run}\n    \
             kubectl -n {namespace} exec -it -c {} POD -- sh\nRemove them:\n    kubectl -n {namespace} delete jobs {of_run}",
            spec::KEPT
        )
    }

    /// Removes the jobs of a run with all that goes with them, except those that are to be kept.
    ///
    /// # Errors
    /// When the cluster does not say what there is, or refuses to remove it, for as long as it is tried.
    pub async fn remove_run(&self, run: &str) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.remove(&format!("{}={run}", spec::RUN), |job| !job.keep).await {
                // The API server may just be starting again, and nobody comes back to this run.
                Err(failure) if Instant::now() < until => tracing::info!("{failure}"),
                removed => return removed.map(drop),
            }
            sleep(AGAIN).await;
        }
    }

    /// Removes what runs left behind, as `sweep` says, and jobs of any machine whose coordinator died before it let them
    /// begin, which end by themselves never. Returns the ids of the runs.
    ///
    /// # Errors
    /// As for [`Cluster::remove_run`].
    pub async fn sweep(&self, sweep: &Sweep<'_>) -> Result<BTreeSet<String>> {
        let own = this_machine();
        let label = format!("{}={}", spec::MANAGED_BY, spec::MANAGER);
        // A folder that is not there may be that of another container that looks like this machine.
        let is_dead = |folder: &Path| folder.exists() && (sweep.is_dead)(folder);
        let unbegun = Sweep { older_than: Some(UNBEGUN), ..Sweep::of_dead(sweep.is_dead) };
        self.remove(&label, |job| {
            (sweep.kept || !job.keep)
                && (sweep.is_too_old(job.created)
                    || job.is_unbegun && unbegun.is_too_old(job.created)
                    || job.machine == own && is_dead(Path::new(&job.folder)))
        })
        .await
    }

    async fn remove(&self, label: &str, mut wanted: impl FnMut(&Left) -> bool) -> Result<BTreeSet<String>> {
        let what = format!("remove what runs left in the namespace {}", self.namespace);
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut removed = BTreeSet::new();
        let found = within(&what, jobs.list(&ListParams::default().labels(label))).await?;
        for job in found.into_iter().filter_map(Left::of).filter(|job| wanted(job)) {
            let all = DeleteParams::background();
            within(&what, async { trouble::unless_gone(jobs.delete(&job.name, &all).await) }).await?;
            removed.insert(job.run);
        }
        Ok(removed)
    }
}

/// A job that is there, and whose it is.
struct Left {
    name: String,
    run: String,
    machine: String,
    folder: String,
    keep: bool,
    /// It waits for its coordinator, not for a queue.
    is_unbegun: bool,
    created: Option<Timestamp>,
}

impl Left {
    fn of(job: Job) -> Option<Self> {
        let mut labels = job.metadata.labels.unwrap_or_default();
        let mut annotations = job.metadata.annotations.unwrap_or_default();
        let suspended = job.spec.and_then(|spec| spec.suspend).unwrap_or(false);
        Some(Self {
            name: job.metadata.name?,
            run: labels.remove(spec::RUN)?,
            machine: annotations.remove(spec::MACHINE).unwrap_or_default(),
            folder: annotations.remove(spec::FOLDER).unwrap_or_default(),
            keep: annotations.contains_key(spec::KEEP),
            is_unbegun: suspended && !labels.contains_key(spec::QUEUE),
            created: job.metadata.creation_timestamp.map(|time| time.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeCluster;
    use super::*;
    use serde_json::{Value, json};

    fn job(name: &str, minutes_ago: i64, machine: &str, folder: &str, change: impl Fn(&mut Value)) -> Value {
        let created = Timestamp::now() - jiff::SignedDuration::from_mins(minutes_ago);
        let mut job = json!({
            "metadata": {
                "name": format!("testfleet-{name}"), "creationTimestamp": created.to_string(),
                "labels": { spec::RUN: name, spec::MANAGED_BY: spec::MANAGER },
                "annotations": { spec::MACHINE: machine, spec::FOLDER: folder },
            },
            "spec": { "suspend": false, "template": {} },
        });
        change(&mut job);
        job
    }

    #[tokio::test]
    async fn what_is_left_goes_by_whose_it_is_and_by_age() {
        let (own, folder) = (this_machine(), tempfile::tempdir().unwrap());
        let folder = folder.path().to_str().unwrap();
        let suspended = |job: &mut Value| job["spec"]["suspend"] = json!(true);
        let queued = |job: &mut Value| {
            suspended(job);
            job["metadata"]["labels"][spec::QUEUE] = json!("ci");
        };
        let kept = |job: &mut Value| job["metadata"]["annotations"][spec::KEEP] = json!("true");
        let jobs = [
            job("dead", 1, &own, folder, |_| {}),
            job("kept", 1, &own, folder, kept),
            job("gone", 1, &own, "/nowhere", |_| {}),
            job("others", 90, "another", folder, |_| {}),
            job("unbegun", 30, "another", folder, suspended),
            job("begins", 1, "another", folder, suspended),
            job("queued", 30, "another", folder, queued),
        ];
        let listed = json!({ "kind": "JobList", "apiVersion": "batch/v1", "metadata": {}, "items": jobs });
        let hour = Duration::from_secs(3_600);
        let dead = |at: &Path| at == Path::new(folder);
        for (older_than, kept, expected) in [
            (None, false, vec!["dead", "unbegun"]),
            (None, true, vec!["dead", "kept", "unbegun"]),
            (Some(hour), false, vec!["dead", "others", "unbegun"]),
        ] {
            let listed = listed.to_string();
            let fake = FakeCluster::new(move |call| match call.method.as_str() {
                "GET" => (200, listed.clone()),
                _ => (200, r#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#.to_owned()),
            });
            let removed = fake.cluster().sweep(&Sweep { is_dead: &dead, older_than, kept }).await.unwrap();
            assert_eq!(removed.iter().map(String::as_str).collect::<Vec<_>>(), expected);
            let mut deleted: Vec<_> = fake.paths("DELETE");
            deleted.sort();
            let jobs = "/apis/batch/v1/namespaces/ci/jobs/testfleet-";
            assert_eq!(deleted, expected.iter().map(|run| format!("{jobs}{run}")).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn what_may_not_be_removed_is_told() {
        let fake = FakeCluster::new(|_| {
            (403, r#"{"kind":"Status","status":"Failure","code":403,"reason":"Forbidden","message":"no"}"#.to_owned())
        });
        let failure = fake.cluster().sweep(&Sweep::of_dead(&|_| true)).await.unwrap_err().to_string();
        assert!(failure.contains("docs/kubernetes.md"), "{failure}");
    }
}
