//! Manifests and indexes: asked for, read and written.

use super::Registry;
use super::answer::Refused;
use super::auth::Access;
use super::name::{Place, Reference};
use super::transport::{Call, body};
use crate::Digest;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use reqwest::{Method, Response, StatusCode};
use testfleet_protocol::{Failure, FailureCode, Result};

/// What a registry may answer with when it is asked for a manifest.
const KNOWN: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                     application/vnd.docker.distribution.manifest.list.v2+json, \
                     application/vnd.docker.distribution.manifest.v2+json";
/// Registries take no larger ones, in bytes (OCI distribution specification, "Pushing Manifests").
pub(crate) const LARGEST_MANIFEST: usize = 4 << 20;

/// A manifest or index as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// As they are.
    pub bytes: Bytes,
    /// Of these bytes.
    pub digest: Digest,
}

/// Says where the digest of what a tag names is.
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

impl Registry {
    /// The digest of what a reference names; `None` when it names nothing.
    ///
    /// # Errors
    /// `RegistryFailed` when the registry can't be reached or refuses.
    pub async fn digest(&self, reference: &Reference) -> Result<Option<Digest>> {
        let access = Access::pull(&reference.place);
        let what = format!("failed to look for {reference}");
        self.digest_for(&access, reference, &what).await.map_err(|refused| refused.failure)
    }

    /// The same, with the rights of `access`.
    pub(super) async fn digest_for(
        &self,
        access: &Access,
        reference: &Reference,
        what: &str,
    ) -> std::result::Result<Option<Digest>, Refused> {
        match self.manifest_request(access, Method::HEAD, reference, what).await {
            Ok(response) => match digest_header(&response) {
                Some(digest) => Ok(Some(digest)),
                // It is not bound to say.
                None => {
                    let response = self.manifest_request(access, Method::GET, reference, what).await?;
                    let bytes = body(response, LARGEST_MANIFEST, what).await?;
                    Ok(Some(Digest::of(&bytes)))
                }
            },
            Err(refused) if refused.is_missing() => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// What a reference names; `None` when it names nothing.
    ///
    /// # Errors
    /// `RegistryFailed` when the registry can't be reached or refuses, or what it sends is not what it says.
    pub async fn manifest(&self, reference: &Reference) -> Result<Option<Manifest>> {
        let what = format!("failed to read {reference}");
        let response = match self.manifest_request(&Access::pull(&reference.place), Method::GET, reference, &what).await
        {
            Ok(response) => response,
            Err(refused) if refused.is_missing() => return Ok(None),
            Err(refused) => return Err(refused.failure),
        };
        let said = digest_header(&response);
        let bytes = body(response, LARGEST_MANIFEST, &what).await.map_err(|refused| refused.failure)?;
        let digest = Digest::of(&bytes);
        for expected in [&reference.digest, &said].into_iter().flatten() {
            if *expected != digest {
                return Err(Failure::new(FailureCode::RegistryFailed, what)
                    .cause_text(format!("the registry sent {digest} for {expected}"))
                    .hint("the registry or a proxy before it damages what it sends: try again, then look there"));
            }
        }
        Ok(Some(Manifest { bytes, digest }))
    }

    async fn manifest_request(
        &self,
        access: &Access,
        method: Method,
        reference: &Reference,
        what: &str,
    ) -> std::result::Result<Response, Refused> {
        let url = self.transport.url(&reference.place, &format!("manifests/{}", reference.wanted()))?;
        let build = |request: reqwest::RequestBuilder| request.header(ACCEPT, KNOWN);
        self.transport.send(&Call { access, method, url: &url, what, wanted: &[StatusCode::OK], build: &build }).await
    }

    /// Writes a manifest under a tag, or under its digest alone.
    pub(super) async fn put_manifest(
        &self,
        access: &Access,
        place: &Place,
        name: &str,
        media_type: &str,
        bytes: &Bytes,
    ) -> std::result::Result<(), Refused> {
        let what = format!("failed to push the manifest {place}:{name}");
        let url = self.transport.url(place, &format!("manifests/{name}"))?;
        let build =
            |request: reqwest::RequestBuilder| request.header(CONTENT_TYPE, media_type.to_owned()).body(bytes.clone());
        // Some registries say 200 or 202.
        let wanted = [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED];
        let call = Call { access, method: Method::PUT, url: &url, what: &what, wanted: &wanted, build: &build };
        self.transport.send(&call).await?;
        Ok(())
    }
}

fn digest_header(response: &Response) -> Option<Digest> {
    response.headers().get(DIGEST)?.to_str().ok()?.parse().ok()
}
