//! A base in a tar file: the OCI image layout, or what `docker save` writes. Nothing is unpacked by the names in it; layers
//! are copied to where their digests name them.

use super::Platform;
use super::document::{LARGEST_CONFIG, other_platform, read_config, unusable};
use super::layout::{self, Blobs};
use crate::hashing::Hasher;
use crate::layout::blob_path;
use crate::registry::{LARGEST_MANIFEST, copy, file_of};
use crate::{Base, Blob, BlobSource, Digest};
use flate2::read::MultiGzDecoder;
use oci_spec::image::{Descriptor, MediaType};
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use testfleet_protocol::{Failure, Result};

const DAMAGED: &str = "it may be damaged or half written: save it again";
/// More files than any image needs: layers are single files.
const MOST_ENTRIES: usize = 100_000;
/// Old versions of Docker let equal layers be links to each other.
const MOST_LINKS: usize = 8;
const GZIP: [u8; 2] = [0x1f, 0x8b];

pub(super) fn resolve(path: &Path, wanted: &Platform, fetched: &Path) -> Result<Base> {
    let archive = Archive::open(path, fetched)?;
    if archive.has("index.json") {
        return layout::read(&archive, wanted, &archive.base);
    }
    if archive.has("manifest.json") {
        return archive.saved(wanted);
    }
    let hint = "make it with `docker save` or a tool that writes the OCI image layout; `docker export` makes no image";
    Err(unusable(&archive.base, "it has neither an index.json nor a manifest.json", hint))
}

/// Where something is in a tar file.
#[derive(Debug, Clone)]
enum Entry {
    File { offset: u64, size: u64 },
    Link(String),
}

pub(super) struct Archive<'a> {
    path: PathBuf,
    base: String,
    entries: HashMap<String, Entry>,
    fetched: &'a Path,
}

/// An image as `docker save` describes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl<'a> Archive<'a> {
    fn open(path: &Path, fetched: &'a Path) -> Result<Self> {
        let failed = |error: std::io::Error| Failure::io("read the base", path, &error);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let base = path.display().to_string();
        Ok(Self { entries: list(file, length, &base)?, path: path.to_owned(), base, fetched })
    }

    fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Where a file is, and how large.
    fn find(&self, name: &str) -> Result<(u64, u64)> {
        let mut name = normal(name).ok_or_else(|| leads_out(&self.base, name))?;
        for _ in 0..MOST_LINKS {
            match self.entries.get(&name) {
                Some(Entry::File { offset, size }) => return Ok((*offset, *size)),
                Some(Entry::Link(target)) => name = target.clone(),
                None => return Err(unusable(&self.base, format!("it has no {}", shown(&name)), DAMAGED)),
            }
        }
        Err(unusable(&self.base, format!("{} is a link to a link, and so on", shown(&name)), DAMAGED))
    }

    fn reader(&self, offset: u64, size: u64) -> Result<impl Read> {
        let failed = |error: std::io::Error| Failure::io("read the base", &self.path, &error);
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok(file.take(size))
    }

    /// The image that `docker save` wrote for a platform.
    fn saved(&self, wanted: &Platform) -> Result<Base> {
        let manifest = self.small("manifest.json", LARGEST_MANIFEST)?;
        let images: Vec<Saved> = serde_json::from_slice(&manifest)
            .map_err(|error| unusable(&self.base, format!("its manifest.json can't be read: {error}"), DAMAGED))?;
        let mut fitting = Vec::new();
        let mut others = Vec::new();
        for image in &images {
            let bytes = self.small(&image.config, LARGEST_CONFIG)?;
            match read_config(&bytes, image.layers.len(), wanted, &self.base) {
                Ok(config) => fitting.push((image, Digest::of(&bytes), config)),
                Err(failure) => others.push(failure),
            }
        }
        let (image, id, config) = match (fitting.as_slice(), others.pop()) {
            ([one], _) => one,
            ([], Some(failure)) => return Err(failure),
            ([], None) => return Err(other_platform(&self.base, wanted, &[])),
            (several, _) => {
                let tags = |(image, id, _): &(&Saved, Digest, _)| match image.repo_tags.as_deref() {
                    Some([tag, ..]) => shown(tag),
                    _ => id.to_string(),
                };
                let names: Vec<String> = several.iter().take(10).map(tags).collect();
                let text = format!("it holds several images: {}", names.join(", "));
                return Err(unusable(&self.base, text, "save one of them alone: `docker save NAME`"));
            }
        };
        let mut layers = Vec::new();
        for (name, diff_id) in image.layers.iter().zip(config.rootfs().diff_ids()) {
            layers.push(self.layer(name, diff_id)?);
        }
        Ok(Base { config: config.clone(), layers, identity: id.to_string(), documents: Vec::new() })
    }

    /// Copies a layer to where its digest names it. What it unpacks to has to be what the configuration says.
    fn layer(&self, name: &str, diff_id: &str) -> Result<Blob> {
        let (offset, size) = self.find(name)?;
        let failed = |error: std::io::Error| {
            unusable(&self.base, format!("its layer {} can't be read: {error}", shown(name)), DAMAGED)
        };
        let mut magic = [0; 2];
        let has_magic = size >= 2;
        if has_magic {
            self.reader(offset, 2)?.read_exact(&mut magic).map_err(failed)?;
        }
        let (kind, digest, unpacked) = if has_magic && magic == GZIP {
            let (mut packed, mut unpacked) = (Hasher::default(), Hasher::default());
            std::io::copy(&mut self.reader(offset, size)?, &mut packed).map_err(failed)?;
            std::io::copy(&mut MultiGzDecoder::new(self.reader(offset, size)?), &mut unpacked).map_err(failed)?;
            (MediaType::ImageLayerGzip, packed.finish(), unpacked.finish())
        } else {
            let mut plain = Hasher::default();
            std::io::copy(&mut self.reader(offset, size)?, &mut plain).map_err(failed)?;
            let digest = plain.finish();
            (MediaType::ImageLayer, digest.clone(), digest)
        };
        if unpacked.as_str() != diff_id {
            let text = format!("its layer {} has the digest {unpacked}, not {}", shown(name), shown(diff_id));
            return Err(unusable(&self.base, text, DAMAGED));
        }
        let path = self.copy(&digest, offset, size)?;
        let descriptor = Descriptor::new(kind, size, digest.to_oci()?);
        Ok(Blob { descriptor, source: BlobSource::File(path) })
    }

    fn copy(&self, digest: &Digest, offset: u64, size: u64) -> Result<PathBuf> {
        let target = file_of(self.fetched, digest);
        if copy(&target, digest, size, self.reader(offset, size)?)? {
            return Ok(target);
        }
        Err(unusable(&self.base, format!("its layer {digest} has another digest"), DAMAGED))
    }
}

