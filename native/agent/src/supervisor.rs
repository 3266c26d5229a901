//! Takes units from the coordinator and runs them, one after another, in a harness JVM of their profile.

use crate::args::Args;
use crate::asking::Asking;
use crate::coordinator::Coordinator;
use crate::jvm::{Jvm, JvmEvent, make_pipes};
use crate::launch::{Launch, Place};
use crate::live::{Assigned, Live, framework};
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, DeathCause};
use testfleet_protocol::bundle::{Bundle, Profile};
use testfleet_protocol::harness::{FromHarness, ToHarness};
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::time::{Instant, sleep_until};

/// How long a JVM may take until its harness is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Name of the file in the worker's folder that holds the process id of its JVM, so that the local backend can end the
/// JVM of an agent that was killed.
const JVM_PID: &str = "jvm.pid";

/// How the agent's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Told to finish, and everything was handed over.
    Finished,
    /// Told to stop at once, or the coordinator is gone.
    Stopped,
}

pub(crate) struct Supervisor {
    args: Args,
    bundle: Bundle,
    tmp: PathBuf,
    queue: VecDeque<Assigned>,
    /// What is asked about; goes before the queue.
    asks: VecDeque<Asking>,
    finishing: bool,
    live: Option<Live>,
    /// How many JVMs were started; names their folders.
    started: u32,
    /// Profiles of which a JVM was ready here.
    proven: BTreeSet<TaskPath>,
}

impl Supervisor {
    pub(crate) fn new(args: Args, bundle: Bundle, tmp: PathBuf) -> Self {
        let (queue, asks) = (VecDeque::new(), VecDeque::new());
        Self { args, bundle, tmp, queue, asks, finishing: false, live: None, started: 0, proven: BTreeSet::new() }
    }

    /// Works until it is told to end.
    ///
    /// # Errors
    /// When the agent itself can't go on; a JVM that fails is told to the coordinator instead.
    pub(crate) async fn work(&mut self, coordinator: &mut Coordinator) -> Result<Ending> {
        let mut gone = coordinator.gone.clone();
        tokio::select! {
            biased;
            _ = gone.wait_for(|gone| *gone) => Ok(Ending::Stopped),
            ending = self.turns(coordinator) => ending,
        }
    }

    async fn turns(&mut self, coordinator: &mut Coordinator) -> Result<Ending> {
        loop {
            self.advance(coordinator)?;
            if self.finishing && self.queue.is_empty() && self.asks.is_empty() && self.live.is_none() {
                coordinator.all_acknowledged().await;
                return Ok(Ending::Finished);
            }
            let deadline = self.live.as_ref().and_then(|live| live.deadline);
            let room = coordinator.room();
            tokio::select! {
                biased;
                message = coordinator.inbox.recv() => {
                    if let Some(ending) = self.hear(message)? {
                        return Ok(ending);
                    }
                }
                event = next_event(&mut self.live, room) => self.take(event, coordinator)?,
                () = reached(deadline) => self.overdue(),
            }
        }
    }

    fn hear(&mut self, message: Option<CoordinatorMessage>) -> Result<Option<Ending>> {
        match message {
            Some(CoordinatorMessage::Assign { unit, attempt, .. }) => self.queue.push_back(Assigned { unit, attempt }),
            Some(CoordinatorMessage::Ask { task, classes }) => self.asks.push_back(Asking::new(task, classes)),
            Some(CoordinatorMessage::Finish) => self.finishing = true,
            Some(CoordinatorMessage::Cancel) | None => return Ok(Some(Ending::Stopped)),
            Some(CoordinatorMessage::Welcome { protocol, .. }) if protocol != VERSION => {
                return Err(Failure::new(
                    FailureCode::ProtocolVersion,
                    format!("failed to work for a coordinator of protocol {protocol}; this agent speaks {VERSION}"),
                )
                .hint("use agent and engine of one Testfleet release"));
            }
            Some(CoordinatorMessage::Drop { units }) => {
                self.queue
                    .retain(|held| !units.iter().any(|unit| unit.unit == held.unit.id && unit.attempt == held.attempt));
            }
            Some(CoordinatorMessage::Welcome { .. } | CoordinatorMessage::Ack { .. }) => {}
        }
        Ok(None)
    }

