//! One harness JVM: its process, its two named pipes and what it writes.

use crate::launch::Launch;
use crate::text::{LONGEST, Utf8, boundary, pieces};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use testfleet_host::signal_in_words;
use testfleet_protocol::harness::{FromHarness, ToHarness};
use testfleet_protocol::test::Stream;
use testfleet_protocol::{Failure, FailureCode, Result, frame};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Lines of a JVM's own output that are kept to explain its end.
const TAIL_LINES: usize = 20;
/// Longest kept line in bytes.
const TAIL_LINE: usize = 2_000;
/// Bytes read at once.
const CHUNK: usize = LONGEST;
/// How long the output of an ended JVM is awaited when something that it started still holds the pipe.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Messages that wait for the supervisor before the JVM has to wait.
const BACKLOG: usize = 256;

/// What comes from a JVM.
#[derive(Debug)]
pub(crate) enum JvmEvent {
    /// The harness said something.
    Message(FromHarness),
    /// The JVM process itself wrote something; at most [`LONGEST`] bytes.
    Raw(Stream, String),
    /// It ended; everything it said came before.
    Ended(JvmEnd),
}

/// How a JVM ended.
#[derive(Debug, Default)]
pub(crate) struct JvmEnd {
    /// Exit code or signal, in words.
    pub(crate) how: String,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// The last lines of its own output, indented.
    pub(crate) last_lines: String,
}

impl JvmEnd {
    /// Of a JVM whose end was not seen.
    pub(crate) fn unknown(how: String) -> Self {
        Self { how, ..Self::default() }
    }

    fn of(status: io::Result<ExitStatus>, last_lines: String) -> Self {
        match status {
            Ok(status) => Self { how: in_words(status), signal: status.signal(), last_lines },
            Err(error) => Self { last_lines, ..Self::unknown(format!("its end could not be observed: {error}")) },
        }
    }
}

/// A JVM that was started. Dropping it kills it with its process group.
#[derive(Debug)]
pub(crate) struct Jvm {
    pub(crate) pid: u32,
    commands: mpsc::UnboundedSender<Vec<u8>>,
    events: mpsc::Receiver<JvmEvent>,
    control: PathBuf,
}

impl Jvm {
    /// Makes the pipes in `control` and starts the process that `launch` describes.
    ///
    /// # Errors
    /// [`FailureCode::JvmStart`].
    pub(crate) fn start(launch: &Launch, control: &Path, pipes: [&Path; 2]) -> Result<Self> {
        let [commands_path, results_path] = pipes;
        let results = open_results(results_path).map_err(|error| pipe_failure(results_path, &error))?;
        let sender = open_commands(commands_path).map_err(|error| pipe_failure(commands_path, &error))?;
        let mut child = Command::new(&launch.program)
            .args(&launch.args)
            .envs(&launch.environment)
            .current_dir(&launch.working_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| {
                Failure::new(FailureCode::JvmStart, format!("failed to start {}", launch.program.display()))
                    .cause(&error)
                    .hint(match error.kind() {
                        // It was looked for before; what is missing is the loader that it names.
                        io::ErrorKind::NotFound => {
                            "it is there, but the loader of its C library is not: a JDK of glibc does not start on a base \
                             with musl, such as Alpine; take a base with glibc, or one with a Java of its own"
                        }
                        _ => "check the JDK of the Test task's launcher",
                    })
            })?;
        let pid = child.id().unwrap_or_default();
        let (events_in, events) = mpsc::channel(BACKLOG);
        let (commands, commands_out) = mpsc::unbounded_channel();
        let tail = Arc::new(Mutex::new(Tail::default()));
        let (ended, has_ended) = watch::channel(false);
        let mut readers = JoinSet::new();
        readers.spawn(read_results(results, events_in.clone(), has_ended.clone()));
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(read_raw(stdout, Stream::Stdout, Arc::clone(&tail), events_in.clone(), has_ended.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(read_raw(stderr, Stream::Stderr, Arc::clone(&tail), events_in.clone(), has_ended));
        }
        tokio::spawn(write_commands(sender, commands_out));
        tokio::spawn(await_end(child, ended, readers, tail, events_in));
        Ok(Self { pid, commands, events, control: control.to_owned() })
    }

    /// Queues a message. One to a JVM that has ended goes nowhere; its end is told by [`Jvm::next`].
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when it is longer than a frame.
    pub(crate) fn send(&self, message: &ToHarness) -> Result<()> {
        let mut bytes = Vec::new();
        frame::encode(&message.encode(), &mut bytes)?;
        let _ = self.commands.send(bytes);
        Ok(())
    }

    /// What comes next; `None` after [`JvmEvent::Ended`]. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> Option<JvmEvent> {
        self.events.recv().await
    }

    /// What has come already.
    pub(crate) fn next_at_hand(&mut self) -> Option<JvmEvent> {
        self.events.try_recv().ok()
    }

    /// Kills the JVM and what it started in its process group.
    pub(crate) fn kill(&self) {
        kill_group(Some(self.pid));
    }
}

fn kill_group(leader: Option<u32>) {
    if let Some(pid) = leader.and_then(|pid| i32::try_from(pid).ok())
        && pid > 1
    {
        // An error says that the group is gone already.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

impl Drop for Jvm {
    fn drop(&mut self) {
        self.kill();
        // What is left goes with the worker's folder.
        let _ = std::fs::remove_dir_all(&self.control);
    }
}

/// Makes the named pipes for commands and results.
pub(crate) fn make_pipes(control: &Path) -> Result<[PathBuf; 2]> {
    let pipes = [control.join("in"), control.join("out")];
    for path in &pipes {
        mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|error| pipe_failure(path, &error.into()))?;
    }
    Ok(pipes)
}

fn pipe_failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(FailureCode::JvmStart, format!("failed to make the named pipe {}", path.display()))
        .cause(error)
        .hint("the worker's temporary folder must lie on a file system with named pipes and free space")
}

