//! Layers: what goes into one, when it need not be made, and how it is made.

pub(crate) mod cut;
pub(crate) mod encode;
pub(crate) mod of_bundle;
pub(crate) mod tree;

use crate::Digest;
use crate::secrets::{Found, Guard, Looking};
use crate::store::{LayerRecord, Lease, MadeFrom};
use encode::{Codec, Content, Encoder};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use testfleet_protocol::{Failure, FailureCode, Result};
use tree::{Node, Source, Tree};

/// Another number for another tar file of the same content.
const RULE: u32 = 1;

/// A regular file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBelow {
    /// Path from the folder, with `/`.
    pub relative: String,
    /// Of its bytes, in hex.
    pub sha256: String,
}

/// Tells the regular files below a folder, sorted by path: those that the folder's digest is made of.
pub type FilesBelow<'a> = &'a (dyn Fn(&Path) -> Result<Vec<FileBelow>> + Sync);

/// A layer that may have to be made.
pub(crate) struct Recipe {
    /// What it holds, in a few words.
    pub(crate) holds: String,
    pub(crate) content: Content,
    /// Whether builds of other projects may have it, too: then it is kept in the store of the machine.
    pub(crate) shared: bool,
    pub(crate) items: Vec<Item>,
}

/// Something that goes into a layer. Targets are paths in the image.
pub(crate) enum Item {
    File {
        target: String,
        source: PathBuf,
        sha256: String,
        mode: u32,
        guarded: bool,
    },
    /// With what lies below it.
    Folder {
        target: String,
        source: PathBuf,
        sha256: String,
        /// Relative paths of files that can be run.
        programs: BTreeSet<String>,
        guarded: bool,
    },
    Bytes {
        target: String,
        bytes: Vec<u8>,
    },
    EmptyFolder {
        target: String,
    },
    /// A symbolic link.
    Link {
        target: String,
        to: String,
    },
}

/// What layers are made with.
pub(crate) struct Kitchen<'a> {
    /// The store of the machine.
    pub(crate) shared: &'a Lease,
    /// The build's own.
    pub(crate) own: &'a Lease,
    pub(crate) compression: testfleet_protocol::image::Compression,
    pub(crate) files_below: FilesBelow<'a>,
    pub(crate) guard: &'a Guard,
    /// Folders that are left out of what lies around them: Testfleet's own output.
    pub(crate) left_out: &'a [PathBuf],
}

/// A layer.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) record: LayerRecord,
    pub(crate) file: PathBuf,
    /// Whether it was there already.
    pub(crate) reused: bool,
}

/// The outcome of making a layer: it, or what must not be in one.
#[derive(Debug)]
pub(crate) enum Outcome {
    Made(Box<Made>),
    Refused(Vec<Found>),
}