    /// Does what can be done now: asks the JVM, gives it its next unit, starts one, or tells one to end.
    fn advance(&mut self, coordinator: &Coordinator) -> Result<()> {
        if self.live.as_ref().is_none_or(Live::is_idle) {
            while let Some(asking) = self.asks.front().filter(|asking| asking.is_answered()) {
                coordinator.send(AgentMessage::DiscoveryFinished { task: asking.task.clone() })?;
                self.asks.pop_front();
            }
        }
        while self.live.is_none() && !(self.asks.is_empty() && self.queue.is_empty()) {
            self.start_jvm(coordinator)?;
        }
        let Some(live) = self.live.as_mut().filter(|live| live.is_idle()) else { return Ok(()) };
        let asking = self.asks.front_mut().filter(|asking| asking.task == live.task);
        if let Some(classes) = asking.and_then(Asking::next) {
            return live.ask(classes, Instant::now() + self.args.answer_within());
        }
        let fork_every = profile(&self.bundle, &live.task).map_or(0, |profile| profile.fork_every);
        let worn = fork_every > 0 && live.units_run >= fork_every;
        if self.asks.is_empty() && self.queue.is_empty() && !self.finishing {
            return Ok(());
        }
        let fits = self.asks.is_empty() && self.queue.front().is_some_and(|next| next.unit.task == live.task && !worn);
        match fits.then(|| self.queue.pop_front()).flatten() {
            Some(next) => live.run(next),
            None => live.end(),
        }
    }

    /// Starts a JVM for what is asked, otherwise for the first unit of the queue. One that can't be started takes that with it.
    fn start_jvm(&mut self, coordinator: &Coordinator) -> Result<()> {
        let asked = self.asks.front().map(|asking| asking.task.clone());
        let for_asking = asked.is_some();
        let next = || self.queue.front().map(|assigned| assigned.unit.task.clone());
        let Some(task) = asked.or_else(next) else { return Ok(()) };
        match self.launch(&task, for_asking) {
            Ok(live) => self.live = Some(live),
            Err(failure) => self.not_started(for_asking, &task, None, &failure.to_string(), coordinator)?,
        }
        Ok(())
    }

    fn launch(&mut self, task: &TaskPath, for_asking: bool) -> Result<Live> {
        let profile = profile(&self.bundle, task).ok_or_else(|| {
            Failure::new(FailureCode::WorkerBroken, format!("failed to find {task} in {}", self.args.bundle.display()))
                .hint("plan and bundle must come from one `prepare`")
        })?;
        self.started += 1;
        let control = self.args.temp.join(format!("jvm{}", self.started));
        fs::create_dir(&control).map_err(|error| Failure::io("create", &control, &error))?;
        let pipes = make_pipes(&control)?;
        let pipes = [pipes[0].as_path(), pipes[1].as_path()];
        let place = Place { args: &self.args, tmp: &self.tmp, control: &control };
        let launch = Launch::new(&self.bundle, profile, &place, pipes)?;
        let jvm = Jvm::start(&launch, &control, pipes)?;
        let note = self.args.temp.join(JVM_PID);
        fs::write(&note, jvm.pid.to_string()).map_err(|error| Failure::io("write", &note, &error))?;
        let (framework, options) = framework(&profile.framework);
        jvm.send(&ToHarness::Configure { protocol: VERSION, framework, options })?;
        // A JVM that waits for a debugger is not late.
        let ready_by = (!self.args.debug_jvm).then(|| Instant::now() + READY_WITHIN);
        Ok(Live::new(jvm, task.clone(), ready_by, for_asking))
    }

    fn overdue(&mut self) {
        let Some(live) = &mut self.live else { return };
        if live.ending {
            tracing::warn!("the test JVM of {} did not end by itself and is killed", live.task);
            live.deadline = None;
            live.jvm.kill();
        } else if live.asking {
            let limit = self.args.answer_within().as_secs();
            live.doom(format!("it gave no answer within {limit} s"));
            live.hung = true;
        } else {
            live.doom(format!("its harness was not ready within {} s", READY_WITHIN.as_secs()));
        }
    }

    fn take(&mut self, event: Option<JvmEvent>, coordinator: &Coordinator) -> Result<()> {
        let Some(live) = &mut self.live else { return Ok(()) };
        match event {
            Some(JvmEvent::Message(message)) => {
                if let Some(answers) = answers(live, &mut self.asks, &message) {
                    live.answer_by(Instant::now() + self.args.answer_within());
                    return answers.into_iter().try_for_each(|answer| coordinator.send(answer));
                }
                for message in live.translate(message) {
                    coordinator.send(message)?;
                }
                if live.ready {
                    self.proven.insert(live.task.clone());
                }
                Ok(())
            }
            Some(JvmEvent::Raw(stream, text)) => coordinator.send(live.raw(stream, text)),
            Some(JvmEvent::Ended(how)) => self.ended(how, coordinator),
            None => self.ended("its end was not seen".to_owned(), coordinator),
        }
    }

