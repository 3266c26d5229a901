//! Messages to the coordinator, kept until it has acknowledged them.

use std::collections::VecDeque;
use testfleet_protocol::agent::{AgentMessage, Envelope};
use testfleet_protocol::{Failure, FailureCode, Result, frame};

/// Numbers messages from 1 and keeps them until they are acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    last: u64,
    kept: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

impl Spool {
    /// Takes a message; returns its frame, ready to be written.
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when it can't be encoded.
    pub(crate) fn push(&mut self, message: AgentMessage) -> Result<Vec<u8>> {
        let bytes = frame_of(self.last + 1, message)?;
        self.last += 1;
        self.bytes += bytes.len();
        self.kept.push_back((self.last, bytes.clone()));
        Ok(bytes)
    }

    /// Forgets messages up to this number.
    pub(crate) fn acknowledge(&mut self, seq: u64) {
        while self.kept.front().is_some_and(|(kept, _)| *kept <= seq) {
            self.bytes -= self.kept.pop_front().map_or(0, |(_, frame)| frame.len());
        }
    }

    /// Bytes that are not acknowledged.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The frame of a message, ready to be written.
///
/// # Errors
/// [`FailureCode::Internal`] when it can't be encoded.
pub(crate) fn frame_of(seq: u64, message: AgentMessage) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(&Envelope { seq, message })
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to encode a message").cause(&error))?;
    let mut bytes = Vec::with_capacity(json.len() + 4);
    frame::encode(&json, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_kept_until_they_are_acknowledged() {
        let mut spool = Spool::default();
        for _ in 0..3 {
            spool
                .push(AgentMessage::JvmStarted { task: testfleet_protocol::test::TaskPath(":test".into()), pid: 1 })
                .unwrap();
        }
        spool.acknowledge(2);
        assert_eq!(spool.kept.front().map(|(seq, frame)| (*seq, frame.len())), Some((3, spool.bytes())));
        spool.acknowledge(3);
        assert_eq!(spool.bytes(), 0);
    }
}
