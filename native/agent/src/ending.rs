//! What the end of a JVM is told as: its cause, a reason in words, and what tells more.

use crate::dumps::Dumps;
use crate::jvm::JvmEnd;
use crate::text::shortened;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use testfleet_protocol::agent::{DeathCause, EVIDENCE, Evidence};
use testfleet_protocol::test::TestName;

/// How much of a crash's own file is evidence; the whole comes as a file.
const CRASH_HEAD: u64 = 64 << 10;
/// How lines begin that a JVM writes when it ends itself for lack of memory.
const OUT_OF_MEMORY: [&str; 3] = [
    "Terminating due to java.lang.OutOfMemoryError",
    "Aborting due to java.lang.OutOfMemoryError",
    "# There is insufficient memory for the Java Runtime Environment to continue",
];
/// As exceptions name it.
const OOME: &str = "java.lang.OutOfMemoryError";

/// Why the agent kills a JVM, when that is no ordinary end.
#[derive(Debug, Default)]
pub(crate) struct Doom {
    /// In words.
    pub(crate) verdict: String,
    pub(crate) cause: DeathCause,
    /// Empty: all that were running.
    pub(crate) blamed: Vec<TestName>,
    pub(crate) evidence: Vec<Evidence>,
}

impl Doom {
    /// For something that has no cause of its own.
    pub(crate) fn for_reason(verdict: String) -> Self {
        Self { verdict, ..Self::default() }
    }

    /// The harness says that it can't go on.
    pub(crate) fn fault(message: &str, hint: &str) -> Self {
        if message.starts_with(OOME) {
            let (first, stack) = message.split_once('\n').unwrap_or((message, ""));
            let evidence =
                (!stack.is_empty()).then(|| Evidence { name: "stack".to_owned(), text: shortened(message, EVIDENCE) });
            let verdict = format!("it ran out of memory ({first})");
            return Self {
                verdict,
                cause: DeathCause::OutOfMemory,
                evidence: evidence.into_iter().collect(),
                blamed: Vec::new(),
            };
        }
        let hint = if hint.is_empty() { String::new() } else { format!(" (hint: {hint})") };
        Self::for_reason(format!("{message}{hint}"))
    }
}

/// Whether an exception, or what caused it, says that there was no memory.
pub(crate) fn is_out_of_memory(stack: &str) -> bool {
    stack.contains(OOME)
}

/// What is known when a JVM has ended.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    pub(crate) end: JvmEnd,
    pub(crate) doom: Option<Doom>,
    /// Who was inside `System.exit`.
    pub(crate) exit_stacks: Option<String>,
    /// The beginning of what a crash left.
    pub(crate) crash: Option<String>,
    /// Whether the system killed something for lack of memory while the JVM lived.
    pub(crate) oom_kill: bool,
}

/// How the end of a JVM is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Death {
    pub(crate) cause: DeathCause,
    pub(crate) reason: String,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) blamed: Vec<TestName>,
}

impl Death {
    /// Of a JVM of which nothing else is known.
    pub(crate) fn for_reason(reason: String) -> Self {
        Self { reason, ..Self::default() }
    }
}