impl Kitchen<'_> {
    /// The layer of a recipe: from a store, or made.
    ///
    /// # Errors
    /// `Io` when something can't be read or written, or is another than the bundle says.
    pub(crate) fn layer(&self, recipe: &Recipe) -> Result<Outcome> {
        let lease = if recipe.shared { self.shared } else { self.own };
        let codec = Codec::of(recipe.content, self.compression);
        let key = self.key(recipe, codec);
        if let Some((record, file)) = lease.layer(&key)? {
            return Ok(Outcome::Made(Box::new(Made { record, file, reused: true })));
        }
        let (tree, mut check) = self.lay_out(recipe)?;
        let mut looking = self.guard.looking();
        let unfinished = write(lease, codec, &tree, &mut |path, bytes| {
            check.on_bytes(path, bytes);
            if let Some(stored) = check.guarded.get(path) {
                looking.on_bytes(stored, bytes);
            }
        })?;
        check.verify(recipe)?;
        for (stored, jar) in recipe.items.iter().filter_map(Item::guarded_jar) {
            looking.on_jar(&stored, jar);
        }
        let found = Looking::found(looking);
        if !found.is_empty() {
            return Ok(Outcome::Refused(found));
        }
        let record = unfinished.finish(&recipe.holds, recipe.items.iter().filter_map(Item::made_from).collect())?;
        lease.remember(&key, &record.0)?;
        Ok(Outcome::Made(Box::new(Made { record: record.0, file: record.1, reused: false })))
    }

    /// What decides which bytes a layer has, and whether it may be made.
    fn key(&self, recipe: &Recipe, codec: Codec) -> String {
        let mut hasher = Sha256::new();
        let mut text = |text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        text(&format!("{RULE} {codec:?} {}", recipe.items.iter().any(Item::is_guarded)));
        if recipe.items.iter().any(Item::is_guarded) {
            text(&self.guard.identity());
        }
        for item in &recipe.items {
            match item {
                Item::File { target, sha256, mode, .. } => text(&format!("file {mode:o} {sha256} {target}")),
                Item::Folder { target, source, sha256, programs, .. } => {
                    text(&format!("folder {sha256} {target}"));
                    programs.iter().for_each(|program| text(program));
                    self.left_out_of(source).for_each(|folder| text(&folder.to_string_lossy()));
                }
                Item::Bytes { target, bytes } => text(&format!("bytes {} {target}", Digest::of(bytes))),
                Item::EmptyFolder { target } => text(&format!("empty {target}")),
                Item::Link { target, to } => text(&format!("link {to} {target}")),
            }
        }
        crate::hex(&hasher.finalize())
    }

    /// Relative to `source`.
    fn left_out_of<'b>(&'b self, source: &'b Path) -> impl Iterator<Item = &'b Path> {
        self.left_out.iter().filter_map(move |folder| folder.strip_prefix(source).ok())
    }

    fn lay_out(&self, recipe: &Recipe) -> Result<(Tree, Check)> {
        let (mut tree, mut check) = (Tree::default(), Check::default());
        for item in &recipe.items {
            match item {
                Item::File { target, source, mode, guarded, .. } => {
                    tree.add(target, Node::File { from: Source::File(source.clone()), mode: *mode });
                    check.expect(target, *guarded);
                }
                Item::Folder { target, source, programs, guarded, .. } => {
                    tree.add_folder(target);
                    for FileBelow { relative, .. } in (self.files_below)(source)? {
                        if self.left_out_of(source).any(|folder| Path::new(&relative).starts_with(folder)) {
                            continue;
                        }
                        let path = format!("{target}/{relative}");
                        let mode = if programs.contains(&relative) { tree::PROGRAM } else { tree::PLAIN };
                        tree.add(&path, Node::File { from: Source::File(source.join(&relative)), mode });
                        check.expect(&path, *guarded);
                    }
                    if self.left_out_of(source).next().is_some() {
                        check.partial.insert(target.clone());
                    }
                }
                Item::Bytes { target, bytes } => {
                    tree.add(target, Node::File { from: Source::Bytes(bytes.clone()), mode: tree::PLAIN });
                }
                Item::EmptyFolder { target } => tree.add_folder(target),
                Item::Link { target, to } => tree.add(target, Node::Link { to: to.clone() }),
            }
        }
        Ok((tree, check))
    }
}

impl Item {
    fn is_guarded(&self) -> bool {
        matches!(self, Self::File { guarded: true, .. } | Self::Folder { guarded: true, .. })
    }

    /// A jar to look into, and its stored path.
    fn guarded_jar(&self) -> Option<(String, &Path)> {
        match self {
            Self::File { target, source, guarded: true, .. } if target.ends_with(".jar") => {
                Some((crate::place::stored(target), source))
            }
            _ => None,
        }
    }

    fn made_from(&self) -> Option<MadeFrom> {
        match self {
            Self::File { target, sha256, .. } | Self::Folder { target, sha256, .. } => {
                Some(MadeFrom { path: target.clone(), sha256: sha256.clone() })
            }
            Self::Bytes { .. } | Self::EmptyFolder { .. } | Self::Link { .. } => None,
        }
    }
}

/// Hashes what is read, so that a file that changed since the bundle was made is noticed and never kept under its old name.
#[derive(Default)]
struct Check {
    /// Path in the tar file, of those that are looked into for secrets, and what to call it.
    guarded: BTreeMap<String, String>,
    expected: BTreeSet<String>,
    hashes: BTreeMap<String, String>,
    hasher: Sha256,
    /// Targets of folders of which something was left out on purpose.
    partial: BTreeSet<String>,
}

