//! The agent's end of a line, for tests that speak for it.

use crate::backend::{Line, WorkerLife};
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, Envelope, UnitAttempt};
use testfleet_protocol::frame::{self, Decoder};
use testfleet_protocol::plan::UnitId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// The agent's end.
pub(super) struct AgentEnd {
    pub(super) stream: DuplexStream,
    decoder: Decoder,
}

/// A line with both its ends.
pub(super) fn line() -> (Line, AgentEnd) {
    let (ours, stream) = tokio::io::duplex(1 << 20);
    let (from, to) = tokio::io::split(ours);
    let line = Line { from_agent: Box::new(from), to_agent: Box::new(to) };
    (line, AgentEnd { stream, decoder: Decoder::default() })
}

/// The first try at a unit.
pub(super) fn tried(unit: &str) -> UnitAttempt {
    UnitAttempt { unit: UnitId(unit.into()), attempt: 1 }
}

impl AgentEnd {
    pub(super) async fn say(&mut self, seq: u64, message: AgentMessage) {
        let mut bytes = Vec::new();
        frame::encode(&serde_json::to_vec(&Envelope { seq, message }).unwrap(), &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Says hello, after welcomes up to this epoch.
    pub(super) async fn hello(&mut self, life: WorkerLife, after: u64, has: Vec<UnitAttempt>) {
        let mut hello = AgentMessage::first_hello(life.worker, life.life, "1", "h".into(), 1);
        if let AgentMessage::Hello { hand, epoch, .. } = &mut hello {
            (*hand, *epoch) = (has, after);
        }
        self.say(0, hello).await;
    }

    pub(super) async fn hear(&mut self) -> CoordinatorMessage {
        loop {
            if let Some(payload) = self.decoder.next_frame().unwrap() {
                return serde_json::from_slice(&payload).unwrap();
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the line ended");
            self.decoder.push(&chunk[..count]);
        }
    }
}
