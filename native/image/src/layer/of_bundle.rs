//! The layers of a bundle, from what seldom changes to what always does.

use super::cut::{cut, cut_classes, parts_of_classes};
use super::encode::Content;
use super::tree::{PLAIN, PROGRAM};
use super::{FileBelow, FilesBelow, FolderDigest, Item, Recipe};
use crate::gradle::DEPENDENCIES;
use crate::place;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use testfleet_protocol::bundle::{Bundle, Entry, EntryKind};
use testfleet_protocol::path::Roots;
use testfleet_protocol::{Failure, Result};

/// Most layers for the entries of a kind, each in a layer of its own or several up to there; beyond it they share, by their path. With
/// those of dependencies and of a base they stay below the 127 that Docker takes.
const MOST_CHANGING: usize = 8;
const MOST_RESOURCES: usize = 12;
const MOST_CLASSES: usize = 32;
const MOST_INPUTS: usize = 8;

/// All layers of a bundle but the last, which holds the plan and the bundle itself.
///
/// # Errors
/// `PathOutsideRoots` for an entry of an unknown root, `Io` when something can't be looked at or is not what the bundle says.
pub(crate) fn recipes(
    bundle: &Bundle,
    roots: &Roots,
    files_below: FilesBelow<'_>,
    left_out: &[PathBuf],
) -> Result<Vec<Recipe>> {
    let of_kind = |kind: EntryKind| bundle.entries.iter().filter(move |entry| entry.kind == kind);
    let item = |entry: &&Entry| item(entry, roots, bundle, files_below);
    let mut recipes = Vec::new();
    let mut layer = |holds: String, content: Content, shared: bool, items: Result<Vec<Item>>| -> Result<()> {
        recipes.push(Recipe { holds, content, shared, items: items? });
        Ok(())
    };
    let items = |entries: &[&Entry]| entries.iter().map(item).collect();
    let testfleet: Vec<&Entry> = of_kind(EntryKind::Testfleet).collect();
    layer("testfleet".to_owned(), Content::Seldom, true, items(&testfleet))?;
    let dependencies: Vec<&Entry> = of_kind(EntryKind::Dependency).collect();
    for entries in cut(&dependencies) {
        layer(DEPENDENCIES.to_owned(), Content::Jars, true, items(&entries))?;
    }
    for entries in share(of_kind(EntryKind::Changing), MOST_CHANGING) {
        layer(named("changing", &entries), Content::Jars, false, items(&entries))?;
    }
    let (resources, classes): (Vec<&Entry>, Vec<&Entry>) =
        of_kind(EntryKind::Classes).partition(|entry| entry.path.contains("/build/resources/"));
    for entries in share(resources.into_iter(), MOST_RESOURCES) {
        layer(named("resources of", &entries), Content::Often, false, items(&entries))?;
    }
    let each = MOST_CLASSES / classes.len().max(1);
    for entries in share(classes.into_iter(), MOST_CLASSES) {
        let name = named("classes of", &entries);
        let parts = match entries.as_slice() {
            [entry] if is_whole_folder(&roots.resolve(&entry.path), left_out) => parts_of_classes(entry.size, each),
            _ => 1,
        };
        if parts == 1 {
            layer(name, Content::Often, false, items(&entries))?;
            continue;
        }
        for (part, items) in folder_in_parts(entries[0], roots, files_below, parts)?.into_iter().enumerate() {
            layer(format!("{name}, part {} of {parts}", part + 1), Content::Often, false, Ok(items))?;
        }
    }
    for entries in share(of_kind(EntryKind::Input), MOST_INPUTS) {
        layer(named("inputs of", &entries), Content::Often, false, items(&entries))?;
    }
    Ok(recipes)
}

/// Entries by layer.
fn share<'a>(entries: impl Iterator<Item = &'a Entry>, most: usize) -> Vec<Vec<&'a Entry>> {
    let entries: Vec<&Entry> = entries.collect();
    if entries.len() <= most {
        return entries.into_iter().map(|entry| vec![entry]).collect();
    }
    let mut layers: BTreeMap<usize, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let bucket = usize::from(Sha256::digest(entry.path.as_bytes())[0]) % most;
        layers.entry(bucket).or_default().push(entry);
    }
    layers.into_values().collect()
}

/// `classes of :app, :lib, ...`; jars go by their names.
fn named(what: &str, entries: &[&Entry]) -> String {
    const NAMED: usize = 3;
    let names: BTreeSet<String> = entries.iter().map(|entry| name_of(entry)).collect();
    let mut shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    if names.len() > NAMED {
        shown.push("...");
    }
    format!("{what} {}", shown.join(", "))
}

/// `:app/test` for `${project}/app/build/classes/java/test`, else the last part of the path.
fn name_of(entry: &Entry) -> String {
    let last = entry.path.rsplit('/').next().unwrap_or(&entry.path).trim_matches(['$', '{', '}']);
    match entry.path.strip_prefix("${project}/").and_then(|path| format!("/{path}").split_once("/build/").map(owned)) {
        Some((module, _)) => {
            format!("{}/{last}", if module.is_empty() { ":".to_owned() } else { module.replace('/', ":") })
        }
        None => last.to_owned(),
    }
}

