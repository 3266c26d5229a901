//! The JVM at work, and what its harness says in the coordinator's words.

use crate::collect::Collector;
use crate::deadlines::{Deadlines, Overdue};
use crate::dumps::Dumps;
use crate::ending::{Doom, is_out_of_memory};
use crate::jvm::Jvm;
use crate::output::{Outputs, Rest};
use crate::ready::unfit;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use testfleet_protocol::Result;
use testfleet_protocol::agent::{AgentMessage, ClassFailure, DeathCause, FileOf, UnitAttempt};
use testfleet_protocol::event::Attempt;
use testfleet_protocol::harness::{FromHarness, ToHarness};
use testfleet_protocol::plan::{Unit, UnitId};
use testfleet_protocol::test::{Finished, Stream, TaskPath, TestName};
use tokio::time::Instant;

/// How long a JVM may take to end by itself (shutdown hooks write coverage) before it is killed.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(10);

/// A unit in hand.
pub(crate) struct Assigned {
    pub(crate) unit: Unit,
    pub(crate) attempt: Attempt,
    /// Whether it wants a JVM for itself.
    pub(crate) fresh_jvm: bool,
}

impl Assigned {
    pub(crate) fn into_attempt(self) -> UnitAttempt {
        UnitAttempt { unit: self.unit.id, attempt: self.attempt }
    }

    pub(crate) fn is(&self, other: &UnitAttempt) -> bool {
        self.unit.id == other.unit && self.attempt == other.attempt
    }
}

/// What a JVM leaves that comes back.
pub(crate) struct Leavings {
    /// Where a crash tells of it; `%p` is the process id.
    pub(crate) crash_file: PathBuf,
    /// When the JVM's folder was made ready, by the clock that stamps files; what is older is of another JVM.
    pub(crate) started: Option<SystemTime>,
    /// Where JaCoCo writes, if it is there.
    pub(crate) coverage: Option<PathBuf>,
    /// Tells the JVM from all others of this worker's number.
    pub(crate) name: String,
    /// Looks for what tests produce.
    pub(crate) collector: Option<Collector>,
    /// How many processes the system had killed for lack of memory when it started.
    pub(crate) oom_kills: Option<u64>,
}

/// The JVM at work.
pub(crate) struct Live {
    pub(crate) jvm: Jvm,
    pub(crate) task: TaskPath,
    /// Feature release that its Test task wants.
    java_version: u32,
    pub(crate) leavings: Leavings,
    pub(crate) ready: bool,
    /// Whether it was started to be asked.
    pub(crate) for_asking: bool,
    /// Whether it looks for the tests of classes.
    pub(crate) asking: bool,
    /// Whether it was killed because it gave no answer.
    pub(crate) hung: bool,
    /// When it is killed unless it became ready, answered, or ended, before.
    pub(crate) deadline: Option<Instant>,
    /// Told to end, or killed; it takes no more units.
    pub(crate) ending: bool,
    /// Why the agent kills it, when that is no ordinary end.
    pub(crate) doom: Option<Doom>,
    /// Asked for before it is killed.
    pub(crate) dumps: Option<Dumps>,
    /// Stacks of those who called `System.exit`.
    pub(crate) exit_stacks: Option<String>,
    /// Whether it is killed because its unit is wanted no more: nobody is told.
    pub(crate) dropped: bool,
    /// Files that are complete.
    pub(crate) files: Vec<(FileOf, PathBuf)>,
    /// How many units it was given.
    pub(crate) units_run: u32,
    /// Whether it is no good for another unit: one had it for itself, or a test ran out of memory.
    pub(crate) worn: bool,
    /// Whether classes of tests may have been initialised in it.
    used: bool,
    deadlines: Deadlines,
    outputs: Outputs,
    running: Option<Assigned>,
}

/// What is known of a JVM that was just started and configured.
pub(crate) struct Started {
    pub(crate) jvm: Jvm,
    pub(crate) task: TaskPath,
    /// Feature release that its Test task wants.
    pub(crate) java_version: u32,
    pub(crate) leavings: Leavings,
    /// When it has to be ready.
    pub(crate) ready_by: Option<Instant>,
    pub(crate) for_asking: bool,
    pub(crate) deadlines: Deadlines,
    pub(crate) outputs: Outputs,
}

