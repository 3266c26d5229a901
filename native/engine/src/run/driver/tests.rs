//! Whole runs on workers that tests speak for: what becomes of them when another coordinator goes on.

use super::super::test_lines::{self, AgentEnd, tried};
use super::super::test_plans::{finished, input_of, plan_of};
use super::super::{Queue, read_journal};
use super::*;
use crate::backend::{BoxFuture, Connection, Line, WorkerProcess};
use std::sync::Mutex;
use testfleet_protocol::agent::UnitAttempt;
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::test::{Outcome, TestName, Verdict};
use tokio::task::JoinHandle;

/// Its agents outlive their coordinator.
struct Fleet {
    agents: mpsc::UnboundedSender<Agent>,
    /// What becomes of workers that are to be taken over, unless they come back.
    gone: Mutex<HashMap<u32, Gone>>,
    killed: Arc<Mutex<Vec<WorkerLife>>>,
}

#[derive(Debug, Clone, Copy)]
enum Gone {
    /// It can't be found.
    Away,
    /// It is there and says nothing.
    Silent,
}

/// A worker whose line a test holds.
struct Agent {
    begin: Begin,
    life: WorkerLife,
    end: AgentEnd,
    process: watch::Sender<bool>,
}

struct Process {
    life: WorkerLife,
    ended: watch::Receiver<bool>,
    by_force: bool,
    killed: Arc<Mutex<Vec<WorkerLife>>>,
}

impl WorkerProcess for Process {
    fn wait(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async {
            if self.by_force {
                return "was killed".to_owned();
            }
            // An agent that lost its coordinator lives on.
            if self.ended.wait_for(|ended| *ended).await.is_err() {
                std::future::pending::<()>().await;
            }
            "ended with exit code 0".to_owned()
        })
    }

    fn kill(&mut self) {
        self.by_force = true;
        self.killed.lock().unwrap().push(self.life);
    }
}

impl Fleet {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Agent>) {
        let (agents, met) = mpsc::unbounded_channel();
        (Arc::new(Self { agents, gone: Mutex::default(), killed: Arc::default() }), met)
    }

    fn connect(&self, begin: Begin, life: WorkerLife) -> Connection {
        let (line, end) = test_lines::line();
        let (process, ended) = watch::channel(false);
        let _ = self.agents.send(Agent { begin, life, end, process });
        let process = Process { life, ended, by_force: false, killed: Arc::clone(&self.killed) };
        Connection { line: Some(line), process: Box::new(process) }
    }
}

impl Backend for Fleet {
    fn name(&self) -> &str {
        "fleet"
    }

    fn start(&self, life: WorkerLife) -> BoxFuture<'_, Result<Connection>> {
        Box::pin(async move { Ok(self.connect(Begin::Start, life)) })
    }

    fn reconnect(&self, _: WorkerLife) -> Option<BoxFuture<'_, Result<Line>>> {
        Some(Box::pin(std::future::pending()))
    }

    fn take_over(&self, life: WorkerLife) -> Option<BoxFuture<'_, Result<Connection>>> {
        let gone = self.gone.lock().unwrap().get(&life.worker).copied();
        Some(Box::pin(async move {
            match gone {
                None => Ok(self.connect(Begin::TakeOver, life)),
                Some(Gone::Away) => Err(Failure::new(FailureCode::WorkerBroken, "its machine is gone")),
                Some(Gone::Silent) => {
                    let (_, ended) = watch::channel(false);
                    let process = Process { life, ended, by_force: false, killed: Arc::clone(&self.killed) };
                    Ok(Connection { line: None, process: Box::new(process) })
                }
            }
        }))
    }
}

impl Agent {
    async fn welcomed(&mut self, after: u64, hand: Vec<UnitAttempt>) -> (u64, Option<u64>) {
        self.end.hello(self.life, after, hand).await;
        let CoordinatorMessage::Welcome { epoch, seen, .. } = self.end.hear().await else { panic!() };
        (epoch, seen)
    }

    async fn assigned(&mut self) -> UnitAttempt {
        let CoordinatorMessage::Assign { unit, attempt, .. } = self.end.hear().await else { panic!() };
        UnitAttempt { unit: unit.id, attempt }
    }

