//! An image registry: each document is an artifact of its own under a tag.
//!
//! An image manifest with one layer, the document, and the empty configuration (OCI image specification 1.1,
//! "Guidelines for Artifact Usage"), which registries take that know nothing of artifacts.

use super::credentials::{Credentials, Secret};
use super::network::{Network, USER_AGENT, failure};
use super::{Found, LARGEST, Written, too_large};
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest, OciManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::sync::OnceCell;

const ARTIFACT: &str = "application/vnd.testfleet.history.v1";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const EMPTY_BYTES: &[u8] = b"{}";
/// Docker keeps the login of its own registry under a name of its own.
const DOCKER_HUB: &str = "index.docker.io";
const DOCKER_HUB_LOGIN: &str = "https://index.docker.io/v1/";

pub(super) struct Registry {
    client: Client,
    /// Without a tag.
    image: String,
    credentials: Credentials,
    /// Where Docker's configuration is, if anywhere.
    docker: Option<std::path::PathBuf>,
    auth: OnceCell<RegistryAuth>,
}

impl Registry {
    pub(super) fn new(
        host: &str,
        repository: &str,
        plain: bool,
        credentials: Credentials,
        environment: &BTreeMap<String, String>,
        connect: Duration,
    ) -> Result<Self> {
        let image = format!("{host}/{repository}");
        let invalid = |text: String| {
            Failure::new(FailureCode::InvalidRequest, "failed to choose where history is shared").cause_text(text)
        };
        format!("{image}:tag").parse::<Reference>().map_err(|error| invalid(format!("`{image}`: {error}")))?;
        let network = Network::of(environment)?;
        let authorities = match &network.authorities {
            None => Vec::new(),
            Some(pem) => pem_certificates(pem)
                .ok_or_else(|| invalid("SSL_CERT_FILE names a file without certificates in PEM".to_owned()))?,
        };
        let client = Client::try_from(ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            tls_certs_only: authorities,
            connect_timeout: Some(connect),
            user_agent: USER_AGENT,
            https_proxy: network.https_proxy,
            http_proxy: network.http_proxy,
            no_proxy: network.no_proxy,
            ..ClientConfig::default()
        })
        .map_err(|error| Failure { code: FailureCode::InvalidRequest, ..failed("prepare for", &image, &error) })?;
        let folder = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(Path::new);
        let docker = folder("DOCKER_CONFIG").map(Path::to_owned).or_else(|| Some(folder("HOME")?.join(".docker")));
        Ok(Self { client, image, credentials, docker, auth: OnceCell::new() })
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Found>> {
        let image = self.reference(name)?;
        let auth = self.auth(&image).await?;
        let (manifest, version) = match self.client.pull_manifest_raw(&image, auth, &[OCI_IMAGE_MEDIA_TYPE]).await {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failed("read", name, &error)),
        };
        let strange = |text: String| {
            Failure::new(FailureCode::Io, format!("failed to read {name}"))
                .cause_text(text)
                .hint("somebody else uses this repository: name one for Testfleet alone")
        };
        let manifest: OciImageManifest = serde_json::from_slice(&manifest)
            .map_err(|error| strange(format!("its manifest can't be read: {error}")))?;
        let layer = match manifest.layers.as_slice() {
            [layer] if layer.media_type == ARTIFACT => layer,
            _ => return Err(strange(format!("it is no {ARTIFACT}"))),
        };
        if layer.size > LARGEST as i64 {
            return Err(too_large(name));
        }
        let mut bytes = Vec::new();
        self.client.pull_blob(&image, layer, &mut bytes).await.map_err(|error| failed("read", name, &error))?;
        Ok(Some(Found { bytes, version: Some(version) }))
    }

    /// Registries compare nothing: what is there is replaced.
    pub(super) async fn write(&self, name: &str, bytes: &[u8]) -> Result<Written> {
        let image = self.reference(name)?;
        let auth = self.auth(&image).await?;
        self.client.store_auth_if_needed(image.resolve_registry(), auth).await;
        let config = descriptor(EMPTY, EMPTY_BYTES);
        let layer = descriptor(ARTIFACT, bytes);
        for (bytes, descriptor) in [(EMPTY_BYTES, &config), (bytes, &layer)] {
            let pushed = self.client.push_blob(&image, bytes.to_vec(), &descriptor.digest).await;
            pushed.map_err(|error| failed("write", name, &error))?;
        }
        let manifest = OciManifest::Image(OciImageManifest {
            schema_version: 2,
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            config,
            layers: vec![layer],
            subject: None,
            artifact_type: Some(ARTIFACT.to_owned()),
            annotations: None,
        });
        self.client.push_manifest(&image, &manifest).await.map_err(|error| failed("write", name, &error))?;
        Ok(Written::Done)
    }

    fn reference(&self, name: &str) -> Result<Reference> {
        format!("{}:{name}", self.image).parse().map_err(|error| {
            Failure::new(FailureCode::Internal, format!("failed to name {name} in {}", self.image)).cause(&error)
        })
    }

    /// How to log in: by the variables that were named, else as Docker does.
    async fn auth(&self, image: &Reference) -> Result<&RegistryAuth> {
        self.auth
            .get_or_try_init(|| async {
                match (&self.credentials, &self.docker) {
                    (Credentials::Token(token), _) => Ok(RegistryAuth::Bearer(token.reveal().to_owned())),
                    (Credentials::Basic { user, password }, _) => Ok(basic(user, password)),
                    (Credentials::None, None) => Ok(RegistryAuth::Anonymous),
                    (Credentials::None, Some(folder)) => {
                        let file = folder.join("config.json");
                        let server = match image.resolve_registry() {
                            DOCKER_HUB => DOCKER_HUB_LOGIN.to_owned(),
                            server => server.to_owned(),
                        };
                        // A credential helper is a program that may take its time.
                        let found = tokio::task::spawn_blocking(move || docker_login(&file, &server)).await;
                        found.unwrap_or_else(|error| {
                            Err(Failure::new(FailureCode::Internal, "failed to look for a login").cause(&error))
                        })
                    }
                }
            })
            .await
    }
}