impl Traces {
    /// Puts it together.
    pub(crate) fn tell(self) -> Death {
        let Self { end, doom, exit_stacks, crash, oom_kill } = self;
        let mut death = Death::default();
        if let Some(doom) = doom {
            death.cause = doom.cause;
            death.blamed = doom.blamed;
            death.evidence = doom.evidence;
            if matches!(doom.cause, DeathCause::TestTimeout | DeathCause::ClassTimeout | DeathCause::RunTimeout) {
                let deadlock = if Dumps::found_deadlock(&death.evidence) { "; the JVM found a deadlock" } else { "" };
                // How it ended is no news: the agent killed it. What it last wrote is the thread dump.
                death.reason = format!("{}{deadlock}", doom.verdict);
                return death;
            }
            // Here too the agent killed it.
            death.reason = match doom.cause {
                DeathCause::OutOfMemory => doom.verdict,
                _ => format!("{}; {}", doom.verdict, end.how),
            };
        } else {
            let no_memory = no_memory(&end.last_lines, crash.as_deref());
            let crashed = crash.as_deref().and_then(headline);
            let exit = exit_stacks.as_deref().and_then(caller);
            death.reason = match (no_memory, crashed, exit) {
                (Some(line), _, _) => {
                    death.cause = DeathCause::OutOfMemory;
                    format!("it ran out of memory ({line}); {}", end.how)
                }
                _ if end.signal == Some(9) && oom_kill => {
                    death.cause = DeathCause::OutOfMemory;
                    format!("{}: the system killed it because its memory ran out", end.how)
                }
                (None, Some(crashed), _) => format!("it crashed: {crashed}; {}", end.how),
                (None, None, Some(exit)) => format!("{}: System.exit was called at {exit}", end.how),
                (None, None, None) => end.how,
            };
        }
        if !end.last_lines.is_empty() {
            death.reason = format!("{}; it last wrote:\n{}", death.reason, end.last_lines);
        }
        let more = [("hs_err", crash), ("exit-stack", exit_stacks)];
        let more = more.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let more = more.map(|(name, text)| Evidence { name: name.to_owned(), text: shortened(&text, EVIDENCE) });
        death.evidence.extend(more);
        death
    }
}

/// What the JVM itself said of it.
fn no_memory(last_lines: &str, crash: Option<&str>) -> Option<String> {
    let said = |text: &str| {
        let mut lines = text.lines().map(str::trim);
        let line = lines.find(|line| OUT_OF_MEMORY.iter().any(|beginning| line.starts_with(beginning)))?;
        Some(line.trim_start_matches("# ").to_owned())
    };
    said(last_lines).or_else(|| said(crash?))
}

/// What a crash's own file says first: `SIGSEGV (0xb) at pc=...`.
fn headline(crash: &str) -> Option<&str> {
    crash.lines().find_map(|line| line.strip_prefix("#  ")).map(str::trim).filter(|line| !line.is_empty())
}

/// The frame that called `System.exit` or `Runtime.exit`.
fn caller(stacks: &str) -> Option<&str> {
    let frames = stacks.lines().filter_map(|line| line.trim_start().strip_prefix("at "));
    // With or without the module that newer JVMs name.
    let is_exit = |frame: &&str| frame.contains("java.lang.Runtime.exit(") || frame.contains("java.lang.System.exit(");
    frames.skip_while(|frame| !is_exit(frame)).find(|frame| !is_exit(frame))
}

/// The file that a crash of this process left, not one that an earlier process left there.
pub(crate) fn crash_file(pattern: &Path, pid: u32, started: Option<SystemTime>) -> Option<PathBuf> {
    let file = PathBuf::from(pattern.to_string_lossy().replace("%p", &pid.to_string()));
    let about = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let is_new = started.zip(about.modified().ok()).is_none_or(|(started, written)| written > started);
    is_new.then_some(file)
}

