//! One command, one stream of events: what JNI and the command line use.

mod ask;
mod care;
mod coverage;
mod docker;
mod elsewhere;
mod history;
mod image;
mod kubernetes;
mod listing;
mod mirror;
pub(crate) mod panic;
mod prepare;
mod resume;
mod reuse;
mod run;
mod runs;
mod show;
#[cfg(test)]
mod test_machine;

use crate::cancel::cancelled;
pub use panic::{panicked, remember_panics};
use prepare::prepare;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use testfleet_protocol::event::{Event, Level};
use testfleet_protocol::plan::Plan;
use testfleet_protocol::request::{Command, OpenRequest, RunRequest};
use testfleet_protocol::run_options::{Isolation, LocalConnection};
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::sync::watch;

/// More workers than any plan is made for; keeps a slip of the finger from taking all memory.
const MAX_WORKERS: u32 = 1_000;

/// More machines than any build is spread over.
const MAX_SHARDS: u32 = 1_000;

/// Where workers can be started.
const BACKENDS: [&str; 3] = [run::LOCAL, docker::NAME, kubernetes::NAME];

/// A command at work. Its events are pulled; the last is [`Event::End`].
pub struct Session {
    events: Mutex<Receiver<Event>>,
    cancel: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Session {
    /// Reads an [`OpenRequest`] from JSON and starts it.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when it is none, [`FailureCode::ProtocolVersion`] when it comes
    /// from another version. What fails later comes as [`Event::End`].
    pub fn open_json(json: &[u8]) -> Result<Self> {
        Self::open(read(json)?)
    }

    /// Starts a command.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`], [`FailureCode::ProtocolVersion`].
    pub fn open(open: OpenRequest) -> Result<Self> {
        check(&open.request)?;
        let (sender, events) = channel();
        let (cancel, cancelled) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("testfleet".to_owned())
            .spawn(move || {
                let sink = Sink { sender };
                let outcome = catch_unwind(AssertUnwindSafe(|| execute(open, &sink, cancelled)))
                    .unwrap_or_else(|payload| Err(panicked(payload.as_ref())));
                sink.send(Event::End { failure: outcome.err() });
            })
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to start a thread").cause(&error))?;
        Ok(Self { events: Mutex::new(events), cancel, thread: Mutex::new(Some(thread)) })
    }

    /// The next event, or `None` when none came in time or the last one was taken.
    pub fn next_event(&self, timeout: Duration) -> Option<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.recv_timeout(timeout).ok()
    }

    /// Asks for the end. Events go on until the last one.
    pub fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    /// Cancels what still runs and waits until it has ended. Closing twice is fine.
    pub fn close(&self) {
        self.cancel();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread was already told as its last event.
            let _ = thread.join();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where a command's events go.
pub(crate) struct Sink {
    sender: Sender<Event>,
}

impl Sink {
    /// For what outlives the borrow.
    pub(crate) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    pub(crate) fn send(&self, event: Event) {
        // Nobody listens any more: the command was told to cancel and only cleans up.
        let _ = self.sender.send(event);
    }

    pub(crate) fn say(&self, level: Level, text: impl Into<String>) {
        self.send(Event::Console { level, text: text.into() });
    }

    pub(crate) fn say_all(&self, lines: Vec<(Level, String)>) {
        for (level, text) in lines {
            self.say(level, text);
        }
    }

    pub(crate) fn written(&self, what: &str, path: &Path) {
        self.send(Event::Written { what: what.to_owned(), path: path.to_owned() });
    }
}

/// What all commands know.
pub(crate) struct Context<'a> {
    pub(crate) request: RunRequest,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) sink: &'a Sink,
    pub(crate) cancelled: watch::Receiver<bool>,
    /// Whether [`Event::Run`] is wanted.
    pub(crate) run_events: bool,
}

