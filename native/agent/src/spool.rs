//! Messages to the coordinator, kept until it has acknowledged them: in memory up to a bound, beyond that on disk.
//!
//! Numbers follow the order in which messages were taken, without gaps. What tests write is the first to go when there is no
//! place: it is left out before it gets a number, and a remark says how much. Anything else is always kept; when even
//! memory is used up, [`Spool::has_room`] says so and the JVM has to wait.

use crate::room::frame_of;
use crate::segments::{Place, Segments};
use std::collections::VecDeque;
use std::path::PathBuf;
use testfleet_protocol::agent::AgentMessage;
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::test::{Stream, TestName};
use testfleet_protocol::{Failure, FailureCode, Result};

/// How much is kept where, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// In memory; what comes then goes to disk.
    pub(crate) memory: usize,
    /// Of what tests write, all in all; what comes then is left out. Reached only while there is no coordinator.
    pub(crate) output: u64,
    /// Without acknowledgement while there is a coordinator; what comes then waits in the JVM. It is also the most that a
    /// result ever has before it on its way.
    pub(crate) window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 8 << 20, output: 256 << 20, window: 4 << 20 }
    }
}

/// Numbers messages from 1 and keeps them until they are acknowledged.
#[derive(Debug)]
pub(crate) struct Spool {
    limits: Limits,
    acknowledged: u64,
    kept: VecDeque<Kept>,
    memory: usize,
    bytes: u64,
    output: u64,
    segments: Segments,
    /// Whether the disk took the last message that was meant for it.
    disk_is_full: bool,
    /// Whether that was said.
    told: bool,
    left_out: Option<LeftOut>,
}

#[derive(Debug)]
struct Kept {
    at: At,
    length: usize,
    is_output: bool,
}

#[derive(Debug)]
enum At {
    Memory(Vec<u8>),
    Disk(Place),
}

/// Output for which there was no place.
#[derive(Debug)]
struct LeftOut {
    unit: Option<UnitId>,
    test: Option<TestName>,
    stream: Stream,
    bytes: u64,
    /// As things stood when it began.
    why: &'static str,
}

impl Spool {
    /// An empty spool that may use this folder.
    pub(crate) fn new(folder: PathBuf, limits: Limits) -> Self {
        Self {
            limits,
            acknowledged: 0,
            kept: VecDeque::new(),
            memory: 0,
            bytes: 0,
            output: 0,
            segments: Segments::new(folder),
            disk_is_full: false,
            told: false,
            left_out: None,
        }
    }

    /// Takes a message; returns the number of the last one.
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when it can't be encoded.
    pub(crate) fn push(&mut self, message: AgentMessage) -> Result<u64> {
        match message {
            AgentMessage::Output { unit, test, stream, text } => self.push_output(unit, test, stream, text)?,
            message => {
                self.remark()?;
                let frame = frame_of(self.last() + 1, message)?;
                let at = if self.memory + frame.len() <= self.limits.memory {
                    At::Memory(frame)
                } else {
                    self.write(frame).unwrap_or_else(At::Memory)
                };
                self.keep(at, false);
            }
        }
        Ok(self.last())
    }

    /// Output takes half of the memory at most, so that there is place for results when the disk is full.
    fn push_output(
        &mut self,
        unit: Option<UnitId>,
        test: Option<TestName>,
        stream: Stream,
        text: String,
    ) -> Result<()> {
        let length = text.len();
        let fits_memory = |spool: &Self| spool.memory + length <= spool.limits.memory / 2;
        let too_much = self.output + length as u64 > self.limits.output;
        if too_much || (self.disk_is_full && !fits_memory(self)) {
            return self.leave_out(unit, test, stream, length);
        }
        self.remark()?;
        let (unit_of, test_of) = (unit.clone(), test.clone());
        let frame = frame_of(self.last() + 1, AgentMessage::Output { unit, test, stream, text })?;
        let at = if fits_memory(self) { Some(At::Memory(frame)) } else { self.write(frame).ok() };
        match at {
            Some(at) => {
                self.keep(at, true);
                Ok(())
            }
            None => self.leave_out(unit_of, test_of, stream, length),
        }
    }

