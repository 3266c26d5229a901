//! Blobs that come from a registry: into files, going on where they broke off, by the digest that they must have.

use super::Registry;
use super::answer::Refused;
use super::auth::Access;
use super::name::Place;
use super::transport::{Call, Tries, body};
use crate::hashing::{self, Hasher};
use crate::store::stamp;
use crate::{Blob, BlobSource, Digest};
use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};

/// The digest of what a descriptor names.
///
/// # Errors
/// `BaseUnusable` for another algorithm than SHA-256.
pub(crate) fn digest_of(descriptor: &oci_spec::image::Descriptor) -> Result<Digest> {
    let text = descriptor.digest().to_string();
    text.parse().map_err(|_| {
        Failure::new(FailureCode::BaseUnusable, format!("failed to use the blob {text}"))
            .cause_text("its digest is of another kind than sha256")
            .hint("build the image with a tool that uses sha256, as nearly all do")
    })
}

/// The file of a blob below a folder of fetched ones.
pub(crate) fn file_of(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("sha256").join(digest.hex())
}

impl Registry {
    /// The file that has a blob. One of a registry is fetched into `folder`, where it stays as `sha256/<hex>`; a fetch that
    /// broke off goes on where it ended, also in another process; whoever wants the same blob waits for it. What is in
    /// `folder` is compared with its digest before it is used, unless it looks as it did when that was done.
    ///
    /// # Errors
    /// `RegistryFailed` when the registry can't be reached, lacks the blob, or sends something else; `Io` when the folder
    /// can't be written.
    pub async fn fetch(&self, blob: &Blob, folder: &Path) -> Result<PathBuf> {
        let digest = digest_of(&blob.descriptor)?;
        let target = file_of(folder, &digest);
        match &blob.source {
            BlobSource::File(path) => Ok(path.clone()),
            BlobSource::Bytes(bytes) => {
                let bytes = Bytes::from(bytes.clone());
                blocking(move || keep(&target, &digest, &bytes)).await
            }
            BlobSource::Registry(place) => {
                let place = Place::parse(place)?;
                self.download(&place, &digest, blob.descriptor.size(), target).await
            }
        }
    }

    /// A small blob of a registry, verified.
    ///
    /// # Errors
    /// As for [`Self::fetch`]; also when it has more than `most` bytes.
    pub async fn bytes(&self, place: &Place, digest: &Digest, most: usize) -> Result<Bytes> {
        let what = format!("failed to read the blob {digest} of {place}");
        let access = Access::pull(place);
        let mut tries = Tries::new();
        loop {
            let got = async {
                let response = self.blob_request(&access, digest, 0, &what).await?;
                body(response, most, &what).await
            };
            match got.await {
                Ok(bytes) if Digest::of(&bytes) == *digest => return Ok(bytes),
                Ok(_) => return Err(spoiled(&what)),
                Err(refused) => {
                    self.transport.wait(&access, &mut tries, refused).await.map_err(|refused| refused.failure)?;
                }
            }
        }
    }

    async fn blob_request(
        &self,
        access: &Access,
        digest: &Digest,
        offset: u64,
        what: &str,
    ) -> std::result::Result<Response, Refused> {
        let url = self.transport.url(&access.place, &format!("blobs/{digest}"))?;
        let build = |request: reqwest::RequestBuilder| {
            if offset > 0 { request.header(RANGE, format!("bytes={offset}-")) } else { request }
        };
        let wanted = [StatusCode::OK, StatusCode::PARTIAL_CONTENT];
        let call = Call { access, method: Method::GET, url: &url, what, wanted: &wanted, build: &build };
        self.transport.once(&call).await
    }