impl Blobs for Archive<'_> {
    fn small(&self, path: &str, most: usize) -> Result<Vec<u8>> {
        let (offset, size) = self.find(path)?;
        if size > most as u64 {
            return Err(unusable(&self.base, format!("{} has {size} bytes", shown(path)), DAMAGED));
        }
        let mut bytes = Vec::new();
        let read = self.reader(offset, size)?.read_to_end(&mut bytes);
        read.map_err(|error| Failure::io("read the base", &self.path, &error))?;
        Ok(bytes)
    }

    fn file(&self, digest: &Digest, descriptor: &Descriptor) -> Result<PathBuf> {
        let (offset, size) = self.find(&blob_path(digest))?;
        if size != descriptor.size() {
            let text = format!("its layer {digest} has {size} of {} bytes", descriptor.size());
            return Err(unusable(&self.base, text, DAMAGED));
        }
        self.copy(digest, offset, size)
    }
}

/// What is where in a tar file of so many bytes.
fn list(mut file: impl Read + Seek, length: u64, base: &str) -> Result<HashMap<String, Entry>> {
    let failed = |error: std::io::Error| unusable(base, format!("it is no tar file: {error}"), DAMAGED);
    let mut magic = [0; 2];
    let begins = file.read_exact(&mut magic).and_then(|()| file.seek(SeekFrom::Start(0)));
    begins.map_err(failed)?;
    if magic == GZIP {
        return Err(unusable(base, "it is compressed", "unpack it first: `gunzip FILE`"));
    }
    let mut entries = HashMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        let Some(path) = normal(&name) else { return Err(leads_out(base, &name)) };
        let found = if kind.is_file() || kind.is_contiguous() {
            let (offset, size) = (entry.raw_file_position(), entry.size());
            if offset.checked_add(size).is_none_or(|end| end > length) {
                return Err(unusable(base, format!("it ends within {}", shown(&name)), DAMAGED));
            }
            Entry::File { offset, size }
        } else if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name_bytes().unwrap_or_default();
            let target = String::from_utf8_lossy(&target).into_owned();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let whole = if kind.is_symlink() && !folder.is_empty() { format!("{folder}/{target}") } else { target };
            Entry::Link(normal_link(&whole).ok_or_else(|| leads_out(base, &name))?)
        } else {
            continue;
        };
        if entries.len() >= MOST_ENTRIES {
            return Err(unusable(base, format!("it has more than {MOST_ENTRIES} files"), "is it an image?"));
        }
        entries.insert(path, found);
    }
    Ok(entries)
}

/// A path without `.`; `None` when it is absolute or has a `..`.
fn normal(name: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

/// Where a link leads: `..` is fine as long as it stays inside.
fn normal_link(name: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

fn leads_out(base: &str, name: &str) -> Failure {
    unusable(
        base,
        format!("the path `{}` in it leads out of it", shown(name)),
        "do not use it: no honest tool writes that",
    )
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
