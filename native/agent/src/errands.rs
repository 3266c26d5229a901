//! What the agent's program does when the coordinator starts it beside an agent, in the same container.

use crate::args::Errand;
use crate::connect;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};
use zeroize::Zeroizing;

/// Bytes that are passed on at once.
const CHUNK: usize = 64 << 10;
/// How long a relay waits for the socket of an agent that is about to begin.
const SOCKET: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Does it to its end. Exit code 1: it did not work.
pub(crate) fn run(errand: Errand) -> ExitCode {
    // A relay's memory holds the token for a moment.
    connect::hide_memory();
    let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let done = runtime.block_on(async {
                match errand {
                    Errand::Relay { socket } => relay(&socket).await,
                    Errand::HandOver { from, to } => hand_over(&from, &to),
                    Errand::Hold { seconds } => hold(Duration::from_secs(seconds)).await,
                    Errand::Probe { address, within } => probe(&address, Duration::from_secs(within)).await,
                }
            });
            // A thread may still wait for standard input.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::new(FailureCode::Internal, "failed to start a thread").cause(&error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Copies a file for this user alone.
fn hand_over(from: &Path, to: &Path) -> Result<()> {
    let bytes = std::fs::read(from).map(Zeroizing::new).map_err(|error| Failure::io("read", from, &error))?;
    // It may be asked to do so again, when the cluster begins a pod anew.
    let partial = to.with_extension("new");
    let _ = std::fs::remove_file(&partial);
    let file = File::options().write(true).create_new(true).mode(0o600).open(&partial);
    let mut file = file.map_err(|error| Failure::io("create", &partial, &error))?;
    file.write_all(&bytes).map_err(|error| Failure::io("write", &partial, &error))?;
    std::fs::rename(&partial, to).map_err(|error| Failure::io("create", to, &error))
}

/// Passes bytes both ways until one side ends: then the line has ended.
async fn relay(path: &Path) -> Result<()> {
    let (from_agent, to_agent) = connect_to(path).await?.into_split();
    tokio::select! {
        () = pass(tokio::io::stdin(), to_agent) => {}
        () = pass(from_agent, tokio::io::stdout()) => {}
    }
    Ok(())
}

async fn connect_to(path: &Path) -> Result<UnixStream> {
    let by = Instant::now() + SOCKET;
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Ok(stream),
            // It is there as soon as the agent is.
            Err(_) if Instant::now() < by => sleep(PAUSE).await,
            Err(error) => {
                let text = format!("failed to reach the agent at {}", path.display());
                return Err(Failure::new(FailureCode::WorkerBroken, text).cause(&error));
            }
        }
    }
}

/// What can't be read or written any more is the end.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count) = from.read(&mut chunk).await
        && count > 0
    {
        if to.write_all(&chunk[..count]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

/// The first process of a container has to hear SIGTERM itself.
async fn hold(time: Duration) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to listen for signals").cause(&error))?;
    tokio::select! {
        () = sleep(time) => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}

/// Tries to connect until that works.
async fn probe(address: &str, within: Duration) -> Result<()> {
    let by = Instant::now() + within;
    let mut last = None;
    while Instant::now() < by {
        match timeout_at(by, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => last = Some(error),
            Err(_) => break,
        }
        sleep(PAUSE).await;
    }
    let failure = Failure::new(FailureCode::WorkerBroken, format!("failed to connect to {address} within {within:?}"));
    Err(match last {
        Some(error) => failure.cause(&error),
        None => failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_waited_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        probe(&address, Duration::from_secs(5)).await.unwrap();
        drop(listener);
        let failure = probe(&address, Duration::from_millis(200)).await.unwrap_err();
        assert!(failure.message.contains(&address), "{failure}");
    }

    #[tokio::test]
    async fn a_socket_may_come_later_than_its_relay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let later = async {
            sleep(Duration::from_millis(100)).await;
            let listener = tokio::net::UnixListener::bind(&path).unwrap();
            listener.accept().await.unwrap().0
        };
        let (relay, agent) = tokio::join!(connect_to(&path), later);
        let (mut relay, mut agent) = (relay.unwrap(), agent);
        relay.write_all(b"x").await.unwrap();
        drop(relay);
        let mut said = Vec::new();
        agent.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"x");
    }
}