    async fn download(&self, place: &Place, digest: &Digest, size: u64, target: PathBuf) -> Result<PathBuf> {
        let what = format!("failed to fetch the blob {digest} of {place}");
        let access = Access::pull(place);
        let part = {
            let (target, digest) = (target.clone(), digest.clone());
            blocking(move || Part::open(&target, &digest, size)).await?
        };
        let Some(mut part) = part else { return Ok(target) };
        let mut tries = Tries::new();
        let mut spoilt = false;
        // Beyond it there is headway.
        let mut farthest = part.has;
        loop {
            let got = self.download_rest(&access, &mut part, digest, &what).await;
            if part.has > farthest {
                farthest = part.has;
                tries.reset();
            }
            if let Err(refused) = got {
                self.transport.wait(&access, &mut tries, refused).await.map_err(|refused| refused.failure)?;
                continue;
            }
            match blocking(move || part.finish()).await? {
                None => return Ok(target),
                Some(_) if spoilt => return Err(spoiled(&what)),
                // What was there from an earlier fetch may be what is broken.
                Some(again) => (part, spoilt) = (again, true),
            }
        }
    }

    async fn download_rest(
        &self,
        access: &Access,
        part: &mut Part,
        digest: &Digest,
        what: &str,
    ) -> std::result::Result<(), Refused> {
        if part.has == part.size {
            return Ok(());
        }
        let mut response = match self.blob_request(access, digest, part.has, what).await {
            Err(refused) if refused.status == Some(StatusCode::RANGE_NOT_SATISFIABLE) => {
                let refused = truncated(what, part);
                part.clear()?;
                return Err(refused);
            }
            other => other?,
        };
        if part.has > 0 && !goes_on(&response, part.has) {
            part.clear()?;
        }
        while let Some(chunk) = response.chunk().await.map_err(|error| Refused::broken(what, error))? {
            // A write to a page cache: not worth a thread of its own.
            if !part.add(&chunk)? {
                let failure = Failure::new(FailureCode::RegistryFailed, what)
                    .cause_text(format!(
                        "the registry sends more than the {} bytes that the manifest tells of",
                        part.size
                    ))
                    .hint("the image is broken: push it again, or choose another");
                return Err(failure.into());
            }
        }
        if part.has == part.size {
            return Ok(());
        }
        Err(truncated(what, part))
    }
}

fn truncated(what: &str, part: &Part) -> Refused {
    let failure = Failure::new(FailureCode::RegistryFailed, what)
        .cause_text(format!("the registry sent {} of {} bytes", part.has, part.size))
        .hint("the blob may be truncated there: push the image again");
    Refused { again: true, ..failure.into() }
}

/// Whether a response begins at this offset.
fn goes_on(response: &Response, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes "));
    response.status() == StatusCode::PARTIAL_CONTENT
        && range.and_then(|range| range.split_once('-')?.0.trim().parse::<u64>().ok()) == Some(offset)
}

fn spoiled(what: &str) -> Failure {
    Failure::new(FailureCode::RegistryFailed, what)
        .cause_text("what the registry sends has another digest")
        .hint("the registry or a proxy before it damages what it sends: look there, or push the image again")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Failure::new(FailureCode::Internal, "failed to work with a fetched blob").cause_text(error.to_string())
    })?
}

/// A file that becomes that of a blob. Its lock makes others wait.
struct Part {
    file: File,
    path: PathBuf,
    target: PathBuf,
    digest: Digest,
    hasher: Hasher,
    size: u64,
    has: u64,
}

