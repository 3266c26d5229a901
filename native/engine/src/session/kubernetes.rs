//! Runs on Kubernetes: the cluster, the image in its registry, what is left when a run ends.

use super::Context;
use super::docker::check_services;
use super::elsewhere::{agent_in_image, passed_on, threads, wait};
use super::image::{outside, sent};
use super::prepare::say_time;
use super::runs::RunDir;
use crate::backend::Sweep;
use crate::backend::kubernetes::{Cluster, KubernetesBackend, KubernetesConfig, Looked};
use crate::bundle::read_bundle;
use crate::image;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use testfleet_image::registry::Place;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::event::{Event, Level};
use testfleet_protocol::image::{ImageOptions, ImageRef, Target};
use testfleet_protocol::kubernetes::KubernetesOptions;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::runtime::Runtime;

/// As requests name the backend.
pub(super) const NAME: &str = "kubernetes";

/// A cluster that answers, and takes what a run asks of it.
pub(super) struct Kubernetes {
    cluster: Cluster,
    runtime: Runtime,
}

impl Kubernetes {
    /// Reaches the cluster, and asks whether it would take a run, before anything that takes long.
    pub(super) fn connect(context: &Context<'_>) -> Result<Self> {
        let reached = Self::reach(context)?;
        let would_take = reached.cluster.would_take(&context.request.options.kubernetes);
        wait(&reached.runtime, context, would_take)?;
        Ok(reached)
    }

    /// Reaches the cluster.
    pub(super) fn reach(context: &Context<'_>) -> Result<Self> {
        let options = &context.request.options.kubernetes;
        let runtime = threads("testfleet-kubernetes")?;
        let cluster = wait(&runtime, context, Cluster::connect(options, &context.environment))?;
        let text = format!("Kubernetes {} at {}, namespace {}", cluster.version, cluster.address, cluster.namespace);
        context.sink.say(Level::Info, text);
        Ok(Self { cluster, runtime })
    }

    /// The backend of a run.
    pub(super) fn backend(
        &self,
        context: &Context<'_>,
        dir: &RunDir,
        image: String,
        workers_total: u32,
        debug_jvm: bool,
    ) -> Result<KubernetesBackend> {
        let options = &context.request.options;
        let bundle = read_bundle(&dir.bundle_file())?;
        let sender = context.sink.sender();
        let config = KubernetesConfig {
            cluster: self.cluster.clone(),
            options: options.kubernetes.clone(),
            image,
            agent: agent_in_image(context, &bundle),
            run: dir.id.clone(),
            run_dir: dir.folder().to_owned(),
            workers_total,
            environment: passed_on(&options.pass_environment, &context.environment),
            connection: options.run.connection,
            debug_jvm,
            say: Arc::new(move |text| {
                // Nobody listens any more: the command only cleans up.
                let _ = sender.send(Event::Console { level: Level::Lifecycle, text });
            }),
        };
        wait(&self.runtime, context, KubernetesBackend::open(config))
    }

    /// Removes what runs left there. Returns their ids.
    pub(super) fn sweep(&self, context: &Context<'_>, sweep: &Sweep<'_>) -> Result<BTreeSet<String>> {
        wait(&self.runtime, context, self.cluster.sweep(sweep))
    }

    /// Looks at all that runs need there.
    pub(super) fn examine(&self, context: &Context<'_>) -> Vec<Looked> {
        let options = &context.request.options;
        let place = options.image.name.as_deref().map(Place::parse);
        // A name that is none is told of with the registry.
        let registry = place.as_ref().and_then(|place| place.as_ref().ok()).map_or("", Place::docker_login);
        let cluster = &self.cluster;
        let text = format!("Kubernetes {} at {}, namespace {}", cluster.version, cluster.address, cluster.namespace);
        let mut looked = vec![Looked::of("cluster", Ok(text))];
        looked.extend(self.runtime.block_on(cluster.examine(&options.kubernetes, options.workers, registry)));
        looked
    }

    /// Removes what a run still has there. A run stands whatever becomes of it.
    pub(super) fn clean_up(&self, context: &Context<'_>, dir: &RunDir) {
        if context.request.options.kubernetes.keep {
            context.sink.say(Level::Result, self.cluster.kept(&dir.id));
            return;
        }
        if let Err(failure) = self.runtime.block_on(self.cluster.remove_run(&dir.id)) {
            context.sink.say(Level::Warn, failure.to_string());
        }
    }
}

