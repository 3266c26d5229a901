//! An image on its way to a registry.

use super::Registry;
use super::answer::Refused;
use super::auth::Access;
use super::content::Content;
use super::fetch::digest_of;
use super::name::{Place, Reference, is_tag};
use super::transport::Call;
use super::upload::{Upload, exists};
use crate::{Blob, BlobSource, Digest, Image};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use testfleet_protocol::{Failure, FailureCode, Result};

/// How many blobs are on their way at once.
const AT_ONCE: usize = 4;

/// What a push came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes of blobs and manifests that the registry took.
    pub bytes: u64,
    /// Blobs that were sent.
    pub sent: u32,
    /// Blobs that were there already.
    pub there: u32,
    /// Blobs that were taken from another repository of the registry.
    pub mounted: u32,
    /// Manifests that were written: one for each tag that did not name the image yet.
    pub manifests: u32,
}

/// How far a push is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that the registry took.
    pub bytes: u64,
    /// Bytes of blobs that were found to be missing so far.
    pub of: u64,
    /// Blobs that are there now.
    pub blobs: u32,
    /// All blobs.
    pub of_blobs: u32,
}

/// What became of a blob.
enum Became {
    There,
    Mounted,
    Sent(u64),
}

struct Push<'a> {
    registry: &'a Registry,
    access: Access,
    place: &'a Place,
    fetched: &'a Path,
    progress: Mutex<Progress>,
    told: &'a (dyn Fn(Progress) + Send + Sync),
}

impl Registry {
    /// Makes `place` have the image under its digest and all `tags`. What is there is not sent: when the tags name the image
    /// already, nothing is. Blobs that are in another repository of the same registry are mounted; those of another
    /// registry are fetched into `fetched` first.
    ///
    /// # Errors
    /// `RegistryFailed` when a registry can't be reached or refuses; `InvalidRequest` for tags that are none; `Io` when a
    /// blob's file can't be read or is damaged. What the registry has got until then is not sent again by the next push.
    pub async fn push(
        &self,
        image: &Image,
        place: &Place,
        tags: &[String],
        fetched: &Path,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Pushed> {
        if let Some(tag) = tags.iter().find(|tag| !is_tag(tag)) {
            return Err(Failure::new(FailureCode::InvalidRequest, format!("failed to push to {place}"))
                .cause_text(format!("`{tag}` can't be a tag"))
                .hint("a tag has up to 128 letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`"));
        }
        let manifest = self.whole(&image.manifest, fetched).await?;
        let digest = Digest::of(&manifest);
        let mut blobs: Vec<(Digest, &Blob)> = Vec::new();
        for blob in image.layers.iter().chain([&image.config]) {
            let digest = digest_of(&blob.descriptor)?;
            if blobs.iter().all(|(known, _)| *known != digest) {
                blobs.push((digest, blob));
            }
        }
        // The largest first, so that none is left alone at the end.
        blobs.sort_by_key(|(_, blob)| std::cmp::Reverse(blob.descriptor.size()));
        let sources: Vec<Place> = blobs
            .iter()
            .filter_map(|(_, blob)| match &blob.source {
                BlobSource::Registry(source) => Some(Place::parse(source)),
                _ => None,
            })
            .collect::<Result<_>>()?;
        let others = sources.iter().filter(|source| source.host() == place.host() && *source != place);
        let push = Push {
            registry: self,
            access: Access::push(place, others),
            place,
            fetched,
            progress: Mutex::new(Progress { of_blobs: blobs.len() as u32, ..Progress::default() }),
            told: progress,
        };
        push.run(&blobs, &digest, image.manifest.descriptor.media_type().as_ref(), &manifest, tags).await
    }

    /// Whether it can be pushed to `place` with the login that there is: begins an upload, and gives it up.
    ///
    /// # Errors
    /// `RegistryFailed` when the registry can't be reached or refuses.
    pub async fn try_push(&self, place: &Place) -> Result<()> {
        let (access, transport) = (Access::push(place, std::iter::empty()), &self.transport);
        let what = format!("failed to push to {place}");
        let url = transport.url(place, "blobs/uploads/")?;
        let build = |request: RequestBuilder| request.header(CONTENT_LENGTH, 0);
        let wanted = [StatusCode::ACCEPTED];
        let call =
            Call { access: &access, method: Method::POST, url: &url, what: &what, wanted: &wanted, build: &build };
        let begun = transport.send(&call).await.map_err(|refused| refused.failure)?;
        // Registries forget uploads that nobody goes on with; not all know how to be told to.
        if let Ok(url) = transport.location(place, &begun, &what) {
            let wanted = [StatusCode::NO_CONTENT, StatusCode::OK, StatusCode::ACCEPTED];
            let build = |request: RequestBuilder| request;
            let _ = transport
                .once(&Call { method: Method::DELETE, url: &url, wanted: &wanted, build: &build, ..call })
                .await;
        }
        Ok(())
    }

    /// All bytes of a small blob.
    async fn whole(&self, blob: &Blob, fetched: &Path) -> Result<Bytes> {
        if let BlobSource::Bytes(bytes) = &blob.source {
            return Ok(Bytes::from(bytes.clone()));
        }
        let path = self.fetch(blob, fetched).await?;
        let bytes = tokio::fs::read(&path).await.map_err(|error| Failure::io("read", &path, &error))?;
        Ok(Bytes::from(bytes))
    }
}

impl Push<'_> {
    async fn run(
        &self,
        blobs: &[(Digest, &Blob)],
        digest: &Digest,
        media_type: &str,
        manifest: &Bytes,
        tags: &[String],
    ) -> Result<Pushed> {
        let mut pushed = Pushed::default();
        let mut missing = Vec::new();
        for tag in tags {
            if self.named(tag, None).await?.as_ref() != Some(digest) {
                missing.push(tag.as_str());
            }
        }
        // A registry has all blobs of a manifest that it has.
        let there = missing.len() < tags.len() || self.named("", Some(digest)).await?.is_some();
        if there {
            pushed.there = blobs.len() as u32;
        } else {
            let mut became =
                stream::iter(blobs).map(|(digest, blob)| self.blob(digest, blob)).buffer_unordered(AT_ONCE);
            while let Some(became) = became.try_next().await? {
                match became {
                    Became::There => pushed.there += 1,
                    Became::Mounted => pushed.mounted += 1,
                    Became::Sent(bytes) => {
                        pushed.sent += 1;
                        pushed.bytes += bytes;
                    }
                }
            }
            if missing.is_empty() {
                missing.push(digest.as_str());
            }
        }
        for name in missing {
            let written = self.registry.put_manifest(&self.access, self.place, name, media_type, manifest).await;
            written.map_err(|refused| refused.failure)?;
            pushed.manifests += 1;
            pushed.bytes += manifest.len() as u64;
        }
        Ok(pushed)
    }

