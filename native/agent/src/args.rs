//! The agent's command line.

use clap::{CommandFactory, Parser, Subcommand};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::path::PathBuf;
use std::time::Duration;
use testfleet_protocol::path::Roots;
use testfleet_protocol::run_options::Isolation;

/// Main process of a Testfleet worker; started by a backend, speaks on its standard streams or over TCP.
#[derive(Debug, Clone, Parser)]
#[command(name = "testfleet-agent", version)]
pub(crate) struct Args {
    /// bundle.json
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: PathBuf,
    /// This worker's number, from 1; 0 with --listen: the first coordinator that dials says number and life
    #[arg(long, value_name = "N")]
    pub(crate) worker: u32,
    /// Which start of this worker it is, from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) life: u32,
    /// How many workers the plan was made for
    #[arg(long, value_name = "N")]
    pub(crate) workers: u32,
    /// A named root
    #[arg(long = "root", value_name = "NAME=DIR", value_parser = parse_root)]
    pub(crate) roots: Vec<(String, PathBuf)>,
    /// This worker's own folder: made by the agent, removed at its end
    #[arg(long, value_name = "DIR")]
    pub(crate) temp: PathBuf,
    /// Dial the coordinator there; credentials come on standard input
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "listen")]
    pub(crate) dial: Option<String>,
    /// Let the coordinator dial; credentials come on standard input, the address goes to standard output
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Take the credentials out of a file, which is removed, instead of standard input
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub(crate) credentials: Option<PathBuf>,
    /// Let the coordinator come to a Unix socket there, which relays in the same container connect it with
    #[arg(long, value_name = "PATH", conflicts_with_all = ["dial", "listen"])]
    pub(crate) socket: Option<PathBuf>,
    /// Tell at the end what the worker's container used
    #[arg(long)]
    pub(crate) tell_usage: bool,
    /// What the worker shares with others of its host: `none`, `directory` or `namespace`
    #[arg(long, value_name = "KIND", default_value = "none", value_parser = parse_isolation)]
    pub(crate) isolation: Isolation,
    /// The process is the first of its namespaces
    #[arg(long, hide = true)]
    pub(crate) inside_namespaces: bool,
    /// Suspend each harness JVM until a debugger attaches to port 5005
    #[arg(long)]
    pub(crate) debug_jvm: bool,
    /// How long what runs may go on after SIGTERM before it is given back
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) grace: u32,
    /// How long a JVM may look at a class that is asked about before it counts as hanging
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) answer_within: u32,
}

impl Args {
    pub(crate) fn answer_within(&self) -> Duration {
        Duration::from_secs(u64::from(self.answer_within))
    }

    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(u64::from(self.grace))
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::new(self.roots.clone())
    }
}

/// What the program does beside a worker, in the worker's container.
#[derive(Debug, Parser)]
#[command(name = "testfleet-agent", version)]
pub(crate) struct Errands {
    #[command(subcommand)]
    pub(crate) errand: Errand,
}

/// Something short that the coordinator starts beside an agent.
#[derive(Debug, Subcommand)]
pub(crate) enum Errand {
    /// Connect standard input and output with the agent's socket
    Relay {
        /// What the agent was started with as --socket
        socket: PathBuf,
    },
    /// Copy credentials from where they are mounted to where the agent can remove them, before it is started
    HandOver {
        /// The file that can't be removed
        from: PathBuf,
        /// What the agent is started with as --credentials
        to: PathBuf,
    },
    /// Do nothing for a while: keeps a container for a shell
    Hold {
        /// How long
        #[arg(long, value_name = "SECONDS")]
        seconds: u64,
    },
    /// Wait until something accepts TCP connections
    Probe {
        /// HOST:PORT
        address: String,
        /// How long
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        within: u64,
    },
}

impl Errands {
    /// What the command line asks for instead of an agent.
    pub(crate) fn asked_for() -> Option<Errand> {
        let first = std::env::args_os().nth(1)?;
        let known = Self::command().get_subcommands().any(|errand| first == errand.get_name());
        known.then(|| Self::parse().errand)
    }
}

fn parse_isolation(text: &str) -> Result<Isolation, String> {
    Isolation::deserialize(text.into_deserializer()).map_err(|error: serde::de::value::Error| error.to_string())
}

fn parse_root(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, dir)) if !name.is_empty() && dir.starts_with('/') => Ok((name.to_owned(), PathBuf::from(dir))),
        _ => Err("it reads NAME=/ABSOLUTE/FOLDER".to_owned()),
    }
}
