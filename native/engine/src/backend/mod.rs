//! Where workers are started.

pub mod local;

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
    fn start(&self, worker: u32) -> BoxFuture<'_, Result<Connection>>;
}

/// A worker that was started.
pub struct Connection {
    /// What its agent says.
    pub from_agent: Box<dyn AsyncRead + Send + Unpin>,
    /// What its agent hears. Dropping it tells a local agent to end.
    pub to_agent: Box<dyn AsyncWrite + Send + Unpin>,
    /// The worker itself.
    pub process: Box<dyn WorkerProcess>,
}

/// The main process of a worker, wherever it is.
pub trait WorkerProcess: Send {
    /// Waits for its end, removes what it left behind, and says in words how it ended, with the last lines of its log.
    fn wait(&mut self) -> BoxFuture<'_, String>;

    /// Ends it by force; [`WorkerProcess::wait`] still has to be called.
    fn kill(&mut self);
}
