//! Local agents over TCP on the loopback interface, as agents on other machines speak: dialing or being dialed.
//!
//! Credentials go through the agent's standard input, which then stays open: its end tells the agent that its coordinator
//! is gone, whatever ended that.

use super::{Line, WorkerLife};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use testfleet_protocol::run_options::{ConnectionOptions, LocalConnection};
use testfleet_protocol::{Failure, FailureCode, Result, frame};
use testfleet_wire::{
    Admission, Authority, Backoff, Credentials, Door, Identity, Peer, Reach, Refusal, Stream, Validity, dial,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf, ReadHalf};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;

/// The longest thing that an agent says about where it listens, in bytes.
const ADDRESS: usize = 1024;

/// The ways to all agents of one backend.
pub(super) struct Tcp {
    run: String,
    options: ConnectionOptions,
    keys: OnceCell<Keys>,
    port: OnceCell<Port>,
    lives: Arc<Lives>,
}

struct Keys {
    authority: Authority,
    identity: Arc<Identity>,
}

/// The coordinator's own port, where agents dial.
struct Port {
    address: String,
    _task: JoinSet<()>,
}

/// What is known of how to reach each life.
#[derive(Default)]
struct Lives(Mutex<HashMap<WorkerLife, Contact>>);

#[derive(Clone)]
struct Contact {
    /// Connections that the agent made: the newest, until it is taken.
    made: watch::Sender<Newest>,
    /// Where it listens, or why that is not known.
    address: watch::Sender<Option<Result<String>>>,
}

/// The newest connection of a life, and how many there were.
#[derive(Default)]
struct Newest {
    count: u64,
    stream: Option<Stream>,
}

impl Lives {
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerLife, Contact>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contact(&self, life: WorkerLife) -> Option<Contact> {
        self.lock().get(&life).cloned()
    }
}

/// A life's way, before its agent is started.
pub(super) struct Way {
    credentials: Credentials,
    lives: Arc<Lives>,
    life: WorkerLife,
    contact: Contact,
}

/// Holds a life: dropping it tells its agent to end, and sends away connections that still come from there.
pub(super) struct Tether {
    lives: Arc<Lives>,
    life: WorkerLife,
    _stdin: Option<ChildStdin>,
    _address: JoinSet<()>,
}

impl Drop for Tether {
    fn drop(&mut self) {
        self.lives.lock().remove(&self.life);
    }
}

impl Tcp {
    pub(super) fn new(run: &str, options: ConnectionOptions) -> Self {
        let (keys, port, lives) = (OnceCell::new(), OnceCell::new(), Arc::default());
        Self { run: run.to_owned(), options, keys, port, lives }
    }

    async fn keys(&self) -> Result<&Keys> {
        self.keys
            .get_or_try_init(|| async {
                let authority = Authority::new(&self.run, Validity::of_a_run())?;
                let identity = Arc::new(Identity::new(&authority.issue(Peer::Coordinator)?)?);
                Ok(Keys { authority, identity })
            })
            .await
    }

    async fn port(&self, identity: &Arc<Identity>) -> Result<&Port> {
        self.port
            .get_or_try_init(|| async {
                let known = Arc::clone(&self.lives);
                let admit: Admission =
                    Arc::new(move |worker, life| known.lock().contains_key(&WorkerLife { worker, life }));
                let door = Door::open("127.0.0.1:0", Arc::clone(identity), admit).await?;
                let address = door.address().to_string();
                let mut task = JoinSet::new();
                task.spawn(let_in(door, Arc::clone(&self.lives)));
                Ok(Port { address, _task: task })
            })
            .await
    }

    /// Makes a life's credentials and tells its agent, by its command line, which way to take.
    pub(super) async fn prepare(&self, life: WorkerLife, command: &mut Command) -> Result<Way> {
        let keys = self.keys().await?;
        if self.options.local == LocalConnection::Listen {
            command.arg("--listen").arg("127.0.0.1:0");
        } else {
            command.arg("--dial").arg(&self.port(&keys.identity).await?.address);
        }
        let mut credentials = keys.authority.issue(Peer::Worker { worker: life.worker })?;
        credentials.reach = Reach { orphan_timeout_ms: self.options.orphan_timeout_ms, ends_with_input: true };
        let contact = Contact { made: watch::Sender::new(Newest::default()), address: watch::Sender::new(None) };
        self.lives.lock().insert(life, contact.clone());
        Ok(Way { credentials, lives: Arc::clone(&self.lives), life, contact })
    }

    /// The next line to this life's agent.
    pub(super) async fn line(&self, life: WorkerLife) -> Result<Line> {
        let Some(contact) = self.lives.contact(life) else {
            // Its process has ended, which is told elsewhere.
            return std::future::pending().await;
        };
        if self.options.local == LocalConnection::Listen {
            self.dial(life, &contact).await
        } else {
            Ok(dialed(&contact).await)
        }
    }

