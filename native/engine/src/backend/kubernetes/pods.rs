//! The pods of a run as the cluster tells of them: one watch for all, and what waits for a change of one.

use super::ends::{Ended, PodView, Stage};
use super::spec::RUN;
use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Event as ClusterEvent, Pod};
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Events of a job that say that pods can't be made.
const CANNOT_MAKE: &str = "FailedCreate";

/// Which pod: several may have been there for one index, of which all but one have ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Id of its job.
    pub(super) job: String,
    /// Which of the job's.
    pub(super) index: u32,
}

/// The pods of one run. Dropping it ends the watches.
pub(super) struct Pods {
    known: Arc<Known>,
    watches: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Known {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// By name.
    pods: BTreeMap<String, PodView>,
    /// What the cluster last said of the job itself: a quota that is exceeded, a pod that is not allowed.
    trouble: Option<String>,
    /// How many agents ran at once at the most.
    most_running: usize,
    /// Whether all that were there at the beginning are known.
    complete: bool,
    /// Names that a list of all pods had so far.
    listed: Option<BTreeSet<String>>,
}

impl Pods {
    /// Follows the pods of a run.
    pub(super) fn follow(api: Api<Pod>, run: &str) -> Self {
        let known = Arc::new(Known::default());
        let mut watches = JoinSet::new();
        let of_run = watcher::Config::default().labels(&format!("{RUN}={run}"));
        watches.spawn(follow_pods(api, of_run, Arc::clone(&known)));
        Self { known, watches: Mutex::new(watches) }
    }

    /// Follows what the cluster says of one of the run's jobs.
    pub(super) fn follow_job(&self, api: Api<ClusterEvent>, job: &str) {
        let about_job =
            watcher::Config::default().fields(&format!("involvedObject.kind=Job,involvedObject.name={job}"));
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.spawn(follow_events(api, about_job, Arc::clone(&self.known)));
    }

    /// Waits until `look` finds something among the pods, by name; it is asked again after each change.
    pub(super) async fn until<T>(&self, mut look: impl FnMut(&BTreeMap<String, PodView>) -> Option<T>) -> T {
        // Subscribed first: what changes between the look and the wait is not missed.
        let mut changed = self.known.changed.subscribe();
        loop {
            {
                let state = self.known.lock();
                if let Some(found) = look(&state.pods) {
                    return found;
                }
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until a pod has ended.
    pub(super) async fn ended(&self, name: &str) -> Ended {
        self.until(|pods| match &pods.get(name)?.stage {
            Stage::Ended(ended) => Some(ended.clone()),
            _ => None,
        })
        .await
    }

    /// The pod in a place, as far as it is known.
    pub(super) fn look(&self, place: &Place) -> Option<PodView> {
        in_place(&self.known.lock().pods, place).cloned()
    }

    /// Waits until all pods are known that were there at the beginning.
    pub(super) async fn complete(&self) {
        let mut changed = self.known.changed.subscribe();
        while !self.known.lock().complete {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// How many agents run.
    pub(super) fn running(&self) -> usize {
        self.known.lock().running()
    }

    /// How many ran at once at the most.
    pub(super) fn most_running(&self) -> usize {
        self.known.lock().most_running
    }

    /// Where a pod is.
    pub(super) fn node_of(&self, name: &str) -> Option<String> {
        self.known.lock().pods.get(name)?.node.clone()
    }

    /// What the cluster last said of the job.
    pub(super) fn trouble(&self) -> Option<String> {
        self.known.lock().trouble.clone()
    }
}

/// The pod in a place: one that has not ended before one that has.
pub(super) fn in_place<'a>(pods: &'a BTreeMap<String, PodView>, place: &Place) -> Option<&'a PodView> {
    let rank = |pod: &&PodView| match pod.stage {
        Stage::Running => 0,
        Stage::Waiting(_) => 1,
        Stage::Ended(_) => 2,
    };
    pods.values().filter(|pod| pod.place == *place).min_by_key(rank)
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow_pods(api: Api<Pod>, of_job: watcher::Config, known: Arc<Known>) {
    // It never ends: what breaks is begun again, after a while that grows.
    let mut stream = watcher(api, of_job).default_backoff().boxed();
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => {
                known.lock().apply(event);
                known.changed.send_replace(());
            }
            Ok(None) => return,
            Err(error) => tracing::info!(%error, "the watch of the pods broke, and begins again"),
        }
    }
}

impl State {
    fn running(&self) -> usize {
        self.pods.values().filter(|pod| pod.stage == Stage::Running).count()
    }

    fn apply(&mut self, event: Event<Pod>) {
        match event {
            Event::Apply(pod) => self.is_there(&pod),
            Event::InitApply(pod) => {
                if let (Some(listed), Some(name)) = (&mut self.listed, &pod.metadata.name) {
                    listed.insert(name.clone());
                }
                self.is_there(&pod);
            }
            Event::Delete(pod) => {
                let name = pod.metadata.name.clone().unwrap_or_default();
                if let Some(view) = self.pods.remove(&name).or_else(|| PodView::of(&pod)) {
                    self.pods.insert(name, view.removed(Some(&pod)));
                }
            }
            Event::Init => self.listed = Some(BTreeSet::new()),
            Event::InitDone => {
                self.complete = true;
                let listed = self.listed.take().unwrap_or_default();
                for (name, view) in &mut self.pods {
                    if !listed.contains(name) {
                        *view = view.clone().removed(None);
                    }
                }
            }
        }
    }

    fn is_there(&mut self, pod: &Pod) {
        if let Some(view) = PodView::of(pod) {
            if matches!(view.stage, Stage::Running | Stage::Ended(_)) {
                // It is not so any more that none can be made.
                self.trouble = None;
            }
            // An end is an end, whatever comes late.
            let known = self.pods.entry(view.name.clone()).or_insert_with(|| view.clone());
            // While it tries again, a pod does not say what was in the way before.
            let says_less = matches!((&known.stage, &view.stage), (Stage::Waiting(Some(_)), Stage::Waiting(None)));
            if !matches!(known.stage, Stage::Ended(_)) && !says_less {
                *known = view;
            }
            self.most_running = self.most_running.max(self.running());
        }
    }
}

async fn follow_events(api: Api<ClusterEvent>, about_job: watcher::Config, known: Arc<Known>) {
    let mut stream = watcher(api, about_job).default_backoff().applied_objects().boxed();
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => {
                if event.reason.as_deref() == Some(CANNOT_MAKE)
                    && let Some(message) = event.message
                {
                    known.lock().trouble = Some(message);
                    known.changed.send_replace(());
                }
            }
            Ok(None) => return,
            // They only explain; without the permission it is done without.
            Err(error) => tracing::debug!(%error, "events of the job are not to be had"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, phase: &str) -> Pod {
        let state = match phase {
            "Running" => json!({ "running": {} }),
            "Succeeded" => json!({ "terminated": { "exitCode": 0 } }),
            _ => json!({}),
        };
        serde_json::from_value(json!({
            "metadata": { "name": name, "annotations": { "batch.kubernetes.io/job-completion-index": "0" },
                "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u" }] },
            "status": { "phase": phase, "containerStatuses": [{ "name": "worker", "image": "", "imageID": "", "ready": false,
                "restartCount": 0, "state": state }] },
        }))
        .unwrap()
    }

