//! The `testfleet` command: the engine's stages without Gradle, from the `request.json` that the
//! plugin leaves in `build/testfleet/`.
use clap::{Args, Parser, Subcommand};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use testfleet_engine::session::Session;
use testfleet_protocol::event::{Event, Level};
use testfleet_protocol::request::{Command, OpenRequest, RunRequest, Split};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Runs a JVM build's tests in parallel.
#[derive(Parser)]
#[command(name = "testfleet", version)]
struct Cli {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Discover and plan: write plan.json and bundle.json
    Plan {
        /// Ask the test frameworks about every class, too, and fail when class files tell of other tests
        #[arg(long)]
        verify: bool,
        #[command(flatten)]
        choices: Choices,
    },
    /// Plan and run everything on all workers
    Run(Choices),
    /// Run one group of the existing plan in this terminal
    Worker {
        /// Number of the group, from 1
        worker: u32,
        /// A plan other than the one beside the request
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        /// Replay what that worker really ran in a run (its id, or `last`)
        #[arg(long, value_name = "RUN", conflicts_with = "plan")]
        from_run: Option<String>,
        /// Suspend the harness JVM until a debugger attaches to port 5005
        #[arg(long)]
        debug_jvm: bool,
        #[command(flatten)]
        source: Source,
    },
}

#[derive(Args)]
struct Source {
    /// What the Gradle plugin wrote
    #[arg(long, value_name = "FILE", default_value = "build/testfleet/request.json")]
    request: PathBuf,
    /// Show more
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Args)]
struct Choices {
    #[command(flatten)]
    source: Source,
    /// How many workers, instead of what the request says
    #[arg(long, value_name = "N")]
    workers: Option<u32>,
    /// Only tests that match one of these patterns, in Gradle's syntax
    #[arg(long, value_name = "PATTERN")]
    tests: Vec<String>,
    /// What may become a unit: `auto`, `class` or `method`
    #[arg(long, value_name = "KIND", value_parser = parse_split)]
    split: Option<Split>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Without a standard error the exit code says it alone.
            let _ = writeln!(std::io::stderr(), "testfleet: {failure}");
            ExitCode::from(failure.code.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let (command, request, source) = match cli.command {
        Action::Plan { verify, choices } => (Command::Prepare { verify }, choices.request()?, choices.source),
        Action::Run(choices) => (Command::RunParallel, choices.request()?, choices.source),
        Action::Worker { worker, plan, from_run, debug_jvm, source } => {
            let mut request = source.request()?;
            // A group is run as it was planned, whatever the request was made for.
            request.options.tests.clear();
            (Command::RunWorker { worker, plan, from_run, debug_jvm }, request, source)
        }
    };
    let open = OpenRequest { command, request, environment: environment(), run_events: false };
    let session = Arc::new(Session::open(open)?);
    cancel_on_interrupt(&session)?;
    loop {
        match session.next_event(Duration::from_secs(1)) {
            Some(Event::Console { level, text }) => {
                if show(level, &text, source.verbose).is_err() {
                    // Whoever read has gone (`testfleet run | head`): nobody waits for the rest.
                    session.cancel();
                }
            }
            Some(Event::End { failure }) => return failure.map_or(Ok(()), Err),
            Some(Event::Run { .. } | Event::Written { .. }) | None => {}
        }
    }
}

impl Choices {
    /// The request with what the command line chose instead.
    fn request(&self) -> Result<RunRequest> {
        let mut request = self.source.request()?;
        if let Some(workers) = self.workers {
            request.options.workers = workers;
        }
        if let Some(split) = self.split {
            request.options.split = split;
        }
        if !self.tests.is_empty() {
            request.options.tests.clone_from(&self.tests);
        }
        Ok(request)
    }
}

impl Source {
    fn request(&self) -> Result<RunRequest> {
        let path = &self.request;
        let json = fs::read(path).map_err(|error| {
            Failure::new(FailureCode::InvalidRequest, format!("failed to read {}", path.display()))
                .cause(&error)
                .hint("`./gradlew prepare` writes it; or name another with --request")
        })?;
        serde_json::from_slice(&json).map_err(|error| {
            Failure::new(FailureCode::InvalidRequest, format!("failed to understand {}", path.display()))
                .cause(&error)
                .hint("write it anew with `./gradlew prepare` of the same Testfleet release")
        })
    }
}

/// Variables whose name or value is no Unicode can't be told to a JVM and are left out.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The first interrupt cancels the run, which then reports what it has; the second ends the program.
fn cancel_on_interrupt(session: &Arc<Session>) -> Result<()> {
    let session = Arc::clone(session);
    ctrlc::set_handler({
        let asked = std::sync::atomic::AtomicBool::new(false);
        move || {
            if asked.swap(true, std::sync::atomic::Ordering::SeqCst) {
                std::process::exit(i32::from(FailureCode::Cancelled.exit_code()));
            }
            session.cancel();
        }
    })
    .map_err(|error| Failure::new(FailureCode::Internal, "failed to listen for interrupts").cause(&error))
}

fn parse_split(text: &str) -> std::result::Result<Split, String> {
    match text {
        "auto" => Ok(Split::Auto),
        "class" => Ok(Split::Class),
        "method" => Ok(Split::Method),
        _ => Err("it is `auto`, `class` or `method`".to_owned()),
    }
}

fn show(level: Level, text: &str, verbose: bool) -> std::io::Result<()> {
    match level {
        Level::Info if !verbose => Ok(()),
        Level::Info | Level::Lifecycle | Level::Result => writeln!(std::io::stdout(), "{text}"),
        Level::Warn => writeln!(std::io::stderr(), "warning: {text}"),
        Level::Error => writeln!(std::io::stderr(), "{text}"),
    }
}
