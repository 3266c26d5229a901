//! Whole runs against agents without processes: a seed gives the plan, the faults and their order.
//!
//! Workers die, are cut off and come back, repeat themselves, have to end; JVMs die; the coordinator is lost at any point and
//! goes on from its events; clocks jump. What a run promises is checked all the way. `tests/simulate` runs ranges of seeds.

use super::State;
use super::decide::{Command, Decision, Input, decide};
use super::dice::Dice;
use super::promises::Promises;
use super::sim_agent::{Agent, Deed};
use super::sim_mutations::Mutation;
use super::sim_plan::Scene;
use super::sim_results::Results;
use super::workers::Life;
use std::collections::HashMap;
use testfleet_protocol::VERSION;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, DeathCause};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::UnitId;

/// A simulated run.
pub(super) struct World {
    pub(super) scene: Scene,
    dice: Dice,
    pub(super) mutation: Option<Mutation>,
    trace: bool,
    pub(super) state: State,
    pub(super) events: Vec<RunEvent>,
    agents: Vec<Agent>,
    /// Highest message number of each life, as far as this coordinator knows.
    seen: HashMap<(u32, u32), u64>,
    /// Lives that are over, with the news under way.
    ends: Vec<(u32, u32)>,
    heard: Vec<(u32, AgentMessage)>,
    pub(super) promises: Promises,
    now_ms: u64,
    tick_ms: u64,
    crashes: u64,
    results: Results,
    feeds: u64,
}

impl World {
    pub(super) fn new(seed: u64, mutation: Option<Mutation>, trace: bool) -> Self {
        Self::of(Scene::new(seed), seed, mutation, trace)
    }

    fn of(scene: Scene, seed: u64, mutation: Option<Mutation>, trace: bool) -> Self {
        let mut dice = Dice::new(seed ^ 0x5eed);
        let crashes = if dice.chance(500) { dice.below(4) } else { 0 };
        Self {
            state: State::new(&scene.input, scene.backend).unwrap(),
            promises: Promises::of(&scene.input.plan, scene.input.options.runs_of_each()),
            results: Results::of(&scene.input.plan, &scene.input.options),
            scene,
            dice,
            mutation,
            trace,
            events: Vec::new(),
            agents: Vec::new(),
            seen: HashMap::new(),
            ends: Vec::new(),
            heard: Vec::new(),
            now_ms: 1_000,
            tick_ms: 2_000,
            crashes,
            feeds: 0,
        }
    }

    /// Lives the whole run.
    pub(super) fn live(&mut self) {
        self.feed(Input::Start { at_ms: self.now_ms });
        for _ in 0..self.dice.skewed(0, 8_000) {
            if self.state.is_finished() {
                break;
            }
            self.something();
        }
        self.run_to_the_end();
        self.check();
    }

    /// As [`State::step`], with broken rules.
    fn step(&mut self, input: Input) -> Decision {
        let mutation = self.mutation;
        let decided = |state: &State, input: Input| {
            let mut decision = decide(state, input.clone());
            if let Some(mutation) = mutation {
                mutation.decided(state, &input, &mut decision);
            }
            decision
        };
        self.state.step_by(input, decided, |state, event| apply(mutation, state, event))
    }

    /// The state that the events so far make.
    pub(super) fn replayed(&self) -> State {
        let mut state = State::new(&self.scene.input, self.scene.backend).unwrap();
        for event in &self.events {
            apply(self.mutation, &mut state, event);
        }
        state
    }

