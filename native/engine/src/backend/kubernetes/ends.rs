//! What a pod says of itself: why it waits, and how it ended.

use super::pods::Place;
use super::spec::WORKER;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition, PodStatus};
use testfleet_host::signal_in_words;

/// The annotation in which the cluster has a pod's index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What is known of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodView {
    pub(super) name: String,
    /// Of which job, and which of its pods.
    pub(super) place: Place,
    pub(super) node: Option<String>,
    pub(super) stage: Stage,
}

/// How far a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its worker has not started yet, and why, if it says so.
    Waiting(Option<Waiting>),
    /// Its agent runs.
    Running,
    /// Its agent has ended, or will never start: how.
    Ended(Ended),
}

/// Why a pod waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) why: String,
    /// Whether waiting can't help.
    pub(super) hopeless: bool,
}

/// How a pod ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// Completes "its agent ...".
    pub(super) how: String,
    /// Whether its agent ended by itself, and well.
    pub(super) well: bool,
}

impl PodView {
    /// `None` for a pod that is of no job of ours.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let annotations = pod.metadata.annotations.as_ref()?;
        let owner = pod.metadata.owner_references.iter().flatten().find(|owner| owner.kind == "Job")?;
        let status = pod.status.clone().unwrap_or_default();
        Some(Self {
            name: pod.metadata.name.clone()?,
            place: Place { job: owner.uid.clone(), index: annotations.get(INDEX)?.parse().ok()? },
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            stage: stage(&status, memory_limit(pod).as_deref()),
        })
    }

    /// The same pod after it was removed; it may have said before why it would be.
    pub(super) fn removed(mut self, last: Option<&Pod>) -> Self {
        if !matches!(self.stage, Stage::Ended(_)) {
            let status = last.and_then(|pod| pod.status.clone()).unwrap_or_default();
            let how = disruption(&status).unwrap_or_else(|| "was removed from outside".to_owned());
            self.stage = Stage::Ended(Ended { how, well: false });
        }
        self
    }
}

fn memory_limit(pod: &Pod) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    let worker = containers.iter().find(|container| container.name == WORKER)?;
    worker.resources.as_ref()?.limits.as_ref()?.get("memory").map(|quantity| quantity.0.clone())
}

fn stage(status: &PodStatus, limit: Option<&str>) -> Stage {
    let worker = status.container_statuses.iter().flatten().find(|container| container.name == WORKER);
    let state = worker.and_then(|worker| worker.state.as_ref());
    if let Some(terminated) = state.and_then(|state| state.terminated.as_ref()) {
        let well = terminated.exit_code == 0;
        let by_itself = || exit_in_words(terminated.exit_code, terminated.reason.as_deref(), limit);
        // Also one that gave back what it had, and ended well, ended because the cluster wanted it.
        let how = disruption(status).unwrap_or_else(by_itself);
        return Stage::Ended(Ended { how, well });
    }
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        let how = disruption(status).or_else(|| init_failure(status)).unwrap_or_else(|| {
            let told = [status.reason.as_deref(), status.message.as_deref()].into_iter().flatten().collect::<Vec<_>>();
            if told.is_empty() { "never started".to_owned() } else { format!("was ended: {}", told.join(": ")) }
        });
        return Stage::Ended(Ended { how, well: false });
    }
    if state.is_some_and(|state| state.running.is_some()) {
        return Stage::Running;
    }
    Stage::Waiting(waiting(status))
}

