//! Lives over lines that tests hold the other end of.

use super::super::test_lines::{self, AgentEnd, tried};
use super::*;
use crate::backend::BoxFuture;
use std::sync::Mutex;
use testfleet_protocol::plan::{Unit, UnitId};
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

    fn take_over(&self, life: WorkerLife) -> Option<BoxFuture<'_, Result<Connection>>> {
        Some(self.start(life))
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

impl World {
    fn new() -> Self {
        Self::beginning_with(Begin::Start)
    }

    fn beginning_with(begin: Begin) -> Self {
        let (lines, next) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let backend = Lines { next: AsyncMutex::new(next), ended: Mutex::new(Some(ended)) };
        let (orders, received) = mpsc::unbounded_channel();
        let (to, arrivals) = mpsc::channel(64);
        tokio::spawn(async move { live(LIFE, begin, &backend, received, to).await });
        Self { lines, orders, arrivals, end }
    }

    fn line(&self) -> AgentEnd {
        let (line, agent) = test_lines::line();
        assert!(self.lines.send(line).is_ok());
        agent
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

fn welcome(seen: Option<u64>) -> CoordinatorMessage {
    CoordinatorMessage::Welcome { protocol: VERSION, run: "r".into(), epoch: 1, seen, rules: Default::default() }
}

fn finished(name: &str) -> AgentMessage {
    AgentMessage::UnitFinished { unit: UnitId(name.into()), attempt: 1 }
}

fn assign(name: &str) -> CoordinatorMessage {
    let unit = Unit { id: UnitId(name.into()), ..Unit::default() };
    CoordinatorMessage::Assign { unit, attempt: 1, fresh_jvm: false }
}

#[tokio::test]
async fn a_line_that_breaks_costs_nothing() {
    let mut world = World::new();
    let mut agent = world.line();
    agent.hello(LIFE, 0, Vec::new()).await;
    assert!(matches!(world.message().await, (0, AgentMessage::Hello { .. })));
    world.say(welcome(Some(0)));
    world.say(assign("a"));
    assert_eq!((agent.hear().await, agent.hear().await), (welcome(Some(0)), assign("a")));
    agent.say(1, finished("a")).await;
    assert_eq!(world.message().await, (1, finished("a")));
    drop(agent);
    world.say(assign("b"));
    let mut agent = world.line();
    agent.hello(LIFE, 1, vec![tried("a")]).await;
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
    agent.hello(LIFE, 0, Vec::new()).await;
    world.message().await;
    drop(agent);
    let told = world.arrivals.recv().await;
    assert!(
        matches!(&told, Some(Arrival::Notice { worker: 4, text }) if text.contains("out of reach for 1 s")),
        "{told:?}"
    );
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
    agent.hello(LIFE, 0, Vec::new()).await;
    drop(agent);
    world.line().say(1, finished("a")).await;
    assert!(world.failure().await.contains("did not begin its connection with a hello"));
}

#[tokio::test]
async fn who_does_not_end_when_told_to_is_ended_by_force() {
    let mut world = World::new();
    let mut agent = world.line();
    agent.hello(LIFE, 0, Vec::new()).await;
    world.message().await;
    world.say(CoordinatorMessage::Cancel);
    assert!(world.failure().await.contains("did not end within 1 s"));
}

#[tokio::test]
async fn one_that_is_taken_over_tells_what_it_kept_before_anything_else_counts() {
    let mut world = World::beginning_with(Begin::TakeOver);
    let mut agent = world.line();
    agent.hello(LIFE, 1, vec![tried("b")]).await;
    let (_, AgentMessage::Hello { hand, .. }) = world.message().await else { panic!() };
    assert_eq!(hand, [tried("b")]);
    world.say(welcome(None));
    assert_eq!(agent.hear().await, welcome(None));
    drop(agent);
    let mut agent = world.line();
    agent.hello(LIFE, 1, vec![tried("b")]).await;
    assert_eq!(agent.hear().await, welcome(None));
    agent.say(17, finished("a")).await;
    assert_eq!(world.message().await, (17, finished("a")), "that it is back is not said as long as more is to come");
    agent.say(0, AgentMessage::Alive).await;
    assert_eq!(world.message().await, (0, AgentMessage::Alive));
    drop(agent);
    let mut agent = world.line();
    agent.hello(LIFE, 1, vec![tried("b")]).await;
    assert_eq!(world.message().await, (0, AgentMessage::Alive));
    assert_eq!(agent.hear().await, welcome(Some(17)));
}

#[tokio::test]
async fn one_that_is_taken_over_has_the_time_that_the_run_gives_it() {
    let mut world = World::beginning_with(Begin::TakeOver);
    let patient = tokio::time::timeout(HELLO + Duration::from_millis(500), world.arrivals.recv()).await;
    assert!(patient.is_err(), "{patient:?}");
    world.orders.send(Order::Kill(broken(LIFE.worker, "it did not come back"))).unwrap();
    assert!(world.failure().await.contains("it did not come back"));
}