    /// Something reaches the coordinator. Returns whether that still lives afterwards.
    fn feed(&mut self, input: Input) -> bool {
        self.feeds += 1;
        self.tell(|| format!("{} ms: {input:?}", input.at_ms()));
        let (mut events, commands) = self.step(input);
        let crashes = self.crashes > 0 && (self.dice.chance(2) || self.feeds == 1 && self.dice.chance(200));
        if crashes {
            // Some of it was written down, none of it done.
            let kept = self.dice.below(events.len() as u64 + 1) as usize;
            events.truncate(kept);
        }
        for event in &events {
            self.tell(|| format!("    {event:?}"));
            self.promises.see(event, &self.state);
            self.results.see(event);
        }
        let news = !events.is_empty();
        self.events.extend(events);
        if crashes {
            self.crash();
            return false;
        }
        for command in commands {
            self.execute(command);
        }
        if self.feeds.is_multiple_of(499) {
            assert!(self.replayed() == self.state, "the state is not what its events make");
        }
        if news {
            self.results.fit(&self.state);
            self.promises.nobody_idles(&self.state);
        }
        if self.feeds.is_multiple_of(7) {
            self.promises.nobody_collides(self.fronts());
        }
        true
    }

    /// What runs, as far as the coordinator wants it to.
    fn fronts(&self) -> impl Iterator<Item = (u32, &UnitId)> {
        let present = |agent: &&Agent| agent.alive && self.state.life(agent.worker) == Some(agent.life);
        self.agents.iter().filter(present).filter_map(|agent| {
            let front = agent.hand.front()?;
            super::heard::in_hand(&self.state, agent.worker, &front.unit.id, front.attempt)?;
            Some((agent.worker, &front.unit.id))
        })
    }

    fn execute(&mut self, command: Command) {
        self.tell(|| format!("        {command:?}"));
        match command {
            Command::StartWorker { worker, life } => {
                let earlier = self.agents.iter().filter(|agent| agent.worker == worker).map(|agent| agent.life).max();
                assert!(earlier.is_none_or(|earlier| earlier < life), "worker {worker} lives its life {life} twice");
                assert!(self.agents.len() < 4_000, "workers are started without end");
                let mut agent = Agent::new(worker, life);
                agent.dial();
                self.agents.push(agent);
            }
            Command::Welcome { worker } => {
                let (epoch, rules) = (self.state.epoch(), self.scene.input.options.rules());
                let seen = self.state.life(worker).and_then(|life| self.seen.get(&(worker, life)).copied());
                self.say(
                    worker,
                    CoordinatorMessage::Welcome { protocol: VERSION, run: "r1".into(), epoch, seen, rules },
                );
            }
            Command::Assign { worker, unit, attempt, fresh_jvm } => {
                self.results.may_run(worker, &unit, fresh_jvm, &self.state);
                self.say(worker, CoordinatorMessage::Assign { unit, attempt, fresh_jvm });
            }
            Command::Drop { worker, units } => self.say(worker, CoordinatorMessage::Drop { units }),
            Command::Finish { worker } => self.say(worker, CoordinatorMessage::Finish),
            Command::Condemn { worker, limit_ms } => self.say(worker, CoordinatorMessage::Condemn { limit_ms }),
            Command::Cancel { worker } => self.say(worker, CoordinatorMessage::Cancel),
            Command::Kill { worker, .. } => {
                // One that can't be reached lives on.
                let now_ms = self.now_ms;
                let latest = self.agents.iter_mut().rev().find(|agent| agent.worker == worker);
                if let Some(agent) = latest.filter(|agent| agent.alive && agent.cut_until_ms <= now_ms) {
                    agent.die();
                    self.ends.push((agent.worker, agent.life));
                }
            }
            Command::Problem { .. } => {}
        }
    }

    fn say(&mut self, worker: u32, message: CoordinatorMessage) {
        let life = self.state.life(worker);
        let agent = self.agents.iter_mut().find(|agent| agent.worker == worker && Some(agent.life) == life);
        // What is said to a lost connection is lost.
        if let Some(agent) = agent.filter(|agent| agent.attached) {
            agent.down.push_back(message);
        }
    }

