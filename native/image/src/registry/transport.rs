//! One request to a registry: where it goes, who it is from, and what happens when it comes to nothing.

use super::answer::Refused;
use super::auth::{Access, Doorkeeper};
use super::manner::Manner;
use super::name::Place;
use bytes::{Bytes, BytesMut};
use reqwest::header::LOCATION;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};
use testfleet_wire::Backoff;

const MOST_REDIRECTS: usize = 5;
/// So often a login is asked for again: a token may expire while others use it up, or on a slow line.
const KNOCKS: u32 = 3;

/// How much a registry is put up with.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long a connection may take.
    pub connect: Duration,
    /// How long a registry may say nothing.
    pub silence: Duration,
    /// How often something is tried that makes no headway.
    pub tries: u32,
    /// How often it is tried at a registry that has not answered once yet.
    pub first_tries: u32,
    /// The longest wait that a registry may ask for.
    pub rest: Duration,
    /// Bytes of a blob that are sent at once: what a broken connection costs, at a registry that forgets half a request.
    pub piece: u64,
}

impl Patience {
    /// For images: a registry that starts again within ten seconds is waited for.
    pub const USUAL: Self = Self {
        connect: Duration::from_secs(10),
        silence: Duration::from_secs(300),
        tries: 8,
        first_tries: 3,
        rest: Duration::from_secs(60),
        piece: 16 << 20,
    };
}

pub(super) struct Transport {
    client: Client,
    /// For bodies that are sent while they are read: a client's patience with a silent registry begins with the request.
    streaming: Client,
    doorkeeper: Doorkeeper,
    /// `host:port` of those that speak plain HTTP.
    insecure: Vec<String>,
    pub(super) patience: Patience,
    /// Hosts that answered.
    answered: Mutex<HashSet<String>>,
    /// How hosts take blobs that do not take them in the usual manner.
    manners: Mutex<HashMap<String, Manner>>,
}

/// A request, and what is hoped of it.
pub(super) struct Call<'a> {
    pub(super) access: &'a Access,
    pub(super) method: Method,
    pub(super) url: &'a Url,
    /// "failed to ..."
    pub(super) what: &'a str,
    /// Any other answer is an error.
    pub(super) wanted: &'a [StatusCode],
    /// Adds headers and body, for each try anew.
    pub(super) build: &'a (dyn Fn(RequestBuilder) -> RequestBuilder + Sync),
}

/// The tries at one thing.
pub(super) struct Tries {
    made: u32,
    backoff: Backoff,
}

impl Tries {
    pub(super) fn new() -> Self {
        Self { made: 0, backoff: Backoff::default() }
    }

    /// There was headway.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }
}

impl Transport {
    pub(super) fn new(
        doorkeeper: Doorkeeper,
        insecure: Vec<String>,
        patience: Patience,
        client: impl Fn(redirect::Policy, Option<Duration>) -> Result<Client>,
    ) -> Result<Self> {
        // The client itself leaves logins out of requests to another host.
        let policy = || {
            redirect::Policy::custom(|attempt| {
                let secure = attempt.previous().iter().any(|url| url.scheme() == "https");
                if attempt.previous().len() > MOST_REDIRECTS {
                    attempt.error("the registry points elsewhere again and again")
                } else if secure && attempt.url().scheme() != "https" {
                    attempt.error("the registry points to a place without TLS")
                } else {
                    attempt.follow()
                }
            })
        };
        Ok(Self {
            client: client(policy(), Some(patience.silence))?,
            streaming: client(policy(), None)?,
            doorkeeper,
            insecure,
            patience,
            answered: Mutex::default(),
            manners: Mutex::default(),
        })
    }

    /// How blobs are sent to a host.
    pub(super) fn manner(&self, host: &str) -> Manner {
        let manners = self.manners.lock().unwrap_or_else(PoisonError::into_inner);
        manners.get(host).copied().unwrap_or(Manner::Pieces(self.patience.piece))
    }

