//! The record of a run where other machines find it, so that the next one goes on with it.
//!
//! While the run goes on, its journal is copied in pieces that never change; a head names the run and how many pieces there
//! are, and says every few seconds that its coordinator lives. Whoever takes the run over copies it anew, as another
//! generation: a journal that goes on is cut first, and pieces that somebody may be reading are left as they are.

use super::history::open;
use super::runs::{RunDir, new_id};
use super::{Context, Sink};
use crate::clock::now_ms;
use crate::history::Store;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testfleet_protocol::event::{Event, Level};
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// Name of the document that says which run there is.
const HEAD: &str = "run";
/// Between two looks at what is new: at first, and later, when a run has shown to be a long one, whose pieces would be many.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(10);
/// So often a coordinator says that it lives, in milliseconds.
const BEAT_MS: u64 = 15_000;
/// One that does not say so for so long is dead. It is watched, as clocks of machines differ.
const WATCHED: Duration = Duration::from_millis(3 * BEAT_MS);
/// Between two looks at it.
const LOOK: Duration = Duration::from_secs(3);
/// One that said so so long ago is dead whatever the clocks, in milliseconds.
const LONG_DEAD_MS: u64 = 600_000;
/// Bytes of the journal in one piece, as they are before they are packed.
const PIECE: u64 = 16 << 20;
/// A piece is no larger, whatever somebody has put there.
const LARGEST: u64 = 4 * PIECE;
/// Nor has a run more of them.
const MOST: u32 = 100_000;
const PLAN: &str = "plan";
const BUNDLE: &str = "bundle";

/// What is there of the branch's last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    /// [`VERSION`]
    protocol: u32,
    /// Its id.
    run: String,
    /// Tells this copy of its record from others.
    generation: String,
    /// How many pieces of the journal are there.
    pieces: u32,
    /// Where its coordinator is.
    host: String,
    /// When that wrote this last, in milliseconds since the Unix epoch.
    at_ms: u64,
    /// Whether nothing is left to go on with, or nobody is at work on it any more.
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
    /// Its coordinator left it.
    Left,
    Finished,
}

/// Copies the record of a run while that goes on, in a thread of its own: no run waits for a place that is slow.
pub(super) struct Mirror {
    end: Sender<State>,
    thread: JoinHandle<()>,
}

impl Mirror {
    /// Begins, if the build wants it and may write there.
    pub(super) fn begin(context: &Context<'_>, dir: &RunDir) -> Option<Self> {
        let shared = context.request.options.history.as_ref().filter(|shared| shared.journal && shared.publish)?;
        let store = match open(context, shared) {
            Ok(store) => store,
            Err(failure) => {
                context.sink.say(Level::Warn, failure.to_string());
                return None;
            }
        };
        let (end, ended) = channel();
        let mut copy = Copy::new(store, dir);
        let sender = context.sink.sender();
        let thread = std::thread::Builder::new().name("testfleet-mirror".to_owned()).spawn(move || {
            let (mut warned, mut pause) = (false, Duration::ZERO);
            loop {
                let end = match ended.recv_timeout(pause) {
                    Ok(state) => Some(state),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => Some(State::Left),
                };
                match copy.go_on(end.unwrap_or(State::Running)) {
                    Ok(()) => warned = false,
                    // Once: it is tried again and again.
                    Err(failure) if !warned || end.is_some() => {
                        warned = true;
                        let text = format!("{failure}\nAnother machine could not go on with this run from where it is");
                        let _ = sender.send(Event::Console { level: Level::Warn, text });
                    }
                    Err(_) => {}
                }
                if end.is_some() {
                    return;
                }
                pause = (pause * 11 / 10).clamp(OFTEN, SELDOM);
            }
        });
        match thread {
            Ok(thread) => Some(Self { end, thread }),
            Err(error) => {
                let failure = Failure::new(FailureCode::Internal, "failed to start a thread").cause(&error);
                context.sink.say(Level::Warn, failure.to_string());
                None
            }
        }
    }

    /// Copies what is left, and says whether the run is over.
    pub(super) fn end(self, is_over: bool) {
        let _ = self.end.send(if is_over { State::Finished } else { State::Left });
        let _ = self.thread.join();
    }
}

/// What was copied so far.
struct Copy {
    store: Store,
    head: Head,
    dir: PathBuf,
    journal: PathBuf,
    /// Bytes of the journal that are there.
    copied: u64,
    /// Whether plan and bundle are.
    begun: bool,
}

impl Copy {
    fn new(store: Store, dir: &RunDir) -> Self {
        let host =
            nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned());
        let generation = new_id();
        let head = Head {
            protocol: VERSION,
            run: dir.id.clone(),
            generation,
            pieces: 0,
            host,
            at_ms: 0,
            state: State::Running,
        };
        Self { store, head, dir: dir.folder().to_owned(), journal: dir.journal(), copied: 0, begun: false }
    }

    fn go_on(&mut self, state: State) -> Result<()> {
        if !self.begun {
            for (kind, file) in [(PLAN, "plan.json"), (BUNDLE, "bundle.json")] {
                let path = self.dir.join(file);
                let bytes = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
                self.store.put(&document(&self.head, kind), &pack(&bytes)?)?;
            }
            self.begun = true;
        }
        let before = self.head.pieces;
        while let Some(piece) = whole_lines(&self.journal, self.copied)? {
            self.store.put(&document(&self.head, &(self.head.pieces + 1).to_string()), &pack(&piece)?)?;
            self.head.pieces += 1;
            self.copied += piece.len() as u64;
        }
        let now = now_ms();
        if self.head.pieces > before || state != State::Running || now.saturating_sub(self.head.at_ms) >= BEAT_MS {
            (self.head.at_ms, self.head.state) = (now, state);
            let json = serde_json::to_vec(&self.head)
                .map_err(|error| Failure::new(FailureCode::Internal, "failed to write JSON").cause(&error))?;
            self.store.put(HEAD, &json)?;
        }
        Ok(())
    }
}

