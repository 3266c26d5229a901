//! Where Docker is, and how it is reached: what the build says, the environment, Docker's own contexts, the usual sockets.

use super::trouble::{self, Doing};
use bollard::{API_DEFAULT_VERSION, Docker};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testfleet_image::registry::docker_folder;
use testfleet_protocol::docker::DockerOptions;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Seconds that one request may take until its answer begins.
const TIMEOUT: u64 = 120;
/// For what moves images.
const LONG: Duration = Duration::from_secs(3_600);
/// The oldest API that has all that is used: Docker 19.03.
const OLDEST: (usize, usize) = (1, 40);

/// What Docker calls the context that is none.
const DEFAULT_CONTEXT: &str = "default";

/// A way to a Docker that answers.
#[derive(Debug, Clone)]
pub struct Host {
    pub(super) docker: Docker,
    /// Where it is, for messages.
    pub address: String,
    /// Its version.
    pub version: String,
    /// `linux/amd64`
    pub platform: String,
    /// Whether it takes layers that are compressed with Zstandard.
    pub(super) takes_zstd: bool,
    /// The folder of Docker's configuration, which has logins for registries.
    pub(super) docker_folder: Option<PathBuf>,
}

impl Host {
    /// Finds Docker and asks for its version. `environment` is that of the call.
    ///
    /// # Errors
    /// With a hint that says what to do: no daemon, no permission, too old.
    pub async fn connect(options: &DockerOptions, environment: &BTreeMap<String, String>) -> Result<Self> {
        let place = Place::find(options, environment)?;
        let docker = place.client()?;
        let doing = Doing { what: "reach Docker", address: &place.address };
        let docker = docker.negotiate_version().await.map_err(|error| trouble::failure(&doing, error))?;
        let about = docker.version().await.map_err(|error| trouble::failure(&doing, error))?;
        let version = about.version.unwrap_or_default();
        let api = about.api_version.unwrap_or_default();
        if !is_new_enough(&api) {
            return Err(Failure::new(
                FailureCode::InvalidRequest,
                format!("failed to use Docker {version} at {}", place.address),
            )
            .cause_text(format!("it has version {api} of the API; at least {}.{} is needed", OLDEST.0, OLDEST.1))
            .hint("install Docker 19.03 or later, or Podman 4 or later"));
        }
        let components = about.components.unwrap_or_default();
        let takes_zstd = components.iter().any(|part| part.name.contains("Podman")) || takes_zstd(&version);
        let platform = format!("{}/{}", about.os.unwrap_or_default(), about.arch.unwrap_or_default());
        let (address, docker_folder) = (place.address, docker_folder(environment));
        Ok(Self { docker, address, version, platform, takes_zstd, docker_folder })
    }

    /// For what may take long: images.
    pub(super) fn patient(&self) -> Docker {
        self.docker.clone().with_timeout(LONG)
    }

    /// What is being done there, for messages.
    pub(super) fn doing<'a>(&'a self, what: &'a str) -> Doing<'a> {
        Doing { what, address: &self.address }
    }
}

/// Whether `1.41` is at least [`OLDEST`]. Podman gives the version that it is compatible with.
fn is_new_enough(api: &str) -> bool {
    let mut numbers = api.split('.').map(|number| number.parse::<usize>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST,
        _ => false,
    }
}

/// Whether `20.10.24+dfsg1` is 23 or later. What can't be read is left to Docker to refuse.
fn takes_zstd(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_none_or(|major| major >= 23)
}

/// An address, and the certificates for it.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    address: String,
    certificates: Option<PathBuf>,
}

