//! What fits a message: results that are longer say less, with the reason, and failures of classes are as many as there is
//! room for.

use testfleet_protocol::agent::{AgentMessage, ClassFailure, Envelope};
use testfleet_protocol::test::{Outcome, Thrown};
use testfleet_protocol::{Failure, Result, frame};

/// Most failures outside of tests that one unit tells of.
const MOST: usize = 100;
/// No more are kept once they have so many bytes.
const ENOUGH: usize = 1 << 20;

/// The frame of a message, ready to be written. A result that is too long for one is errored, and says why.
///
/// # Errors
/// [`testfleet_protocol::FailureCode::Internal`] when it can't be encoded, or is no result and too long.
pub(crate) fn frame_of(seq: u64, message: AgentMessage) -> Result<Vec<u8>> {
    let mut envelope = Envelope { seq, message };
    match frame::of_json(&envelope) {
        Err(failure) => {
            envelope.message = without_details(envelope.message, &failure).ok_or(failure)?;
            frame::of_json(&envelope)
        }
        fits => fits,
    }
}

fn without_details(mut message: AgentMessage, failure: &Failure) -> Option<AgentMessage> {
    let reason = format!("what it came to can't be told: {}", failure.message);
    match &mut message {
        AgentMessage::TestFinished { finished, .. } | AgentMessage::InvocationFinished { finished, .. } => {
            finished.outcome = Outcome::Errored;
            finished.reason = Some(reason);
            finished.thrown.clear();
            Some(message)
        }
        AgentMessage::Discovered { task, class, .. } => {
            let thrown = Thrown { kind: "TooLong".to_owned(), message: reason, stack: String::new(), hint: None };
            Some(AgentMessage::DiscoveryFailed { task: task.clone(), class: class.clone(), thrown })
        }
        _ => None,
    }
}

/// Failures outside of the tests of a unit.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    kept: Vec<ClassFailure>,
    bytes: usize,
    left_out: u64,
}

impl Failures {
    /// Takes one more, or counts it when there is no room.
    pub(crate) fn push(&mut self, failure: ClassFailure) {
        if self.kept.len() >= MOST || self.bytes > ENOUGH {
            self.left_out += 1;
            return;
        }
        let Thrown { kind, message, stack, .. } = &failure.thrown;
        self.bytes += failure.class.len() + kind.len() + message.len() + stack.len();
        self.kept.push(failure);
    }

    /// All of them; how many were left out is the last.
    pub(crate) fn told(self) -> Vec<ClassFailure> {
        let Self { mut kept, left_out, .. } = self;
        if left_out > 0
            && let Some(last) = kept.last()
        {
            let message = format!("... and {left_out} more, which are left out");
            let thrown = Thrown { kind: "LeftOut".to_owned(), stack: message.clone(), message, hint: None };
            kept.push(ClassFailure { class: last.class.clone(), thrown });
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::plan::UnitId;
    use testfleet_protocol::test::{Finished, TaskPath, TestName};

    fn thrown(text: &str) -> Thrown {
        Thrown { kind: "E".into(), message: text.into(), stack: String::new(), hint: None }
    }

    fn sent(message: AgentMessage) -> AgentMessage {
        let frame = frame_of(7, message).unwrap();
        let envelope: Envelope = serde_json::from_slice(&frame[4..]).unwrap();
        assert_eq!(envelope.seq, 7);
        envelope.message
    }

    #[test]
    fn a_result_that_is_too_long_is_errored_and_says_why() {
        // A third of the limit in memory, twice the limit as JSON.
        let text = "\u{1}".repeat(frame::MAX_FRAME / 3);
        let (unit, attempt) = (UnitId("u".into()), serde_json::from_str("1").unwrap());
        let test = TestName { class: "a.B".into(), method: "m()".into() };
        let finished = Finished {
            outcome: Outcome::Failed,
            started_at_ms: 1,
            duration_us: 2,
            reason: None,
            thrown: vec![thrown(&text)],
        };
        let message = sent(AgentMessage::TestFinished { unit, attempt, test, finished });
        let AgentMessage::TestFinished { finished, .. } = message else { panic!("{message:?}") };
        assert_eq!((finished.outcome, finished.duration_us), (Outcome::Errored, 2));
        assert!(finished.thrown.is_empty());
        let reason = finished.reason.unwrap();
        assert!(reason.contains("failed to send a message of") && reason.contains("16777216"), "{reason}");
    }

    #[test]
    fn an_answer_that_is_too_long_is_a_failure_of_its_class() {
        let name = TestName { class: "a.B".into(), method: "\u{1}".repeat(frame::MAX_FRAME / 3) };
        let (task, class) = (TaskPath(":test".into()), "a.B".to_owned());
        let message = sent(AgentMessage::Discovered { task, class, engines: Vec::new(), tests: vec![name] });
        assert!(matches!(message, AgentMessage::DiscoveryFailed { .. }), "{message:?}");
    }

    #[test]
    fn what_is_no_result_and_too_long_is_an_error() {
        let message = AgentMessage::HandedBack { units: Vec::new(), reason: "x".repeat(frame::MAX_FRAME) };
        assert!(frame_of(1, message).is_err());
    }

    #[test]
    fn failures_of_a_unit_are_bounded_in_number_and_in_bytes() {
        for (text, most) in [("x".to_owned(), MOST), ("x".repeat(ENOUGH / 4), 4)] {
            let mut failures = Failures::default();
            (0..300).for_each(|_| failures.push(ClassFailure { class: "a.B".into(), thrown: thrown(&text) }));
            let told = failures.told();
            assert_eq!(told.len(), most + 1);
            let last = &told[most].thrown;
            assert_eq!(last.message, format!("... and {} more, which are left out", 300 - most));
        }
        assert!(Failures::default().told().is_empty());
    }
}