/// Name of a document of a run: letters of one case, as all places take them.
fn document(head: &Head, kind: &str) -> String {
    format!("{HEAD}-{}-{kind}", head.generation).to_ascii_lowercase()
}

/// What the journal has beyond the first bytes, up to the end of a line; `None` when that is nothing.
fn whole_lines(journal: &Path, from: u64) -> Result<Option<Vec<u8>>> {
    let failed = |error: std::io::Error| Failure::io("read", journal, &error);
    let mut file = match File::open(journal) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(PIECE).read_to_end(&mut bytes).map_err(failed)?;
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    Ok((!bytes.is_empty()).then_some(bytes))
}

fn pack(bytes: &[u8]) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Failure::new(FailureCode::Internal, "failed to pack a record").cause(&error);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).map_err(failed)?;
    packed.finish().map_err(failed)
}

fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other("it is larger than any record is"));
    }
    Ok(bytes)
}

/// Brings the branch's last run here, if it is one of another machine that can go on.
///
/// # Errors
/// [`FailureCode::RunInUse`] when its coordinator lives; when the place can't be reached, or what is there is damaged.
pub(super) fn fetch(context: &Context<'_>) -> Result<()> {
    let Some(shared) = context.request.options.history.as_ref().filter(|shared| shared.journal) else { return Ok(()) };
    let store = open(context, shared)?;
    let Some(bytes) = store.read_own(HEAD)? else { return Ok(()) };
    let head = read_head(&bytes).map_err(|why| damaged(HEAD, &why))?;
    if head.state == State::Finished || RunDir::is_there(context.output(), &head.run) {
        return Ok(());
    }
    if head.state == State::Running && now_ms().abs_diff(head.at_ms) < LONG_DEAD_MS {
        let text = format!(
            "Watching for {} s whether the coordinator of run {} on {} lives",
            WATCHED.as_secs(),
            head.run,
            head.host
        );
        context.sink.say(Level::Lifecycle, text);
        let alive = watch(context, &store, &bytes, WATCHED, LOOK)?;
        if alive {
            return Err(Failure::new(
                FailureCode::RunInUse,
                format!("failed to become the coordinator of run {}", head.run),
            )
            .cause_text(format!("the one on {} is at work on it", head.host))
            .hint("wait for its end, or end it first"));
        }
    }
    bring(context.output(), context.sink, &store, &head)
}

/// Whether what is there changes.
fn watch(context: &Context<'_>, store: &Store, then: &[u8], time: Duration, pause: Duration) -> Result<bool> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::thread::sleep(pause);
        context.check_cancelled()?;
        if store.read_own(HEAD)?.as_deref() != Some(then) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whole or not at all.
fn bring(output: &Path, sink: &Sink, store: &Store, head: &Head) -> Result<()> {
    let part = |kind: &str| -> Result<Vec<u8>> {
        let name = document(head, kind);
        let packed = store.read_own(&name)?.ok_or_else(|| damaged(&name, "it is not there"))?;
        unpack(&packed).map_err(|error| damaged(&name, &error.to_string()))
    };
    let (plan, bundle) = (part(PLAN)?, part(BUNDLE)?);
    RunDir::bring(output, &head.run, |dir| {
        let write =
            |path: PathBuf, bytes: &[u8]| fs::write(&path, bytes).map_err(|error| Failure::io("write", &path, &error));
        write(dir.plan_file(), &plan)?;
        write(dir.bundle_file(), &bundle)?;
        let path = dir.journal();
        let failed = |error: std::io::Error| Failure::io("write", &path, &error);
        let mut journal = File::create(&path).map_err(failed)?;
        for piece in 1..=head.pieces {
            journal.write_all(&part(&piece.to_string())?).map_err(failed)?;
        }
        journal.sync_all().map_err(failed)
    })?;
    let text = format!("Run {} of {} is here now, as far as it was recorded elsewhere", head.run, head.host);
    sink.say(Level::Lifecycle, text);
    Ok(())
}

fn read_head(bytes: &[u8]) -> std::result::Result<Head, String> {
    let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let is_name = |text: &str| {
        !text.is_empty() && text.len() <= 60 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    match &head {
        Head { protocol, .. } if *protocol != VERSION => {
            Err(format!("it has protocol version {protocol}, this engine speaks {VERSION}"))
        }
        // It becomes the name of a folder.
        Head { run, generation, .. } if !is_name(run) || !is_name(generation) => Err("it names no run".to_owned()),
        Head { pieces, .. } if *pieces > MOST => Err(format!("it has {pieces} pieces")),
        _ => Ok(head),
    }
}

fn damaged(name: &str, why: &str) -> Failure {
    Failure::new(FailureCode::JournalBroken, format!("failed to use the shared record {name}"))
        .cause_text(why)
        .hint("begin a new run, which replaces it: leave --resume out")
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
