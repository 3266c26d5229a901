//! Manifests, indexes and configurations of bases, whoever made them: OCI's and Docker's of schema 2.

use super::Platform;
use crate::registry::{LARGEST_MANIFEST, digest_of};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;
use testfleet_protocol::{Failure, FailureCode, Result};

/// A configuration has no more bytes: those of real images have some ten thousand.
pub(super) const LARGEST_CONFIG: usize = 16 << 20;
/// An image has no more layers: overlay file systems take 128.
const MOST_LAYERS: usize = 512;

/// What a digest or tag names.
#[derive(Debug)]
pub(crate) enum Document {
    /// One image for each of several platforms.
    Index(Vec<Descriptor>),
    /// An image.
    Image {
        config: Descriptor,
        /// With media types of OCI.
        layers: Vec<Descriptor>,
    },
}

/// The failure to use a base.
pub(super) fn unusable(base: &str, why: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure::new(FailureCode::BaseUnusable, format!("failed to use the base {base}")).cause_text(why).hint(hint)
}

impl Document {
    /// Reads a manifest or index; `base` is what failures call it.
    ///
    /// # Errors
    /// `BaseUnusable` when it is neither, or has parts of unknown kinds.
    pub(crate) fn read(bytes: &[u8], base: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            schema_version: Option<u64>,
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
            config: Option<serde::de::IgnoredAny>,
        }
        const DAMAGED: &str = "it may be damaged: push or save it again, or choose another";
        let broken = |what: &str, error: &dyn std::error::Error| {
            unusable(base, format!("its {what} can't be read: {error}"), DAMAGED)
        };
        if bytes.len() > LARGEST_MANIFEST {
            return Err(unusable(base, format!("its manifest has {} bytes", bytes.len()), DAMAGED));
        }
        let kind: Kind = serde_json::from_slice(bytes).map_err(|error| broken("manifest", &error))?;
        if kind.schema_version == Some(1) {
            return Err(unusable(
                base,
                "its manifest is of schema 1, which Docker gave up in 2019",
                "pull and push it with a Docker of today, or choose another",
            ));
        }
        match kind.media_type.as_deref() {
            Some(
                "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json",
            ) => Self::index(bytes).map_err(|error| broken("index", &error)),
            Some(
                "application/vnd.oci.image.manifest.v1+json" | "application/vnd.docker.distribution.manifest.v2+json",
            ) => Self::image(bytes, base).map_err(|error| broken("manifest", &error))?,
            Some(other) => Err(unknown(base, "manifest", other)),
            None if kind.manifests.is_some() => Self::index(bytes).map_err(|error| broken("index", &error)),
            None if kind.config.is_some() => Self::image(bytes, base).map_err(|error| broken("manifest", &error))?,
            None => Err(unusable(base, "what its name leads to is neither a manifest nor an index", DAMAGED)),
        }
    }

    fn index(bytes: &[u8]) -> serde_json::Result<Self> {
        Ok(Self::Index(serde_json::from_slice::<ImageIndex>(bytes)?.manifests().clone()))
    }

    fn image(bytes: &[u8], base: &str) -> serde_json::Result<Result<Self>> {
        let manifest: ImageManifest = serde_json::from_slice(bytes)?;
        Ok(Self::checked(&manifest, base))
    }

    fn checked(manifest: &ImageManifest, base: &str) -> Result<Self> {
        let config = manifest.config().clone();
        let kind = config.media_type().to_string();
        if kind != "application/vnd.oci.image.config.v1+json"
            && kind != "application/vnd.docker.container.image.v1+json"
        {
            return Err(unusable(
                base,
                format!("it is no image: its configuration is of the kind `{}`", shown(&kind)),
                "an artifact, such as a Helm chart or a signature, can't be a base: name an image",
            ));
        }
        if manifest.layers().len() > MOST_LAYERS {
            let text = format!("it has {} layers", manifest.layers().len());
            return Err(unusable(base, text, format!("choose one with up to {MOST_LAYERS}")));
        }
        let layers = manifest.layers().iter().map(|layer| {
            digest_of(layer)?;
            let mut layer = layer.clone();
            layer.set_media_type(layer_kind(layer.media_type().as_ref(), base)?);
            Ok(layer)
        });
        digest_of(&config)?;
        Ok(Self::Image { config, layers: layers.collect::<Result<_>>()? })
    }
}

