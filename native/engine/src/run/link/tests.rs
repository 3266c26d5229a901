//! Lives over lines that tests hold the other end of.

use super::*;
use crate::backend::BoxFuture;
use std::sync::Mutex;
use testfleet_protocol::agent::UnitAttempt;
use testfleet_protocol::frame;
use testfleet_protocol::plan::{Unit, UnitId};
use tokio::io::DuplexStream;
use tokio::sync::{Mutex as AsyncMutex, oneshot};

const LIFE: WorkerLife = WorkerLife { worker: 4, life: 2 };

/// Hands out the lines that a test makes.
struct Lines {
    next: AsyncMutex<mpsc::UnboundedReceiver<Line>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

struct Process(Option<oneshot::Receiver<()>>);

impl WorkerProcess for Process {
    fn wait(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async {
            if let Some(ended) = &mut self.0 {
                let _ = ended.await;
                self.0 = None;
            }
            "ended with exit code 0".to_owned()
        })
    }

    fn kill(&mut self) {
        self.0 = None;
    }
}

impl Backend for Lines {
    fn name(&self) -> &str {
        "lines"
    }

    fn start(&self, _: WorkerLife) -> BoxFuture<'_, Result<Connection>> {
        let process = Box::new(Process(self.ended.lock().unwrap().take()));
        Box::pin(async move { Ok(Connection { line: None, process }) })
    }

    fn reconnect(&self, _: WorkerLife) -> Option<BoxFuture<'_, Result<Line>>> {
        Some(Box::pin(async move {
            match self.next.lock().await.recv().await {
                Some(line) => Ok(line),
                None => std::future::pending().await,
            }
        }))
    }
}

struct World {
    lines: mpsc::UnboundedSender<Line>,
    orders: mpsc::UnboundedSender<Order>,
    arrivals: mpsc::Receiver<Arrival>,
    end: oneshot::Sender<()>,
}

/// The agent's end of a line.
struct Agent {
    stream: DuplexStream,
    decoder: Decoder,
}

impl World {
    fn new() -> Self {
        let (lines, next) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let backend = Lines { next: AsyncMutex::new(next), ended: Mutex::new(Some(ended)) };
        let (orders, received) = mpsc::unbounded_channel();
        let (to, arrivals) = mpsc::channel(64);
        tokio::spawn(async move { live(LIFE, &backend, received, to).await });
        Self { lines, orders, arrivals, end }
    }

    fn line(&self) -> Agent {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (from, to) = tokio::io::split(ours);
        assert!(self.lines.send(Line { from_agent: Box::new(from), to_agent: Box::new(to) }).is_ok());
        Agent { stream: theirs, decoder: Decoder::default() }
    }

    async fn message(&mut self) -> (u64, AgentMessage) {
        match self.arrivals.recv().await {
            Some(Arrival::Message { seq, message, .. }) => (seq, message),
            other => panic!("{other:?}"),
        }
    }

    async fn failure(&mut self) -> String {
        loop {
            if let Some(Arrival::Ended { failure, .. }) = self.arrivals.recv().await {
                return failure.to_string();
            }
        }
    }

    fn say(&self, message: CoordinatorMessage) {
        self.orders.send(Order::Say(message)).unwrap();
    }
}