    async fn pass(&mut self, seq: u64, of: &UnitAttempt, test: usize) {
        let UnitAttempt { unit, attempt } = of.clone();
        let test = TestName { class: unit.0.replace('u', "C"), method: format!("t{test}()") };
        let finished = finished(Outcome::Passed);
        self.end.say(seq, AgentMessage::TestFinished { unit, attempt, test, finished }).await;
    }

    async fn end_unit(&mut self, seq: u64, of: &UnitAttempt) {
        let UnitAttempt { unit, attempt } = of.clone();
        self.end.say(seq, AgentMessage::UnitFinished { unit, attempt }).await;
    }

    async fn hear_until(&mut self, last: CoordinatorMessage) {
        while self.end.hear().await != last {}
    }

    /// Ends when it is told to.
    async fn finish(mut self) {
        self.hear_until(CoordinatorMessage::Finish).await;
        self.process.send_replace(true);
    }
}

fn input(folder: &tempfile::TempDir, shape: &[(u8, usize, u64)], workers: u32, lease_ms: u64) -> RunInput {
    let mut input = input_of(plan_of(shape), Queue::Dynamic, workers);
    input.journal = folder.path().join("journal.jsonl");
    input.options.connection.lease_ms = lease_ms;
    input
}

fn resumed(input: &RunInput) -> RunInput {
    RunInput { resumed: Some(read_journal(&input.journal).unwrap()), ..input.clone() }
}

fn coordinator(backend: &Arc<Fleet>, input: RunInput) -> JoinHandle<Result<RunSummary>> {
    let backend: Arc<dyn Backend> = Arc::clone(backend) as _;
    let ((events, _), (_, cancel)) = (mpsc::unbounded_channel(), watch::channel(false));
    tokio::spawn(run(input, backend, events, cancel))
}

/// The agents of these workers, the first of which met first.
async fn meet<const N: usize>(met: &mut mpsc::UnboundedReceiver<Agent>) -> [Agent; N] {
    let mut agents = Vec::new();
    for _ in 0..N {
        agents.push(met.recv().await.unwrap());
    }
    agents.sort_by_key(|agent| agent.life);
    agents.try_into().unwrap_or_else(|_| panic!())
}

#[tokio::test]
async fn the_next_coordinator_takes_over_who_is_there_and_starts_who_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (backend, mut met) = Fleet::new();
    let input = input(&folder, &[(0, 2, 9_000), (0, 1, 8_000)], 2, 30_000);
    let first = coordinator(&backend, input.clone());
    let [mut one, mut two] = meet(&mut met).await;
    for agent in [&mut one, &mut two] {
        assert_eq!(agent.welcomed(0, Vec::new()).await, (1, Some(0)));
    }
    assert_eq!((one.assigned().await, two.assigned().await), (tried("u1"), tried("u2")));
    one.pass(1, &tried("u1"), 0).await;
    one.hear_until(CoordinatorMessage::Ack { seq: 1 }).await;
    first.abort();
    assert!(first.await.is_err());

    backend.gone.lock().unwrap().insert(2, Gone::Away);
    let second = coordinator(&backend, resumed(&input));
    let [mut one, mut two] = meet(&mut met).await;
    assert_eq!((one.begin, one.life), (Begin::TakeOver, WorkerLife { worker: 1, life: 1 }));
    assert_eq!((two.begin, two.life), (Begin::Start, WorkerLife { worker: 2, life: 2 }));
    assert_eq!(one.welcomed(1, vec![tried("u1")]).await, (2, None), "what was heard before is not known");
    assert_eq!(two.welcomed(0, Vec::new()).await, (2, Some(0)));
    let again = two.assigned().await;
    assert_eq!(again, UnitAttempt { unit: UnitId("u2".into()), attempt: 2 });
    // Its numbers go on.
    one.pass(2, &tried("u1"), 1).await;
    one.end_unit(3, &tried("u1")).await;
    two.pass(1, &again, 0).await;
    two.end_unit(2, &again).await;
    one.finish().await;
    two.finish().await;
    let summary = second.await.unwrap().unwrap();
    assert_eq!(summary.counts.into_iter().collect::<Vec<_>>(), [(Verdict::Passed, 3)]);
    assert_eq!(summary.problems, [], "that a worker did not outlive its coordinator is no problem");
    assert!(backend.killed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_does_not_come_back_within_its_lease_is_ended_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let (backend, mut met) = Fleet::new();
    let input = input(&folder, &[(0, 1, 9_000)], 1, 1_000);
    let first = coordinator(&backend, input.clone());
    let [mut agent] = meet(&mut met).await;
    agent.welcomed(0, Vec::new()).await;
    assert_eq!(agent.assigned().await, tried("u1"));
    first.abort();
    assert!(first.await.is_err());

    backend.gone.lock().unwrap().insert(1, Gone::Silent);
    let second = coordinator(&backend, resumed(&input));
    let [mut agent] = meet(&mut met).await;
    assert_eq!((agent.begin, agent.life), (Begin::Start, WorkerLife { worker: 1, life: 2 }));
    agent.welcomed(0, Vec::new()).await;
    let again = agent.assigned().await;
    assert_eq!(again.attempt, 2);
    agent.pass(1, &again, 0).await;
    agent.end_unit(2, &again).await;
    agent.finish().await;
    assert_eq!(second.await.unwrap().unwrap().verdict, Verdict::Passed);
    assert_eq!(*backend.killed.lock().unwrap(), [WorkerLife { worker: 1, life: 1 }]);
}

