//! An agent as the protocol describes it, without a process.

use super::dice::Dice;
use super::sim_plan::{Nature, Scene, Trouble, outcome};
use std::collections::VecDeque;
use testfleet_protocol::agent::{AgentMessage, ClassFailure, CoordinatorMessage, DeathCause, UnitAttempt};
use testfleet_protocol::plan::Unit;
use testfleet_protocol::test::{Invocation, Outcome, TaskPath, TestName, Thrown};

/// How long a test may take, in milliseconds.
const TEST_MS: u64 = 5_000;

/// Something in an agent's hand.
pub(super) struct Task {
    pub(super) unit: Unit,
    pub(super) attempt: u32,
    fresh_jvm: bool,
    /// Tests that ended, and whether the next one has started.
    done: usize,
    started: bool,
    since_ms: u64,
    /// Whether it was told that its class failed.
    failed: bool,
}

/// What became of an agent by its own work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Nothing,
    Something,
    /// It began to run this test.
    Began(TestName),
    /// It is gone, with all that it had not sent.
    Died,
}

/// One life of a worker.
pub(super) struct Agent {
    pub(super) worker: u32,
    pub(super) life: u32,
    pub(super) alive: bool,
    pub(super) epoch: u64,
    pub(super) hand: VecDeque<Task>,
    jvm: Option<(TaskPath, u32)>,
    pids: u32,
    /// Numbered messages that were not acknowledged.
    spool: VecDeque<(u64, AgentMessage)>,
    next_seq: u64,
    /// Whether it has a connection, and was welcomed on it.
    pub(super) connected: bool,
    pub(super) welcomed: bool,
    /// Whether the coordinator knows that this connection is its.
    pub(super) attached: bool,
    /// Under way in both directions.
    pub(super) up: VecDeque<(u64, AgentMessage)>,
    pub(super) down: VecDeque<CoordinatorMessage>,
    finishing: bool,
    leaving: bool,
    condemned: bool,
    /// Until then nothing comes through.
    pub(super) cut_until_ms: u64,
    pub(super) alive_at_ms: u64,
}

impl Agent {
    pub(super) fn new(worker: u32, life: u32) -> Self {
        Self {
            worker,
            life,
            alive: true,
            epoch: 0,
            hand: VecDeque::new(),
            jvm: None,
            pids: worker * 10_000 + life * 100,
            spool: VecDeque::new(),
            next_seq: 1,
            connected: false,
            welcomed: false,
            attached: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            finishing: false,
            leaving: false,
            condemned: false,
            cut_until_ms: 0,
            alive_at_ms: 0,
        }
    }

    /// Opens a connection.
    pub(super) fn dial(&mut self) {
        let mut hello = AgentMessage::first_hello(self.worker, self.life, "1", "h".into(), self.worker);
        if let AgentMessage::Hello { epoch, hand, .. } = &mut hello {
            *epoch = self.epoch;
            *hand = self.hand.iter().map(Task::tried).collect();
        }
        (self.connected, self.welcomed, self.attached) = (true, false, false);
        self.up = [(0, hello)].into();
        self.down.clear();
    }

    /// Loses its connection, with what is under way.
    pub(super) fn cut(&mut self) {
        (self.connected, self.welcomed, self.attached) = (false, false, false);
        self.up.clear();
        self.down.clear();
    }

    pub(super) fn die(&mut self) {
        self.cut();
        self.alive = false;
    }

    fn say(&mut self, message: AgentMessage) {
        self.spool.push_back((self.next_seq, message.clone()));
        if self.welcomed {
            self.up.push_back((self.next_seq, message));
        }
        self.next_seq += 1;
    }

    /// Says that it is there, if that is all there is to say.
    pub(super) fn alive(&mut self, now_ms: u64) {
        if self.welcomed && self.up.is_empty() && now_ms >= self.alive_at_ms + 2_000 {
            self.alive_at_ms = now_ms;
            self.up.push_back((0, AgentMessage::Alive));
        }
    }

    /// Hears the next thing that the coordinator said.
    pub(super) fn hear(&mut self) -> bool {
        let Some(message) = self.down.pop_front() else { return false };
        match message {
            CoordinatorMessage::Welcome { epoch, seen, .. } => {
                assert!(epoch >= self.epoch, "worker {} is told of epoch {epoch} after {}", self.worker, self.epoch);
                self.epoch = epoch;
                self.welcomed = true;
                let kept = self.spool.iter().filter(|(seq, _)| seen.is_none_or(|seen| *seq > seen));
                self.up.extend(kept.cloned());
            }
            CoordinatorMessage::Assign { unit, attempt, fresh_jvm } => {
                assert!(self.welcomed, "worker {} gets a unit before its welcome", self.worker);
                assert!(
                    self.hand.iter().all(|task| task.unit.id != unit.id),
                    "worker {} has {} already",
                    self.worker,
                    unit.id.0
                );
                let behind = self.hand.back().is_some_and(|last| last.fresh_jvm) || fresh_jvm;
                assert!(!behind || self.hand.is_empty(), "{} is not alone at worker {}", unit.id.0, self.worker);
                self.hand.push_back(Task {
                    unit,
                    attempt,
                    fresh_jvm,
                    done: 0,
                    started: false,
                    since_ms: 0,
                    failed: false,
                });
            }
            CoordinatorMessage::Drop { units } => self.hand.retain(|task| !units.contains(&task.tried())),
            CoordinatorMessage::Ack { seq } => self.spool.retain(|(kept, _)| *kept > seq),
            CoordinatorMessage::Finish => self.finishing = true,
            CoordinatorMessage::Condemn { .. } => {
                self.hand.truncate(1);
                self.condemned = true;
            }
            CoordinatorMessage::Cancel => self.die(),
            CoordinatorMessage::Ask { .. } => panic!("nobody asks"),
        }
        true
    }

