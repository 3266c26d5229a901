//! Takes units from the coordinator and runs them, one after another, in a harness JVM of their profile.

use crate::args::Args;
use crate::coordinator::Coordinator;
use crate::jvm::{Jvm, JvmEvent, make_pipes};
use crate::launch::{Launch, Place};
use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, ClassFailure, CoordinatorMessage, UnitAttempt};
use testfleet_protocol::bundle::{Bundle, Profile};
use testfleet_protocol::event::Attempt;
use testfleet_protocol::harness::{FromHarness, ToHarness};
use testfleet_protocol::plan::Unit;
use testfleet_protocol::request::Framework;
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::time::{Instant, sleep_until};

/// How long a JVM may take until its harness is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a JVM may take to end by itself (shutdown hooks write coverage) before it is killed.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(10);

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
    finishing: bool,
    live: Option<Live>,
    /// How many JVMs were started; names their folders.
    started: u32,
}

/// A unit in hand.
struct Assigned {
    unit: Unit,
    attempt: Attempt,
}

/// The JVM at work.
struct Live {
    jvm: Jvm,
    task: TaskPath,
    ready: bool,
    /// When it is killed unless it became ready, or ended, before.
    deadline: Option<Instant>,
    /// Told to end; it takes no more units.
    ending: bool,
    /// Why it is killed, when the agent does it.
    verdict: Option<String>,
    units_run: u32,
    running: Option<Running>,
}

/// The unit that a JVM runs.
struct Running {
    assigned: Assigned,
    failures: Vec<ClassFailure>,
}

