//! What was said to and heard from one life of a worker, over however many lines: enough to go on after one broke.
//!
//! What the agent says has numbers, and it keeps it until it is acknowledged. What the coordinator says has none: after a
//! break the agent's hello tells which units it has in hand, and whatever it should have besides is said again.

use super::Begin;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, Envelope, UnitAttempt};
use testfleet_protocol::{Result, frame};
use testfleet_wire::Inbox;
use tokio::sync::Notify;

/// A conversation that is read and written side by side.
#[derive(Debug)]
pub(super) struct Talk {
    conversation: Mutex<Conversation>,
    more: Notify,
}

impl Talk {
    pub(super) fn beginning_with(begin: Begin) -> Self {
        Self { conversation: Mutex::new(Conversation::beginning_with(begin)), more: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Conversation> {
        self.conversation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something over the present line, or the next.
    ///
    /// # Errors
    /// When it can't be encoded.
    pub(super) fn say(&self, message: CoordinatorMessage) -> Result<()> {
        self.lock().say(message)?;
        self.more.notify_one();
        Ok(())
    }

    /// The agent said hello over another line.
    pub(super) fn hello_again(&self, hand: &[UnitAttempt]) -> Result<()> {
        self.lock().hello_again(hand)?;
        self.more.notify_one();
        Ok(())
    }

    /// Waits until there is something to write.
    pub(super) async fn next_bytes(&self) -> Vec<u8> {
        loop {
            let bytes = self.lock().take_bytes();
            if !bytes.is_empty() {
                return bytes;
            }
            self.more.notified().await;
        }
    }
}

/// Both directions of one life.
#[derive(Debug)]
pub(super) struct Conversation {
    inbox: Inbox,
    /// Whether a hello, or anything else, ever arrived.
    pub(super) greeted: bool,
    /// Whether nothing is on its way any more that the agent kept from the time of an earlier coordinator.
    pub(super) told_all: bool,
    /// Whether the agent may have obeyed another coordinator: then it obeys nobody who has not welcomed it.
    was_welcomed: bool,
    welcome: Option<CoordinatorMessage>,
    /// Assigned, and not known to have ended.
    open: Vec<(UnitAttempt, CoordinatorMessage)>,
    dropped: Vec<UnitAttempt>,
    ending: Option<CoordinatorMessage>,
    acknowledged: u64,
    /// Whether the agent is known to listen to the present line.
    listens: bool,
    outgoing: VecDeque<Vec<u8>>,
}

impl Conversation {
    pub(super) fn beginning_with(begin: Begin) -> Self {
        Self {
            inbox: Inbox::after(Some(0)),
            greeted: false,
            told_all: begin == Begin::Start,
            was_welcomed: begin == Begin::TakeOver,
            welcome: None,
            open: Vec::new(),
            dropped: Vec::new(),
            ending: None,
            acknowledged: 0,
            listens: false,
            outgoing: VecDeque::new(),
        }
    }

    fn say(&mut self, message: CoordinatorMessage) -> Result<()> {
        match &message {
            CoordinatorMessage::Welcome { seen, .. } => {
                if self.welcome.is_none() && *seen != Some(0) {
                    self.inbox = Inbox::after(*seen);
                }
                self.welcome = Some(message.clone());
            }
            CoordinatorMessage::Assign { unit, attempt, .. } => {
                self.open.push((UnitAttempt { unit: unit.id.clone(), attempt: *attempt }, message.clone()));
            }
            CoordinatorMessage::Drop { units } => {
                self.open.retain(|(unit, _)| !units.contains(unit));
                self.dropped.extend(units.iter().cloned());
            }
            CoordinatorMessage::Ack { seq } => self.acknowledged = self.acknowledged.max(*seq),
            CoordinatorMessage::Finish | CoordinatorMessage::Cancel => {
                if self.ending != Some(CoordinatorMessage::Cancel) {
                    self.ending = Some(message.clone());
                }
            }
            // The run says it again to one that comes back.
            CoordinatorMessage::Ask { .. } | CoordinatorMessage::Condemn { .. } => {}
        }
        if self.listens && self.is_obeyed() { self.queue(&message) } else { Ok(()) }
    }

    /// Whether the agent minds what it is told. What came too early for that, the run says again behind its welcome.
    fn is_obeyed(&self) -> bool {
        !self.was_welcomed || self.welcome.is_some()
    }

    fn queue(&mut self, message: &CoordinatorMessage) -> Result<()> {
        self.outgoing.push_back(frame::of_json(message)?);
        Ok(())
    }

    /// Whether it was told to end.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// A line begins. Over the first one the agent hears at once what is said.
    pub(super) fn line_begins(&mut self) -> Result<()> {
        if !self.greeted {
            self.listens = true;
            if let Some(ending) = self.ending.clone().filter(|_| self.is_obeyed()) {
                self.queue(&ending)?;
            }
        }
        Ok(())
    }

    /// What was on its way may be lost.
    pub(super) fn line_broke(&mut self) {
        self.listens = false;
        self.outgoing.clear();
    }

    fn hello_again(&mut self, hand: &[UnitAttempt]) -> Result<()> {
        self.outgoing.clear();
        self.listens = true;
        if let Some(CoordinatorMessage::Welcome { protocol, run, epoch, rules, .. }) = self.welcome.clone() {
            let seen = self.inbox.seen();
            self.queue(&CoordinatorMessage::Welcome { protocol, run, epoch, seen, rules })?;
            if self.acknowledged > 0 {
                self.queue(&CoordinatorMessage::Ack { seq: self.acknowledged })?;
            }
        }
        let units: Vec<_> = self.dropped.iter().filter(|unit| hand.contains(unit)).cloned().collect();
        if !units.is_empty() {
            self.queue(&CoordinatorMessage::Drop { units })?;
        }
        let missing: Vec<_> = self.open.iter().filter(|(unit, _)| !hand.contains(unit)).cloned().collect();
        for (_, assign) in &missing {
            self.queue(assign)?;
        }
        match self.ending.clone().filter(|_| self.is_obeyed()) {
            Some(ending) => self.queue(&ending),
            None => Ok(()),
        }
    }

    fn take_bytes(&mut self) -> Vec<u8> {
        self.outgoing.drain(..).flatten().collect()
    }

    /// Whether a message is new.
    ///
    /// # Errors
    /// When one before it is missing.
    pub(super) fn hears(&mut self, envelope: &Envelope) -> Result<bool> {
        self.greeted = true;
        if envelope.seq == 0 {
            // It says so only when there is nothing else to say.
            self.told_all |= envelope.message == AgentMessage::Alive;
            return Ok(true);
        }
        let is_new = self.inbox.take(envelope.seq)?;
        if is_new {
            match &envelope.message {
                AgentMessage::UnitFinished { unit, attempt, .. } => {
                    self.ended(&[UnitAttempt { unit: unit.clone(), attempt: *attempt }]);
                }
                AgentMessage::JvmDied { unit: Some(unit), .. } => self.ended(std::slice::from_ref(unit)),
                AgentMessage::HandedBack { units, .. } => self.ended(units),
                _ => {}
            }
        }
        Ok(is_new)
    }

    fn ended(&mut self, units: &[UnitAttempt]) {
        self.open.retain(|(unit, _)| !units.contains(unit));
        self.dropped.retain(|unit| !units.contains(unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::VERSION;
    use testfleet_protocol::plan::{Unit, UnitId};

    fn of(name: &str) -> UnitAttempt {
        UnitAttempt { unit: UnitId(name.into()), attempt: serde_json::from_str("1").unwrap() }
    }

    fn assign(name: &str) -> CoordinatorMessage {
        let unit = Unit { id: UnitId(name.into()), ..Unit::default() };
        CoordinatorMessage::Assign { unit, attempt: of(name).attempt, fresh_jvm: false }
    }

    fn welcome(seen: Option<u64>) -> CoordinatorMessage {
        CoordinatorMessage::Welcome { protocol: VERSION, run: "r".into(), epoch: 1, seen, rules: Default::default() }
    }

    fn finished(seq: u64, name: &str) -> Envelope {
        let UnitAttempt { unit, attempt } = of(name);
        Envelope { seq, message: AgentMessage::UnitFinished { unit, attempt } }
    }

    fn said(talk: &mut Conversation) -> Vec<CoordinatorMessage> {
        let mut decoder = frame::Decoder::default();
        decoder.push(&talk.take_bytes());
        std::iter::from_fn(|| decoder.next_frame().unwrap())
            .map(|payload| serde_json::from_slice(&payload).unwrap())
            .collect()
    }

    #[test]
    fn after_a_break_what_the_agent_lacks_is_said_again() {
        let mut talk = Conversation::beginning_with(Begin::Start);
        talk.line_begins().unwrap();
        for message in [welcome(Some(0)), assign("a"), assign("b"), assign("c"), CoordinatorMessage::Ack { seq: 1 }] {
            talk.say(message).unwrap();
        }
        talk.greeted = true;
        assert_eq!(said(&mut talk).len(), 5);
        let one = Envelope { seq: 1, message: AgentMessage::Alive };
        assert!(talk.hears(&one).unwrap() && talk.hears(&finished(2, "a")).unwrap());
        assert!(!talk.hears(&finished(2, "a")).unwrap());
        talk.line_broke();
        talk.say(CoordinatorMessage::Drop { units: vec![of("b")] }).unwrap();
        talk.say(assign("d")).unwrap();
        talk.say(CoordinatorMessage::Finish).unwrap();
        talk.line_begins().unwrap();
        assert!(said(&mut talk).is_empty(), "nothing before its hello");
        // The end of `a` arrived but was not acknowledged; `c` never arrived.
        talk.hello_again(&[of("a"), of("b")]).unwrap();
        let expected = [
            welcome(Some(2)),
            CoordinatorMessage::Ack { seq: 1 },
            CoordinatorMessage::Drop { units: vec![of("b")] },
            assign("c"),
            assign("d"),
            CoordinatorMessage::Finish,
        ];
        assert_eq!(said(&mut talk), expected);
    }

    #[test]
    fn a_coordinator_that_took_over_begins_with_what_comes() {
        let mut talk = Conversation::beginning_with(Begin::TakeOver);
        talk.line_begins().unwrap();
        talk.say(CoordinatorMessage::Cancel).unwrap();
        assert!(said(&mut talk).is_empty(), "whoever obeyed another one minds nothing before a welcome");
        talk.say(welcome(None)).unwrap();
        talk.say(CoordinatorMessage::Cancel).unwrap();
        assert_eq!(said(&mut talk), [welcome(None), CoordinatorMessage::Cancel]);
        assert!(talk.hears(&finished(17, "a")).unwrap());
        assert!(talk.hears(&finished(19, "b")).is_err());
    }

    #[test]
    fn a_cancel_is_not_softened_by_a_finish() {
        let mut talk = Conversation::beginning_with(Begin::Start);
        talk.say(CoordinatorMessage::Cancel).unwrap();
        talk.say(CoordinatorMessage::Finish).unwrap();
        talk.line_begins().unwrap();
        assert_eq!(said(&mut talk), [CoordinatorMessage::Cancel]);
    }
}
