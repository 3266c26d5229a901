//! Accepting connections: who is not known within a limited time is sent away, and only so many may be unknown at once.

use crate::Identity;
use crate::meet::{self, Refusal, Stream};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Connections whose other side is not known yet.
const UNKNOWN: usize = 128;
/// Of those, from one address that is not this machine's.
const UNKNOWN_OF_ONE: usize = 32;
/// Connections that wait to be taken.
const ARRIVED: usize = 16;
/// How long to wait when the system can't accept.
const NO_MORE: Duration = Duration::from_millis(200);

/// Whether a worker's life is part of the run.
pub type Admission = Arc<dyn Fn(u32, u32) -> bool + Send + Sync>;

/// A connection whose other side is known.
pub struct Arrived {
    /// Which worker it is about.
    pub worker: u32,
    /// Which life of it.
    pub life: u32,
    /// The connection.
    pub stream: Stream,
}

/// An open port. Dropping it closes the port; connections that arrived stay.
pub struct Door {
    address: SocketAddr,
    arrived: mpsc::Receiver<std::result::Result<Arrived, Failure>>,
    _task: JoinSet<()>,
}

impl Door {
    /// Opens a port; port 0 is any that is free.
    ///
    /// # Errors
    /// [`FailureCode::WorkerBroken`] when it can't be opened.
    pub async fn open(address: &str, identity: Arc<Identity>, admit: Admission) -> Result<Self> {
        let failed = |error: io::Error| {
            Failure::new(FailureCode::WorkerBroken, format!("failed to listen at {address}"))
                .cause(&error)
                .hint("another program may use the port, or this machine may not have the address")
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (to, arrived) = mpsc::channel(ARRIVED);
        let mut task = JoinSet::new();
        task.spawn(serve(listener, identity, admit, to));
        Ok(Self { address, arrived, _task: task })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection; an error when one came that speaks another version, for the user to know. Never ends.
    ///
    /// # Errors
    /// [`FailureCode::ProtocolVersion`].
    pub async fn next(&mut self) -> Result<Arrived> {
        match self.arrived.recv().await {
            Some(arrived) => arrived,
            None => std::future::pending().await,
        }
    }
}

async fn serve(
    listener: TcpListener,
    identity: Arc<Identity>,
    admit: Admission,
    to: mpsc::Sender<std::result::Result<Arrived, Failure>>,
) {
    let unknown = Arc::new(Semaphore::new(UNKNOWN));
    let mut by_address: HashMap<IpAddr, Arc<Semaphore>> = HashMap::new();
    let mut meetings = JoinSet::new();
    loop {
        while meetings.try_join_next().is_some() {}
        let (tcp, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, for example: those that wait may be served later.
                tracing::warn!(%error, "failed to accept a connection");
                sleep(NO_MORE).await;
                continue;
            }
        };
        let places_of = |ip: &IpAddr| if ip.is_loopback() { UNKNOWN } else { UNKNOWN_OF_ONE };
        by_address.retain(|ip, places| places.available_permits() < places_of(ip));
        let places = by_address.entry(from.ip()).or_insert_with_key(|ip| Arc::new(Semaphore::new(places_of(ip))));
        let place = (Arc::clone(&unknown).try_acquire_owned(), Arc::clone(places).try_acquire_owned());
        let (Ok(one), Ok(other)) = place else {
            tracing::warn!("a connection from {from} is closed: too many wait until they are known");
            continue;
        };
        let (identity, admit, to) = (Arc::clone(&identity), Arc::clone(&admit), to.clone());
        meetings.spawn(async move {
            let met = meet::accept(tcp, &identity, |worker, life| admit(worker, life)).await;
            drop((one, other));
            let sent = match met {
                Ok((stream, worker, life)) => to.send(Ok(Arrived { worker, life, stream })).await,
                Err(Refusal::Version(failure)) => to.send(Err(failure)).await,
                Err(refusal) => {
                    tracing::warn!("{}", refusal.failure());
                    Ok(())
                }
            };
            // Without a receiver the door is closed.
            drop(sent);
        });
    }
}
