//! Main process of every worker: supervises the harness JVM and sends its results to the coordinator.
//!
//! Whatever ends the agent (it was told to finish, the coordinator is gone, SIGTERM), the JVM, what tests
//! started and the worker's temporary folder go with it.

mod aftermath;
mod args;
mod asking;
mod collect;
mod connect;
mod coordinator;
mod coverage;
mod deadlines;
mod dumps;
mod ending;
mod errands;
mod framework;
mod isolation;
mod jvm;
mod launch;
mod leaving;
mod leftovers;
mod line;
mod live;
mod outgoing;
mod output;
mod ready;
mod room;
mod segments;
mod spool;
mod supervisor;
mod text;
mod usage;
mod ways;

use args::{Args, Errands};
use clap::Parser;
use coordinator::Coordinator;
use isolation::Role;
use outgoing::Outgoing;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use supervisor::{Ending, Supervisor};
use testfleet_protocol::agent::AgentMessage;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long the last message may take to reach a coordinator that no longer reads.
const LAST_MESSAGE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    if let Some(errand) = Errands::asked_for() {
        return errands::run(errand);
    }
    let args = Args::parse();
    let isolated = match isolation::enter(&args) {
        Ok(Role::Agent) => Ok(()),
        Ok(Role::Ended(code)) => return code,
        Err(failure) => Err(failure),
    };
    connect::hide_memory();
    leftovers::adopt_orphans();
    let temp = args.temp.clone();
    // In namespaces of its own, the first process made it and removes it.
    let is_first = !args.inside_namespaces;
    let made = isolated.and_then(|()| if is_first { leftovers::make_folder(&temp) } else { Ok(()) });
    let is_ours = is_first && made.is_ok();
    let ended = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(work(args, made));
            // A thread may still wait for standard input: that must not keep the agent.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Failure::new(FailureCode::Internal, "failed to start the agent's threads").cause(&error)),
    };
    leftovers::kill_descendants();
    if is_ours {
        leftovers::remove_folder(&temp);
    }
    match ended {
        Ok(Ending::Finished | Ending::Stopped) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::from(failure.code.exit_code())
        }
    }
}

async fn work(mut args: Args, folder: Result<()>) -> Result<Ending> {
    let signals =
        |error: std::io::Error| Failure::new(FailureCode::Internal, "failed to listen for signals").cause(&error);
    let mut terminated = signal(SignalKind::terminate()).map_err(signals)?;
    // Ctrl-C in a terminal reaches the agents too; what it means is the coordinator's to say.
    let _interrupted = signal(SignalKind::interrupt()).map_err(signals)?;
    // Writing beyond a limit of file sizes is an error then, not the end.
    let _too_long = signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32)).map_err(signals)?;
    let mut coordinator = Coordinator::new(args.temp.join("spool"));
    let mut line = tokio::select! {
        line = connect::keep_line(&mut args, &coordinator) => line?,
        _ = terminated.recv() => return Ok(Ending::Stopped),
    };
    let ended = supervise(args, folder, &mut coordinator, &mut terminated).await;
    if let Some(failure) = coordinator.failure() {
        return Err(failure);
    }
    if let Err(failure) = &ended {
        coordinator.send(AgentMessage::Failed { failure: failure.clone() })?;
        // Too late is told by the end of the agent itself.
        let _ = tokio::time::timeout(LAST_MESSAGE, coordinator.all_acknowledged()).await;
    }
    line.abort_all();
    ended
}

async fn supervise(
    args: Args,
    folder: Result<()>,
    coordinator: &mut Coordinator,
    terminated: &mut Signal,
) -> Result<Ending> {
    // Before the hello: who can't begin must not be given units.
    folder?;
    let tmp = args.temp.join("tmp");
    fs::create_dir(&tmp).map_err(|error| Failure::io("create", &tmp, &error))?;
    let bundle = read_bundle(&args.bundle)?;
    let version = env!("CARGO_PKG_VERSION");
    coordinator.greet(AgentMessage::first_hello(args.worker, args.life, version, host(), std::process::id()));
    let outgoing = Outgoing::new(&args.temp)?;
    Supervisor::new(args, bundle, tmp, outgoing).work(coordinator, terminated).await
}

/// Where this is: the machine, container or pod, and the node of a pod.
fn host() -> String {
    let name = nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned());
    match std::env::var("TESTFLEET_NODE") {
        Ok(node) if !node.is_empty() => format!("{name} on {node}"),
        _ => name,
    }
}

fn read_bundle(path: &Path) -> Result<Bundle> {
    let json = fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
    let bundle: Bundle = serde_json::from_slice(&json).map_err(|error| {
        Failure::new(FailureCode::WorkerBroken, format!("failed to understand {}", path.display()))
            .cause(&error)
            .hint("make it anew with `./gradlew prepare` of the same Testfleet release")
    })?;
    if bundle.protocol != VERSION {
        return Err(Failure::new(
            FailureCode::ProtocolVersion,
            format!(
                "failed to use {}: it has protocol version {}, this agent speaks {VERSION}",
                path.display(),
                bundle.protocol
            ),
        )
        .hint("make it anew with `./gradlew prepare` of the same Testfleet release"));
    }
    Ok(bundle)
}
