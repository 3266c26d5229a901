//! Names of repositories and images, as Docker understands them.

use crate::Digest;
use oci_spec::distribution::Reference as Parsed;
use std::fmt;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Docker's own registry has a name, another for requests, and a third for logins.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_API: &str = "registry-1.docker.io";
const DOCKER_HUB_LOGIN: &str = "https://index.docker.io/v1/";

/// A repository of a registry: `registry.example:5000/team/app`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    host: String,
    repository: String,
}

impl Place {
    /// Reads a name without tag or digest. Short ones are of Docker's registry: `ubuntu` is `docker.io/library/ubuntu`.
    ///
    /// # Errors
    /// `InvalidRequest` when it is none.
    pub fn parse(text: &str) -> Result<Self> {
        let last = text.rsplit('/').next().unwrap_or_default();
        if last.contains(':') || text.contains('@') {
            return Err(invalid(text).cause_text("it has a tag or a digest").hint("leave it out: tags have an option"));
        }
        Ok(Reference::parse(text)?.place)
    }

    /// With its port, if it has one; as it is in names.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Without the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Where requests go.
    pub(super) fn api_host(&self) -> &str {
        if self.host == DOCKER_HUB { DOCKER_HUB_API } else { &self.host }
    }

    /// Under which name Docker keeps a login.
    pub fn docker_login(&self) -> &str {
        if self.host == DOCKER_HUB { DOCKER_HUB_LOGIN } else { &self.host }
    }

    /// Whether requests for it stay on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let name = self.host.strip_prefix('[').and_then(|host| host.split_once(']')).map_or_else(
            || self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name),
            |(address, _)| address,
        );
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)
    }
}

/// An image of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where it is.
    pub place: Place,
    /// Its tag: not looked at where there is a digest.
    pub tag: String,
    /// Of its manifest or index.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Reads `ubuntu`, `ubuntu:24.04`, `registry.example:5000/team/base@sha256:...`; the tag is `latest` when there is none.
    ///
    /// # Errors
    /// `InvalidRequest` when it is no such thing.
    pub fn parse(text: &str) -> Result<Self> {
        let hint = "write it as for `docker pull`: `ubuntu:24.04` or `registry.example/team/base@sha256:...`";
        // A URL would be taken for a registry with the name `https`.
        if text.contains("://") {
            return Err(invalid(text).cause_text("it is a URL").hint(hint));
        }
        let parsed: Parsed = text.parse().map_err(|error| invalid(text).cause(&error).hint(hint))?;
        // Understood by the parser where no registry is named, and by no registry.
        if parsed.repository().chars().any(|c| c.is_ascii_uppercase()) {
            return Err(invalid(text).cause_text("a repository's name has no upper-case letters").hint(hint));
        }
        let host = match parsed.registry() {
            "index.docker.io" | DOCKER_HUB_API => DOCKER_HUB,
            host => host,
        };
        let digest = parsed.digest().map(str::parse).transpose();
        Ok(Self {
            place: Place { host: host.to_owned(), repository: parsed.repository().to_owned() },
            tag: parsed.tag().unwrap_or("latest").to_owned(),
            digest: digest.map_err(|failure: Failure| {
                invalid(text).cause_text(failure.message).hint(failure.hint.unwrap_or_default())
            })?,
        })
    }

    /// What requests ask for.
    pub fn wanted(&self) -> &str {
        self.digest.as_ref().map_or(&self.tag, Digest::as_str)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{}@{digest}", self.place),
            None => write!(f, "{}:{}", self.place, self.tag),
        }
    }
}

/// Whether this can be a tag (OCI distribution specification, "Pulling manifests").
pub fn is_tag(text: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let goes_on = |c: char| starts(c) || matches!(c, '.' | '-');
    text.len() <= 128 && text.starts_with(starts) && text.chars().all(goes_on)
}

fn invalid(text: &str) -> Failure {
    let shown: String = text.chars().take(300).collect();
    Failure::new(FailureCode::InvalidRequest, format!("failed to understand `{shown}` as the name of an image"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_docker() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, whole, api) in [
            ("ubuntu", "docker.io/library/ubuntu:latest", DOCKER_HUB_API),
            ("team/app:1", "docker.io/team/app:1", DOCKER_HUB_API),
            ("docker.io/team/app", "docker.io/team/app:latest", DOCKER_HUB_API),
            ("localhost:5000/a", "localhost:5000/a:latest", "localhost:5000"),
            ("ghcr.io/a/b/c:x-1", "ghcr.io/a/b/c:x-1", "ghcr.io"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!((reference.to_string().as_str(), reference.place.api_host()), (whole, api), "{text}");
        }
        let exact = Reference::parse(&format!("quay.io/a/b:tag@{digest}")).unwrap();
        assert_eq!(exact.to_string(), format!("quay.io/a/b@{digest}"));
        assert_eq!(exact.wanted(), digest);
        for text in ["", "UPPER", "https://ghcr.io/a", "a b", "a@sha256:12", "a:b:c", "-", "a/../b"] {
            let failure = Reference::parse(text).unwrap_err();
            assert!(failure.code == FailureCode::InvalidRequest && failure.hint.is_some(), "{text}: {failure}");
        }
    }

    #[test]
    fn a_place_has_no_tag_and_no_upper_case_repository() {
        assert_eq!(Place::parse("localhost:5000/a/b").unwrap().to_string(), "localhost:5000/a/b");
        for text in ["a:1", "localhost:5000/a:1", &format!("a@sha256:{}", "0".repeat(64)), "teamA/app"] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_told_apart() {
        for (host, loopback) in [
            ("localhost:5000", true),
            ("localhost", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("127.0.0.1.acme.com", false),
            ("localhost.acme.com:5000", false),
            ("10.0.0.1:5000", false),
        ] {
            let place = Place { host: host.into(), repository: "a".into() };
            assert_eq!(place.is_loopback(), loopback, "{host}");
        }
    }

    #[test]
    fn tags_are_checked() {
        assert!(["a", "git-0123", "_", "1.2.3", &"a".repeat(128)].into_iter().all(is_tag));
        assert!(["", ".a", "-a", "a/b", "a b", "ä", &"a".repeat(129)].into_iter().all(|text| !is_tag(text)));
    }
}
