//! What all places beyond the own machine need: whom to trust, which way to take.

use super::secret::without_queries;
use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};

/// How requests name who sends them.
const USER_AGENT: &str = concat!("testfleet/", env!("CARGO_PKG_VERSION"));

/// What the environment of the build says of networks.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The content of `SSL_CERT_FILE`: who is trusted instead of those that the machine trusts.
    only: Option<Vec<u8>>,
    /// Who is trusted besides.
    more: Option<Vec<u8>>,
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    no_proxy: Option<String>,
}

impl Network {
    /// Reads the proxy variables and the file that `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// `InvalidRequest` when that file can't be read.
    pub fn of(environment: &BTreeMap<String, String>) -> Result<Self> {
        // One provider for everything in this process that speaks TLS. Another part may have chosen it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let only = match environment.get("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
            None => None,
            Some(file) => Some(read_certificates(Path::new(file), "SSL_CERT_FILE")?),
        };
        let first = |names: &[&str]| {
            names.iter().find_map(|name| environment.get(*name)).filter(|value| !value.is_empty()).cloned()
        };
        Ok(Self {
            only,
            more: None,
            // Upper case is what a web server sets from a request's `Proxy:` header; builds run in none.
            http_proxy: first(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https_proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: first(&["no_proxy", "NO_PROXY"]),
        })
    }

    /// Also trusts the certificates of a file; `setting` is what names it.
    ///
    /// # Errors
    /// `InvalidRequest` when that file can't be read.
    pub fn trusting(mut self, authorities: &Path, setting: &str) -> Result<Self> {
        self.more = Some(read_certificates(authorities, setting)?);
        Ok(self)
    }

    /// A client that goes this way; `connect` is how long a connection may take.
    ///
    /// # Errors
    /// `InvalidRequest` when the certificates or the addresses of proxies are none.
    pub fn client(&self, connect: Duration, choose: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client> {
        let failed = |error: reqwest::Error| {
            failure(FailureCode::InvalidRequest, "failed to prepare for HTTP", &error.without_url())
                .hint("look at the files of certificates that are named, and at the proxy variables of the environment")
        };
        let exempt = || self.no_proxy.as_deref().and_then(NoProxy::from_string);
        let mut client = Client::builder().user_agent(USER_AGENT).connect_timeout(connect).no_proxy();
        if let Some(proxy) = &self.http_proxy {
            client = client.proxy(Proxy::http(proxy).map_err(failed)?.no_proxy(exempt()));
        }
        if let Some(proxy) = &self.https_proxy {
            client = client.proxy(Proxy::https(proxy).map_err(failed)?.no_proxy(exempt()));
        }
        if let Some(pem) = &self.only {
            client = client.tls_certs_only(Certificate::from_pem_bundle(pem).map_err(failed)?);
        }
        if let Some(pem) = &self.more {
            client = client.tls_certs_merge(Certificate::from_pem_bundle(pem).map_err(failed)?);
        }
        choose(client).build().map_err(failed)
    }
}

fn read_certificates(file: &Path, setting: &str) -> Result<Vec<u8>> {
    let what = format!("failed to read {}, which {setting} names", file.display());
    let hint = format!("let {setting} name a file with certificates in PEM, or unset it");
    let pem = std::fs::read(file)
        .map_err(|error| Failure::new(FailureCode::InvalidRequest, &what).cause(&error).hint(&hint))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(pem),
        _ => Err(Failure::new(FailureCode::InvalidRequest, what).cause_text("it has no certificate in PEM").hint(hint)),
    }
}

/// A failed request: all that is known of it but what may be secret. `what` is "failed to ...".
pub fn failure(code: FailureCode, what: &str, error: &(dyn Error + 'static)) -> Failure {
    let mut failure = Failure::new(code, what.to_owned());
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
