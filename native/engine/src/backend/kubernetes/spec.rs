//! What is made in the cluster for a run, as its API takes it: one job, and secrets that go with it.

use super::services::{addresses, sidecar};
use super::template;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use testfleet_protocol::Result;
use testfleet_protocol::kubernetes::KubernetesOptions;

pub(super) const RUN: &str = "dev.testfleet/run";
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "testfleet";
/// Annotations: whose coordinator it is, and which pods are later lives of which workers.
pub(super) const MACHINE: &str = "dev.testfleet/machine";
pub(super) const FOLDER: &str = "dev.testfleet/folder";
pub(super) const LIVES: &str = "dev.testfleet/lives";
/// Annotation of a job and its pods: which of the run's jobs it is.
pub(super) const NUMBER: &str = "dev.testfleet/job";
pub(super) const KEEP: &str = "dev.testfleet/keep";
/// Kueue's label.
pub(super) const QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// The container in which a worker's agent is.
pub(super) const WORKER: &str = "worker";
/// Where agents listen, on the loopback interface of their pods.
pub(super) const PORT: u16 = 17_417;
/// The document in the secret, and in the folder that the agent takes it out of.
pub(super) const CREDENTIALS: &str = "credentials";
const MOUNTED: &str = "/testfleet-secret";
const TAKEN_FROM: &str = "/testfleet-credentials";
/// The container of a pod that is kept, and how long it goes on.
pub(super) const KEPT: &str = "kept";
const KEPT_SECONDS: u32 = 8 * 3_600;
/// A worker's own folder.
const TEMP: &str = "/tmp/testfleet/worker";
/// How long a job that has ended stays, when no coordinator removes it, in seconds.
const TTL: u32 = 3_600;
/// What an agent needs beyond its own grace to hand back what it has, in seconds.
const HANDING_BACK: u32 = 5;

/// What a run's objects are made of.
pub(super) struct Spec<'a> {
    pub(super) options: &'a KubernetesOptions,
    pub(super) run: &'a str,
    /// Name and digest.
    pub(super) image: &'a str,
    /// Path of the agent in it.
    pub(super) agent: &'a str,
    /// Workers of the plan.
    pub(super) workers_total: u32,
    /// Whether there are variables in a secret.
    pub(super) has_environment: bool,
    pub(super) debug_jvm: bool,
    pub(super) machine: &'a str,
    pub(super) folder: &'a str,
}

/// What a run of these options would make, to ask whether it would be taken.
pub(super) fn dry_run(options: &KubernetesOptions) -> Spec<'_> {
    Spec {
        options,
        run: "dry-run",
        image: "registry.invalid/tests:none",
        agent: "/agent",
        workers_total: 1,
        has_environment: false,
        debug_jvm: false,
        machine: "",
        folder: "",
    }
}

/// The name of a run's first job, and the beginning of those of all else.
pub(super) fn name(run: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    // Names of pods add an index and six characters, and have 63 at the most.
    let run: String = run.chars().map(plain).take(40).collect();
    format!("testfleet-{}", run.trim_end_matches('-'))
}

/// The name of one of a run's jobs, and the beginning of those of its pods.
pub(super) fn job_name(run: &str, job: u32) -> String {
    if job == 1 { name(run) } else { format!("{}-{job}", name(run)) }
}

/// Name of the secret of a job with this in it.
pub(super) fn secret_name(run: &str, job: u32, kind: &str) -> String {
    format!("{}-{kind}", job_name(run, job))
}

