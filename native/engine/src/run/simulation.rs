//! Random schedules against the state machine: whatever happens, and in whichever order, its promises hold.

use super::decide::{Command, Input};
use super::promises::Promises;
use super::test_plans::{finished, input_of, name, plan_of, shapes, special_plan, traits};
use super::{Queue, RunInput, State};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use testfleet_protocol::agent::{AgentMessage, DeathCause, UnitAttempt};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::{Unit, UnitId};
use testfleet_protocol::test::{Invocation, Outcome, Stream, TaskPath, TestId, Verdict};

/// An agent as the protocol describes it, without a process.
#[derive(Default)]
struct Agent {
    alive: bool,
    told_to_end: bool,
    jvm: Option<(TaskPath, u32)>,
    units: VecDeque<(Unit, u32)>,
    /// Of the first unit: tests done, and whether the next one has started.
    done: usize,
    started: bool,
    /// On the way to the coordinator.
    sent: VecDeque<AgentMessage>,
}

struct World {
    state: State,
    agents: BTreeMap<u32, Agent>,
    events: Vec<RunEvent>,
    heard: Vec<(u32, AgentMessage)>,
    passed: HashSet<(TestId, Option<u32>)>,
    promises: Promises,
    clock: u64,
    next_pid: u32,
    start_fails: u8,
}

impl World {
    fn new(input: &RunInput, start_fails: u8) -> Self {
        let mut world = Self {
            state: State::new(input, "simulated").unwrap(),
            agents: BTreeMap::new(),
            events: Vec::new(),
            heard: Vec::new(),
            passed: HashSet::new(),
            promises: Promises::of(&input.plan),
            clock: 0,
            next_pid: 100,
            start_fails,
        };
        world.feed(Input::Start { at_ms: 0 });
        world
    }