/// The beginning of a crash's file.
pub(crate) fn crash_head(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).and_then(|file| file.take(CRASH_HEAD).read_to_end(&mut bytes)).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(how: &str, last_lines: &str) -> Traces {
        let signal = how.contains("signal 9").then_some(9);
        let end = JvmEnd { how: how.into(), signal, last_lines: last_lines.into() };
        Traces { end, ..Traces::default() }
    }

    #[test]
    fn an_exit_names_its_caller() {
        let stacks = "\"Test worker\"\n\tat java.base@17/java.lang.Shutdown.exit(Shutdown.java:1)\n\tat java.base@17/java.lang.Runtime.exit(Runtime.java:2)\n\tat java.base@17/java.lang.System.exit(System.java:3)\n\tat com.acme.FooTest.exits(FooTest.java:5)\n\tat x.Y.z(Y.java:1)\n";
        let death = Traces { exit_stacks: Some(stacks.into()), ..ended("exit code 3", "") }.tell();
        assert_eq!(death.reason, "exit code 3: System.exit was called at com.acme.FooTest.exits(FooTest.java:5)");
        assert_eq!((death.evidence[0].name.as_str(), death.evidence[0].text.as_str()), ("exit-stack", stacks));
        assert_eq!(death.cause, DeathCause::Died);
    }

    #[test]
    fn a_jvm_that_says_that_memory_ran_out_is_believed() {
        let line = "Terminating due to java.lang.OutOfMemoryError: Java heap space";
        let death = ended("exit code 3", &format!("  before\n  {line}")).tell();
        assert_eq!(death.cause, DeathCause::OutOfMemory);
        assert!(death.reason.starts_with(&format!("it ran out of memory ({line}); exit code 3; it last wrote:\n")));
        let crash = "#\n# There is insufficient memory for the Java Runtime Environment to continue.\n#  x\n";
        let death = Traces { crash: Some(crash.into()), ..ended("exit code 1", "") }.tell();
        assert_eq!(death.cause, DeathCause::OutOfMemory);
    }

    #[test]
    fn the_systems_own_kill_is_told_from_others() {
        let death = Traces { oom_kill: true, ..ended("killed by signal 9 (SIGKILL)", "") }.tell();
        assert_eq!(death.cause, DeathCause::OutOfMemory);
        assert_eq!(ended("killed by signal 9 (SIGKILL)", "").tell().cause, DeathCause::Died);
        assert_eq!(Traces { oom_kill: true, ..ended("exit code 1", "") }.tell().cause, DeathCause::Died);
    }

    #[test]
    fn a_crash_of_an_earlier_process_is_none_of_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hs_err_7.log");
        std::fs::write(&file, "old").unwrap();
        let written = std::fs::metadata(&file).unwrap().modified().unwrap();
        let pattern = folder.path().join("hs_err_%p.log");
        assert_eq!(crash_file(&pattern, 7, Some(written)), None);
        assert_eq!(crash_file(&pattern, 8, None), None);
        assert_eq!(crash_file(&pattern, 7, Some(written - std::time::Duration::from_millis(5))), Some(file));
    }

    #[test]
    fn a_crash_is_told_with_its_headline() {
        let crash = "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n#  SIGSEGV (0xb) at pc=0x1, pid=2, tid=3\n#\n";
        let death = Traces { crash: Some(crash.into()), ..ended("killed by signal 6 (SIGABRT)", "") }.tell();
        assert_eq!(death.reason, "it crashed: SIGSEGV (0xb) at pc=0x1, pid=2, tid=3; killed by signal 6 (SIGABRT)");
        assert_eq!(death.evidence[0].name, "hs_err");
    }

    #[test]
    fn a_time_out_tells_of_a_deadlock() {
        let evidence = vec![Evidence { name: "thread-dump".into(), text: "Found one Java-level deadlock:\n".into() }];
        let doom = Doom { verdict: "too long".into(), cause: DeathCause::TestTimeout, evidence, ..Doom::default() };
        let death = Traces { doom: Some(doom), ..ended("killed by signal 9 (SIGKILL)", "  dump") }.tell();
        assert_eq!(death.reason, "too long; the JVM found a deadlock");
    }

    #[test]
    fn a_fault_of_memory_has_that_cause() {
        let doom = Doom::fault("java.lang.OutOfMemoryError: Java heap space\n\tat X", "");
        assert_eq!((doom.cause, doom.evidence.len()), (DeathCause::OutOfMemory, 1));
        assert_eq!(doom.verdict, "it ran out of memory (java.lang.OutOfMemoryError: Java heap space)");
        let doom = Doom::fault("no JUnit", "add it");
        assert_eq!((doom.cause, doom.verdict.as_str()), (DeathCause::Died, "no JUnit (hint: add it)"));
    }
}
