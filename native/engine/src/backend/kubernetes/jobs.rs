//! The jobs of a run: one, which grows by a pod for each further life of a worker.
//!
//! The cluster's own way to replace a pod that failed waits 10 s, then 20 s, and so on. Here a failed index stays failed, and
//! the job gets another index at once (elastic indexed jobs). A job whose pods have all ended has ended itself and can't
//! grow any more: then there is another.

use super::lives::{Lives, Slot};
use super::spec::{self, Spec};
use super::{Shared, trouble};
use crate::backend::WorkerLife;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};
use testfleet_wire::{Authority, Credentials, Identity, Peer, Reach, Validity};

/// How long lives are gathered that are wanted at once.
const GATHER: Duration = Duration::from_millis(10);
/// What only the coordinator needs, for the next one: another machine may go on with the run.
const COORDINATOR: &str = "coordinator";
const ENVIRONMENT: &str = "environment";

/// What is known of a run's jobs.
#[derive(Default)]
pub(super) struct Jobs {
    state: tokio::sync::Mutex<State>,
    /// Lives that want a pod.
    wanted: Mutex<BTreeSet<WorkerLife>>,
}

#[derive(Default)]
struct State {
    lives: Lives,
    /// Ids of the jobs, the first first.
    uids: Vec<String>,
    identity: Option<Arc<Identity>>,
}

impl State {
    /// The newest job.
    fn newest(&self) -> u32 {
        u32::try_from(self.uids.len()).unwrap_or(u32::MAX)
    }
}

impl Jobs {
    /// The pod of a life, which is made unless it is there.
    pub(super) async fn make(&self, shared: &Shared, life: WorkerLife) -> Result<Slot> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(life);
        // One call to the cluster for all that are wanted at once.
        tokio::time::sleep(GATHER).await;
        let mut state = self.state.lock().await;
        if let Some(slot) = state.lives.slot(life) {
            return Ok(slot);
        }
        let wanted = std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(failure) = grow(shared, &mut state, &wanted).await {
            // Each of the others tries for itself, and has its own failure.
            let others = wanted.into_iter().filter(|other| *other != life);
            self.wanted.lock().unwrap_or_else(PoisonError::into_inner).extend(others);
            return Err(failure);
        }
        let missing =
            || Failure::new(FailureCode::Internal, format!("failed to make a pod for worker {}", life.worker));
        state.lives.slot(life).ok_or_else(missing)
    }

    /// The pod that was made for a life.
    pub(super) async fn slot(&self, life: WorkerLife) -> Option<Slot> {
        self.state.lock().await.lives.slot(life)
    }

    /// What the agents know their coordinator by.
    pub(super) async fn identity(&self) -> Result<Arc<Identity>> {
        let identity = self.state.lock().await.identity.clone();
        identity.ok_or_else(|| Failure::new(FailureCode::Internal, "failed to find the run's certificates"))
    }

    /// Takes over what an earlier coordinator of the run made, if anything is left of it.
    pub(super) async fn adopt(&self, shared: &Shared) -> Result<()> {
        let run = &shared.config.run;
        let what = format!("look for pods of the run in {}", shared.config.cluster.namespace);
        let of_run = ListParams::default().labels(&format!("{}={run}", spec::RUN));
        let jobs: Api<Job> = shared.api();
        let found = jobs.list(&of_run).await.map_err(|error| trouble::failure(&what, error))?;
        let mut numbered = BTreeMap::new();
        for job in found {
            let annotation = |name: &str| job.metadata.annotations.as_ref().and_then(|all| all.get(name)).cloned();
            if let (Some(number), Some(uid)) =
                (annotation(spec::NUMBER).and_then(|text| text.parse::<u32>().ok()), &job.metadata.uid)
            {
                numbered.insert(number, (uid.clone(), annotation(spec::LIVES).unwrap_or_default()));
            }
        }
        let mut state = self.state.lock().await;
        for (number, (uid, lives)) in numbered {
            if number == state.newest() + 1 {
                state.lives.read(number, &lives);
                state.uids.push(uid);
                shared.pods.follow_job(shared.api(), &spec::job_name(run, number));
            }
        }
        if state.uids.is_empty() {
            return Ok(());
        }
        let secrets: Api<Secret> = shared.api();
        let name = spec::secret_name(run, COORDINATOR);
        let what = "read the run's certificates in the cluster";
        let secret = secrets.get(&name).await.map_err(|error| trouble::failure(what, error))?;
        let bytes = secret.data.unwrap_or_default().remove(spec::CREDENTIALS).unwrap_or_default().0;
        let json = bytes.get(4..).unwrap_or_default();
        state.identity = Some(Arc::new(Identity::new(&Credentials::read(json)?)?));
        Ok(())
    }
}

/// Gives these lives pods: of the newest job, or of another when that has ended, or there is none.
async fn grow(shared: &Shared, state: &mut State, wanted: &BTreeSet<WorkerLife>) -> Result<()> {
    let newest = state.newest();
    if newest > 0 {
        let mut lives = state.lives.clone();
        lives.add(newest, wanted.iter().copied());
        if extend(shared, newest, &lives).await? {
            state.lives = lives;
            return Ok(());
        }
    }
    let number = newest + 1;
    let mut lives = state.lives.clone();
    lives.add(number, wanted.iter().copied());
    let uid = create(shared, number, &lives).await?;
    state.uids.push(uid);
    let made = equip(shared, state, number).await;
    if made.is_err() {
        // Without its secrets it would wait for ever.
        state.uids.pop();
        remove(shared, &spec::job_name(&shared.config.run, number)).await;
    }
    made?;
    state.lives = lives;
    Ok(())
}

