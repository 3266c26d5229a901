//! Where workers are started.

pub mod docker;
pub mod kubernetes;
pub mod local;
mod silence;
mod sweep;

pub use sweep::Sweep;

use std::future::Future;
use std::pin::Pin;
use testfleet_protocol::Result;
use tokio::io::{AsyncRead, AsyncWrite};

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Starts workers somewhere.
pub trait Backend: Send + Sync {
    /// `local`, `docker`, `kubernetes`, `ssh`.
    fn name(&self) -> &str;

    /// Starts the worker of this number and connects to its agent.
    ///
    /// # Errors
    /// Whatever kept the worker from starting.
    fn start(&self, life: WorkerLife) -> BoxFuture<'_, Result<Connection>>;

    /// Another line to an agent after the former one broke; `None` where agents end with their line. It is tried, also
    /// within the future, until the worker's lease is over; an error says that it will never work.
    fn reconnect(&self, _life: WorkerLife) -> Option<BoxFuture<'_, Result<Line>>> {
        None
    }

    /// Takes over a worker that another coordinator of the run started; `None` where agents end with their coordinator.
    fn take_over(&self, _life: WorkerLife) -> Option<BoxFuture<'_, Result<Connection>>> {
        None
    }
}

/// The environment variable that is about a service: `my-db` is `MY_DB`.
fn variable(service: &str) -> String {
    service.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// One life of a worker: each start of a number is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerLife {
    /// Number, from 1.
    pub worker: u32,
    /// Which start of it, from 1.
    pub life: u32,
}

/// A worker that was started.
pub struct Connection {
    /// The first line to its agent; `None` where [`Backend::reconnect`] brings the first as well, so that a start does not
    /// wait for the agent.
    pub line: Option<Line>,
    /// The worker itself.
    pub process: Box<dyn WorkerProcess>,
}

/// A duplex byte stream to an agent.
pub struct Line {
    /// What the agent says.
    pub from_agent: Box<dyn AsyncRead + Send + Unpin>,
    /// What the agent hears. Dropping it tells an agent at a pipe to end.
    pub to_agent: Box<dyn AsyncWrite + Send + Unpin>,
}

/// The main process of a worker, wherever it is.
pub trait WorkerProcess: Send {
    /// Waits for its end, removes what it left behind, and says in words how it ended, with the last lines of its log.
    fn wait(&mut self) -> BoxFuture<'_, String>;

    /// Ends it by force; [`WorkerProcess::wait`] still has to be called.
    fn kill(&mut self);
}
