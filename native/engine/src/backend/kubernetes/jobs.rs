//! The jobs of a run: one, which grows by a pod for each further life of a worker.
//!
//! The cluster's own way to replace a pod that failed waits 10 s, then 20 s, and so on. Here a failed index stays failed, and
//! the job gets another index at once (elastic indexed jobs). A job whose pods have all ended has ended itself and can't
//! grow any more: then there is another. Behind a queue, which counts what it lets in, no job grows: each call makes one.

use super::lives::Lives;
use super::pods::Place;
use super::spec::{self, Spec};
use super::{Shared, trouble, within};
use crate::backend::WorkerLife;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};
use testfleet_wire::{Authority, Credentials, Identity, Peer, Reach, Validity};

/// How long lives are gathered that are wanted at once.
const GATHER: Duration = Duration::from_millis(10);
/// What only the coordinator needs, for the next one.
const COORDINATOR: &str = "coordinator";
const ENVIRONMENT: &str = "environment";

/// What is known of a run's jobs.
#[derive(Default)]
pub(super) struct Jobs {
    known: Mutex<Known>,
    /// Held while they change.
    changing: tokio::sync::Mutex<()>,
    /// What agents know their coordinator by.
    identity: OnceLock<Arc<Identity>>,
    /// Lives that want a pod.
    wanted: Mutex<BTreeSet<WorkerLife>>,
}

#[derive(Default)]
struct Known {
    lives: Lives,
    /// Ids of the jobs, by number.
    uids: BTreeMap<u32, String>,
    /// What is in their secrets, by kind: in base64, by key.
    documents: Option<BTreeMap<&'static str, BTreeMap<String, String>>>,
}

impl Known {
    fn newest(&self) -> u32 {
        self.uids.last_key_value().map_or(0, |(number, _)| *number)
    }

    fn place(&self, life: WorkerLife) -> Option<Place> {
        let slot = self.lives.slot(life)?;
        Some(Place { job: self.uids.get(&slot.job)?.clone(), index: slot.index })
    }
}

/// A life that wants a pod, until it has one or nobody waits for it.
struct Wanted<'a>(&'a Jobs, WorkerLife);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.wanted().remove(&self.1);
    }
}

impl Jobs {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeSet<WorkerLife>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod of a life, which is made unless it is there.
    pub(super) async fn make(&self, shared: &Shared, life: WorkerLife) -> Result<Place> {
        self.wanted().insert(life);
        let _wanted = Wanted(self, life);
        // One call to the cluster for all that are wanted at once.
        tokio::time::sleep(GATHER).await;
        let _changing = self.changing.lock().await;
        if let Some(place) = self.place(life) {
            return Ok(place);
        }
        let wanted = self.wanted().clone();
        self.grow(shared, &wanted).await?;
        let missing =
            || Failure::new(FailureCode::Internal, format!("failed to make a pod for worker {}", life.worker));
        self.place(life).ok_or_else(missing)
    }

    /// The pod that was made for a life.
    pub(super) fn place(&self, life: WorkerLife) -> Option<Place> {
        self.known().place(life)
    }

    /// What the agents know their coordinator by.
    pub(super) fn identity(&self) -> Result<Arc<Identity>> {
        let missing = || Failure::new(FailureCode::Internal, "failed to find the run's certificates");
        self.identity.get().cloned().ok_or_else(missing)
    }

    /// Gives these lives pods: of the newest job, or of another when that has ended, or there is none.
    async fn grow(&self, shared: &Shared, wanted: &BTreeSet<WorkerLife>) -> Result<()> {
        let (newest, mut lives) = {
            let known = self.known();
            (known.newest(), known.lives.clone())
        };
        if newest > 0 && shared.config.options.queue_name.is_none() {
            lives.add(newest, wanted.iter().copied());
            if extend(shared, newest, &lives).await? {
                self.known().lives = lives;
                return Ok(());
            }
            lives = self.known().lives.clone();
        }
        let number = newest + 1;
        lives.add(number, wanted.iter().copied());
        let documents = self.documents(shared)?;
        let uid = create(shared, number, &lives).await?;
        if let Err(failure) = equip(shared, number, &uid, &documents).await {
            // Without its secrets it would wait for ever.
            remove(shared, &spec::job_name(&shared.config.run, number)).await;
            return Err(failure);
        }
        let mut known = self.known();
        known.uids.insert(number, uid);
        known.lives = lives;
        Ok(())
    }

