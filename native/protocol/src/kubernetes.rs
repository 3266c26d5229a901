//! What the user chose about workers in pods: `testfleet { kubernetes { } }`.

use crate::docker::Service;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `testfleet { kubernetes { } }`. Quantities are in Kubernetes' own notation: `500m`, `2Gi`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubernetesOptions {
    /// The file that says how the cluster is reached. `None`: `KUBECONFIG`, `~/.kube/config`, or the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it; `None` is its current one.
    pub context: Option<String>,
    /// `None` is the context's.
    pub namespace: Option<String>,
    /// What each worker asks of its node: `cpu`, `memory`, `ephemeral-storage`, ...
    pub requests: BTreeMap<String, String>,
    /// What it gets at the most.
    pub limits: BTreeMap<String, String>,
    /// Labels of nodes that are taken.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that are taken all the same.
    pub tolerations: Vec<Toleration>,
    /// Name of a priority class.
    pub priority_class: Option<String>,
    /// Name of a service account; its token does not reach tests.
    pub service_account: Option<String>,
    /// Names of secrets with logins of registries.
    pub pull_secrets: Vec<String>,
    /// Name of a runtime class.
    pub runtime_class: Option<String>,
    /// Labels of all that is made, besides ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the job and its pods.
    pub annotations: BTreeMap<String, String>,
    /// `1000` or `1000:1000`; `None` is the image's, which must be a number other than 0.
    pub user: Option<String>,
    /// Whether a worker can write to its temporary folder alone.
    pub read_only_root: bool,
    /// Whether nodes that can be taken away at any time are fine: their taints are tolerated, and pods end in time.
    pub preemptible: bool,
    /// How long a pod that has to go may take, in seconds; `None` is 30, and 15 for preemptible ones.
    pub termination_grace_seconds: Option<u32>,
    /// A pod template (YAML) that is merged over ours.
    pub pod_template: Option<PathBuf>,
    /// Kueue's queue, which starts the job when there is room.
    pub queue_name: Option<String>,
    /// How many workers have to be there within `start_timeout_ms`.
    pub min_workers: u32,
    /// How long pods may take to start, in milliseconds.
    pub start_timeout_ms: u64,
    /// After so many seconds the cluster ends the job, whatever becomes of the coordinator.
    pub deadline_seconds: u64,
    /// Whether job and pods stay when the run has ended, to be looked at.
    pub keep: bool,
    /// Containers that each worker has beside it, by name.
    pub services: BTreeMap<String, Service>,
}

impl Default for KubernetesOptions {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespace: None,
            requests: BTreeMap::new(),
            limits: BTreeMap::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class: None,
            service_account: None,
            pull_secrets: Vec::new(),
            runtime_class: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            user: None,
            read_only_root: false,
            preemptible: false,
            termination_grace_seconds: None,
            pod_template: None,
            queue_name: None,
            min_workers: 1,
            start_timeout_ms: 600_000,
            deadline_seconds: 86_400,
            keep: false,
            services: BTreeMap::new(),
        }
    }
}

impl KubernetesOptions {
    /// How long a pod that has to go may take, in seconds.
    pub fn grace_seconds(&self) -> u32 {
        // Spot machines of the large clouds are gone 25 to 30 s after they said so, and their nodes take a part of that.
        self.termination_grace_seconds.unwrap_or(if self.preemptible { 15 } else { 30 })
    }
}

/// A taint that is tolerated, as Kubernetes has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Of the taint; `None` is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `Equal` or `Exists`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Of the taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; `None` is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// How long a `NoExecute` taint is tolerated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<u64>,
}