    /// Gives back what it has, because it has to end.
    pub(super) fn hand_back(&mut self) {
        if !self.leaving {
            let units = self.hand.drain(..).map(|task| task.tried()).collect();
            self.leaving = true;
            self.say(AgentMessage::HandedBack { units, reason: "evicted".into() });
        }
    }

    /// The JVM dies, in the middle of a unit or between two.
    pub(super) fn kill_jvm(&mut self, cause: DeathCause, blamed: Vec<TestName>) {
        let Some((task, pid)) = self.jvm.take() else { return };
        let runs = self.hand.front().is_some_and(|front| front.unit.task == task);
        let unit = if runs { self.hand.pop_front().map(|front| front.tried()) } else { None };
        let reason = "killed by signal 9 (SIGKILL)".into();
        self.say(AgentMessage::JvmDied {
            task,
            pid: Some(pid),
            unit,
            reason,
            was_ready: true,
            cause,
            evidence: Vec::new(),
            blamed,
        });
    }

    /// Does the next thing that an agent does.
    pub(super) fn work(&mut self, scene: &Scene, dice: &mut Dice, now_ms: u64) -> Deed {
        // A last word is heard before the end.
        if (self.finishing || self.leaving) && self.hand.is_empty() {
            if self.spool.is_empty() || self.finishing && self.up.is_empty() {
                self.die();
                return Deed::Died;
            }
            return Deed::Nothing;
        }
        let Some(front) = self.hand.front() else { return Deed::Nothing };
        let (unit, attempt) = (front.unit.id.clone(), front.attempt);
        if self.jvm.as_ref().is_none_or(|(task, _)| *task != front.unit.task) {
            let task = front.unit.task.clone();
            self.pids += 1;
            self.jvm = None;
            if scene.start_fails(self.worker, &task, dice) {
                let unit = self.hand.pop_front().map(|front| front.tried());
                let reason = "exit code 1".into();
                self.say(AgentMessage::JvmDied {
                    task,
                    pid: Some(self.pids),
                    unit,
                    reason,
                    was_ready: false,
                    cause: DeathCause::Died,
                    evidence: Vec::new(),
                    blamed: Vec::new(),
                });
                return Deed::Something;
            }
            self.jvm = Some((task.clone(), self.pids));
            self.say(AgentMessage::JvmStarted { task, pid: self.pids });
            return Deed::Something;
        }
        if self.condemned {
            let dumped = dice.chance(50);
            if dumped {
                self.kill_jvm(DeathCause::RunTimeout, Vec::new());
            }
            return if dumped { Deed::Something } else { Deed::Nothing };
        }
        let next = front.unit.tests.get(front.done).cloned();
        let trouble = scene.trouble(&front.unit);
        let fails = match trouble {
            Some(Trouble::SetUp) => true,
            Some(Trouble::Nested) => front.done >= front.unit.tests.len().div_ceil(2),
            Some(Trouble::AfterAll) => next.is_none(),
            None => false,
        };
        if fails && !front.failed && !front.started {
            let nested = if trouble == Some(Trouble::Nested) { "$In" } else { "" };
            let class = format!("{}{nested}", front.unit.class);
            let thrown = Thrown { kind: "E".into(), message: "no".into(), stack: String::new(), hint: None };
            self.hand[0].failed = true;
            self.say(AgentMessage::ClassFailed { unit, attempt, failure: ClassFailure { class, thrown } });
            return Deed::Something;
        }
        let Some(test) = next.filter(|_| trouble != Some(Trouble::SetUp)) else {
            self.hand.pop_front();
            self.say(AgentMessage::UnitFinished { unit, attempt });
            return Deed::Something;
        };
        let nature = scene.nature(&test);
        if !front.started && nature != Nature::Silent {
            (self.hand[0].started, self.hand[0].since_ms) = (true, now_ms);
            self.say(AgentMessage::TestStarted { unit, attempt, test: test.clone() });
            return Deed::Began(test);
        }
        if nature == Nature::KillsWorker(true) || nature == Nature::KillsWorker(false) && dice.chance(300) {
            // It was said before it ran.
            if self.up.is_empty() || !self.connected {
                self.die();
                return Deed::Died;
            }
            return Deed::Nothing;
        }
        if nature == Nature::KillsJvm(true) || nature == Nature::KillsJvm(false) && dice.chance(500) {
            let causes = [DeathCause::Died, DeathCause::OutOfMemory, DeathCause::TestTimeout, DeathCause::ClassTimeout];
            self.kill_jvm(causes[dice.below(4) as usize], Vec::new());
            return Deed::Something;
        }
        if nature == Nature::Hangs {
            if now_ms < front.since_ms + TEST_MS {
                return Deed::Nothing;
            }
            self.kill_jvm(DeathCause::TestTimeout, vec![test]);
            return Deed::Something;
        }
        if dice.chance(100) && nature != Nature::Silent {
            let invocation = Invocation { id: format!("#{}", dice.below(5)), name: "one".into() };
            let finished = super::test_plans::finished(Outcome::Passed);
            self.say(AgentMessage::InvocationFinished { unit, attempt, test, invocation, finished });
            return Deed::Something;
        }
        (self.hand[0].done, self.hand[0].started) = (front.done + 1, false);
        if !matches!(nature, Nature::Silent | Nature::NeverEnds) {
            self.say(AgentMessage::TestFinished { unit, attempt, test, finished: outcome(nature, dice) });
        }
        Deed::Something
    }
}

impl Task {
    fn tried(&self) -> UnitAttempt {
        UnitAttempt { unit: self.unit.id.clone(), attempt: self.attempt }
    }
}
