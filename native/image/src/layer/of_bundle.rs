//! The layers of a bundle, from what seldom changes to what always does.

use super::cut::cut;
use super::encode::Content;
use super::tree::{PLAIN, PROGRAM};
use super::{Item, Recipe};
use crate::place;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use testfleet_protocol::bundle::{Bundle, Entry, EntryKind};
use testfleet_protocol::path::Roots;
use testfleet_protocol::{Failure, Result};

/// Most layers for the entries of a kind, each in a layer of its own up to there; beyond it they share, by their path. With
/// those of dependencies and of a base they stay below the 127 that Docker takes.
const MOST_CHANGING: usize = 8;
const MOST_RESOURCES: usize = 12;
const MOST_CLASSES: usize = 24;
const MOST_INPUTS: usize = 8;

/// All layers of a bundle but the last, which holds the plan and the bundle itself.
///
/// # Errors
/// `PathOutsideRoots` for an entry of an unknown root, `Io` when an input can't be looked at.
pub(crate) fn recipes(bundle: &Bundle, roots: &Roots, list: super::ListFiles<'_>) -> Result<Vec<Recipe>> {
    let of_kind = |kind: EntryKind| bundle.entries.iter().filter(move |entry| entry.kind == kind);
    let item = |entry: &&Entry| item(entry, roots, bundle, list);
    let mut recipes = Vec::new();
    let mut layer = |holds: String, content: Content, shared: bool, entries: &[&Entry]| -> Result<()> {
        let items = entries.iter().map(item).collect::<Result<_>>()?;
        recipes.push(Recipe { holds, content, shared, items });
        Ok(())
    };
    let testfleet: Vec<&Entry> = of_kind(EntryKind::Testfleet).collect();
    layer("testfleet".to_owned(), Content::Seldom, true, &testfleet)?;
    let dependencies: Vec<&Entry> = of_kind(EntryKind::Dependency).collect();
    for entries in cut(&dependencies) {
        layer("dependencies".to_owned(), Content::Jars, true, &entries)?;
    }
    for entries in share(of_kind(EntryKind::Changing), MOST_CHANGING) {
        layer(named("changing", &entries), Content::Jars, false, &entries)?;
    }
    let (resources, classes): (Vec<&Entry>, Vec<&Entry>) =
        of_kind(EntryKind::Classes).partition(|entry| entry.path.contains("/build/resources/"));
    for entries in share(resources.into_iter(), MOST_RESOURCES) {
        layer(named("resources of", &entries), Content::Often, false, &entries)?;
    }
    for entries in share(classes.into_iter(), MOST_CLASSES) {
        layer(named("classes of", &entries), Content::Often, false, &entries)?;
    }
    for entries in share(of_kind(EntryKind::Input), MOST_INPUTS) {
        layer(named("inputs of", &entries), Content::Often, false, &entries)?;
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

fn item(entry: &Entry, roots: &Roots, bundle: &Bundle, list: super::ListFiles<'_>) -> Result<Item> {
    let target = place::of_stored(&entry.path)?;
    let source = roots.resolve(&entry.path);
    let sha256 = entry.sha256.clone();
    let guarded = matches!(entry.kind, EntryKind::Classes | EntryKind::Input);
    if source.is_dir() {
        // What can be run is part of an input, as it is of a file in git; classes never can.
        let mut programs = BTreeSet::new();
        if entry.kind == EntryKind::Input {
            for relative in list(&source)? {
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

/// Whether its owner may run it: what others may is the umask's business.
pub(crate) fn is_program(path: &Path) -> Result<bool> {
    let metadata = std::fs::metadata(path).map_err(|error| Failure::io("read", path, &error))?;
    Ok(metadata.permissions().mode() & 0o100 != 0)
}
