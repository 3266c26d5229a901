//! Thread dumps of a JVM that is about to be killed.
//!
//! SIGQUIT makes a JVM write where its threads are, to its own standard output. Two dumps a second apart show what moves.
//! A JVM that is stopped, that was told to leave signals alone (`-Xrs`), or that is too far gone writes nothing: there is an
//! end to the waiting, and the evidence says so.

use crate::text::shortened;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;
use testfleet_protocol::agent::{EVIDENCE, Evidence};
use testfleet_protocol::test::Stream;
use tokio::time::Instant;

/// Between the two dumps.
const APART: Duration = Duration::from_secs(1);
/// How long a dump may take.
const WITHIN: Duration = Duration::from_secs(3);
/// After so much silence a dump is over: what follows the threads (deadlocks, heap) has no last line that is always there.
const SILENCE: Duration = Duration::from_millis(200);
/// Most that is held of what the JVM writes meanwhile.
const HELD: usize = 4 * EVIDENCE;
const TITLE: &str = "Full thread dump";
/// Begins the last line about threads, in all versions.
const LAST_OF_THREADS: &str = "JNI global ref";
/// How a JVM says that it found one.
const DEADLOCK: &str = "Java-level deadlock";

/// The two dumps on their way.
#[derive(Debug)]
pub(crate) struct Dumps {
    pid: u32,
    asked: Instant,
    step: Step,
    due: Instant,
    /// What came of each stream since the last was asked for.
    held: [String; 2],
    evidence: Vec<Evidence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    First,
    Between,
    Second,
    Done,
}

impl Dumps {
    /// Asks for the first.
    pub(crate) fn ask(pid: u32, now: Instant) -> Self {
        let mut dumps = Self {
            pid,
            asked: now,
            step: Step::First,
            due: now + WITHIN,
            held: Default::default(),
            evidence: Vec::new(),
        };
        if let Err(why) = signal(pid) {
            dumps.give_up(&why);
        }
        dumps
    }

    /// When [`Dumps::go_on`] wants to be called.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Whether there is nothing more to come.
    pub(crate) fn is_done(&self) -> bool {
        self.step == Step::Done
    }

    /// Takes what the JVM wrote. What turns out to be no dump comes back from [`Dumps::go_on`] and [`Dumps::end`].
    pub(crate) fn take(&mut self, stream: Stream, text: &str, now: Instant) {
        let held = &mut self.held[index(stream)];
        if held.len() + text.len() <= HELD {
            held.push_str(text);
        }
        let is_waiting = matches!(self.step, Step::First | Step::Second);
        if is_waiting && self.held.iter().any(|held| held.contains(LAST_OF_THREADS)) {
            self.due = (now + SILENCE).min(self.asked + WITHIN);
        }
    }

    /// Time is up for the present step. Returns what is output.
    pub(crate) fn go_on(&mut self, now: Instant) -> Vec<(Stream, String)> {
        match self.step {
            Step::First => {
                let output = self.cut();
                if self.evidence.is_empty() {
                    let why = if state(self.pid) == Some('T') { "its process is stopped" } else { "it did not react" };
                    self.give_up(&format!("no thread dump came within {} s: {why}", WITHIN.as_secs()));
                } else {
                    self.step = Step::Between;
                    self.due = (self.asked + APART).max(now);
                }
                output
            }
            Step::Between => {
                let output = self.cut();
                self.asked = now;
                self.step = Step::Second;
                self.due = now + WITHIN;
                if signal(self.pid).is_err() {
                    self.step = Step::Done;
                }
                output
            }
            Step::Second => {
                self.step = Step::Done;
                self.cut()
            }
            Step::Done => Vec::new(),
        }
    }

    /// It is over, whatever came. What is held and is no dump is output.
    pub(crate) fn end(mut self) -> (Vec<Evidence>, Vec<(Stream, String)>) {
        let output = self.cut();
        if self.evidence.is_empty() {
            self.give_up("no thread dump came: the JVM ended before");
        }
        (self.evidence, output)
    }

    /// Whether a dump tells of a deadlock.
    pub(crate) fn found_deadlock(evidence: &[Evidence]) -> bool {
        evidence.iter().any(|one| one.text.contains(DEADLOCK))
    }

    fn give_up(&mut self, why: &str) {
        self.step = Step::Done;
        self.evidence.push(Evidence { name: "thread-dump".to_owned(), text: why.to_owned() });
    }

