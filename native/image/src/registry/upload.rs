//! A blob on its way to a registry: in pieces, going on where it broke off (OCI distribution specification, "Pushing a blob
//! in chunks"), or in one request where a registry takes no pieces.

use super::answer::Refused;
use super::auth::Access;
use super::content::Content;
use super::manner::Manner;
use super::transport::{Call, Transport, Tries};
use crate::Digest;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use testfleet_protocol::Result;

/// How often a blob is begun. Registries like docker-registry 2.8 forget a blob whose connection broke within a piece.
const MOST_STARTS: u32 = 4;

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
    /// The least that it takes in a piece but the last, in bytes.
    least: u64,
}

impl Upload<'_> {
    fn what(&self) -> String {
        format!("failed to push the blob {} to {}", self.digest, self.access.place)
    }

    /// Sends what the registry lacks; returns how many bytes it took. `begun` is where a session is open already.
    pub(super) async fn send(&self, begun: Option<Url>) -> Result<u64> {
        let (mut taken, mut starts, mut spoiled) = (0, 0, false);
        let mut manner = self.transport.manner(self.access.place.host());
        let mut tries = Tries::new();
        // Beyond it there is headway.
        let mut farthest = 0;
        let mut session = begun.map(|url| Session { url, offset: 0, least: 0 });
        loop {
            let mut at = match session.take() {
                Some(session) => session,
                None => {
                    starts += 1;
                    self.begin().await.map_err(|refused| refused.failure)?
                }
            };
            let before = at.offset;
            let piece = self.piece_of(&at, manner);
            let ended = match piece {
                Some(size) => self.send_piece(&mut at, size).await.map(|()| false),
                None => self.send_rest(&mut at).await.map(|()| true),
            };
            taken += self.moved(before, at.offset);
            if at.offset > farthest {
                farthest = at.offset;
                tries.reset();
            }
            let refused = match ended {
                Ok(true) => {
                    self.transport.learn(self.access.place.host(), manner);
                    return Ok(taken);
                }
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
            let reason = refused.failure.clone();
            // What is refused before any byte was taken is the manner, not the blob.
            let other = piece
                .and(refused.status)
                .and_then(|status| manner.after(status, farthest == 0, self.transport.patience.piece));
            if let Some(other) = other {
                tracing::debug!(registry = self.access.place.host(), ?other, "the registry takes no such pieces");
                manner = other;
            }
            session = match refused.status {
                Some(StatusCode::PAYLOAD_TOO_LARGE) if other.is_some() => Some(at),
                _ if other.is_some() => {
                    starts = 0;
                    None
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
                    match manner {
                        Manner::Pieces(_) => self.look(at).await,
                        Manner::Whole => None,
                    }
                }
            };
            taken += self.moved(has, session.as_ref().map_or(0, |session| session.offset));
            if session.is_none() {
                // What broke off may have arrived after all.
                if exists(self.transport, self.access, self.digest).await.map_err(|refused| refused.failure)? {
                    return Ok(taken + self.moved(0, self.size));
                }
                if starts >= MOST_STARTS {
                    return Err(reason
                        .cause_text(format!("the registry forgot what it had of the blob, {starts} times"))
                        .hint(
                            "run it again over a steadier connection: blobs that arrived as a whole are not sent again",
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
        let wanted = [StatusCode::ACCEPTED];
        let response = self.transport.send(&self.call(Method::POST, &url, &what, &wanted, &build)).await?;
        let least = response.headers().get("oci-chunk-min-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let url = self.transport.location(&self.access.place, &response, &what)?;
        Ok(Session { url, offset: 0, least: least.unwrap_or_default() })
    }

    /// The size of the next piece; `None` when the rest goes with the end of the session.
    fn piece_of(&self, at: &Session, manner: Manner) -> Option<u64> {
        let Manner::Pieces(size) = manner else { return None };
        let (left, size) = (self.size - at.offset, size.max(at.least));
        (left > 0 && (at.offset > 0 || left > size)).then(|| left.min(size))
    }

    async fn send_piece(&self, at: &mut Session, size: u64) -> std::result::Result<(), Refused> {
        let what = self.what();
        let piece = self.content.piece(at.offset, size).await?;
        let range = format!("{}-{}", at.offset, at.offset + size - 1);
        let build = |request: RequestBuilder| {
            let request = request.header(CONTENT_TYPE, "application/octet-stream");
            request.header(CONTENT_RANGE, range.clone()).body(piece.clone())
        };
        let wanted = [StatusCode::ACCEPTED, StatusCode::CREATED, StatusCode::NO_CONTENT];
        let response = self.transport.once(&self.call(Method::PATCH, &at.url, &what, &wanted, &build)).await?;
        at.url = self.transport.location(&self.access.place, &response, &what)?;
        // A registry may have taken less than it was sent.
        let has = has(&response).filter(|has| *has > at.offset && *has < at.offset + size);
        at.offset = has.unwrap_or(at.offset + size);
        Ok(())
    }

    /// Sends all that the registry lacks, and ends the session.
    async fn send_rest(&self, at: &mut Session) -> std::result::Result<(), Refused> {
        let (what, left) = (self.what(), self.size - at.offset);
        let mut url = at.url.clone();
        url.query_pairs_mut().append_pair("digest", self.digest.as_str());
        let taken = Arc::new(AtomicU64::new(0));
        let is_small = left <= self.transport.patience.piece;
        let all = if is_small { Some(self.content.piece(at.offset, left).await?) } else { None };
        let body = || match &all {
            Some(bytes) => Body::from(bytes.clone()),
            None => Body::wrap(self.content.streamed(at.offset, self.size, Arc::clone(&taken))),
        };
        let build = |request: RequestBuilder| {
            let request = request.header(CONTENT_TYPE, "application/octet-stream");
            request.header(CONTENT_LENGTH, left).body(body())
        };
        let wanted = [StatusCode::CREATED, StatusCode::NO_CONTENT, StatusCode::OK];
        let call = self.call(Method::PUT, &url, &what, &wanted, &build);
        tokio::select! {
            ended = self.transport.once(&call) => ended?,
            () = self.stalled(&taken) => {
                return Err(Refused::silent(&what, self.transport.patience.silence));
            }
        };
        at.offset = self.size;
        Ok(())
    }

    /// Ends when nothing was sent for as long as a registry may say nothing.
    async fn stalled(&self, taken: &AtomicU64) {
        let mut before = None;
        loop {
            let now = taken.load(Ordering::Relaxed);
            if before.replace(now) == Some(now) {
                return;
            }
            tokio::time::sleep(self.transport.patience.silence).await;
        }
    }

    fn call<'b>(
        &'b self,
        method: Method,
        url: &'b Url,
        what: &'b str,
        wanted: &'b [StatusCode],
        build: &'b (dyn Fn(RequestBuilder) -> RequestBuilder + Sync),
    ) -> Call<'b> {
        Call { access: self.access, method, url, what, wanted, build }
    }

    /// How much the registry has after something broke; `None` when it is to be begun anew.
    async fn look(&self, at: Session) -> Option<Session> {
        let wanted = [StatusCode::NO_CONTENT, StatusCode::ACCEPTED, StatusCode::OK];
        let what = self.what();
        let found = self.transport.send(&self.call(Method::GET, &at.url, &what, &wanted, &|request| request)).await;
        let response = found.ok()?;
        let offset = has(&response).filter(|has| *has <= self.size)?;
        let url = self.transport.location(&self.access.place, &response, &what).unwrap_or(at.url);
        Some(Session { url, offset, least: at.least })
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
    let (method, wanted) = (Method::HEAD, &[StatusCode::OK]);
    let call = Call { access, method, url: &url, what: &what, wanted, build: &|request| request };
    match transport.send(&call).await {
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
