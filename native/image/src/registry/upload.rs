//! A blob on its way to a registry, in pieces, going on where it broke off (OCI distribution specification, "Pushing a blob
//! in chunks").

use super::answer::Refused;
use super::auth::Access;
use super::transport::{Transport, Tries};
use crate::Digest;
use crate::hashing;
use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use testfleet_protocol::{Failure, FailureCode, Result};

/// The least share of the usual pieces: 4 MiB of 16, which no registry refuses.
const SMALLEST_SHARE: u64 = 4;
/// How often a blob is begun anew.
const MOST_STARTS: u32 = 4;

/// Bytes that can be read again from anywhere.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

impl Content {
    async fn piece(&self, from: u64, size: u64) -> Result<Bytes> {
        match self {
            Self::Bytes(bytes) => {
                let range = usize::try_from(from).ok().zip(usize::try_from(from + size).ok());
                let within = range.filter(|(_, end)| *end <= bytes.len());
                within.map(|(from, end)| bytes.slice(from..end)).ok_or_else(|| {
                    Failure::new(FailureCode::Internal, "failed to read a blob").cause_text("it is shorter than said")
                })
            }
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || {
                    let failed = |error: std::io::Error| {
                        let hint =
                            "it was to be sent to a registry: has something deleted or shortened it? run it again";
                        Failure::io("read", &path, &error).hint(hint)
                    };
                    let mut bytes = vec![0; size as usize];
                    let file = std::fs::File::open(&path).map_err(failed)?;
                    file.read_exact_at(&mut bytes, from).map_err(failed)?;
                    Ok(Bytes::from(bytes))
                });
                read.await.map_err(|error| {
                    Failure::new(FailureCode::Internal, "failed to read a blob").cause_text(error.to_string())
                })?
            }
        }
    }

    /// Whether these are the bytes of that digest.
    async fn check(&self, digest: &Digest) -> Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let (path, expected) = (path.clone(), digest.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let digest = hashing::of_file(&path)?;
            if digest == expected {
                return Ok(());
            }
            Err(Failure::new(FailureCode::Io, format!("failed to push {}", path.display()))
                .cause_text(format!("its digest is {digest}, not {expected}: the file is damaged"))
                .hint("delete the file and run it again: it is made or fetched anew"))
        });
        checked.await.map_err(|error| {
            Failure::new(FailureCode::Internal, "failed to read a blob").cause_text(error.to_string())
        })?
    }
}

/// A blob that a registry lacks.
pub(super) struct Upload<'a> {
    pub(super) transport: &'a Transport,
    pub(super) access: &'a Access,
    pub(super) digest: &'a Digest,
    pub(super) size: u64,
    pub(super) content: Content,
    /// Told of bytes that the registry took; of negative ones when it lost what it had.
    pub(super) progress: Arc<dyn Fn(i64) + Send + Sync + 'a>,
}

/// Where an upload stands.
struct Session {
    url: Url,
    /// What the registry has.
    offset: u64,
    /// Bytes of a piece.
    piece: u64,
}

