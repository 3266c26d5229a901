//! An HTTP(S) server that answers GET and PUT of `location/<name>`.
//!
//! Lost updates are prevented with entity tags (RFC 9110, 13.1): a document is only replaced if it is still the one that was
//! merged (`If-Match`), or still is not there (`If-None-Match: *`).

use super::{Found, LARGEST, Written, too_large};
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use std::collections::BTreeMap;
use std::time::Duration;
use testfleet_image::registry::{Login, Network, failure};
use testfleet_protocol::request::SharedHistory;
use testfleet_protocol::{Failure, FailureCode, Result};

const MOST_REDIRECTS: u32 = 5;
/// How often a request is sent that a server was too busy for, or that broke off.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

pub(super) struct Http {
    client: Client,
    base: Url,
    login: Login,
}

impl Http {
    pub(super) fn new(
        base: Url,
        history: &SharedHistory,
        environment: &BTreeMap<String, String>,
        connect: Duration,
    ) -> Result<Self> {
        let (user, password) = (history.user_variable.as_deref(), history.password_variable.as_deref());
        let login = Login::of_variables(user, password, environment, "log in where history is shared")?;
        // Redirects are followed here: only this place knows who may see the login.
        let no_redirects = redirect::Policy::none();
        let client = Network::of(environment)?.client(connect, |client| client.redirect(no_redirects))?;
        Ok(Self { client, base, login })
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Found>> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.try_read(name).await {
                Err(tried) if tried.again && attempt < ATTEMPTS => {
                    tokio::time::sleep(FIRST_PAUSE * attempt).await;
                }
                ended => return ended.map_err(|tried| tried.failure),
            }
        }
    }

    async fn try_read(&self, name: &str) -> std::result::Result<Option<Found>, Tried> {
        let what = format!("failed to read {name}");
        let mut response = self.send(&what, name, Method::GET, |request| request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status => return Err(refused(&what, status)),
        }
        let version = strong_tag(&response);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Tried::broken(&what, error))? {
            if bytes.len() + chunk.len() > LARGEST {
                return Err(Tried { again: false, failure: too_large(name) });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(Found { bytes, version }))
    }

    pub(super) async fn write(&self, name: &str, bytes: &[u8], expected: Option<&Found>) -> Result<Written> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.try_write(name, bytes, expected).await {
                Err(tried) if tried.again && attempt < ATTEMPTS => {
                    tokio::time::sleep(FIRST_PAUSE * attempt).await;
                }
                ended => return ended.map_err(|tried| tried.failure),
            }
        }
    }

    async fn try_write(
        &self,
        name: &str,
        bytes: &[u8],
        expected: Option<&Found>,
    ) -> std::result::Result<Written, Tried> {
        let what = format!("failed to write {name}");
        let body = bytes.to_vec();
        let response = self
            .send(&what, name, Method::PUT, |request| {
                let request = request.header(CONTENT_TYPE, "application/octet-stream").body(body.clone());
                match expected {
                    None => request.header(IF_NONE_MATCH, "*"),
                    Some(Found { version: Some(tag), .. }) => request.header(IF_MATCH, tag),
                    // A server without entity tags: what is written is looked at again.
                    Some(Found { version: None, .. }) => request,
                }
            })
            .await?;
        match response.status() {
            status if status.is_success() => Ok(Written::Done),
            StatusCode::PRECONDITION_FAILED => Ok(Written::Conflict),
            status => Err(refused(&what, status)),
        }
    }

    /// Sends a request and follows where the server points, with the login only while that is the same server.
    async fn send(
        &self,
        what: &str,
        name: &str,
        method: Method,
        complete: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> std::result::Result<Response, Tried> {
        let no_url = |cause: &str| Tried::for_good(Failure::new(FailureCode::Io, what.to_owned()).cause_text(cause));
        let mut url = self.base.join(name).map_err(|_| no_url("the location can't be extended"))?;
        for _ in 0..MOST_REDIRECTS {
            let request = complete(self.client.request(method.clone(), url.clone()).header(CACHE_CONTROL, "no-cache"));
            let request = if url.origin() == self.base.origin() { self.login.apply(request) } else { request };
            let response = request.send().await.map_err(|error| Tried::broken(what, error))?;
            // Other redirects turn a PUT into a GET, and nothing would be written.
            let follows = match response.status() {
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
                StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => method == Method::GET,
                _ => false,
            };
            if !follows {
                return Ok(response);
            }
            let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let target = target.and_then(|target| url.join(target).ok());
            let target = target.filter(|target| matches!(target.scheme(), "http" | "https"));
            let target = target.ok_or_else(|| no_url("the server points nowhere that can be asked"))?;
            if url.scheme() == "https" && target.scheme() == "http" {
                return Err(no_url("the server points from HTTPS to HTTP, which anybody could read"));
            }
            url = target;
        }
        Err(no_url(&format!("the server points elsewhere more than {MOST_REDIRECTS} times")))
    }
}

/// A request that came to nothing, and whether another may fare better.
struct Tried {
    again: bool,
    failure: Failure,
}

impl Tried {
    fn for_good(failure: Failure) -> Self {
        Self { again: false, failure }
    }

    fn broken(what: &str, error: reqwest::Error) -> Self {
        // A secret with a line break or the like makes no header: another try makes none either.
        Self { again: !error.is_builder(), failure: failure(FailureCode::Io, what, &error.without_url()) }
    }
}

fn refused(what: &str, status: StatusCode) -> Tried {
    let again = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    let failure = Failure::new(FailureCode::Io, what.to_owned()).cause_text(format!("the server answered {status}"));
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "look at userVariable and passwordVariable, and whether that user may read and write there"
        }
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            "let the server take PUT there, as docs/timings.md shows for nginx; or set publish = false"
        }
        status if status.is_redirection() => "name the place itself: its server points elsewhere",
        StatusCode::CONFLICT => "does the folder exist on the server?",
        _ => "look at the server's log; the run goes on without it",
    };
    Tried { again, failure: failure.hint(hint) }
}

/// The entity tag, if it changes with every byte: weak ones are no good for `If-Match`.
fn strong_tag(response: &Response) -> Option<String> {
    let tag = response.headers().get(ETAG)?.to_str().ok()?;
    (!tag.starts_with("W/")).then(|| tag.to_owned())
}