impl Agent {
    async fn say(&mut self, seq: u64, message: AgentMessage) {
        let mut bytes = Vec::new();
        frame::encode(&serde_json::to_vec(&Envelope { seq, message }).unwrap(), &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn hello(&mut self, hand: Vec<UnitAttempt>) {
        let mut hello = AgentMessage::first_hello(LIFE.worker, LIFE.life, "1", "h".into(), 1);
        if let AgentMessage::Hello { hand: held, .. } = &mut hello {
            *held = hand;
        }
        self.say(0, hello).await;
    }

    async fn hear(&mut self) -> CoordinatorMessage {
        loop {
            if let Some(payload) = self.decoder.next_frame().unwrap() {
                return serde_json::from_slice(&payload).unwrap();
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the line ended");
            self.decoder.push(&chunk[..count]);
        }
    }
}

fn welcome(seen: Option<u64>) -> CoordinatorMessage {
    CoordinatorMessage::Welcome { protocol: VERSION, run: "r".into(), epoch: 1, seen, rules: Default::default() }
}

fn finished(name: &str) -> AgentMessage {
    AgentMessage::UnitFinished { unit: UnitId(name.into()), attempt: attempt(), failures: Vec::new() }
}

fn attempt() -> testfleet_protocol::event::Attempt {
    serde_json::from_str("1").unwrap()
}

fn assign(name: &str) -> CoordinatorMessage {
    let unit = Unit { id: UnitId(name.into()), ..Unit::default() };
    CoordinatorMessage::Assign { unit, attempt: attempt(), fresh_jvm: false }
}

#[tokio::test]
async fn a_line_that_breaks_costs_nothing() {
    let mut world = World::new();
    let mut agent = world.line();
    agent.hello(Vec::new()).await;
    assert!(matches!(world.message().await, (0, AgentMessage::Hello { .. })));
    world.say(welcome(Some(0)));
    world.say(assign("a"));
    assert_eq!((agent.hear().await, agent.hear().await), (welcome(Some(0)), assign("a")));
    agent.say(1, finished("a")).await;
    assert_eq!(world.message().await, (1, finished("a")));
    drop(agent);
    world.say(assign("b"));
    let mut agent = world.line();
    agent.hello(vec![UnitAttempt { unit: UnitId("a".into()), attempt: attempt() }]).await;
    assert_eq!(world.message().await, (0, AgentMessage::Alive), "the run is told of one hello");
    assert_eq!((agent.hear().await, agent.hear().await), (welcome(Some(1)), assign("b")));
    agent.say(1, finished("a")).await;
    agent.say(2, finished("b")).await;
    assert_eq!(world.message().await, (2, finished("b")));
    drop(agent);
    world.end.send(()).unwrap();
    let mut arrivals = world.arrivals;
    assert!(
        matches!(arrivals.recv().await, Some(Arrival::Ended { failure, .. }) if failure.message.contains("exit code 0"))
    );
}

#[tokio::test]
async fn who_never_says_hello_is_given_up() {
    let mut world = World::new();
    assert!(world.failure().await.contains("did not say hello within 3 s"));
    let mut world = World::new();
    let _silent = world.line();
    assert!(world.failure().await.contains("did not say hello within 3 s"));
}

#[tokio::test]
async fn a_worker_that_is_long_out_of_reach_is_told_of() {
    let mut world = World::new();
    let mut agent = world.line();
    agent.hello(Vec::new()).await;
    world.message().await;
    drop(agent);
    let (_, message) = world.message().await;
    assert!(matches!(message, AgentMessage::Output { text, .. } if text.contains("worker 4 is out of reach for 1 s")));
}

#[tokio::test]
async fn breaches_end_the_life() {
    let hello = AgentMessage::first_hello(LIFE.worker, LIFE.life + 1, "1", "h".into(), 1);
    for (first, words) in [
        ((0, hello), "says that it is worker 4, life 3, not life 2"),
        ((2, AgentMessage::Alive), "message 2 followed message 0"),
    ] {
        let mut world = World::new();
        world.line().say(first.0, first.1).await;
        let failure = world.failure().await;
        assert!(failure.contains(words), "{failure}");
    }
    for (bytes, words) in
        [(&b"\0\0\0\x02{}"[..], "makes no sense"), (&b"GET / HTTP/1.1"[..], "over the limit of 16777216")]
    {
        let mut world = World::new();
        world.line().stream.write_all(bytes).await.unwrap();
        let failure = world.failure().await;
        assert!(failure.contains(words), "{failure}");
    }
    let mut world = World::new();
    let mut agent = world.line();
    agent.hello(Vec::new()).await;
    drop(agent);
    world.line().say(1, finished("a")).await;
    assert!(world.failure().await.contains("did not begin its connection with a hello"));
}

#[tokio::test]
async fn who_does_not_end_when_told_to_is_ended_by_force() {
    let mut world = World::new();
    world.say(CoordinatorMessage::Cancel);
    assert!(world.failure().await.contains("did not end within 1 s"));
}
