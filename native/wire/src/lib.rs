//! How coordinator and agent reach each other over TCP, and what an agent keeps on disk.
//!
//! Each run has an [`Authority`] of its own. It gives its coordinator and each of its workers [`Credentials`]: a short-lived
//! certificate, its key and the run's token. The side that accepts is the TLS server; each side demands the other's
//! certificate, then its [greeting](greeting) with version and token. Nothing else is read before all of that is right, and
//! whoever is not gets no answer. Over pipes there is none of it.

mod authority;
mod backoff;
mod credentials;
mod door;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod greeting;
mod identity;
mod inbox;
mod meet;
pub mod record;
mod socket;
#[cfg(test)]
mod tests;

pub use authority::{Authority, Validity};
pub use backoff::Backoff;
pub use credentials::{Credentials, Reach};
pub use door::{Admission, Arrived, Door};
pub use identity::Identity;
pub use inbox::Inbox;
pub use meet::{HANDSHAKE, Refusal, Stream, accept, dial, dial_over};
pub use socket::{RunSecret, SocketDoor, knock};

use serde::{Deserialize, Serialize};

/// Who a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "camelCase")]
pub enum Peer {
    /// The run's coordinator.
    Coordinator,
    /// One of its workers.
    Worker {
        /// Its number, from 1.
        worker: u32,
    },
    /// Whichever of its workers the coordinator wants: the agents of one Kubernetes Job are all started alike.
    AnyWorker,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Coordinator => f.write_str("the coordinator"),
            Self::Worker { worker } => write!(f, "worker {worker}"),
            Self::AnyWorker => f.write_str("a worker"),
        }
    }
}
