//! The agent's side of the conversation, whatever line carries it: what is said is kept until it is acknowledged, and what
//! is heard comes from the newest coordinator only.

use crate::spool::{Limits, Spool};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, UnitAttempt};
use testfleet_protocol::{Failure, Result};
use tokio::sync::{mpsc, watch};

/// How long an agent works on without a coordinator that never said how long.
const ORPHAN: Duration = Duration::from_secs(600);
/// Bytes that may wait for an acknowledgement before files have to wait.
const ROOM_FOR_FILES: u64 = 1 << 20;

/// The agent's side of the line.
pub(crate) struct Coordinator {
    pub(crate) inbox: mpsc::UnboundedReceiver<CoordinatorMessage>,
    shared: Arc<Shared>,
    /// Becomes `true` when the coordinator is gone for good.
    pub(crate) gone: watch::Receiver<bool>,
}

/// What the agent's work and its line share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Told of every change that somebody may wait for.
    changed: watch::Sender<()>,
    inbox: mpsc::UnboundedSender<CoordinatorMessage>,
    gone: watch::Sender<bool>,
}

/// What is known of the conversation.
pub(crate) struct State {
    pub(crate) spool: Spool,
    /// What a connection begins with, once the agent can work.
    pub(crate) hello: Option<AgentMessage>,
    hand: Hand,
    /// Whether a coordinator listens at the moment.
    pub(crate) connected: bool,
    /// The highest epoch that it was welcomed to.
    pub(crate) epoch: u64,
    /// A third of the lease, once it is known.
    pub(crate) alive_every: Option<Duration>,
    pub(crate) orphan_after: Duration,
    failure: Option<Failure>,
}

impl Coordinator {
    /// Nothing is said yet; messages beyond what memory takes go to `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let (inbox_in, inbox) = mpsc::unbounded_channel();
        let (gone_in, gone) = watch::channel(false);
        let state = State {
            spool: Spool::new(folder, Limits::default()),
            hello: None,
            hand: Hand::default(),
            connected: false,
            epoch: 0,
            alive_every: None,
            orphan_after: ORPHAN,
            failure: None,
        };
        let shared =
            Shared { state: Mutex::new(state), changed: watch::Sender::new(()), inbox: inbox_in, gone: gone_in };
        Self { inbox, shared: Arc::new(shared), gone }
    }

    /// For the task that keeps the line.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Sends a message without waiting: what the agent hears must never wait for what it says. Who produces messages
    /// asks [`Coordinator::room`] first.
    ///
    /// # Errors
    /// When the message can't be encoded.
    pub(crate) fn send(&self, message: AgentMessage) -> Result<()> {
        let mut state = self.shared.lock();
        let ended = Hand::ended_by(&message);
        let seq = state.spool.push(message)?;
        state.hand.end(seq, ended);
        drop(state);
        self.shared.tell();
        Ok(())
    }

    /// The agent can work: with this, completed by what changes, every connection begins. It is neither numbered nor kept.
    pub(crate) fn greet(&self, hello: AgentMessage) {
        self.shared.lock().hello = Some(hello);
        self.shared.tell();
    }

    /// Waits while too much is on its way. The returned future borrows nothing of the coordinator.
    pub(crate) fn room(&self) -> impl Future<Output = ()> + use<> {
        self.until(|state| state.spool.has_room(state.connected))
    }

    /// Whether [`Coordinator::room`] would not wait.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.shared.lock();
        state.spool.has_room(state.connected)
    }

    /// Waits until there is so little on its way that a piece of a file delays nothing. Without a coordinator files wait
    /// where they are.
    pub(crate) fn room_for_files(&self) -> impl Future<Output = ()> + use<> {
        self.until(|state| state.spool.bytes() < ROOM_FOR_FILES)
    }

    /// Waits until everything was acknowledged.
    pub(crate) fn all_acknowledged(&self) -> impl Future<Output = ()> + use<> {
        self.until(|state| state.spool.is_empty())
    }

    fn until<F: Fn(&State) -> bool>(&self, reached: F) -> impl Future<Output = ()> + use<F> {
        let shared = Arc::clone(&self.shared);
        async move { shared.until(reached).await }
    }

    /// Why the coordinator is gone, when that is a failure.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.shared.lock().failure.clone()
    }
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who wait for a change.
    pub(crate) fn tell(&self) {
        self.changed.send_replace(());
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, reached: impl Fn(&State) -> bool) {
        // Subscribed first: what changes between the look and the wait is not missed.
        let mut changed = self.changed.subscribe();
        while !reached(&self.lock()) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// There is no coordinator any more, and there will be none.
    pub(crate) fn is_gone(&self, failure: Option<Failure>) {
        let mut state = self.lock();
        state.connected = false;
        if state.failure.is_none() {
            state.failure = failure;
        }
        drop(state);
        self.gone.send_replace(true);
        self.tell();
    }

    /// The line broke; another may come.
    pub(crate) fn is_alone(&self) {
        self.lock().connected = false;
        self.tell();
    }

    /// Takes what a coordinator said. `false`: nobody listens any more.
    pub(crate) fn hear(&self, message: CoordinatorMessage) -> Result<bool> {
        let mut state = self.lock();
        match &message {
            CoordinatorMessage::Ack { seq } => {
                state.spool.acknowledge(*seq)?;
                state.hand.acknowledged(*seq);
                drop(state);
                self.tell();
                return Ok(true);
            }
            // Said over one line, and again over the next, whose hello came before the first arrived.
            CoordinatorMessage::Assign { unit, attempt, .. }
                if !state.hand.add(UnitAttempt { unit: unit.id.clone(), attempt: *attempt }) =>
            {
                return Ok(true);
            }
            CoordinatorMessage::Drop { units } => state.hand.drop_all(units),
            _ => {}
        }
        drop(state);
        Ok(self.inbox.send(message).is_ok())
    }
}

