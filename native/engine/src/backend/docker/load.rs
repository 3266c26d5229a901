//! `docker load`: an image goes into Docker as one archive, which is made while it is sent.

use super::host::Host;
use super::trouble;
use bollard::query_parameters::{ImportImageOptionsBuilder, RemoveImageOptions};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testfleet_image::{Image, archive};
use testfleet_protocol::image::ImageRef;
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::sync::mpsc;

/// Bytes that are sent at once.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait for Docker.
const WAITING: usize = 16;
/// Between two lines that tell of progress.
const SAY_EVERY: Duration = Duration::from_secs(3);

/// Sends an image, under all its names.
pub(super) async fn load(host: &Host, made: &ImageRef, image: Image, say: &(dyn Fn(String) + Sync)) -> Result<()> {
    let what = "load the image into Docker";
    let names: Vec<String> = made.tags.iter().map(|tag| format!("{}:{tag}", made.name)).collect();
    let all: u64 = made.layers.iter().map(|layer| layer.size).sum();
    say(format!("Loading {}:{} into Docker: {} MB", made.name, made.tags.join(", "), megabytes(all)));
    let before = named(host, &names).await;
    let (to, chunks) = mpsc::channel(WAITING);
    let packed = names.clone();
    let writing = tokio::task::spawn_blocking(move || {
        let mut pipe = Pipe { to, chunk: Vec::with_capacity(CHUNK) };
        let written = archive::write(&image, &packed, &mut pipe);
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
            tokio::time::sleep(SAY_EVERY).await;
            let so_far = sent.load(Ordering::Relaxed);
            say(format!("Loading into Docker: {} of {} MB", megabytes(so_far.min(all)), megabytes(all)));
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
            remove_nameless(host, &before, &names).await;
            Ok(())
        }
    }
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

fn megabytes(bytes: u64) -> u64 {
    bytes >> 20
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
