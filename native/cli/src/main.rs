//! The `testfleet` command: the engine's stages without Gradle, from the `request.json` that the
//! plugin leaves in `build/testfleet/`.
mod cache;
mod run_choices;

use cache::CacheAction;
use clap::{Args, Parser, Subcommand};
use run_choices::RunChoices;
use serde::de::{DeserializeOwned, IntoDeserializer};
use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use testfleet_engine::session::Session;
use testfleet_protocol::event::{Event, Level};
use testfleet_protocol::plan::Shard;
use testfleet_protocol::request::{Command, Listing, OpenRequest, OrderKey, Reuse, RunRequest, Split};
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
    Run {
        #[command(flatten)]
        choices: Choices,
        /// Run everything, also what passed before with equal classes and inputs
        #[arg(long)]
        rerun: bool,
        #[command(flatten)]
        run: RunChoices,
        /// Where workers are started, instead of what the request says: `local`, `docker` or `kubernetes`
        #[arg(long, value_name = "NAME")]
        backend: Option<String>,
        /// Show the plan instead of running it
        #[arg(long)]
        dry_run: bool,
    },
    /// Plan and make the image
    Image {
        #[command(flatten)]
        choices: Choices,
    },
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
        /// Run it in a container of the image that image.json names
        #[arg(long)]
        in_image: bool,
        /// Leave its container or pod there when it has ended, to be looked at
        #[arg(long)]
        keep: bool,
        /// Where the worker is started, instead of what the request says: `local`, `docker` or `kubernetes`
        #[arg(long, value_name = "NAME")]
        backend: Option<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Start a container of the image that image.json names and, in a terminal, a shell in it
    Shell {
        /// Number of the worker whose place it takes
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        worker: u32,
        #[command(flatten)]
        source: Source,
    },
    /// Look whether runs would work where the request wants them: reach, permissions, quota, registry, logins
    Doctor {
        #[command(flatten)]
        place: Place,
    },
    /// Remove what dead runs left in Docker or in the cluster
    Gc {
        /// Also what is older, of any machine and whatever became of its run: 90m, 12h, 7d
        #[arg(long, value_name = "AGE", value_parser = parse_age)]
        older_than: Option<Duration>,
        /// Also what was to be kept
        #[arg(long)]
        kept: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Look after the artifact store that all builds of this machine share
    Cache {
        #[command(subcommand)]
        action: CacheAction,
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
struct Place {
    /// Where workers are started, instead of what the request says: `local`, `docker` or `kubernetes`
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    #[command(flatten)]
    source: Source,
}

impl Place {
    fn request(&self) -> Result<RunRequest> {
        let mut request = self.source.request()?;
        request.options.backend = self.backend.clone().unwrap_or(request.options.backend);
        Ok(request)
    }
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
    #[arg(long, value_name = "KIND", value_parser = word::<Split>)]
    split: Option<Split>,
    /// What goes first: `failed`, `new`, `longest`, `shortest`, `name`, in this order of importance
    #[arg(long, value_name = "KEY", value_delimiter = ',', value_parser = word::<OrderKey>)]
    order: Vec<OrderKey>,
    /// Only this part of all tests, such as 2/5
    #[arg(long, value_name = "PART", value_parser = parse_shard)]
    shard: Option<Shard>,
    /// Only the tests that did not pass in a run (its id; the last run unless given)
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "last", require_equals = true)]
    rerun_failed: Option<String>,
    /// Tests that run but do not fail the build, instead of what the request says
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Show the tests, and write and run nothing
    #[arg(long)]
    list: bool,
    /// Show what --list or --dry-run shows as JSON
    #[arg(long)]
    json: bool,
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
        Action::Plan { verify, choices } => {
            let command = choices.listing(false)?.unwrap_or(Command::Prepare { verify });
            (command, choices.request()?, choices.source)
        }
        Action::Run { choices, rerun, run, backend, dry_run } => {
            let mut request = choices.request()?;
            request.options.backend = backend.unwrap_or(request.options.backend);
            run.apply(&mut request.options.run);
            if rerun {
                request.options.reuse = Reuse::Off;
            }
            (choices.listing(dry_run)?.unwrap_or(Command::RunParallel), request, choices.source)
        }
        Action::Worker { worker, plan, from_run, debug_jvm, in_image, keep, backend, source } => {
            let mut request = source.request()?;
            request.options.backend = backend.unwrap_or(request.options.backend);
            // A group is run as it was planned, whatever the request was made for.
            request.options.tests.clear();
            (Command::RunWorker { worker, plan, from_run, debug_jvm, in_image, keep }, request, source)
        }
        Action::Shell { worker, source } => (Command::Shell { worker }, source.request()?, source),
        Action::Image { choices } => {
            (choices.listing(false)?.unwrap_or(Command::Image), choices.request()?, choices.source)
        }
        Action::Doctor { place } => (Command::Doctor, place.request()?, place.source),
        Action::Gc { older_than, kept, place } => {
            let older_than_ms = older_than.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
            (Command::Gc { older_than_ms, kept }, place.request()?, place.source)
        }
        Action::Cache { action } => return cache::run(&action, &mut std::io::stdout()),
    };
    let is_listing = matches!(command, Command::Show { .. });
    let open = OpenRequest { command, request, environment: environment(), run_events: false };
    let session = Arc::new(Session::open(open)?);
    cancel_on_interrupt(&session)?;
    let mut enter = None;
    loop {
        match session.next_event(Duration::from_secs(1)) {
            Some(Event::Console { level, text }) => {
                if show(level, &text, source.verbose, is_listing).is_err() {
                    // Whoever read has gone (`testfleet run | head`): nobody waits for the rest.
                    session.cancel();
                }
            }
            Some(Event::Enter { command }) => enter = Some(command),
            Some(Event::End { failure: Some(failure) }) => return Err(failure),
            Some(Event::End { failure: None }) => return enter.filter(|_| has_terminal()).map_or(Ok(()), hand_over),
            Some(Event::Run { .. } | Event::Written { .. }) | None => {}
        }
    }
}