    /// Makes evidence of what is held, if it is a dump.
    fn cut(&mut self) -> Vec<(Stream, String)> {
        let mut output = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let text = std::mem::take(&mut self.held[index(stream)]);
            let from = beginning(&text);
            if let Some(dump) = text.get(from..).filter(|dump| !dump.is_empty()) {
                let text = shortened(dump.trim_end(), EVIDENCE);
                self.evidence.push(Evidence { name: "thread-dump".to_owned(), text });
            }
            if from > 0 {
                output.push((stream, text[..from].to_owned()));
            }
        }
        output
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

/// Where a dump begins: at its title, or at the line with the time before it. The end of the text when there is none.
fn beginning(text: &str) -> usize {
    let Some(title) = text.find(TITLE) else { return text.len() };
    let line = text[..title].rfind('\n').map_or(0, |at| at + 1);
    let before = text[..line].trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1);
    let is_time = text[before..line].starts_with(|c: char| c.is_ascii_digit()) && text[before..line].contains(':');
    if is_time { before } else { line }
}

/// Sends SIGQUIT to a JVM that waits for it; one that does not would end.
fn signal(pid: u32) -> Result<(), String> {
    match catches_quit(pid) {
        Some(true) => {}
        Some(false) => {
            return Err("no thread dump: the JVM leaves SIGQUIT alone (-Xrs, or it is just starting)".to_owned());
        }
        None => return Err("no thread dump: the JVM can't be looked at".to_owned()),
    }
    let pid = i32::try_from(pid).map_err(|_| "no thread dump: it is no process".to_owned())?;
    kill(Pid::from_raw(pid), Signal::SIGQUIT).map_err(|error| format!("no thread dump: {error}"))
}

/// Whether the process handles SIGQUIT itself, from the mask in /proc; where there is none, it is taken for granted.
fn catches_quit(pid: u32) -> Option<bool> {
    if !cfg!(target_os = "linux") {
        return Some(true);
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (Signal::SIGQUIT as u64 - 1) & 1 == 1)
}

/// `R`, `S`, `T` (stopped), ...
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str =
        "2026-11-21 18:00:00\nFull thread dump OpenJDK (17):\n\n\"main\" #1\n\nJNI global refs: 1\n\nHeap\n";

    fn waiting(step: Step) -> Dumps {
        let now = Instant::now();
        Dumps { pid: u32::MAX, asked: now, step, due: now + WITHIN, held: Default::default(), evidence: Vec::new() }
    }

    #[test]
    fn a_dump_is_told_from_output() {
        let mut dumps = waiting(Step::Second);
        let now = dumps.asked;
        dumps.take(Stream::Stdout, "hello\n", now);
        assert_eq!(dumps.due, now + WITHIN);
        dumps.take(Stream::Stdout, DUMP, now);
        assert_eq!(dumps.due, now + SILENCE);
        dumps.take(Stream::Stderr, "oops", now);
        let output = dumps.go_on(now);
        assert_eq!(output, [(Stream::Stdout, "hello\n".to_owned()), (Stream::Stderr, "oops".to_owned())]);
        assert!(dumps.is_done());
        let (evidence, output) = dumps.end();
        assert_eq!((evidence[0].text.as_str(), evidence.len()), (DUMP.trim_end(), 1));
        assert!(output.is_empty());
    }

    #[test]
    fn a_jvm_that_says_nothing_is_not_waited_for_twice() {
        let mut dumps = waiting(Step::First);
        let now = dumps.due;
        assert!(dumps.go_on(now).is_empty());
        assert!(dumps.is_done());
        assert!(dumps.end().0[0].text.contains("no thread dump came within 3 s: it did not react"));
    }

    #[test]
    fn the_first_is_followed_by_the_second() {
        let mut dumps = waiting(Step::First);
        let now = dumps.asked;
        dumps.take(Stream::Stderr, DUMP, now);
        dumps.go_on(now + SILENCE);
        assert_eq!((dumps.step, dumps.due), (Step::Between, now + APART));
    }

    #[test]
    fn where_a_dump_begins() {
        assert_eq!(beginning("no dump"), 7);
        assert_eq!(beginning("x\nFull thread dump"), 2);
        assert_eq!(beginning("2026-01-01 01:02:03\nFull thread dump"), 0);
        assert_eq!(beginning("x\n2026-01-01 01:02:03\nFull thread dump"), 2);
    }

    #[test]
    fn a_process_that_does_not_catch_it_gets_no_sigquit() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let dumps = Dumps::ask(child.id(), Instant::now());
        assert!(dumps.is_done());
        assert!(dumps.end().0[0].text.contains("leaves SIGQUIT alone"));
        assert!(child.try_wait().unwrap().is_none(), "it lives");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