fn basic(user: &Secret, password: &Secret) -> RegistryAuth {
    RegistryAuth::Basic(user.reveal().to_owned(), password.reveal().to_owned())
}

/// The login that Docker's configuration or its credential helper has for a registry; anonymous when there is none.
fn docker_login(file: &Path, server: &str) -> Result<RegistryAuth> {
    let broken = |text: String| {
        Failure::new(FailureCode::Io, format!("failed to look for a login at {server} in {}", file.display()))
            .cause_text(text)
            .hint("log in again with `docker login`, or name variables: userVariable and passwordVariable")
    };
    let config = match File::open(file) {
        Ok(config) => config,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(error) => return Err(broken(error.to_string())),
    };
    match get_credential_from_reader(std::io::BufReader::new(config), server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => {
            Err(broken("it has an identity token, which only Docker itself can use".to_owned()))
        }
        Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound) => {
            Ok(RegistryAuth::Anonymous)
        }
        // What a helper prints may hold the secret itself, but for the one sentence that all helpers share.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            Ok(RegistryAuth::Anonymous)
        }
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Err(broken(format!("the credential helper {helper} failed")))
        }
        Err(error) => Err(broken(error.to_string())),
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: format!("sha256:{}", crate::hash::sha256(bytes)),
        size: bytes.len() as i64,
        ..OciDescriptor::default()
    }
}

/// Each certificate of a PEM file by itself, as the client wants them.
fn pem_certificates(pem: &[u8]) -> Option<Vec<Certificate>> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = std::str::from_utf8(pem).ok()?;
    let ends = text.match_indices(END).map(|(at, _)| at + END.len());
    let mut from = 0;
    let certificates: Vec<Certificate> = ends
        .map(|end| {
            let data = text.as_bytes()[from..end].to_vec();
            from = end;
            Certificate { encoding: CertificateEncoding::Pem, data }
        })
        .collect();
    (!certificates.is_empty()).then_some(certificates)
}

fn is_missing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) | OciDistributionError::ServerError { code: 404, .. } => {
            true
        }
        OciDistributionError::RegistryError { envelope, .. } => envelope.errors.iter().any(|error| {
            matches!(error.code, OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound)
        }),
        _ => false,
    }
}

fn failed(what: &str, name: &str, error: &OciDistributionError) -> Failure {
    let failure = failure(&format!("failed to {what} {name}"), error);
    let denied = match error {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => true,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| matches!(error.code, OciErrorCode::Unauthorized | OciErrorCode::Denied))
        }
        _ => false,
    };
    if !denied {
        return failure;
    }
    failure.hint(
        "log in: name userVariable and passwordVariable, or use `docker login`; that user has to be allowed to push",
    )
}