impl Place {
    fn find(options: &DockerOptions, environment: &BTreeMap<String, String>) -> Result<Self> {
        let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        let home = set("HOME").map(PathBuf::from);
        if let Some(address) = options.host.clone().or_else(|| set("DOCKER_HOST")) {
            let asked = set("DOCKER_TLS_VERIFY").is_some();
            let usual = || set("DOCKER_CERT_PATH").map(PathBuf::from).or(home.map(|home| home.join(".docker")));
            let certificates = options.cert_path.clone().or_else(|| asked.then(usual).flatten());
            return Ok(Self { address, certificates });
        }
        let chosen = set("DOCKER_CONTEXT");
        if let Some(place) = docker_folder(environment).and_then(|config| of_context(&config, chosen.clone())) {
            return Ok(Self { certificates: options.cert_path.clone().or(place.certificates), ..place });
        }
        if let Some(name) = chosen.filter(|name| name != DEFAULT_CONTEXT) {
            return Err(Failure::new(FailureCode::InvalidRequest, format!("failed to find Docker's context `{name}`"))
                .cause_text(
                    "it is what the variable DOCKER_CONTEXT names, and Docker's configuration has none of that name",
                )
                .hint("`docker context ls` lists those that there are; or unset DOCKER_CONTEXT"));
        }
        let runtime = set("XDG_RUNTIME_DIR").map(PathBuf::from);
        let sockets = [
            Some(PathBuf::from("/var/run/docker.sock")),
            runtime.as_ref().map(|dir| dir.join("docker.sock")),
            home.map(|home| home.join(".docker/run/docker.sock")),
            runtime.map(|dir| dir.join("podman/podman.sock")),
            Some(PathBuf::from("/run/podman/podman.sock")),
        ];
        let sockets: Vec<_> = sockets.into_iter().flatten().collect();
        match sockets.iter().find(|socket| socket.exists()) {
            Some(socket) => Ok(Self { address: format!("unix://{}", socket.display()), certificates: None }),
            None => {
                let looked = sockets.iter().map(|socket| socket.display().to_string()).collect::<Vec<_>>().join(", ");
                Err(Failure::new(FailureCode::WorkerBroken, "failed to find Docker on this machine")
                    .cause_text(format!("there is none of the sockets {looked}"))
                    .hint(
                        "start Docker or Podman's socket (`systemctl --user start podman.socket`), or say where it is: \
                         the variable DOCKER_HOST, or testfleet { docker { host = 'tcp://...' } }",
                    ))
            }
        }
    }

    fn client(&self) -> Result<Docker> {
        let address = self.address.as_str();
        let made = if let Some(path) = address.strip_prefix("unix://") {
            Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION)
        } else if let (Some(certificates), true) = (&self.certificates, is_tcp(address)) {
            // Each part of the engine may be the first that needs it.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let file = |name: &str| {
                let path = certificates.join(name);
                if path.is_file() { Ok(path) } else { Err(no_certificate(&path)) }
            };
            let (key, cert, authority) = (file("key.pem")?, file("cert.pem")?, file("ca.pem")?);
            Docker::connect_with_ssl(address, &key, &cert, &authority, TIMEOUT, API_DEFAULT_VERSION)
        } else if is_tcp(address) {
            Docker::connect_with_http(address, TIMEOUT, API_DEFAULT_VERSION)
        } else {
            return Err(Failure::new(FailureCode::InvalidRequest, format!("failed to understand {address}"))
                .cause_text("the address of a Docker begins with unix:// or tcp://")
                .hint("forward the socket over SSH: `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`"));
        };
        made.map_err(|error| trouble::failure(&Doing { what: "reach Docker", address }, error))
    }
}

fn is_tcp(address: &str) -> bool {
    ["tcp://", "http://", "https://"].iter().any(|scheme| address.starts_with(scheme))
}

fn no_certificate(path: &Path) -> Failure {
    Failure::new(FailureCode::InvalidRequest, format!("failed to find {}", path.display()))
        .cause_text("Docker over TLS needs ca.pem, cert.pem and key.pem in one folder")
        .hint("name the folder: the variable DOCKER_CERT_PATH, or testfleet { docker { certPath = file('...') } }")
}