impl Choices {
    /// What is to be shown instead of being done.
    fn listing(&self, dry_run: bool) -> Result<Option<Command>> {
        let what = match (self.list, dry_run) {
            (true, _) => Listing::Tests,
            (_, true) => Listing::Plan,
            _ if self.json => {
                return Err(Failure::new(FailureCode::InvalidRequest, "failed to choose what to show as JSON")
                    .hint("add --list for the tests, or run --dry-run for the plan"));
            }
            _ => return Ok(None),
        };
        Ok(Some(Command::Show { what, json: self.json }))
    }

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
        if !self.order.is_empty() {
            request.options.order.clone_from(&self.order);
        }
        if let Some(file) = &self.quarantine {
            request.options.quarantine_file = Some(file.clone());
        }
        // Which part runs is the choice of one call, whatever the request was written for.
        request.options.shard = self.shard;
        request.options.rerun_failed.clone_from(&self.rerun_failed);
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

fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Becomes this command: what is typed is for it alone.
fn hand_over(command: Vec<String>) -> Result<()> {
    let [program, arguments @ ..] = command.as_slice() else { return Ok(()) };
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(Failure::new(FailureCode::WorkerBroken, format!("failed to start {program}"))
        .cause(&error)
        .hint("install Docker's command, or open the shell from where it is, by the line above"))
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

/// Reads a word as the request's JSON writes it; the error names those that there are.
fn word<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    T::deserialize(text.into_deserializer()).map_err(|error: serde::de::value::Error| error.to_string())
}

/// `90m`, `12h`, `7d`
fn parse_age(text: &str) -> std::result::Result<Duration, String> {
    let unit_at = text.len().saturating_sub(1);
    let seconds = match text.get(unit_at..) {
        Some("m") => 60,
        Some("h") => 3_600,
        Some("d") => 86_400,
        _ => 0,
    };
    let number = text.get(..unit_at).and_then(|number| number.parse::<u64>().ok()).filter(|number| *number > 0);
    number
        .filter(|_| seconds > 0)
        .and_then(|number| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "it is a number of minutes, hours or days: 90m, 12h, 7d".to_owned())
}

fn parse_shard(text: &str) -> std::result::Result<Shard, String> {
    let part = text
        .split_once('/')
        .and_then(|(number, of)| Some(Shard { number: number.parse().ok()?, of: of.parse().ok()? }));
    part.ok_or_else(|| "it is the part's number and how many there are, such as 2/5".to_owned())
}

/// With `is_listing`, standard output has the listing alone, so that a program can read it.
fn show(level: Level, text: &str, verbose: bool, is_listing: bool) -> std::io::Result<()> {
    match level {
        Level::Info if !verbose => Ok(()),
        Level::Info | Level::Lifecycle if is_listing => writeln!(std::io::stderr(), "{text}"),
        Level::Info | Level::Lifecycle | Level::Result => writeln!(std::io::stdout(), "{text}"),
        Level::Warn => writeln!(std::io::stderr(), "warning: {text}"),
        Level::Error => writeln!(std::io::stderr(), "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn choices(args: &[&str]) -> std::result::Result<Choices, String> {
        let args = ["testfleet", "run"].iter().chain(args);
        match Cli::try_parse_from(args).map_err(|error| error.to_string())?.command {
            Action::Run { choices, .. } => Ok(choices),
            _ => Err("another command".to_owned()),
        }
    }

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn words_are_those_of_the_request() {
        assert_eq!(choices(&["--split", "auto"]).unwrap().split, Some(Split::Auto));
        let order = choices(&["--order", "new,longest", "--order", "name"]).unwrap().order;
        assert_eq!(order, [OrderKey::New, OrderKey::Longest, OrderKey::Name]);
        let refused = choices(&["--split", "package"]).err().unwrap();
        assert!(refused.contains("`auto`") && refused.contains("`method`"), "{refused}");
    }

    #[test]
    fn a_shard_and_a_run_are_read() {
        assert_eq!(choices(&["--shard", "2/5"]).unwrap().shard, Some(Shard { number: 2, of: 5 }));
        for wrong in ["2", "2/", "/5", "two/5", "2/5/9", "-1/5"] {
            assert!(choices(&["--shard", wrong]).is_err(), "{wrong}");
        }
        assert_eq!(choices(&["--rerun-failed"]).unwrap().rerun_failed.as_deref(), Some("last"));
        assert_eq!(choices(&["--rerun-failed=x"]).unwrap().rerun_failed.as_deref(), Some("x"));
        assert_eq!(choices(&[]).unwrap().rerun_failed, None);
    }

    #[test]
    fn ages_have_a_unit() {
        assert_eq!(parse_age("90m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_age("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "h", "12", "0h", "1.5h", "-1h", "12 h", "9999999999999999999d", "1é"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn json_is_of_something() {
        assert!(choices(&["--json"]).unwrap().listing(false).is_err());
        let shown = choices(&["--json"]).unwrap().listing(true).unwrap();
        assert_eq!(shown, Some(Command::Show { what: Listing::Plan, json: true }));
        let shown = choices(&["--list"]).unwrap().listing(false).unwrap();
        assert_eq!(shown, Some(Command::Show { what: Listing::Tests, json: false }));
    }
}
