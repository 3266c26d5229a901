//! What a worker shares with the others of its host.
//!
//! `none` and `directory` are matters of the JVM's environment ([`folders`]). `namespace` is Linux's own: a first process of the
//! agent leaves the host's namespaces and starts a second one, which is process 1 of the new ones, makes itself at home there
//! and is the agent. When either ends, so does everything in there.

mod folders;
#[cfg(target_os = "linux")]
mod namespaces;

pub(crate) use folders::own_folders;

use crate::args::Args;
use std::process::ExitCode;
use testfleet_protocol::Result;
#[cfg(not(target_os = "linux"))]
use testfleet_protocol::{Failure, FailureCode};

/// What becomes of the process that was started.
pub(crate) enum Role {
    /// It is the agent.
    Agent,
    /// It only waited for the agent, which ended so.
    Ended(ExitCode),
}

/// Enters namespaces of the worker's own, if it is to. Must come before the process has a second thread.
///
/// # Errors
/// [`testfleet_protocol::FailureCode::WorkerBroken`] when the system forbids it, with what to choose instead.
pub(crate) fn enter(args: &Args) -> Result<Role> {
    use testfleet_protocol::run_options::Isolation;
    if args.isolation != Isolation::Namespace {
        return Ok(Role::Agent);
    }
    #[cfg(target_os = "linux")]
    return namespaces::enter(args);
    #[cfg(not(target_os = "linux"))]
    Err(Failure::new(FailureCode::WorkerBroken, "failed to isolate a worker: namespaces are a matter of Linux")
        .hint("choose testfleet { isolation = 'directory' }"))
}
