//! `docker load`: images go into Docker as one archive, which is made while it is sent.

use super::host::Host;
use super::trouble;
use crate::pace::EVERY;
use crate::report::words::megabytes;
use bollard::query_parameters::{ImportImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeSet, HashMap};
use std::io::{Error, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use testfleet_image::archive::{self, Packed};
use testfleet_image::{BUNDLE_LABEL, Blob, Image};
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::sync::mpsc;

/// Bytes that are sent at once.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait for Docker.
const WAITING: usize = 16;
/// How many earlier images are asked for their layers.
const LOOKED_AT: usize = 100;

/// An image, and the full names that it gets.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) image: Image,
    pub(super) names: Vec<String>,
}

/// Sends images, under all their names, but not the lowest layers that Docker has of earlier ones.
pub(super) async fn load(host: &Host, images: Vec<Wanted>, say: &(dyn Fn(String) + Sync)) -> Result<()> {
    refuse_zstd(host, &images)?;
    let names: Vec<String> = images.iter().flat_map(|wanted| wanted.names.clone()).collect();
    let before = named(host, &names).await;
    let images = Arc::new(images);
    let whole = vec![0; images.len()];
    let there = layers_there(host, &images).await;
    let is_partial = there != whole;
    let mut sent = send(host, &images, there, say).await;
    if is_partial && let Err(failure) = &sent {
        // Somebody may have removed a layer just now; and whatever else it was, it is said again if it lasts.
        tracing::info!("Docker is sent all layers: {failure}");
        sent = send(host, &images, whole, say).await;
    }
    sent?;
    remove_nameless(host, &before, &names).await;
    Ok(())
}

/// What Docker itself says of such a layer is that it is no tar file.
fn refuse_zstd(host: &Host, images: &[Wanted]) -> Result<()> {
    let mut layers = images.iter().flat_map(|wanted| &wanted.image.layers);
    if host.takes_zstd || !layers.any(Blob::is_zstd) {
        return Ok(());
    }
    Err(Failure::new(
        FailureCode::InvalidRequest,
        format!("failed to load the image into Docker {} at {}", host.version, host.address),
    )
    .cause_text("some of its layers are compressed with zstd, which Docker takes from 23 on")
    .hint(
        "leave compression on 'auto': testfleet { image { compression = 'auto' } }; if it is the base that has such \
         layers, take another; or install a newer Docker",
    ))
}

/// How many layers of each image Docker has, from the lowest upwards: those of earlier images of ours.
///
/// Docker's own store knows a layer by those below it, and takes it from an archive only if it lacks it; it does not miss
/// the file of one that it has. containerd's store knows layers by their blobs, which it may have given up, and takes an
/// archive that lacks some for whole: it is sent everything.
async fn layers_there(host: &Host, images: &[Wanted]) -> Vec<usize> {
    let there = match stored_layers(host).await {
        Ok(there) => there,
        Err(error) => {
            tracing::info!(%error, "Docker does not say which layers it has");
            Vec::new()
        }
    };
    let common = |own: &[String], other: &[String]| own.iter().zip(other).take_while(|(a, b)| a == b).count();
    let of_image = |wanted: &Wanted| {
        // Without its configuration it can't be loaded, which is said then.
        let own = wanted.image.configuration().map(|config| config.rootfs().diff_ids().clone()).unwrap_or_default();
        there.iter().map(|other| common(&own, other)).max().unwrap_or(0)
    };
    images.iter().map(of_image).collect()
}