impl Live {
    pub(crate) fn new(started: Started) -> Self {
        let Started { jvm, task, java_version, leavings, ready_by, for_asking, deadlines, outputs } = started;
        Self {
            jvm,
            task,
            java_version,
            leavings,
            ready: false,
            for_asking,
            asking: false,
            hung: false,
            deadline: ready_by,
            ending: false,
            doom: None,
            dumps: None,
            exit_stacks: None,
            dropped: false,
            files: Vec::new(),
            units_run: 0,
            worn: false,
            used: false,
            deadlines,
            outputs,
            running: None,
        }
    }

    /// Whether it can take a unit, or be told to end.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready && !self.ending && !self.asking && self.running.is_none()
    }

    /// The file with what JaCoCo has written, if it has, and what that is. What was loaded to be asked about is no coverage.
    pub(crate) fn coverage(&self, so_far: bool) -> Option<(FileOf, &Path)> {
        let file = self.leavings.coverage.as_deref().filter(|_| !self.for_asking || self.units_run > 0)?;
        let is_written = fs::metadata(file).is_ok_and(|about| about.len() > 0);
        let of = FileOf::Jacoco { task: self.task.clone(), jvm: self.leavings.name.clone(), so_far };
        is_written.then_some((of, file))
    }

    /// Whether it may run this unit.
    pub(crate) fn suits(&self, next: &Assigned) -> bool {
        next.unit.task == self.task && !self.worn && !(next.fresh_jvm && self.used)
    }

    /// Whether it runs this try at a unit.
    pub(crate) fn runs(&self, unit: &UnitAttempt) -> bool {
        self.running.as_ref().is_some_and(|running| running.is(unit))
    }

    /// What it runs.
    pub(crate) fn unit(&self) -> Option<UnitAttempt> {
        self.running.as_ref().map(|running| {
            let Assigned { unit, attempt, .. } = running;
            UnitAttempt { unit: unit.id.clone(), attempt: *attempt }
        })
    }

    /// Asks it for the tests of classes.
    pub(crate) fn ask(&mut self, classes: Vec<String>, answer_by: Instant) -> Result<()> {
        self.jvm.send(&ToHarness::Discover { classes })?;
        self.asking = true;
        self.used = true;
        self.deadline = Some(answer_by);
        Ok(())
    }

    /// It answered: the next answer may take its time again, if there is one to come.
    pub(crate) fn answer_by(&mut self, next: Instant) {
        if !self.ending {
            self.deadline = self.asking.then_some(next);
        }
    }

    /// Gives it a unit.
    pub(crate) fn run(&mut self, assigned: Assigned) -> Result<()> {
        self.jvm.send(&ToHarness::RunUnit {
            unit: assigned.unit.id.0.clone(),
            class: assigned.unit.class.clone(),
            whole_class: assigned.unit.whole_class,
            tests: assigned.unit.tests.clone(),
            invocations: assigned.unit.slice.map(|slice| slice.invocations),
        })?;
        self.units_run += 1;
        self.used = true;
        self.worn |= assigned.fresh_jvm;
        self.deadlines.unit_started(Instant::now());
        self.running = Some(assigned);
        Ok(())
    }

    /// Tells it to end in order.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.ending = true;
        self.deadline = Some(Instant::now() + SHUTDOWN_WITHIN);
        self.jvm.send(&ToHarness::Shutdown)
    }

    /// Kills it for a reason that its death is then told with; the first one counts.
    pub(crate) fn doom(&mut self, doom: Doom) {
        self.doom.get_or_insert(doom);
        self.ending = true;
        self.deadline = None;
        self.jvm.kill();
    }

    /// Kills it because its unit is wanted no more.
    pub(crate) fn drop_unit(&mut self) {
        self.dropped = true;
        self.ending = true;
        self.deadline = None;
        self.jvm.kill();
    }

    /// When it is to be looked at.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.dumps {
            Some(dumps) => (!dumps.is_done()).then(|| dumps.due()),
            None if self.ending => self.deadline,
            None => self.deadline.into_iter().chain(self.deadlines.next()).min(),
        }
    }

    /// Time passed in which nobody listened to it.
    pub(crate) fn postpone(&mut self, by: Duration) {
        self.deadlines.postpone(by);
    }

    /// What it runs that is over its limit.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Overdue> {
        if self.ending { None } else { self.deadlines.overdue(now) }
    }

    /// Something took too long: it is to end, once it has told where its threads are.
    pub(crate) fn condemn(&mut self, overdue: Overdue, now: Instant) {
        let seconds = |limit: Duration| format!("{} s", limit.as_secs_f64());
        let doom = match overdue {
            Overdue::Tests(limit, blamed) => {
                let names = blamed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let verdict = format!("{names} took longer than the limit of {} for a test", seconds(limit));
                Doom { verdict, cause: DeathCause::TestTimeout, blamed, evidence: Vec::new() }
            }
            Overdue::Run(limit) => {
                let verdict = format!("the run took longer than its limit of {}", seconds(limit));
                let blamed = self.deadlines.running();
                Doom { verdict, cause: DeathCause::RunTimeout, blamed, evidence: Vec::new() }
            }
            Overdue::Class(limit) => {
                let class = self.running.as_ref().map_or("", |running| &running.unit.class);
                let verdict = format!("{class} took longer than the limit of {} for a class", seconds(limit));
                let blamed = self.deadlines.running();
                Doom { verdict, cause: DeathCause::ClassTimeout, blamed, evidence: Vec::new() }
            }
        };
        self.doom = Some(doom);
        self.ending = true;
        self.deadline = None;
        let dumps = Dumps::ask(self.jvm.pid, now);
        if dumps.is_done() {
            self.jvm.kill();
        }
        self.dumps = Some(dumps);
    }

    /// Goes on with the thread dumps, and kills it when they are there.
    pub(crate) fn go_on_dumping(&mut self, now: Instant) -> Vec<AgentMessage> {
        let Some(dumps) = &mut self.dumps else { return Vec::new() };
        let output = dumps.go_on(now);
        if dumps.is_done() {
            self.jvm.kill();
        }
        output.into_iter().flat_map(|(stream, text)| self.raw_output(stream, &text)).collect()
    }

    /// Whether it ended as it was told to.
    pub(crate) fn ended_as_told(&self) -> bool {
        self.dropped || self.ending && self.doom.is_none() && self.running.is_none() && !self.asking
    }

    /// It ended: the unit that it ran, why it was killed, and the last output.
    pub(crate) fn into_end(mut self) -> (Option<Assigned>, Option<Doom>, Rest) {
        let mut messages = Vec::new();
        if let Some(dumps) = self.dumps.take() {
            let (evidence, output) = dumps.end();
            messages = output.into_iter().flat_map(|(stream, text)| self.raw_output(stream, &text)).collect();
            self.doom.iter_mut().for_each(|doom| doom.evidence.extend(evidence.iter().cloned()));
        }
        let mut rest = self.outputs.all_ended();
        messages.append(&mut rest.messages);
        rest.messages = messages;
        rest.files.append(&mut self.files);
        (self.running.take(), self.doom.take(), rest)
    }

    /// What the JVM process itself wrote.
    pub(crate) fn raw(&mut self, stream: Stream, text: &str) -> Vec<AgentMessage> {
        match &mut self.dumps {
            Some(dumps) => {
                dumps.take(stream, text, Instant::now());
                Vec::new()
            }
            None => self.raw_output(stream, text),
        }
    }

    fn raw_output(&mut self, stream: Stream, text: &str) -> Vec<AgentMessage> {
        let unit = self.running.as_ref().map(|running| running.unit.id.clone());
        self.outputs.take(unit, None, stream, text.as_bytes())
    }

    /// What the coordinator is told of what the harness said.
    pub(crate) fn translate(&mut self, message: FromHarness) -> Vec<AgentMessage> {
        match message {
            FromHarness::Ready { protocol, java_version } => {
                tracing::info!("harness ready on Java {java_version}, protocol {protocol}");
                if let Some(doom) = unfit(&self.task, self.java_version, protocol, &java_version) {
                    self.doom(doom);
                    return Vec::new();
                }
                self.ready = true;
                self.deadline = None;
                vec![AgentMessage::JvmStarted { task: self.task.clone(), pid: self.jvm.pid }]
            }
            FromHarness::Fault { message, hint } => {
                self.doom(Doom::fault(&message, &hint));
                Vec::new()
            }
            FromHarness::Output { unit, test, stream, bytes } => {
                let unit = (!unit.is_empty()).then_some(UnitId(unit));
                self.outputs.take(unit, test, stream, &bytes)
            }
            FromHarness::TestStarted { unit, test } => {
                let told = self.of_test(&unit, &test, |unit, attempt| AgentMessage::TestStarted {
                    unit,
                    attempt,
                    test: test.clone(),
                });
                if !told.is_empty() {
                    self.deadlines.test_started(test, Instant::now());
                }
                told
            }
            FromHarness::TestPaused { unit: _, test } => {
                self.deadlines.test_paused(&test, Instant::now());
                Vec::new()
            }
            FromHarness::TestResumed { unit: _, test } => {
                self.deadlines.test_resumed(&test, Instant::now());
                Vec::new()
            }
            FromHarness::InvocationFinished { unit, test, invocation, finished } => {
                self.note(&finished);
                self.of_test(&unit, &test, |unit, attempt| AgentMessage::InvocationFinished {
                    unit,
                    attempt,
                    test: test.clone(),
                    invocation,
                    finished,
                })
            }
            FromHarness::TestFinished { unit, test, finished } => {
                self.note(&finished);
                self.deadlines.test_finished(&test);
                let ended = self.of_test(&unit, &test, |unit, attempt| AgentMessage::TestFinished {
                    unit,
                    attempt,
                    test: test.clone(),
                    finished,
                });
                // What it wrote goes before its end.
                let mut told = self.keep_files(|outputs| outputs.test_ended(&UnitId(unit), &test));
                told.extend(ended);
                told
            }
            FromHarness::ClassFailed { unit, class, thrown } => {
                self.worn |= is_out_of_memory(&thrown.stack);
                self.of_unit(&unit, |unit, attempt| {
                    let failure = ClassFailure { class, thrown };
                    AgentMessage::ClassFailed { unit, attempt, failure }
                })
            }
            FromHarness::ExitCalled { stacks } => {
                self.exit_stacks = Some(stacks);
                Vec::new()
            }
            FromHarness::Discovered { .. } | FromHarness::DiscoveryFailed { .. } | FromHarness::DiscoveryFinished => {
                Vec::new()
            }
            // One that is about to be killed keeps its unit, whose verdict its death brings.
            FromHarness::UnitFinished { .. } if self.doom.is_some() => Vec::new(),
            FromHarness::UnitFinished { unit } => {
                let Some(assigned) = self.running.take_if(|running| running.unit.id.0 == unit) else {
                    return Vec::new();
                };
                self.deadlines.unit_finished();
                let Assigned { unit: Unit { id: unit, .. }, attempt, .. } = assigned;
                let mut told = self.keep_files(|outputs| outputs.unit_ended(&unit));
                told.push(AgentMessage::UnitFinished { unit, attempt });
                told
            }
        }
    }

    /// A JVM in which memory ran out may be damaged in ways that no test shows: another takes over after the unit.
    fn note(&mut self, finished: &Finished) {
        self.worn |= finished.thrown.iter().any(|thrown| is_out_of_memory(&thrown.stack));
    }

    fn keep_files(&mut self, ended: impl FnOnce(&mut Outputs) -> Rest) -> Vec<AgentMessage> {
        let rest = ended(&mut self.outputs);
        self.files.extend(rest.files);
        rest.messages
    }

    /// A message about a test of the unit that runs. What is said of a test after it was found
    /// to be over its limit comes too late.
    fn of_test(
        &self,
        unit: &str,
        test: &TestName,
        message: impl FnOnce(UnitId, Attempt) -> AgentMessage,
    ) -> Vec<AgentMessage> {
        if self.doom.as_ref().is_some_and(|doom| doom.blamed.contains(test)) {
            return Vec::new();
        }
        self.of_unit(unit, message)
    }

    /// A message about the unit that runs; one about another is none.
    fn of_unit(&self, unit: &str, message: impl FnOnce(UnitId, Attempt) -> AgentMessage) -> Vec<AgentMessage> {
        match self.running.as_ref().filter(|running| running.unit.id.0 == unit) {
            Some(running) => vec![message(running.unit.id.clone(), running.attempt)],
            None => {
                tracing::warn!("the harness told of {unit}, which it does not run");
                Vec::new()
            }
        }
    }
}
