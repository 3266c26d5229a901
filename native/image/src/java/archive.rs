//! The archive of a JDK's own classes (class data sharing), with which each JVM starts faster. A JDK that was linked has none.
//!
//! It is a layer of its own: what is in it depends on where it was made, so that it is not equal on all machines.

use super::home::output_of;
use super::{Jdk, key};
use crate::layer::encode::{Codec, Content};
use crate::layer::tree::{Node, PLAIN, Source, Tree};
use crate::layer::{Made, write};
use crate::store::{Lease, MadeFrom};
use oci_spec::image::MediaType;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use testfleet_protocol::image::Compression;
use testfleet_protocol::{Failure, FailureCode, Result};

/// The first feature release whose JVMs take such an archive without being told to (JEP 341).
const FIRST: u32 = 12;

/// Where it lies in a JDK.
const ARCHIVE: &str = "lib/server/classes.jsa";

/// The layer with the archive of a JDK's classes; `None` when the JDK has one already, or would not take it.
///
/// # Errors
/// `JvmStart` when the JVM makes none, `Io` when something can't be read or written.
pub(crate) fn archive_layer(
    jdk: &Jdk,
    target: &str,
    java: &Made,
    compression: Compression,
    lease: &Lease,
) -> Result<Option<Made>> {
    if jdk.release < FIRST {
        return Ok(None);
    }
    let codec = Codec::of(Content::Seldom, compression);
    let key = key(&format!("classes {codec:?} {target}"), &[java.record.digest.to_string()]);
    if let Some((record, file)) = lease.layer(&key)? {
        return Ok(Some(Made { record, file, reused: true }));
    }
    let temp =
        tempfile::tempdir_in(lease.temp()).map_err(|error| Failure::io("create a folder in", &lease.temp(), &error))?;
    unpack(java, temp.path())?;
    let home = temp.path().join(target.trim_start_matches('/'));
    let archive = home.join(ARCHIVE);
    if archive.exists() {
        return Ok(None);
    }
    // One thread, no compiler: then it is at least equal each time at this place.
    let mut command = Command::new(home.join("bin/java"));
    command.args(["-Xint", "-XX:+UseSerialGC", "-Xms128M", "-Xmx128M", "-Xshare:dump"]);
    let outcome = output_of(command);
    if !archive.exists() {
        let failure =
            Failure::new(FailureCode::JvmStart, format!("failed to archive the classes of {}", jdk.home.display()));
        return Err(failure
            .cause_text(outcome.err().unwrap_or_else(|| format!("{ARCHIVE} was not written")))
            .hint("leave image { classDataSharing } out"));
    }
    let mut tree = Tree::default();
    tree.add(&format!("{target}/{ARCHIVE}"), Node::File { from: Source::File(archive), mode: PLAIN });
    let made_from = vec![MadeFrom { path: target.to_owned(), sha256: java.record.digest.hex().to_owned() }];
    let holds = format!("class archive of java {}", jdk.release);
    let (record, file) = write(lease, codec, &tree, &mut |_, _| {})?.finish(&holds, made_from)?;
    lease.remember(&key, &record)?;
    Ok(Some(Made { record, file, reused: false }))
}

fn unpack(layer: &Made, to: &Path) -> Result<()> {
    let failed = |error: &std::io::Error| Failure::io("unpack", &layer.file, error);
    let file = File::open(&layer.file).map_err(|error| failed(&error))?;
    let tar: Box<dyn Read> = match MediaType::from(layer.record.media_type.as_str()) {
        MediaType::ImageLayerGzip => Box::new(flate2::read::GzDecoder::new(file)),
        MediaType::ImageLayerZstd => Box::new(zstd::Decoder::new(file).map_err(|error| failed(&error))?),
        _ => Box::new(file),
    };
    tar::Archive::new(tar).unpack(to).map_err(|error| failed(&error))
}
