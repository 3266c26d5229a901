//! Lines that may break without a word: an agent speaks often, so that one that is silent for long has broken.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Reads until the end, or until nothing came for a while.
pub(super) struct UntilSilent<R> {
    worker: u32,
    from: R,
    silence: Option<Duration>,
    /// Runs from the first byte on.
    quiet: Option<Pin<Box<Sleep>>>,
}

impl<R> UntilSilent<R> {
    /// Without a limit it only reads.
    pub(super) fn new(worker: u32, from: R, silence: Option<Duration>) -> Self {
        Self { worker, from, silence, quiet: None }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for UntilSilent<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.from).poll_read(context, buffer) {
            Poll::Ready(read) => {
                if buffer.filled().len() > before
                    && let Some(silence) = self.silence
                {
                    let until = Instant::now() + silence;
                    match &mut self.quiet {
                        Some(quiet) => quiet.as_mut().reset(until),
                        None => self.quiet = Some(Box::pin(tokio::time::sleep_until(until))),
                    }
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                if self.quiet.as_mut().is_some_and(|quiet| quiet.as_mut().poll(context).is_ready()) {
                    tracing::warn!(worker = self.worker, "nothing came for long: the line counts as broken");
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_line_that_says_nothing_more_ends() {
        let (mut agent, line) = tokio::io::duplex(64);
        agent.write_all(b"x").await.unwrap();
        let began = Instant::now();
        let mut all = Vec::new();
        UntilSilent::new(1, line, Some(Duration::from_millis(50))).read_to_end(&mut all).await.unwrap();
        assert_eq!(all.as_slice(), b"x");
        assert!(began.elapsed() >= Duration::from_millis(50));
    }
}