impl Spec<'_> {
    fn labels(&self) -> Map<String, Value> {
        let mut labels: Map<String, Value> =
            self.options.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        labels.insert(MANAGED_BY.to_owned(), json!(MANAGER));
        labels.insert(RUN.to_owned(), json!(self.run));
        labels
    }

    /// A job of so many pods, suspended: its secrets are made once it is there, so that they go with it.
    ///
    /// # Errors
    /// For services that pods can't have, and a template that is none.
    pub(super) fn job(&self, number: u32, pods: u32, lives: &str) -> Result<Value> {
        let mut labels = self.labels();
        if let Some(queue) = &self.options.queue_name {
            labels.insert(QUEUE.to_owned(), json!(queue));
        }
        let mut annotations: Map<String, Value> =
            self.options.annotations.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        annotations.insert(NUMBER.to_owned(), json!(number.to_string()));
        let template = self.template(number, Value::Object(annotations.clone()))?;
        annotations.insert(MACHINE.to_owned(), json!(self.machine));
        annotations.insert(FOLDER.to_owned(), json!(self.folder));
        annotations.insert(LIVES.to_owned(), json!(lives));
        if self.options.keep {
            annotations.insert(KEEP.to_owned(), json!("true"));
        }
        let mut job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": job_name(self.run, number), "labels": labels, "annotations": annotations },
            "spec": {
                "suspend": true,
                "completionMode": "Indexed",
                "completions": pods,
                "parallelism": pods,
                // A pod that failed is not made again: another life of its worker is another index, without the back-off.
                "backoffLimitPerIndex": 0,
                "activeDeadlineSeconds": self.options.deadline_seconds,
                "template": template,
            },
        });
        if !self.options.keep {
            job["spec"]["ttlSecondsAfterFinished"] = json!(TTL);
        }
        Ok(job)
    }

    /// A pod as the job's controller would make it.
    ///
    /// # Errors
    /// As for [`Spec::job`].
    pub(super) fn pod(&self) -> Result<Value> {
        let mut pod = self.template(1, json!({}))?;
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!(name(self.run));
        Ok(pod)
    }

    fn template(&self, number: u32, annotations: Value) -> Result<Value> {
        let options = self.options;
        let grace = options.grace_seconds();
        let mut init = vec![self.hand_over()];
        for (name, service) in &options.services {
            init.push(sidecar(name, service)?);
        }
        let mut tolerations: Vec<Value> = options.tolerations.iter().map(|toleration| json!(toleration)).collect();
        if options.preemptible {
            tolerations.extend(spot_tolerations());
        }
        let worker = self.worker(number, grace.saturating_sub(HANDING_BACK).max(1));
        let kept = options.keep.then(|| self.kept(&worker));
        let containers: Vec<Value> = [worker].into_iter().chain(kept).collect();
        let mut pod = json!({
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": grace,
            "initContainers": init,
            "containers": containers,
            "volumes": [
                { "name": "secret", "secret": { "secretName": secret_name(self.run, number, CREDENTIALS), "defaultMode": 0o444 } },
                { "name": "credentials", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
                { "name": "tmp", "emptyDir": {} },
            ],
        });
        let mut set =
            |name: &str, value: Value| drop(pod.as_object_mut().map(|pod| pod.insert(name.to_owned(), value)));
        if !tolerations.is_empty() {
            set("tolerations", json!(tolerations));
        }
        if !options.node_selector.is_empty() {
            set("nodeSelector", json!(options.node_selector));
        }
        for (name, value) in [
            ("priorityClassName", &options.priority_class),
            ("serviceAccountName", &options.service_account),
            ("runtimeClassName", &options.runtime_class),
        ] {
            if let Some(value) = value {
                set(name, json!(value));
            }
        }
        if !options.pull_secrets.is_empty() {
            set("imagePullSecrets", options.pull_secrets.iter().map(|name| json!({ "name": name })).collect());
        }
        if !options.services.is_empty() {
            let names: Vec<&String> = options.services.keys().collect();
            set("hostAliases", json!([{ "ip": "127.0.0.1", "hostnames": names }]));
        }
        let mut template = json!({ "metadata": { "labels": self.labels(), "annotations": annotations }, "spec": pod });
        if let Some(file) = &options.pod_template {
            template::merge(&mut template, template::read(file)?);
        }
        Ok(template)
    }

    /// Copies the credentials from their secret, which tests could read, to where the agent takes them away.
    fn hand_over(&self) -> Value {
        let from = format!("{MOUNTED}/{CREDENTIALS}");
        json!({
            "name": "credentials",
            "image": self.image,
            "command": [self.agent, "hand-over", from, format!("{TAKEN_FROM}/{CREDENTIALS}")],
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
            "securityContext": self.security(),
            "volumeMounts": [
                { "name": "secret", "mountPath": MOUNTED, "readOnly": true },
                { "name": "credentials", "mountPath": TAKEN_FROM },
            ],
        })
    }

    /// A worker of an image whose entry point is the agent.
    fn worker(&self, number: u32, grace: u32) -> Value {
        let options = self.options;
        let mut arguments: Vec<String> = [
            "--worker",
            "0",
            "--workers",
            &self.workers_total.to_string(),
            "--temp",
            TEMP,
            "--listen",
            &format!("127.0.0.1:{PORT}"),
            "--credentials",
            &format!("{TAKEN_FROM}/{CREDENTIALS}"),
            "--grace",
            &grace.to_string(),
            "--tell-usage",
        ]
        .map(str::to_owned)
        .into();
        if self.debug_jvm {
            arguments.push("--debug-jvm".to_owned());
        }
        let field =
            |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
        let mut environment = vec![field("TESTFLEET_NODE", "spec.nodeName")];
        for (name, value) in addresses(&options.services) {
            environment.push(json!({ "name": name, "value": value }));
        }
        let mut worker = json!({
            "name": WORKER,
            "image": self.image,
            "args": arguments,
            "env": environment,
            "securityContext": self.security(),
            "volumeMounts": [
                { "name": "credentials", "mountPath": TAKEN_FROM },
                { "name": "tmp", "mountPath": "/tmp" },
            ],
        });
        if !options.requests.is_empty() || !options.limits.is_empty() {
            worker["resources"] = json!({ "requests": options.requests, "limits": options.limits });
        }
        if self.has_environment {
            worker["envFrom"] = json!([{ "secretRef": { "name": secret_name(self.run, number, "environment") } }]);
        }
        worker
    }

    /// What stays of a pod that is kept: nothing can be started in a container that has ended, so this one, which has the
    /// worker's image, variables and volumes, goes on.
    fn kept(&self, worker: &Value) -> Value {
        let mut kept = worker.clone();
        kept["name"] = json!(KEPT);
        kept["command"] = json!([self.agent, "hold", "--seconds", KEPT_SECONDS.to_string()]);
        kept["args"] = json!([]);
        // It takes next to nothing, and no graphics card; a quota may ask for limits.
        let is_plain = |(name, _): &(&String, &String)| matches!(name.as_str(), "cpu" | "memory");
        let limits: BTreeMap<_, _> = self.options.limits.iter().filter(is_plain).collect();
        kept["resources"] = json!({ "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": limits });
        kept["volumeMounts"] = json!([{ "name": "tmp", "mountPath": "/tmp" }]);
        kept
    }

    /// What the restricted standard of pod security asks for.
    fn security(&self) -> Value {
        let mut security = json!({
            "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": self.options.read_only_root,
            "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        });
        let (user, group) = match self.options.user.as_deref().map(|user| user.split_once(':').unwrap_or((user, user)))
        {
            None => return security,
            Some(ids) => ids,
        };
        for (name, id) in [("runAsUser", user), ("runAsGroup", group)] {
            if let Ok(id) = id.parse::<u32>() {
                security[name] = json!(id);
            }
        }
        security
    }

    /// A secret that goes with the job of this number and id. `data` is in base64.
    pub(super) fn secret(&self, number: u32, kind: &str, uid: &str, data: &BTreeMap<String, String>) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": secret_name(self.run, number, kind),
                "labels": self.labels(),
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": job_name(self.run, number), "uid": uid,
                    "blockOwnerDeletion": false,
                }],
            },
            "immutable": true,
            "data": data,
        })
    }
}

