//! Begins what the command line asks for: pipes, dialing, listening, or a socket for relays; for dialing and listening,
//! credentials come on standard input, or in a file.

use crate::args::Args;
use crate::coordinator::{Coordinator, Shared};
use crate::ways;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result, frame};
use testfleet_wire::{Admission, Credentials, Door, Identity, Peer, SocketDoor, Stream};
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

/// Starts the tasks that keep a line to the coordinator. A worker that does not know its number waits until it is told.
///
/// # Errors
/// When the credentials make no sense, the port can't be opened, or nobody says which worker it is.
pub(crate) async fn keep_line(args: &mut Args, coordinator: &Coordinator) -> Result<JoinSet<()>> {
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
    let credentials = match &args.credentials {
        Some(file) => take_credentials(file)?,
        None => hear_credentials(&mut tasks, &shared).await?,
    };
    let orphan_after = Duration::from_millis(credentials.reach.orphan_timeout_ms);
    shared.lock().orphan_after = orphan_after;
    let own = match args.worker {
        0 => Peer::AnyWorker,
        worker => Peer::Worker { worker },
    };
    if credentials.peer() != own {
        return Err(no_credentials(&format!("they are those of {}, not of {own}", credentials.peer())));
    }
    let identity = Identity::new(&credentials)?;
    drop(credentials);
    match (&args.dial, &args.listen) {
        (Some(address), _) => {
            tasks.spawn(ways::keep_dialing(address.clone(), identity, args.life, shared));
        }
        (None, address) => {
            let mut door =
                Door::open(address.as_deref().unwrap_or_default(), Arc::new(identity), admission(args)).await?;
            if args.credentials.is_none() {
                tell_address(&door).await?;
            }
            let first = match own {
                Peer::AnyWorker => Some(become_a_worker(args, &mut door, orphan_after).await?),
                _ => None,
            };
            tasks.spawn(ways::keep_listening(ways::Known { first, door }, shared));
        }
    }
    Ok(tasks)
}

/// Who is let in: whoever means this life of this worker. One that has no number yet takes that of the first.
fn admission(args: &Args) -> Admission {
    let own = OnceLock::new();
    if args.worker > 0 {
        let _ = own.set((args.worker, args.life));
    }
    Arc::new(move |worker, life| worker > 0 && life > 0 && *own.get_or_init(|| (worker, life)) == (worker, life))
}

/// Waits for a coordinator, and is from then on the worker that it means.
async fn become_a_worker(args: &mut Args, door: &mut Door, within: Duration) -> Result<Stream> {
    let Ok(arrived) = timeout(within, door.next()).await else {
        let text = format!("failed to become a worker: no coordinator came within {} s", within.as_secs());
        return Err(Failure::new(FailureCode::WorkerBroken, text));
    };
    let arrived = arrived?;
    (args.worker, args.life) = (arrived.worker, arrived.life);
    Ok(arrived.stream)
}

/// Reads credentials out of a file that nobody after this agent is to see.
fn take_credentials(file: &Path) -> Result<Credentials> {
    let failed = |what: &str, error: std::io::Error| Failure::io(what, file, &error);
    let bytes = std::fs::read(file).map(Zeroizing::new).map_err(|error| failed("read", error))?;
    std::fs::remove_file(file).map_err(|error| failed("remove", error))?;
    let Some((prefix, json)) = bytes.split_first_chunk::<4>() else {
        return Err(no_credentials("the file with them is cut off"));
    };
    if Credentials::length(*prefix)? != json.len() {
        return Err(no_credentials("the file with them is cut off, or too long"));
    }
    Credentials::read(json)
}

/// Credentials from standard input, which is closed then, or means the end of the agent with its own.
async fn hear_credentials(tasks: &mut JoinSet<()>, shared: &Arc<Shared>) -> Result<Credentials> {
    let mut input = tokio::io::stdin();
    let credentials = match timeout(CREDENTIALS, read_credentials(&mut input)).await {
        Ok(credentials) => credentials?,
        Err(_) => return Err(no_credentials(&format!("none came within {} s", CREDENTIALS.as_secs()))),
    };
    if credentials.reach.ends_with_input {
        tasks.spawn(end_with_input(input, Arc::clone(shared)));
    } else {
        close_input()?;
    }
    Ok(credentials)
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
    Failure::new(FailureCode::InvalidRequest, "failed to get credentials")
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