fn owned((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

fn is_whole_folder(path: &Path, left_out: &[PathBuf]) -> bool {
    path.is_dir() && !left_out.iter().any(|folder| folder.starts_with(path))
}

/// The files of a class folder by layer. No layer is empty for want of files: it has the folder.
fn folder_in_parts(entry: &Entry, roots: &Roots, files_below: FilesBelow<'_>, parts: usize) -> Result<Vec<Vec<Item>>> {
    let target = place::of_stored(&entry.path)?;
    let folder = roots.resolve(&entry.path);
    let files = files_below(&folder)?;
    let mut digest = FolderDigest::default();
    files.iter().for_each(|FileBelow { relative, sha256 }| digest.add(relative, sha256));
    if digest.finish() != entry.sha256 {
        return Err(super::changed_meanwhile(&format!("classes of {}", name_of(entry)), &folder));
    }
    let mut layers: Vec<Vec<Item>> = (0..parts).map(|_| vec![Item::EmptyFolder { target: target.clone() }]).collect();
    for FileBelow { relative, sha256 } in files {
        layers[cut_classes(&relative, parts)].push(Item::File {
            target: format!("{target}/{relative}"),
            source: folder.join(&relative),
            sha256,
            mode: PLAIN,
            guarded: true,
        });
    }
    Ok(layers)
}

fn item(entry: &Entry, roots: &Roots, bundle: &Bundle, files_below: FilesBelow<'_>) -> Result<Item> {
    let target = place::of_stored(&entry.path)?;
    let source = roots.resolve(&entry.path);
    let sha256 = entry.sha256.clone();
    let guarded = is_of_build(entry);
    if source.is_dir() {
        // What can be run is part of an input, as it is of a file in git; classes never can.
        let mut programs = BTreeSet::new();
        if entry.kind == EntryKind::Input {
            for FileBelow { relative, .. } in files_below(&source)? {
                if is_program(&source.join(&relative))? {
                    programs.insert(relative);
                }
            }
        }
        return Ok(Item::Folder { target, source, sha256, programs, guarded });
    }
    let is_program = entry.path == bundle.agent || (entry.kind == EntryKind::Input && is_program(&source)?);
    Ok(Item::File { target, source, sha256, mode: if is_program { PROGRAM } else { PLAIN }, guarded })
}

/// Whether the build made it, or has it among its sources. A jar that it only uses, be it from a repository or checked in, is
/// somebody else's, and what is in it is known to others already.
fn is_of_build(entry: &Entry) -> bool {
    match entry.kind {
        EntryKind::Classes => true,
        EntryKind::Input => !entry.path.ends_with(".jar") || is_made_here(&entry.path),
        EntryKind::Changing => is_made_here(&entry.path),
        EntryKind::Dependency | EntryKind::Testfleet => false,
    }
}

/// Whether a stored path lies in the `build` folder of a project, wherever that is, or in Testfleet's own below one. In Gradle's
/// caches a folder of that name is somebody's group or module.
fn is_made_here(path: &str) -> bool {
    match path.strip_prefix("${").and_then(|path| path.split_once("}/")) {
        Some(("build", _)) => true,
        Some(("gradleHome" | place::GRADLE_CACHE, _)) | None => false,
        Some((_, below)) => format!("/{below}").contains("/build/"),
    }
}

/// Whether its owner may run it: what others may is the umask's business.
pub(crate) fn is_program(path: &Path) -> Result<bool> {
    let metadata = std::fs::metadata(path).map_err(|error| Failure::io("read", path, &error))?;
    Ok(metadata.permissions().mode() & 0o100 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jars_that_others_made_are_not_looked_into() {
        use EntryKind::{Changing, Classes, Dependency, Input};
        for (path, kind, expected) in [
            ("${project}/build/libs/acme.jar", Changing, true),
            ("${project}/lib/build/libs/lib.jar", Changing, true),
            ("${included}/build/libs/included.jar", Changing, true),
            ("${build}/made.jar", Changing, true),
            ("${project}/lib/build/libs/tool.jar", Input, true),
            ("${project}/libs/wiremock.jar", Changing, false),
            ("${project}/libs/wiremock.jar", Input, false),
            ("${project}/repo/com/acme/a/1/a-1.jar", Changing, false),
            ("${m2}/repository/com/acme/a/1/a-1.jar", Changing, false),
            ("${gradleHome}/caches/modules-2/files-2.1/acme/build/1-SNAPSHOT/0a/build-1-SNAPSHOT.jar", Changing, false),
            ("${gradleCache}/modules-2/files-2.1/acme/build/1-SNAPSHOT/0a/build-1-SNAPSHOT.jar", Changing, false),
            ("${gradleHome}/caches/modules-2/files-2.1/acme/a/1/0a/a-1.jar", Dependency, false),
            ("${project}/data/server.pem", Input, true),
            ("${project}/app/out/classes", Classes, true),
        ] {
            let entry = Entry { path: path.to_owned(), kind, sha256: String::new(), size: 0 };
            assert_eq!(is_of_build(&entry), expected, "{path}");
        }
    }
}