/// Makes the image and pushes what its registry has not got. Its tag is made from what is in it, so that none moves that
/// others use.
pub(super) fn image(context: &Context<'_>, plan: &Plan, bundle: &Bundle) -> Result<String> {
    let started = Instant::now();
    let mut request = context.request.clone();
    request.options.image.tags = vec![format!("bundle-{}", &testfleet_image::bundle_name(bundle)?[..12])];
    // The pods of one job are made of one image, whatever worker they are.
    request.options.image.per_worker = false;
    request.options.image.development = None;
    let say = |text: String| context.sink.say(Level::Lifecycle, text);
    let made = image::make(&request, plan, bundle, &[Target::Registry], &outside(context, &say))?;
    say_time(context, "Making the image", started, "");
    if let Some(sent_there) = made.pushed.as_ref().filter(|pushed| pushed.bytes > 0) {
        say(sent(&made.names.name, sent_there));
    }
    context.check_cancelled()?;
    pushed(&made.reference)
}

/// An image as nodes find it.
pub(super) fn pushed(made: &ImageRef) -> Result<String> {
    if !made.pushed {
        return Err(Failure::new(
            FailureCode::InvalidRequest,
            "failed to start workers of an image that is in no registry",
        )
        .cause_text("nodes pull images from a registry, and this one was not pushed")
        .hint("push it: testfleet { image { to = ['registry'] } }, then ./gradlew image"));
    }
    Ok(format!("{}@{}", made.name, made.digest))
}

/// # Errors
/// [`FailureCode::InvalidRequest`] for what can't be meant.
pub(super) fn check(options: &KubernetesOptions, image: &ImageOptions) -> Result<()> {
    let invalid = |message: &str, hint: &str| Err(Failure::new(FailureCode::InvalidRequest, message).hint(hint));
    if image.name.is_none() {
        return invalid(
            "failed to run on Kubernetes: the image has no name in a registry",
            "name one that the cluster's nodes can pull from: testfleet { image { name = 'registry.example/team/app-tests' } }",
        );
    }
    let is_id = |text: &str| text.parse::<u32>().is_ok_and(|id| id > 0);
    if let Some(user) = &options.user
        && !user
            .split_once(':')
            .map_or_else(|| is_id(user), |(user, group)| is_id(user) && group.parse::<u32>().is_ok())
    {
        return invalid(
            &format!("failed to choose kubernetes.user: `{user}`"),
            "pods take numbers other than 0: user = '1000' or '1000:1000'",
        );
    }
    check_services(&options.services)?;
    let mut ports = BTreeSet::new();
    for (name, service) in &options.services {
        if name == "credentials" || service.port.is_some_and(|port| !ports.insert(port)) {
            return invalid(
                &format!("failed to start the service {name} in pods"),
                "all containers of a pod have one network: each service needs a port of its own, and `credentials` is taken",
            );
        }
    }
    if options.start_timeout_ms == 0 || options.deadline_seconds == 0 {
        return invalid(
            "failed to choose kubernetes.startTimeout or deadline: 0 is too little",
            "for example startTimeout = Duration.ofMinutes(10)",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_would_refuse_late_is_refused_before() {
        let named = ImageOptions { name: Some("r.example/x".into()), ..ImageOptions::default() };
        let user = |user: &str| KubernetesOptions { user: Some(user.into()), ..KubernetesOptions::default() };
        for good in [KubernetesOptions::default(), user("1000"), user("1000:0")] {
            assert!(check(&good, &named).is_ok(), "{good:?}");
        }
        for bad in [
            user("me"),
            user("0"),
            user("1000:x"),
            KubernetesOptions { start_timeout_ms: 0, ..KubernetesOptions::default() },
        ] {
            assert_eq!(check(&bad, &named).unwrap_err().code, FailureCode::InvalidRequest, "{bad:?}");
        }
        let failure = check(&KubernetesOptions::default(), &ImageOptions::default()).unwrap_err().to_string();
        assert!(failure.contains("no name in a registry"), "{failure}");
    }
}
