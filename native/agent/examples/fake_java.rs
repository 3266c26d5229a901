//! Stands in for `java` in the agent's tests: reads the agent's command line as a JVM does, speaks the harness protocol,
//! and does what the names of the tests say. Started with `--bundle` it is an agent of another protocol version.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "writing is what it is for")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};
use std::sync::mpsc;
use std::time::Duration;
use testfleet_protocol::agent::{AgentMessage, Envelope};
use testfleet_protocol::frame::{self, Decoder};
use testfleet_protocol::harness::{FromHarness, ToHarness};
use testfleet_protocol::test::{Finished, Invocation, Outcome, Stream, TestName, Thrown};
use testfleet_protocol::{Result, VERSION};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--bundle") {
        return be_an_agent_of_another_version();
    }
    let [.., main_class, input, output] = &args[..] else { panic!("no main class and pipes in {args:?}") };
    assert_eq!(main_class, "dev.testfleet.harness.Main");
    let jvm_args: Vec<String> =
        args.iter().flat_map(|arg| arg.strip_prefix('@').map_or(vec![arg.clone()], read_args)).collect();
    let properties: HashMap<_, _> = jvm_args.iter().filter_map(|arg| arg.strip_prefix("-D")?.split_once('=')).collect();
    let start = properties.get("fake.start").copied().unwrap_or_default();
    if start == "exit" {
        eprintln!("Error: Could not create the Java Virtual Machine.\nInvalid maximum heap size");
        exit(1);
    }
    let mut harness = Harness {
        out: File::create(output).expect("the results pipe opens"),
        error_file: jvm_args
            .iter()
            .find_map(|arg| arg.strip_prefix("-XX:ErrorFile="))
            .expect("every JVM is told where to write of its crash")
            .to_owned(),
        properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    let inbox =
        read_inbox(File::open(input).expect("the command pipe opens"), properties.contains_key("fake.stubborn"));
    let Ok(ToHarness::Configure { framework, .. }) = inbox.recv() else { panic!("no configuration") };
    match start {
        "fault" => {
            let message = format!("failed to find {framework} on the classpath");
            harness.send(FromHarness::Fault { message, hint: "add it to testRuntimeOnly".into() });
            exit(2);
        }
        "version" => harness.send(FromHarness::Ready { protocol: VERSION + 1, java_version: "17".into() }),
        "java" => harness.send(FromHarness::Ready { protocol: VERSION, java_version: "21.0.2".into() }),
        "garbage" => harness.out.write_all(&[0xff; 64]).expect("garbage goes out"),
        _ => harness.send(FromHarness::Ready { protocol: VERSION, java_version: "17".into() }),
    }
    for message in inbox {
        match message {
            ToHarness::RunUnit { unit, class, whole_class, tests, .. } => {
                harness.run(&unit, &class, whole_class, tests)
            }
            ToHarness::Discover { classes } => {
                classes.into_iter().for_each(|class| harness.discover(class));
                harness.send(FromHarness::DiscoveryFinished);
            }
            ToHarness::Shutdown => {
                harness.write_coverage(&jvm_args);
                exit(0)
            }
            ToHarness::Configure { .. } => panic!("configured twice"),
        }
    }
}

fn read_args(file: impl AsRef<std::path::Path>) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("the argument file is there");
    let unquote = |line: &str| line.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\");
    text.lines().map(unquote).collect()
}

fn read_inbox(mut input: File, stubborn: bool) -> mpsc::Receiver<ToHarness> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut decoder = Decoder::default();
        let mut buffer = [0; 4096];
        loop {
            match input.read(&mut buffer) {
                // The agent is gone: a harness halts at once.
                Ok(0) | Err(_) if stubborn => std::thread::sleep(Duration::from_secs(600)),
                Ok(0) | Err(_) => exit(4),
                Ok(count) => decoder.push(&buffer[..count]),
            }
            while let Some(payload) = decoder.next_frame().expect("frames") {
                sender.send(ToHarness::decode(&payload).expect("a message")).expect("it is wanted");
            }
        }
    });
    receiver
}

struct Harness {
    out: File,
    properties: HashMap<String, String>,
    /// Where a JVM tells of its crash.
    error_file: String,
}

impl Harness {
    fn send(&mut self, message: FromHarness) {
        let mut bytes = Vec::new();
        let sent: Result<()> = frame::encode(&message.encode(), &mut bytes);
        sent.expect("it fits");
        self.out.write_all(&bytes).expect("the agent reads");
    }