/// The kind of a layer in OCI's words: the bytes are the same.
fn layer_kind(kind: &str, base: &str) -> Result<MediaType> {
    Ok(match kind {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
            MediaType::ImageLayer
        }
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            MediaType::ImageLayerGzip
        }
        "application/vnd.oci.image.layer.v1.tar+zstd" | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
            MediaType::ImageLayerZstd
        }
        kind if kind.contains("nondistributable") || kind.contains("foreign") => {
            return Err(unusable(
                base,
                "it has a layer that registries may not keep, as images of Windows do",
                "choose a base that runs on Linux",
            ));
        }
        kind => return Err(unknown(base, "layer", kind)),
    })
}

fn unknown(base: &str, what: &str, kind: &str) -> Failure {
    unusable(
        base,
        format!("its {what} is of the unknown kind `{}`", shown(kind)),
        "images of OCI and Docker's of schema 2 are known, with layers that are plain or compressed with gzip or zstd: \
         choose or build one of those",
    )
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// The entry of an index for a platform.
///
/// # Errors
/// `BaseUnusable` when there is none; it lists the platforms that there are.
pub(crate) fn choose<'a>(entries: &'a [Descriptor], wanted: &Platform, base: &str) -> Result<&'a Descriptor> {
    let known =
        |entry: &&Descriptor| entry.platform().as_ref().is_some_and(|there| there.os().to_string() != "unknown");
    let there = || entries.iter().filter(known).filter_map(|entry| entry.platform().as_ref().map(Platform::of));
    let fits = |entry: &&Descriptor| entry.platform().as_ref().is_some_and(|there| wanted.takes(&Platform::of(there)));
    if let Some(entry) = entries.iter().find(fits) {
        return Ok(entry);
    }
    // Attestations name the platform `unknown`; an index of a single image often names none.
    let mut silent = entries.iter().filter(|entry| entry.platform().is_none());
    if let (Some(entry), None) = (silent.next(), silent.next()) {
        return Ok(entry);
    }
    let mut names: Vec<String> = there().map(|platform| platform.to_string()).collect();
    names.sort();
    names.dedup();
    Err(other_platform(base, wanted, &names))
}

pub(super) fn other_platform(base: &str, wanted: &Platform, there: &[String]) -> Failure {
    let text = match there {
        [] => format!("it has no image for {wanted}, and names no other platform"),
        there => format!("it has no image for {wanted}, only for {}", there.join(", ")),
    };
    unusable(base, text, "choose another base, or the platform that is wanted: testfleet { image { platform = ... } }")
}

