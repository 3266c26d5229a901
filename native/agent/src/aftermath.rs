//! What follows when a JVM has ended, or could not be started.

use crate::coordinator::Coordinator;
use crate::ending::{Death, Traces, crash_file, crash_head};
use crate::jvm::JvmEnd;
use crate::live::{Assigned, Live};
use crate::supervisor::{Supervisor, remark};
use std::path::PathBuf;
use testfleet_host::oom_kills;
use testfleet_protocol::Result;
use testfleet_protocol::agent::{AgentMessage, FileOf, UnitAttempt};
use testfleet_protocol::test::TaskPath;

impl Supervisor {
    /// The JVM ended; everything it said was taken.
    pub(crate) fn ended(&mut self, end: JvmEnd, coordinator: &Coordinator) -> Result<()> {
        let Some(mut live) = self.live.take() else { return Ok(()) };
        let (task, pid, ready, for_asking) = (live.task.clone(), live.jvm.pid, live.ready, live.for_asking);
        let (asking, kind) = (live.asking, if live.hung { "NoAnswer" } else { "JvmDied" });
        let (as_told, dropped, exit_stacks) = (live.ended_as_told(), live.dropped, live.exit_stacks.take());
        let oom_kill = matches!((live.leavings.oom_kills, oom_kills()), (Some(before), Some(now)) if now > before);
        let (remarks, crash) = self.gather(&mut live);
        let (running, doom, rest) = live.into_end();
        for (of, path) in rest.files {
            self.outgoing.push(of, path);
        }
        remark(remarks, coordinator)?;
        if !dropped {
            rest.messages.into_iter().try_for_each(|message| coordinator.send(message))?;
        }
        if as_told {
            return Ok(());
        }
        let death = Traces { end, doom, exit_stacks, crash, oom_kill }.tell();
        if !ready {
            return self.not_started(for_asking, &task, Some(pid), &death, coordinator);
        }
        if asking {
            let of_task = self.asks.front_mut().filter(|asking| asking.task == task);
            let refused = of_task.and_then(|asking| asking.died(kind, &death.reason));
            return refused.map_or(Ok(()), |refused| coordinator.send(refused));
        }
        let unit = running.map(Assigned::into_attempt);
        coordinator.send(died(task, unit, Some(pid), true, death))
    }

    /// Takes what the JVM left: coverage, what a crash tells, what tests produced. Returns remarks, and the beginning of
    /// the crash's file.
    fn gather(&mut self, live: &mut Live) -> (Vec<String>, Option<String>) {
        let task = || live.task.clone();
        let mut remarks = Vec::new();
        if let Some(collector) = &mut live.leavings.collector {
            remarks = collector.take(&mut self.outgoing);
        }
        if let Some((of, file)) = live.coverage(false) {
            self.outgoing.push_moved(of, file);
        }
        let crash: Option<PathBuf> = crash_file(&live.leavings.crash_file, live.jvm.pid, live.leavings.started);
        let head = crash.as_deref().and_then(crash_head);
        if let Some(file) = crash.filter(|_| head.is_some()) {
            let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            self.outgoing.push_copied(FileOf::Crash { task: task(), name }, &file);
        }
        (remarks, head)
    }

    /// Tells of a JVM that did not start, for the coordinator to say what becomes of its unit. What waits behind stays here.
    pub(crate) fn not_started(
        &mut self,
        for_asking: bool,
        task: &TaskPath,
        pid: Option<u32>,
        death: &Death,
        coordinator: &Coordinator,
    ) -> Result<()> {
        if for_asking {
            // Nothing can be asked without a JVM; units that wait for one tell it again in their own turn.
            self.asks.retain(|asking| asking.task != *task);
            coordinator.send(died(task.clone(), None, pid, false, death.clone()))?;
            return coordinator.send(AgentMessage::DiscoveryFinished { task: task.clone() });
        }
        // It was started for the first unit of the queue, which goes with it, unless it was dropped meanwhile.
        let is_its = self.queue.front().is_some_and(|first| first.unit.task == *task);
        let unit = if is_its { self.queue.pop_front() } else { None };
        unit.map_or(Ok(()), |assigned| {
            coordinator.send(died(task.clone(), Some(assigned.into_attempt()), pid, false, death.clone()))
        })
    }
}

fn died(task: TaskPath, unit: Option<UnitAttempt>, pid: Option<u32>, was_ready: bool, death: Death) -> AgentMessage {
    let Death { cause, reason, evidence, blamed } = death;
    AgentMessage::JvmDied { task, unit, pid, reason, cause, evidence, blamed, was_ready }
}