    async fn named(&self, tag: &str, digest: Option<&Digest>) -> Result<Option<Digest>> {
        let reference = Reference { place: self.place.clone(), tag: tag.to_owned(), digest: digest.cloned() };
        let what = format!("failed to push to {reference}");
        self.registry.digest_for(&self.access, &reference, &what).await.map_err(|refused| refused.failure)
    }

    async fn blob(&self, digest: &Digest, blob: &Blob) -> Result<Became> {
        let known = (self.place.clone(), digest.clone());
        let is_known = || self.registry.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&known);
        let became = if is_known() { Became::There } else { self.bring(digest, blob).await? };
        self.registry.known.lock().unwrap_or_else(PoisonError::into_inner).insert(known);
        self.tell(|progress| progress.blobs += 1);
        Ok(became)
    }

    async fn bring(&self, digest: &Digest, blob: &Blob) -> Result<Became> {
        let transport = &self.registry.transport;
        if exists(transport, &self.access, digest).await.map_err(|refused| refused.failure)? {
            return Ok(Became::There);
        }
        let mut session = None;
        let content = match &blob.source {
            BlobSource::Bytes(bytes) => Content::Bytes(Bytes::from(bytes.clone())),
            BlobSource::File(path) => Content::File(path.clone()),
            BlobSource::Registry(source) => {
                let source = Place::parse(source)?;
                if source.host() == self.place.host() {
                    match self.mount(digest, &source).await {
                        Ok(None) => return Ok(Became::Mounted),
                        Ok(begun) => session = begun,
                        // Whoever may not mount may still read and write.
                        Err(refused) if refused.is_denied() || refused.is_missing() => {}
                        Err(refused) => return Err(refused.failure),
                    }
                }
                Content::File(self.registry.fetch(blob, self.fetched).await?)
            }
        };
        let size = blob.descriptor.size();
        self.tell(|progress| progress.of += size);
        let upload = Upload {
            transport,
            access: &self.access,
            digest,
            size,
            content,
            progress: Arc::new(|moved: i64| {
                self.tell(|progress| progress.bytes = progress.bytes.saturating_add_signed(moved));
            }),
        };
        Ok(Became::Sent(upload.send(session).await?))
    }

    /// Takes a blob from another repository of the registry; where to send it when the registry does not do that.
    async fn mount(&self, digest: &Digest, source: &Place) -> std::result::Result<Option<Url>, Refused> {
        let transport = &self.registry.transport;
        let what = format!("failed to take the blob {digest} from {source} to {}", self.place);
        let mut url = transport.url(self.place, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", source.repository());
        let build = |request: RequestBuilder| request.header(CONTENT_LENGTH, 0);
        let wanted = [StatusCode::CREATED, StatusCode::ACCEPTED];
        let (access, method) = (&self.access, Method::POST);
        let call = Call { access, method, url: &url, what: &what, wanted: &wanted, build: &build };
        let response = transport.send(&call).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(None);
        }
        Ok(transport.location(self.place, &response, &what).ok())
    }

    fn tell(&self, change: impl FnOnce(&mut Progress)) {
        let now = {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut progress);
            *progress
        };
        (self.told)(now);
    }
}
