//! A base of a registry. Manifests, indexes and configurations are kept by their digest: what is named by its digest and
//! was seen once costs no request.

use super::document::{Document, LARGEST_CONFIG, choose, read_config, unusable};
use super::{MOST_INDEXES, Platform};
use crate::registry::{LARGEST_MANIFEST, Reference, Registry, digest_of, file_of, keep};
use crate::{Base, Blob, BlobSource, Digest};
use bytes::Bytes;
use std::path::Path;
use testfleet_protocol::{Failure, FailureCode, Result};

pub(super) async fn resolve(text: &str, wanted: &Platform, registry: &Registry, fetched: &Path) -> Result<Base> {
    let mut reference = Reference::parse(text)?;
    let base = reference.to_string();
    let mut documents = Vec::new();
    for _ in 0..MOST_INDEXES {
        let (bytes, digest) = manifest(&reference, registry, fetched).await?;
        documents.push(digest.clone());
        match Document::read(&bytes, &base)? {
            Document::Index(entries) => reference.digest = Some(digest_of(choose(&entries, wanted, &base)?)?),
            Document::Image { config, layers } => {
                let (id, size) = (digest_of(&config)?, config.size());
                if size > LARGEST_CONFIG as u64 {
                    let hint = "it may be damaged: push it again, or choose another";
                    return Err(unusable(&base, format!("its configuration has {size} bytes"), hint));
                }
                let config = match kept(fetched, &id) {
                    Some(bytes) => bytes,
                    None => {
                        let bytes = registry.bytes(&reference.place, &id, LARGEST_CONFIG).await?;
                        keep(&file_of(fetched, &id), &id, &bytes)?;
                        bytes
                    }
                };
                let config = read_config(&config, layers.len(), wanted, &base)?;
                let source = BlobSource::Registry(reference.place.to_string());
                let layers = layers.into_iter().map(|descriptor| Blob { descriptor, source: source.clone() }).collect();
                documents.push(id);
                return Ok(Base { config, layers, identity: digest.to_string(), documents });
            }
        }
    }
    Err(unusable(&base, "it is an index of indexes of indexes", "name one of the images in it by its digest"))
}

/// What a reference names, from what is kept where that is known to be the same.
async fn manifest(reference: &Reference, registry: &Registry, fetched: &Path) -> Result<(Bytes, Digest)> {
    let missing = || {
        Failure::new(FailureCode::RegistryFailed, format!("failed to find {reference}"))
            .cause_text("the registry has no such image")
            .hint("look at the name and the tag; some registries hide what needs a login: `docker login`")
    };
    let digest = match &reference.digest {
        Some(digest) => Some(digest.clone()),
        None => Some(registry.digest(reference).await?.ok_or_else(missing)?),
    };
    if let Some(digest) = digest
        && let Some(bytes) = kept(fetched, &digest)
    {
        return Ok((bytes, digest));
    }
    let manifest = registry.manifest(reference).await?.ok_or_else(missing)?;
    keep(&file_of(fetched, &manifest.digest), &manifest.digest, &manifest.bytes)?;
    Ok((manifest.bytes, manifest.digest))
}

/// A small blob that is kept, if it is what it should be.
fn kept(fetched: &Path, digest: &Digest) -> Option<Bytes> {
    let path = file_of(fetched, digest);
    let size = std::fs::metadata(&path).ok()?.len();
    let small = size <= LARGEST_MANIFEST.max(LARGEST_CONFIG) as u64;
    let bytes = std::fs::read(&path).ok().filter(|_| small)?;
    (Digest::of(&bytes) == *digest).then(|| Bytes::from(bytes))
}