impl Context<'_> {
    /// Testfleet's output folder, `build/testfleet`.
    pub(crate) fn output(&self) -> &Path {
        &self.request.roots["build"]
    }

    pub(crate) fn plan_file(&self) -> PathBuf {
        self.output().join("plan.json")
    }

    pub(crate) fn bundle_file(&self) -> PathBuf {
        self.output().join("bundle.json")
    }

    /// Makes the request choose the tests that a plan was made for, so that what is discovered now can be compared with it.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when it chose others itself.
    pub(crate) fn choose_as(&mut self, plan: &Plan) -> Result<()> {
        let options = &mut self.request.options;
        if !options.tests.is_empty() && options.tests != plan.tests {
            let asked = options.tests.join(" --tests ");
            return Err(Failure::new(
                FailureCode::InvalidRequest,
                format!("failed to run the plan with --tests {asked}"),
            )
            .cause_text(match plan.tests.as_slice() {
                [] => "the plan is of all tests, and is run as it is".to_owned(),
                tests => format!("the plan was made with --tests {}, and is run as it is", tests.join(" --tests ")),
            })
            .hint("plan for these tests first: `./gradlew prepare --tests PATTERN`; or leave --tests out"));
        }
        options.tests.clone_from(&plan.tests);
        options.shard = plan.shard;
        options.rerun_failed.clone_from(&plan.failed_of);
        Ok(())
    }

    /// # Errors
    /// [`FailureCode::Cancelled`] when the end was asked for.
    pub(crate) fn check_cancelled(&self) -> Result<()> {
        if *self.cancelled.borrow() { Err(cancelled()) } else { Ok(()) }
    }
}

fn execute(open: OpenRequest, sink: &Sink, cancelled: watch::Receiver<bool>) -> Result<()> {
    let OpenRequest { command, request, environment, run_events } = open;
    let mut context = Context { request, environment, sink, cancelled, run_events };
    match command {
        Command::Prepare { verify: true } => prepare::verify(&mut context),
        Command::Prepare { verify: false } => prepare(&mut context).map(drop),
        Command::Show { what, json } => prepare::show(&mut context, what, json),
        Command::Image => image::image(&mut context),
        Command::RunParallel => run::parallel(&mut context),
        Command::RunWorker { worker, plan, from_run, debug_jvm, in_image, keep } => {
            run::worker(&mut context, &run::WorkerChoice { worker, plan, from_run, debug_jvm, in_image, keep })
        }
        Command::Doctor => care::doctor(&context),
        Command::Gc { older_than_ms, kept } => care::gc(&context, older_than_ms, kept),
        Command::Shell { worker } => docker::shell(&context, worker),
    }
}

/// Reads a request; [`check`] says whether it can be worked on.
pub(crate) fn read(json: &[u8]) -> Result<OpenRequest> {
    check_version(json)?;
    serde_json::from_slice(json)
        .map_err(|error| Failure::new(FailureCode::InvalidRequest, "failed to read the request").cause(&error))
}

/// Looks at the version before anything else, so that a document of another version is called that.
fn check_version(json: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Outer {
        request: Inner,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        protocol: u32,
    }
    let outer: Outer = serde_json::from_slice(json)
        .map_err(|error| Failure::new(FailureCode::InvalidRequest, "failed to read the request").cause(&error))?;
    wrong_version(outer.request.protocol).map_or(Ok(()), Err)
}

fn wrong_version(protocol: u32) -> Option<Failure> {
    (protocol != VERSION).then(|| {
        Failure::new(
            FailureCode::ProtocolVersion,
            format!("failed to read the request: it has protocol version {protocol}, this engine speaks {VERSION}"),
        )
        .hint(
            "use the plugin and the engine of one Testfleet release; run `./gradlew prepare` to write the request anew",
        )
    })
}