/// Reads the configuration of an image, which has to be for a platform and of so many layers.
///
/// # Errors
/// `BaseUnusable` when it can't be read or is of another platform.
pub(crate) fn read_config(bytes: &[u8], layers: usize, wanted: &Platform, base: &str) -> Result<ImageConfiguration> {
    const HINT: &str = "it may be damaged: push or save it again, or choose another";
    let config: ImageConfiguration = serde_json::from_slice(bytes)
        .map_err(|error| unusable(base, format!("its configuration can't be read: {error}"), HINT))?;
    let there = Platform::described(config.os(), config.architecture(), config.variant().as_deref());
    if !wanted.takes(&there) {
        return Err(other_platform(base, wanted, &[there.to_string()]));
    }
    let named = config.rootfs().diff_ids().len();
    if named != layers {
        return Err(unusable(base, format!("it has {layers} layers, and its configuration names {named}"), HINT));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

    fn hex(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn manifest(media_type: &str, config: &str, layer: &str) -> String {
        serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {"mediaType": config, "digest": hex('a'), "size": 2},
            "layers": [{"mediaType": layer, "digest": hex('b'), "size": 3}],
        })
        .to_string()
    }

    #[test]
    fn layers_of_docker_become_those_of_oci() {
        for (docker, oci) in [
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
            ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
            ("application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
        ] {
            let read = Document::read(manifest(MANIFEST, CONFIG, docker).as_bytes(), "base").unwrap();
            let Document::Image { layers, .. } = read else { panic!("an image was expected: {read:?}") };
            assert_eq!(layers[0].media_type().to_string(), oci);
        }
    }

    #[test]
    fn what_cannot_be_a_base_is_refused_with_the_reason() {
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let plain = "application/vnd.oci.image.layer.v1.tar";
        let other_digest = manifest(MANIFEST, CONFIG, plain).replace(&hex('b'), &format!("sha512:{}", "b".repeat(128)));
        for (text, reason) in [
            (manifest(MANIFEST, CONFIG, "application/x-squashfs"), "unknown kind `application/x-squashfs`"),
            (manifest(MANIFEST, CONFIG, foreign), "Windows"),
            (manifest(MANIFEST, "application/vnd.cncf.helm.config.v1+json", plain), "no image"),
            (manifest("application/json", CONFIG, plain), "unknown kind"),
            (r#"{"schemaVersion": 1, "fsLayers": []}"#.into(), "schema 1"),
            ("{}".into(), "neither"),
            ("[]".into(), "can't be read"),
            ("{".into(), "can't be read"),
            (String::new(), "can't be read"),
            ("[".repeat(100_000), "can't be read"),
            (" ".repeat(LARGEST_MANIFEST + 1), "bytes"),
            (r#"{"schemaVersion": 2, "manifests": 1}"#.into(), "index can't be read"),
            (r#"{"schemaVersion": 2, "config": {}}"#.into(), "manifest can't be read"),
            (other_digest, "sha256"),
        ] {
            let failure = Document::read(text.as_bytes(), "base").unwrap_err();
            assert_eq!(failure.code, FailureCode::BaseUnusable);
            assert!(failure.to_string().contains(reason) && failure.hint.is_some(), "{reason}: {failure}");
        }
    }

    fn entry(platform: Option<(&str, &str, Option<&str>)>, digit: char) -> Descriptor {
        let mut entry = serde_json::json!({"mediaType": MANIFEST, "digest": hex(digit), "size": 1});
        if let Some((os, architecture, variant)) = platform {
            entry["platform"] = serde_json::json!({"os": os, "architecture": architecture, "variant": variant});
        }
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn an_index_has_one_image_for_each_platform() {
        let entries = [
            entry(Some(("unknown", "unknown", None)), '1'),
            entry(Some(("linux", "arm64", Some("v8"))), '2'),
            entry(Some(("linux", "amd64", None)), '3'),
        ];
        for (wanted, digit) in [("linux/amd64", '3'), ("linux/arm64", '2')] {
            let chosen = choose(&entries, &wanted.parse().unwrap(), "base").unwrap();
            assert_eq!(chosen.digest().to_string(), hex(digit));
        }
        let failure = choose(&entries, &"linux/s390x".parse().unwrap(), "base").unwrap_err();
        assert!(failure.to_string().contains("only for linux/amd64, linux/arm64/v8"), "{failure}");
        assert!(!failure.to_string().contains("unknown"), "{failure}");
        let single = [entry(None, '4')];
        assert_eq!(choose(&single, &Platform::machine(), "base").unwrap(), &single[0]);
        assert!(choose(&[], &Platform::machine(), "base").is_err());
        assert!(choose(&[entry(None, '4'), entry(None, '5')], &Platform::machine(), "base").is_err());
    }

    #[test]
    fn a_configuration_is_checked() {
        let wanted = "linux/amd64".parse().unwrap();
        // As Docker writes it, with fields that OCI does not have.
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "container": "x", "docker_version": "20.10",
            "created": "2024-01-01T00:00:00.123456789Z",
            "config": {
                "Hostname": "", "AttachStdin": false, "Env": ["PATH=/bin"], "Cmd": ["sh"], "Image": "", "Volumes": null,
                "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": null, "ExposedPorts": {"80/tcp": {}}
            },
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "x", "empty_layer": true}],
            "rootfs": {"type": "layers", "diff_ids": [hex('1')]},
        });
        let read = read_config(config.to_string().as_bytes(), 1, &wanted, "base").unwrap();
        assert_eq!(read.config().as_ref().unwrap().env().as_ref().unwrap(), &["PATH=/bin"]);
        for (layers, wanted, reason) in [(2, "linux/amd64", "names 1"), (1, "linux/arm64", "only for linux/amd64")] {
            let failure =
                read_config(config.to_string().as_bytes(), layers, &wanted.parse().unwrap(), "b").unwrap_err();
            assert!(failure.to_string().contains(reason), "{failure}");
        }
        assert!(read_config(b"{}", 0, &wanted, "base").is_err());
    }
}
