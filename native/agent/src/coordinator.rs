//! The line to the coordinator: frames on standard input and output.

use crate::spool::Spool;
use std::sync::{Arc, Mutex, PoisonError};
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage};
use testfleet_protocol::{Result, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

/// Messages that wait for the coordinator before the JVM has to wait.
const BACKLOG: usize = 256;

/// The agent's side of the line.
pub(crate) struct Coordinator {
    pub(crate) inbox: mpsc::UnboundedReceiver<CoordinatorMessage>,
    outbox: mpsc::Sender<Vec<u8>>,
    spool: Arc<Mutex<Spool>>,
    acknowledged: watch::Receiver<u64>,
    /// Becomes `true` when the coordinator is gone.
    pub(crate) gone: watch::Receiver<bool>,
}

impl Coordinator {
    /// Talks over these streams.
    pub(crate) fn new(
        from: impl AsyncRead + Send + Unpin + 'static,
        to: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let spool = Arc::new(Mutex::new(Spool::default()));
        let (inbox_in, inbox) = mpsc::unbounded_channel();
        let (outbox, outbox_out) = mpsc::channel(BACKLOG);
        let (gone_in, gone) = watch::channel(false);
        let (acknowledged_in, acknowledged) = watch::channel(0);
        tokio::spawn(read(from, inbox_in, Arc::clone(&spool), acknowledged_in, gone_in.clone()));
        tokio::spawn(write(to, outbox_out, gone_in));
        Self { inbox, outbox, spool, acknowledged, gone }
    }

    /// Sends a message; waits while too many are on their way.
    ///
    /// # Errors
    /// When the message can't be encoded.
    pub(crate) async fn send(&self, message: AgentMessage) -> Result<()> {
        let frame = self.spool.lock().unwrap_or_else(PoisonError::into_inner).push(message)?;
        // Without a writer the coordinator is gone, which `gone` tells.
        let _ = self.outbox.send(frame).await;
        Ok(())
    }

    /// Waits until everything was acknowledged or the coordinator is gone.
    pub(crate) async fn all_acknowledged(&mut self) {
        while !self.spool.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            if self.acknowledged.changed().await.is_err() {
                return;
            }
        }
    }
}

async fn read(
    mut from: impl AsyncRead + Unpin,
    inbox: mpsc::UnboundedSender<CoordinatorMessage>,
    spool: Arc<Mutex<Spool>>,
    acknowledged: watch::Sender<u64>,
    gone: watch::Sender<bool>,
) {
    let mut decoder = frame::Decoder::default();
    let mut buffer = vec![0; 64 << 10];
    'line: while let Ok(count) = from.read(&mut buffer).await
        && count > 0
    {
        decoder.push(&buffer[..count]);
        loop {
            let message = match decoder.next_frame() {
                Ok(None) => break,
                Ok(Some(payload)) => serde_json::from_slice(&payload),
                Err(failure) => {
                    tracing::error!("{failure}");
                    break 'line;
                }
            };
            match message {
                Ok(CoordinatorMessage::Ack { seq }) => {
                    spool.lock().unwrap_or_else(PoisonError::into_inner).acknowledge(seq);
                    acknowledged.send_replace(seq);
                }
                Ok(message) => {
                    if inbox.send(message).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!("failed to read a message of the coordinator: {error}");
                    break 'line;
                }
            }
        }
    }
    gone.send_replace(true);
}

async fn write(mut to: impl AsyncWrite + Unpin, mut outbox: mpsc::Receiver<Vec<u8>>, gone: watch::Sender<bool>) {
    while let Some(frame) = outbox.recv().await {
        let mut written = to.write_all(&frame).await;
        // Flush only when nothing more is at hand: many small messages leave together.
        if written.is_ok() && outbox.is_empty() {
            written = to.flush().await;
        }
        if written.is_err() {
            gone.send_replace(true);
            return;
        }
    }
}
