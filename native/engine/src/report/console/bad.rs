//! A bad test, worded: its name, then the beginning of what was thrown and where in its class.

use crate::report::cases::hint_line;
use crate::report::records::is_bad;
use crate::report::words::{counted, duration_us, first_line, printable, verdict_word};
use testfleet_protocol::test::{Finished, Invocation, Thrown, Verdict};

/// Lines of a message that are shown.
const MESSAGE_LINES: usize = 6;
/// Characters of a line that are shown.
const LINE: usize = 300;
/// Bad invocations of one test that are shown.
const INVOCATIONS: usize = 5;
/// Of a stack trace, how many characters are searched for the test's own line.
const SEARCHED: usize = 64 * 1024;

/// What went wrong in a test, kept from its events until its verdict.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    worker: Option<u32>,
    duration_us: u64,
    own: Option<Problem>,
    invocations: Vec<(String, Problem)>,
    more_invocations: u64,
}

/// The lines that are shown of an exception.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    lines: Vec<String>,
}

impl Trouble {
    pub(super) fn invocation(&mut self, class: &str, worker: u32, invocation: &Invocation, finished: &Finished) {
        self.worker = Some(worker);
        if self.invocations.len() < INVOCATIONS {
            self.invocations.push((first_line(&invocation.name, LINE), Problem::of(class, finished)));
        } else {
            self.more_invocations += 1;
        }
    }

    pub(super) fn test(&mut self, class: &str, worker: Option<u32>, finished: &Finished) {
        // Of several slices, those that passed are not to blame.
        if is_bad(finished.outcome) {
            self.worker = worker.or(self.worker);
        }
        // A test in slices takes as long as all of them.
        self.duration_us = self.duration_us.saturating_add(finished.duration_us);
        if is_bad(finished.outcome) {
            self.own = Some(Problem::of(class, finished));
        }
    }

    /// Whether more is known than what the test itself came to.
    pub(super) fn has_invocations(&self) -> bool {
        !self.invocations.is_empty()
    }

    /// `title FAILED (1.2 s, worker 3)` and what went wrong below it.
    pub(super) fn worded(&self, title: &str, verdict: Verdict, reason: Option<&str>) -> String {
        let mut about = Vec::new();
        if self.duration_us > 0 {
            about.push(duration_us(self.duration_us));
        }
        about.extend(self.worker.map(|worker| format!("worker {worker}")));
        let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        let mut lines = vec![format!("{title} {}{about}", verdict_word(verdict).to_uppercase())];
        for (name, problem) in &self.invocations {
            lines.push(format!("    {name}"));
            lines.extend(problem.lines.iter().map(|line| format!("        {line}")));
        }
        if self.more_invocations > 0 {
            lines.push(format!("    and {}", counted(self.more_invocations, "more invocation", "more invocations")));
        }
        let own = self.own.as_ref().filter(|own| self.invocations.iter().all(|(_, shown)| shown != *own));
        let said = own.map(|own| own.lines.clone()).unwrap_or_default();
        let known = !said.is_empty() || !self.invocations.is_empty();
        lines.extend(said.iter().map(|line| format!("    {line}")));
        if let Some(reason) = reason.filter(|_| !known) {
            lines.push(indented(reason, "    "));
        }
        lines.join("\n")
    }
}

impl Problem {
    fn of(class: &str, finished: &Finished) -> Self {
        let mut lines = Vec::new();
        match finished.thrown.first() {
            Some(thrown) => {
                let message = if thrown.message.is_empty() {
                    thrown.kind.clone()
                } else {
                    format!("{}: {}", thrown.kind, thrown.message)
                };
                lines = shown_lines(&message);
                lines.extend(place(class, thrown).map(|place| format!("    at {place}")));
                let hint = finished.thrown.iter().find_map(|thrown| thrown.hint.as_deref());
                lines.extend(hint.map(|hint| printable(&hint_line(hint)).into_owned()));
                if finished.thrown.len() > 1 {
                    let more = counted(finished.thrown.len() as u64 - 1, "more exception", "more exceptions");
                    lines.push(format!("and {more}"));
                }
            }
            None => lines.extend(finished.reason.iter().flat_map(|reason| shown_lines(reason))),
        }
        Self { lines }
    }
}

/// The first frame in the test's own class: `com.acme.FooTest.adds(FooTest.java:18)`.
fn place(class: &str, thrown: &Thrown) -> Option<String> {
    let top_level = class.split('$').next().unwrap_or(class);
    let searched = thrown.stack.get(..SEARCHED).unwrap_or(&thrown.stack);
    let frames = searched.lines().filter_map(|line| line.trim_start().strip_prefix("at "));
    let mut own = frames.filter(|frame| {
        // `app//` and `java.base@17/` name the class loader and the module.
        let method = frame.split('(').next().unwrap_or(frame);
        let name = method.rsplit('/').next().unwrap_or(method);
        name.strip_prefix(top_level).is_some_and(|rest| rest.starts_with(['.', '$']))
    });
    let frame = own.next()?;
    let in_module = frame.find('(').map_or(frame, |at| &frame[..at]);
    Some(first_line(&frame[in_module.rfind('/').map_or(0, |at| at + 1)..], LINE))
}

fn shown_lines(text: &str) -> Vec<String> {
    let clean = printable(text);
    let mut lines = clean.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let mut shown: Vec<_> = lines.by_ref().take(MESSAGE_LINES).map(|line| first_line(line, LINE)).collect();
    let more = lines.count() as u64;
    if more > 0 {
        shown.push(format!("({})", counted(more, "more line", "more lines")));
    }
    shown
}

/// The beginning of a foreign text, each line behind `indent`.
pub(super) fn indented(text: &str, indent: &str) -> String {
    shown_lines(text).iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n")
}