    fn leave_out(&mut self, unit: Option<UnitId>, test: Option<TestName>, stream: Stream, length: usize) -> Result<()> {
        let same = |left: &LeftOut| left.unit == unit && left.test == test && left.stream == stream;
        if self.left_out.as_ref().is_some_and(|left| !same(left)) {
            self.remark()?;
        }
        let why = if self.disk_is_full { "the worker's disk is full" } else { "the coordinator was away for too long" };
        self.left_out.get_or_insert(LeftOut { unit, test, stream, bytes: 0, why }).bytes += length as u64;
        Ok(())
    }

    /// Says in its place how much output is missing.
    fn remark(&mut self) -> Result<()> {
        let Some(LeftOut { unit, test, stream, bytes, why }) = self.left_out.take() else { return Ok(()) };
        let text = format!("\n[testfleet: {bytes} bytes of output are left out here: {why}]\n");
        let frame = frame_of(self.last() + 1, AgentMessage::Output { unit, test, stream, text })?;
        self.keep(At::Memory(frame), true);
        Ok(())
    }

    fn keep(&mut self, at: At, is_output: bool) {
        let length = match &at {
            At::Memory(frame) => frame.len(),
            At::Disk(place) => place.message_length(),
        };
        if matches!(at, At::Memory(_)) {
            self.memory += length;
        }
        if is_output {
            self.output += length as u64;
        }
        self.bytes += length as u64;
        self.kept.push_back(Kept { at, length, is_output });
    }

    /// The message that is to be the last goes to disk, or is given back.
    fn write(&mut self, frame: Vec<u8>) -> std::result::Result<At, Vec<u8>> {
        match self.segments.append(self.last() + 1, &frame) {
            Ok(place) => {
                self.disk_is_full = false;
                Ok(At::Disk(place))
            }
            Err(error) => {
                self.disk_is_full = true;
                if !std::mem::replace(&mut self.told, true) {
                    tracing::error!(
                        "failed to keep on disk what the coordinator has not acknowledged: {error}; output is left out, and tests wait when there is no place for results"
                    );
                }
                Err(frame)
            }
        }
    }

    /// Forgets messages up to this number.
    ///
    /// # Errors
    /// [`FailureCode::WorkerBroken`] when there are not so many.
    pub(crate) fn acknowledge(&mut self, seq: u64) -> Result<()> {
        if seq > self.last() {
            return Err(Failure::new(
                FailureCode::WorkerBroken,
                format!("failed to understand the coordinator: it acknowledges message {seq} of {}", self.last()),
            ));
        }
        while self.acknowledged < seq
            && let Some(kept) = self.kept.pop_front()
        {
            self.acknowledged += 1;
            self.bytes -= kept.length as u64;
            if kept.is_output {
                self.output -= kept.length as u64;
            }
            match kept.at {
                At::Memory(_) => self.memory -= kept.length,
                At::Disk(place) => self.segments.release(place),
            }
        }
        if self.memory <= self.limits.memory / 2 {
            self.disk_is_full = false;
        }
        // There may be no further message that would bring the remark along.
        if self.kept.is_empty() { self.remark() } else { Ok(()) }
    }

