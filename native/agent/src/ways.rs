//! How a line comes about: the agent's own pipes, dialing, or being dialed; and what happens while there is none.

use crate::coordinator::Shared;
use crate::line::{Line, Welcomed};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};
use testfleet_wire::{Backoff, Door, Identity, Peer, Refusal, SocketDoor, Stream, dial};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long a coordinator that accepted or dialed may take until its welcome.
const WELCOME: Duration = Duration::from_secs(60);

/// Coordinators that may be about to introduce themselves at once.
const INTRODUCTIONS: usize = 4;

/// Lines over pipes: one, and its end is the end.
pub(crate) async fn keep_pipe(
    from: impl AsyncRead + Send + Unpin + 'static,
    to: impl AsyncWrite + Send + Unpin + 'static,
    shared: Arc<Shared>,
) {
    let why = match Line::new(from, to).introduce(&shared).await {
        Ok(welcomed) => welcomed.converse(&shared).await,
        Err(failure) => failure,
    };
    tracing::info!("{why}");
    shared.is_gone(None);
}

/// The agent dials, again and again, until it is orphaned.
pub(crate) async fn keep_dialing(address: String, identity: Identity, life: u32, shared: Arc<Shared>) {
    let Peer::Worker { worker } = identity.peer() else { return shared.is_gone(None) };
    let mut alone = Alone::new(&shared);
    let mut backoff = Backoff::default();
    loop {
        let met = tokio::select! {
            met = dial(&address, &identity, Peer::Coordinator, worker, life) => met,
            () = alone.too_long(&shared) => return orphaned(&shared),
        };
        let failure = match met {
            Ok(stream) => match introduce(stream, &shared).await {
                Ok(welcomed) => {
                    backoff.reset();
                    let failure = welcomed.converse(&shared).await;
                    alone = Alone::new(&shared);
                    failure
                }
                Err(failure) => failure,
            },
            Err(Refusal::Now(failure)) => failure,
            Err(Refusal::Version(failure)) => return shared.is_gone(Some(failure)),
            Err(Refusal::Over(failure)) => {
                tracing::warn!("{failure}");
                return shared.is_gone(None);
            }
        };
        alone.say(&failure);
        tokio::select! {
            () = sleep(backoff.next_wait()) => {}
            () = alone.too_long(&shared) => return orphaned(&shared),
        }
    }
}

/// Where coordinators come to the agent.
pub(crate) trait Entrance: Send {
    /// A connection whose other side is known.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection; an error says that one came that speaks another version.
    fn arrival(&mut self) -> impl Future<Output = Result<Self::Stream>> + Send;
}

/// A door through which somebody may have come already.
pub(crate) struct Known {
    pub(crate) first: Option<Stream>,
    pub(crate) door: Door,
}

impl Entrance for Known {
    type Stream = Stream;

    async fn arrival(&mut self) -> Result<Stream> {
        match self.first.take() {
            Some(stream) => Ok(stream),
            None => self.door.next().await.map(|arrived| arrived.stream),
        }
    }
}

impl Entrance for SocketDoor {
    type Stream = UnixStream;

    async fn arrival(&mut self) -> Result<UnixStream> {
        Ok(self.next().await)
    }
}

/// The agent is dialed. A coordinator that is not older takes the place of the one that is there.
pub(crate) async fn keep_listening(mut door: impl Entrance, shared: Arc<Shared>) {
    let mut alone = Alone::new(&shared);
    let mut introductions: JoinSet<Result<Welcomed>> = JoinSet::new();
    let mut current: Option<Pin<Box<dyn Future<Output = Failure> + Send>>> = None;
    loop {
        tokio::select! {
            failure = ended(&mut current) => {
                current = None;
                alone = Alone::new(&shared);
                alone.say(&failure);
            }
            arrived = door.arrival() => match arrived {
                Ok(stream) if introductions.len() < INTRODUCTIONS => {
                    let shared = Arc::clone(&shared);
                    introductions.spawn(async move { introduce(stream, &shared).await });
                }
                Ok(_) => tracing::warn!("a coordinator is sent away: too many introduce themselves"),
                // Another release may still dial the right agent by mistake: one that works is not to end for that.
                Err(failure) if shared.lock().epoch > 0 => tracing::warn!("{failure}"),
                Err(failure) => return shared.is_gone(Some(failure)),
            },
            Some(introduced) = introductions.join_next(), if !introductions.is_empty() => match introduced {
                Ok(Ok(welcomed)) if welcomed.epoch() >= shared.lock().epoch => {
                    // The former line ends here, so that only one coordinator is heard.
                    drop(current.take());
                    let shared = Arc::clone(&shared);
                    current = Some(Box::pin(async move { welcomed.converse(&shared).await }));
                }
                Ok(Ok(welcomed)) => tracing::warn!("a coordinator of the old epoch {} is refused", welcomed.epoch()),
                Ok(Err(failure)) => tracing::warn!("{failure}"),
                Err(error) => tracing::error!("an introduction broke: {error}"),
            },
            () = alone.too_long(&shared), if current.is_none() => return orphaned(&shared),
        }
    }
}

async fn introduce(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, shared: &Shared) -> Result<Welcomed> {
    let (from, to) = tokio::io::split(stream);
    match timeout(WELCOME, Line::new(from, to).introduce(shared)).await {
        Ok(introduced) => introduced,
        Err(_) => Err(Failure::new(
            FailureCode::WorkerBroken,
            format!("failed to be welcomed by the coordinator within {} s", WELCOME.as_secs()),
        )),
    }
}

async fn ended(current: &mut Option<Pin<Box<dyn Future<Output = Failure> + Send>>>) -> Failure {
    match current {
        Some(current) => current.await,
        None => std::future::pending().await,
    }
}

/// The time without a coordinator.
struct Alone {
    since: Instant,
    said: String,
}

impl Alone {
    fn new(shared: &Shared) -> Self {
        shared.is_alone();
        Self { since: Instant::now(), said: String::new() }
    }

    /// Returns when it has lasted too long.
    async fn too_long(&self, shared: &Shared) {
        let orphan_after = shared.lock().orphan_after;
        sleep_until(self.since + orphan_after).await;
    }

    /// Logs why there is no coordinator, once for each reason that follows another.
    fn say(&mut self, failure: &Failure) {
        let text = failure.to_string();
        if self.said != text {
            tracing::warn!("{text}");
            self.said = text;
        }
    }
}

fn orphaned(shared: &Shared) {
    let orphan_after = shared.lock().orphan_after;
    tracing::error!("there was no coordinator for {orphan_after:?}: the agent ends");
    shared.is_gone(None);
}
