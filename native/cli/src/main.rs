//! The `testfleet` command: the engine's stages without Gradle, from the `request.json` that the
//! plugin leaves in `build/testfleet/`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program talks to its terminal")]

use clap::{Args, Parser, Subcommand};
use std::collections::BTreeMap;
use std::fs;
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
    Plan(Choices),
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
        choices: Choices,
    },
}

#[derive(Args)]
struct Choices {
    /// What the Gradle plugin wrote
    #[arg(long, value_name = "FILE", default_value = "build/testfleet/request.json")]
    request: PathBuf,
    /// How many workers, instead of what the request says
    #[arg(long, value_name = "N")]
    workers: Option<u32>,
    /// Only tests that match one of these patterns, in Gradle's syntax
    #[arg(long, value_name = "PATTERN")]
    tests: Vec<String>,
    /// What may become a unit: `class` or `method`
    #[arg(long, value_name = "KIND", value_parser = parse_split)]
    split: Option<Split>,
    /// Show more
    #[arg(long, short)]
    verbose: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("testfleet: {failure}");
            ExitCode::from(failure.code.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let (command, choices) = match cli.command {
        Action::Plan(choices) => (Command::Prepare, choices),
        Action::Run(choices) => (Command::RunParallel, choices),
        Action::Worker { worker, plan, from_run, debug_jvm, choices } => {
            (Command::RunWorker { worker, plan, from_run, debug_jvm }, choices)
        }
    };
    let request = read_request(&choices)?;
    let session = Arc::new(Session::open(OpenRequest { command, request, environment: environment() })?);
    cancel_on_interrupt(&session)?;
    loop {
        match session.next_event(Duration::from_secs(1)) {
            Some(Event::Console { level, text }) => show(level, &text, choices.verbose),
            Some(Event::End { failure }) => return failure.map_or(Ok(()), Err),
            Some(Event::Run { .. } | Event::Written { .. }) | None => {}
        }
    }
}

fn read_request(choices: &Choices) -> Result<RunRequest> {
    let path = &choices.request;
    let json = fs::read(path).map_err(|error| {
        Failure::new(FailureCode::InvalidRequest, format!("failed to read {}", path.display()))
            .cause(&error)
            .hint("`./gradlew prepare` writes it; or name another with --request")
    })?;
    let mut request: RunRequest = serde_json::from_slice(&json).map_err(|error| {
        Failure::new(FailureCode::InvalidRequest, format!("failed to understand {}", path.display()))
            .cause(&error)
            .hint("write it anew with `./gradlew prepare` of the same Testfleet release")
    })?;
    if let Some(workers) = choices.workers {
        request.options.workers = workers;
    }
    if let Some(split) = choices.split {
        request.options.split = split;
    }
    request.options.tests.extend(choices.tests.iter().cloned());
    Ok(request)
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
        "class" => Ok(Split::Class),
        "method" => Ok(Split::Method),
        _ => Err("it is `class` or `method`".to_owned()),
    }
}

fn show(level: Level, text: &str, verbose: bool) {
    match level {
        Level::Info if !verbose => {}
        Level::Info | Level::Lifecycle => println!("{text}"),
        Level::Warn => eprintln!("warning: {text}"),
        Level::Error => eprintln!("{text}"),
    }
}
