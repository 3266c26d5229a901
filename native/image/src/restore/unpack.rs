//! The files of a dependency cache in a layer.

use crate::gradle::FILES;
use crate::place;
use flate2::read::MultiGzDecoder;
use oci_spec::image::MediaType;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Component, Path};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Unpacks what lies in `files-2.1` of the image into a folder; other parts of the layer are left out. Returns the files by their paths,
/// and their sizes in bytes.
///
/// # Errors
/// `BaseUnusable` for a layer that can't be understood, `Io` when the folder can't be written.
pub(crate) fn unpack(blob: &Path, media_type: &MediaType, to: &Path) -> Result<BTreeMap<String, u64>> {
    let damaged = |error: &std::io::Error| {
        Failure::new(FailureCode::BaseUnusable, format!("failed to read the layer {}", blob.display()))
            .cause(error)
            .hint("make and push the image again: ./gradlew image")
    };
    let file = BufReader::new(File::open(blob).map_err(|error| Failure::io("read", blob, &error))?);
    let plain: Box<dyn Read> = match media_type {
        MediaType::ImageLayer => Box::new(file),
        MediaType::ImageLayerGzip => Box::new(MultiGzDecoder::new(file)),
        MediaType::ImageLayerZstd => Box::new(zstd::Decoder::new(file).map_err(|error| damaged(&error))?),
        other => {
            return Err(Failure::new(
                FailureCode::BaseUnusable,
                format!("failed to read the layer {}", blob.display()),
            )
            .cause_text(format!("its media type {other} is unknown"))
            .hint("make and push the image again: ./gradlew image"));
        }
    };
    let mut archive = tar::Archive::new(plain);
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(|error| damaged(&error))? {
        let mut entry = entry.map_err(|error| damaged(&error))?;
        let is_file = entry.header().entry_type().is_file();
        let path = entry.path().map_err(|error| damaged(&error))?.into_owned();
        let Some(path) = path_in_cache(&path).filter(|_| is_file) else { continue };
        let target = to.join(&path);
        fs::create_dir_all(target.parent().unwrap_or(to)).map_err(|error| cannot_write(&target, &error))?;
        let mut file = File::create(&target).map_err(|error| cannot_write(&target, &error))?;
        let size = copy(&mut entry, &mut file).map_err(|fault| match fault {
            Fault::Read(error) => damaged(&error),
            Fault::Write(error) => cannot_write(&target, &error),
        })?;
        files.insert(path, size);
    }
    Ok(files)
}

/// `GROUP/NAME/VERSION/SHA1/FILE` of what is a file of a dependency cache.
fn path_in_cache(path: &Path) -> Option<String> {
    let folder = format!("{}/{FILES}", place::root(place::GRADLE_CACHE));
    let rest = path.strip_prefix(folder.trim_start_matches('/')).ok()?;
    let parts = rest.components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let parts: Vec<&str> = parts.collect::<Option<_>>()?;
    (parts.len() == 5).then(|| parts.join("/"))
}

enum Fault {
    Read(std::io::Error),
    Write(std::io::Error),
}

/// As [`std::io::copy`], which does not say which side failed.
fn copy(from: &mut impl Read, to: &mut impl std::io::Write) -> std::result::Result<u64, Fault> {
    let mut buffer = vec![0; 1 << 17];
    let mut size = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(count) => {
                to.write_all(&buffer[..count]).map_err(Fault::Write)?;
                size += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::Read(error)),
        }
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::io("write", path, error);
    match error.kind() {
        ErrorKind::StorageFull => failure.hint(
            "make room on that disk, or choose a folder on another with --to: what is restored is not fetched again",
        ),
        _ => failure.hint("make the folder writable, or choose another with --to"),
    }
}
