//! What the coordinator asks about: classes of a profile, all at once as long as nothing goes wrong, one by one after a
//! JVM died over them, so that the class that kills it is found and the others are answered.

use std::collections::{BTreeSet, VecDeque};
use testfleet_protocol::agent::AgentMessage;
use testfleet_protocol::test::{TaskPath, Thrown};

/// Classes of one profile, until each is answered.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) task: TaskPath,
    /// Without an answer, in the order in which they came.
    open: VecDeque<String>,
    /// What the JVM was last asked about.
    in_hand: BTreeSet<String>,
    /// Whether a JVM died over them: then they are asked about one by one.
    singly: bool,
}

impl Asking {
    pub(crate) fn new(task: TaskPath, classes: Vec<String>) -> Self {
        let mut seen = BTreeSet::new();
        let open = classes.into_iter().filter(|class| seen.insert(class.clone())).collect();
        Self { task, open, in_hand: BTreeSet::new(), singly: false }
    }

    /// Whether there is nothing left to ask.
    pub(crate) fn is_answered(&self) -> bool {
        self.open.is_empty()
    }

    /// What a JVM is to be asked about next; `None` when everything is answered.
    pub(crate) fn next(&mut self) -> Option<Vec<String>> {
        let count = if self.singly { 1 } else { self.open.len() };
        let classes: Vec<String> = self.open.iter().take(count).cloned().collect();
        self.in_hand = classes.iter().cloned().collect();
        (!classes.is_empty()).then_some(classes)
    }

    /// Takes note of an answer; `false` when nobody waits for it.
    pub(crate) fn answered(&mut self, class: &str) -> bool {
        if !self.in_hand.remove(class) {
            return false;
        }
        self.open.retain(|open| open != class);
        true
    }

    /// The harness says that it is through: classes of which it said nothing are refused.
    pub(crate) fn finished(&mut self) -> Vec<AgentMessage> {
        let silent = std::mem::take(&mut self.in_hand);
        self.open.retain(|open| !silent.contains(open));
        let why = "the harness gave no answer about it";
        silent.into_iter().map(|class| refused(&self.task, class, "NoAnswer", why.to_owned())).collect()
    }

    /// The JVM ended over what it was asked about: the class, if it was just one, is refused; otherwise they are asked about again,
    /// one by one. `kind` is `JvmDied` or `NoAnswer`.
    pub(crate) fn died(&mut self, kind: &str, reason: &str) -> Option<AgentMessage> {
        let mut over = std::mem::take(&mut self.in_hand);
        let class = if self.singly || self.open.len() == 1 { over.pop_first() } else { None };
        self.singly = true;
        let class = class?;
        self.open.retain(|open| *open != class);
        Some(refused(&self.task, class, kind, reason.to_owned()))
    }
}

fn refused(task: &TaskPath, class: String, kind: &str, message: String) -> AgentMessage {
    let stack = format!("{kind}: {message}");
    AgentMessage::DiscoveryFailed {
        task: task.clone(),
        class,
        thrown: Thrown { kind: kind.to_owned(), message, stack, hint: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(classes: &[&str]) -> Asking {
        Asking::new(TaskPath(":test".into()), classes.iter().map(ToString::to_string).collect())
    }

    fn class_of(message: Option<AgentMessage>) -> Option<String> {
        message.map(|message| match message {
            AgentMessage::DiscoveryFailed { class, .. } => class,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn everything_is_asked_at_once_and_each_class_once() {
        let mut asking = asking(&["B", "A", "B"]);
        assert_eq!(asking.next().unwrap(), ["B", "A"]);
        assert!(asking.answered("A") && asking.answered("B"));
        assert!(!asking.answered("A"), "a second answer is none");
        assert!(!asking.answered("C"));
        assert!(asking.finished().is_empty());
        assert_eq!(asking.next(), None);
    }

    #[test]
    fn after_a_death_the_rest_is_asked_one_by_one() {
        let mut asking = asking(&["A", "B", "C", "D"]);
        asking.next();
        asking.answered("B");
        assert_eq!(class_of(asking.died("JvmDied", "exit code 1")), None);
        assert_eq!(asking.next().unwrap(), ["A"]);
        assert_eq!(class_of(asking.died("JvmDied", "exit code 1")).unwrap(), "A");
        assert_eq!(asking.next().unwrap(), ["C"]);
        asking.answered("C");
        assert!(asking.finished().is_empty());
        assert_eq!(asking.next().unwrap(), ["D"]);
        assert_eq!(class_of(asking.died("NoAnswer", "it hung")).unwrap(), "D");
        assert_eq!(asking.next(), None);
    }

    #[test]
    fn a_death_after_the_answer_costs_nothing() {
        let mut asking = asking(&["A", "B"]);
        asking.next();
        asking.died("JvmDied", "");
        asking.next();
        asking.answered("A");
        assert_eq!(class_of(asking.died("JvmDied", "")), None);
        assert_eq!(asking.next().unwrap(), ["B"]);
    }

    #[test]
    fn a_single_class_is_known_at_once() {
        let mut asking = asking(&["A"]);
        asking.next();
        assert_eq!(class_of(asking.died("JvmDied", "")).unwrap(), "A");
        assert!(asking.is_answered());
    }

    #[test]
    fn a_class_without_an_answer_is_refused() {
        let mut asking = asking(&["A", "B"]);
        asking.next();
        asking.answered("B");
        assert_eq!(asking.finished().len(), 1);
        assert_eq!(asking.next(), None);
    }
}
