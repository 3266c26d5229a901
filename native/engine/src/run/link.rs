//! One life of one worker: starts it, carries messages both ways over lines that may break and come again, sees to its end.

mod conversation;

use crate::backend::{Backend, Connection, Line, WorkerLife, WorkerProcess};
use conversation::Talk;
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, Envelope};
use testfleet_protocol::frame::Decoder;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// How long an agent may take until it says hello.
const HELLO: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 60 });

/// How long an agent may take to end after it was told to, its JVM's own end included.
const FINISH: Duration = Duration::from_secs(20);

/// How long an agent may take to end after a cancel.
pub(super) const CANCEL: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });

/// How long a worker is out of reach before the user is told.
const OUT_OF_REACH: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });

/// What a life brings to the run.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The agent said something new.
    Message { worker: u32, life: u32, seq: u64, message: AgentMessage },
    /// What is to be told about a worker beside what it says.
    Notice { worker: u32, text: String },
    /// Nothing more comes from this life.
    Ended { worker: u32, life: u32, failure: Failure },
}

/// How a life begins for this coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// It is started.
    Start,
    /// An earlier coordinator of the run started it.
    TakeOver,
}

/// What the run wants of a life.
#[derive(Debug)]
pub(super) enum Order {
    /// Send this. After `Finish` and `Cancel` the agent has a limited time to end.
    Say(CoordinatorMessage),
    /// It sends files: the time that it has to end after `Finish` begins anew.
    Sending,
    /// End the worker by force.
    Kill(Failure),
}

/// Lives one life of a worker; its last act is [`Arrival::Ended`]. Dropping the future drops the agent's pipes, which
/// tells a local agent to end.
pub(super) async fn live(
    life: WorkerLife,
    begin: Begin,
    backend: &dyn Backend,
    mut orders: mpsc::UnboundedReceiver<Order>,
    arrivals: mpsc::Sender<Arrival>,
) {
    let WorkerLife { worker, life: number } = life;
    // Nobody waits for it longer than the run does.
    let connection = match begin {
        Begin::Start => tokio::select! {
            connection = backend.start(life) => connection,
            failure = end_before_start(worker, &mut orders) => Err(failure),
        },
        Begin::TakeOver => tokio::select! {
            connection = take_over(life, backend) => connection,
            failure = killed(&mut orders) => Err(failure),
        },
    };
    let failure = match connection {
        Ok(connection) => connected(life, begin, backend, connection, orders, &arrivals).await,
        Err(failure) => failure,
    };
    // The run no longer listens when it has failed itself; there is nobody left to tell.
    let _ = arrivals.send(Arrival::Ended { worker, life: number, failure }).await;
}

/// Waits until a worker that is still being started is wanted no more: a start may take long. What it left behind, its backend
/// removes at the end of the run.
async fn end_before_start(worker: u32, orders: &mut mpsc::UnboundedReceiver<Order>) -> Failure {
    loop {
        match orders.recv().await {
            Some(Order::Kill(failure)) => return failure,
            // An agent that was never heard gets no other message.
            Some(Order::Say(_)) => return broken(worker, "it is not wanted any more, and was not started yet"),
            Some(Order::Sending) => {}
            None => return std::future::pending().await,
        }
    }
}

async fn take_over(life: WorkerLife, backend: &dyn Backend) -> Result<Connection> {
    match backend.take_over(life) {
        Some(connection) => connection.await,
        None => Err(broken(life.worker, "agents of this backend end with their coordinator")),
    }
}

/// Waits until the worker is to be ended by force. What is said meanwhile is said again when its agent says hello.
async fn killed(orders: &mut mpsc::UnboundedReceiver<Order>) -> Failure {
    loop {
        match orders.recv().await {
            Some(Order::Kill(failure)) => return failure,
            Some(Order::Say(_) | Order::Sending) => {}
            None => std::future::pending().await,
        }
    }
}