    fn ended(&mut self, how: String, coordinator: &Coordinator) -> Result<()> {
        let Some(live) = self.live.take() else { return Ok(()) };
        let (task, pid, ready, for_asking) = (live.task.clone(), Some(live.jvm.pid), live.ready, live.for_asking);
        let (asking, kind) = (live.asking, if live.hung { "NoAnswer" } else { "JvmDied" });
        let (running, reason) = live.into_end(how);
        let Some(reason) = reason else { return Ok(()) };
        if !ready {
            return self.not_started(for_asking, &task, pid, &reason, coordinator);
        }
        if asking {
            let of_task = self.asks.front_mut().filter(|asking| asking.task == task);
            let refused = of_task.and_then(|asking| asking.died(kind, &reason));
            return refused.map_or(Ok(()), |refused| coordinator.send(refused));
        }
        let unit = running.map(Assigned::into_attempt);
        coordinator.send(AgentMessage::JvmDied {
            task,
            unit,
            pid,
            reason,
            was_ready: true,
            cause: DeathCause::Died,
            evidence: Vec::new(),
        })
    }

    /// Tells of a JVM that did not start. Unless others of its profile did, what waits for the profile gets the same
    /// answer: a start for each would fail alike.
    fn not_started(
        &mut self,
        for_asking: bool,
        task: &TaskPath,
        pid: Option<u32>,
        reason: &str,
        coordinator: &Coordinator,
    ) -> Result<()> {
        if for_asking {
            // Nothing can be asked without a JVM; units that wait for one tell it again in their own turn.
            self.asks.retain(|asking| asking.task != *task);
            let (task, reason) = (task.clone(), reason.to_owned());
            let died = AgentMessage::JvmDied {
                task: task.clone(),
                unit: None,
                pid,
                reason,
                was_ready: false,
                cause: DeathCause::Died,
                evidence: Vec::new(),
            };
            coordinator.send(died)?;
            return coordinator.send(AgentMessage::DiscoveryFinished { task });
        }
        // It was started for the first unit of the queue, which goes with it.
        let first = self.queue.pop_front();
        let mut without = Vec::from_iter(first);
        if !self.proven.contains(task) {
            let (same, others): (VecDeque<_>, _) = self.queue.drain(..).partition(|waiting| waiting.unit.task == *task);
            self.queue = others;
            without.extend(same);
        }
        for assigned in without {
            let unit = Some(assigned.into_attempt());
            let (task, reason) = (task.clone(), reason.to_owned());
            coordinator.send(AgentMessage::JvmDied {
                task,
                unit,
                pid,
                reason,
                was_ready: false,
                cause: DeathCause::Died,
                evidence: Vec::new(),
            })?;
        }
        Ok(())
    }
}

/// What the coordinator is told when the message is an answer to what was asked.
fn answers(live: &mut Live, asks: &mut VecDeque<Asking>, message: &FromHarness) -> Option<Vec<AgentMessage>> {
    let asking = asks.front_mut().filter(|asking| live.asking && asking.task == live.task);
    let class = match message {
        FromHarness::Discovered { class, .. } | FromHarness::DiscoveryFailed { class, .. } => Some(class),
        FromHarness::DiscoveryFinished => None,
        _ => return None,
    };
    let Some(asking) = asking else {
        tracing::warn!("the harness answered what it was not asked");
        return Some(Vec::new());
    };
    let task = live.task.clone();
    let Some(class) = class else {
        live.asking = false;
        return Some(asking.finished());
    };
    if !asking.answered(class) {
        tracing::warn!("the harness told of {class}, which it was not asked about");
        return Some(Vec::new());
    }
    Some(match message.clone() {
        FromHarness::Discovered { class, engines, tests } => {
            vec![AgentMessage::Discovered { task, class, engines, tests }]
        }
        FromHarness::DiscoveryFailed { class, thrown } => vec![AgentMessage::DiscoveryFailed { task, class, thrown }],
        _ => Vec::new(),
    })
}

fn profile<'a>(bundle: &'a Bundle, task: &TaskPath) -> Option<&'a Profile> {
    bundle.profiles.iter().find(|profile| profile.task == *task)
}

/// What the JVM says next, once there is room to pass it on.
async fn next_event(live: &mut Option<Live>, room: impl Future<Output = ()>) -> Option<JvmEvent> {
    room.await;
    match live {
        Some(live) => live.jvm.next().await,
        None => std::future::pending().await,
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