/// The layers of each image of ours that Docker has, by the digests of their uncompressed content.
async fn stored_layers(host: &Host) -> std::result::Result<Vec<Vec<String>>, bollard::errors::Error> {
    let about = host.docker.info().await?;
    let driver = about.driver_status.unwrap_or_default();
    if driver.iter().flatten().any(|said| said.contains("io.containerd.snapshotter")) {
        return Ok(Vec::new());
    }
    let filters = HashMap::from([("label", vec![BUNDLE_LABEL])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let images = host.docker.list_images(Some(options)).await?;
    let inspected = images.iter().take(LOOKED_AT).map(|image| host.docker.inspect_image(&image.id));
    // One that was removed meanwhile has none.
    let inspected = futures_util::future::join_all(inspected).await.into_iter().flatten();
    Ok(inspected.filter_map(|image| image.root_fs?.layers).collect())
}

/// Sends images as one archive, without so many of the lowest layers of each.
async fn send(
    host: &Host,
    images: &Arc<Vec<Wanted>>,
    left_out: Vec<usize>,
    say: &(dyn Fn(String) + Sync),
) -> Result<()> {
    let what = "load the image into Docker";
    let all = size(images, &left_out);
    let first = images.iter().flat_map(|wanted| &wanted.names).next().map_or("the image", String::as_str);
    let others = match images.len() {
        0 | 1 => String::new(),
        count => format!(" and {} others", count - 1),
    };
    say(format!("Loading {first}{others} into Docker: {}", megabytes(all)));
    let (to, chunks) = mpsc::channel(WAITING);
    let packed = Arc::clone(images);
    let writing = tokio::task::spawn_blocking(move || {
        let mut pipe = Pipe { to, chunk: Vec::with_capacity(CHUNK) };
        let images = packed.iter().zip(left_out);
        let packed: Vec<Packed<'_>> =
            images.map(|(wanted, left_out)| Packed { image: &wanted.image, names: &wanted.names, left_out }).collect();
        let written = archive::write(&packed, &mut pipe);
        if let Err(failure) = &written {
            // Docker must not take what came so far for the whole.
            let _ = pipe.to.blocking_send(Err(Error::other(failure.to_string())));
        }
        written
    });
    let body = stream::unfold(chunks, async |mut chunks| chunks.recv().await.map(|chunk| (chunk, chunks)));
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let body = body.inspect(move |chunk: &std::result::Result<Bytes, Error>| {
        let bytes = chunk.as_ref().map_or(0, Bytes::len) as u64;
        counter.fetch_add(bytes, Ordering::Relaxed);
    });
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let docker = host.patient();
    let mut news = docker.import_image_stream(options, Box::pin(body), None);
    let began = Instant::now();
    let loaded = async {
        while let Some(one) = news.next().await {
            let one = one.map_err(|error| trouble::failure(&host.doing(what), error))?;
            tracing::debug!(said = ?one.stream, "docker load");
        }
        Ok(())
    };
    let telling = async {
        loop {
            tokio::time::sleep(EVERY).await;
            let so_far = sent.load(Ordering::Relaxed);
            say(format!("Loading into Docker: {} of {}", megabytes(so_far.min(all)), megabytes(all)));
        }
    };
    let loaded: Result<()> = tokio::select! {
        loaded = loaded => loaded,
        never = telling => never,
    };
    drop(news);
    let written = writing.await.map_err(|error| Failure::new(FailureCode::Internal, "failed to pack").cause(&error))?;
    // What Docker says of its end tells more than that nobody reads; what can't be read here tells more than Docker.
    match (written, loaded) {
        (Err(failure), _) if !failure.causes.iter().any(|cause| cause.contains(NOBODY_READS)) => Err(failure),
        (_, Err(failure)) => Err(failure),
        (Err(failure), Ok(())) => Err(failure),
        (Ok(()), Ok(())) => {
            tracing::info!("loaded in {:?}", began.elapsed());
            Ok(())
        }
    }
}

/// Bytes of the layers that are sent, each counted once.
fn size(images: &[Wanted], left_out: &[usize]) -> u64 {
    let layers = images.iter().zip(left_out).flat_map(|(wanted, left_out)| wanted.image.layers.iter().skip(*left_out));
    let sizes: HashMap<String, u64> =
        layers.map(|layer| (layer.descriptor.digest().to_string(), layer.descriptor.size())).collect();
    sizes.values().sum()
}

/// The images that have these names.
async fn named(host: &Host, names: &[String]) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for name in names {
        ids.extend(host.id_of(name).await.ok().flatten());
    }
    ids
}

/// Each run may bring another image of the same name: the one before would stay without any. One that is in use stays.
async fn remove_nameless(host: &Host, before: &BTreeSet<String>, names: &[String]) {
    let now = named(host, names).await;
    for id in before.difference(&now) {
        let about = host.docker.inspect_image(id).await;
        let has_no_name = about.is_ok_and(|about| about.repo_tags.is_none_or(|names| names.is_empty()));
        if !has_no_name {
            continue;
        }
        if let Err(error) = host.docker.remove_image(id, None::<RemoveImageOptions>, None).await {
            tracing::debug!(id, %error, "a former image stays");
        }
    }
}

const NOBODY_READS: &str = "Docker does not read any more";

/// Passes on what is written, in chunks.
struct Pipe {
    to: mpsc::Sender<std::result::Result<Bytes, Error>>,
    chunk: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK)));
        self.to.blocking_send(Ok(chunk)).map_err(|_| Error::new(ErrorKind::BrokenPipe, NOBODY_READS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_and_in_order() {
        let (to, mut chunks) = mpsc::channel(WAITING);
        let mut pipe = Pipe { to, chunk: Vec::new() };
        let bytes: Vec<u8> = (0..CHUNK + 10).map(|at| (at % 251) as u8).collect();
        pipe.write_all(&bytes).unwrap();
        pipe.flush().unwrap();
        pipe.flush().unwrap();
        let mut got = Vec::new();
        while let Ok(Ok(chunk)) = chunks.try_recv() {
            got.extend_from_slice(&chunk);
        }
        assert!(got == bytes);
        drop(chunks);
        pipe.write_all(b"x").unwrap();
        assert_eq!(pipe.flush().unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