    /// The frame of a message that is kept; `None` when there is none of this number yet.
    ///
    /// # Errors
    /// [`FailureCode::Io`] when it can't be read back.
    pub(crate) fn frame(&self, seq: u64) -> Result<Option<Vec<u8>>> {
        let index = seq.checked_sub(self.acknowledged + 1).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.kept.get(index)) {
            None => Ok(None),
            Some(Kept { at: At::Memory(frame), .. }) => Ok(Some(frame.clone())),
            Some(Kept { at: At::Disk(place), .. }) => self.segments.read(seq, *place).map(Some),
        }
    }

    /// The number of the last message.
    pub(crate) fn last(&self) -> u64 {
        self.acknowledged + self.kept.len() as u64
    }

    /// The number of the oldest message that is kept, or of the next.
    pub(crate) fn first(&self) -> u64 {
        self.acknowledged + 1
    }

    /// Whether everything was acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.left_out.is_none()
    }

    /// Bytes that are not acknowledged.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the JVM may go on saying something.
    pub(crate) fn has_room(&self, connected: bool) -> bool {
        let full = self.disk_is_full && self.memory >= self.limits.memory;
        !(full || connected && self.bytes >= self.limits.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use testfleet_protocol::agent::Envelope;
    use testfleet_protocol::test::TaskPath;
    use testfleet_wire::Inbox;

    const SMALL: Limits = Limits { memory: 4_000, output: 20_000, window: 2_000 };

    fn result(pid: u32) -> AgentMessage {
        AgentMessage::JvmStarted { task: TaskPath(":test".into()), pid }
    }

    fn output(length: usize) -> AgentMessage {
        AgentMessage::Output { unit: None, test: None, stream: Stream::Stdout, text: "x".repeat(length) }
    }

    fn message(spool: &Spool, seq: u64) -> AgentMessage {
        let frame = spool.frame(seq).unwrap().unwrap();
        let envelope: Envelope = serde_json::from_slice(&frame[4..]).unwrap();
        assert_eq!(envelope.seq, seq);
        envelope.message
    }

    #[test]
    fn messages_are_kept_until_they_are_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path().join("spool"), SMALL);
        for pid in 1..=500 {
            spool.push(result(pid)).unwrap();
        }
        assert!(spool.memory <= SMALL.memory);
        assert!(spool.segments.bytes() > 10_000);
        for pid in 1..=500 {
            assert_eq!(message(&spool, u64::from(pid)), result(pid));
        }
        spool.acknowledge(499).unwrap();
        assert_eq!((spool.first(), spool.frame(499).unwrap()), (500, None));
        assert_eq!(message(&spool, 500), result(500));
        spool.acknowledge(500).unwrap();
        assert!(spool.is_empty());
        assert_eq!((spool.bytes, spool.memory, spool.segments.bytes()), (0, 0, 0));
        assert!(spool.acknowledge(501).unwrap_err().message.contains("message 501 of 500"));
        assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0, "files have no name");
    }

    #[test]
    fn output_beyond_its_bound_is_left_out_with_a_remark_and_results_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path().join("spool"), SMALL);
        for _ in 0..30 {
            spool.push(output(1_000)).unwrap();
        }
        let kept = spool.last();
        assert!(kept < 20);
        spool.push(result(1)).unwrap();
        let left_out = 1_000 * (30 - kept);
        let AgentMessage::Output { text, .. } = message(&spool, kept + 1) else { panic!("no remark") };
        assert!(text.contains(&format!("{left_out} bytes of output are left out here: the coordinator was")), "{text}");
        assert_eq!(message(&spool, kept + 2), result(1));
    }

    #[test]
    fn a_full_disk_keeps_results_and_holds_the_jvm_back() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the folder should be: nothing can be written.
        let no_folder = folder.path().join("spool");
        std::fs::write(&no_folder, "").unwrap();
        let mut spool = Spool::new(no_folder, SMALL);
        let mut pid = 0;
        while spool.has_room(false) {
            pid += 1;
            assert!(pid < 100, "it has no end");
            spool.push(result(pid)).unwrap();
            spool.push(output(100)).unwrap();
        }
        spool.push(result(0)).unwrap();
        assert!(spool.memory < SMALL.memory + 500);
        let kept: Vec<_> = (1..=spool.last()).map(|seq| message(&spool, seq)).collect();
        let results = kept.iter().filter(|message| matches!(message, AgentMessage::JvmStarted { .. }));
        assert_eq!(results.count() as u32, pid + 1);
        assert!(
            kept.iter()
                .any(|message| matches!(message, AgentMessage::Output { text, .. } if text.contains("disk is full")))
        );
        spool.acknowledge(spool.last()).unwrap();
        assert!(spool.has_room(false) && spool.has_room(true));
        spool.push(output(100)).unwrap();
        assert_eq!(message(&spool, spool.last()), output(100));
    }

    #[test]
    fn with_a_coordinator_the_jvm_waits_before_anything_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path().join("spool"), SMALL);
        while spool.has_room(true) {
            spool.push(output(100)).unwrap();
        }
        assert!(spool.bytes < SMALL.window + 200 && spool.left_out.is_none());
        assert!(spool.has_room(false));
    }

    /// What happens to a line, step by step.
    #[derive(Debug, Clone)]
    enum Step {
        /// The agent says so many things.
        Say(u8),
        /// So many messages that are on their way arrive.
        Arrive(u8),
        /// What arrived is acknowledged, up to so many messages before the last.
        Acknowledge(u8),
        /// So many acknowledgements arrive.
        Heard(u8),
        /// The line breaks with what is on its way; the next begins after what was seen, or, `true`, with all that is kept.
        Break(bool),
        /// The agent sends so many messages again that it sent already, as a careless line might.
        Repeat(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (1_u8..20).prop_map(Step::Say),
            (1_u8..30).prop_map(Step::Arrive),
            (0_u8..5).prop_map(Step::Acknowledge),
            (1_u8..5).prop_map(Step::Heard),
            any::<bool>().prop_map(Step::Break),
            (1_u8..5).prop_map(Step::Repeat),
        ];
        prop::collection::vec(step, 1..80)
    }

    proptest! {
        #[test]
        fn whatever_lines_do_everything_arrives_once_and_in_order(steps in steps(), memory in 0_usize..2_000) {
            let folder = tempfile::tempdir().unwrap();
            let mut spool = Spool::new(folder.path().join("spool"), Limits { memory, ..SMALL });
            let mut inbox = Inbox::after(Some(0));
            let (mut said, mut arrived, mut next) = (0, Vec::new(), 1);
            let (mut line, mut back) = (VecDeque::<Vec<u8>>::new(), VecDeque::<u64>::new());
            let arrive = |frame: Vec<u8>, inbox: &mut Inbox, arrived: &mut Vec<u32>| {
                let envelope: Envelope = serde_json::from_slice(&frame[4..]).unwrap();
                if inbox.take(envelope.seq).unwrap()
                    && let AgentMessage::JvmStarted { pid, .. } = envelope.message
                {
                    arrived.push(pid);
                }
            };
            let end = [Step::Break(false), Step::Arrive(u8::MAX)];
            for step in steps.into_iter().chain(end) {
                match step {
                    Step::Say(count) => {
                        for _ in 0..count {
                            said += 1;
                            spool.push(result(said)).unwrap();
                        }
                    }
                    Step::Arrive(count) => {
                        let all = count == u8::MAX;
                        while let Some(frame) = spool.frame(next).unwrap() {
                            line.push_back(frame);
                            next += 1;
                        }
                        let count = if all { line.len() } else { usize::from(count).min(line.len()) };
                        line.drain(..count).for_each(|frame| arrive(frame, &mut inbox, &mut arrived));
                    }
                    Step::Acknowledge(behind) => back.push_back(inbox.seen().unwrap().saturating_sub(behind.into())),
                    Step::Heard(count) => {
                        let count = usize::from(count).min(back.len());
                        back.drain(..count).for_each(|seq| spool.acknowledge(seq).unwrap());
                        next = next.max(spool.first());
                    }
                    Step::Break(unknown) => {
                        (line, back) = (VecDeque::new(), VecDeque::new());
                        next = if unknown { spool.first() } else { (inbox.seen().unwrap() + 1).max(spool.first()) };
                    }
                    Step::Repeat(count) => next = next.saturating_sub(count.into()).max(spool.first()),
                }
            }
            prop_assert_eq!(arrived, (1..=said).collect::<Vec<_>>());
        }
    }

    #[test]
    fn damage_on_disk_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path().join("spool"), Limits { memory: 0, ..SMALL });
        spool.push(result(1)).unwrap();
        spool.segments.damage();
        let failure = spool.frame(1).unwrap_err();
        assert!(failure.message.contains("its checksum is another one"), "{failure}");
    }
}
