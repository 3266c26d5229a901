//! Connects the state machine to workers, the clock and the journal.

use super::decide::{Command, Input};
use super::files::FileStore;
use super::journal::{JournalOf, JournalWriter, OutputLog};
use super::link::{self, Arrival, Begin, Order};
use super::state::State;
use super::{RunInput, RunSummary};
use crate::backend::{Backend, WorkerLife};
use crate::cancel::wanted;
use crate::clock::now_ms;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::run_options::Rules;
use testfleet_protocol::test::{Stream, TaskPath};
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
    let (mut driver, mut arrived, first) = Driver::of(input, backend, events)?;
    let mut on_disk = driver.journal.on_disk();
    driver.take(vec![first])?;
    driver.take_over();
    let mut batch = Vec::new();
    let mut clock = Clock::new();
    let mut cancelled = false;
    while !driver.state.is_finished() {
        let inputs = tokio::select! {
            _ = arrived.recv_many(&mut batch, ARRIVALS) => batch.drain(..).map(|arrival| driver.input(arrival)).collect(),
            (late_ms, slept_ms) = clock.tick() => vec![Input::Tick { at_ms: driver.now.ms(), late_ms, slept_ms }],
            Ok(on_disk) = on_disk.more() => {
                driver.acknowledge(on_disk);
                continue;
            }
            () = wanted(&mut cancel), if !cancelled => {
                cancelled = true;
                vec![Input::Cancel { at_ms: driver.now.ms() }]
            }
            Some(Err(error)) = driver.lives.join_next(), if !driver.lives.is_empty() => {
                return Err(Failure::new(FailureCode::Internal, "failed to look after a worker").cause(&error));
            }
        };
        driver.take(inputs)?;
    }
    drop(arrived);
    driver.see_to_the_end().await;
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
    output: OutputLog,
    events: mpsc::UnboundedSender<RunEvent>,
    backend: Arc<dyn Backend>,
    arrivals: mpsc::Sender<Arrival>,
    lives: JoinSet<()>,
    present: HashMap<u32, Present>,
    /// Highest message number of each worker's present life since the last batch.
    seen: HashMap<u32, u64>,
    files: FileStore,
    /// What is acknowledged once so much of the journal, and of files, is on the disk, with the worker and its number: an
    /// agent keeps what it said until a power cut can't take it away any more.
    unacknowledged: VecDeque<(u64, u32, u64)>,
    problems: Vec<Failure>,
    /// What the coordinator itself says beside what tests write.
    notices: Vec<RunEvent>,
    now: Now,
}

/// The life of a worker that is looked after.
struct Present {
    begin: Begin,
    orders: mpsc::UnboundedSender<Order>,
}

impl Driver {
    /// One that has done nothing yet, what its workers will bring, and what the run begins with.
    fn of(
        input: RunInput,
        backend: Arc<dyn Backend>,
        events: mpsc::UnboundedSender<RunEvent>,
    ) -> Result<(Self, mpsc::Receiver<Arrival>, Input)> {
        let mut state = State::new(&input, backend.name())?;
        let mut files = FileStore::new(input.journal.parent().unwrap_or(Path::new(".")), &input.options.output);
        let (journal, first) = match &input.resumed {
            Some(recorded) => {
                recorded.events.iter().for_each(|event| {
                    state.apply(event);
                    files.apply(event);
                });
                (JournalWriter::go_on(&input.journal, recorded)?, Input::Resume { at_ms: now_ms() })
            }
            None => {
                let (run, plan) = (input.run.clone(), input.plan_sha256.clone());
                let (repeat, retries) = (input.options.repeat, input.options.retries);
                let of = JournalOf { run, plan, bundle: input.bundle_sha256.clone(), repeat, retries };
                (JournalWriter::create(&input.journal, &of)?, Input::Start { at_ms: now_ms() })
            }
        };
        let output = OutputLog::open(&input.journal, input.resumed.is_some())?;
        let (arrivals, arrived) = mpsc::channel(ARRIVALS);
        let driver = Self {
            run: input.run,
            rules: input.options.rules(),
            state,
            journal,
            output,
            events,
            backend,
            arrivals,
            lives: JoinSet::new(),
            present: HashMap::new(),
            seen: HashMap::new(),
            files,
            unacknowledged: VecDeque::new(),
            problems: Vec::new(),
            notices: Vec::new(),
            now: Now::new(),
        };
        Ok((driver, arrived, first))
    }

