//! One life of one worker: starts it, carries messages both ways, sees to its end.

use crate::backend::{Backend, Connection, Line, WorkerLife};
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, Envelope};
use testfleet_protocol::frame::{self, Decoder};
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// How long an agent may take until it says hello.
const HELLO: Duration = Duration::from_secs(60);

/// How long an agent may take to end after it was told to, its JVM's own end included.
const FINISH: Duration = Duration::from_secs(20);

/// How long an agent may take to end after a cancel.
const CANCEL: Duration = Duration::from_secs(5);

/// What a life brings to the run.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The agent said something new.
    Message { worker: u32, seq: u64, message: AgentMessage },
    /// Nothing more comes from this life.
    Ended { worker: u32, life: u32, failure: Failure },
}

/// What the run wants of a life.
#[derive(Debug)]
pub(super) enum Order {
    /// Send this. After `Finish` and `Cancel` the agent has a limited time to end.
    Say(CoordinatorMessage),
    /// End the worker by force.
    Kill(Failure),
}

/// Lives one life of a worker; its last act is [`Arrival::Ended`]. Dropping the future drops the agent's pipes, which
/// tells a local agent to end.
pub(super) async fn live(
    life: WorkerLife,
    backend: &dyn Backend,
    orders: mpsc::UnboundedReceiver<Order>,
    arrivals: mpsc::Sender<Arrival>,
) {
    let WorkerLife { worker, life: number } = life;
    let failure = match backend.start(life).await {
        Ok(connection) => connected(worker, connection, orders, &arrivals).await,
        Err(failure) => failure,
    };
    // The run no longer listens when it has failed itself; there is nobody left to tell.
    let _ = arrivals.send(Arrival::Ended { worker, life: number, failure }).await;
}

async fn connected(
    worker: u32,
    connection: Connection,
    orders: mpsc::UnboundedReceiver<Order>,
    arrivals: &mpsc::Sender<Arrival>,
) -> Failure {
    let Connection { line: Line { from_agent, to_agent }, mut process } = connection;
    let (outgoing, frames) = mpsc::unbounded_channel();
    // In one task, so that nothing survives it; side by side, so that a full pipe one way never stops the other.
    let known = tokio::select! {
        end = listen(worker, from_agent, arrivals) => end.err(),
        failure = obey(worker, orders, outgoing) => Some(failure),
        () = write(to_agent, frames) => None,
    };
    if known.is_some() {
        process.kill();
    }
    let how = match timeout(CANCEL, process.wait()).await {
        Ok(how) => how,
        Err(_) => {
            process.kill();
            process.wait().await
        }
    };
    known.unwrap_or_else(|| {
        Failure::new(FailureCode::WorkerBroken, format!("failed to keep worker {worker}: its agent {how}"))
    })
}

/// Reads until the agent's end; a failure is the agent's own last word or a breach of the protocol.
async fn listen(worker: u32, mut agent: impl AsyncRead + Unpin, arrivals: &mpsc::Sender<Arrival>) -> Result<()> {
    let mut inbox = Inbox::default();
    let mut chunk = vec![0; 64 << 10];
    let hello_by = Instant::now() + HELLO;
    let mut last_word = None;
    loop {
        let read = if !inbox.greeted && inbox.seen == 0 {
            tokio::time::timeout_at(hello_by, agent.read(&mut chunk)).await.map_err(|_| {
                broken(worker, &format!("its agent did not say hello within {} s", HELLO.as_secs()))
                    .hint("the machine may be overloaded; look at the agent's log")
            })?
        } else {
            agent.read(&mut chunk).await
        };
        // A pipe that breaks is an agent that died: the exit status says more than the error.
        let Ok(count) = read else { break };
        if count == 0 {
            break;
        }
        inbox.decoder.push(&chunk[..count]);
        while let Some(envelope) = inbox.next(worker)? {
            if let AgentMessage::Failed { failure } = &envelope.message {
                last_word = Some(failure.clone());
            }
            let arrival = Arrival::Message { worker, seq: envelope.seq, message: envelope.message };
            if arrivals.send(arrival).await.is_err() {
                return Ok(());
            }
        }
    }
    last_word.map_or(Ok(()), Err)
}

/// Frames to messages, each number once.
#[derive(Debug, Default)]
struct Inbox {
    decoder: Decoder,
    /// Highest number that arrived.
    seen: u64,
    /// Whether anything did.
    greeted: bool,
}

