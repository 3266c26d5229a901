//! A bundle as a folder of its own: `dest/<root>/...` for every entry, with `bundle.json` and `plan.json`.

use super::digest::{self, Below};
use super::{read_bundle, write_bundle};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::path::Roots;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Copies all that a bundle names below `dest`. What is there already with the same content is left alone, what an
/// earlier bundle put there and this one lacks is removed. Returns the bundle as written: without Java homes, since
/// its workers bring their own. `plan.json` is taken from the `build` root.
///
/// # Errors
/// `Io` when something can't be copied, `PathOutsideRoots` for an entry of an unknown root.
pub fn materialise(bundle: &Bundle, roots: &Roots, dest: &Path) -> Result<Bundle> {
    let manifest = dest.join("bundle.json");
    let mut copies = Vec::new();
    for entry in &bundle.entries {
        let target = dest.join(relative_to_dest(&entry.path)?);
        copies.extend(copies_of(&roots.resolve(&entry.path), &target, dest)?);
    }
    let wanted: BTreeSet<&Path> = copies.iter().map(|(_, target)| target.as_path()).collect();
    if manifest.exists() {
        remove_stale(&read_bundle(&manifest)?, dest, &wanted)?;
    }
    copies.par_iter().try_for_each(|(source, target)| copy_if_changed(source, target))?;
    if let Some(plan) = roots.get("build").map(|build| build.join("plan.json")).filter(|plan| plan.is_file()) {
        copy_if_changed(&plan, &dest.join("plan.json"))?;
    }
    let mut written = bundle.clone();
    written.profiles.iter_mut().for_each(|profile| profile.java_home = None);
    write_bundle(&written, &manifest)?;
    Ok(written)
}

/// `${project}/lib/a.jar` as `project/lib/a.jar`.
fn relative_to_dest(stored: &str) -> Result<PathBuf> {
    let relative = stored.strip_prefix("${").and_then(|rest| rest.split_once('}')).map(|(root, rest)| {
        let rest = rest.trim_start_matches('/');
        if rest.is_empty() { PathBuf::from(root) } else { Path::new(root).join(rest) }
    });
    relative.filter(|path| path.components().all(|part| matches!(part, Component::Normal(_)))).ok_or_else(|| {
        Failure::new(FailureCode::PathOutsideRoots, format!("failed to place {stored} in a folder of its own"))
            .cause_text("it is no path below a named root")
            .hint("make a new bundle: ./gradlew prepare")
    })
}

/// Source and target of every file. What lies in `dest` itself is not copied into it.
fn copies_of(source: &Path, target: &Path, dest: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    if !source.is_dir() {
        return Ok(vec![(source.to_owned(), target.to_owned())]);
    }
    fs::create_dir_all(target).map_err(|error| Failure::io("create", target, &error))?;
    let files = digest::files_below(source)?;
    Ok(files
        .into_iter()
        .filter(|file| !file.path.starts_with(dest))
        .map(|Below { relative, path }| (path, target.join(relative)))
        .collect())
}

fn remove_stale(earlier: &Bundle, dest: &Path, wanted: &BTreeSet<&Path>) -> Result<()> {
    for entry in &earlier.entries {
        let target = dest.join(relative_to_dest(&entry.path)?);
        let present = match target.is_dir() {
            true => digest::files_below(&target)?.into_iter().map(|file| file.path).collect(),
            false if target.exists() => vec![target],
            false => Vec::new(),
        };
        for file in present.iter().filter(|file| !wanted.contains(file.as_path())) {
            fs::remove_file(file).map_err(|error| Failure::io("remove", file, &error))?;
        }
    }
    Ok(())
}

fn copy_if_changed(source: &Path, target: &Path) -> Result<()> {
    let size = |path: &Path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
    if size(target).is_some() && size(source) == size(target) && digest::of_file(source)? == digest::of_file(target)? {
        return Ok(());
    }
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))?;
    // Replaced as a whole: a running agent or JVM keeps the file that it has open.
    let copied = tempfile::Builder::new().prefix(".testfleet-").tempfile_in(folder).and_then(|file| {
        fs::copy(source, file.path())?;
        file.persist(target).map_err(|error| error.error)
    });
    copied.map(drop).map_err(|error| Failure::io("copy to", target, &error))
}