    /// What goes into the secrets of each job.
    fn documents(&self, shared: &Shared) -> Result<BTreeMap<&'static str, BTreeMap<String, String>>> {
        if let Some(documents) = &self.known().documents {
            return Ok(documents.clone());
        }
        let config = &shared.config;
        let authority = Authority::new(&config.run, Validity::of_a_run())?;
        let mut of_agents = authority.issue(Peer::AnyWorker)?;
        of_agents.reach = Reach { orphan_timeout_ms: config.connection.orphan_timeout_ms, ends_with_input: false };
        let own = authority.issue(Peer::Coordinator)?;
        let document = |credentials: &Credentials| -> Result<BTreeMap<String, String>> {
            let encoded = BASE64.encode(&credentials.to_frame()?[..]);
            Ok(BTreeMap::from([(spec::CREDENTIALS.to_owned(), encoded)]))
        };
        let mut documents =
            BTreeMap::from([(spec::CREDENTIALS, document(&of_agents)?), (COORDINATOR, document(&own)?)]);
        if !config.environment.is_empty() {
            let encoded = |(name, value): (&String, &String)| (name.clone(), BASE64.encode(value));
            documents.insert(ENVIRONMENT, config.environment.iter().map(encoded).collect());
        }
        let identity = Arc::new(Identity::new(&own)?);
        self.known().documents = Some(documents.clone());
        let _ = self.identity.set(identity);
        Ok(documents)
    }

    /// Takes over what an earlier coordinator of the run made, if anything is left of it that can be.
    ///
    /// # Errors
    /// When the cluster does not say what there is.
    pub(super) async fn adopt(&self, shared: &Shared) -> Result<()> {
        let run = &shared.config.run;
        let what = format!("look for pods of the run in {}", shared.config.cluster.namespace);
        let of_run = ListParams::default().labels(&format!("{}={run}", spec::RUN));
        // Who may not list pods is told at once, not by watches that never begin.
        let pods: Api<Pod> = shared.api();
        within(&what, pods.list(&of_run.clone().limit(1))).await?;
        let jobs: Api<Job> = shared.api();
        let found = within(&what, jobs.list(&of_run)).await?;
        let mut numbered = BTreeMap::new();
        for job in found {
            let annotations = job.metadata.annotations.unwrap_or_default();
            let number = annotations.get(spec::NUMBER).and_then(|text| text.parse::<u32>().ok());
            if let (Some(number), Some(uid)) = (number, job.metadata.uid) {
                numbered.insert(number, (uid, annotations.get(spec::LIVES).cloned().unwrap_or_default()));
            }
        }
        let Some(newest) = numbered.last_key_value().map(|(number, _)| *number) else { return Ok(()) };
        let Some(documents) = read_secrets(shared, newest).await? else {
            // Its coordinator died before its pods could begin.
            for number in numbered.keys() {
                remove(shared, &spec::job_name(run, *number)).await;
            }
            return Ok(());
        };
        let own = documents.get(COORDINATOR).and_then(|data| data.get(spec::CREDENTIALS)).map(String::as_str);
        let frame = BASE64.decode(own.unwrap_or_default()).unwrap_or_default();
        let identity = Identity::new(&Credentials::read(frame.get(4..).unwrap_or_default())?)?;
        let _ = self.identity.set(Arc::new(identity));
        for number in numbered.keys() {
            // What this machine's runs leave behind is this machine's to remove.
            let mine = json!({ "metadata": { "annotations": { spec::MACHINE: shared.machine, spec::FOLDER: shared.folder } } });
            let name = spec::job_name(run, *number);
            within(&what, jobs.patch(&name, &PatchParams::default(), &Patch::Merge(mine))).await?;
            shared.pods.follow_job(shared.api(), &name);
        }
        let mut known = self.known();
        known.documents = Some(documents);
        for (number, (uid, lives)) in numbered {
            known.lives.read(number, &lives);
            known.uids.insert(number, uid);
        }
        Ok(())
    }
}

/// What is in the secrets of a job; `None` when one is missing that every job has.
async fn read_secrets(
    shared: &Shared,
    number: u32,
) -> Result<Option<BTreeMap<&'static str, BTreeMap<String, String>>>> {
    let secrets: Api<Secret> = shared.api();
    let mut documents = BTreeMap::new();
    for kind in [spec::CREDENTIALS, COORDINATOR, ENVIRONMENT] {
        let name = spec::secret_name(&shared.config.run, number, kind);
        let what = "read the run's certificates in the cluster";
        match within(what, secrets.get_opt(&name)).await? {
            Some(secret) => {
                let data = secret.data.unwrap_or_default().into_iter();
                documents.insert(kind, data.map(|(key, value)| (key, BASE64.encode(value.0))).collect());
            }
            None if kind == ENVIRONMENT => {}
            None => return Ok(None),
        }
    }
    Ok(Some(documents))
}

