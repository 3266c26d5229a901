//! Answers of registries that are none of those hoped for, as failures.

use super::network::failure;
use super::secret::without_queries;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use std::error::Error;
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode};

/// No more of an answer that says what is wrong is read, in bytes.
const MOST_OF_AN_ERROR: usize = 64 << 10;
/// No more of what a registry says is shown, in characters.
const MOST_SHOWN: usize = 300;

/// A request that came to nothing, and whether another may fare better.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) failure: Failure,
    /// Whether it can't be known that the next request gets the same answer.
    pub(super) again: bool,
    /// What the registry answered, if it did.
    pub(super) status: Option<StatusCode>,
    /// Codes of the registry (OCI distribution specification, "Error Codes").
    pub(super) codes: Vec<String>,
    /// How long the registry wants to be left alone.
    pub(super) rest: Option<Duration>,
}

impl Refused {
    /// Nothing came back, or only half of it.
    pub(super) fn broken(what: &str, error: reqwest::Error) -> Self {
        let mut refused = Self {
            again: !(error.is_builder() || error.is_redirect()),
            failure: Failure::new(FailureCode::RegistryFailed, what),
            status: None,
            codes: Vec::new(),
            rest: None,
        };
        let (connects, error) = (error.is_connect(), error.without_url());
        refused.failure = failure(FailureCode::RegistryFailed, what, &error);
        let hint = if is_about_tls(&error) {
            refused.again = false;
            "if the registry has a certificate of your own authority, name the authority's file: registry.authorities; \
             if it speaks plain HTTP, name it in registry.insecure"
        } else if connects {
            "is the registry up, and may this machine reach it? look at the name, the port and the proxy variables"
        } else {
            "run it again: what the registry has by now is not sent again"
        };
        refused.failure.hint = Some(hint.to_owned());
        refused
    }

    /// A registry took nothing of what was sent for so long.
    pub(super) fn silent(what: &str, silence: Duration) -> Self {
        let failure = Failure::new(FailureCode::RegistryFailed, what)
            .cause_text(format!("it took nothing for {} s", silence.as_secs()))
            .hint("run it again: what the registry has by now is not sent again");
        Self { failure, again: true, status: None, codes: Vec::new(), rest: None }
    }

    /// An answer other than hoped for.
    pub(super) async fn answered(what: &str, mut response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(MOST_OF_AN_ERROR - body.len())]);
            if body.len() >= MOST_OF_AN_ERROR {
                break;
            }
        }
        Self::of(what, status, &headers, &body)
    }

    fn of(what: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let complaints = complaints(body);
        let again = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        let mut failure = Failure::new(FailureCode::RegistryFailed, what)
            .cause_text(format!("the registry answered {status}"))
            .hint(hint(status, &complaints));
        for complaint in &complaints {
            failure = failure.cause_text(format!("{}: {}", complaint.code, complaint.message));
        }
        let rest = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let codes = complaints.into_iter().map(|complaint| complaint.code).collect();
        Self { failure, again, status: Some(status), codes, rest }
    }

    /// Whether the registry has no such thing.
    pub(super) fn is_missing(&self) -> bool {
        self.status == Some(StatusCode::NOT_FOUND)
    }

    /// Whether the registry does not let this user do it.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self.status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }
}

impl From<Failure> for Refused {
    /// A failure of this side, for good.
    fn from(failure: Failure) -> Self {
        Self { failure, again: false, status: None, codes: Vec::new(), rest: None }
    }
}

fn hint(status: StatusCode, complaints: &[Complaint]) -> &'static str {
    let has = |code: &str| complaints.iter().any(|complaint| complaint.code == code);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "log in: name userVariable and passwordVariable, or use `docker login`; \
             that user has to be allowed to do this in that repository"
        }
        StatusCode::TOO_MANY_REQUESTS => "wait, or log in: most registries let users that they know do more",
        StatusCode::NOT_FOUND if has("NAME_UNKNOWN") => {
            "is the name right? some registries want a repository to be made before its first push"
        }
        StatusCode::NOT_FOUND => "is the name right, and the tag? some registries hide what needs a login",
        StatusCode::PAYLOAD_TOO_LARGE => "raise the limit of the registry, or of the proxy before it",
        StatusCode::BAD_REQUEST => "does the registry want TLS or plain HTTP? see registry.insecure",
        status if status.is_redirection() => "name the registry itself: it points elsewhere",
        status if status.is_server_error() => {
            "look at the registry's log, also whether its disk is full; then run it again: what it has is not sent again"
        }
        _ => "look at the registry's log",
    }
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a registry says is wrong.
fn complaints(body: &[u8]) -> Vec<Complaint> {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Vec<Complaint>,
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else { return Vec::new() };
    let shown = |text: &str| -> String {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_SHOWN).collect();
        without_queries(&text)
    };
    let complaint =
        |complaint: Complaint| Complaint { code: shown(&complaint.code), message: shown(&complaint.message) };
    envelope.errors.into_iter().take(5).map(complaint).collect()
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_zoned(text).ok()?.timestamp();
    let rest = date.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(rest).unwrap_or_default())
}

#[cfg(any(fuzzing, test))]
pub(super) fn read(bytes: &[u8]) {
    let refused = Refused::of("failed to read", StatusCode::BAD_GATEWAY, &HeaderMap::new(), bytes);
    assert!(!refused.failure.to_string().contains('\u{1b}'));
    let _ = std::str::from_utf8(bytes).ok().and_then(retry_after);
}

fn is_about_tls(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        if error.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_told() {
        let body =
            br#"{"errors": [{"code": "DENIED", "message": "no\u001b[1m https://a/?sig=s3cret", "detail": {"a": 1}}]}"#;
        let refused = Refused::of("failed to push", StatusCode::FORBIDDEN, &HeaderMap::new(), body);
        let text = refused.failure.to_string();
        assert!(text.contains("403") && text.contains("DENIED: no") && !text.contains("s3cret"), "{text}");
        assert!(!text.contains('\u{1b}') && text.contains("docker login"), "{text}");
        assert!(!refused.again && refused.is_denied() && refused.codes == ["DENIED"]);
        for body in [&b"<html>"[..], b"", b"{}", b"{\"errors\": 1}", b"\xff"] {
            let refused = Refused::of("failed to push", StatusCode::BAD_GATEWAY, &HeaderMap::new(), body);
            assert!(refused.again && refused.failure.hint.is_some());
        }
    }

    #[test]
    fn a_registry_says_how_long_to_wait() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let far = retry_after("Fri, 31 Dec 2100 23:59:59 GMT").unwrap();
        assert!(far > Duration::from_secs(1_000_000));
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("-1"), None);
    }
}