impl Upload<'_> {
    fn what(&self) -> String {
        format!("failed to push the blob {} to {}", self.digest, self.access.place)
    }

    /// Sends what the registry lacks; returns how many bytes it took. `begun` is where a session is open already.
    pub(super) async fn send(&self, begun: Option<Url>) -> Result<u64> {
        let (mut taken, mut starts, mut spoiled) = (0, 0, false);
        let usual = self.transport.patience.piece;
        let mut tries = Tries::new();
        // Beyond it there is headway.
        let mut farthest = 0;
        let mut session = begun.map(|url| Session { url, offset: 0, piece: usual });
        loop {
            let mut at = match session.take() {
                Some(session) => session,
                None => {
                    starts += 1;
                    self.begin().await.map_err(|refused| refused.failure)?
                }
            };
            let before = at.offset;
            let ended = self.step(&mut at).await;
            taken += self.moved(before, at.offset);
            if at.offset > farthest {
                farthest = at.offset;
                tries.reset();
            }
            let refused = match ended {
                Ok(true) => return Ok(taken),
                Ok(false) => {
                    session = Some(at);
                    continue;
                }
                Err(refused) => refused,
            };
            if refused.codes.iter().any(|code| code == "DIGEST_INVALID") {
                self.content.check(self.digest).await?;
                if std::mem::replace(&mut spoiled, true) {
                    return Err(refused.failure.hint("something on the way to the registry changes what is sent"));
                }
            }
            let has = at.offset;
            session = match refused.status {
                Some(StatusCode::PAYLOAD_TOO_LARGE) if at.piece > usual / SMALLEST_SHARE => {
                    Some(Session { piece: usual / SMALLEST_SHARE, ..at })
                }
                // The session is gone, or what the registry has of the blob is not what it should be.
                Some(StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::RANGE_NOT_SATISFIABLE)
                    if starts < MOST_STARTS =>
                {
                    None
                }
                _ => {
                    let waited = self.transport.wait(self.access, &mut tries, refused).await;
                    waited.map_err(|refused| refused.failure)?;
                    self.look(at).await
                }
            };
            taken += self.moved(has, session.as_ref().map_or(0, |session| session.offset));
            if session.is_none() {
                // What broke off may have arrived after all.
                if exists(self.transport, self.access, self.digest).await.map_err(|refused| refused.failure)? {
                    return Ok(taken + self.moved(0, self.size));
                }
                if starts >= MOST_STARTS {
                    return Err(Failure::new(FailureCode::RegistryFailed, self.what())
                        .cause_text(format!("the registry lost what it had of the blob, {starts} times"))
                        .hint(
                            "is there more than one registry behind that name? they have to share storage and secret",
                        ));
                }
            }
        }
    }

    /// Tells of headway or the loss of it; returns the headway.
    fn moved(&self, from: u64, to: u64) -> u64 {
        if from != to {
            (self.progress)(to.cast_signed() - from.cast_signed());
        }
        to.saturating_sub(from)
    }

    async fn begin(&self) -> std::result::Result<Session, Refused> {
        let (what, url) = (self.what(), self.transport.url(&self.access.place, "blobs/uploads/")?);
        let build = |request: RequestBuilder| request.header(CONTENT_LENGTH, 0);
        let response =
            self.transport.send(self.access, Method::POST, &url, &what, &[StatusCode::ACCEPTED], &build).await?;
        let least = response.headers().get("oci-chunk-min-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let url = self.transport.location(&self.access.place, &response, &what)?;
        Ok(Session { url, offset: 0, piece: self.transport.patience.piece.max(least.unwrap_or_default()) })
    }

    /// Sends the next piece, or ends the session; whether the blob is there.
    async fn step(&self, at: &mut Session) -> std::result::Result<bool, Refused> {
        let what = self.what();
        let left = self.size - at.offset;
        if left > 0 && (at.offset > 0 || left > at.piece) {
            let size = left.min(at.piece);
            let piece = self.content.piece(at.offset, size).await?;
            let range = format!("{}-{}", at.offset, at.offset + size - 1);
            let build = |request: RequestBuilder| {
                let request = request.header(CONTENT_TYPE, "application/octet-stream");
                request.header(CONTENT_RANGE, range.clone()).body(piece.clone())
            };
            let wanted = [StatusCode::ACCEPTED, StatusCode::CREATED, StatusCode::NO_CONTENT];
            let response = self.transport.once(self.access, Method::PATCH, &at.url, &what, &wanted, &build).await?;
            at.url = self.transport.location(&self.access.place, &response, &what)?;
            // A registry may have taken less than it was sent.
            let has = has(&response).filter(|has| *has > at.offset && *has < at.offset + size);
            at.offset = has.unwrap_or(at.offset + size);
            return Ok(false);
        }
        let rest = self.content.piece(at.offset, left).await?;
        let mut url = at.url.clone();
        url.query_pairs_mut().append_pair("digest", self.digest.as_str());
        let build = |request: RequestBuilder| {
            let request = request.header(CONTENT_TYPE, "application/octet-stream");
            request.header(CONTENT_LENGTH, rest.len()).body(rest.clone())
        };
        let wanted = [StatusCode::CREATED, StatusCode::NO_CONTENT, StatusCode::OK];
        self.transport.once(self.access, Method::PUT, &url, &what, &wanted, &build).await?;
        at.offset = self.size;
        Ok(true)
    }

    /// How much the registry has after something broke; `None` when it is to be begun anew.
    async fn look(&self, at: Session) -> Option<Session> {
        let wanted = [StatusCode::NO_CONTENT, StatusCode::ACCEPTED, StatusCode::OK];
        let what = self.what();
        let found = self.transport.send(self.access, Method::GET, &at.url, &what, &wanted, &|request| request);
        let response = found.await.ok()?;
        let offset = has(&response).filter(|has| *has <= self.size)?;
        let url = self.transport.location(&self.access.place, &response, &what).unwrap_or(at.url);
        Some(Session { url, offset, piece: at.piece })
    }
}

/// Whether a registry has a blob.
pub(super) async fn exists(
    transport: &Transport,
    access: &Access,
    digest: &Digest,
) -> std::result::Result<bool, Refused> {
    let what = format!("failed to look for the blob {digest} in {}", access.place);
    let url = transport.url(&access.place, &format!("blobs/{digest}"))?;
    match transport.send(access, Method::HEAD, &url, &what, &[StatusCode::OK], &|request| request).await {
        Ok(_) => Ok(true),
        Err(refused) if refused.is_missing() => Ok(false),
        Err(refused) => Err(refused),
    }
}

/// How many bytes a registry says that it has: `0-99` are a hundred, `0-0` are none.
fn has(response: &Response) -> Option<u64> {
    let range = response.headers().get(RANGE)?.to_str().ok()?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (from, to) = range.split_once('-')?;
    match (from, to.parse::<u64>().ok()?) {
        ("0", 0) => Some(0),
        ("0", last) => last.checked_add(1),
        _ => None,
    }
}
