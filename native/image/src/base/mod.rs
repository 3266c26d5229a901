//! What layers are laid over: an image of a registry, a folder in the OCI layout, or a tar file.

mod document;
mod keep;
mod layout;
mod loader;
mod memo;
mod platform;
mod registry;
mod tar;
#[cfg(test)]
mod tests;

pub use keep::keep_only;
pub(crate) use loader::check_loaders;
pub use platform::Platform;

use crate::Base;
use crate::registry::Registry;
use std::path::Path;
use testfleet_protocol::image::Base as Chosen;
use testfleet_protocol::{Failure, FailureCode, Result};

/// So many indexes may lead to an image.
const MOST_INDEXES: usize = 3;

/// Finds the base that was chosen, for a platform; `None` for [`Chosen::None`], which is made of this machine's JDK and not
/// found. Layers of a registry stay there until [`Registry::fetch`] is asked for them; those of a tar file are unpacked
/// into `fetched`, where manifests and configurations are kept as well.
///
/// # Errors
/// `InvalidRequest` for a reference that is none; `RegistryFailed` when a registry can't be reached or refuses;
/// `BaseUnusable` for what is damaged, of an unknown kind or of another platform; `Io` for files.
pub async fn resolve(
    chosen: &Chosen,
    platform: &Platform,
    registry: &Registry,
    fetched: &Path,
) -> Result<Option<Base>> {
    match chosen {
        Chosen::None => Ok(None),
        Chosen::Registry { reference } => {
            self::registry::resolve(reference, platform, registry, fetched).await.map(Some)
        }
        Chosen::Path { path } => {
            let (path, platform, fetched) = (path.clone(), platform.clone(), fetched.to_owned());
            let found = tokio::task::spawn_blocking(move || resolve_path(&path, &platform, &fetched)).await;
            let failed = |error: tokio::task::JoinError| {
                Failure::new(FailureCode::Internal, "failed to read a base").cause_text(error.to_string())
            };
            found.map_err(failed)?.map(Some)
        }
    }
}

pub(crate) fn resolve_path(path: &Path, platform: &Platform, fetched: &Path) -> Result<Base> {
    const HINT: &str = "name a folder in the OCI image layout, or a tar file of `docker save` or of that layout";
    let found = std::fs::metadata(path).map_err(|error| Failure::io("read the base", path, &error).hint(HINT))?;
    memo::remembered(path, platform, fetched, || {
        if found.is_dir() { layout::resolve(path, platform) } else { tar::resolve(path, platform, fetched) }
    })
}

/// Reads what a base is described by, whatever it is.
#[cfg(any(fuzzing, test))]
pub(crate) fn read_document(bytes: &[u8], platform: &Platform) {
    match document::Document::read(bytes, "base") {
        Ok(document::Document::Index(entries)) => drop(document::choose(&entries, platform, "base")),
        Ok(document::Document::Image { layers, .. }) => assert!(layers.len() <= 512),
        Err(failure) => assert!(failure.hint.is_some(), "{failure}"),
    }
    if let Err(failure) = document::read_config(bytes, 1, platform, "base") {
        assert!(failure.hint.is_some(), "{failure}");
    }
}
