//! Where a shared history is: what users write in `location`.

use reqwest::Url;
use std::path::PathBuf;
use testfleet_protocol::{Failure, FailureCode, Result};

const FORMS: &str =
    "name an absolute folder, https://host/path/, or oci://registry/repository (oci+http:// without TLS)";

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    Folder(PathBuf),
    /// Ends with a slash.
    Http(Url),
    Registry {
        /// With its port, if it has one.
        host: String,
        repository: String,
        /// Without TLS.
        plain: bool,
    },
}

impl Location {
    /// # Errors
    /// `InvalidRequest`; the text is repeated only where it can hold no secret.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid = || Failure::new(FailureCode::InvalidRequest, "failed to choose where history is shared");
        let Some((scheme, _)) = text.split_once("://") else {
            let folder = PathBuf::from(text);
            return if folder.is_absolute() {
                Ok(Self::Folder(folder))
            } else {
                Err(invalid().cause_text(format!("`{text}` is no absolute path")).hint(FORMS))
            };
        };
        let url = Url::parse(text).map_err(|error| invalid().cause_text(error.to_string()).hint(FORMS))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid()
                .cause_text("the location has a user or password in it")
                .hint("name variables of the environment that hold them: userVariable and passwordVariable"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid()
                .cause_text("the location has a `?` or `#`")
                .hint("documents are found under location/<name>: a signed URL of a single one can't be used"));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        match (scheme, host) {
            ("file", None) => url
                .to_file_path()
                .map(Self::Folder)
                .map_err(|()| invalid().cause_text(format!("`{text}` is no path")).hint(FORMS)),
            ("http" | "https", Some(_)) => {
                let mut url = url;
                if !url.path().ends_with('/') {
                    url.set_path(&format!("{}/", url.path()));
                }
                Ok(Self::Http(url))
            }
            ("oci" | "oci+http", Some(host)) => {
                let repository = url.path().trim_matches('/').to_owned();
                if repository.is_empty() {
                    return Err(invalid().cause_text(format!("`{text}` names no repository")).hint(FORMS));
                }
                // As docker does it: nobody has certificates for the own machine.
                let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
                let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
                Ok(Self::Registry { host, repository, plain: scheme == "oci+http" || local })
            }
            _ => Err(invalid().cause_text(format!("`{text}` is of no kind that is known")).hint(FORMS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_write() {
        let url = |text: &str| Location::Http(Url::parse(text).unwrap());
        let registry = |host: &str, repository: &str, plain| Location::Registry {
            host: host.into(),
            repository: repository.into(),
            plain,
        };
        for (text, expected) in [
            ("/mnt/history", Location::Folder("/mnt/history".into())),
            ("file:///mnt/a%20b", Location::Folder("/mnt/a b".into())),
            ("https://ci.acme.com/testfleet", url("https://ci.acme.com/testfleet/")),
            ("http://cache:8080", url("http://cache:8080/")),
            ("oci://ghcr.io/acme/history", registry("ghcr.io", "acme/history", false)),
            ("oci://localhost:5000/history/", registry("localhost:5000", "history", true)),
            ("oci+http://registry.ci:5000/history", registry("registry.ci:5000", "history", true)),
        ] {
            assert_eq!(Location::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_repeating_secrets() {
        for text in [
            "",
            "relative/folder",
            "s3://bucket/history",
            "https://",
            "oci://ghcr.io",
            "file://server/share",
            "https://me:s3cret@host/",
            "https://s3cret@host/",
            "https://host/history?signature=s3cret",
            "https://host/#s3cret",
            "https://me:s3cret@ho st/",
        ] {
            let failure = Location::parse(text).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidRequest, "{text}");
            assert!(failure.hint.is_some(), "{text}");
            assert!(!failure.to_string().contains("s3cret"), "{failure}");
        }
    }
}
