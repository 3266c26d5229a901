//! One side as TLS and the greeting need it, made from its credentials.

use crate::credentials::Token;
use crate::{Credentials, Peer};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use testfleet_protocol::{Failure, FailureCode, Result};

/// One side of a run's connections.
pub struct Identity {
    pub(crate) run: String,
    pub(crate) peer: Peer,
    pub(crate) token: Token,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl Identity {
    /// From credentials.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when certificates or key are not what they should be.
    pub fn new(credentials: &Credentials) -> Result<Self> {
        let pem = |error: rustls::pki_types::pem::Error| unusable(&error);
        let tls = |error: rustls::Error| unusable(&error);
        let authority = CertificateDer::from_pem_slice(credentials.authority.as_bytes()).map_err(pem)?;
        let own = CertificateDer::from_pem_slice(credentials.certificate.as_bytes()).map_err(pem)?;
        let key = || PrivateKeyDer::from_pem_slice(credentials.key.as_bytes()).map_err(pem);
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(tls)?;
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let only = &[&rustls::version::TLS13];
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&error))?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(only)
            .map_err(tls)?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![own.clone()], key()?)
            .map_err(tls)?;
        // Every connection shows its certificate anew.
        server.send_tls13_tickets = 0;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&error))?;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(only)
            .map_err(tls)?
            .with_webpki_verifier(servers)
            .with_client_auth_cert(vec![own], key()?)
            .map_err(tls)?;
        client.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            run: credentials.run.clone(),
            peer: credentials.peer,
            token: credentials.token.clone(),
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    /// Whose it is.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// The name that the certificate of `peer` has to bear.
    pub(crate) fn name(&self, peer: Peer) -> Result<ServerName<'static>> {
        ServerName::try_from(name_of(&self.run, peer)).map_err(|error| unusable(&error))
    }

    /// Whether this certificate, which the authority signed, is that of `peer`.
    pub(crate) fn is_of(&self, certificate: &CertificateDer<'_>, peer: Peer) -> bool {
        let (Ok(name), Ok(parsed)) = (self.name(peer), ParsedCertificate::try_from(certificate)) else { return false };
        rustls::client::verify_server_name(&parsed, &name).is_ok()
    }
}

/// A name in certificates: of the run, whose id may hold what names can't, and of the side.
pub(crate) fn name_of(run: &str, peer: Peer) -> String {
    let digest = Sha256::digest(run.as_bytes());
    let run: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    match peer {
        Peer::Coordinator => format!("coordinator.{run}.testfleet.internal"),
        Peer::Worker { worker } => format!("worker-{worker}.{run}.testfleet.internal"),
        Peer::AnyWorker => format!("worker.{run}.testfleet.internal"),
    }
}

fn unusable(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(FailureCode::InvalidRequest, "failed to use the credentials for this run's connections").cause(error)
}