/// How a life came to its end.
enum End {
    /// By this failure: the agent's own last word, a breach of the protocol, or the run's order.
    Known(Failure),
    /// The worker's process ended, in these words.
    Process(String),
    /// Its line did, or the run did.
    Line,
}

async fn connected(
    life: WorkerLife,
    begin: Begin,
    backend: &dyn Backend,
    connection: Connection,
    orders: mpsc::UnboundedReceiver<Order>,
    arrivals: &mpsc::Sender<Arrival>,
) -> Failure {
    let worker = life.worker;
    let Connection { line, mut process } = connection;
    let talk = Talk::beginning_with(begin);
    // In one task, so that nothing survives it; side by side, so that a full pipe one way never stops the other.
    let end = tokio::select! {
        end = lines(life, begin, backend, line, process.as_mut(), &talk, arrivals) => end,
        failure = obey(worker, orders, &talk) => End::Known(failure),
    };
    let known = match end {
        End::Known(failure) => Some(failure),
        End::Process(how) => return ended(worker, &how),
        End::Line => None,
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
    known.unwrap_or_else(|| ended(worker, &how))
}

fn ended(worker: u32, how: &str) -> Failure {
    broken(worker, &format!("its agent {how}"))
}

/// One line after another, until there will be none.
async fn lines(
    life: WorkerLife,
    begin: Begin,
    backend: &dyn Backend,
    first: Option<Line>,
    process: &mut dyn WorkerProcess,
    talk: &Talk,
    arrivals: &mpsc::Sender<Arrival>,
) -> End {
    // The run itself knows how long one that was there before may take to come back.
    let hello_by = (begin == Begin::Start).then(|| Instant::now() + HELLO);
    let mut line = first;
    loop {
        if let Some(line) = line.take() {
            let Line { from_agent, to_agent } = line;
            let heard = tokio::select! {
                heard = listen(life, from_agent, talk, hello_by, arrivals) => heard,
                never = write(to_agent, talk) => match never {},
            };
            match heard {
                Ok(Heard::LineEnded) => talk.lock().line_broke(),
                Ok(Heard::RunEnded) => return End::Line,
                Err(failure) => return End::Known(failure),
            }
        }
        let Some(another) = backend.reconnect(life) else { return End::Line };
        let greeted = talk.lock().greeted;
        let is_ending = talk.lock().is_ending();
        tokio::select! {
            another = another => match another {
                Ok(another) => line = Some(another),
                Err(failure) => return End::Known(failure),
            },
            how = process.wait() => return End::Process(how),
            () = at(hello_by), if !greeted => return End::Known(no_hello(life.worker)),
            never = tell_when_it_lasts(life, arrivals), if greeted && !is_ending => match never {},
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Tells the user of a worker that is out of reach for long, once.
async fn tell_when_it_lasts(life: WorkerLife, arrivals: &mpsc::Sender<Arrival>) -> std::convert::Infallible {
    let worker = life.worker;
    tokio::time::sleep(OUT_OF_REACH).await;
    let seconds = OUT_OF_REACH.as_secs();
    let text =
        format!("[testfleet: worker {worker} is out of reach for {seconds} s; it works on, and is tried again]\n");
    tracing::warn!("{}", text.trim());
    // Who no longer listens need not know.
    let _ = arrivals.send(Arrival::Notice { worker, text }).await;
    std::future::pending().await
}

/// Why reading a line came to its end.
enum Heard {
    LineEnded,
    /// Nobody wants to know more.
    RunEnded,
}

/// Reads until the line's end; a failure is the agent's own last word or a breach of the protocol.
async fn listen(
    life: WorkerLife,
    mut agent: impl AsyncRead + Unpin,
    talk: &Talk,
    hello_by: Option<Instant>,
    arrivals: &mpsc::Sender<Arrival>,
) -> Result<Heard> {
    let worker = life.worker;
    let known_before = {
        let mut conversation = talk.lock();
        conversation.line_begins()?;
        conversation.greeted
    };
    // The first line of a worker that was started has until the worker's deadline, any other as long from its beginning.
    let hello_by = hello_by.filter(|_| !known_before).unwrap_or_else(|| Instant::now() + HELLO);
    let mut decoder = Decoder::default();
    let mut chunk = vec![0; 64 << 10];
    let mut last_word = None;
    let mut introduced = false;
    loop {
        let read = if introduced {
            agent.read(&mut chunk).await
        } else {
            let read = tokio::time::timeout_at(hello_by, agent.read(&mut chunk)).await;
            read.map_err(|_| no_hello(worker))?
        };
        // A line that breaks may be an agent that died: the exit status says more than the error.
        let Ok(count) = read else { break };
        if count == 0 {
            break;
        }
        decoder.push(&chunk[..count]);
        while let Some(payload) = decoder.next_frame()? {
            let mut envelope = decode(worker, &payload)?;
            if let AgentMessage::Hello { hand, .. } = &envelope.message {
                check_hello(life, &envelope)?;
                if known_before && !introduced {
                    introduced = true;
                    talk.hello_again(hand)?;
                    // To the run, this would mean that nothing more comes of what its first hello did not name.
                    if !talk.lock().told_all {
                        continue;
                    }
                    envelope.message = AgentMessage::Alive;
                }
            } else if known_before && !introduced {
                return Err(broken(worker, "its agent did not begin its connection with a hello"));
            }
            introduced = true;
            let is_new = talk.lock().hears(&envelope).map_err(|failure| broken(worker, &failure.message))?;
            if !is_new {
                continue;
            }
            if let AgentMessage::Failed { failure } = &envelope.message {
                last_word = Some(failure.clone());
            }
            let arrival = Arrival::Message { worker, life: life.life, seq: envelope.seq, message: envelope.message };
            if arrivals.send(arrival).await.is_err() {
                return Ok(Heard::RunEnded);
            }
        }
    }
    last_word.map_or(Ok(Heard::LineEnded), Err)
}

fn decode(worker: u32, payload: &[u8]) -> Result<Envelope> {
    serde_json::from_slice(payload).map_err(|error| {
        broken(worker, "its agent sent a message that makes no sense")
            .cause(&error)
            .hint("agent and engine must come from the same Testfleet version")
    })
}

/// An agent of this version is the one that was started. What another one says is for the run to refuse.
fn check_hello(life: WorkerLife, envelope: &Envelope) -> Result<()> {
    match &envelope.message {
        AgentMessage::Hello { protocol, worker, life: of, .. }
            if *protocol == VERSION && (*worker, *of) != (life.worker, life.life) =>
        {
            let text = format!("its agent says that it is worker {worker}, life {of}, not life {}", life.life);
            Err(broken(life.worker, &text))
        }
        _ => Ok(()),
    }
}

fn no_hello(worker: u32) -> Failure {
    broken(worker, &format!("its agent did not say hello within {} s", HELLO.as_secs()))
        .hint("the machine may be overloaded; look at the agent's log")
}

fn broken(worker: u32, why: &str) -> Failure {
    Failure::new(FailureCode::WorkerBroken, format!("failed to keep worker {worker}: {why}"))
}

/// Passes messages on to the writer; returns when the worker is to be ended by force.
async fn obey(worker: u32, mut orders: mpsc::UnboundedReceiver<Order>, talk: &Talk) -> Failure {
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
            Some(Order::Sending) => {
                let finishing = deadline.filter(|(_, grace)| *grace == FINISH);
                deadline = finishing.map(|_| (Instant::now() + FINISH, FINISH)).or(deadline);
                continue;
            }
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
        if let Err(failure) = talk.say(message) {
            return broken(worker, "a message could not be written").cause(&failure);
        }
    }
}

/// Writes until the end of the line, which is left to the reader: it gets what was said before.
async fn write(mut agent: impl AsyncWrite + Unpin, talk: &Talk) -> std::convert::Infallible {
    loop {
        let bytes = talk.next_bytes().await;
        if agent.write_all(&bytes).await.is_err() || agent.flush().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests;
