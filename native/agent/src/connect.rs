//! Begins what the command line asks for: pipes, dialing, listening, or a socket for relays; for dialing and listening,
//! credentials come on standard input.

use crate::args::Args;
use crate::coordinator::{Coordinator, Shared};
use crate::ways;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result, frame};
use testfleet_wire::{Admission, Credentials, Door, Identity, Peer, SocketDoor};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Stdin};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long credentials may take to arrive.
const CREDENTIALS: Duration = Duration::from_secs(60);

/// Keeps tests, which run as the same user, from reading this process: its memory holds keys, its environment may hold
/// secrets. Only Linux knows it.
pub(crate) fn hide_memory() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!("the agent's memory can't be hidden from tests: {error}");
    }
}

/// Starts the tasks that keep a line to the coordinator.
///
/// # Errors
/// When the credentials make no sense or the port can't be opened.
pub(crate) async fn keep_line(args: &Args, coordinator: &Coordinator) -> Result<JoinSet<()>> {
    let shared = coordinator.shared();
    let mut tasks = JoinSet::new();
    if let Some(path) = &args.socket {
        let door = SocketDoor::open(path, args.worker, args.life)?;
        tasks.spawn(ways::keep_listening(door, shared));
        return Ok(tasks);
    }
    if args.dial.is_none() && args.listen.is_none() {
        tasks.spawn(ways::keep_pipe(tokio::io::stdin(), tokio::io::stdout(), shared));
        return Ok(tasks);
    }
    let mut input = tokio::io::stdin();
    let credentials = match timeout(CREDENTIALS, read_credentials(&mut input)).await {
        Ok(credentials) => credentials?,
        Err(_) => return Err(no_credentials(&format!("none came within {} s", CREDENTIALS.as_secs()))),
    };
    let reach = credentials.reach;
    shared.lock().orphan_after = Duration::from_millis(reach.orphan_timeout_ms);
    if reach.ends_with_input {
        tasks.spawn(end_with_input(input, Arc::clone(&shared)));
    } else {
        close_input()?;
    }
    if credentials.peer() != (Peer::Worker { worker: args.worker }) {
        return Err(no_credentials(&format!(
            "they are those of {}, not of worker {}",
            credentials.peer(),
            args.worker
        )));
    }
    let identity = Identity::new(&credentials)?;
    drop(credentials);
    let life = args.life;
    match (&args.dial, &args.listen) {
        (Some(address), _) => {
            tasks.spawn(ways::keep_dialing(address.clone(), identity, life, shared));
        }
        (None, address) => {
            let own = args.worker;
            let admit: Admission = Arc::new(move |worker, of| worker == own && of == life);
            let door = Door::open(address.as_deref().unwrap_or_default(), Arc::new(identity), admit).await?;
            tell_address(&door).await?;
            tasks.spawn(ways::keep_listening(door, shared));
        }
    }
    Ok(tasks)
}

async fn read_credentials(input: &mut Stdin) -> Result<Credentials> {
    let cut_off = |error: std::io::Error| no_credentials("standard input ended before them").cause(&error);
    let mut prefix = [0; 4];
    input.read_exact(&mut prefix).await.map_err(cut_off)?;
    let mut json = Zeroizing::new(vec![0; Credentials::length(prefix)?]);
    input.read_exact(&mut json).await.map_err(cut_off)?;
    Credentials::read(&json)
}

fn no_credentials(why: &str) -> Failure {
    Failure::new(FailureCode::InvalidRequest, "failed to get credentials on standard input")
        .cause_text(why)
        .hint("a backend hands them over at the start of an agent with --dial or --listen")
}

/// The coordinator holds the other end, and nothing more comes from there.
async fn end_with_input(mut input: Stdin, shared: Arc<Shared>) {
    let mut byte = [0; 1];
    if matches!(input.read(&mut byte).await, Ok(1)) {
        tracing::error!("standard input says something after the credentials, which it must not: the agent ends");
    }
    shared.is_gone(None);
}

fn close_input() -> Result<()> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(FailureCode::Internal, "failed to close standard input").cause(error)
    };
    let nothing = File::open("/dev/null").map_err(|error| failed(&error))?;
    nix::unistd::dup2_stdin(&nothing).map_err(|error| failed(&error))
}

/// Says on standard output where the agent listens: one frame, `{"address":"127.0.0.1:4711"}`.
async fn tell_address(door: &Door) -> Result<()> {
    let bytes = frame::of_json(&serde_json::json!({ "address": door.address().to_string() }))?;
    let mut output = tokio::io::stdout();
    let failed = |error: std::io::Error| {
        Failure::new(FailureCode::Internal, "failed to say where the agent listens").cause(&error)
    };
    output.write_all(&bytes).await.map_err(failed)?;
    output.flush().await.map_err(failed)
}