impl Check {
    fn expect(&mut self, target: &str, guarded: bool) {
        let path = target.trim_matches('/').to_owned();
        if guarded {
            self.guarded.insert(path.clone(), crate::place::stored(target));
        }
        self.expected.insert(path);
    }

    fn on_bytes(&mut self, path: &str, bytes: Option<&[u8]>) {
        if !self.expected.contains(path) {
            return;
        }
        match bytes {
            Some(bytes) => self.hasher.update(bytes),
            None => {
                let hash = std::mem::take(&mut self.hasher).finalize();
                self.hashes.insert(path.to_owned(), crate::hex(&hash));
            }
        }
    }

    fn verify(&self, recipe: &Recipe) -> Result<()> {
        for item in &recipe.items {
            let (source, sha256, now) = match item {
                Item::File { target, source, sha256, .. } => {
                    (source, sha256, self.hashes.get(target.trim_matches('/')).cloned())
                }
                Item::Folder { target, source, sha256, .. } if !self.partial.contains(target) => {
                    (source, sha256, Some(self.folder_digest(target)))
                }
                _ => continue,
            };
            if now.as_ref() != Some(sha256) {
                return Err(changed_meanwhile(&recipe.holds, source));
            }
        }
        Ok(())
    }

    fn folder_digest(&self, target: &str) -> String {
        let prefix = format!("{}/", target.trim_matches('/'));
        let mut digest = FolderDigest::default();
        for (path, hash) in self.hashes.range(prefix.clone()..) {
            let Some(relative) = path.strip_prefix(&prefix) else { break };
            digest.add(relative, hash);
        }
        digest.finish()
    }
}

/// What was bundled is there no more.
pub(crate) fn changed_meanwhile(holds: &str, source: &Path) -> Failure {
    Failure::new(FailureCode::Io, format!("failed to make the layer of {holds}"))
        .cause_text(format!("{} changed after it was looked at", source.display()))
        .hint("run the task again, when nothing else builds in this project")
}

/// The digest of a folder: of its sorted relative paths and the hashes of its files.
#[derive(Default)]
pub struct FolderDigest {
    hasher: Sha256,
}

impl FolderDigest {
    /// Adds a file by its relative path, in their order, and the SHA-256 of its bytes in hex.
    pub fn add(&mut self, relative: &str, sha256: &str) {
        self.hasher.update(relative.as_bytes());
        self.hasher.update([0]);
        self.hasher.update(sha256.as_bytes());
        self.hasher.update(b"\n");
    }

    /// In hex.
    pub fn finish(self) -> String {
        crate::hex(&self.hasher.finalize())
    }
}

/// A blob that has no name yet.
pub(crate) struct Unfinished<'a> {
    writer: crate::store::BlobWriter<'a>,
    codec: Codec,
    diff_id: Digest,
}

/// Writes a tree as a layer's blob.
///
/// # Errors
/// `Io` when something can't be read or written.
pub(crate) fn write<'a>(
    lease: &'a Lease,
    codec: Codec,
    tree: &Tree,
    on_bytes: tree::OnBytes<'_>,
) -> Result<Unfinished<'a>> {
    let failed = |error: &std::io::Error| Failure::io("write a layer in", lease.store().dir(), error);
    let mut encoder = Encoder::new(codec, lease.writer()?).map_err(|error| failed(&error))?;
    tree.write(&mut encoder, on_bytes)?;
    let (diff_id, writer) = encoder.finish().map_err(|error| failed(&error))?;
    Ok(Unfinished { writer, codec, diff_id })
}

impl Unfinished<'_> {
    /// Gives it its name.
    ///
    /// # Errors
    /// `Io` when the store can't be written.
    pub(crate) fn finish(self, holds: &str, made_from: Vec<MadeFrom>) -> Result<(LayerRecord, PathBuf)> {
        let (digest, size, file) = self.writer.finish()?;
        let media_type = self.codec.media_type().to_string();
        let record =
            LayerRecord { holds: holds.to_owned(), digest, size, diff_id: self.diff_id, media_type, made_from };
        Ok((record, file))
    }
}