    /// Looks into a class, which does what its name begins with.
    fn discover(&mut self, class: String) {
        let word = class.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        match word.as_str() {
            "Dies" => {
                eprintln!("looked at {class}");
                let _ = kill(getpid(), Signal::SIGKILL);
            }
            "Hangs" => std::thread::sleep(Duration::from_secs(600)),
            "Ignored" => {}
            "Refused" => {
                let stack = "Broken: not at all\n\tat X".to_owned();
                let thrown = Thrown { kind: "Broken".into(), message: "not at all".into(), stack, hint: None };
                self.send(FromHarness::DiscoveryFailed { class, thrown });
            }
            "Empty" => self.send(FromHarness::Discovered { class, engines: Vec::new(), tests: Vec::new() }),
            _ => {
                println!("static initialiser of {class}");
                let tests = vec![TestName { class: class.clone(), method: format!("of {}()", std::process::id()) }];
                self.send(FromHarness::Discovered { class, engines: vec!["fake".into()], tests });
            }
        }
    }

    /// As JaCoCo does it, at the end of a JVM that is told to end.
    fn write_coverage(&self, jvm_args: &[String]) {
        let agents = jvm_args.iter().filter_map(|arg| arg.strip_prefix("-javaagent:"));
        if let Some(file) = agents.filter_map(|agent| agent.split_once("destfile=")).map(|(_, file)| file).next() {
            std::fs::write(file, format!("coverage of {}", Pid::this())).expect("the file can be written");
        }
    }

    /// Runs all tests at once: they start half a second apart, and the last one ends the others' waiting, if it ends.
    fn run_together(&mut self, unit: &str, tests: &[TestName]) {
        for test in tests {
            self.send(FromHarness::TestStarted { unit: unit.to_owned(), test: test.clone() });
            std::thread::sleep(Duration::from_millis(500));
        }
        for test in tests {
            let word = test.method.trim_end_matches("()");
            let finished = self.act(unit, test, word, false);
            self.send(FromHarness::TestFinished { unit: unit.to_owned(), test: test.clone(), finished });
        }
    }

    fn run(&mut self, unit: &str, class: &str, whole_class: bool, tests: Vec<TestName>) {
        if class == "Together" {
            self.run_together(unit, &tests);
            return self.send(FromHarness::UnitFinished { unit: unit.to_owned() });
        }
        for test in tests {
            let name = test.method.trim_end_matches("()").to_owned();
            let word = name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
            if word == "forgotten" {
                continue;
            }
            self.send(FromHarness::TestStarted { unit: unit.to_owned(), test: test.clone() });
            let finished = self.act(unit, &test, &word, whole_class);
            self.send(FromHarness::TestFinished { unit: unit.to_owned(), test, finished });
        }
        if class.ends_with("AfterAllFails") {
            let thrown = Thrown {
                kind: "java.lang.Error".into(),
                message: "after all".into(),
                stack: String::new(),
                hint: None,
            };
            self.send(FromHarness::ClassFailed { unit: unit.to_owned(), class: class.to_owned(), thrown });
        }
        self.send(FromHarness::UnitFinished { unit: unit.to_owned() });
    }