pub(crate) fn check(request: &RunRequest) -> Result<()> {
    if let Some(failure) = wrong_version(request.protocol) {
        return Err(failure);
    }
    let invalid = |message: String, hint: &str| Err(Failure::new(FailureCode::InvalidRequest, message).hint(hint));
    for root in ["project", "build", "gradleHome"] {
        if !request.roots.get(root).is_some_and(|dir| dir.is_absolute()) {
            return invalid(
                format!("failed to read the request: the root `{root}` is missing or not absolute"),
                "write the request anew with `./gradlew prepare`",
            );
        }
    }
    if let Some((name, dir)) = request.roots.iter().find(|(name, dir)| !is_root_name(name) || !dir.is_absolute()) {
        return invalid(
            format!("failed to read the request: the root `{name}` = `{}` can't be used", dir.display()),
            "a root has a name of letters, digits, `-` and `_`, and an absolute folder",
        );
    }
    if !BACKENDS.contains(&request.options.backend.as_str()) {
        return invalid(
            format!("failed to choose the backend: `{}` is unknown", request.options.backend),
            "this version has these: `local`, `docker`, `kubernetes`",
        );
    }
    docker::check(&request.options.docker)?;
    if request.options.backend == kubernetes::NAME {
        kubernetes::check(&request.options.kubernetes, &request.options.image)?;
    }
    if request.options.workers == 0 {
        return invalid("failed to choose the number of workers: 0 is too few".to_owned(), "ask for 1 worker or more");
    }
    if let Some(shard) = request.options.shard
        && !(1..=MAX_SHARDS).contains(&shard.of) | !(1..=shard.of).contains(&shard.number)
    {
        return invalid(
            format!("failed to choose the shard {shard}"),
            &format!("name one of them by its number and how many there are, up to {MAX_SHARDS}: 1/5 to 5/5"),
        );
    }
    if request.options.shard.is_some() && request.options.rerun_failed.is_some() {
        return invalid(
            "failed to choose both a shard and the tests that failed".to_owned(),
            "a shard's own failed tests are run again on its machine with --rerun-failed alone",
        );
    }
    let run = &request.options.run;
    if run.isolation == Isolation::Namespace && run.connection.local != LocalConnection::Pipe {
        return invalid(
            "failed to choose both isolation in namespaces and a connection over TCP".to_owned(),
            "a worker in a network of its own is reached by pipes alone: leave the connection as it is",
        );
    }
    if request.options.workers > MAX_WORKERS {
        return invalid(
            format!("failed to choose the number of workers: {} is too many", request.options.workers),
            &format!("ask for {MAX_WORKERS} workers or fewer"),
        );
    }
    Ok(())
}

/// Whether `${name}` is one name wherever it stands.
fn is_root_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_request;

    #[test]
    fn roots_that_would_not_lead_back_are_refused() {
        for (name, dir, expected) in [
            ("tools", "/opt", true),
            ("my-tools_2", "/", true),
            ("tools", "", false),
            ("tools", "opt", false),
            ("a}b", "/opt", false),
            ("", "/opt", false),
        ] {
            let mut request = test_request::empty();
            request.roots.insert(name.into(), dir.into());
            assert_eq!(check(&request).is_ok(), expected, "{name} = {dir}");
        }
    }

    #[test]
    fn a_shard_that_is_none_is_refused() {
        use testfleet_protocol::plan::Shard;
        let mut request = test_request::empty();
        for (number, of, expected) in
            [(1, 1, true), (5, 5, true), (0, 5, false), (6, 5, false), (1, 0, false), (1, 1_001, false)]
        {
            request.options.shard = Some(Shard { number, of });
            assert_eq!(check(&request).is_ok(), expected, "{number}/{of}");
        }
        request.options.shard = Some(Shard { number: 1, of: 2 });
        request.options.rerun_failed = Some("last".into());
        assert!(check(&request).is_err());
    }

    #[test]
    fn a_number_of_workers_that_no_plan_can_be_made_for_is_refused() {
        let mut request = test_request::empty();
        for (workers, expected) in
            [(0, false), (1, true), (MAX_WORKERS, true), (MAX_WORKERS + 1, false), (u32::MAX, false)]
        {
            request.options.workers = workers;
            assert_eq!(check(&request).is_ok(), expected, "{workers}");
        }
    }
}
