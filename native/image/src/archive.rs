//! Images as one tar file: what `docker load` reads, and an OCI layout as well.

use crate::{Blob, BlobSource, Image, layout};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use testfleet_protocol::{Failure, FailureCode, Result};

/// An image that goes into a tar file.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    /// Which.
    pub image: &'a Image,
    /// Full ones (`docker.io/library/app:tag`, `registry.example/app:tag`): Docker and containerd understand others differently.
    pub names: &'a [String],
    /// So many of its lowest layers are left out, as the reader has them.
    pub left_out: usize,
}

/// Writes images as one tar file: `manifest.json` of Docker's own format beside `index.json` and `oci-layout`, over the same
/// blobs. A file without all layers is no OCI layout, and has Docker's format alone.
///
/// # Errors
/// `Io` when a blob can't be read, or is not whole, or `to` can't be written; `Internal` for a blob that is still in a registry.
pub fn write(images: &[Packed<'_>], to: &mut impl Write) -> Result<()> {
    let mut tar = tar::Builder::new(to);
    let mut written = BTreeSet::new();
    let (mut docker, mut named) = (Vec::new(), Vec::new());
    for Packed { image, names, left_out } in images {
        for blob in image.layers.iter().skip(*left_out).chain([&image.config, &image.manifest]) {
            if written.insert(blob.descriptor.digest().to_string()) {
                append_blob(&mut tar, blob)?;
            }
        }
        docker.push(json!({
            "Config": blob_path(&image.config)?,
            "RepoTags": names,
            "Layers": image.layers.iter().map(blob_path).collect::<Result<Vec<_>>>()?,
        }));
        named.extend(names.iter().map(|name| layout::Named { image, name: Some(name.clone()) }));
        if names.is_empty() {
            named.push(layout::Named { image, name: None });
        }
    }
    if images.iter().all(|packed| packed.left_out == 0) {
        append(&mut tar, "index.json", &layout::index(&named)?)?;
        append(&mut tar, "oci-layout", layout::MARK)?;
    }
    append(&mut tar, "manifest.json", serde_json::Value::from(docker).to_string().as_bytes())?;
    tar.into_inner().and_then(|to| to.flush()).map_err(|error| cannot_write(&error))
}

fn blob_path(blob: &Blob) -> Result<String> {
    blob.digest().map(|digest| layout::blob_path(&digest))
}

fn append_blob(tar: &mut tar::Builder<&mut impl Write>, blob: &Blob) -> Result<()> {
    let path = blob_path(blob)?;
    match &blob.source {
        BlobSource::Bytes(bytes) => append(tar, &path, bytes),
        BlobSource::File(file) => {
            let failed = |error: &std::io::Error| Failure::io("read", file, error);
            let open = File::open(file).map_err(|error| failed(&error))?;
            let size = open.metadata().map_err(|error| failed(&error))?.len();
            if size != blob.descriptor.size() {
                return Err(Failure::new(FailureCode::Io, format!("failed to read the layer {}", file.display()))
                    .cause_text(format!("it has {size} bytes instead of {}", blob.descriptor.size()))
                    .hint("make the image again: ./gradlew image"));
            }
            append_from(tar, &path, size, open)
        }
        BlobSource::Registry(from) => {
            Err(Failure::new(FailureCode::Internal, format!("failed to pack the blob {}", blob.descriptor.digest()))
                .cause_text(format!("it was not fetched from {from}")))
        }
    }
}

fn append(tar: &mut tar::Builder<&mut impl Write>, path: &str, bytes: &[u8]) -> Result<()> {
    append_from(tar, path, bytes.len() as u64, bytes)
}

fn append_from(tar: &mut tar::Builder<&mut impl Write>, path: &str, size: u64, from: impl Read) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, path, from).map_err(|error| cannot_write(&error))
}

fn cannot_write(error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::Io, "failed to write an image as a tar file").cause(error)
}