    fn stage(state: &State, name: &str) -> Stage {
        state.pods[name].stage.clone()
    }

    #[test]
    fn pods_that_a_new_list_lacks_are_gone() {
        let mut state = State::default();
        for event in
            [Event::Init, Event::InitApply(pod("a", "Running")), Event::InitApply(pod("b", "Running")), Event::InitDone]
        {
            state.apply(event);
        }
        state.apply(Event::Apply(pod("c", "Pending")));
        assert_eq!(stage(&state, "a"), Stage::Running);
        // The watch broke; meanwhile `b` went.
        for event in
            [Event::Init, Event::InitApply(pod("a", "Running")), Event::InitApply(pod("c", "Running")), Event::InitDone]
        {
            state.apply(event);
        }
        assert_eq!((stage(&state, "a"), stage(&state, "c")), (Stage::Running, Stage::Running));
        assert!(matches!(stage(&state, "b"), Stage::Ended(ended) if !ended.well));
    }

    #[test]
    fn an_end_stays_the_end() {
        let mut state = State::default();
        state.apply(Event::Apply(pod("a", "Succeeded")));
        state.apply(Event::Apply(pod("a", "Running")));
        state.apply(Event::Delete(pod("a", "Running")));
        assert!(matches!(stage(&state, "a"), Stage::Ended(ended) if ended.well));
        // One that was never heard of before.
        state.apply(Event::Delete(pod("b", "Running")));
        assert!(matches!(stage(&state, "b"), Stage::Ended(ended) if !ended.well));
    }

    #[test]
    fn why_a_pod_waits_is_remembered_while_it_tries_again() {
        let mut state = State::default();
        let mut waiting = pod("a", "Pending");
        waiting.status.as_mut().unwrap().container_statuses.as_mut().unwrap()[0].state =
            serde_json::from_value(json!({ "waiting": { "reason": "ErrImagePull", "message": "not found" } })).unwrap();
        state.apply(Event::Apply(waiting));
        state.apply(Event::Apply(pod("a", "Pending")));
        assert!(matches!(stage(&state, "a"), Stage::Waiting(Some(waiting)) if waiting.why.contains("not found")));
        state.apply(Event::Apply(pod("a", "Running")));
        assert_eq!(stage(&state, "a"), Stage::Running);
    }

    #[test]
    fn of_two_pods_in_a_place_the_one_that_lives_counts() {
        let mut state = State::default();
        let place = Place { job: "u".to_owned(), index: 0 };
        assert!(in_place(&state.pods, &place).is_none());
        for (name, phase) in [("a", "Succeeded"), ("b", "Pending")] {
            state.apply(Event::Apply(pod(name, phase)));
        }
        assert_eq!(in_place(&state.pods, &place).unwrap().name, "b");
        assert!(in_place(&state.pods, &Place { job: "v".to_owned(), index: 0 }).is_none());
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let known = Arc::new(Known::default());
        let pods = Pods { known: Arc::clone(&known), watches: Mutex::default() };
        let waits = tokio::spawn(async move { pods.ended("a").await });
        tokio::task::yield_now().await;
        for phase in ["Running", "Succeeded"] {
            known.lock().apply(Event::Apply(pod("a", phase)));
            known.changed.send_replace(());
        }
        assert!(waits.await.unwrap().well);
    }
}