    /// The coordinator is lost, and another one goes on with what was written down.
    fn crash(&mut self) {
        self.tell(|| "the coordinator is lost".to_owned());
        self.crashes -= 1;
        self.seen.clear();
        self.ends.clear();
        for agent in &mut self.agents {
            agent.cut();
            if self.scene.backend == "local" {
                agent.die();
            }
        }
        for _ in 0..self.dice.below(300) {
            let index = self.dice.below(self.agents.len() as u64) as usize;
            self.work(index);
        }
        self.now_ms += self.dice.below(5_000);
        self.tick_ms = self.now_ms + 1_000;
        self.state = self.replayed();
        let (before, told, was_finished) = (self.state.epoch(), self.events.len(), self.state.is_finished());
        if self.dice.chance(300) {
            // Its last line may be torn, and whoever reads it takes what is whole.
            let line = serde_json::to_string(&self.events).unwrap();
            assert_eq!(serde_json::from_str::<Vec<RunEvent>>(&line).unwrap(), self.events);
        }
        if self.feed(Input::Resume { at_ms: self.now_ms }) {
            let (started, now) = (before > 0, self.state.epoch());
            if was_finished {
                assert!(now == before && self.events.len() == told, "a finished run stays finished");
            } else {
                assert!(now == before + 1 || !started && now == 1, "epoch {now} follows {before}");
            }
        }
    }

    fn work(&mut self, index: usize) -> bool {
        let Some(agent) = self.agents.get_mut(index).filter(|agent| agent.alive) else { return false };
        let front = agent.hand.front().map(|task| (task.unit.id.clone(), task.attempt, agent.worker));
        match agent.work(&self.scene, &mut self.dice, self.now_ms) {
            Deed::Nothing => return false,
            Deed::Something => {}
            Deed::Began(test) => {
                let Some(front) = front else { return true };
                self.results.begins(front, test);
            }
            Deed::Died => {
                let end = (agent.worker, agent.life);
                self.ends.push(end);
            }
        }
        true
    }

    /// The next thing that an agent said reaches the coordinator.
    fn deliver_up(&mut self, index: usize) -> bool {
        let (at_ms, state) = (self.now_ms, &self.state);
        let Some(agent) = self.agents.get_mut(index).filter(|agent| agent.alive && agent.cut_until_ms <= at_ms) else {
            return false;
        };
        let (worker, life) = (agent.worker, agent.life);
        if !agent.connected {
            agent.dial();
            return true;
        }
        let Some((seq, message)) = agent.up.pop_front() else { return false };
        if state.life(worker) != Some(life) {
            // It was given up: it is told to end.
            agent.die();
            return true;
        }
        if matches!(message, AgentMessage::Hello { .. }) {
            agent.attached = true;
        }
        let seen = self.seen.entry((worker, life)).or_default();
        if seq > 0 && seq <= *seen {
            return true;
        }
        *seen = seq.max(*seen);
        if seq == 0 && *seen == 0 {
            // Nothing is known of what this life said before.
            self.seen.remove(&(worker, life));
        }
        self.heard.push((worker, message.clone()));
        if let AgentMessage::UnitFinished { unit, attempt, .. } = &message {
            self.results.end_well(worker, unit, *attempt, &self.state);
        }
        if self.feed(Input::Message { worker, message, at_ms }) && seq > 0 {
            self.say(worker, CoordinatorMessage::Ack { seq });
        }
        true
    }

    fn deliver_down(&mut self, index: usize) -> bool {
        let Some(agent) = self.agents.get_mut(index).filter(|agent| agent.alive) else { return false };
        let heard = agent.cut_until_ms <= self.now_ms && agent.hear();
        if heard && !agent.alive {
            let end = (agent.worker, agent.life);
            self.ends.push(end);
        }
        heard
    }

    fn end_is_noticed(&mut self) -> bool {
        let Some((worker, life)) = self.ends.pop() else { return false };
        if self.state.life(worker) == Some(life) {
            self.feed(Input::WorkerEnded { worker, failure: None, at_ms: self.now_ms });
        }
        true
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        let now_ms = self.now_ms;
        self.agents.iter_mut().filter(|agent| agent.alive).for_each(|agent| agent.alive(now_ms));
        while self.tick_ms <= self.now_ms {
            let at_ms = self.tick_ms;
            self.tick_ms += 1_000;
            self.feed(Input::Tick { at_ms, late_ms: 0, slept_ms: 0 });
        }
    }