impl Supervisor {
    pub(crate) fn new(args: Args, bundle: Bundle, tmp: PathBuf) -> Self {
        Self { args, bundle, tmp, queue: VecDeque::new(), finishing: false, live: None, started: 0 }
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
            self.advance(coordinator).await?;
            if self.finishing && self.queue.is_empty() && self.live.is_none() {
                coordinator.all_acknowledged().await;
                return Ok(Ending::Finished);
            }
            let deadline = self.live.as_ref().and_then(|live| live.deadline);
            tokio::select! {
                biased;
                message = coordinator.inbox.recv() => match message {
                    Some(CoordinatorMessage::Assign { unit, attempt }) => self.queue.push_back(Assigned { unit, attempt }),
                    Some(CoordinatorMessage::Finish) => self.finishing = true,
                    Some(CoordinatorMessage::Cancel) | None => return Ok(Ending::Stopped),
                    Some(CoordinatorMessage::Welcome { protocol, .. }) if protocol != VERSION => {
                        return Err(Failure::new(
                            FailureCode::ProtocolVersion,
                            format!("failed to work for a coordinator of protocol {protocol}; this agent speaks {VERSION}"),
                        )
                        .hint("use agent and engine of one Testfleet release"));
                    }
                    Some(CoordinatorMessage::Welcome { .. } | CoordinatorMessage::Ack { .. }) => {}
                },
                event = next_event(&mut self.live) => self.take(event, coordinator).await?,
                () = reached(deadline) => self.overdue(),
            }
        }
    }

    /// Does what can be done now: gives the JVM its next unit, starts one, or tells one to end.
    async fn advance(&mut self, coordinator: &Coordinator) -> Result<()> {
        loop {
            let wanted = self.queue.front().map(|assigned| &assigned.unit.task);
            match (&mut self.live, wanted) {
                (None, None) => return Ok(()),
                (None, Some(_)) => self.start_jvm(coordinator).await?,
                (Some(live), wanted) => {
                    if !live.ready || live.ending || live.running.is_some() {
                        return Ok(());
                    }
                    let worn = {
                        let fork_every = profile(&self.bundle, &live.task).map_or(0, |profile| profile.fork_every);
                        fork_every > 0 && live.units_run >= fork_every
                    };
                    match wanted {
                        Some(task) if *task == live.task && !worn => {
                            if let Some(assigned) = self.queue.pop_front() {
                                live.run(assigned)?;
                            }
                        }
                        None if !self.finishing => return Ok(()),
                        _ => live.end()?,
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Starts a JVM for the first unit of the queue. One that can't be started takes that unit with it.
    async fn start_jvm(&mut self, coordinator: &Coordinator) -> Result<()> {
        let Some(task) = self.queue.front().map(|assigned| assigned.unit.task.clone()) else { return Ok(()) };
        match self.launch(&task) {
            Ok(live) => self.live = Some(live),
            Err(failure) => {
                let unit = self.queue.pop_front().map(Assigned::into_attempt);
                let message =
                    AgentMessage::JvmDied { task, unit, pid: None, reason: failure.to_string(), was_ready: false };
                coordinator.send(message).await?;
            }
        }
        Ok(())
    }

    fn launch(&mut self, task: &TaskPath) -> Result<Live> {
        let profile = profile(&self.bundle, task).ok_or_else(|| {
            Failure::new(FailureCode::WorkerBroken, format!("failed to find {task} in {}", self.args.bundle.display()))
                .hint("plan and bundle must come from one `prepare`")
        })?;
        self.started += 1;
        let control = self.args.temp.join(format!("jvm{}", self.started));
        fs::create_dir_all(&control).map_err(|error| Failure::io("create", &control, &error))?;
        let pipes = make_pipes(&control)?;
        let pipes = [pipes[0].as_path(), pipes[1].as_path()];
        let place = Place { args: &self.args, tmp: &self.tmp, control: &control };
        let launch = Launch::new(&self.bundle, profile, &place, pipes)?;
        let jvm = Jvm::start(&launch, &control, pipes)?;
        let (framework, options) = framework(&profile.framework);
        jvm.send(&ToHarness::Configure { protocol: VERSION, framework, options })?;
        Ok(Live {
            jvm,
            task: task.clone(),
            ready: false,
            // A JVM that waits for a debugger is not late.
            deadline: (!self.args.debug_jvm).then(|| Instant::now() + READY_WITHIN),
            ending: false,
            verdict: None,
            units_run: 0,
            running: None,
        })
    }

    fn overdue(&mut self) {
        let Some(live) = &mut self.live else { return };
        if !live.ending {
            live.verdict = Some(format!("its harness was not ready within {} s", READY_WITHIN.as_secs()));
        }
        live.deadline = None;
        live.jvm.kill();
    }

    async fn take(&mut self, event: Option<JvmEvent>, coordinator: &Coordinator) -> Result<()> {
        let Some(live) = &mut self.live else { return Ok(()) };
        match event {
            Some(JvmEvent::Message(message)) => {
                if let Some(message) = live.translate(message) {
                    coordinator.send(message).await?;
                }
            }
            Some(JvmEvent::Raw(stream, text)) => {
                let unit = live.running.as_ref().map(|running| running.assigned.unit.id.clone());
                coordinator.send(AgentMessage::Output { unit, test: None, stream, text }).await?;
            }
            Some(JvmEvent::Ended(reason)) => self.ended(reason, coordinator).await?,
            None => self.ended("its end was not seen".to_owned(), coordinator).await?,
        }
        Ok(())
    }

    async fn ended(&mut self, reason: String, coordinator: &Coordinator) -> Result<()> {
        let Some(live) = self.live.take() else { return Ok(()) };
        if live.ending && live.running.is_none() {
            return Ok(());
        }
        let reason = live.verdict.map_or(reason.clone(), |verdict| format!("{verdict}; {reason}"));
        let running = live.running.map(|running| running.assigned);
        // A JVM that never got ready was started for the first unit of the queue, which goes with it.
        let unit = if live.ready { running } else { running.or_else(|| self.queue.pop_front()) };
        coordinator
            .send(AgentMessage::JvmDied {
                task: live.task,
                unit: unit.map(Assigned::into_attempt),
                pid: Some(live.jvm.pid),
                reason,
                was_ready: live.ready,
            })
            .await
    }
}

impl Assigned {
    fn into_attempt(self) -> UnitAttempt {
        UnitAttempt { unit: self.unit.id, attempt: self.attempt }
    }
}

impl Live {
    fn run(&mut self, assigned: Assigned) -> Result<()> {
        self.jvm.send(&ToHarness::RunUnit {
            unit: assigned.unit.id.0.clone(),
            class: assigned.unit.class.clone(),
            whole_class: assigned.unit.whole_class,
            tests: assigned.unit.tests.clone(),
        })?;
        self.units_run += 1;
        self.running = Some(Running { assigned, failures: Vec::new() });
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.ending = true;
        self.deadline = Some(Instant::now() + SHUTDOWN_WITHIN);
        self.jvm.send(&ToHarness::Shutdown)
    }

    /// What the coordinator is told of what the harness said.
    fn translate(&mut self, message: FromHarness) -> Option<AgentMessage> {
        let in_hand = self.running.as_ref().map(|running| (running.assigned.unit.id.clone(), running.assigned.attempt));
        match (message, in_hand) {
            (FromHarness::Ready { protocol, java_version }, _) => {
                tracing::info!("harness ready on Java {java_version}, protocol {protocol}");
                if protocol == VERSION {
                    self.ready = true;
                    self.deadline = None;
                    return Some(AgentMessage::JvmStarted { task: self.task.clone(), pid: self.jvm.pid });
                }
                self.doom(format!("its harness speaks protocol {protocol}, not {VERSION}"));
                None
            }
            (FromHarness::Fault { message, hint }, _) => {
                let hint = if hint.is_empty() { hint } else { format!(" (hint: {hint})") };
                self.doom(format!("{message}{hint}"));
                None
            }
            (FromHarness::Output { test, stream, bytes, .. }, in_hand) => Some(AgentMessage::Output {
                unit: in_hand.map(|(unit, _)| unit),
                test,
                stream,
                text: String::from_utf8_lossy(&bytes).into_owned(),
            }),
            (FromHarness::TestStarted { test, .. }, Some((unit, attempt))) => {
                Some(AgentMessage::TestStarted { unit, attempt, test })
            }
            (FromHarness::InvocationFinished { test, invocation, finished, .. }, Some((unit, attempt))) => {
                Some(AgentMessage::InvocationFinished { unit, attempt, test, invocation, finished })
            }
            (FromHarness::TestFinished { test, finished, .. }, Some((unit, attempt))) => {
                Some(AgentMessage::TestFinished { unit, attempt, test, finished })
            }
            (FromHarness::ClassFailed { class, thrown, .. }, Some(_)) => {
                self.running.as_mut()?.failures.push(ClassFailure { class, thrown });
                None
            }
            (FromHarness::UnitFinished { .. }, Some((unit, attempt))) => {
                let failures = self.running.take()?.failures;
                Some(AgentMessage::UnitFinished { unit, attempt, failures })
            }
            (message, None) => {
                tracing::warn!("the harness spoke of a unit that is not in hand: {message:?}");
                None
            }
        }
    }

    fn doom(&mut self, verdict: String) {
        self.verdict = Some(verdict);
        self.ending = true;
        self.jvm.kill();
    }
}

fn profile<'a>(bundle: &'a Bundle, task: &TaskPath) -> Option<&'a Profile> {
    bundle.profiles.iter().find(|profile| profile.task == *task)
}

async fn next_event(live: &mut Option<Live>) -> Option<JvmEvent> {
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

/// A framework's name and options as the harness takes them.
fn framework(framework: &Framework) -> (String, Vec<(String, String)>) {
    let mut options = Vec::new();
    let mut all = |name: &str, values: &[String]| {
        options.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
    };
    let name = match framework {
        Framework::JunitPlatform { include_tags, exclude_tags, include_engines, exclude_engines } => {
            all("includeTags", include_tags);
            all("excludeTags", exclude_tags);
            all("includeEngines", include_engines);
            all("excludeEngines", exclude_engines);
            "junit-platform"
        }
        Framework::JUnit4 { include_categories, exclude_categories } => {
            all("includeCategories", include_categories);
            all("excludeCategories", exclude_categories);
            "junit4"
        }
        Framework::TestNg { include_groups, exclude_groups, listeners, parallel, thread_count } => {
            all("includeGroups", include_groups);
            all("excludeGroups", exclude_groups);
            all("listeners", listeners);
            all("parallel", parallel.as_slice());
            if *thread_count > 0 {
                all("threadCount", &[thread_count.to_string()]);
            }
            "testng"
        }
    };
    (name.to_owned(), options)
}
