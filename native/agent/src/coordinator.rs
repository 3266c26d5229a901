//! The line to the coordinator: frames on standard input and output.

use crate::spool::{self, Spool};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage};
use testfleet_protocol::{Result, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

/// Bytes that may wait for an acknowledgement before the JVM has to wait.
const ROOM: usize = 8 << 20;
/// Bytes that may wait for an acknowledgement before files have to wait.
const ROOM_FOR_FILES: usize = 1 << 20;

/// The agent's side of the line.
pub(crate) struct Coordinator {
    pub(crate) inbox: mpsc::UnboundedReceiver<CoordinatorMessage>,
    outbox: mpsc::UnboundedSender<Vec<u8>>,
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
        let (outbox, outbox_out) = mpsc::unbounded_channel();
        let (gone_in, gone) = watch::channel(false);
        let (acknowledged_in, acknowledged) = watch::channel(0);
        tokio::spawn(read(from, inbox_in, Arc::clone(&spool), acknowledged_in, gone_in.clone()));
        tokio::spawn(write(to, outbox_out, gone_in));
        Self { inbox, outbox, spool, acknowledged, gone }
    }

    /// Sends a message without waiting: what the agent hears must never wait for what it says. Who produces messages
    /// asks [`Coordinator::room`] first.
    ///
    /// # Errors
    /// When the message can't be encoded.
    pub(crate) fn send(&self, message: AgentMessage) -> Result<()> {
        let frame = lock(&self.spool).push(message)?;
        // Without a writer the coordinator is gone, which `gone` tells.
        let _ = self.outbox.send(frame);
        Ok(())
    }

    /// Says what belongs to the connection alone: it is neither numbered nor kept.
    ///
    /// # Errors
    /// When the message can't be encoded.
    pub(crate) fn greet(&self, message: AgentMessage) -> Result<()> {
        let _ = self.outbox.send(spool::frame_of(0, message)?);
        Ok(())
    }

    /// Waits while too much is on its way. The returned future borrows nothing of the coordinator.
    pub(crate) fn room(&self) -> impl Future<Output = ()> + use<> {
        self.until(|spool| spool.bytes() < ROOM)
    }

    /// Whether [`Coordinator::room`] would not wait.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.spool).bytes() < ROOM
    }

    /// Waits until there is so little on its way that a piece of a file delays nothing.
    pub(crate) fn room_for_files(&self) -> impl Future<Output = ()> + use<> {
        self.until(|spool| spool.bytes() < ROOM_FOR_FILES)
    }

    /// Waits until everything was acknowledged or the coordinator is gone.
    pub(crate) fn all_acknowledged(&self) -> impl Future<Output = ()> + use<> {
        self.until(|spool| spool.bytes() == 0)
    }

    fn until<F: Fn(&Spool) -> bool>(&self, reached: F) -> impl Future<Output = ()> + use<F> {
        let (spool, mut acknowledged) = (Arc::clone(&self.spool), self.acknowledged.clone());
        async move {
            while !reached(&lock(&spool)) {
                if acknowledged.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

fn lock(spool: &Mutex<Spool>) -> MutexGuard<'_, Spool> {
    spool.lock().unwrap_or_else(PoisonError::into_inner)
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
                    lock(&spool).acknowledge(seq);
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

async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut outbox: mpsc::UnboundedReceiver<Vec<u8>>,
    gone: watch::Sender<bool>,
) {
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
