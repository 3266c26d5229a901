//! One connection to a coordinator: hello and welcome, then both ways at once until it breaks.

use crate::coordinator::Shared;
use crate::room::frame_of;
use std::io::ErrorKind;
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage};
use testfleet_protocol::{Failure, FailureCode, Result, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

/// Bytes that are written at once.
const BATCH: usize = 256 << 10;

/// A duplex byte stream whose other side is a coordinator of the run.
pub(crate) struct Line {
    from: Box<dyn AsyncRead + Send + Unpin>,
    to: Box<dyn AsyncWrite + Send + Unpin>,
    decoder: frame::Decoder,
    chunk: Vec<u8>,
}

/// A line whose coordinator answered the hello.
pub(crate) struct Welcomed {
    line: Line,
    /// The number to go on with.
    next: u64,
    pub(crate) welcome: Option<CoordinatorMessage>,
}

impl Welcomed {
    /// The coordinator's epoch; that of one that was not asked is 0.
    pub(crate) fn epoch(&self) -> u64 {
        match &self.welcome {
            Some(CoordinatorMessage::Welcome { epoch, .. }) => *epoch,
            _ => 0,
        }
    }
}

impl Line {
    pub(crate) fn new(
        from: impl AsyncRead + Send + Unpin + 'static,
        to: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let (from, to) = (Box::new(from), Box::new(to));
        Self { from, to, decoder: frame::Decoder::default(), chunk: vec![0; 64 << 10] }
    }

    /// Says hello as soon as the agent can, and waits for the answer. An agent that can't even begin says what it has to
    /// without being asked in.
    ///
    /// # Errors
    /// When the line breaks or the other side is no coordinator to obey.
    pub(crate) async fn introduce(mut self, shared: &Shared) -> Result<Welcomed> {
        shared.until(|state| state.hello.is_some() || !state.spool.is_empty()).await;
        let (hello, first, epoch) = {
            let state = shared.lock();
            (state.hello(), state.spool.first(), state.epoch)
        };
        let Some(hello) = hello else { return Ok(Welcomed { line: self, next: first, welcome: None }) };
        self.say(&frame_of(0, hello)?).await?;
        loop {
            let message = self.next().await?;
            match &message {
                CoordinatorMessage::Welcome { epoch: theirs, seen, .. } => {
                    if *theirs < epoch {
                        return Err(refused(&format!(
                            "it is of epoch {theirs}, and the run was taken over in epoch {epoch}"
                        )));
                    }
                    let state = shared.lock();
                    if let Some(seen) = seen.filter(|seen| *seen > state.spool.last()) {
                        let last = state.spool.last();
                        return Err(refused(&format!("it has seen message {seen} of {last}")));
                    }
                    let next = seen.map_or(0, |seen| seen + 1).max(state.spool.first());
                    drop(state);
                    return Ok(Welcomed { line: self, next, welcome: Some(message) });
                }
                // A run may end before the worker is ready. Later, only a coordinator that welcomed is obeyed.
                CoordinatorMessage::Finish | CoordinatorMessage::Cancel if epoch == 0 => {
                    shared.hear(message)?;
                }
                _ => return Err(refused("it gave orders before its welcome")),
            }
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> Result<()> {
        let said = self.to.write_all(bytes).await;
        said.map_err(|error| broken(&error))?;
        self.to.flush().await.map_err(|error| broken(&error))
    }

    async fn next(&mut self) -> Result<CoordinatorMessage> {
        next(&mut self.from, &mut self.decoder, &mut self.chunk).await
    }
}

impl Welcomed {
    /// Speaks and listens until the line breaks; says why it did. May be dropped at any time.
    pub(crate) async fn converse(self, shared: &Shared) -> Failure {
        let Self { line: Line { mut from, to, mut decoder, mut chunk }, next: first, welcome } = self;
        if let Some(CoordinatorMessage::Welcome { epoch, rules, .. }) = &welcome {
            let mut state = shared.lock();
            state.epoch = *epoch;
            state.alive_every = (rules.lease_ms > 0).then(|| Duration::from_millis(rules.lease_ms / 3));
            if rules.orphan_timeout_ms > 0 {
                state.orphan_after = Duration::from_millis(rules.orphan_timeout_ms);
            }
        }
        shared.lock().connected = true;
        shared.tell();
        let listening = async {
            if let Some(welcome) = welcome {
                shared.hear(welcome)?;
            }
            while shared.hear(next(&mut from, &mut decoder, &mut chunk).await?)? {}
            Err::<(), _>(refused("the agent is about to end"))
        };
        let ended = tokio::select! {
            heard = listening => heard,
            said = speak(to, first, shared) => said,
        };
        shared.is_alone();
        let why = ended.err().unwrap_or_else(|| refused("nothing more is said"));
        if why.code == FailureCode::Io {
            // What is kept can't be read back: another line would not help.
            shared.is_gone(Some(why.clone()));
        }
        why
    }
}

/// Sends what is kept and what comes to it, in order.
async fn speak(mut to: Box<dyn AsyncWrite + Send + Unpin>, mut next: u64, shared: &Shared) -> Result<()> {
    let mut batch = Vec::new();
    let mut last_word = Instant::now();
    loop {
        batch.clear();
        while batch.len() < BATCH {
            // What was acknowledged meanwhile is not sent again.
            let state = shared.lock();
            next = next.max(state.spool.first());
            let Some(frame) = state.spool.frame(next)? else { break };
            batch.extend(frame);
            next += 1;
        }
        if batch.is_empty() {
            let alive_at = shared.lock().alive_every.map(|every| last_word + every);
            tokio::select! {
                () = shared.until(|state| state.spool.last() >= next) => continue,
                () = at(alive_at) => batch = frame_of(0, AgentMessage::Alive)?,
            }
        }
        let written = to.write_all(&batch).await;
        written.map_err(|error| broken(&error))?;
        to.flush().await.map_err(|error| broken(&error))?;
        last_word = Instant::now();
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn next(
    from: &mut (impl AsyncRead + Unpin),
    decoder: &mut frame::Decoder,
    chunk: &mut [u8],
) -> Result<CoordinatorMessage> {
    loop {
        if let Some(payload) = decoder.next_frame()? {
            return serde_json::from_slice(&payload).map_err(|error| {
                Failure::new(FailureCode::WorkerBroken, "failed to read a message of the coordinator").cause(&error)
            });
        }
        match from.read(chunk).await {
            Ok(count) if count > 0 => decoder.push(&chunk[..count]),
            // Over TLS an end without a farewell is an error of its own. Here it is the end: frames have lengths.
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(broken(&error)),
            _ => return Err(Failure::new(FailureCode::WorkerBroken, "failed to hear more: the line has ended")),
        }
    }
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::WorkerBroken, "failed to keep the line to the coordinator").cause(error)
}

fn refused(why: &str) -> Failure {
    Failure::new(FailureCode::WorkerBroken, "failed to obey a coordinator").cause_text(why)
}
