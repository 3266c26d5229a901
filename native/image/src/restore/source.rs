//! Where the image is that dependencies are restored from.

use crate::base::{self, Platform};
use crate::registry::{Patience, Reference, Registry};
use crate::{Blob, BlobSource, Digest, hashing, layout, read_reference};
use oci_spec::image::ImageConfiguration;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use testfleet_protocol::image::{Base as Chosen, RegistryOptions};
use testfleet_protocol::{Failure, FailureCode, Result};

/// The word for the image that `image.json` names.
const LAST: &str = "last";

/// An image, and how registries are reached.
pub struct Source<'a> {
    /// A reference, a folder in the OCI layout, a tar file of an image, or `last`.
    pub image: &'a str,
    /// What names the last image: `build/testfleet/image.json`.
    pub image_json: &'a Path,
    /// How registries are reached.
    pub registry: &'a RegistryOptions,
    /// With logins, as for [`Registry::new`].
    pub environment: &'a BTreeMap<String, String>,
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.image {
            LAST => write!(to, "the image that {} names", self.image_json.display()),
            image => to.write_str(image),
        }
    }
}

/// An image that was found.
pub(super) struct Found {
    pub(super) config: ImageConfiguration,
    pub(super) layers: Vec<Blob>,
    reached: Option<(tokio::runtime::Runtime, Registry)>,
}

impl Source<'_> {
    /// Finds the image; its manifest and configuration are verified.
    pub(super) fn find(&self, fetched: &Path) -> Result<Found> {
        let explained = |why: Failure| {
            let mut failure = Failure::new(why.code, format!("failed to restore dependencies from {self}"));
            failure.causes = [vec![why.message], why.causes].concat();
            failure.hint = why.hint;
            failure
        };
        if self.image == LAST {
            return self.last(fetched).map_err(explained);
        }
        let path = PathBuf::from(self.image);
        if path.exists() {
            return self.resolve(&Chosen::Path { path }, fetched).map_err(explained);
        }
        self.resolve(&Chosen::Registry { reference: self.image.to_owned() }, fetched).map_err(explained)
    }

    /// The image that was made last: in its folder, else in its registry.
    fn last(&self, fetched: &Path) -> Result<Found> {
        const HINT: &str = "make one: ./gradlew image; or name one of a registry, such as the tag that each build of the main branch \
                            pushes: testfleet cache restore registry.example/team/app-tests:latest";
        let made = read_reference(self.image_json).map_err(|failure| failure.hint(HINT))?;
        let digest: Digest = made.digest.parse()?;
        if made.layout.join("index.json").is_file() {
            let image = layout::read(&made.layout, &digest)?;
            let (found, config) = (image.manifest.digest()?, image.config.bytes()?);
            if found != digest || Digest::of(&config) != image.config.digest()? {
                return Err(damaged(&made.layout));
            }
            return Ok(Found::here(image.configuration()?, image.layers));
        }
        if !made.pushed {
            return Err(Failure::new(
                FailureCode::Io,
                format!("failed to read the image in {}", made.layout.display()),
            )
            .cause_text("the folder is not there, and the image was pushed to no registry")
            .hint(HINT));
        }
        self.resolve(&Chosen::Registry { reference: format!("{}@{digest}", made.name) }, fetched)
    }

    fn resolve(&self, chosen: &Chosen, fetched: &Path) -> Result<Found> {
        let host = match chosen {
            Chosen::Registry { reference } => Some(Reference::parse(reference)?.place.host().to_owned()),
            _ => None,
        };
        let registry = Registry::new(self.registry, self.environment, host.as_deref(), Patience::USUAL)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
            Failure::new(FailureCode::Internal, "failed to start the threads that reach registries").cause(&error)
        })?;
        // Jars are for every platform, but this machine's is the one that images are made for.
        let base = runtime.block_on(base::resolve(chosen, &Platform::machine(), &registry, fetched))?;
        let base = base.ok_or_else(|| Failure::new(FailureCode::Internal, "failed to find an image"))?;
        Ok(Found { config: base.config, layers: base.layers, reached: Some((runtime, registry)) })
    }
}

impl Found {
    /// One whose layers are files of this machine.
    pub(super) fn here(config: ImageConfiguration, layers: Vec<Blob>) -> Self {
        Self { config, layers, reached: None }
    }

    /// The file of a layer, compared with its digest, and whether it was fetched.
    pub(super) fn file(&self, layer: &Blob, fetched: &Path) -> Result<(PathBuf, bool)> {
        match (&layer.source, &self.reached) {
            (BlobSource::Registry(_), Some((runtime, registry))) => {
                Ok((runtime.block_on(registry.fetch(layer, fetched))?, true))
            }
            (BlobSource::File(file), _) => {
                if hashing::of_file(file)? != layer.digest()? {
                    return Err(damaged(file));
                }
                Ok((file.clone(), false))
            }
            _ => Err(Failure::new(FailureCode::Internal, "failed to get a layer that is nowhere")),
        }
    }
}

fn damaged(path: &Path) -> Failure {
    Failure::new(FailureCode::BaseUnusable, format!("failed to use {}", path.display()))
        .cause_text("its bytes are not what its digest says")
        .hint("make the image again: ./gradlew image")
}
