//! The Gradle that runs a build, as a layer.

use crate::Digest;
use crate::java;
use crate::layer::encode::{Codec, Content};
use crate::layer::tree::{Node, PLAIN, PROGRAM, Source, Tree};
use crate::layer::{Made, Outcome, write};
use crate::secrets::Guard;
use crate::store::{Lease, MadeFrom};
use testfleet_protocol::image::{Compression, Development};
use testfleet_protocol::{Failure, FailureCode, Result};
use walkdir::WalkDir;

/// Another number for another layer of the same distribution.
const RULE: u32 = 2;

/// Where Gradle lies in an image.
pub(super) const HOME: &str = "/opt/gradle";

/// The layer of Gradle, unless somebody put credentials into its scripts and properties: what else is in it is Gradle's own.
///
/// # Errors
/// `Io` when it can't be read, `InvalidRequest` when there is none.
pub(super) fn layer(
    development: &Development,
    compression: Compression,
    lease: &Lease,
    guard: &Guard,
) -> Result<Outcome> {
    let codec = Codec::of(Content::Jars, compression);
    let home = &development.gradle_home;
    let launcher = format!("lib/gradle-launcher-{}.jar", development.gradle_version);
    if !home.join(&launcher).is_file() {
        return Err(Failure::new(FailureCode::InvalidRequest, format!("failed to find Gradle in {}", home.display()))
            .cause_text(format!("there is no {launcher}"))
            .hint("run the task with a Gradle that was installed or came with the wrapper"));
    }
    let mut identities = vec![home.display().to_string(), START.to_owned(), INIT.to_owned(), guard.identity()];
    for entry in WalkDir::new(home).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            Failure::new(FailureCode::Io, format!("failed to read {}", home.display())).cause(&error)
        })?;
        identities.push(format!("{} {}", entry.path().display(), java::stamp(entry.path())));
    }
    let key = java::key(&format!("gradle {RULE} {codec:?}"), &identities);
    if let Some((record, file)) = lease.layer(&key)? {
        return Ok(Outcome::Made(Box::new(Made { record, file, reused: true })));
    }
    let mut tree = Tree::default();
    java::copy(home, &HOME[1..], &mut tree)?;
    let mut add = |path: &str, text: String, mode: u32| {
        tree.add(&format!("{HOME}/{path}"), Node::File { from: Source::Bytes(text.into_bytes()), mode });
    };
    add("bin/gradle", START.replace("{launcher}", &launcher), PROGRAM);
    add("init.d/testfleet.gradle", INIT.to_owned(), PLAIN);
    let sha256 = Digest::of(identities.join("\n").as_bytes()).hex().to_owned();
    let made_from = vec![MadeFrom { path: home.display().to_string(), sha256 }];
    let holds = format!("gradle {}", development.gradle_version);
    let mut looking = guard.looking();
    let unfinished = write(lease, codec, &tree, &mut |path, bytes| {
        if path.contains("/init.d/") || path.ends_with(".properties") {
            looking.on_bytes(&format!("/{path}"), bytes);
        }
    })?;
    let found = looking.found();
    if !found.is_empty() {
        return Ok(Outcome::Refused(found));
    }
    let (record, file) = unfinished.finish(&holds, made_from)?;
    lease.remember(&key, &record)?;
    Ok(Outcome::Made(Box::new(Made { record, file, reused: false })))
}

/// Puts the links of an image before all repositories.
const INIT: &str = include_str!("init.gradle");

/// Gradle's own script needs more programs than a small base has.
const START: &str = "#!/bin/sh
exec \"${JAVA_HOME:?}/bin/java\" -Xmx64m ${GRADLE_OPTS-} -classpath /opt/gradle/{launcher} org.gradle.launcher.GradleMain \"$@\"
";
