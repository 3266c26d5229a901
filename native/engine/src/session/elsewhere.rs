//! Where workers are, if not on this machine itself: the image that they are made of, and what is left when a run ends.

use super::Context;
use super::docker::{self, Docker};
use super::kubernetes::{self, Kubernetes};
use super::runs::RunDir;
use crate::backend::docker::WorkerImage;
use crate::backend::kubernetes::Looked;
use crate::backend::{Backend, Sweep};
use crate::cancel::unless_wanted;
use crate::report::words::counted;
use crate::undeclared::Places;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testfleet_image::{bundle_name, place};
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::event::Level;
use testfleet_protocol::image::ImageRef;
use testfleet_protocol::path::Roots;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::request::Options;
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::runtime::Runtime;

/// What starts workers elsewhere, and answers.
pub(super) enum Elsewhere {
    Docker(Docker),
    Kubernetes(Kubernetes),
}

/// What workers there are made of.
pub(super) enum Image {
    Docker(WorkerImage),
    /// Name and digest.
    Kubernetes(String),
}

impl Image {
    /// What each of these workers is made of.
    pub(super) fn by_worker(&self, workers: &[u32]) -> BTreeMap<u32, String> {
        match self {
            Self::Docker(image) => image.references.clone(),
            Self::Kubernetes(image) => workers.iter().map(|worker| (*worker, image.clone())).collect(),
        }
    }
}

impl Elsewhere {
    /// What the request wants, if it wants any.
    pub(super) fn of_request(context: &Context<'_>) -> Result<Option<Self>> {
        match context.request.options.backend.as_str() {
            docker::NAME => Docker::connect(context).map(Self::Docker).map(Some),
            kubernetes::NAME => Kubernetes::connect(context).map(Self::Kubernetes).map(Some),
            _ => Ok(None),
        }
    }

    /// What the request names, if it is reached, whether or not it would take what a run asks of it.
    pub(super) fn reach(context: &Context<'_>) -> Result<Option<Self>> {
        match context.request.options.backend.as_str() {
            kubernetes::NAME => Kubernetes::reach(context).map(Self::Kubernetes).map(Some),
            _ => Self::of_request(context),
        }
    }

    /// Looks at all that runs need there.
    pub(super) fn examine(&self, context: &Context<'_>) -> Vec<Looked> {
        match self {
            Self::Docker(docker) => docker.examine(),
            Self::Kubernetes(kubernetes) => kubernetes.examine(context),
        }
    }

    /// Removes what runs left behind, and says of which.
    pub(super) fn sweep(&self, context: &Context<'_>, sweep: &Sweep<'_>) -> Result<()> {
        let (what, removed) = match self {
            Self::Docker(docker) => ("containers", docker.sweep(context, sweep)?),
            Self::Kubernetes(kubernetes) => ("pods", kubernetes.sweep(context, sweep)?),
        };
        if !removed.is_empty() {
            let runs = counted(removed.len() as u64, "run", "runs");
            let ids = removed.into_iter().collect::<Vec<_>>().join(", ");
            context.sink.say(Level::Lifecycle, format!("Removed the {what} of {runs} that nobody goes on with: {ids}"));
        }
        Ok(())
    }

    /// The image that `image.json` names, which has to be of this bundle, where workers can be made of it.
    pub(super) fn image_as_it_is(&self, context: &Context<'_>, bundle: &Bundle, workers: &[u32]) -> Result<Image> {
        match self {
            Self::Docker(docker) => docker.image_as_it_is(context, bundle, workers).map(Image::Docker),
            Self::Kubernetes(_) => kubernetes::pushed(&image_as_it_is(context, bundle)?).map(Image::Kubernetes),
        }
    }

    /// Makes the image, and takes it where workers can be made of it.
    pub(super) fn image(&self, context: &Context<'_>, plan: &Plan, bundle: &Bundle, workers: &[u32]) -> Result<Image> {
        match self {
            Self::Docker(docker) => docker.image(context, plan, bundle, workers).map(Image::Docker),
            Self::Kubernetes(_) => kubernetes::image(context, plan, bundle).map(Image::Kubernetes),
        }
    }

