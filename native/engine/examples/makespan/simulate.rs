//! Runs in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::error::Error;
use std::sync::Arc;
use testfleet_engine::run::decide::{Command, Input};
use testfleet_engine::run::{Queue, RunInput, State};
use testfleet_protocol::agent::AgentMessage;
use testfleet_protocol::plan::{Plan, Unit, UnitId};
use testfleet_protocol::test::{Finished, Outcome, TaskPath, TestName};

/// What a worker needs to start its JVM, in microseconds.
pub(crate) const JVM_START_US: u64 = 700_000;

/// One way between coordinator and worker, in microseconds.
const LATENCY_US: u64 = 500;

/// A worker as the coordinator sees it: one unit after another.
#[derive(Default)]
struct Worker {
    jvm: Option<TaskPath>,
    units: VecDeque<(Unit, u32)>,
    is_busy: bool,
}

struct World<'a> {
    state: State,
    truth_us: &'a HashMap<UnitId, u64>,
    workers: HashMap<u32, Worker>,
    /// When what happens, the first first.
    agenda: BinaryHeap<Reverse<(u64, u64, u32, Happening)>>,
    count: u64,
    now_us: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A worker's hello arrives.
    Hello,
    /// A unit arrives at a worker; it is in its line.
    Given,
    /// A worker is done with its first unit.
    Done,
    /// The news arrives.
    Heard(UnitId, u32),
}

/// How long a run of the plan takes under the engine's own queue, in microseconds.
pub(crate) fn dynamic(plan: &Plan, workers: u32, truth_us: &HashMap<UnitId, u64>) -> Result<u64, Box<dyn Error>> {
    // The queue looks at units, not at their tests: one for each keeps a run of a thousand workers short.
    let mut plan = plan.clone();
    for unit in &mut plan.units {
        unit.tests = vec![TestName { class: unit.id.0.clone(), method: "t()".into() }];
        unit.slice = None;
    }
    let input = RunInput {
        run: "r".into(),
        plan: Arc::new(plan),
        plan_sha256: String::new(),
        queue: Queue::Dynamic,
        workers: (1..=workers).collect(),
        images: BTreeMap::new(),
        bundle_sha256: "11".into(),
        journal: "none".into(),
        resumed: None,
        options: Default::default(),
    };
    let state = State::new(&input, "simulated").map_err(|failure| failure.to_string())?;
    let agenda = BinaryHeap::new();
    let mut world = World { state, truth_us, workers: HashMap::new(), agenda, count: 0, now_us: 0 };
    world.feed(Input::Start { at_ms: 0 });
    while !world.state.is_finished() {
        let Some(Reverse((at_us, _, worker, happening))) = world.agenda.pop() else {
            return if world.is_drained() { Ok(world.now_us) } else { Err("the run stands still".into()) };
        };
        world.now_us = at_us;
        world.happens(worker, happening);
    }
    Ok(world.now_us)
}

impl World<'_> {
    fn is_drained(&self) -> bool {
        self.state.counts().values().sum::<u64>() == self.truth_us.len() as u64
    }

    fn later(&mut self, after_us: u64, worker: u32, happening: Happening) {
        self.count += 1;
        self.agenda.push(Reverse((self.now_us + after_us, self.count, worker, happening)));
    }

    fn feed(&mut self, input: Input) {
        let (_, commands) = self.state.step(input);
        for command in commands {
            match command {
                Command::StartWorker { worker, .. } => {
                    self.workers.insert(worker, Worker::default());
                    self.later(LATENCY_US, worker, Happening::Hello);
                }
                Command::Assign { worker, unit, attempt, .. } => {
                    let line = self.workers.entry(worker).or_default();
                    line.units.push_back((unit, attempt));
                    self.later(LATENCY_US, worker, Happening::Given);
                }
                _ => {}
            }
        }
    }

    fn happens(&mut self, worker: u32, happening: Happening) {
        let at_ms = self.now_us / 1_000;
        match happening {
            Happening::Hello => {
                let message = AgentMessage::first_hello(worker, 1, "1", "h".into(), worker);
                self.feed(Input::Message { worker, message, at_ms });
            }
            Happening::Given => self.begin(worker),
            Happening::Done => {
                let Some(known) = self.workers.get_mut(&worker) else { return };
                known.is_busy = false;
                if let Some((unit, attempt)) = known.units.pop_front() {
                    self.later(LATENCY_US, worker, Happening::Heard(unit.id, attempt));
                }
                self.begin(worker);
            }
            Happening::Heard(unit, attempt) => {
                let test = TestName { class: unit.0.clone(), method: "t()".into() };
                let finished = Finished {
                    outcome: Outcome::Passed,
                    started_at_ms: 0,
                    duration_us: 0,
                    reason: None,
                    thrown: Vec::new(),
                };
                let message = AgentMessage::TestFinished { unit: unit.clone(), attempt, test, finished };
                self.feed(Input::Message { worker, message, at_ms });
                let message = AgentMessage::UnitFinished { unit, attempt };
                self.feed(Input::Message { worker, message, at_ms });
            }
        }
    }

    fn begin(&mut self, worker: u32) {
        let Some(known) = self.workers.get_mut(&worker).filter(|known| !known.is_busy) else { return };
        let Some((unit, _)) = known.units.front() else { return };
        let start = if known.jvm.as_ref() == Some(&unit.task) { 0 } else { JVM_START_US };
        known.jvm = Some(unit.task.clone());
        known.is_busy = true;
        let work = self.truth_us.get(&unit.id).copied().unwrap_or(0);
        self.later(start + work, worker, Happening::Done);
    }
}

/// How long it takes until each worker is through with a fixed list.
pub(crate) fn fixed(lists: &[u64]) -> u64 {
    lists.iter().filter(|us| **us > 0).map(|us| us + JVM_START_US).max().unwrap_or(0)
}

/// How long it takes when each worker that is free takes the next, without any delay.
pub(crate) fn queue(units: impl IntoIterator<Item = u64>, workers: u32) -> u64 {
    let mut free: BinaryHeap<Reverse<u64>> = (0..workers).map(|_| Reverse(JVM_START_US)).collect();
    let mut end = 0;
    for us in units {
        let Reverse(at) = free.pop().unwrap_or(Reverse(0));
        end = end.max(at + us);
        free.push(Reverse(at + us));
    }
    end
}