    fn feed(&mut self, input: Input) {
        self.clock += 1;
        let (events, commands) = self.state.step(input);
        for event in &events {
            self.promises.see(event);
            if let RunEvent::TestFinished { test, slice, finished, .. } = event
                && finished.outcome == Outcome::Passed
            {
                self.passed.insert((test.clone(), *slice));
            }
        }
        self.events.extend(events);
        for command in commands {
            self.execute(command);
        }
        self.promises.nobody_idles(&self.state);
        let fronts = self.agents.iter().filter(|(_, agent)| agent.alive);
        let fronts = fronts.filter_map(|(worker, agent)| Some((*worker, &agent.units.front()?.0.id)));
        self.promises.nobody_collides(fronts);
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::StartWorker { worker, .. } => {
                let hello = AgentMessage::first_hello(worker, 1, "1", "h".into(), worker);
                let agent = Agent { alive: true, sent: [hello].into(), ..Agent::default() };
                self.agents.insert(worker, agent);
            }
            Command::Assign { worker, unit, attempt, .. } => {
                assert!(!unit.tests.is_empty());
                for id in unit.test_ids() {
                    let part = (id, unit.slice.map(|slice| slice.number));
                    assert!(!self.passed.contains(&part), "{part:?} passed already and is run again");
                }
                let agent = self.agents.get_mut(&worker).unwrap();
                if agent.alive {
                    agent.units.push_back((unit, attempt));
                }
            }
            Command::Finish { worker } | Command::Cancel { worker } => {
                self.agents.get_mut(&worker).unwrap().told_to_end = true;
            }
            Command::Kill { worker, .. } => self.kill(worker),
            Command::Welcome { .. } | Command::Drop { .. } | Command::Problem { .. } => {}
        }
    }

    /// The agent loses its process, and with it what it had not sent yet.
    fn kill(&mut self, worker: u32) {
        let Some(agent) = self.agents.get_mut(&worker).filter(|agent| agent.alive) else { return };
        *agent = Agent::default();
        let at_ms = self.clock;
        self.feed(Input::WorkerEnded { worker, failure: None, at_ms });
    }

    fn deliver(&mut self, worker: u32) -> bool {
        let Some(message) = self.agents.get_mut(&worker).and_then(|agent| agent.sent.pop_front()) else { return false };
        self.heard.push((worker, message.clone()));
        let at_ms = self.clock;
        self.feed(Input::Message { worker, message, at_ms });
        true
    }

    /// The agent's JVM dies, in the middle of a unit or between two.
    fn kill_jvm(&mut self, worker: u32) {
        let Some(agent) = self.agents.get_mut(&worker) else { return };
        let Some((task, pid)) = agent.jvm.take() else { return };
        let running = agent.units.front().filter(|(unit, _)| unit.task == task).cloned();
        if running.is_some() {
            agent.units.pop_front();
        }
        (agent.done, agent.started) = (0, false);
        let unit = running.map(|(unit, attempt)| UnitAttempt { unit: unit.id, attempt });
        let reason = "killed by signal 9 (SIGKILL)".to_owned();
        agent.sent.push_back(AgentMessage::JvmDied {
            task,
            pid: Some(pid),
            unit,
            reason,
            was_ready: true,
            cause: DeathCause::Died,
            evidence: Vec::new(),
            blamed: Vec::new(),
        });
    }

    /// The agent does the next thing that an agent does. Returns whether there was one.
    fn work(&mut self, worker: u32, dice: u8) -> bool {
        let start_fails = self.start_fails;
        let Some(agent) = self.agents.get_mut(&worker).filter(|agent| agent.alive) else { return false };
        if agent.told_to_end && agent.sent.is_empty() {
            self.kill(worker);
            return true;
        }
        let Some((unit, attempt)) = agent.units.front().cloned() else { return false };
        if agent.jvm.as_ref().is_none_or(|(task, _)| *task != unit.task) {
            if start_fails > 0 && unit.task.0 == ":m1:test" {
                agent.units.pop_front();
                agent.jvm = None;
                let tried = Some(UnitAttempt { unit: unit.id, attempt });
                let reason = "exit code 1".to_owned();
                let message = AgentMessage::JvmDied {
                    task: unit.task,
                    pid: None,
                    unit: tried,
                    reason,
                    was_ready: false,
                    cause: DeathCause::Died,
                    evidence: Vec::new(),
                    blamed: Vec::new(),
                };
                agent.sent.push_back(message);
                return true;
            }
            self.next_pid += 1;
            agent.jvm = Some((unit.task.clone(), self.next_pid));
            agent.sent.push_back(AgentMessage::JvmStarted { task: unit.task, pid: self.next_pid });
            return true;
        }
        let message = match (unit.tests.get(agent.done), agent.started) {
            (Some(test), false) => {
                agent.started = true;
                AgentMessage::TestStarted { unit: unit.id, attempt, test: test.clone() }
            }
            (Some(test), true) if dice.is_multiple_of(5) => AgentMessage::InvocationFinished {
                unit: unit.id,
                attempt,
                test: test.clone(),
                invocation: Invocation { id: format!("#{dice}"), name: "one".into() },
                finished: finished(Outcome::Passed),
            },
            (Some(_), true) if dice.is_multiple_of(7) => {
                // The framework forgets about this one.
                agent.done += 1;
                agent.started = false;
                return true;
            }
            (Some(test), true) => {
                agent.done += 1;
                agent.started = false;
                let outcome = if dice.is_multiple_of(3) { Outcome::Failed } else { Outcome::Passed };
                AgentMessage::TestFinished { unit: unit.id, attempt, test: test.clone(), finished: finished(outcome) }
            }
            (None, _) => {
                agent.units.pop_front();
                agent.done = 0;
                AgentMessage::UnitFinished { unit: unit.id, attempt, failures: Vec::new() }
            }
        };
        agent.sent.push_back(message);
        true
    }

    /// One thing that happens, chosen by the dice.
    fn chance(&mut self, action: u8, dice: u8) {
        let workers: Vec<_> = self.agents.keys().copied().collect();
        let Some(&worker) = workers.get(usize::from(dice) % workers.len().max(1)) else { return };
        let at_ms = self.clock;
        match action {
            0..=39 => {
                self.work(worker, dice);
            }
            40..=79 => {
                self.deliver(worker);
            }
            80..=84 => self.kill_jvm(worker),
            85..=88 => self.kill(worker),
            89..=92 => {
                if let Some((from, message)) = self.heard.get(usize::from(dice)).cloned() {
                    self.feed(Input::Message { worker: from, message, at_ms });
                }
            }
            93 => {
                if let Some(agent) = self.agents.get_mut(&worker) {
                    agent.sent.make_contiguous().reverse();
                }
            }
            94 => {
                let message = AgentMessage::TestFinished {
                    unit: UnitId(format!("u{dice}")),
                    attempt: 1,
                    test: name("Nobody", 1),
                    finished: finished(Outcome::Passed),
                };
                self.feed(Input::Message { worker, message, at_ms });
            }
            95 => {
                let output = AgentMessage::Output { unit: None, test: None, stream: Stream::Stdout, text: "x".into() };
                self.feed(Input::Message { worker: worker + 40, message: output, at_ms });
            }
            96 => self.feed(Input::WorkerEnded { worker: worker + u32::from(dice), failure: None, at_ms }),
            97 if dice == 0 => self.feed(Input::Cancel { at_ms }),
            _ => {}
        }
    }

    /// From here on nothing goes wrong: everything runs to its end.
    fn run_to_the_end(&mut self) {
        for round in 0..100_000_u32 {
            if self.state.is_finished() {
                return;
            }
            let workers: Vec<_> = self.agents.keys().copied().collect();
            let mut moved = false;
            for worker in workers {
                moved |= self.deliver(worker);
                moved |= self.work(worker, 1);
            }
            assert!(moved, "nothing moves in round {round}: {:?}", self.events.last());
        }
        panic!("the queue does not drain");
    }

    fn check(&self, input: &RunInput) {
        let mut verdicts: HashMap<&TestId, Verdict> = HashMap::new();
        for event in &self.events {
            if let RunEvent::TestVerdict { test, verdict, reason } = event {
                assert!(verdicts.insert(test, *verdict).is_none(), "{test} has two verdicts");
                let explained = reason.as_ref().is_some_and(|reason| !reason.is_empty());
                assert!(explained || *verdict != Verdict::Lost, "{test} is lost without a reason");
            }
        }
        for unit in &input.plan.units {
            for test in unit.test_ids() {
                assert!(verdicts.contains_key(&test), "{test} has no verdict");
                if unit.slice.is_none() {
                    let expected = if unit.reused.is_some() { Verdict::Reused } else { Verdict::Passed };
                    let well = self.passed.contains(&(test.clone(), None)) || unit.reused.is_some();
                    assert_eq!(well, verdicts[&test] == expected, "{test}");
                }
            }
        }
        self.promises.nothing_came_between();
        assert!(self.state.waiting.is_at_rest(), "something waits or is held at the end");
        let Some(RunEvent::RunFinished { counts, cancelled, verdict, .. }) = self.events.last() else {
            panic!("the last event is {:?}", self.events.last());
        };
        assert_eq!(*verdict, self.promises.worst(&input.plan));
        assert_eq!(counts.values().sum::<u64>(), verdicts.len() as u64);
        assert_eq!(*cancelled, self.state.cancelled);
        assert_eq!(self.events.iter().filter(|event| matches!(event, RunEvent::RunFinished { .. })).count(), 1);
        self.assignments_end_once();
        let mut replayed = State::new(input, "simulated").unwrap();
        for event in &self.events {
            let line = serde_json::to_string(event).unwrap();
            replayed.apply(&serde_json::from_str(&line).unwrap());
        }
        assert_eq!(replayed, self.state);
    }

    /// Every assignment ends exactly once, and each try at a test at most once.
    fn assignments_end_once(&self) {
        let mut open = HashSet::new();
        let mut tries = HashSet::new();
        for event in &self.events {
            match event {
                RunEvent::UnitAssigned { unit, worker, attempt, .. } => {
                    assert!(open.insert((unit, worker, attempt)), "{unit:?} is assigned twice in try {attempt}");
                }
                RunEvent::UnitFinished { unit, worker, attempt, .. } => {
                    assert!(open.remove(&(unit, worker, attempt)), "{unit:?} ends twice in try {attempt}");
                }
                RunEvent::TestFinished { test, slice, attempt, .. } => {
                    assert!(tries.insert((test, slice, attempt)), "{test} ends twice in try {attempt}");
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "without an end: {open:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_whatever_happens(
        shape in shapes(),
        workers in 1_u32..4,
        start_fails in 0_u8..2,
        chances in prop::collection::vec((0_u8..98, any::<u8>()), 0..250),
    ) {
        let input = input_of(plan_of(&shape), Queue::Dynamic, workers);
        let mut world = World::new(&input, start_fails);
        for (action, dice) in chances {
            world.chance(action, dice);
        }
        world.run_to_the_end();
        world.check(&input);
    }

    #[test]
    fn promises_hold_for_special_units(
        shape in prop::collection::vec(((0_u8..3, 1_usize..4, prop_oneof![0_u64..50, 50_u64..400, 1_000_u64..90_000]), traits()), 0..14),
        workers in 1_u32..5,
        start_fails in 0_u8..6,
        chances in prop::collection::vec((0_u8..98, any::<u8>()), 0..300),
    ) {
        let input = input_of(special_plan(&shape), Queue::Dynamic, workers);
        let mut world = World::new(&input, u8::from(start_fails == 1));
        for (action, dice) in chances {
            world.chance(action, dice);
        }
        world.run_to_the_end();
        world.check(&input);
    }

    #[test]
    fn one_worker_runs_special_units_in_a_fixed_order(
        shape in prop::collection::vec(((0_u8..3, 1_usize..4, 0_u64..400), traits()), 0..14),
        chances in prop::collection::vec((0_u8..98, any::<u8>()), 0..100),
        part in any::<prop::sample::Index>(),
    ) {
        let mut plan = special_plan(&shape);
        plan.units.iter_mut().for_each(|unit| {
            unit.reused = None;
            unit.together = None;
            unit.locks.clear();
        });
        // Some slices of a test may be missing.
        let ids: Vec<_> = plan.units.iter().map(|unit| unit.id.clone()).collect();
        let ids = ids[ids.len() - if ids.is_empty() { 0 } else { part.index(ids.len()) + 1 }..].to_vec();
        let queue = Queue::Fixed(ids.clone());
        plan.units.retain(|unit| ids.contains(&unit.id));
        let input = input_of(plan, queue, 1);
        let mut world = World::new(&input, 0);
        for (action, dice) in chances {
            world.chance(action, dice);
        }
        world.run_to_the_end();
        world.check(&input);
    }

    #[test]
    fn a_fixed_order_is_kept(shape in shapes(), order in any::<prop::sample::Index>()) {
        let plan = plan_of(&shape);
        let mut ids: Vec<_> = plan.units.iter().map(|unit| unit.id.clone()).collect();
        if !ids.is_empty() {
            let turn = order.index(ids.len());
            ids.rotate_left(turn);
        }
        let input = input_of(plan, Queue::Fixed(ids.clone()), 1);
        let mut world = World::new(&input, 0);
        world.run_to_the_end();
        world.check(&input);
        let ran: Vec<_> = super::units_run_by(&world.events, 1).into_iter().map(|ran| ran.unit).collect();
        prop_assert_eq!(ran, ids);
    }

    #[test]
    fn after_a_cancel_what_has_no_result_is_lost(shape in shapes(), before in prop::collection::vec(0_u8..80, 0..60)) {
        let input = input_of(plan_of(&shape), Queue::Dynamic, 2);
        let mut world = World::new(&input, 0);
        for (dice, action) in before.into_iter().enumerate() {
            world.chance(action, dice as u8);
        }
        let known = world.events.iter().filter(|event| matches!(event, RunEvent::TestVerdict { .. })).count();
        world.feed(Input::Cancel { at_ms: 1 });
        world.run_to_the_end();
        world.check(&input);
        let later = world.events.iter().filter(|event| matches!(event, RunEvent::TestVerdict { .. })).skip(known);
        for event in later {
            let RunEvent::TestVerdict { verdict, reason, .. } = event else { unreachable!() };
            prop_assert_eq!((*verdict, reason.as_deref()), (Verdict::Lost, Some("cancelled")));
        }
    }
}
