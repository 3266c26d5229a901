//! A base in the OCI image layout: a folder with `index.json` and `blobs/sha256/`.

use super::document::{Document, LARGEST_CONFIG, choose, read_config, unusable};
use super::{MOST_INDEXES, Platform};
use crate::hashing;
use crate::layout::blob_path;
use crate::registry::{LARGEST_MANIFEST, digest_of};
use crate::{Base, Blob, BlobSource, Digest};
use oci_spec::image::Descriptor;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use testfleet_protocol::{Failure, Result};

const DAMAGED: &str = "it may be damaged or half written: make it again";

/// Blobs by their digest, as a folder or a tar file has them.
pub(super) trait Blobs {
    /// All bytes of a file that has no more than `most`; its path is relative and names no folder outside.
    fn small(&self, path: &str, most: usize) -> Result<Vec<u8>>;

    /// A file with the bytes of a blob, which were compared with the digest.
    fn file(&self, digest: &Digest, descriptor: &Descriptor) -> Result<PathBuf>;
}

/// The base that a layout holds for a platform; `base` is what failures call it.
pub(super) fn read(blobs: &impl Blobs, wanted: &Platform, base: &str) -> Result<Base> {
    let mut document = Document::read(&blobs.small("index.json", LARGEST_MANIFEST)?, base)?;
    let mut identity = None;
    for depth in 0..=MOST_INDEXES {
        match document {
            Document::Index(entries) => {
                if depth == 0 {
                    one_image(&entries, wanted, base)?;
                }
                let entry = choose(&entries, wanted, base)?;
                document = Document::read(&small_blob(blobs, entry, LARGEST_MANIFEST, base)?, base)?;
                identity = Some(digest_of(entry)?);
            }
            Document::Image { config, layers } => {
                let id = digest_of(&config)?;
                let config = small_blob(blobs, &config, LARGEST_CONFIG, base)?;
                let config = read_config(&config, layers.len(), wanted, base)?;
                let layers = layers.into_iter().map(|descriptor| {
                    let source = BlobSource::File(blobs.file(&digest_of(&descriptor)?, &descriptor)?);
                    Ok(Blob { descriptor, source })
                });
                let layers = layers.collect::<Result<_>>()?;
                return Ok(Base {
                    config,
                    layers,
                    identity: identity.unwrap_or(id).to_string(),
                    documents: Vec::new(),
                });
            }
        }
    }
    Err(unusable(base, "it is an index of indexes of indexes", "keep one image alone in it"))
}

/// A layout may hold several images: then nobody knows which is meant.
fn one_image(entries: &[Descriptor], wanted: &Platform, base: &str) -> Result<()> {
    const NAME: &str = "org.opencontainers.image.ref.name";
    let fits = |entry: &&Descriptor| {
        let there = entry.platform().as_ref().map(Platform::of);
        there.is_none_or(|there| wanted.takes(&there))
    };
    let fitting: Vec<&Descriptor> = entries.iter().filter(fits).collect();
    if fitting.windows(2).all(|two| two[0].digest() == two[1].digest()) {
        return Ok(());
    }
    let name = |entry: &&Descriptor| {
        let name = entry.annotations().as_ref().and_then(|notes| notes.get(NAME));
        name.map_or_else(
            || entry.digest().to_string(),
            |name| name.chars().filter(|c| !c.is_control()).take(100).collect(),
        )
    };
    let names: Vec<String> = fitting.iter().take(10).map(name).collect();
    Err(unusable(base, format!("it holds several images: {}", names.join(", ")), "keep one of them alone in it"))
}

fn small_blob(blobs: &impl Blobs, descriptor: &Descriptor, most: usize, base: &str) -> Result<Vec<u8>> {
    let digest = digest_of(descriptor)?;
    let bytes = blobs.small(&blob_path(&digest), most)?;
    let found = Digest::of(&bytes);
    if found == digest {
        return Ok(bytes);
    }
    Err(unusable(base, format!("its blob {digest} has the digest {found}"), DAMAGED))
}

pub(super) fn resolve(folder: &Path, wanted: &Platform) -> Result<Base> {
    read(&Folder { folder, base: folder.display().to_string() }, wanted, &folder.display().to_string())
}

struct Folder<'a> {
    folder: &'a Path,
    base: String,
}

impl Blobs for Folder<'_> {
    fn small(&self, path: &str, most: usize) -> Result<Vec<u8>> {
        let file = self.folder.join(path);
        let failed = |error: std::io::Error| {
            let hint = "it has to be in the OCI image layout: `index.json` and `blobs/sha256/`";
            unusable(&self.base, format!("{path} can't be read: {error}"), hint)
        };
        let mut bytes = Vec::new();
        File::open(&file).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes)).map_err(failed)?;
        if bytes.len() > most {
            return Err(unusable(&self.base, format!("{path} has more than {most} bytes"), DAMAGED));
        }
        Ok(bytes)
    }

    fn file(&self, digest: &Digest, descriptor: &Descriptor) -> Result<PathBuf> {
        let path = self.folder.join(blob_path(digest));
        let size = std::fs::metadata(&path)
            .map_err(|error| unusable(&self.base, format!("its layer {digest} can't be read: {error}"), DAMAGED))?;
        if size.len() != descriptor.size() {
            let text = format!("its layer {digest} has {} of {} bytes", size.len(), descriptor.size());
            return Err(unusable(&self.base, text, DAMAGED));
        }
        let found = hashing::of_file(&path).map_err(|failure: Failure| failure.hint(DAMAGED))?;
        if found != *digest {
            return Err(unusable(&self.base, format!("its layer {digest} has the digest {found}"), DAMAGED));
        }
        Ok(path)
    }
}
