//! An image registry: each document is an artifact of its own under a tag.
//!
//! An image manifest with one layer, the document, and the empty configuration (OCI image specification 1.1,
//! "Guidelines for Artifact Usage"), which registries take that know nothing of artifacts.

use super::{Found, LARGEST, Written, too_large};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use testfleet_image::registry::{Patience, Place, Reference, Registry as Client};
use testfleet_image::{Blob, Digest, Image};
use testfleet_protocol::image::RegistryOptions;
use testfleet_protocol::request::SharedHistory;
use testfleet_protocol::{Failure, FailureCode, Result};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const ARTIFACT: &str = "application/vnd.testfleet.history.v1";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const EMPTY_BYTES: &[u8] = b"{}";

pub(super) struct Registry {
    client: Client,
    place: Place,
}

/// What of a manifest says where the document is.
#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: Digest,
    size: u64,
}

impl Registry {
    pub(super) fn new(
        host: &str,
        repository: &str,
        plain: bool,
        history: &SharedHistory,
        environment: &BTreeMap<String, String>,
        connect: Duration,
    ) -> Result<Self> {
        let image = format!("{host}/{repository}");
        let place = Place::parse(&image).map_err(|failure| {
            Failure::new(FailureCode::InvalidRequest, "failed to choose where history is shared")
                .cause_text(failure.message)
                .hint("name it as oci://registry/repository")
        })?;
        let options = RegistryOptions {
            insecure: if plain { vec![host.to_owned()] } else { Vec::new() },
            user_variable: history.user_variable.clone(),
            password_variable: history.password_variable.clone(),
            ..RegistryOptions::default()
        };
        // A run waits for its history, but not for long.
        let patience = Patience { connect, tries: 3, ..Patience::USUAL };
        let client = Client::new(&options, environment, Some(place.host()), patience)?;
        Ok(Self { client, place })
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Found>> {
        let reference = Reference { place: self.place.clone(), tag: name.to_owned(), digest: None };
        let Some(manifest) = self.client.manifest(&reference).await? else { return Ok(None) };
        let strange = |text: String| {
            Failure::new(FailureCode::Io, format!("failed to understand what is under {name}"))
                .cause_text(text)
                .hint("somebody else uses this repository: name one for Testfleet alone")
        };
        let read: Manifest = serde_json::from_slice(&manifest.bytes)
            .map_err(|error| strange(format!("its manifest can't be read: {error}")))?;
        let layer = match read.layers.as_slice() {
            [layer] if layer.media_type == ARTIFACT => layer,
            _ => return Err(strange(format!("it is no {ARTIFACT}"))),
        };
        if layer.size > LARGEST as u64 {
            return Err(too_large(name));
        }
        let bytes = self.client.bytes(&self.place, &layer.digest, LARGEST).await?;
        Ok(Some(Found { bytes: bytes.to_vec(), version: Some(manifest.digest.to_string()) }))
    }

    /// Registries compare nothing: what is there is replaced.
    pub(super) async fn write(&self, name: &str, bytes: &[u8]) -> Result<Written> {
        let config = blob(EMPTY, EMPTY_BYTES)?;
        let layer = blob(ARTIFACT, bytes)?;
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT,
            "config": config.descriptor,
            "layers": [layer.descriptor],
        });
        let manifest = blob(MANIFEST, manifest.to_string().as_bytes())?;
        let image = Image { manifest, config, layers: vec![layer] };
        // All blobs are here: nothing is fetched into a folder.
        self.client.push(&image, &self.place, &[name.to_owned()], Path::new(""), &|_| {}).await?;
        Ok(Written::Done)
    }
}

fn blob(media_type: &str, bytes: &[u8]) -> Result<Blob> {
    Blob::of_bytes(media_type.into(), bytes.to_vec())
}
