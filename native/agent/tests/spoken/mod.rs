//! An agent on the other end of two pipes.

use crate::fixture::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage, Envelope, FileOf, UnitAttempt};
use testfleet_protocol::plan::Unit;
use testfleet_protocol::run_options::Rules;
use testfleet_protocol::{Result, VERSION, frame};

/// Far more than any of these needs, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(120);

/// A running agent.
pub(crate) struct Spoken {
    child: Child,
    to: ChildStdin,
    from: Receiver<Envelope>,
    said: Vec<AgentMessage>,
}

impl Spoken {
    /// Starts worker 1 of a world and welcomes it.
    pub(crate) fn start(world: &World, rules: Rules) -> Self {
        let project = world.dir.path().join("project");
        let mut child = Command::new(&world.agent)
            .arg("--bundle")
            .arg(world.bundle_file())
            .args(["--worker", "1", "--workers", "1"])
            .arg("--temp")
            .arg(world.temp().join("run/w1"))
            .arg(format!("--root=project={}", project.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, from) = channel();
        let mut stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut decoder = frame::Decoder::default();
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                decoder.push(&buffer[..count]);
                while let Some(payload) = decoder.next_frame().unwrap() {
                    if sender.send(serde_json::from_slice(&payload).unwrap()).is_err() {
                        return;
                    }
                }
            }
        });
        let to = child.stdin.take().unwrap();
        let mut agent = Self { child, to, from, said: Vec::new() };
        agent.until(|message| matches!(message, AgentMessage::Hello { .. }));
        agent.say(&CoordinatorMessage::Welcome { protocol: VERSION, run: "r1".into(), epoch: 1, seen: None, rules });
        agent
    }

    fn say(&mut self, message: &CoordinatorMessage) {
        let mut bytes = Vec::new();
        let framed: Result<()> = frame::encode(&serde_json::to_vec(message).unwrap(), &mut bytes);
        framed.unwrap();
        // One that has ended is seen when it is listened to.
        let _ = self.to.write_all(&bytes);
    }

    pub(crate) fn assign(&mut self, unit: &Unit, attempt: u32, fresh_jvm: bool) {
        self.say(&CoordinatorMessage::Assign { unit: unit.clone(), attempt, fresh_jvm });
    }

    pub(crate) fn give_up(&mut self, units: &[(&Unit, u32)]) {
        let units = units.iter().map(|(unit, attempt)| UnitAttempt { unit: unit.id.clone(), attempt: *attempt });
        let units = units.collect();
        self.say(&CoordinatorMessage::Drop { units });
    }

    /// The run took longer than this.
    pub(crate) fn condemn(&mut self, limit_ms: u64) {
        self.say(&CoordinatorMessage::Condemn { limit_ms });
    }

    /// Listens until the agent says what is wanted.
    pub(crate) fn until(&mut self, wanted: impl Fn(&AgentMessage) -> bool) {
        loop {
            let Envelope { seq, message } = self.from.recv_timeout(LIMIT).expect("it says more, in time");
            if seq > 0 {
                self.say(&CoordinatorMessage::Ack { seq });
            }
            let found = wanted(&message);
            self.said.push(message);
            if found {
                return;
            }
        }
    }

    /// Lets it work off what it has and end; all that it said.
    pub(crate) fn finish(mut self) -> Vec<AgentMessage> {
        self.say(&CoordinatorMessage::Finish);
        while let Ok(Envelope { seq, message }) = self.from.recv_timeout(LIMIT) {
            if seq > 0 {
                self.say(&CoordinatorMessage::Ack { seq });
            }
            self.said.push(message);
        }
        assert!(self.child.wait().unwrap().success());
        self.said
    }
}

/// The content of each complete file of a kind, in the order in which they began.
pub(crate) fn file_bytes(said: &[AgentMessage], wanted: impl Fn(&FileOf) -> bool) -> Vec<Vec<u8>> {
    let mut files: BTreeMap<u64, (Vec<u8>, bool)> = BTreeMap::new();
    for message in said {
        if let AgentMessage::FilePiece { file, of, offset, data, last } = message
            && wanted(of)
        {
            let (bytes, ended) = files.entry(*file).or_default();
            assert!(!*ended && bytes.len() as u64 == *offset, "pieces come in order");
            bytes.extend(STANDARD.decode(data).unwrap());
            *ended = *last;
        }
    }
    assert!(files.values().all(|(_, ended)| *ended), "every file comes to its end");
    files.into_values().map(|(bytes, _)| bytes).collect()
}
