//! Takes units from the coordinator and runs them, one after another, in a harness JVM of their profile.

use crate::args::Args;
use crate::asking::Asking;
use crate::collect::Collector;
use crate::coordinator::Coordinator;
use crate::deadlines::{Deadlines, Overdue};
use crate::ending::{Death, Doom};
use crate::framework::framework;
use crate::jvm::{Jvm, JvmEnd, JvmEvent, make_pipes};
use crate::launch::{Launch, Place};
use crate::leaving::Leaving;
use crate::live::{Assigned, Leavings, Live, Started};
use crate::outgoing::Outgoing;
use crate::output::Outputs;
use crate::usage::used;
use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use testfleet_host::oom_kills;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, JVM_PID, UnitAttempt};
use testfleet_protocol::bundle::{Bundle, Profile};
use testfleet_protocol::harness::{FromHarness, ToHarness};
use testfleet_protocol::run_options::{Rules, Timeouts};
use testfleet_protocol::test::{Stream, TaskPath};
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::signal::unix::Signal;
use tokio::time::{Instant, sleep_until};

/// How long a JVM may take until its harness is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Bytes of files that may always wait on the disk to be sent, before the JVM has to wait.
const HELD_ON_DISK: u64 = 64 << 20;

/// How the agent's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Told to finish or to leave, and everything was handed over.
    Finished,
    /// Told to stop at once, or the coordinator is gone.
    Stopped,
}

pub(crate) struct Supervisor {
    pub(crate) args: Args,
    bundle: Bundle,
    tmp: PathBuf,
    /// Known from the first welcome on.
    rules: Rules,
    pub(crate) queue: VecDeque<Assigned>,
    /// What is asked about; goes before the queue.
    pub(crate) asks: VecDeque<Asking>,
    pub(crate) finishing: bool,
    pub(crate) live: Option<Live>,
    pub(crate) outgoing: Outgoing,
    /// Since when the JVM is not listened to, because too much waits to be sent.
    stalled: Option<Instant>,
    /// How many JVMs were started; names their folders.
    started: u32,
    /// It has to end.
    pub(crate) leaving: Option<Leaving>,
}

impl Supervisor {
    pub(crate) fn new(args: Args, bundle: Bundle, tmp: PathBuf, outgoing: Outgoing) -> Self {
        Self {
            args,
            bundle,
            tmp,
            rules: Rules::default(),
            queue: VecDeque::new(),
            asks: VecDeque::new(),
            finishing: false,
            live: None,
            outgoing,
            stalled: None,
            started: 0,
            leaving: None,
        }
    }

    /// Works until it is told to end.
    ///
    /// # Errors
    /// When the agent itself can't go on; a JVM that fails is told to the coordinator instead.
    pub(crate) async fn work(&mut self, coordinator: &mut Coordinator, terminated: &mut Signal) -> Result<Ending> {
        let mut gone = coordinator.gone.clone();
        tokio::select! {
            biased;
            _ = gone.wait_for(|gone| *gone) => Ok(Ending::Stopped),
            ending = self.turns(coordinator, terminated) => ending,
        }
    }

    async fn turns(&mut self, coordinator: &mut Coordinator, terminated: &mut Signal) -> Result<Ending> {
        loop {
            if self.leaving.is_some() {
                self.hand_back_waiting(coordinator, false)?;
            }
            self.advance(coordinator)?;
            let leave_by = self.leaving.map(Leaving::until);
            let idle = self.queue.is_empty() && self.asks.is_empty() && self.live.is_none();
            if self.finishing && idle && self.outgoing.is_empty() {
                if let Some(usage) = self.args.tell_usage.then(used).flatten() {
                    coordinator.send(AgentMessage::Used { usage })?;
                }
                return tokio::select! {
                    () = coordinator.all_acknowledged() => Ok(Ending::Finished),
                    () = reached(leave_by) => Ok(Ending::Stopped),
                };
            }
            self.note_stall(coordinator);
            let due = self.live.as_ref().and_then(Live::due);
            let (stalled, no_room) = (self.stalled.is_some(), !coordinator.has_room());
            let (room, room_for_files) = (coordinator.room(), coordinator.room_for_files());
            let files = !self.outgoing.is_empty();
            tokio::select! {
                // What was said goes before what happens, and results before files.
                biased;
                message = coordinator.inbox.recv() => {
                    if let Some(ending) = self.hear(message)? {
                        return Ok(ending);
                    }
                }
                _ = terminated.recv() => self.leave(coordinator)?,
                () = reached(leave_by) => {
                    if self.leave_at_last(coordinator)? {
                        return Ok(Ending::Stopped);
                    }
                }
                event = next_event(&mut self.live), if !stalled => self.take(event, coordinator)?,
                () = reached(due), if !stalled => self.time_is_up(coordinator)?,
                () = room_for_files, if files => {
                    if let Some(piece) = self.outgoing.next_piece() {
                        coordinator.send(piece)?;
                    }
                }
                () = room, if no_room => {}
            }
        }
    }

