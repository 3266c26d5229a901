//! What all places beyond the own machine need: whom to trust, which way to take.

use super::credentials::without_queries;
use std::collections::BTreeMap;
use std::error::Error;
use testfleet_protocol::{Failure, FailureCode, Result};

/// How requests name who sends them.
pub(super) const USER_AGENT: &str = concat!("testfleet/", env!("CARGO_PKG_VERSION"));

/// What the environment of the build says of networks.
#[derive(Debug, Clone, Default)]
pub(super) struct Network {
    /// The content of `SSL_CERT_FILE`: who is trusted instead of those that the machine trusts.
    pub(super) authorities: Option<Vec<u8>>,
    pub(super) http_proxy: Option<String>,
    pub(super) https_proxy: Option<String>,
    pub(super) no_proxy: Option<String>,
}

impl Network {
    /// # Errors
    /// `InvalidRequest` when `SSL_CERT_FILE` can't be read.
    pub(super) fn of(environment: &BTreeMap<String, String>) -> Result<Self> {
        // One provider for everything in this process that speaks TLS. Another part may have chosen it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authorities = match environment.get("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
            None => None,
            Some(file) => Some(std::fs::read(file).map_err(|error| {
                Failure::new(FailureCode::InvalidRequest, format!("failed to read {file}, which SSL_CERT_FILE names"))
                    .cause(&error)
                    .hint("let SSL_CERT_FILE name a file with certificates in PEM, or unset it")
            })?),
        };
        let first = |names: &[&str]| {
            names.iter().find_map(|name| environment.get(*name)).filter(|value| !value.is_empty()).cloned()
        };
        Ok(Self {
            authorities,
            // Upper case is what a web server sets from a request's `Proxy:` header; builds run in none.
            http_proxy: first(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https_proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: first(&["no_proxy", "NO_PROXY"]),
        })
    }
}

/// A failed request: all that is known of it but what may be secret.
pub(super) fn failure(what: &str, error: &(dyn Error + 'static)) -> Failure {
    let mut failure = Failure::new(FailureCode::Io, what.to_owned());
    let mut next = Some(error);
    while let Some(error) = next {
        let text = without_queries(&error.to_string());
        // Many errors repeat their source.
        if !failure.causes.iter().any(|known| known.contains(&text)) {
            failure.causes.push(text);
        }
        next = error.source();
    }
    failure
}
