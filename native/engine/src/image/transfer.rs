//! What comes from registries and goes to them: bases, and the image that was made.

use super::Outside;
use super::names::Names;
use crate::cancel::unless_wanted;
use crate::pace::Pace;
use crate::report::words::megabytes;
use std::path::{Path, PathBuf};
use testfleet_image::base::{Platform, keep_only, resolve};
use testfleet_image::registry::{Patience, Place, Progress, Pushed, Reference, Registry};
use testfleet_image::{Assembled, Base, Blob, BlobSource, Image};
use testfleet_protocol::image::{Base as Chosen, ImageOptions, Target};
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::runtime::Runtime;

/// Registries as one build reaches them. Nothing is contacted before it is needed.
pub(super) struct Transfer<'a> {
    options: &'a ImageOptions,
    /// Where the image goes.
    to: &'a [Target],
    outside: &'a Outside<'a>,
    /// Where what was fetched of bases stays for the next build.
    fetched: PathBuf,
    reached: Option<(Runtime, Registry)>,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(options: &'a ImageOptions, to: &'a [Target], outside: &'a Outside<'a>, fetched: PathBuf) -> Self {
        Self { options, to, outside, fetched, reached: None }
    }

    fn reach(&mut self) -> Result<&(Runtime, Registry)> {
        if self.reached.is_none() {
            // Whoever names variables with a login means the registry of the image, or where it has no name that of the base.
            let host = match (&self.options.name, &self.options.base) {
                (Some(name), _) => Some(Place::parse(name)?.host().to_owned()),
                (None, Chosen::Registry { reference }) => Some(Reference::parse(reference)?.place.host().to_owned()),
                (None, _) => None,
            };
            let registry =
                Registry::new(&self.options.registry, self.outside.environment, host.as_deref(), Patience::USUAL)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                Failure::new(FailureCode::Internal, "failed to start the threads that reach registries").cause(&error)
            })?;
            self.reached = Some((runtime, registry));
        }
        self.reached.as_ref().ok_or_else(|| Failure::new(FailureCode::Internal, "failed to reach registries"))
    }

    /// The base that was chosen; `None` for the one that is made of this machine's JDK. Its layers are fetched where the image
    /// goes somewhere else than to a registry.
    pub(super) fn base(&mut self) -> Result<Option<Base>> {
        if self.options.base == Chosen::None {
            return Ok(None);
        }
        let platform = self.platform()?;
        let (options, outside, fetched) = (self.options, self.outside, self.fetched.clone());
        let stays_there = self.to == [Target::Registry];
        let (runtime, registry) = self.reach()?;
        runtime.block_on(unless_wanted(outside.cancelled, async {
            let Some(mut base) = resolve(&options.base, &platform, registry, &fetched).await? else { return Ok(None) };
            if !stays_there {
                for layer in &mut base.layers {
                    *layer = local(registry, layer, &fetched).await?;
                }
            }
            Ok(Some(base))
        }))
    }

    fn platform(&self) -> Result<Platform> {
        self.options.platform.as_ref().map_or_else(|| Ok(Platform::machine()), |platform| platform.parse())
    }

    /// Throws away what was fetched of other bases than this one.
    pub(super) fn keep_only(&self, base: Option<&Base>) -> Result<()> {
        keep_only(base, &self.options.base, &self.platform()?, &self.fetched)
    }

    /// Sends the image to the registry in its name, if it is to go there.
    pub(super) fn push(&mut self, assembled: &Assembled, names: &Names) -> Result<Option<Pushed>> {
        if !self.to.contains(&Target::Registry) {
            return Ok(None);
        }
        let Some(name) = &self.options.name else {
            return Err(Failure::new(FailureCode::InvalidRequest, "failed to push the image: it has no name").hint(
                "say which registry and repository: testfleet { image { name = 'registry.example/team/app-tests' } }",
            ));
        };
        let place = Place::parse(name)?;
        let (outside, fetched) = (self.outside, self.fetched.clone());
        let (runtime, registry) = self.reach()?;
        let pace = Pace::new();
        let tell = |progress: Progress| {
            if progress.of > 0 && pace.is_due() {
                (outside.say)(format!("Pushing: {} of {}", megabytes(progress.bytes), megabytes(progress.of)));
            }
        };
        let push = |image: &Image, tags: &[String]| {
            let pushed = registry.push(image, &place, tags, &fetched, &tell);
            runtime.block_on(unless_wanted(outside.cancelled, pushed))
        };
        let mut all = push(&assembled.image, &names.tags)?;
        for (worker, image) in &assembled.workers {
            all = sum(&all, &push(image, &names.of_worker(*worker))?);
        }
        if let Some(development) = &assembled.development {
            all = sum(&all, &push(&development.image, &names.of_development())?);
        }
        Ok(Some(all))
    }
}

async fn local(registry: &Registry, layer: &Blob, fetched: &Path) -> Result<Blob> {
    let file = registry.fetch(layer, fetched).await?;
    Ok(Blob { descriptor: layer.descriptor.clone(), source: BlobSource::File(file) })
}

fn sum(one: &Pushed, other: &Pushed) -> Pushed {
    Pushed {
        bytes: one.bytes + other.bytes,
        sent: one.sent + other.sent,
        there: one.there + other.there,
        mounted: one.mounted + other.mounted,
        manifests: one.manifests + other.manifests,
    }
}
