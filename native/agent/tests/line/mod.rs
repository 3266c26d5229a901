//! Agents over TCP: lines that break, coordinators that go and come, more output than fits.

mod direct;

use super::fixture::{self, World};
use super::test_started;
use direct::{Direct, Heard, end_of, rules};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use testfleet_engine::backend::local::LocalBackend;
use testfleet_engine::backend::{Backend, BoxFuture, Connection, Line, WorkerLife};
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage};
use testfleet_protocol::run_options::{Isolation, LocalConnection, OutputLimits, Rules};
use testfleet_protocol::test::Verdict;
use testfleet_wire::Reach;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

const BOTH: [LocalConnection; 2] = [LocalConnection::Dial, LocalConnection::Listen];

fn world(local: LocalConnection, units: &[(&str, &str, &[&str])]) -> World {
    let mut world = World::new(units);
    world.options.connection.local = local;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_everything_is_as_over_pipes() {
    for local in BOTH {
        let world = world(
            local,
            &[(":a:test", "A", &["passes", "fails", "dies"]), (":b:test", "B", &["talks", "forgotten", "descriptors"])],
        );
        let ended = world.run(2).await;
        assert_eq!(
            ended.verdicts(),
            [
                "a.dies() errored",
                "a.fails() failed",
                "a.passes() passed",
                "b.descriptors() passed",
                "b.forgotten() lost",
                "b.talks() passed"
            ],
            "{local:?}"
        );
        assert!(ended.summary.problems.is_empty(), "{:?}", ended.summary.problems);
        // The agent has a socket and keys; its JVM has neither.
        let open = ended.finished("descriptors").reason.clone().unwrap();
        assert!(open.contains("pipe:") && !open.contains("socket:"), "{open}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_of_its_own_is_not_reached_over_tcp() {
    let mut world = world(LocalConnection::Dial, &[(":test", "A", &["passes"])]);
    world.options.isolation = Isolation::Namespace;
    let ended = world.run(1).await;
    assert!(ended.lost("passes").contains("can't be reached over TCP"), "{}", ended.lost("passes"));
    assert!(ended.summary.problems.iter().all(|problem| problem.hint.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_agents_end_with_their_coordinator_too() {
    for local in BOTH {
        let world = world(local, &[(":test", "A", &["spawns", "hangs"])]).with_jvm_arg("-Dfake.stubborn=true");
        let mut going = world.start(1);
        going.until(test_started("hangs")).await;
        let spawned = going.spawned();
        going.abandon().await;
        world.assert_nothing_is_left().await;
        fixture::assert_gone(&spawned).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_a_killed_agent_takes_no_test() {
    for local in BOTH {
        let world = world(local, &[(":test", "A", &["passes", "stalls", "passes1"])]);
        let mut going = world.start(1);
        going.until(test_started("stalls")).await;
        world.stalled("A").await;
        going.signal_agent(nix::sys::signal::Signal::SIGKILL);
        let ended = going.end(&world).await;
        assert_eq!(ended.verdicts(), ["a.passes() passed", "a.passes1() passed", "a.stalls() passed"]);
        assert!(ended.summary.problems[0].to_string().contains("killed by signal 9"));
    }
}

/// A local backend whose lines break after a while, with whatever is on its way.
struct Cutting {
    inner: LocalBackend,
    cuts: Arc<std::sync::atomic::AtomicU32>,
}

struct Cut {
    inner: Box<dyn AsyncRead + Send + Unpin>,
    at: Pin<Box<Sleep>>,
    cuts: Arc<std::sync::atomic::AtomicU32>,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.at.as_mut().poll(context).is_ready() {
            self.cuts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl Backend for Cutting {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn start(&self, life: WorkerLife) -> BoxFuture<'_, testfleet_protocol::Result<Connection>> {
        self.inner.start(life)
    }

    fn reconnect(&self, life: WorkerLife) -> Option<BoxFuture<'_, testfleet_protocol::Result<Line>>> {
        let next = self.inner.reconnect(life)?;
        Some(Box::pin(async move {
            let Line { from_agent, to_agent } = next.await?;
            let nth = self.cuts.load(std::sync::atomic::Ordering::Relaxed);
            let at = Box::pin(tokio::time::sleep(Duration::from_millis(120 + u64::from(nth * 37 % 200))));
            let cut = Cut { inner: from_agent, at, cuts: Arc::clone(&self.cuts) };
            Ok(Line { from_agent: Box::new(cut), to_agent })
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_breaks_all_the_time_changes_no_verdict() {
    let units: &[(&str, &str, &[&str])] = &[
        (":test", "A", &["naps", "talks", "naps1", "fails", "repeats", "naps2"]),
        (":test", "B", &["naps3", "dies", "naps4", "naps5"]),
        (":test", "C", &["talks1", "naps6", "naps7", "forgotten", "passes"]),
        (":test", "D", &["naps8", "naps9", "naps10", "naps11"]),
    ];
    let quiet = World::new(units).run(2).await;
    for local in BOTH {
        let world = world(local, units);
        let cuts = Arc::default();
        let backend = Cutting { inner: world.backend(2, None), cuts: Arc::clone(&cuts) };
        let ended = world.start_on(Arc::new(backend), 2).end(&world).await;
        assert_eq!(ended.verdicts(), quiet.verdicts(), "{local:?}");
        assert_eq!(ended.count(Verdict::Lost), 1);
        assert!(ended.summary.problems.is_empty(), "{:?}", ended.summary.problems);
        let text = |ended: &fixture::Ended| ended.output(testfleet_protocol::test::Stream::Stdout).concat().len();
        assert_eq!(text(&ended), text(&quiet));
        assert!(cuts.load(std::sync::atomic::Ordering::Relaxed) >= 4, "{cuts:?} cuts");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_coordinator_the_agent_works_on_and_tells_it_later() {
    let world = World::new(&[(":test", "A", &["naps", "talks", "passes"]), (":test", "B", &["talks1", "naps1"])]);
    let mut agent = Direct::start(&world, &[], Reach::default()).await;
    let mut heard = Heard::default();
    let mut talk = agent.welcome(1, Some(0), rules(300, 60_000)).await;
    talk.assign(&world).await;
    talk.until(&mut heard, |message| matches!(message, AgentMessage::TestStarted { .. })).await;
    drop(talk);
    // Longer than all of it takes; what it says does not fit into its memory.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (mut talk, hello) = agent.connect().await;
    let AgentMessage::Hello { epoch, hand, life, worker, .. } = hello else { panic!("{hello:?}") };
    assert_eq!((worker, life, epoch, hand.len()), (1, 1, 1, 2), "an end counts when it is acknowledged");
    talk.welcome(1, Some(heard.last), rules(300, 60_000)).await;
    let begun = Instant::now();
    assert!(talk.until(&mut heard, end_of("u2")).await);
    assert!(begun.elapsed() < Duration::from_secs(20), "it was done already");
    assert_eq!(heard.finished(), ["naps()", "talks()", "passes()", "talks1()", "naps1()"]);
    assert_eq!(heard.output, 2 * 320 * (32 << 10));
    // Nothing to say: it says that it is there.
    let alive = talk.hear().await.unwrap();
    assert_eq!((alive.seq, alive.message), (0, AgentMessage::Alive));
    talk.say(CoordinatorMessage::Finish).await;
    assert_eq!(agent.ended().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_left_alone_too_long_ends_itself() {
    let world = World::new(&[(":test", "A", &["hangs"])]).with_jvm_arg("-Dfake.stubborn=true");
    let mut agent = Direct::start(&world, &[], Reach::default()).await;
    let mut heard = Heard::default();
    let mut talk = agent.welcome(1, Some(0), rules(1_000, 1_500)).await;
    talk.assign(&world).await;
    talk.until(&mut heard, |message| matches!(message, AgentMessage::TestStarted { .. })).await;
    drop(talk);
    let begun = Instant::now();
    agent.ended().await;
    assert!(begun.elapsed() >= Duration::from_millis(1_400), "{:?}", begun.elapsed());
    world.assert_nothing_is_left().await;
    // One that is never found ends as well.
    let reach = Reach { orphan_timeout_ms: 300, ends_with_input: false };
    Direct::start(&world, &[], reach).await.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_coordinator_is_refused_and_a_newer_one_takes_over() {
    let world = World::new(&[(":test", "A", &["passes"]), (":test", "B", &["naps"])]);
    let mut agent = Direct::start(&world, &[], Reach::default()).await;
    let mut heard = Heard::default();
    let mut second = agent.welcome(2, Some(0), rules(30_000, 60_000)).await;
    let mut first = agent.welcome(1, Some(0), rules(30_000, 60_000)).await;
    assert!(first.hear().await.is_none(), "it is sent away");
    // Not obeyed before its welcome either.
    let (mut eager, _) = agent.connect().await;
    eager.say(CoordinatorMessage::Cancel).await;
    assert!(eager.hear().await.is_none());
    // Nor is one whose frames have no end.
    let (mut odd, _) = agent.connect().await;
    odd.say_bytes(&[0xff; 64]).await;
    assert!(odd.hear().await.is_none());
    second.assign(&world).await;
    second.assign(&world).await;
    assert!(second.until(&mut heard, end_of("u1")).await, "it is still listened to");
    let known = heard.last;
    let mut third = agent.welcome(3, None, rules(30_000, 60_000)).await;
    second.until(&mut heard, |_| false).await;
    assert!(heard.last >= known, "its line has ended");
    assert!(third.until(&mut heard, end_of("u2")).await);
    assert_eq!(heard.finished(), ["passes()", "naps()"]);
    let (_, hello) = agent.connect().await;
    assert!(matches!(hello, AgentMessage::Hello { epoch: 3, .. }), "{hello:?}");
    third.say(CoordinatorMessage::Cancel).await;
    assert_eq!(agent.ended().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gigabytes_of_output_fill_no_memory_and_results_arrive() {
    let world = World::new(&[(":test", "A", &["passes", "floods", "passes1"])]);
    let mut agent = Direct::start(&world, &[], Reach::default()).await;
    let mut heard = Heard::default();
    let limits = OutputLimits { file_bytes: 256 << 20, ..OutputLimits::default() };
    let mut talk = agent.welcome(1, Some(0), Rules { output: limits, ..rules(30_000, 60_000) }).await;
    talk.assign(&world).await;
    assert!(talk.until(&mut heard, end_of("u1")).await);
    assert_eq!(heard.finished(), ["passes()", "floods()", "passes1()"]);
    assert!(heard.output >= limits.head_bytes + limits.tail_bytes && heard.output < 1 << 20, "{}", heard.output);
    // Results did not wait for the file, which is far longer than what may be on its way.
    assert!(heard.pieces < 128 << 20, "{}", heard.pieces);
    let last_piece = |message: &AgentMessage| matches!(message, AgentMessage::FilePiece { last: true, .. });
    assert!(talk.until(&mut heard, last_piece).await);
    // In Base64.
    assert!(heard.pieces / 4 * 3 >= limits.file_bytes, "{}", heard.pieces);
    let memory = agent.memory();
    assert!(memory < 150 << 20, "{} MiB", memory >> 20);
    talk.say(CoordinatorMessage::Cancel).await;
    agent.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_no_result() {
    // Files may have 64 KiB: the spool's first write beyond memory fails.
    let world = World::new(&[(":test", "A", &["naps", "talks", "passes", "repeats", "fails"])]);
    let limited = ["/bin/sh", "-c", "ulimit -f 128; exec \"$0\" \"$@\""];
    let mut agent = Direct::start(&world, &limited, Reach::default()).await;
    let mut heard = Heard::default();
    let mut talk = agent.welcome(1, Some(0), rules(30_000, 120_000)).await;
    talk.assign(&world).await;
    talk.until(&mut heard, |message| matches!(message, AgentMessage::TestStarted { .. })).await;
    drop(talk);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut talk = agent.welcome(1, Some(heard.last), rules(30_000, 120_000)).await;
    assert!(talk.until(&mut heard, end_of("u1")).await);
    assert_eq!(heard.finished(), ["naps()", "talks()", "passes()", "repeats()", "fails()"]);
    assert!(heard.output < 320 * (32 << 10), "output gave way");
    talk.say(CoordinatorMessage::Finish).await;
    assert_eq!(agent.ended().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_the_right_credentials_says_so() {
    use std::process::Stdio;
    use tokio::io::AsyncWriteExt;
    let world = World::new(&[(":test", "A", &["passes"])]);
    for (input, words) in [
        (&b""[..], "standard input ended before them"),
        (b"GET / HTTP/1.1", "it can't have 1195725856 bytes"),
        (b"\0\0\0\x0e{\"protocol\":7}", "failed to use credentials of protocol 7"),
        (b"\0\0\0\x0e{\"protocol\":1}", "makes no sense at line 1"),
    ] {
        let mut child = tokio::process::Command::new(&world.agent)
            .arg("--bundle")
            .arg(world.bundle_file())
            .args(["--worker", "1", "--workers", "1", "--dial", "127.0.0.1:9", "--temp"])
            .arg(world.temp().join("tf-x/w1"))
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(words), "{told}");
        assert!(!output.status.success());
    }
    world.assert_nothing_is_left().await;
}

/// Who may not read this process's environment can't read its memory either. Root may always.
#[test]
fn an_agents_memory_is_hidden() {
    let agent = env!("CARGO_BIN_EXE_testfleet-agent");
    let mut child = std::process::Command::new(agent)
        .args(["--bundle", "/nowhere", "--worker", "1", "--workers", "1", "--dial", "127.0.0.1:9", "--temp"])
        .arg(std::env::temp_dir().join(format!("tf-hidden-{}", std::process::id())).join("w1"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let owner = || {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(format!("/proc/{}/environ", child.id())).map(|environ| environ.uid())
    };
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    if own != 0 {
        // Its files in /proc are root's then.
        let begun = Instant::now();
        while owner().is_ok_and(|owner| owner == own) {
            assert!(begun.elapsed() < Duration::from_secs(60), "it stays readable");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = std::fs::remove_dir_all(std::env::temp_dir().join(format!("tf-hidden-{}", std::process::id())));
}