impl State {
    /// What a connection begins with.
    pub(crate) fn hello(&self) -> Option<AgentMessage> {
        let mut hello = self.hello.clone()?;
        if let AgentMessage::Hello { epoch, hand, .. } = &mut hello {
            *epoch = self.epoch;
            *hand = self.hand.assigned.clone();
        }
        Some(hello)
    }
}

/// What the agent has in hand as far as its coordinator can know: a unit counts until the message that tells of its end is
/// acknowledged. Together with the messages that follow, which are sent again, that is the whole truth.
#[derive(Debug, Default)]
struct Hand {
    assigned: Vec<UnitAttempt>,
    ended: Vec<(u64, UnitAttempt)>,
}

impl Hand {
    /// `false`: it is there already.
    fn add(&mut self, unit: UnitAttempt) -> bool {
        let is_new = !self.assigned.contains(&unit);
        if is_new {
            self.assigned.push(unit);
        }
        is_new
    }

    fn drop_all(&mut self, units: &[UnitAttempt]) {
        self.assigned.retain(|held| !units.contains(held));
    }

    /// The units whose end a message tells.
    fn ended_by(message: &AgentMessage) -> Vec<UnitAttempt> {
        match message {
            AgentMessage::UnitFinished { unit, attempt, .. } => {
                vec![UnitAttempt { unit: unit.clone(), attempt: *attempt }]
            }
            AgentMessage::JvmDied { unit, .. } => unit.iter().cloned().collect(),
            AgentMessage::HandedBack { units, .. } => units.clone(),
            _ => Vec::new(),
        }
    }

    fn end(&mut self, seq: u64, units: Vec<UnitAttempt>) {
        self.ended.extend(units.into_iter().map(|unit| (seq, unit)));
    }

    fn acknowledged(&mut self, upto: u64) {
        let (done, open): (Vec<_>, Vec<_>) = self.ended.drain(..).partition(|(seq, _)| *seq <= upto);
        self.ended = open;
        self.assigned.retain(|held| !done.iter().any(|(_, unit)| unit == held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::plan::UnitId;

    fn unit(name: &str) -> UnitAttempt {
        UnitAttempt { unit: UnitId(name.into()), attempt: serde_json::from_str("1").unwrap() }
    }

    #[test]
    fn a_unit_is_in_hand_until_its_end_is_acknowledged() {
        let mut hand = Hand::default();
        assert!(hand.add(unit("a")) && hand.add(unit("b")));
        assert!(!hand.add(unit("a")), "it is not run twice");
        hand.end(7, vec![unit("a")]);
        hand.acknowledged(6);
        assert_eq!(hand.assigned, [unit("a"), unit("b")]);
        hand.acknowledged(7);
        assert_eq!(hand.assigned, [unit("b")]);
        hand.drop_all(&[unit("b")]);
        assert!(hand.assigned.is_empty() && hand.ended.is_empty());
    }
}