    /// While too much waits for the coordinator or on the disk, the JVM is not listened to, and no time counts for it.
    fn note_stall(&mut self, coordinator: &Coordinator) {
        let may_go_on =
            coordinator.has_room() && self.outgoing.bytes() <= self.rules.output.file_bytes.max(HELD_ON_DISK);
        if !may_go_on {
            self.stalled.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.stalled.take()
            && let Some(live) = &mut self.live
        {
            live.postpone(since.elapsed());
        }
    }

    fn hear(&mut self, message: Option<CoordinatorMessage>) -> Result<Option<Ending>> {
        match message {
            Some(CoordinatorMessage::Assign { unit, attempt, fresh_jvm }) => {
                self.queue.push_back(Assigned { unit, attempt, fresh_jvm });
            }
            Some(CoordinatorMessage::Ask { task, classes }) => self.asks.push_back(Asking::new(task, classes)),
            Some(CoordinatorMessage::Finish) => self.finishing = true,
            Some(CoordinatorMessage::Condemn { limit_ms }) => self.condemn(Duration::from_millis(limit_ms)),
            Some(CoordinatorMessage::Cancel) | None => return Ok(Some(Ending::Stopped)),
            Some(CoordinatorMessage::Welcome { protocol, .. }) if protocol != VERSION => {
                return Err(Failure::new(
                    FailureCode::ProtocolVersion,
                    format!("failed to work for a coordinator of protocol {protocol}; this agent speaks {VERSION}"),
                )
                .hint("use agent and engine of one Testfleet release"));
            }
            Some(CoordinatorMessage::Drop { units }) => self.give_up(&units),
            Some(CoordinatorMessage::Welcome { rules, .. }) => self.rules = rules,
            Some(CoordinatorMessage::Ack { .. }) => {}
        }
        Ok(None)
    }

    /// Forgets units that another has now, and stops the one of them that runs.
    fn give_up(&mut self, units: &[UnitAttempt]) {
        self.queue.retain(|held| !units.iter().any(|unit| held.is(unit)));
        if let Some(live) = self.live.as_mut().filter(|live| units.iter().any(|unit| live.runs(unit))) {
            live.drop_unit();
        }
    }

    /// The run takes too long: what runs ends once it has told where its threads are, and nothing follows it.
    fn condemn(&mut self, limit: Duration) {
        self.queue.clear();
        if let Some(live) = self.live.as_mut().filter(|live| live.unit().is_some() && !live.ending) {
            live.condemn(Overdue::Run(limit), Instant::now());
        }
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
        let fits = self.asks.is_empty() && !worn && self.queue.front().is_some_and(|next| live.suits(next));
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
            // The worker's own folder is the trouble, not the unit: another worker may run it.
            Err(failure) if failure.code == FailureCode::Io => return Err(failure),
            Err(failure) => {
                let death = Death::for_reason(failure.to_string());
                self.not_started(for_asking, &task, None, &death, coordinator)?;
            }
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
        let leavings = Leavings {
            crash_file: launch.crash_file.clone(),
            started: fs::metadata(&control).and_then(|about| about.modified()).ok(),
            coverage: launch.coverage.clone(),
            name: format!("{}-{}", self.args.life, self.started),
            collector: Collector::new(&self.rules.collect, task, &launch.working_dir),
            oom_kills: oom_kills(),
        };
        let jvm = Jvm::start(&launch, &control, pipes)?;
        let note = self.args.temp.join(JVM_PID);
        fs::write(&note, jvm.pid.to_string()).map_err(|error| Failure::io("write", &note, &error))?;
        let (framework, options) = framework(&profile.framework);
        jvm.send(&ToHarness::Configure { protocol: VERSION, framework, options })?;
        // A JVM that waits for a debugger is not late, and neither is who debugs.
        let ready_by = (!self.args.debug_jvm).then(|| Instant::now() + READY_WITHIN);
        let mut timeouts = if self.args.debug_jvm { Timeouts::default() } else { self.rules.timeouts };
        if let Some(limit) = profile.class_timeout_ms.filter(|_| !self.args.debug_jvm) {
            timeouts.class_ms = Some(timeouts.class_ms.map_or(limit, |class| class.min(limit)));
        }
        Ok(Live::new(Started {
            jvm,
            task: task.clone(),
            java_version: profile.java_version,
            leavings,
            ready_by,
            for_asking,
            deadlines: Deadlines::new(timeouts),
            outputs: Outputs::new(self.rules.output, task.clone(), self.outgoing.folder(), self.started),
        }))
    }

    fn time_is_up(&mut self, coordinator: &Coordinator) -> Result<()> {
        let now = Instant::now();
        let Some(live) = &mut self.live else { return Ok(()) };
        if live.dumps.is_some() {
            return live.go_on_dumping(now).into_iter().try_for_each(|message| coordinator.send(message));
        }
        if live.overdue(now).is_some() {
            // What it has said already counts: a test may have come to its end in time.
            while let Some(event) = self.live.as_mut().and_then(|live| live.jvm.next_at_hand()) {
                self.take(Some(event), coordinator)?;
            }
            if let Some(live) = &mut self.live
                && let Some(overdue) = live.overdue(now)
            {
                live.condemn(overdue, now);
            }
            return Ok(());
        }
        if live.deadline.is_some_and(|deadline| deadline <= now) {
            self.too_slow();
        }
        Ok(())
    }

    fn too_slow(&mut self) {
        let Some(live) = &mut self.live else { return };
        if live.ending {
            tracing::warn!("the test JVM of {} did not end by itself and is killed", live.task);
            live.deadline = None;
            live.jvm.kill();
        } else if live.asking {
            let limit = self.args.answer_within().as_secs();
            live.doom(Doom::for_reason(format!("it gave no answer within {limit} s")));
            live.hung = true;
        } else {
            let limit = READY_WITHIN.as_secs();
            live.doom(Doom::for_reason(format!("its harness was not ready within {limit} s")));
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
                let unit_ends = matches!(message, FromHarness::UnitFinished { .. });
                for message in live.translate(message) {
                    // What no frame can hold is the fault of its unit, not the end of the worker.
                    if let Err(failure) = coordinator.send(message) {
                        live.doom(Doom::for_reason(failure.to_string()));
                    }
                }
                for (of, path) in live.files.drain(..) {
                    self.outgoing.push(of, path);
                }
                if unit_ends && let Some((of, file)) = live.coverage(true) {
                    self.outgoing.push_moved(of, file);
                }
                let collector = live.leavings.collector.as_mut().filter(|_| unit_ends);
                let remarks = collector.map(|collector| collector.after_unit(&mut self.outgoing)).unwrap_or_default();
                remark(remarks, coordinator)
            }
            Some(JvmEvent::Raw(stream, text)) => {
                live.raw(stream, &text).into_iter().try_for_each(|message| coordinator.send(message))
            }
            Some(JvmEvent::Ended(end)) => self.ended(end, coordinator),
            None => self.ended(JvmEnd::unknown("its end was not seen".to_owned()), coordinator),
        }
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

/// Says something of the agent's own, between tests.
pub(crate) fn remark(remarks: Vec<String>, coordinator: &Coordinator) -> Result<()> {
    remarks.into_iter().try_for_each(|remark| {
        let text = format!("[Testfleet: {remark}]\n");
        coordinator.send(AgentMessage::Output { unit: None, test: None, stream: Stream::Stderr, text })
    })
}

/// What the JVM says next.
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