    fn input(&mut self, arrival: Arrival) -> Input {
        let at_ms = self.now.ms();
        match arrival {
            Arrival::Notice { worker, text } => {
                self.notices.push(RunEvent::Output {
                    test: None,
                    class: String::new(),
                    task: TaskPath(String::new()),
                    worker,
                    stream: Stream::Stderr,
                    text,
                });
                Input::Settle { at_ms }
            }
            // The number may be another's by now, or nobody's.
            Arrival::Message { worker, life, .. } if self.state.life(worker) != Some(life) => {
                tracing::debug!(worker, life, "a life that was given up is not listened to");
                Input::Settle { at_ms }
            }
            Arrival::Message { worker, seq, message, .. } => {
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
                Input::Settle { at_ms }
            }
            Arrival::Ended { worker, life, failure } => {
                if self.state.returning().contains(&WorkerLife { worker, life }) {
                    tracing::warn!(worker, life, %failure, "a worker could not be taken over, and is started again");
                }
                self.forget(worker);
                Input::WorkerEnded { worker, failure: Some(failure), at_ms }
            }
        }
    }

    /// A life is over: what is left of it must not be taken for that of the next.
    fn forget(&mut self, worker: u32) {
        self.present.remove(&worker);
        self.seen.remove(&worker);
        self.unacknowledged.retain(|(_, of, _)| *of != worker);
        if let Some(failure) = self.files.worker_ended(worker).filter(|_| !self.state.is_cancelled()) {
            self.problems.push(failure);
        }
    }

    /// Takes in what arrived together: one flush of the journal for all of it.
    fn take(&mut self, inputs: Vec<Input>) -> Result<()> {
        let mut happened = std::mem::take(&mut self.notices);
        happened.iter().for_each(|notice| self.output.append(notice));
        let mut commands = Vec::new();
        for input in inputs {
            // Bytes are no business of the state machine; that a file is there is in the journal.
            let input = match input {
                Input::Message { worker, message: piece @ AgentMessage::FilePiece { .. }, at_ms } => {
                    self.order(worker, Order::Sending);
                    let message = without_bytes(&piece);
                    happened.extend(self.store(worker, piece)?);
                    // That it is there, the state machine must know.
                    Input::Message { worker, message, at_ms }
                }
                input => input,
            };
            let (events, also) = self.state.step(input);
            // What tests write is no part of the state, and a suite can write without end.
            for event in &events {
                match event {
                    RunEvent::Output { .. } => self.output.append(event),
                    _ => self.journal.append(event)?,
                }
            }
            happened.extend(events);
            commands.extend(also);
        }
        self.output.flush()?;
        // Pieces of files leave no line, but the worker forgets them just as well.
        self.files.written().into_iter().for_each(|file| self.journal.with_file(file));
        self.files.placed().into_iter().for_each(|place| self.journal.with_place(place));
        let flushed = self.journal.flush()?;
        for event in happened {
            // Without a listener the run goes on: the journal has it all.
            let _ = self.events.send(event);
        }
        for command in commands {
            self.execute(command);
        }
        let seen = std::mem::take(&mut self.seen);
        self.unacknowledged.extend(seen.into_iter().map(|(worker, seq)| (flushed, worker, seq)));
        self.acknowledge(self.journal.on_disk().now());
        Ok(())
    }

    fn acknowledge(&mut self, on_disk: u64) {
        let durable = self.unacknowledged.partition_point(|(flushed, ..)| *flushed <= on_disk);
        for (_, worker, seq) in self.unacknowledged.drain(..durable).collect::<Vec<_>>() {
            self.say(worker, CoordinatorMessage::Ack { seq });
        }
    }

    /// Stores a piece of a file. One that can't be stored is a problem of its own, and no reason to end the run.
    fn store(&mut self, worker: u32, piece: AgentMessage) -> Result<Option<RunEvent>> {
        let stored = self.files.take(worker, piece).unwrap_or_else(|failure| {
            tracing::warn!(%failure, "a file of a worker is not stored");
            self.problems.push(failure);
            None
        });
        if let Some(event) = &stored {
            self.journal.append(event)?;
        }
        Ok(stored)
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::StartWorker { worker, life } => {
                self.forget(worker);
                self.look_after(WorkerLife { worker, life }, Begin::Start);
            }
            Command::Welcome { worker } => {
                let taken_over = self.present.get(&worker).is_some_and(|present| present.begin == Begin::TakeOver);
                // What an earlier coordinator heard of it is not known.
                let seen = (!taken_over).then(|| self.seen.get(&worker).copied().unwrap_or(0));
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
            Command::Condemn { worker, limit_ms } => self.say(worker, CoordinatorMessage::Condemn { limit_ms }),
            Command::Cancel { worker } => self.say(worker, CoordinatorMessage::Cancel),
            Command::Kill { worker, failure } => self.order(worker, Order::Kill(failure)),
            Command::Problem { failure } => {
                tracing::warn!(%failure, "a problem in the run");
                self.problems.push(failure);
            }
        }
    }

