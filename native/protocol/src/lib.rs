//! What Testfleet's parts say to each other.
//!
//! Serde types and pure encoders only: nothing here reads a clock, a file or a socket. Every JSON
//! document carries [`VERSION`]; readers refuse another one with
//! [`FailureCode::ProtocolVersion`].

pub mod agent;
pub mod ant_pattern;
pub mod bundle;
pub mod docker;
pub mod event;
pub mod failure;
pub mod frame;
pub mod harness;
pub mod image;
pub mod kubernetes;
pub mod path;
pub mod plan;
pub mod request;
pub mod run_options;
pub mod test;

pub use failure::{Failure, FailureCode, Result};

/// Version of every document and of the coordinator-agent and agent-harness protocols.
///
/// Raised when a reader of the former version would misunderstand; additions that old readers may
/// ignore do not raise it.
pub const VERSION: u32 = 1;
