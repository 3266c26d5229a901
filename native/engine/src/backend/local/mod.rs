//! Workers as processes of this machine.

mod leftovers;
mod log;
mod tcp;

use super::{Backend, BoxFuture, Connection, Line, WorkerLife, WorkerProcess};
use log::LogTail;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tcp::{Tcp, Tether};
use testfleet_host::{oom_kills, signal_in_words};
use testfleet_protocol::run_options::{ConnectionOptions, Isolation, LocalConnection};
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::process::{Child, Command};

/// What local workers need. There is no `Debug`: the environment holds secrets.
pub struct LocalConfig {
    /// The agent's program.
    pub agent: PathBuf,
    /// `bundle.json`
    pub bundle: PathBuf,
    /// Named roots and their directories.
    pub roots: Vec<(String, PathBuf)>,
    /// How many workers the run has, for `{workers}`.
    pub workers_total: u32,
    /// The whole environment in which agents and JVMs start. Never written or logged.
    pub environment: BTreeMap<String, String>,
    /// Names the run; part of the temp folders' names.
    pub run: String,
    /// How far workers are kept apart.
    pub isolation: Isolation,
    /// Suspend each test JVM until a debugger attaches to port 5005.
    pub debug_jvm: bool,
    /// For how many seconds a JVM that is asked about classes may say nothing; `None` leaves it to the agent.
    pub answer_within: Option<u32>,
    /// How agents are reached.
    pub connection: ConnectionOptions,
}

/// Starts agents as processes of this machine. They end with their coordinator: at the end of a pipe, also where they
/// speak over TCP.
pub struct LocalBackend {
    config: LocalConfig,
    temp: PathBuf,
    tcp: Option<Tcp>,
}

impl LocalBackend {
    /// A backend for one run.
    pub fn new(config: LocalConfig) -> Self {
        let base = config.environment.get("TMPDIR").filter(|dir| Path::new(dir).is_absolute());
        let temp = Path::new(base.map_or("/tmp", String::as_str)).join(format!("tf-{}", config.run));
        let tcp = (config.connection.local != LocalConnection::Pipe).then(|| Tcp::new(&config.run, config.connection));
        Self { config, temp, tcp }
    }

    /// The folder that holds the workers' own temp folders; gone when the last of them is.
    pub fn temp(&self) -> &Path {
        &self.temp
    }

    fn command(&self, life: WorkerLife, temp: &Path) -> Command {
        let config = &self.config;
        let mut command = Command::new(&config.agent);
        command.arg("--bundle").arg(&config.bundle);
        command.arg("--worker").arg(life.worker.to_string());
        command.arg("--life").arg(life.life.to_string());
        command.arg("--workers").arg(config.workers_total.to_string());
        command.arg("--temp").arg(temp);
        for (name, dir) in &config.roots {
            let mut root = std::ffi::OsString::from(format!("{name}="));
            root.push(dir);
            command.arg("--root").arg(root);
        }
        command.arg("--isolation").arg(isolation_word(config.isolation));
        if config.debug_jvm {
            command.arg("--debug-jvm");
        }
        if let Some(seconds) = config.answer_within {
            command.arg("--answer-within").arg(seconds.to_string());
        }
        command.env_clear().envs(&config.environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Of its own group, so that Ctrl-C in the terminal reaches the coordinator alone, which ends its agents in order.
        command.process_group(0);
        command
    }

    async fn spawn(&self, life: WorkerLife) -> Result<Connection> {
        // Of this life alone: what an earlier one leaves behind may be on its way out still.
        let temp = self.temp.join(format!("w{}-{}", life.worker, life.life));
        let mut command = self.command(life, &temp);
        if self.tcp.is_some() && self.config.isolation == Isolation::Namespace {
            // A network of its own has a loopback of its own, where nobody else is.
            return Err(Failure::new(
                FailureCode::InvalidRequest,
                "failed to start a worker: in a network of its own it can't be reached over TCP",
            )
            .hint("choose isolation = 'directory', or reach local agents over pipes"));
        }
        let way = match &self.tcp {
            Some(tcp) => Some(tcp.prepare(life, &mut command).await?),
            None => None,
        };
        let oom_kills = testfleet_host::oom_kills();
        let mut child = command.spawn().map_err(|error| {
            let agent = self.config.agent.display();
            Failure::new(FailureCode::WorkerBroken, format!("failed to start the agent {agent}"))
                .cause(&error)
                .hint("it comes with the plugin; it must be executable on this machine")
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failure::new(FailureCode::Internal, "failed to connect to an agent: it has no pipes"));
        };
        let log = LogTail::follow(life.worker, stderr);
        let (line, tether) = match way {
            None => (Some(Line { from_agent: Box::new(stdout), to_agent: Box::new(stdin) }), None),
            Some(way) => (None, Some(way.hand_over(stdin, stdout).await)),
        };
        let process = LocalProcess { child, temp, log, by_force: false, oom_kills, _tether: tether };
        Ok(Connection { line, process: Box::new(process) })
    }
}

/// As the agent's command line has it.
fn isolation_word(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::None => "none",
        Isolation::Directory => "directory",
        Isolation::Namespace => "namespace",
    }
}