    async fn dial(&self, life: WorkerLife, contact: &Contact) -> Result<Line> {
        let mut address = contact.address.subscribe();
        let address = match address.wait_for(Option::is_some).await.map(|address| address.clone()) {
            Ok(Some(address)) => address?,
            _ => return std::future::pending().await,
        };
        let identity = &self.keys().await?.identity;
        let mut backoff = Backoff::default();
        loop {
            match dial(&address, identity, Peer::Worker { worker: life.worker }, life.worker, life.life).await {
                Ok(stream) => {
                    let (from, to) = tokio::io::split(stream);
                    return Ok(Line { from_agent: Box::new(from), to_agent: Box::new(to) });
                }
                Err(Refusal::Now(failure)) => tracing::info!("{failure}"),
                Err(Refusal::Version(failure) | Refusal::Over(failure)) => return Err(failure),
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}

/// The connection that an agent made. It ends when the agent makes another: then this one is dead, whatever the system
/// thinks of it.
async fn dialed(contact: &Contact) -> Line {
    let mut made = contact.made.subscribe();
    loop {
        let mut taken = None;
        contact.made.send_if_modified(|newest| {
            taken = newest.stream.take().map(|stream| (stream, newest.count));
            false
        });
        if let Some((stream, count)) = taken {
            let (from, to) = tokio::io::split(stream);
            let replaced = Box::pin(async move {
                if made.wait_for(|newest| newest.count > count).await.is_err() {
                    // The life is over; its connection ends by itself.
                    std::future::pending::<()>().await;
                }
            });
            let from_agent = UntilReplaced { from, replaced: Some(replaced) };
            return Line { from_agent: Box::new(from_agent), to_agent: Box::new(to) };
        }
        if made.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn let_in(mut door: Door, lives: Arc<Lives>) {
    loop {
        match door.next().await {
            Ok(arrived) => {
                let life = WorkerLife { worker: arrived.worker, life: arrived.life };
                // It may have ended since it was admitted.
                if let Some(contact) = lives.contact(life) {
                    contact.made.send_modify(|newest| {
                        newest.count += 1;
                        newest.stream = Some(arrived.stream);
                    });
                }
            }
            // Its agent says the same and ends.
            Err(failure) => tracing::warn!("{failure}"),
        }
    }
}

impl Way {
    /// Gives a started agent its credentials.
    pub(super) async fn hand_over(self, mut stdin: ChildStdin, stdout: ChildStdout) -> Tether {
        let Self { credentials, lives, life, contact } = self;
        let handed = match credentials.to_frame() {
            Ok(bytes) => stdin.write_all(&bytes).await.and(stdin.flush().await),
            Err(failure) => Err(std::io::Error::other(failure)),
        };
        if let Err(error) = handed {
            // An agent that ended at once says why itself.
            tracing::warn!("failed to hand worker {} its credentials: {error}", life.worker);
        }
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            let address = read_address(stdout).await;
            contact.address.send_replace(address.transpose());
        });
        Tether { lives, life, _stdin: Some(stdin), _address: reading }
    }
}

/// Where the agent listens; `None` when it says nothing, because it dials or has ended.
async fn read_address(mut stdout: ChildStdout) -> Result<Option<String>> {
    #[derive(serde::Deserialize)]
    struct Listens {
        address: String,
    }
    let odd = || Failure::new(FailureCode::WorkerBroken, "failed to understand where an agent listens");
    let mut decoder = frame::Decoder::default();
    let mut chunk = [0; ADDRESS];
    let mut length = 0;
    while let Ok(count) = stdout.read(&mut chunk).await
        && count > 0
    {
        length += count;
        decoder.push(&chunk[..count]);
        if let Some(payload) = decoder.next_frame()? {
            let listens: Listens = serde_json::from_slice(&payload).map_err(|error| odd().cause(&error))?;
            return Ok(Some(listens.address));
        }
        if length > ADDRESS {
            return Err(odd().cause_text(format!("it says more than {ADDRESS} bytes")));
        }
    }
    Ok(None)
}

/// Reads a connection until there is a newer one.
struct UntilReplaced {
    from: ReadHalf<Stream>,
    replaced: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl AsyncRead for UntilReplaced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match &mut self.replaced {
            None => return Poll::Ready(Ok(())),
            Some(replaced) => {
                if replaced.as_mut().poll(context).is_ready() {
                    self.replaced = None;
                    return Poll::Ready(Ok(()));
                }
            }
        }
        Pin::new(&mut self.from).poll_read(context, buffer)
    }
}
