//! An image as a folder in the OCI image layout.

use crate::{Blob, BlobSource, Digest, Image};
use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, PlatformBuilder,
};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use testfleet_protocol::{Failure, FailureCode, Result};

/// The content of `oci-layout` (OCI image layout specification, "oci-layout file").
pub(crate) const MARK: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// An image under a name of the layout's index.
#[derive(Debug, Clone)]
pub struct Named<'a> {
    /// Which.
    pub image: &'a Image,
    /// `org.opencontainers.image.ref.name`
    pub name: Option<String>,
}

/// Writes images as a folder in the OCI image layout. Blobs of files are linked, or copied where that can't be; those that are
/// there stay, those that no image needs any more go. Blobs that are still in a registry are left out. The index is written last,
/// so that it never names what is not there.
///
/// # Errors
/// `Io` when the folder can't be written or a blob can't be read.
pub fn write(dir: &Path, images: &[Named<'_>]) -> Result<()> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(|error| Failure::io("create", &blobs, &error))?;
    let mut wanted = BTreeSet::new();
    for Named { image, .. } in images {
        for blob in image.layers.iter().chain([&image.config, &image.manifest]) {
            let name = blob.digest()?.hex().to_owned();
            if !wanted.contains(&name) {
                place(blob, &blobs.join(&name))?;
                wanted.insert(name);
            }
        }
    }
    replace(&dir.join("oci-layout"), MARK)?;
    replace(&dir.join("index.json"), &index(images)?)?;
    let failed = |error: &std::io::Error| Failure::io("list", &blobs, error);
    for entry in fs::read_dir(&blobs).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        if !wanted.contains(entry.file_name().to_string_lossy().as_ref()) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|error| Failure::io("remove", &path, &error))?;
        }
    }
    Ok(())
}

/// The image of this manifest in a folder in the OCI image layout.
///
/// # Errors
/// `Io` when a part of it is not there, `InvalidRequest` when its manifest is none.
pub fn read(dir: &Path, manifest: &Digest) -> Result<Image> {
    let path = dir.join(blob_path(manifest));
    let bytes = fs::read(&path).map_err(|error| incomplete(&path, &error))?;
    let about = ImageManifest::from_reader(bytes.as_slice()).map_err(|error| {
        Failure::new(FailureCode::InvalidRequest, format!("failed to understand {}", path.display())).cause(&error)
    })?;
    let blob = |descriptor: &Descriptor| {
        let digest: Digest = descriptor.digest().to_string().parse()?;
        let path = dir.join(blob_path(&digest));
        fs::metadata(&path).map_err(|error| incomplete(&path, &error))?;
        Ok(Blob { descriptor: descriptor.clone(), source: BlobSource::File(path) })
    };
    Ok(Image {
        manifest: Blob::of_bytes(MediaType::ImageManifest, bytes)?,
        config: blob(about.config())?,
        layers: about.layers().iter().map(blob).collect::<Result<_>>()?,
    })
}

/// Where a layout has a blob.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn incomplete(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io("read a part of the image,", path, error).hint("make the image again: ./gradlew image")
}

/// The bytes of `index.json`.
pub(crate) fn index(images: &[Named<'_>]) -> Result<Vec<u8>> {
    let manifests = images.iter().map(descriptor).collect::<Result<Vec<_>>>()?;
    let mut index = ImageIndex::default();
    index.set_schema_version(2);
    index.set_media_type(Some(MediaType::ImageIndex));
    index.set_manifests(manifests);
    crate::json(&index)
}

fn descriptor(named: &Named<'_>) -> Result<Descriptor> {
    let mut descriptor = named.image.manifest.descriptor.clone();
    let config = named.image.configuration()?;
    let platform =
        PlatformBuilder::default().os(config.os().clone()).architecture(config.architecture().clone()).build();
    descriptor.set_platform(platform.ok());
    if let Some(name) = &named.name {
        descriptor.set_annotations(Some(HashMap::from([(ANNOTATION_REF_NAME.to_owned(), name.clone())])));
    }
    Ok(descriptor)
}

impl Image {
    /// Its configuration, read from its blob.
    ///
    /// # Errors
    /// `Io` when it can't be read, `InvalidRequest` when it is none.
    pub fn configuration(&self) -> Result<ImageConfiguration> {
        let bytes = self.config.bytes()?;
        ImageConfiguration::from_reader(bytes.as_slice()).map_err(|error| {
            Failure::new(FailureCode::InvalidRequest, "failed to read an image's configuration").cause(&error)
        })
    }
}

/// Puts a blob at a path, unless it is there.
fn place(blob: &Blob, path: &Path) -> Result<()> {
    match &blob.source {
        BlobSource::Registry(_) => Ok(()),
        BlobSource::Bytes(bytes) => match fs::read(path) {
            Ok(there) if there == *bytes => Ok(()),
            _ => replace(path, bytes),
        },
        BlobSource::File(file) if file == path => Ok(()),
        BlobSource::File(file) => {
            let from = fs::metadata(file).map_err(|error| Failure::io("read", file, &error))?;
            if is_copy(&from, path) {
                return Ok(());
            }
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(Failure::io("replace", path, &error)),
                _ => {}
            }
            // Another file system, or too many links: a copy it is.
            fs::hard_link(file, path)
                .or_else(|_| copy(file, &from, path))
                .map_err(|error| Failure::io("write", path, &error))
        }
    }
}

/// Whether what is there is a link, or a copy, which has the time of what it was copied from. Another file of the same size
/// may be a damaged one.
fn is_copy(from: &fs::Metadata, path: &Path) -> bool {
    let modified = |metadata: &fs::Metadata| metadata.modified().ok();
    fs::symlink_metadata(path)
        .is_ok_and(|there| there.is_file() && there.len() == from.len() && modified(&there) == modified(from))
}

fn copy(file: &Path, from: &fs::Metadata, path: &Path) -> std::io::Result<()> {
    let temp = tempfile::Builder::new().prefix(".testfleet-").tempfile_in(path.parent().unwrap_or(path))?;
    let mut to = temp.as_file();
    std::io::copy(&mut fs::File::open(file)?, &mut to)?;
    to.set_modified(from.modified()?)?;
    to.set_permissions(from.permissions())?;
    temp.persist(path).map(drop).map_err(|error| error.error)
}

/// Replaces a file, so that readers see the old or the new content and never a part.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |error: &std::io::Error| Failure::io("write", path, error);
    let folder = path.parent().unwrap_or(path);
    let mut file = tempfile::Builder::new()
        .prefix(".testfleet-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    file.write_all(bytes).map_err(|error| failed(&error))?;
    file.persist(path).map(drop).map_err(|error| failed(&error.error))
}