impl Inbox {
    fn next(&mut self, worker: u32) -> Result<Option<Envelope>> {
        while let Some(payload) = self.decoder.next_frame()? {
            let envelope: Envelope = serde_json::from_slice(&payload).map_err(|error| {
                broken(worker, "its agent sent a message that makes no sense")
                    .cause(&error)
                    .hint("agent and engine must come from the same Testfleet version")
            })?;
            if envelope.seq == 0 {
                self.greeted = true;
                return Ok(Some(envelope));
            }
            if envelope.seq > self.seen + 1 {
                return Err(broken(
                    worker,
                    &format!("message {} followed message {}; something in between was lost", envelope.seq, self.seen),
                ));
            }
            if envelope.seq == self.seen + 1 {
                self.seen = envelope.seq;
                return Ok(Some(envelope));
            }
        }
        Ok(None)
    }
}

fn broken(worker: u32, why: &str) -> Failure {
    Failure::new(FailureCode::WorkerBroken, format!("failed to keep worker {worker}: {why}"))
}

/// Passes messages on to the writer; returns when the worker is to be ended by force.
async fn obey(
    worker: u32,
    mut orders: mpsc::UnboundedReceiver<Order>,
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
) -> Failure {
    let mut deadline: Option<(Instant, Duration)> = None;
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            () = sleep_until(deadline.map_or_else(Instant::now, |(at, _)| at)), if deadline.is_some() => {
                let grace = deadline.map_or(0, |(_, grace)| grace.as_secs());
                return broken(worker, &format!("it did not end within {grace} s after it was told to"));
            }
        };
        let message = match order {
            Some(Order::Kill(failure)) => return failure,
            Some(Order::Say(message)) => message,
            None => std::future::pending().await,
        };
        let grace = match &message {
            CoordinatorMessage::Finish => Some(FINISH),
            CoordinatorMessage::Cancel => Some(CANCEL),
            _ => None,
        };
        if let Some(grace) = grace {
            let by = Instant::now() + grace;
            if deadline.is_none_or(|(at, _)| by < at) {
                deadline = Some((by, grace));
            }
        }
        let mut frame = Vec::new();
        let encoded = serde_json::to_vec(&message)
            .map_err(|error| broken(worker, "a message could not be written").cause(&error))
            .and_then(|payload| frame::encode(&payload, &mut frame));
        if let Err(failure) = encoded {
            return failure;
        }
        // The writer ends when the agent's pipe breaks; the reader then sees its end.
        let _ = outgoing.send(frame);
    }
}

/// Writes until the end of the life. A pipe that breaks is left to the reader, which gets what was said before.
async fn write(mut agent: impl AsyncWrite + Unpin, mut frames: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        if agent.write_all(&frame).await.is_err() || agent.flush().await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(seqs: &[u64]) -> Inbox {
        let mut inbox = Inbox::default();
        for seq in seqs {
            let message = AgentMessage::first_hello(1, 1, "1", "h".into(), *seq as u32);
            let mut frame = Vec::new();
            frame::encode(&serde_json::to_vec(&Envelope { seq: *seq, message }).unwrap(), &mut frame).unwrap();
            inbox.decoder.push(&frame);
        }
        inbox
    }

    #[test]
    fn repeated_numbers_count_once() {
        let mut inbox = frames(&[1, 2, 1, 2, 3]);
        let seqs: Vec<_> = std::iter::from_fn(|| inbox.next(1).unwrap()).map(|envelope| envelope.seq).collect();
        assert_eq!(seqs, [1, 2, 3]);
    }

    #[test]
    fn a_gap_is_an_error() {
        let mut inbox = frames(&[1, 3]);
        inbox.next(1).unwrap();
        assert!(inbox.next(1).unwrap_err().message.contains("message 3 followed message 1"));
    }

    #[test]
    fn a_message_that_makes_no_sense_is_an_error() {
        let mut inbox = Inbox::default();
        let mut frame = Vec::new();
        frame::encode(b"{\"seq\":1,\"message\":{\"type\":\"song\"}}", &mut frame).unwrap();
        inbox.decoder.push(&frame);
        assert_eq!(inbox.next(4).unwrap_err().code, FailureCode::WorkerBroken);
    }
}
