//! The bytes of a blob as they are sent.

use crate::Digest;
use crate::hashing;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::{Body, Frame, SizeHint};
use std::io::Error;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Bytes of a streamed body that are read at once.
const CHUNK: u64 = 256 << 10;

/// Bytes that can be read again from anywhere.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

impl Content {
    pub(super) async fn piece(&self, from: u64, size: u64) -> Result<Bytes> {
        match self {
            Self::Bytes(bytes) => {
                let range = usize::try_from(from).ok().zip(usize::try_from(from + size).ok());
                let within = range.filter(|(_, end)| *end <= bytes.len());
                within.map(|(from, end)| bytes.slice(from..end)).ok_or_else(|| {
                    Failure::new(FailureCode::Internal, "failed to read a blob").cause_text("it is shorter than said")
                })
            }
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || {
                    let failed = |error: std::io::Error| {
                        let hint =
                            "it was to be sent to a registry: has something deleted or shortened it? run it again";
                        Failure::io("read", &path, &error).hint(hint)
                    };
                    let mut bytes = vec![0; size as usize];
                    let file = std::fs::File::open(&path).map_err(failed)?;
                    file.read_exact_at(&mut bytes, from).map_err(failed)?;
                    Ok(Bytes::from(bytes))
                });
                read.await.map_err(|error| {
                    Failure::new(FailureCode::Internal, "failed to read a blob").cause_text(error.to_string())
                })?
            }
        }
    }

    /// The bytes from an offset to the end of all `size`, read while they are sent; `taken` counts those that are on their way.
    pub(super) fn streamed(&self, from: u64, size: u64, taken: Arc<AtomicU64>) -> Streamed {
        let content = self.clone();
        let pieces = stream::try_unfold(from, move |at| {
            let (content, taken) = (content.clone(), Arc::clone(&taken));
            async move {
                let next = CHUNK.min(size - at);
                if next == 0 {
                    return Ok(None);
                }
                let piece = content.piece(at, next).await.map_err(|failure| Error::other(failure.to_string()))?;
                taken.fetch_add(next, Ordering::Relaxed);
                Ok(Some((piece, at + next)))
            }
        });
        Streamed { pieces: Box::pin(pieces), left: size - from }
    }

    /// Whether these are the bytes of that digest.
    pub(super) async fn check(&self, digest: &Digest) -> Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let (path, expected) = (path.clone(), digest.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let digest = hashing::of_file(&path)?;
            if digest == expected {
                return Ok(());
            }
            Err(Failure::new(FailureCode::Io, format!("failed to push {}", path.display()))
                .cause_text(format!("its digest is {digest}, not {expected}: the file is damaged"))
                .hint("delete the file and run it again: it is made or fetched anew"))
        });
        checked.await.map_err(|error| {
            Failure::new(FailureCode::Internal, "failed to read a blob").cause_text(error.to_string())
        })?
    }
}

/// A body whose length is known though not all of it is in memory.
pub(super) struct Streamed {
    pieces: Pin<Box<dyn Stream<Item = std::result::Result<Bytes, Error>> + Send + Sync>>,
    left: u64,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Error>>> {
        self.pieces.as_mut().poll_next(context).map(|next| {
            next.map(|piece| {
                piece.map(|bytes| {
                    self.left = self.left.saturating_sub(bytes.len() as u64);
                    Frame::data(bytes)
                })
            })
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
