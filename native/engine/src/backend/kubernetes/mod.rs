//! Workers as pods of a Kubernetes cluster, which does the scheduling.
//!
//! A run is one indexed job. Agents listen on the loopback interface of their pods and are reached by port-forwards through
//! the API server, with TLS inside. All agents are started alike: the first coordinator that dials says which worker it is.
//! Pods outlive their coordinator until `orphanTimeout`; another that takes the run over finds them by the job's annotation.

mod clean;
mod cluster;
mod doctor;
mod ends;
#[cfg(test)]
mod fake;
mod jobs;
mod line;
mod lives;
mod pods;
mod services;
mod spec;
mod template;
mod trouble;
mod worker;

pub use cluster::Cluster;
pub use doctor::{Looked, Outcome};

use super::docker::this_machine;
use super::{Backend, BoxFuture, Connection, Line, WorkerLife};
use ends::{PodView, Stage};
use jobs::Jobs;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use line::NoLine;
use pods::{Place, Pods};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use testfleet_protocol::kubernetes::KubernetesOptions;
use testfleet_protocol::run_options::ConnectionOptions;
use testfleet_protocol::{Failure, FailureCode, Result};
use testfleet_wire::Backoff;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use worker::PodProcess;

/// After so long it is told why a pod does not start.
const TELL_AFTER: Duration = Duration::from_secs(10);
/// How long one call to the cluster may take.
const CALL: Duration = Duration::from_secs(30);
/// How long the first list of pods may take.
const FIRST_LOOK: Duration = Duration::from_secs(30);

/// What workers in pods need. There is no `Debug`: the environment holds secrets.
pub struct KubernetesConfig {
    /// The cluster.
    pub cluster: Cluster,
    /// What the user chose.
    pub options: KubernetesOptions,
    /// What pods are made of: name and digest.
    pub image: String,
    /// Path of the agent in it.
    pub agent: String,
    /// Names the run.
    pub run: String,
    /// Its folder, whose lock says whether its coordinator lives.
    pub run_dir: PathBuf,
    /// How many workers the plan has.
    pub workers_total: u32,
    /// Variables that workers get. Never written or logged here.
    pub environment: BTreeMap<String, String>,
    /// Leases and patience.
    pub connection: ConnectionOptions,
    /// Suspend each test JVM until a debugger attaches to port 5005 of its pod.
    pub debug_jvm: bool,
    /// Tells the user of what keeps pods from starting.
    pub say: Arc<dyn Fn(String) + Send + Sync>,
}

/// Starts agents in pods.
pub struct KubernetesBackend {
    shared: Arc<Shared>,
}

/// What the backend and its workers' processes share.
struct Shared {
    config: KubernetesConfig,
    machine: String,
    folder: String,
    jobs: Jobs,
    pods: Pods,
    /// Names of pods by life.
    reached: Mutex<HashMap<WorkerLife, String>>,
    /// When the first worker was wanted.
    first_start: OnceLock<Instant>,
    /// Why there were too few by the end of its time.
    why_too_few: OnceLock<String>,
    /// What was told already.
    told: Mutex<HashSet<String>>,
}

impl KubernetesBackend {
    /// A backend for one run, which takes over what an earlier coordinator of it left in the cluster.
    ///
    /// # Errors
    /// When the cluster refuses to say what there is.
    pub async fn open(config: KubernetesConfig) -> Result<Self> {
        let pods = Api::namespaced(config.cluster.client.clone(), &config.cluster.namespace);
        let pods = Pods::follow(pods, &config.run);
        let folder = config.run_dir.to_string_lossy().into_owned();
        let shared = Arc::new(Shared {
            config,
            machine: this_machine(),
            folder,
            jobs: Jobs::default(),
            pods,
            reached: Mutex::default(),
            first_start: OnceLock::new(),
            why_too_few: OnceLock::new(),
            told: Mutex::default(),
        });
        shared.jobs.adopt(&shared).await?;
        Ok(Self { shared })
    }
}