impl Part {
    /// Opens what is there of a blob already; `None` when it is there as a whole.
    fn open(target: &Path, digest: &Digest, size: u64) -> Result<Option<Self>> {
        if is_there(target, digest, size)? {
            return Ok(None);
        }
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
        let path = target.with_extension("part");
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = file.map_err(|error| Failure::io("write", &path, &error))?;
            file.lock().map_err(|error| Failure::io("lock", &path, &error))?;
            // Somebody may have been faster.
            if is_there(target, digest, size)? {
                return Ok(None);
            }
            // Somebody may have moved away what was opened.
            if !is_at(&file, &path) {
                continue;
            }
            let mut hasher = Hasher::default();
            let has = hashing::add_file(&mut hasher, &mut file, &path)?;
            let (path, target, digest) = (path, target.to_owned(), digest.clone());
            let mut part = Self { file, path, target, digest, hasher, size, has };
            if has > size {
                part.clear()?;
            }
            return Ok(Some(part));
        }
    }

    /// Whether the bytes belong to it.
    fn add(&mut self, bytes: &[u8]) -> Result<bool> {
        if self.has + bytes.len() as u64 > self.size {
            return Ok(false);
        }
        self.file.write_all(bytes).map_err(|error| self.failed("write", &error))?;
        self.hasher.update(bytes);
        self.has += bytes.len() as u64;
        Ok(true)
    }

    fn clear(&mut self) -> Result<()> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map_err(|error| self.failed("write", &error))?;
        (self.has, self.hasher) = (0, Hasher::default());
        Ok(())
    }

    /// Moves the whole blob to where it belongs; gives back an emptied part when it is another.
    fn finish(mut self) -> Result<Option<Self>> {
        if std::mem::take(&mut self.hasher).finish() != self.digest {
            self.clear()?;
            return Ok(Some(self));
        }
        fs::rename(&self.path, &self.target).map_err(|error| self.failed("write", &error))?;
        Ok(None)
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Failure {
        let folder = self.path.parent().unwrap_or(&self.path).display();
        let hint = format!(
            "{} bytes are needed in {folder}: make room there; what was fetched is kept and not fetched again",
            self.size
        );
        Failure::io(what, &self.path, error).hint(hint)
    }
}

/// Whether the file at that path is the opened one.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(fs::metadata(path).ok()).is_some_and(|(opened, there)| same(opened, there))
}

/// Whether a blob is there, undamaged. A damaged one is deleted. One that was compared with its digest is not read again as
/// long as it looks as it did then.
fn is_there(target: &Path, digest: &Digest, size: u64) -> Result<bool> {
    match fs::metadata(target) {
        Ok(found) if found.len() == size && was_seen(target, &found) => Ok(true),
        Ok(found) if found.len() == size && hashing::of_file(target)? == *digest => {
            note_seen(target, &found);
            Ok(true)
        }
        Ok(_) => match fs::remove_file(target) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::io("delete the damaged file", target, &error))
            }
            _ => Ok(false),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::io("read", target, &error)),
    }
}

/// Clocks of file systems go in steps: what changes within one of them looks as before.
const SETTLED: Duration = Duration::from_secs(2);

fn was_seen(target: &Path, now: &fs::Metadata) -> bool {
    fs::read_to_string(target.with_extension("seen")).is_ok_and(|then| then == stamp(now))
}

fn note_seen(target: &Path, found: &fs::Metadata) {
    let age = found.modified().ok().and_then(|modified| modified.elapsed().ok());
    if age.is_some_and(|age| age > SETTLED) {
        // Without it, the blob is read again the next time.
        let _ = fs::write(target.with_extension("seen"), stamp(found));
    }
}

/// Writes a blob that is known as a whole.
pub(crate) fn keep(target: &Path, digest: &Digest, bytes: &[u8]) -> Result<PathBuf> {
    if copy(target, digest, bytes.len() as u64, bytes)? {
        return Ok(target.to_owned());
    }
    Err(Failure::new(FailureCode::Internal, format!("failed to keep the blob {digest}"))
        .cause_text("its bytes have another digest"))
}

/// Copies a blob to its place; whether its bytes have that digest.
pub(crate) fn copy(target: &Path, digest: &Digest, size: u64, mut from: impl std::io::Read) -> Result<bool> {
    let Some(mut part) = Part::open(target, digest, size)? else { return Ok(true) };
    part.clear()?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = from.read(&mut buffer).map_err(|error| part.failed("read what belongs into", &error))?;
        if read == 0 {
            break;
        }
        if !part.add(&buffer[..read])? {
            return Ok(false);
        }
    }
    Ok(part.finish()?.is_none())
}