    /// The backend of a run.
    pub(super) fn backend(
        &self,
        context: &Context<'_>,
        dir: &RunDir,
        image: Image,
        workers_total: u32,
        debug_jvm: bool,
    ) -> Result<Arc<dyn Backend>> {
        // The present run has its coordinator by now: what it takes over stays.
        self.sweep(context, &Sweep::of_dead(&RunDir::is_dead))?;
        Ok(match (self, image) {
            (Self::Docker(docker), Image::Docker(image)) => {
                Arc::new(docker.backend(context, dir, image, workers_total, debug_jvm)?)
            }
            (Self::Kubernetes(kubernetes), Image::Kubernetes(image)) => {
                Arc::new(kubernetes.backend(context, dir, image, workers_total, debug_jvm)?)
            }
            _ => return Err(Failure::new(FailureCode::Internal, "failed to use an image that is of another backend")),
        })
    }

    /// Removes what a run still has there. A run stands whatever becomes of it.
    pub(super) fn clean_up(&self, context: &Context<'_>, dir: &RunDir) {
        match self {
            Self::Docker(docker) => docker.clean_up(context, dir),
            Self::Kubernetes(kubernetes) => kubernetes.clean_up(context, dir),
        }
    }
}

/// Makes a backend of the options that has images.
pub(super) fn take_image(options: &mut Options) {
    if options.backend != kubernetes::NAME {
        options.backend = docker::NAME.to_owned();
    }
}

/// Makes what workers are in stay when the run has ended.
///
/// # Errors
/// [`FailureCode::InvalidRequest`] where nothing of a worker can stay.
pub(super) fn keep(options: &mut Options) -> Result<()> {
    match options.backend.as_str() {
        docker::NAME => options.docker.keep = true,
        kubernetes::NAME => options.kubernetes.keep = true,
        other => {
            return Err(Failure::new(
                FailureCode::InvalidRequest,
                format!("failed to keep a worker of backend {other}"),
            )
            .cause_text("it is a process of this machine, of which nothing stays")
            .hint("choose --backend docker or kubernetes"));
        }
    }
    Ok(())
}

/// The threads of what is elsewhere.
pub(super) fn threads(name: &str) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to start a thread").cause(&error))
}

/// Waits, unless the end is asked for.
pub(super) fn wait<T>(runtime: &Runtime, context: &Context<'_>, future: impl Future<Output = Result<T>>) -> Result<T> {
    runtime.block_on(unless_wanted(&context.cancelled, future))
}

/// Where what a bundle names is, here and in its image.
pub(super) fn places(context: &Context<'_>, bundle: &Bundle) -> Places {
    Places::new(bundle, &context.request.roots, |name| place::root(name).into())
}

/// Where the agent lies in an image.
pub(super) fn agent_in_image(context: &Context<'_>, bundle: &Bundle) -> String {
    let roots = context.request.roots.keys().map(|name| (name.clone(), place::root(name).into()));
    Roots::new(roots).expand(&bundle.agent)
}

/// `image.json`
pub(super) fn image_file(context: &Context<'_>) -> PathBuf {
    context.output().join("image.json")
}

/// The image is of other code than the plan.
fn stale(file: &Path) -> Failure {
    Failure::new(FailureCode::PlanOutdated, "failed to run in the image that is there")
        .cause_text(format!(
            "the image that {} names holds other classes, dependencies or inputs, or starts JVMs otherwise, than the \
             build has now",
            file.display()
        ))
        .hint("make it anew: ./gradlew image")
}

/// The variables that the build names, as far as they are set.
pub(super) fn passed_on(names: &[String], environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    names.iter().filter_map(|name| Some((name.clone(), environment.get(name)?.clone()))).collect()
}

/// The image that is there, which has to be of this bundle.
pub(super) fn image_as_it_is(context: &Context<'_>, bundle: &Bundle) -> Result<ImageRef> {
    let made = testfleet_image::read_reference(&image_file(context))?;
    if made.bundle_sha256 != bundle_name(bundle)? {
        return Err(stale(&image_file(context)));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_variables_are_passed_on() {
        let environment = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())]);
        let passed = passed_on(&["B".to_owned(), "C".to_owned()], &environment);
        assert_eq!(passed, BTreeMap::from([("B".to_owned(), "2".to_owned())]));
    }
}