impl Shared {
    fn api<K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.config.cluster.client.clone(), &self.config.cluster.namespace)
    }

    fn api_pods(&self) -> Api<Pod> {
        self.api()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerLife, String>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, life: WorkerLife) {
        self.lock().remove(&life);
    }

    fn connection(self: &Arc<Self>, life: WorkerLife, pod: String) -> Connection {
        self.lock().insert(life, pod.clone());
        Connection { line: None, process: Box::new(PodProcess::new(Arc::clone(self), life, pod)) }
    }

    /// Tells the user, once.
    fn tell(&self, text: String) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
            (self.config.say)(text);
        }
    }

    /// Waits until the agent in a pod runs. Others may be at work meanwhile: with enough of them it may take as long as it takes.
    async fn until_running(&self, life: WorkerLife, place: &Place) -> Result<PodView> {
        let begun = Instant::now();
        let mut limit = self.start_limit(begun);
        let mut tell_at = begun + TELL_AFTER;
        let started = self.pods.until(|pods| started(pods::in_place(pods, place)?));
        tokio::pin!(started);
        loop {
            tokio::select! {
                started = &mut started => return started.map_err(|how| self.not_started(life, &how)),
                () = sleep_until(tell_at) => {
                    tell_at = Instant::now() + TELL_AFTER;
                    if let Some(why) = self.why_not(place) {
                        self.tell(format!("Worker {} waits: {why}", life.worker));
                    }
                }
                () = sleep_until(limit) => {
                    if self.are_enough() {
                        limit = Instant::now() + self.start_timeout();
                        continue;
                    }
                    let why = self.why_not(place).unwrap_or_else(|| "the cluster does not say why".to_owned());
                    let why = format!("it did not start within {} s: {why}", self.start_timeout().as_secs());
                    return Err(self.not_started(life, self.why_too_few.get_or_init(|| why)));
                }
            }
        }
    }

    fn start_timeout(&self) -> Duration {
        Duration::from_millis(self.config.options.start_timeout_ms)
    }

    /// Until when a worker that is wanted now has to run. Until there were enough once, all have the time of the first
    /// together: trying again and again takes no longer than trying once.
    fn start_limit(&self, now: Instant) -> Instant {
        let first = *self.first_start.get_or_init(|| now);
        if self.pods.most_running() >= self.enough() {
            now + self.start_timeout()
        } else {
            first + self.start_timeout()
        }
    }

    fn enough(&self) -> usize {
        usize::try_from(self.config.options.min_workers.max(1)).unwrap_or(usize::MAX)
    }

    fn are_enough(&self) -> bool {
        self.pods.running() >= self.enough()
    }

    fn why_not(&self, place: &Place) -> Option<String> {
        match self.pods.look(place).map(|pod| pod.stage) {
            Some(Stage::Waiting(waiting)) => waiting.map(|waiting| waiting.why),
            None => match self.pods.trouble() {
                Some(trouble) => Some(format!("its pod can't be made: {trouble}")),
                None if self.config.options.queue_name.is_some() => Some("its queue has not let it in yet".to_owned()),
                None => None,
            },
            Some(_) => None,
        }
    }

    /// Nobody waits any more for the pod in a place: it is ended, also when it comes only later.
    fn give_up(self: &Arc<Self>, place: Place) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let pod = shared.pods.until(|pods| pods::in_place(pods, &place).map(|pod| pod.name.clone())).await;
            shared.end(&pod).await;
        });
    }

    fn not_started(&self, life: WorkerLife, why: &str) -> Failure {
        Failure::new(FailureCode::WorkerBroken, format!("failed to start worker {}", life.worker))
            .cause_text(why)
            .hint(format!(
                "ask for less with testfleet {{ kubernetes {{ requests }} }}, allow more time with startTimeout, or look at \
                 `kubectl -n {} describe pods -l {}={}` while it waits",
                self.config.cluster.namespace,
                spec::RUN,
                self.config.run
            ))
    }

    async fn start(self: &Arc<Self>, life: WorkerLife, place: Place) -> Result<Connection> {
        match self.until_running(life, &place).await {
            Ok(pod) => Ok(self.connection(life, pod.name)),
            Err(failure) => {
                self.give_up(place);
                Err(failure)
            }
        }
    }

    /// Ends a pod by force. One that is not there is fine.
    async fn end(&self, pod: &str) {
        let (api, at_once) = (self.api_pods(), DeleteParams::default().grace_period(0));
        let deleted = async { trouble::unless_gone(api.delete(pod, &at_once).await) };
        if let Err(failure) = within("end a pod", deleted).await {
            tracing::warn!(pod, "{failure}");
        }
    }

    /// How long a line may be silent before it counts as broken: agents speak twice as often.
    fn silence(&self) -> Option<Duration> {
        let lease_ms = self.config.connection.lease_ms;
        (lease_ms > 0).then(|| Duration::from_millis(lease_ms / 3 * 2))
    }

    async fn line(&self, life: WorkerLife) -> Result<Line> {
        let Some(pod) = self.lock().get(&life).cloned() else {
            // Its pod has ended, which is told elsewhere.
            return std::future::pending().await;
        };
        let identity = self.jobs.identity()?;
        let api = self.api_pods();
        let mut backoff = Backoff::default();
        loop {
            match line::open(&api, &pod, life, &identity, self.silence()).await {
                Ok(line) => return Ok(line),
                Err(NoLine::Now(failure)) => tracing::info!("{failure}"),
                Err(NoLine::Never(failure)) => return Err(failure),
            }
            sleep(backoff.next_wait()).await;
        }
    }
}

