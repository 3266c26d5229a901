//! Connects the state machine to workers, the clock and the journal.

use super::decide::{Command, Input};
use super::journal::JournalWriter;
use super::link::{self, Arrival, Order};
use super::state::State;
use super::{RunInput, RunSummary};
use crate::backend::{Backend, WorkerLife};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testfleet_protocol::agent::CoordinatorMessage;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::run_options::Rules;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Messages that may wait for the state machine, of all workers together. Senders are served in turn, so that one that
/// writes much does not keep the others waiting.
const ARRIVALS: usize = 1024;

/// Runs units on workers of `backend` until every test has its verdict and every worker has ended.
///
/// Each event but tests' output is in the journal before it is sent to `events`. `cancel` turning true ends the run early; its sender may be
/// dropped. Dropping the future closes the workers' connections, upon which local agents end.
///
/// # Errors
/// [`FailureCode::InvalidRequest`] when the input contradicts itself; [`FailureCode::Io`] when the journal can't be
/// written. Whatever goes wrong with workers and tests is in the events, not here.
pub async fn run(
    input: RunInput,
    backend: Arc<dyn Backend>,
    events: mpsc::UnboundedSender<RunEvent>,
    mut cancel: watch::Receiver<bool>,
) -> Result<RunSummary> {
    let state = State::new(&input, backend.name())?;
    let journal = JournalWriter::create(&input.journal)?;
    let (arrivals, mut arrived) = mpsc::channel(ARRIVALS);
    let mut driver = Driver {
        run: input.run,
        rules: input.options.rules(),
        state,
        journal,
        events,
        backend,
        arrivals,
        lives: JoinSet::new(),
        orders: HashMap::new(),
        seen: HashMap::new(),
        problems: Vec::new(),
    };
    driver.take(vec![Input::Start { at_ms: now_ms() }])?;
    let mut batch = Vec::new();
    let mut clock = Clock::new();
    while !driver.state.is_finished() {
        let cancelled = driver.state.is_cancelled();
        let inputs = tokio::select! {
            _ = arrived.recv_many(&mut batch, ARRIVALS) => batch.drain(..).map(|arrival| driver.input(arrival)).collect(),
            late_ms = clock.tick() => vec![Input::Tick { at_ms: now_ms(), late_ms }],
            () = wanted(&mut cancel), if !cancelled => vec![Input::Cancel { at_ms: now_ms() }],
            Some(Err(error)) = driver.lives.join_next(), if !driver.lives.is_empty() => {
                return Err(Failure::new(FailureCode::Internal, "failed to look after a worker").cause(&error));
            }
        };
        driver.take(inputs)?;
    }
    driver.journal.finish()?;
    Ok(RunSummary {
        verdict: driver.state.verdict(),
        counts: driver.state.counts().clone(),
        cancelled: driver.state.is_cancelled(),
        problems: driver.problems,
    })
}

struct Driver {
    run: String,
    rules: Rules,
    state: State,
    journal: JournalWriter,
    events: mpsc::UnboundedSender<RunEvent>,
    backend: Arc<dyn Backend>,
    arrivals: mpsc::Sender<Arrival>,
    lives: JoinSet<()>,
    orders: HashMap<u32, mpsc::UnboundedSender<Order>>,
    /// Highest message number of each worker's present life, until it is acknowledged.
    seen: HashMap<u32, u64>,
    problems: Vec<Failure>,
}

impl Driver {
    fn input(&mut self, arrival: Arrival) -> Input {
        let at_ms = now_ms();
        match arrival {
            Arrival::Message { worker, seq, message } => {
                if seq > 0 {
                    self.seen.insert(worker, seq);
                }
                Input::Message { worker, message, at_ms }
            }
            // A life that was given up before it was over: another one has its number by now.
            Arrival::Ended { worker, life, failure }
                if self.state.life(worker).is_some_and(|present| present != life) =>
            {
                tracing::debug!(worker, life, %failure, "a life that was given up has ended");
                return Input::Settle { at_ms };
            }
            Arrival::Ended { worker, failure, .. } => {
                self.seen.remove(&worker);
                self.orders.remove(&worker);
                Input::WorkerEnded { worker, failure: Some(failure), at_ms }
            }
        }
    }

