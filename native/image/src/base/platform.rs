//! What an image runs on.

use oci_spec::image::Platform as Described;
use std::fmt;
use std::str::FromStr;
use testfleet_protocol::{Failure, FailureCode, Result};

/// `linux/amd64` or `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// As Go names it.
    pub os: String,
    /// As Go names it.
    pub architecture: String,
    /// Of the architecture, where that has any.
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's, for containers: these run on Linux, wherever the build does.
    pub fn machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// Of a descriptor or configuration.
    pub(super) fn described(os: &impl fmt::Display, architecture: &impl fmt::Display, variant: Option<&str>) -> Self {
        let variant = variant.filter(|variant| !variant.is_empty()).map(str::to_owned);
        Self { os: os.to_string(), architecture: architecture.to_string(), variant }
    }

    pub(super) fn of(described: &Described) -> Self {
        Self::described(described.os(), described.architecture(), described.variant().as_deref())
    }

    /// Whether what is there runs where this is wanted. A variant that only one of them names is no matter.
    pub fn takes(&self, there: &Self) -> bool {
        let variants = self.variant.as_ref().zip(there.variant.as_ref());
        self.os == there.os && self.architecture == there.architecture && variants.is_none_or(|(a, b)| a == b)
    }
}

impl FromStr for Platform {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split('/').map(str::to_owned);
        let fits = |part: &String| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
        if text.split('/').count() <= 3
            && text.split('/').all(|part| fits(&part.to_owned()))
            && let (Some(os), Some(architecture)) = (parts.next(), parts.next())
        {
            return Ok(Self { os, architecture, variant: parts.next() });
        }
        let shown: String = text.chars().take(100).collect();
        Err(Failure::new(FailureCode::InvalidRequest, format!("failed to understand the platform `{shown}`"))
            .hint("write `linux/amd64`, `linux/arm64` or the like"))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_written_as_docker_does() {
        for text in ["linux/amd64", "linux/arm64/v8"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for text in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64"] {
            assert!(text.parse::<Platform>().unwrap_err().hint.is_some(), "{text}");
        }
        let takes = |wanted: &str, there: &str| wanted.parse::<Platform>().unwrap().takes(&there.parse().unwrap());
        assert!(takes("linux/arm64", "linux/arm64/v8") && takes("linux/arm64/v8", "linux/arm64"));
        assert!(!takes("linux/arm/v7", "linux/arm/v6") && !takes("linux/amd64", "windows/amd64"));
        assert_eq!(Platform::machine().os, "linux");
    }
}
