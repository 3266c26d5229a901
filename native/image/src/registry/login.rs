//! How to log in: by variables of the environment, or as Docker does.

use super::name::Place;
use super::secret::Secret;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Who a request is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Nobody in particular.
    Anonymous,
    /// A token that goes into requests as it is: a password variable alone.
    Token(Secret),
    /// A user and a password.
    Basic {
        /// Who.
        user: Secret,
        /// How it is proven.
        password: Secret,
    },
    /// A token that a registry's login service changes into shorter ones (Docker's `identitytoken`).
    Identity(Secret),
}

impl Login {
    /// What the variables of these names hold; anonymous when there are none. `what` completes "failed to ...".
    ///
    /// # Errors
    /// `InvalidRequest` for a variable that is not set, or a user without a password.
    pub fn of_variables(
        user: Option<&str>,
        password: Option<&str>,
        environment: &BTreeMap<String, String>,
        what: &str,
    ) -> Result<Self> {
        let failure = || Failure::new(FailureCode::InvalidRequest, format!("failed to {what}"));
        let value = |name: &str| {
            let value = environment.get(name).filter(|value| !value.is_empty());
            value.map(|value| Secret::new(value.trim_end_matches(['\r', '\n']).to_owned())).ok_or_else(|| {
                failure()
                    .cause_text(format!("the variable {name} is not set"))
                    .hint(format!("set {name} in the environment of the build, or name another variable"))
            })
        };
        Ok(match (user, password) {
            (None, None) => Self::Anonymous,
            (None, Some(token)) => Self::Token(value(token)?),
            (Some(user), Some(password)) => Self::Basic { user: value(user)?, password: value(password)? },
            (Some(_), None) => {
                return Err(failure()
                    .cause_text("there is a variable for the user and none for the password")
                    .hint("name it: passwordVariable"));
            }
        })
    }

    /// The request, as from this one. What takes a service of its own to log in stays anonymous.
    pub fn apply(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self {
            Self::Anonymous | Self::Identity(_) => request,
            Self::Token(token) => request.bearer_auth(token.reveal()),
            Self::Basic { user, password } => request.basic_auth(user.reveal(), Some(password.reveal())),
        }
    }
}

/// The folder of Docker's configuration: `DOCKER_CONFIG`, else `.docker` in the home folder.
pub fn docker_folder(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let folder = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(Path::new);
    folder("DOCKER_CONFIG").map(Path::to_owned).or_else(|| Some(folder("HOME")?.join(".docker")))
}

/// The login that Docker's configuration in a folder, or its credential helper, has for a registry; anonymous when there is
/// none.
///
/// # Errors
/// `RegistryFailed` when the configuration can't be read or the helper fails. What the helper prints is in no failure.
pub async fn docker_login(folder: &Path, place: &Place) -> Result<Login> {
    let (file, server) = (folder.join("config.json"), place.docker_login().to_owned());
    // A credential helper is a program that may take its time.
    let found = tokio::task::spawn_blocking(move || look_up(&file, &server)).await;
    found.unwrap_or_else(|error| {
        Err(Failure::new(FailureCode::Internal, "failed to look for a login").cause_text(error.to_string()))
    })
}

fn look_up(file: &Path, server: &str) -> Result<Login> {
    let broken = |text: String| {
        Failure::new(
            FailureCode::RegistryFailed,
            format!("failed to look for a login at {server} in {}", file.display()),
        )
        .cause_text(text)
        .hint("log in again with `docker login`, or name variables: userVariable and passwordVariable")
    };
    let config = match File::open(file) {
        Ok(config) => config,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Login::Anonymous),
        Err(error) => return Err(broken(error.to_string())),
    };
    match get_credential_from_reader(std::io::BufReader::new(config), server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Login::Basic { user: Secret::new(user), password: Secret::new(password) })
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Login::Identity(Secret::new(token))),
        Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound) => {
            Ok(Login::Anonymous)
        }
        // What a helper prints may hold the secret itself, but for the one sentence that all helpers share.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            Ok(Login::Anonymous)
        }
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Err(broken(format!("the credential helper {helper} failed")))
        }
        Err(error) => Err(broken(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(user: Option<&str>, password: Option<&str>) -> Result<Login> {
        let environment = [("USER", "me"), ("PASSWORD", "s3cret\n"), ("EMPTY", "")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Login::of_variables(user, password, &environment, "log in")
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn variables_tell_how_to_log_in() {
        assert_eq!(read(None, None).unwrap(), Login::Anonymous);
        assert_eq!(read(None, Some("PASSWORD")).unwrap(), Login::Token(secret("s3cret")));
        let basic = Login::Basic { user: secret("me"), password: secret("s3cret") };
        assert_eq!(read(Some("USER"), Some("PASSWORD")).unwrap(), basic);
        for (user, password) in
            [(Some("USER"), None), (None, Some("EMPTY")), (None, Some("MISSING")), (Some("MISSING"), Some("PASSWORD"))]
        {
            let failure = read(user, password).unwrap_err();
            assert!(failure.hint.is_some() && !failure.to_string().contains("s3cret"), "{failure}");
        }
        assert!(!format!("{basic:?}").contains("s3cret") && !format!("{basic:?}").contains("me\""));
    }

    #[test]
    fn dockers_configuration_is_read_as_docker_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        assert_eq!(look_up(&file, "registry.acme.com").unwrap(), Login::Anonymous, "there is no file");
        // `me:s3cret`
        std::fs::write(
            &file,
            r#"{"auths": {
                "registry.acme.com": {"auth": "bWU6czNjcmV0"},
                "https://index.docker.io/v1/": {"identitytoken": "long"},
                "broken.acme.com": {"auth": "!"}
            }}"#,
        )
        .unwrap();
        let basic = Login::Basic { user: secret("me"), password: secret("s3cret") };
        assert_eq!(look_up(&file, "registry.acme.com").unwrap(), basic);
        let hub = Place::parse("ubuntu").unwrap();
        assert_eq!(look_up(&file, hub.docker_login()).unwrap(), Login::Identity(secret("long")));
        assert_eq!(look_up(&file, "other.acme.com").unwrap(), Login::Anonymous);
        for (text, server) in [("{", "a"), (r#"{"credsStore": "not-there"}"#, "a"), (r#"{"auths": 1}"#, "a")] {
            std::fs::write(&file, text).unwrap();
            let failure = look_up(&file, server).unwrap_err();
            assert!(failure.hint.as_ref().unwrap().contains("docker login"), "{failure}");
        }
    }
}