/// Does one call to the cluster, in limited time; `what` completes "failed to ...".
async fn within<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match timeout(CALL, call).await {
        Ok(done) => done.map_err(|error| trouble::failure(what, error)),
        Err(_) => Err(Failure::new(FailureCode::WorkerBroken, format!("failed to {what}"))
            .cause_text(format!("the cluster did not answer within {} s", CALL.as_secs()))),
    }
}

/// Whether a pod's agent runs, or why it never will.
fn started(pod: &PodView) -> Option<std::result::Result<PodView, String>> {
    match &pod.stage {
        Stage::Running => Some(Ok(pod.clone())),
        Stage::Ended(ended) => Some(Err(format!("its pod {} {}", pod.name, ended.how))),
        Stage::Waiting(Some(waiting)) if waiting.hopeless => Some(Err(waiting.why.clone())),
        Stage::Waiting(_) => None,
    }
}

impl Backend for KubernetesBackend {
    fn name(&self) -> &str {
        "kubernetes"
    }

    fn start(&self, life: WorkerLife) -> BoxFuture<'_, Result<Connection>> {
        Box::pin(async move {
            let shared = &self.shared;
            let now = Instant::now();
            if shared.start_limit(now) <= now && !shared.are_enough() {
                let why = shared.why_too_few.get().map_or("too few started in time", String::as_str);
                return Err(shared.not_started(life, why));
            }
            let place = shared.jobs.make(shared, life).await?;
            shared.start(life, place).await
        })
    }

    fn reconnect(&self, life: WorkerLife) -> Option<BoxFuture<'_, Result<Line>>> {
        Some(Box::pin(self.shared.line(life)))
    }

    fn take_over(&self, life: WorkerLife) -> Option<BoxFuture<'_, Result<Connection>>> {
        Some(Box::pin(async move {
            let shared = &self.shared;
            // A watch that can't begin is no reason to wait for ever.
            let _ = timeout(FIRST_LOOK, shared.pods.complete()).await;
            let place = shared.jobs.place(life).filter(|place| {
                let stage = shared.pods.look(place).map(|pod| pod.stage);
                stage.is_some_and(|stage| !matches!(stage, Stage::Ended(_)))
            });
            match place {
                Some(place) => shared.start(life, place).await,
                None => Err(Failure::new(
                    FailureCode::WorkerBroken,
                    format!("failed to take over worker {}: its pod is not there any more", life.worker),
                )),
            }
        }))
    }
}