impl Backend for LocalBackend {
    fn name(&self) -> &str {
        "local"
    }

    fn start(&self, life: WorkerLife) -> BoxFuture<'_, Result<Connection>> {
        Box::pin(self.spawn(life))
    }

    fn reconnect(&self, life: WorkerLife) -> Option<BoxFuture<'_, Result<Line>>> {
        self.tcp.as_ref().map(|tcp| -> BoxFuture<'_, Result<Line>> { Box::pin(tcp.line(life)) })
    }
}

struct LocalProcess {
    child: Child,
    temp: PathBuf,
    log: LogTail,
    /// Whether it was ended by force.
    by_force: bool,
    /// How many processes the system had killed for lack of memory when it started.
    oom_kills: Option<u64>,
    /// Over TCP, the pipe whose end is the agent's.
    _tether: Option<Tether>,
}

impl WorkerProcess for LocalProcess {
    fn wait(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async move {
            let how = match self.child.wait().await {
                Ok(status) => {
                    let grew = matches!((self.oom_kills, oom_kills()), (Some(before), Some(now)) if now > before);
                    in_words(status, grew && !self.by_force)
                }
                Err(error) => format!("ended in a way that can't be told: {error}"),
            };
            // An agent that could clean up has done so; one that was killed could not.
            leftovers::remove(&self.temp).await;
            match self.log.lines().await {
                lines if lines.is_empty() => how,
                lines => format!("{how}; the last lines of its log:\n{}", lines.join("\n")),
            }
        })
    }

    fn kill(&mut self) {
        self.by_force = true;
        if let Some(agent) = self.child.id() {
            leftovers::kill_below(agent);
        }
        // It fails only for a process that has ended.
        let _ = self.child.start_kill();
    }
}

/// How an agent ended; `oom_kill`: the system killed something for lack of memory while it lived.
fn in_words(status: ExitStatus, oom_kill: bool) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(9)) if oom_kill => format!(
            "was killed by {}: the system killed it because memory ran out (use fewer workers, or lower maxHeapSize of the \
             Test tasks)",
            signal_in_words(9)
        ),
        (None, Some(signal)) => format!("was killed by {}", signal_in_words(signal)),
        (None, None) => format!("ended ({status})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_in_words() {
        let told = |raw, oom_kill| in_words(ExitStatus::from_raw(raw), oom_kill);
        assert_eq!(told(3 << 8, true), "ended with exit code 3");
        assert_eq!(told(9, false), "was killed by signal 9 (SIGKILL)");
        assert_eq!(told(15, true), "was killed by signal 15 (SIGTERM)");
        assert!(
            told(9, true).starts_with("was killed by signal 9 (SIGKILL): the system killed it because memory ran out")
        );
    }
}