// Opened for both directions, a pipe neither blocks at opening nor ends when the JVM does: what it wrote
// before its end is still there to be read.
fn open_results(path: &Path) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_file(File::options().read(true).write(true).open(path)?)
}

fn open_commands(path: &Path) -> io::Result<pipe::Sender> {
    pipe::Sender::from_file(File::options().read(true).write(true).open(path)?)
}

async fn write_commands(sender: pipe::Sender, mut commands: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = commands.recv().await {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            if sender.writable().await.is_err() {
                return;
            }
            match sender.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

async fn read_results(results: pipe::Receiver, events: mpsc::Sender<JvmEvent>, mut ended: watch::Receiver<bool>) {
    let mut decoder = frame::Decoder::default();
    let mut buffer = vec![0; CHUNK];
    loop {
        match results.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                decoder.push(&buffer[..count]);
                if !forward(&mut decoder, &events).await {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if *ended.borrow() {
                    return drain_results(&results, decoder, &events).await;
                }
                tokio::select! {
                    _ = results.readable() => {}
                    _ = ended.changed() => {}
                }
            }
            Err(_) => return,
        }
    }
}

/// Reads what a JVM that is gone left in the pipe. Asks the pipe itself: the runtime may not have heard of the last bytes.
async fn drain_results(results: &pipe::Receiver, mut decoder: frame::Decoder, events: &mpsc::Sender<JvmEvent>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match nix::unistd::read(results, &mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                decoder.push(&buffer[..count]);
                if !forward(&mut decoder, events).await {
                    return;
                }
            }
        }
    }
}

/// Forwards whole messages. `false`: nothing more can be understood or is wanted.
async fn forward(decoder: &mut frame::Decoder, events: &mpsc::Sender<JvmEvent>) -> bool {
    loop {
        let message = match decoder.next_frame() {
            Ok(None) => return true,
            Ok(Some(payload)) => FromHarness::decode(&payload),
            Err(failure) => Err(failure),
        };
        let (event, go_on) = match message {
            Ok(message) => (JvmEvent::Message(message), true),
            // The supervisor ends a JVM with a fault, so the tests in hand are accounted for.
            Err(failure) => {
                let hint = failure.hint.clone().unwrap_or_default();
                (JvmEvent::Message(FromHarness::Fault { message: failure.message, hint }), false)
            }
        };
        if events.send(event).await.is_err() || !go_on {
            return false;
        }
    }
}

async fn read_raw(
    mut from: impl AsyncRead + Unpin,
    stream: Stream,
    tail: Arc<Mutex<Tail>>,
    events: mpsc::Sender<JvmEvent>,
    ended: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; CHUNK];
    let mut utf8 = Utf8::default();
    let mut too_late = std::pin::pin!(long_ended(ended));
    loop {
        let count = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            () = &mut too_late => 0,
        };
        let text = if count == 0 { std::mem::take(&mut utf8).end() } else { utf8.push(&buffer[..count]) };
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(&text);
        for piece in pieces(&text) {
            if events.send(JvmEvent::Raw(stream, piece.to_owned())).await.is_err() {
                return;
            }
        }
        if count == 0 {
            return;
        }
    }
}

async fn long_ended(mut ended: watch::Receiver<bool>) {
    // An error says that the sender is gone, which it is only after the end.
    let _ = ended.wait_for(|ended| *ended).await;
    tokio::time::sleep(LAST_WORDS).await;
}

async fn await_end(
    mut child: Child,
    ended: watch::Sender<bool>,
    mut readers: JoinSet<()>,
    tail: Arc<Mutex<Tail>>,
    events: mpsc::Sender<JvmEvent>,
) {
    let pid = child.id();
    let status = child.wait().await;
    // What it started in its group would keep its output open.
    kill_group(pid);
    ended.send_replace(true);
    while readers.join_next().await.is_some() {}
    let last_lines = tail.lock().unwrap_or_else(PoisonError::into_inner).text();
    // Nobody listens when the agent itself ends.
    let _ = events.send(JvmEvent::Ended(JvmEnd::of(status, last_lines))).await;
}

/// `exit code 3`, `killed by signal 9 (SIGKILL)`
fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(number)) => format!("killed by {}", signal_in_words(number)),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// The last lines of a JVM's own output.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    open: String,
}

impl Tail {
    fn push(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            let room = TAIL_LINE.saturating_sub(self.open.len());
            let line = piece.trim_end_matches(['\n', '\r']);
            self.open.push_str(&line[..boundary(line, room)]);
            if piece.ends_with('\n') {
                self.lines.push_back(std::mem::take(&mut self.open));
                if self.lines.len() > TAIL_LINES {
                    self.lines.pop_front();
                }
            }
        }
    }

    fn text(&self) -> String {
        let open = (!self.open.is_empty()).then_some(&self.open);
        self.lines.iter().chain(open).map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut tail = Tail::default();
        for n in 0..30 {
            tail.push(&format!("line {n}\nha"));
            tail.push("lf ");
        }
        let text = tail.text();
        assert_eq!(text.lines().count(), TAIL_LINES + 1);
        assert!(text.ends_with("half line 29\n  half "), "{text}");
    }

    #[test]
    fn endings_are_told_in_words() {
        assert_eq!(in_words(ExitStatus::from_raw(3 << 8)), "exit code 3");
        assert_eq!(in_words(ExitStatus::from_raw(9)), "killed by signal 9 (SIGKILL)");
    }
}