#[tokio::test]
async fn a_life_that_was_given_up_is_not_listened_to() {
    let folder = tempfile::tempdir().unwrap();
    let (backend, _met) = Fleet::new();
    let (events, _) = mpsc::unbounded_channel();
    let (mut driver, _arrived, first) =
        Driver::of(input(&folder, &[(0, 1, 9_000)], 1, 30_000), backend, events).unwrap();
    let said = |life, seq| Arrival::Message { worker: 1, life, seq, message: AgentMessage::Alive };
    driver.take(vec![first]).unwrap();
    assert!(matches!(driver.input(said(1, 7)), Input::Message { .. }));
    driver.unacknowledged.push_back((u64::MAX, 1, 6));
    driver.take(vec![Input::WorkerEnded { worker: 1, failure: None, at_ms: now_ms() }]).unwrap();
    assert_eq!(driver.state.life(1), Some(2));
    assert!(driver.unacknowledged.is_empty(), "the next life has not said that yet");
    assert!(matches!(driver.input(said(1, 8)), Input::Settle { .. }));
    assert!(driver.seen.is_empty());
    assert!(matches!(driver.input(said(2, 1)), Input::Message { .. }));
}

#[tokio::test]
async fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
    let (begin, hour) = (Instant::now(), 3_600_000);
    let mut now = Now { ms: 2 * hour, at: begin };
    assert_eq!(now.after(2 * hour + 5, begin + Duration::from_millis(5)), 2 * hour + 5);
    assert_eq!(now.after(hour, begin + Duration::from_millis(25)), 2 * hour + 25);
    assert_eq!(now.after(hour + 1_000, begin + Duration::from_millis(1_025)), 2 * hour + 1_025);
    assert_eq!(now.after(5 * hour, begin + Duration::from_millis(1_026)), 5 * hour, "set forward, it is believed");
}

#[tokio::test]
async fn a_machine_that_sleeps_is_told_from_a_busy_one() {
    let begin = Instant::now();
    let second = |seconds| begin + Duration::from_secs(seconds);
    let mut clock = Clock { at: begin, wall_ms: 0 };
    assert_eq!(clock.ticked(1_900, begin + Duration::from_millis(1_900)), (0, 0));
    let mut clock = Clock { at: begin, wall_ms: 0 };
    assert_eq!(clock.ticked(61_000, second(61)), (60_000, 0), "it was busy");
    assert_eq!(clock.ticked(122_000, second(62)), (60_000, 60_000), "it slept");
    assert_eq!(clock.ticked(1_000, second(66)), (3_000, 0), "the clock was set back");
}