/// Makes a job larger; `false` when it has ended, or is gone.
async fn extend(shared: &Shared, number: u32, lives: &Lives) -> Result<bool> {
    let name = spec::job_name(&shared.config.run, number);
    let pods = lives.count(number);
    let patch = json!({
        "metadata": { "annotations": { spec::LIVES: lives.text(number) } },
        // The coordinator that made it may have died before it let it begin.
        "spec": { "completions": pods, "parallelism": pods, "suspend": false },
    });
    let jobs: Api<Job> = shared.api();
    let patched = async {
        match jobs.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(error) if trouble::is_gone(&error) => Ok(None),
            other => other.map(Some),
        }
    };
    let Some(job) = within("start a worker again", patched).await? else { return Ok(false) };
    let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
    let has_ended = conditions.iter().any(|condition| {
        let ends = ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"];
        condition.status == "True" && ends.contains(&condition.type_.as_str())
    });
    Ok(!has_ended)
}

/// Makes a job, suspended; returns its id.
async fn create(shared: &Shared, number: u32, lives: &Lives) -> Result<String> {
    let what = format!("start workers in the namespace {}", shared.config.cluster.namespace);
    let job = shared.spec().job(number, lives.count(number), &lives.text(number))?;
    let name = spec::job_name(&shared.config.run, number);
    let (jobs, dynamic) = (shared.api::<Job>(), shared.dynamic::<Job>());
    let made = async {
        match post(&dynamic, job, false).await {
            // The answer to a call that was sent again: names of runs are used once.
            Err(error) if trouble::is_there(&error) => Ok(jobs.get(&name).await?.metadata.uid),
            other => other.map(|job| job.metadata.uid),
        }
    };
    let uid = within(&what, made).await?;
    shared.pods.follow_job(shared.api(), &name);
    uid.ok_or_else(|| Failure::new(FailureCode::Internal, "failed to start workers: the job has no id"))
}

/// Sends an object as it is: what a newer cluster knows and this program does not is not lost.
pub(super) async fn post(api: &Api<DynamicObject>, object: Value, dry_run: bool) -> kube::Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams { dry_run, ..PostParams::default() }, &object).await
}

/// Gives a new job its secrets, which go with it, and lets it begin.
async fn equip(
    shared: &Shared,
    number: u32,
    uid: &str,
    documents: &BTreeMap<&'static str, BTreeMap<String, String>>,
) -> Result<()> {
    let secrets = shared.dynamic::<Secret>();
    for (kind, data) in documents {
        let secret = shared.spec().secret(number, kind, uid, data);
        let posted = async {
            match post(&secrets, secret, false).await {
                Err(error) if trouble::is_there(&error) => Ok(()),
                other => other.map(drop),
            }
        };
        within("give pods what they know their coordinator by", posted).await?;
    }
    // Where a queue decides, that does.
    if shared.config.options.queue_name.is_none() {
        let jobs: Api<Job> = shared.api();
        let go = Patch::Merge(json!({ "spec": { "suspend": false } }));
        let name = spec::job_name(&shared.config.run, number);
        within("start workers", jobs.patch(&name, &PatchParams::default(), &go)).await?;
    }
    Ok(())
}

/// Removes a job with all that goes with it. One that is not there is fine.
async fn remove(shared: &Shared, name: &str) {
    let jobs: Api<Job> = shared.api();
    let all = DeleteParams::background();
    let removed = async { trouble::unless_gone(jobs.delete(name, &all).await) };
    if let Err(failure) = within("remove a job", removed).await {
        tracing::warn!(job = name, "{failure}");
    }
}

impl Shared {
    fn spec(&self) -> Spec<'_> {
        let config = &self.config;
        Spec {
            options: &config.options,
            run: &config.run,
            image: &config.image,
            agent: &config.agent,
            workers_total: config.workers_total,
            has_environment: !config.environment.is_empty(),
            debug_jvm: config.debug_jvm,
            machine: &self.machine,
            folder: &self.folder,
        }
    }

    fn dynamic<K: kube::Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        let cluster = &self.config.cluster;
        Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &ApiResource::erase::<K>(&()))
    }
}