    /// Workers that an earlier coordinator started and that may come back are expected, each as what it was.
    fn take_over(&mut self) {
        for life in self.state.returning() {
            self.look_after(life, Begin::TakeOver);
        }
    }

    fn look_after(&mut self, life: WorkerLife, begin: Begin) {
        let (orders, received) = mpsc::unbounded_channel();
        self.present.insert(life.worker, Present { begin, orders });
        let (backend, arrivals) = (Arc::clone(&self.backend), self.arrivals.clone());
        self.lives.spawn(async move { link::live(life, begin, backend.as_ref(), received, arrivals).await });
    }

    /// Lives that were given up are still being ended: they get the time that this may take.
    async fn see_to_the_end(&mut self) {
        let ended = async { while self.lives.join_next().await.is_some() {} };
        if tokio::time::timeout(link::CANCEL, ended).await.is_err() {
            tracing::warn!(lives = self.lives.len(), "workers that were given up could not be ended");
        }
    }

    fn say(&self, worker: u32, message: CoordinatorMessage) {
        self.order(worker, Order::Say(message));
    }

    fn order(&self, worker: u32, order: Order) {
        // A life that is over has said so, or is about to; the state machine deals with that.
        if let Some(present) = self.present.get(&worker) {
            let _ = present.orders.send(order);
        }
    }
}

/// The time of day, but never before what it was already: a clock that is set back must stop no lease and no limit.
struct Now {
    ms: u64,
    at: Instant,
}

impl Now {
    fn new() -> Self {
        Self { ms: now_ms(), at: Instant::now() }
    }

    fn ms(&mut self) -> u64 {
        self.after(now_ms(), Instant::now())
    }

    /// What it is when the clock of the day shows this.
    fn after(&mut self, wall_ms: u64, at: Instant) -> u64 {
        let passed_ms = at.saturating_duration_since(self.at).as_millis() as u64;
        if wall_ms >= self.ms || passed_ms > 0 {
            self.ms = if wall_ms >= self.ms { wall_ms } else { self.ms + passed_ms };
            self.at = at;
        }
        self.ms
    }
}

/// Ticks each second, and knows how late it is.
struct Clock {
    /// Of the last tick, by both clocks.
    at: Instant,
    wall_ms: u64,
}

impl Clock {
    const EVERY: Duration = Duration::from_secs(1);
    /// Being so late is nothing special.
    const LEEWAY_MS: u64 = 1_000;

    fn new() -> Self {
        Self { at: Instant::now(), wall_ms: now_ms() }
    }

    /// Waits for the next tick; how late it comes, and how long the machine slept, in milliseconds, each if that is much.
    /// Dropped before, it goes on the next time.
    async fn tick(&mut self) -> (u64, u64) {
        sleep_until(self.at + Self::EVERY).await;
        self.ticked(now_ms(), Instant::now())
    }

    /// A tick came when the clocks showed this.
    fn ticked(&mut self, wall_ms: u64, at: Instant) -> (u64, u64) {
        let by_wall = wall_ms.saturating_sub(self.wall_ms);
        let passed_ms = at.saturating_duration_since(self.at).as_millis() as u64;
        (self.at, self.wall_ms) = (at, wall_ms);
        let much = |ms| if ms > Self::LEEWAY_MS { ms } else { 0 };
        let late_ms = by_wall.max(passed_ms).saturating_sub(Self::EVERY.as_millis() as u64);
        // A machine that sleeps stops the one clock and not the other; a busy one stops neither.
        (much(late_ms), much(by_wall.saturating_sub(passed_ms)))
    }
}

fn without_bytes(piece: &AgentMessage) -> AgentMessage {
    match piece {
        AgentMessage::FilePiece { file, of, offset, last, .. } => {
            AgentMessage::FilePiece { file: *file, of: of.clone(), offset: *offset, data: String::new(), last: *last }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
