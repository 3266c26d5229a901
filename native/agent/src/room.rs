//! What fits a message: results that are longer say less, with the reason.

use testfleet_protocol::agent::{AgentMessage, Envelope};
use testfleet_protocol::test::{Outcome, Thrown};
use testfleet_protocol::{Failure, Result, frame};

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
        AgentMessage::ClassFailed { failure, .. } => {
            failure.thrown = too_long(reason);
            Some(message)
        }
        AgentMessage::Discovered { task, class, .. } => {
            Some(AgentMessage::DiscoveryFailed { task: task.clone(), class: class.clone(), thrown: too_long(reason) })
        }
        _ => None,
    }
}

fn too_long(message: String) -> Thrown {
    Thrown { kind: "TooLong".to_owned(), message, stack: String::new(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::agent::ClassFailure;
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
    fn what_fails_outside_of_tests_is_told_without_its_words_when_they_are_too_long() {
        let (unit, attempt) = (UnitId("u".into()), serde_json::from_str("1").unwrap());
        let failure = ClassFailure { class: "a.B".into(), thrown: thrown(&"\u{1}".repeat(frame::MAX_FRAME / 3)) };
        let message = sent(AgentMessage::ClassFailed { unit, attempt, failure });
        let AgentMessage::ClassFailed { failure, .. } = message else { panic!("{message:?}") };
        assert_eq!((failure.class.as_str(), failure.thrown.kind.as_str()), ("a.B", "TooLong"));
    }

    #[test]
    fn what_is_no_result_and_too_long_is_an_error() {
        let message = AgentMessage::HandedBack { units: Vec::new(), reason: "x".repeat(frame::MAX_FRAME) };
        assert!(frame_of(1, message).is_err());
    }
}