    /// One thing that happens, chosen by the dice.
    fn something(&mut self) {
        let ms = self.dice.below(12);
        self.pass(ms);
        let index = self.dice.below(self.agents.len() as u64) as usize;
        let at_ms = self.now_ms;
        let alive = self.agents.get(index).is_some_and(|agent| agent.alive);
        match self.dice.below(2_000) {
            0..900 => {
                self.work(index);
            }
            900..1_500 => {
                self.deliver_up(index);
            }
            1_500..1_900 => {
                self.deliver_down(index);
            }
            1_900..1_940 => {
                self.end_is_noticed();
            }
            1_940..1_960 => {
                let old = self.dice.below(self.heard.len() as u64) as usize;
                if let Some((worker, message)) = self.heard.get(old).cloned() {
                    let known = self.state.life(worker).is_some();
                    if known && !matches!(message, AgentMessage::Hello { .. } | AgentMessage::Alive) {
                        self.feed(Input::Message { worker, message, at_ms });
                    }
                }
            }
            1_960..1_970 if alive => self.agents[index].cut(),
            1_970..1_976 if alive => {
                let ms = self.dice.below(25_000);
                self.agents[index].cut();
                self.agents[index].cut_until_ms = at_ms + ms;
            }
            1_976..1_984 if alive => self.agents[index].kill_jvm(DeathCause::Died, Vec::new()),
            1_984..1_988 if alive => {
                self.agents[index].die();
                // Whoever starts an agent notices when it says nothing at all.
                if self.dice.chance(700)
                    || self.state.workers.get(self.agents[index].worker).is_some_and(|known| known.life == Life::Asked)
                {
                    self.ends.push((self.agents[index].worker, self.agents[index].life));
                }
            }
            1_988..1_991 if alive => self.agents[index].hand_back(),
            1_991 => {
                let late_ms = self.dice.below(100_000);
                self.now_ms += late_ms;
                self.tick_ms = self.now_ms + 1_000;
                self.feed(Input::Tick { at_ms: self.now_ms, late_ms: late_ms.max(1), slept_ms: late_ms });
            }
            1_992 if self.dice.chance(5) => {
                self.feed(Input::Cancel { at_ms });
            }
            _ => {}
        }
    }

    /// From here on nothing goes wrong but what tests do themselves: everything runs to its end.
    fn run_to_the_end(&mut self) {
        self.crashes = 0;
        self.agents.iter_mut().for_each(|agent| agent.cut_until_ms = 0);
        let mut still = 0;
        let mut told = 0;
        for _ in 0..60_000_u32 {
            if self.state.is_finished() {
                return;
            }
            let mut moved = false;
            for index in 0..self.agents.len() {
                for _ in 0..2 {
                    moved |= self.deliver_up(index);
                    moved |= self.deliver_down(index);
                }
                moved |= self.work(index);
            }
            while self.end_is_noticed() {}
            self.pass(if moved { 10 } else { 1_000 });
            // That somebody is still there is no news.
            let news = |event: &&RunEvent| !matches!(event, RunEvent::LeaseRenewed { .. });
            still = if self.events[told..].iter().any(|event| news(&event)) { 0 } else { still + 1 };
            told = self.events.len();
            assert!(still < 500, "nothing moves: {:?}", self.events.last());
        }
        panic!("the queue does not drain: {:?}", self.events.last());
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.trace {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{}", what());
        }
    }
}

fn apply(mutation: Option<Mutation>, state: &mut State, event: &RunEvent) {
    state.apply(event);
    if let Some(mutation) = mutation {
        mutation.applied(state, event);
    }
}