/// The cluster itself ends it.
fn disruption(status: &PodStatus) -> Option<String> {
    let told = |condition: &PodCondition| match condition.message.as_deref() {
        Some(message) if !message.is_empty() => format!(": {}", message.trim_end_matches('.')),
        _ => String::new(),
    };
    let condition = condition(status, "DisruptionTarget").filter(|condition| condition.status == "True");
    if let Some(condition) = condition {
        let why = told(condition);
        return Some(match condition.reason.as_deref() {
            Some("PreemptionByScheduler") => format!("made room for a pod of higher priority{why}"),
            Some("EvictionByEvictionAPI") => format!("was evicted{why}"),
            Some("DeletionByTaintManager") => format!("was taken off its node, which has a taint{why}"),
            Some("DeletionByPodGC") => format!("is lost: its node is gone{why}"),
            Some("TerminationByKubelet") => match status.message.as_deref() {
                Some(message) => format!("was ended by its node: {message}"),
                None => format!("was ended by its node{why}"),
            },
            reason => format!("was ended by the cluster: {}{why}", reason.unwrap_or("for no reason that it gives")),
        });
    }
    match (status.reason.as_deref(), status.message.as_deref()) {
        (Some("Evicted"), message) => {
            Some(format!("was evicted by its node: {}", message.unwrap_or("no reason given")))
        }
        (Some("NodeLost"), _) => Some("is lost: its node does not answer".to_owned()),
        _ => None,
    }
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn init_failure(status: &PodStatus) -> Option<String> {
    let failed = |container: &ContainerStatus| {
        let terminated = container.state.as_ref()?.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
        let how = exit_in_words(terminated.exit_code, terminated.reason.as_deref(), None);
        let told = terminated.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        Some(format!("never started: the container {} {how}{told}", container.name))
    };
    status.init_container_statuses.iter().flatten().find_map(failed)
}

fn exit_in_words(code: i32, reason: Option<&str>, limit: Option<&str>) -> String {
    if reason == Some("OOMKilled") {
        let what = match limit {
            Some(limit) => format!("its container used more than its {limit} of memory"),
            None => "its node had no memory left".to_owned(),
        };
        let way = "raise testfleet { kubernetes { requests and limits } }, or lower maxHeapSize of the Test task";
        return format!("was killed for lack of memory: {what} ({way})");
    }
    match code {
        129..=159 => format!("was killed by {}", signal_in_words(code - 128)),
        _ => format!("ended with exit code {code}"),
    }
}

/// Why its worker does not start.
fn waiting(status: &PodStatus) -> Option<Waiting> {
    if let Some(scheduled) = condition(status, "PodScheduled").filter(|condition| condition.status == "False") {
        let why = scheduled.message.clone().or(scheduled.reason.clone())?;
        return Some(Waiting { why: format!("no node takes it: {why}"), hopeless: false });
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers.filter_map(|container| of_container(&container.name, container.state.as_ref()?)).next()
}

fn of_container(name: &str, state: &ContainerState) -> Option<Waiting> {
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    let (what, hopeless) = match reason {
        "PodInitializing" | "ContainerCreating" => return None,
        "ErrImagePull" | "ImagePullBackOff" => ("its image can't be pulled", false),
        "InvalidImageName" | "ErrImageNeverPull" => ("its image can't be had", true),
        // Most reasons pass by themselves: a secret that is not there yet, a runtime that is slow.
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            ("it can't be made", message.contains("runAsNonRoot") || message.contains("non-root"))
        }
        "CrashLoopBackOff" => ("it ends again and again", false),
        other => (other, false),
    };
    Some(Waiting { why: format!("{what} (container {name}): {message}"), hopeless })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "p", "annotations": { INDEX: "3" },
                "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u" }] },
            "spec": { "nodeName": "n1", "containers": [{ "name": WORKER, "resources": { "limits": { "memory": "2Gi" } } }] },
            "status": status,
        }))
        .unwrap()
    }

    fn staged(status: Value) -> Stage {
        let view = PodView::of(&pod(status)).unwrap();
        assert_eq!((view.place, view.node.as_deref()), (Place { job: "u".into(), index: 3 }, Some("n1")));
        view.stage
    }

    fn ended(status: Value) -> (String, bool) {
        match staged(status) {
            Stage::Ended(ended) => (ended.how, ended.well),
            other => panic!("{other:?}"),
        }
    }

    fn terminated(code: i32, reason: &str) -> Value {
        json!([{ "name": WORKER, "image": "", "imageID": "", "ready": false, "restartCount": 0,
                 "state": { "terminated": { "exitCode": code, "reason": reason } } }])
    }

    #[test]
    fn the_real_reason_of_an_end_is_told() {
        assert_eq!(
            ended(json!({ "phase": "Succeeded", "containerStatuses": terminated(0, "Completed") })),
            ("ended with exit code 0".to_owned(), true)
        );
        let (how, _) = ended(json!({ "phase": "Failed", "containerStatuses": terminated(137, "OOMKilled") }));
        assert!(how.starts_with("was killed for lack of memory: its container used more than its 2Gi"), "{how}");
        assert_eq!(
            ended(json!({ "phase": "Failed", "containerStatuses": terminated(137, "Error") })).0,
            "was killed by signal 9 (SIGKILL)"
        );
        let target = |reason: &str, message: &str| {
            json!({ "phase": "Failed", "containerStatuses": terminated(143, "Error"), "conditions": [
                { "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message }] })
        };
        for (reason, message, how) in [
            (
                "PreemptionByScheduler",
                "preempting to accommodate a higher priority pod",
                "made room for a pod of higher priority: preempting",
            ),
            ("EvictionByEvictionAPI", "", "was evicted"),
            ("DeletionByPodGC", "", "is lost: its node is gone"),
            ("DeletionByTaintManager", "", "was taken off its node"),
            ("Other", "x.", "was ended by the cluster: Other: x"),
        ] {
            let (told, well) = ended(target(reason, message));
            assert!(told.starts_with(how) && !well, "{told}");
        }
        let (how, _) = ended(
            json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory." }),
        );
        assert!(how.contains("low on resource: memory"), "{how}");
        let (how, _) = ended(json!({ "phase": "Failed", "reason": "DeadlineExceeded", "message": "too long" }));
        assert_eq!(how, "was ended: DeadlineExceeded: too long");
    }

    #[test]
    fn who_ended_well_because_it_had_to_go_says_so() {
        let status = json!({ "containerStatuses": terminated(0, "Completed"), "conditions": [
            { "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI" }] });
        assert_eq!(ended(status), ("was evicted".to_owned(), true));
    }

    #[test]
    fn a_removed_pod_keeps_its_reason() {
        let running = json!({ "phase": "Running", "containerStatuses": [{ "name": WORKER, "image": "", "imageID": "",
            "ready": true, "restartCount": 0, "state": { "running": {} } }] });
        assert_eq!(staged(running.clone()), Stage::Running);
        let view = PodView::of(&pod(running.clone())).unwrap();
        let mut evicted = running;
        evicted["conditions"] =
            json!([{ "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI" }]);
        let Stage::Ended(ended) = view.clone().removed(Some(&pod(evicted))).stage else { panic!() };
        assert_eq!(ended.how, "was evicted");
        let Stage::Ended(ended) = view.removed(None).stage else { panic!() };
        assert_eq!(ended.how, "was removed from outside");
    }

    #[test]
    fn why_a_pod_waits() {
        let waiting = |status| match staged(status) {
            Stage::Waiting(waiting) => waiting,
            other => panic!("{other:?}"),
        };
        assert_eq!(waiting(json!({ "phase": "Pending" })), None);
        let no_node = waiting(json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/2 nodes are available: 2 Insufficient cpu." }] }));
        assert!(no_node.unwrap().why.contains("2 Insufficient cpu"));
        let container = |reason: &str| {
            json!({ "phase": "Pending", "initContainerStatuses": [{ "name": "credentials", "image": "", "imageID": "", "ready": false,
                "restartCount": 0, "state": { "waiting": { "reason": reason, "message": "m" } } }] })
        };
        assert_eq!(waiting(container("PodInitializing")), None);
        assert!(
            waiting(container("ImagePullBackOff"))
                .is_some_and(|waiting| !waiting.hopeless && waiting.why.contains("can't be pulled"))
        );
        assert!(waiting(container("InvalidImageName")).is_some_and(|waiting| waiting.hopeless));
    }

    #[test]
    fn a_service_that_fails_is_named() {
        let (how, _) = ended(
            json!({ "phase": "Failed", "initContainerStatuses": [{ "name": "credentials", "image": "", "imageID": "",
            "ready": false, "restartCount": 0, "state": { "terminated": { "exitCode": 1, "message": "no" } } }] }),
        );
        assert_eq!(how, "never started: the container credentials ended with exit code 1: no");
    }
}