    /// A host took a blob that way. The usual one says nothing: a small blob goes that way everywhere.
    pub(super) fn learn(&self, host: &str, manner: Manner) {
        if manner != Manner::Pieces(self.patience.piece) {
            self.manners.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), manner);
        }
    }

    fn is_plain(&self, place: &Place) -> bool {
        place.is_loopback() || self.insecure.iter().any(|host| host == place.host())
    }

    /// The address of something of a repository: `manifests/latest`.
    pub(super) fn url(&self, place: &Place, path: &str) -> Result<Url> {
        let scheme = if self.is_plain(place) { "http" } else { "https" };
        let text = format!("{scheme}://{}/v2/{}/{path}", place.api_host(), place.repository());
        Url::parse(&text).map_err(|error| {
            Failure::new(FailureCode::InvalidRequest, format!("failed to reach {place}"))
                .cause(&error)
                .hint("look at the name of the registry")
        })
    }

    /// Where an answer says that it goes on.
    pub(super) fn location(&self, place: &Place, response: &Response, what: &str) -> Result<Url> {
        let text = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let mut url = text.and_then(|text| response.url().join(text).ok()).ok_or_else(|| {
            Failure::new(FailureCode::RegistryFailed, what)
                .cause_text("the registry does not say where to send the blob: its answer has no Location")
                .hint("is this a registry, and does the proxy before it leave its headers alone?")
        })?;
        // A registry behind something that speaks TLS for it may not know of that.
        let home = self.url(place, "")?;
        if url.host_str() == home.host_str() && home.scheme() == "https" && url.scheme() == "http" {
            let _ = url.set_scheme("https");
            let _ = url.set_port(home.port());
        }
        Ok(url)
    }

    /// Sends a request once, and again when the registry wants a login or a fresh token; nothing else is tried again.
    pub(super) async fn once(&self, call: &Call<'_>) -> std::result::Result<Response, Refused> {
        let Call { access, method, url, what, wanted, build } = call;
        let home = self.url(&access.place, "")?;
        let ours = url.origin() == home.origin();
        let mut knocked = 0;
        loop {
            let request = build(self.client.request(method.clone(), (*url).clone()));
            let mut request = request.build().map_err(|error| Refused::broken(what, error))?;
            let used = if ours { self.doorkeeper.open(access, &mut request).await } else { None };
            let is_streamed = request.body().is_some_and(|body| body.as_bytes().is_none());
            let client = if is_streamed { &self.streaming } else { &self.client };
            let response = client.execute(request).await.map_err(|error| Refused::broken(what, error))?;
            self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(access.place.host().to_owned());
            if wanted.contains(&response.status()) {
                return Ok(response);
            }
            if response.status() == StatusCode::UNAUTHORIZED && ours && knocked < KNOCKS {
                knocked += 1;
                let (headers, plain) = (response.headers(), self.is_plain(&access.place));
                if self.doorkeeper.knock(&self.client, access, headers, used.as_ref(), plain).await? {
                    continue;
                }
            }
            return Err(Refused::answered(what, response).await);
        }
    }

    /// Sends a request until the answer is a wanted one, or there is no use.
    pub(super) async fn send(&self, call: &Call<'_>) -> std::result::Result<Response, Refused> {
        let mut tries = Tries::new();
        loop {
            match self.once(call).await {
                Ok(response) => return Ok(response),
                Err(refused) => self.wait(call.access, &mut tries, refused).await?,
            }
        }
    }

    /// Waits before the next try; gives the refusal back when there is no use in one.
    pub(super) async fn wait(
        &self,
        access: &Access,
        tries: &mut Tries,
        mut refused: Refused,
    ) -> std::result::Result<(), Refused> {
        tries.made += 1;
        let known = self.answered.lock().unwrap_or_else(PoisonError::into_inner).contains(access.place.host());
        let most = if known { self.patience.tries } else { self.patience.first_tries.min(self.patience.tries) };
        if !refused.again {
            return Err(refused);
        }
        if tries.made >= most {
            refused.failure.causes.push(format!("this was try {} of {most}", tries.made));
            return Err(refused);
        }
        let pause = tries.backoff.next_wait();
        match refused.rest {
            Some(rest) if rest > self.patience.rest => {
                let text = format!("it wants to be left alone for {} s, which is too long to wait", rest.as_secs());
                refused.failure.causes.push(text);
                return Err(refused);
            }
            rest => {
                let pause = rest.unwrap_or_default().max(pause);
                tracing::debug!(registry = access.place.host(), ?pause, "trying again: {}", refused.failure.message);
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }
}

/// The body of an answer, if it has no more than `most` bytes.
pub(super) async fn body(mut response: Response, most: usize, what: &str) -> std::result::Result<Bytes, Refused> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Refused::broken(what, error))? {
        if body.len() + chunk.len() > most {
            let failure = Failure::new(FailureCode::RegistryFailed, what)
                .cause_text(format!("the answer has more than {most} bytes"))
                .hint("is this what the name is meant to be? see what the registry holds there");
            return Err(failure.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