/// Makes a job larger; `false` when it has ended, or is gone.
async fn extend(shared: &Shared, number: u32, lives: &Lives) -> Result<bool> {
    let name = spec::job_name(&shared.config.run, number);
    let pods = lives.count(number);
    let patch = json!({
        "metadata": { "annotations": { spec::LIVES: lives.text(number) } },
        "spec": { "completions": pods, "parallelism": pods },
    });
    let jobs: Api<Job> = shared.api();
    let job = match jobs.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(job) => job,
        Err(error) if trouble::is_gone(&error) => return Ok(false),
        Err(error) => return Err(trouble::failure("start a worker again", error)),
    };
    let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
    let has_ended = conditions.iter().any(|condition| {
        let ends = ["Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"];
        condition.status == "True" && ends.contains(&condition.type_.as_str())
    });
    Ok(!has_ended)
}

async fn create(shared: &Shared, number: u32, lives: &Lives) -> Result<String> {
    let what = format!("start workers in the namespace {}", shared.config.cluster.namespace);
    let job = shared.spec().job(number, lives.count(number), &lives.text(number))?;
    let made = post(&shared.dynamic_jobs(), job, false).await.map_err(|error| trouble::failure(&what, error))?;
    shared.pods.follow_job(shared.api(), &spec::job_name(&shared.config.run, number));
    let no_id = || Failure::new(FailureCode::Internal, "failed to start workers: the job has no id");
    made.metadata.uid.ok_or_else(no_id)
}

/// Sends an object as it is: what a newer cluster knows and this program does not is not lost.
pub(super) async fn post(api: &Api<DynamicObject>, object: Value, dry_run: bool) -> kube::Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams { dry_run, ..PostParams::default() }, &object).await
}

/// Gives a new job its secrets, and starts it.
async fn equip(shared: &Shared, state: &mut State, number: u32) -> Result<()> {
    let config = &shared.config;
    let what = "give pods what they know their coordinator by";
    let failed = |error: kube::Error| trouble::failure(what, error);
    let secrets = shared.dynamic::<Secret>();
    let owners: Vec<Value> =
        (1..).zip(&state.uids).map(|(number, uid)| spec::owner(&config.run, number, uid)).collect();
    let kinds = [spec::CREDENTIALS, COORDINATOR, ENVIRONMENT];
    if state.identity.is_some() {
        for kind in kinds {
            let patch = json!({ "metadata": { "ownerReferences": owners } });
            let name = spec::secret_name(&config.run, kind);
            match secrets.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Err(error) if trouble::is_gone(&error) && kind == ENVIRONMENT => {}
                patched => drop(patched.map_err(failed)?),
            }
        }
    } else {
        let authority = Authority::new(&config.run, Validity::of_a_run())?;
        let mut of_agents = authority.issue(Peer::AnyWorker)?;
        of_agents.reach = Reach { orphan_timeout_ms: config.connection.orphan_timeout_ms, ends_with_input: false };
        let own = authority.issue(Peer::Coordinator)?;
        let document = |credentials: &Credentials| {
            let encoded = BASE64.encode(&credentials.to_frame()?[..]);
            Ok(BTreeMap::from([(spec::CREDENTIALS.to_owned(), encoded)]))
        };
        let environment = config.environment.iter().map(|(name, value)| (name.clone(), BASE64.encode(value))).collect();
        let data: [Result<BTreeMap<String, String>>; 3] = [document(&of_agents), document(&own), Ok(environment)];
        for (kind, data) in kinds.into_iter().zip(data) {
            if kind != ENVIRONMENT || shared.spec().has_environment {
                let secret = shared.spec().secret(kind, json!(owners), &data?);
                post(&secrets, secret, false).await.map_err(failed)?;
            }
        }
        state.identity = Some(Arc::new(Identity::new(&own)?));
    }
    // Where a queue decides, that does.
    if config.options.queue_name.is_none() {
        let jobs: Api<Job> = shared.api();
        let go = Patch::Merge(json!({ "spec": { "suspend": false } }));
        let name = spec::job_name(&config.run, number);
        jobs.patch(&name, &PatchParams::default(), &go)
            .await
            .map_err(|error| trouble::failure("start workers", error))?;
    }
    Ok(())
}

/// Removes a job with all that goes with it. One that is not there is fine.
pub(super) async fn remove(shared: &Shared, name: &str) {
    let jobs: Api<Job> = shared.api();
    if let Err(error) = jobs.delete(name, &DeleteParams::background()).await
        && !trouble::is_gone(&error)
    {
        tracing::warn!(job = name, %error, "failed to remove a job");
    }
}

impl Shared {
    pub(super) fn spec(&self) -> Spec<'_> {
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

    pub(super) fn dynamic_jobs(&self) -> Api<DynamicObject> {
        self.dynamic::<Job>()
    }

    fn dynamic<K: kube::Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        let cluster = &self.config.cluster;
        Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &ApiResource::erase::<K>(&()))
    }
}
