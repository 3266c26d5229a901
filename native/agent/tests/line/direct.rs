//! An agent alone with a test, which is its coordinator over TCP.

use super::super::fixture::World;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, Envelope};
use testfleet_protocol::event::Attempt;
use testfleet_protocol::run_options::{OutputLimits, Rules};
use testfleet_protocol::{VERSION, frame};
use testfleet_wire::{Authority, Identity, Peer, Reach, Stream, Validity, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// Far more than anything here needs, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(120);

/// An agent that listens.
pub(crate) struct Direct {
    pub(crate) child: Child,
    pub(crate) temp: PathBuf,
    pub(crate) address: String,
    coordinator: Identity,
    _input: Option<ChildStdin>,
}

/// A connection to it that was welcomed.
pub(crate) struct Talk {
    stream: Stream,
    decoder: frame::Decoder,
}

/// What came from an agent, each number once.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) messages: BTreeMap<u64, AgentMessage>,
    /// Bytes of output.
    pub(crate) output: u64,
    /// Characters of pieces of files.
    pub(crate) pieces: u64,
    pub(crate) last: u64,
}

impl Direct {
    /// Starts an agent; `wrapper` are the words before its own command line.
    pub(crate) async fn start(world: &World, wrapper: &[&str], reach: Reach) -> Self {
        let authority = Authority::new("r1", Validity::of_a_run()).unwrap();
        let temp = world.temp().join("tf-direct/w1");
        let agent = world.agent.to_str().unwrap();
        let mut words = wrapper.iter().copied().chain([agent]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("--bundle").arg(world.bundle_file());
        command.args(["--worker", "1", "--workers", "1", "--listen", "127.0.0.1:0", "--temp"]).arg(&temp);
        command.arg("--root").arg(format!("project={}", world.dir.path().join("project").display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut credentials = authority.issue(Peer::Worker { worker: 1 }).unwrap();
        credentials.reach = reach;
        let mut input = child.stdin.take().unwrap();
        input.write_all(&credentials.to_frame().unwrap()).await.unwrap();
        let mut output = child.stdout.take().unwrap();
        let length = timeout(LIMIT, output.read_u32()).await.expect("in time").unwrap();
        let mut json = vec![0; length as usize];
        output.read_exact(&mut json).await.unwrap();
        let said: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let address = said["address"].as_str().unwrap().to_owned();
        let coordinator = Identity::new(&authority.issue(Peer::Coordinator).unwrap()).unwrap();
        Self { child, temp, address, coordinator, _input: reach.ends_with_input.then_some(input) }
    }

    /// Dials the agent and hears its hello.
    pub(crate) async fn connect(&self) -> (Talk, AgentMessage) {
        let stream =
            dial(&self.address, &self.coordinator, Peer::Worker { worker: 1 }, 1, 1).await.expect("it is let in");
        let mut talk = Talk { stream, decoder: frame::Decoder::default() };
        let Some(Envelope { seq: 0, message }) = talk.hear().await else { panic!("no hello") };
        (talk, message)
    }

    /// Dials the agent and welcomes it.
    pub(crate) async fn welcome(&self, epoch: u64, seen: Option<u64>, rules: Rules) -> Talk {
        let (mut talk, _) = self.connect().await;
        talk.welcome(epoch, seen, rules).await;
        talk
    }

    /// Waits for its end; its folder is gone then.
    pub(crate) async fn ended(&mut self) -> i32 {
        let status = timeout(LIMIT, self.child.wait()).await.expect("it ends in time").unwrap();
        assert!(!self.temp.exists(), "{} is left", self.temp.display());
        status.code().expect("an exit code")
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a high water mark");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }
}

impl Talk {
    pub(crate) async fn welcome(&mut self, epoch: u64, seen: Option<u64>, rules: Rules) {
        self.say(CoordinatorMessage::Welcome { protocol: VERSION, run: "r1".into(), epoch, seen, rules }).await;
    }

    pub(crate) async fn say(&mut self, message: CoordinatorMessage) {
        self.try_to_say(message).await.unwrap();
    }

    async fn try_to_say(&mut self, message: CoordinatorMessage) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        frame::encode(&serde_json::to_vec(&message).unwrap(), &mut bytes).unwrap();
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Gives it all units of the world.
    pub(crate) async fn assign(&mut self, world: &World) {
        let attempt: Attempt = serde_json::from_str("1").unwrap();
        for unit in world.plan.units.clone() {
            self.say(CoordinatorMessage::Assign { unit, attempt, fresh_jvm: false }).await;
        }
    }

    /// The next message; `None` at the end of the line.
    pub(crate) async fn hear(&mut self) -> Option<Envelope> {
        timeout(LIMIT, async {
            let mut chunk = vec![0; 64 << 10];
            loop {
                if let Some(payload) = self.decoder.next_frame().unwrap() {
                    return Some(serde_json::from_slice(&payload).unwrap());
                }
                match self.stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => return None,
                    Ok(count) => self.decoder.push(&chunk[..count]),
                }
            }
        })
        .await
        .expect("in time")
    }

    /// Takes and acknowledges what comes until `last` is among it, or the line ends. Output and files are counted, not kept.
    pub(crate) async fn until(&mut self, heard: &mut Heard, last: impl Fn(&AgentMessage) -> bool) -> bool {
        while let Some(Envelope { seq, message }) = self.hear().await {
            if seq == 0 {
                continue;
            }
            // A line that was replaced takes no more.
            let _ = self.try_to_say(CoordinatorMessage::Ack { seq }).await;
            if seq <= heard.last {
                continue;
            }
            assert_eq!(seq, heard.last + 1, "in order, without a gap");
            heard.last = seq;
            let is_last = last(&message);
            match message {
                AgentMessage::Output { text, .. } => heard.output += text.len() as u64,
                AgentMessage::FilePiece { data, .. } => heard.pieces += data.len() as u64,
                message => {
                    heard.messages.insert(seq, message);
                }
            }
            if is_last {
                return true;
            }
        }
        false
    }
}

impl Heard {
    /// Names of the tests that finished.
    pub(crate) fn finished(&self) -> Vec<String> {
        let finished = self.messages.values().filter_map(|message| match message {
            AgentMessage::TestFinished { test, .. } => Some(test.method.clone()),
            _ => None,
        });
        finished.collect()
    }
}

/// The end of this unit.
pub(crate) fn end_of(unit: &str) -> impl Fn(&AgentMessage) -> bool {
    move |message| matches!(message, AgentMessage::UnitFinished { unit: id, .. } if id.0 == unit)
}

/// Rules with these time-outs in milliseconds, under which all output travels as such.
pub(crate) fn rules(lease_ms: u64, orphan_timeout_ms: u64) -> Rules {
    let output = OutputLimits { head_bytes: u64::MAX / 4, tail_bytes: 0, file_bytes: 0 };
    Rules { lease_ms, orphan_timeout_ms, output, ..Rules::default() }
}