/// Where the context is that Docker's command would take; `None` for the one that is called default. Docker keeps a context
/// below the SHA-256 of its name, and its certificates apart from the rest.
fn of_context(config: &Path, chosen: Option<String>) -> Option<Place> {
    let read = |path: &Path| -> Option<serde_json::Value> { serde_json::from_slice(&std::fs::read(path).ok()?).ok() };
    let current = || read(&config.join("config.json"))?["currentContext"].as_str().map(str::to_owned);
    let name = chosen.or_else(current).filter(|name| !name.is_empty() && name != DEFAULT_CONTEXT)?;
    let (contexts, hash) = (config.join("contexts"), crate::hash::sha256(name.as_bytes()));
    let about = read(&contexts.join("meta").join(&hash).join("meta.json"))?;
    let certificates = Some(contexts.join("tls").join(&hash).join("docker")).filter(|folder| folder.is_dir());
    Some(Place { address: about["Endpoints"]["docker"]["Host"].as_str()?.to_owned(), certificates })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_build_goes_before_the_environment() {
        let mut options = DockerOptions::default();
        let said = environment(&[("DOCKER_HOST", "tcp://b:2376"), ("DOCKER_TLS_VERIFY", "1"), ("HOME", "/h")]);
        let place = Place::find(&options, &said).unwrap();
        let home = Some(PathBuf::from("/h/.docker"));
        assert_eq!(place, Place { address: "tcp://b:2376".into(), certificates: home });
        options.host = Some("tcp://a:1".into());
        options.cert_path = Some("/c".into());
        let place = Place::find(&options, &said).unwrap();
        assert_eq!(place, Place { address: "tcp://a:1".into(), certificates: Some("/c".into()) });
        let plain = environment(&[("DOCKER_HOST", "tcp://b:2375"), ("DOCKER_CERT_PATH", "/c")]);
        assert_eq!(Place::find(&DockerOptions::default(), &plain).unwrap().certificates, None);
    }

    #[test]
    fn sockets_and_contexts_are_found() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join(".docker");
        let meta = config.join("contexts/meta").join(crate::hash::sha256(b"colima"));
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(meta.join("meta.json"), r#"{"Endpoints":{"docker":{"Host":"unix:///c.sock"}}}"#).unwrap();
        let said = environment(&[("HOME", home.path().to_str().unwrap()), ("DOCKER_CONTEXT", "colima")]);
        assert_eq!(Place::find(&DockerOptions::default(), &said).unwrap().address, "unix:///c.sock");
        std::fs::write(config.join("config.json"), r#"{"currentContext":"colima"}"#).unwrap();
        let colima = |certificates| Some(Place { address: "unix:///c.sock".into(), certificates });
        assert_eq!(of_context(&config, None), colima(None));
        assert_eq!(of_context(&config, Some("default".into())), None);
        assert_eq!(of_context(&config, Some("gone".into())), None);
        let certificates = config.join("contexts/tls").join(crate::hash::sha256(b"colima")).join("docker");
        std::fs::create_dir_all(&certificates).unwrap();
        assert_eq!(of_context(&config, None), colima(Some(certificates)));
        let said = environment(&[("HOME", home.path().to_str().unwrap()), ("DOCKER_CONTEXT", "gone")]);
        let failure = Place::find(&DockerOptions::default(), &said).unwrap_err();
        assert!(failure.to_string().contains("docker context ls"), "{failure}");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (api, expected) in
            [("1.40", true), ("1.51", true), ("2.0", true), ("1.9", false), ("", false), ("x", false)]
        {
            assert_eq!(is_new_enough(api), expected, "{api}");
        }
    }

    #[test]
    fn docker_takes_zstd_from_23_on() {
        for (version, expected) in
            [("20.10.24+dfsg1", false), ("19.03.15", false), ("23.0.1", true), ("27.1.2-rd", true), ("master", true)]
        {
            assert_eq!(takes_zstd(version), expected, "{version}");
        }
    }

    #[test]
    fn an_address_of_another_kind_is_refused_with_a_way_out() {
        let place = Place { address: "ssh://me@there".into(), certificates: None };
        assert!(place.client().unwrap_err().to_string().contains("ssh -L"));
        let place = Place { address: "tcp://there:2376".into(), certificates: Some("/nowhere".into()) };
        assert!(place.client().unwrap_err().to_string().contains("/nowhere/key.pem"));
    }
}