    /// Takes in what arrived together: one flush of the journal for all of it.
    fn take(&mut self, inputs: Vec<Input>) -> Result<()> {
        let mut happened = Vec::new();
        let mut commands = Vec::new();
        for input in inputs {
            let (events, also) = self.state.step(input);
            // What tests write is no part of the state, and a suite can write without end.
            for event in events.iter().filter(|event| !matches!(event, RunEvent::Output { .. })) {
                self.journal.append(event)?;
            }
            happened.extend(events);
            commands.extend(also);
        }
        self.journal.flush()?;
        for event in happened {
            // Without a listener the run goes on: the journal has it all.
            let _ = self.events.send(event);
        }
        for command in commands {
            self.execute(command);
        }
        for (worker, seq) in std::mem::take(&mut self.seen) {
            self.say(worker, CoordinatorMessage::Ack { seq });
        }
        Ok(())
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::StartWorker { worker, life } => self.start(WorkerLife { worker, life }),
            Command::Welcome { worker } => {
                let seen = Some(self.seen.get(&worker).copied().unwrap_or(0));
                let run = self.run.clone();
                self.say(
                    worker,
                    CoordinatorMessage::Welcome {
                        protocol: VERSION,
                        run,
                        epoch: self.state.epoch(),
                        seen,
                        rules: self.rules.clone(),
                    },
                );
            }
            Command::Assign { worker, unit, attempt, fresh_jvm } => {
                self.say(worker, CoordinatorMessage::Assign { unit, attempt, fresh_jvm });
            }
            Command::Drop { worker, units } => self.say(worker, CoordinatorMessage::Drop { units }),
            Command::Finish { worker } => self.say(worker, CoordinatorMessage::Finish),
            Command::Cancel { worker } => self.say(worker, CoordinatorMessage::Cancel),
            Command::Kill { worker, failure } => self.order(worker, Order::Kill(failure)),
            Command::Problem { failure } => {
                tracing::warn!(%failure, "a problem in the run");
                self.problems.push(failure);
            }
        }
    }

    fn start(&mut self, life: WorkerLife) {
        let (orders, received) = mpsc::unbounded_channel();
        self.orders.insert(life.worker, orders);
        let (backend, arrivals) = (Arc::clone(&self.backend), self.arrivals.clone());
        self.lives.spawn(async move { link::live(life, backend.as_ref(), received, arrivals).await });
    }

    fn say(&self, worker: u32, message: CoordinatorMessage) {
        self.order(worker, Order::Say(message));
    }

    fn order(&self, worker: u32, order: Order) {
        // A life that is over has said so, or is about to; the state machine deals with that.
        if let Some(orders) = self.orders.get(&worker) {
            let _ = orders.send(order);
        }
    }
}

/// Ticks each second, and knows how late it is.
struct Clock {
    due: Instant,
    wall_ms: u64,
}

impl Clock {
    const EVERY: Duration = Duration::from_secs(1);
    /// Being so late is nothing special.
    const LEEWAY_MS: u64 = 1_000;

    fn new() -> Self {
        Self { due: Instant::now() + Self::EVERY, wall_ms: now_ms() }
    }

    /// Waits for the next tick; how late it comes, in milliseconds, if that is much. Dropped before, it goes on the next time.
    async fn tick(&mut self) -> u64 {
        sleep_until(self.due).await;
        let wall_ms = now_ms();
        let every_ms = Self::EVERY.as_millis() as u64;
        // A machine that sleeps stops the one clock and not the other.
        let by_wall = wall_ms.saturating_sub(self.wall_ms).saturating_sub(every_ms);
        let late_ms = by_wall.max(self.due.elapsed().as_millis() as u64);
        (self.due, self.wall_ms) = (Instant::now() + Self::EVERY, wall_ms);
        if late_ms > Self::LEEWAY_MS { late_ms } else { 0 }
    }
}

/// Returns once a cancel is wanted; never when nobody can want it any more.
async fn wanted(cancel: &mut watch::Receiver<bool>) {
    if cancel.wait_for(|wanted| *wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