/// Taints of machines that can be taken away, of clouds that have them.
fn spot_tolerations() -> Vec<Value> {
    [
        ("cloud.google.com/gke-spot", "true"),
        ("cloud.google.com/gke-preemptible", "true"),
        ("kubernetes.azure.com/scalesetpriority", "spot"),
    ]
    .map(|(key, value)| json!({ "key": key, "operator": "Equal", "value": value, "effect": "NoSchedule" }))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::docker::Service;

    fn with(options: &KubernetesOptions) -> Spec<'_> {
        Spec {
            options,
            run: "20261130T234500123Z-ab12",
            image: "registry.example/app@sha256:1",
            agent: "/testfleet/agent/testfleet-agent",
            workers_total: 4,
            has_environment: false,
            debug_jvm: false,
            machine: "m",
            folder: "/b/runs/r1",
        }
    }

    #[test]
    fn a_plain_job() {
        let options = KubernetesOptions::default();
        insta::assert_snapshot!(
            serde_json::to_string_pretty(&with(&options).job(1, 4, "1.1=0 2.1=1 3.1=2 4.1=3").unwrap()).unwrap()
        );
    }

    #[test]
    fn a_job_with_everything() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pod.yaml");
        std::fs::write(
            &file,
            "spec:\n  schedulerName: mine\n  containers: [{name: worker, env: [{name: A, value: b}]}]\n",
        )
        .unwrap();
        let pairs = |text: &str| {
            text.split(',').filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
        };
        let postgres: Service = serde_json::from_str(
            r#"{"image":"postgres:16","environment":{"POSTGRES_PASSWORD":"x"},"port":5432,"readyWithinMs":30000}"#,
        )
        .unwrap();
        let toleration = serde_json::from_str(r#"{"key":"ci","operator":"Exists"}"#).unwrap();
        let options = KubernetesOptions {
            requests: pairs("cpu=1,memory=2Gi"),
            limits: pairs("memory=2Gi"),
            node_selector: pairs("pool=ci"),
            tolerations: vec![toleration],
            priority_class: Some("low".into()),
            service_account: Some("tests".into()),
            pull_secrets: vec!["login".into()],
            runtime_class: Some("gvisor".into()),
            labels: pairs("team=a"),
            annotations: pairs("note=b"),
            user: Some("1000".into()),
            read_only_root: true,
            preemptible: true,
            pod_template: Some(file),
            queue_name: Some("ci".into()),
            keep: true,
            services: BTreeMap::from([("my-db".to_owned(), postgres)]),
            ..KubernetesOptions::default()
        };
        let spec = Spec { has_environment: true, debug_jvm: true, ..with(&options) };
        let mut job = spec.job(2, 1, "1.3=0").unwrap();
        job["metadata"]["annotations"][FOLDER] = json!("-");
        insta::assert_snapshot!(serde_json::to_string_pretty(&job).unwrap());
    }

    #[test]
    fn a_secret_goes_with_its_job() {
        let options = KubernetesOptions::default();
        let data = BTreeMap::from([("credentials".to_owned(), "x".to_owned())]);
        let secret = with(&options).secret(2, "credentials", "u-1", &data);
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "u-1");
        assert_eq!(secret["metadata"]["ownerReferences"][0]["name"], "testfleet-20261130t234500123z-ab12-2");
        assert_eq!(secret["metadata"]["name"], "testfleet-20261130t234500123z-ab12-2-credentials");
    }

    #[test]
    fn names_are_short_enough_for_pods() {
        let name = name(&"X_".repeat(60));
        assert!(
            name.len() + "-10-9999-abcde".len() <= 63 && name.ends_with(|c: char| c.is_ascii_alphanumeric()),
            "{name}"
        );
    }
}