    fn act(&mut self, unit: &str, test: &TestName, word: &str, whole_class: bool) -> Finished {
        let mut finished =
            Finished { outcome: Outcome::Passed, started_at_ms: 1, duration_us: 2, reason: None, thrown: Vec::new() };
        match word {
            "passes" => {}
            "fails" => {
                finished.outcome = Outcome::Failed;
                finished.thrown = vec![Thrown {
                    kind: "Boom".into(),
                    message: "no".into(),
                    stack: "Boom: no\n\tat X".into(),
                    hint: None,
                }];
            }
            "dies" => {
                eprintln!("last words");
                let _ = kill(getpid(), Signal::SIGKILL);
            }
            "exits" => exit(3),
            "hangs" => std::thread::sleep(Duration::from_secs(600)),
            "stalls" => {
                // The first time only.
                if std::fs::File::create_new(format!("{}.stalled", test.class)).is_ok() {
                    std::thread::sleep(Duration::from_secs(600));
                }
            }
            "orphans" => {
                // What takes an agent along, such as the kernel's OOM killer, comes after the start of the test was passed on.
                std::thread::sleep(Duration::from_millis(200));
                let _ = kill(Pid::parent(), Signal::SIGKILL);
                std::thread::sleep(Duration::from_secs(600));
            }
            "talks" => {
                for _ in 0..320 {
                    let bytes = vec![b'x'; 32 << 10];
                    let unit = unit.to_owned();
                    self.send(FromHarness::Output { unit, test: Some(test.clone()), stream: Stream::Stdout, bytes });
                }
            }
            "naps" => std::thread::sleep(Duration::from_millis(150)),
            "floods" => {
                for _ in 0..65_536 {
                    let bytes = vec![b'x'; 32 << 10];
                    let unit = unit.to_owned();
                    self.send(FromHarness::Output { unit, test: Some(test.clone()), stream: Stream::Stdout, bytes });
                }
            }
            "descriptors" => {
                let entries = std::fs::read_dir("/proc/self/fd").expect("a list of descriptors").flatten();
                let open = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
                let lines: Vec<_> = open.map(|target| target.display().to_string()).collect();
                finished.reason = Some(lines.join("\n"));
            }
            "stops" => {
                let _ = kill(getpid(), Signal::SIGSTOP);
            }
            "writes" => {
                std::fs::create_dir_all("out").expect("a folder");
                std::fs::write("out/shot.txt", format!("shot of {}", test.class)).expect("a file");
            }
            "crashes" => {
                let file = self.error_file.replace("%p", &Pid::this().to_string());
                let head = "#\n# A fatal error has been detected:\n#\n#  SIGSEGV (0xb) at pc=0x1, pid=2, tid=3\n#\n";
                std::fs::write(file, head.to_owned() + &"x".repeat(300 << 10)).expect("the file can be written");
                let _ = kill(getpid(), Signal::SIGABRT);
            }
            "throws" => {
                let kind = "java.lang.OutOfMemoryError".to_owned();
                finished.outcome = Outcome::Failed;
                finished.thrown =
                    vec![Thrown { stack: format!("{kind}: no room"), message: "no room".into(), kind, hint: None }];
            }
            "exhausts" => {
                let message = "java.lang.OutOfMemoryError: Java heap space\n\tat A.exhausts".to_owned();
                self.send(FromHarness::Fault { message, hint: String::new() });
                std::thread::sleep(Duration::from_secs(600));
            }
            "leaves" => {
                let stacks = "\"main\"\n\tat java.lang.Runtime.exit(Runtime.java:1)\n\tat A.leaves(A.java:7)\n";
                self.send(FromHarness::ExitCalled { stacks: stacks.to_owned() });
                exit(3);
            }
            "pauses" => {
                let (unit, test) = (unit.to_owned(), test.clone());
                self.send(FromHarness::TestPaused { unit: unit.clone(), test: test.clone() });
                std::thread::sleep(Duration::from_secs(4));
                self.send(FromHarness::TestResumed { unit, test });
            }
            "prints" => {
                let mut raw = std::io::stdout();
                raw.write_all(&"é".repeat(50_000).into_bytes())
                    .and_then(|()| raw.write_all(b"\xff\n"))
                    .expect("stdout");
                raw.flush().expect("stdout");
            }
            "spawns" => {
                let child = spawn_and_forget();
                finished.reason = Some(child.to_string());
            }
            "repeats" => {
                for index in 1..=3 {
                    let invocation = Invocation { id: format!("#{index}"), name: format!("[{index}]") };
                    let (unit, test, finished) = (unit.to_owned(), test.clone(), finished.clone());
                    self.send(FromHarness::InvocationFinished { unit, test, invocation, finished });
                }
            }
            "tells" => finished.reason = Some(self.surroundings(whole_class)),
            other => panic!("no test does {other}"),
        }
        finished
    }

    fn surroundings(&self, whole_class: bool) -> String {
        let variables = ["TESTFLEET_WORKER", "TESTFLEET_WORKERS", "TMPDIR", "FROM_BUILD", "FROM_CALL"]
            .map(|name| format!("{name}={}", std::env::var(name).unwrap_or_default()));
        let mut properties: Vec<_> = self.properties.iter().map(|(name, value)| format!("-D{name}={value}")).collect();
        properties.sort();
        let cwd = std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default();
        format!(
            "{}\n{}\ncwd={cwd}\nwhole={whole_class}\npid={}",
            variables.join("\n"),
            properties.join("\n"),
            Pid::this()
        )
    }
}

#[allow(clippy::zombie_processes, reason = "a test that leaves a process behind is the point")]
fn spawn_and_forget() -> u32 {
    Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep is there").id()
}

fn be_an_agent_of_another_version() {
    let mut message = AgentMessage::first_hello(1, 1, "9.9.9", "here".into(), std::process::id());
    if let AgentMessage::Hello { protocol, .. } = &mut message {
        *protocol = VERSION + 1;
    }
    let mut bytes = Vec::new();
    let json = serde_json::to_vec(&Envelope { seq: 0, message }).expect("json");
    let framed: Result<()> = frame::encode(&json, &mut bytes);
    framed.expect("it fits");
    let mut out = std::io::stdout();
    out.write_all(&bytes).and_then(|()| out.flush()).expect("the coordinator reads");
    std::thread::sleep(Duration::from_secs(600));
}
