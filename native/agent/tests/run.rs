//! Agent, local backend and driver together, with a fake JVM.

mod asking;
mod fixture;
mod line;

use fixture::World;
use nix::sys::signal::Signal;
use testfleet_protocol::FailureCode;
use testfleet_protocol::agent::FileOf;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::test::{Outcome, Stream, Verdict};

fn test_started(method: &str) -> impl Fn(&RunEvent) -> bool {
    let method = format!("{method}()");
    move |event| matches!(event, RunEvent::TestStarted { test, .. } if test.name.method == method)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_runs_and_nothing_is_left() {
    let world = World::new(&[
        (":a:test", "A", &["passes", "fails"]),
        (":a:test", "B", &["passes1", "repeats"]),
        (":b:test", "C", &["passes2"]),
        (":b:test", "D", &["forgotten"]),
        (":b:test", "E$AfterAllFails", &["passes3"]),
    ]);
    let ended = world.run(2).await;
    assert_eq!(
        ended.verdicts(),
        [
            "a.fails() failed",
            "a.passes() passed",
            "b.passes1() passed",
            "b.repeats() passed",
            "c.passes2() passed",
            "d.forgotten() lost",
            "e$afterallfails.executionerror errored",
            "e$afterallfails.passes3() passed",
        ]
    );
    assert_eq!(ended.summary.verdict, Verdict::Lost);
    assert_eq!(ended.finished("fails").thrown[0].stack, "Boom: no\n\tat X");
    let invocations = ended.events.iter().filter(|event| matches!(event, RunEvent::InvocationFinished { .. })).count();
    assert_eq!(invocations, 3);
    assert!(ended.summary.problems.is_empty(), "{:?}", ended.summary.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jvm_sees_what_its_profile_and_worker_say() {
    let mut world = World::new(&[(":test", "A", &["tells"])])
        .with_jvm_arg("-Dport=80{worker}")
        .with_jvm_arg("-Dodd=a \"b\" \\c")
        .with_jvm_arg("-Ddir=${project}/x:${temp}");
    world.bundle.profiles[0].environment.insert("FROM_BUILD".into(), "of {workers} in ${jdk}".into());
    let ended = world.run(1).await;
    let told = ended.finished("tells").reason.clone().unwrap();
    let root = world.dir.path().display();
    for line in [
        "TESTFLEET_WORKER=1".to_owned(),
        "TESTFLEET_WORKERS=1".to_owned(),
        format!("TMPDIR={root}/tmp/tf-r1/w1-1/tmp"),
        format!("FROM_BUILD=of 1 in {root}/jdk"),
        "FROM_CALL=call".to_owned(),
        "-Dport=801".to_owned(),
        "-Dodd=a \"b\" \\c".to_owned(),
        format!("-Ddir={root}/project/x:{root}/tmp/tf-r1/w1-1/tmp"),
        format!("-Djava.io.tmpdir={root}/tmp/tf-r1/w1-1/tmp"),
        format!("cwd={root}/project/module"),
        "whole=true".to_owned(),
    ] {
        assert!(told.lines().any(|found| found == line), "no line {line} in\n{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_jvm_takes_the_running_test_only() {
    let world = World::new(&[(":test", "A", &["passes", "dies", "passes1"]), (":test", "B", &["passes2"])]);
    let ended = world.run(1).await;
    assert_eq!(ended.verdicts(), ["a.dies() errored", "a.passes() passed", "a.passes1() passed", "b.passes2() passed"]);
    let thrown = &ended.finished("dies").thrown[0];
    assert_eq!(thrown.kind, "JvmDied");
    assert!(thrown.message.contains("killed by signal 9 (SIGKILL)"), "{}", thrown.message);
    assert!(thrown.message.contains("last words"), "{}", thrown.message);
    assert_eq!(ended.jvms(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jvm_that_a_test_ends_is_told_by_its_exit_code() {
    let world = World::new(&[(":test", "A", &["exits", "passes"])]);
    let ended = world.run(1).await;
    assert_eq!(ended.verdicts(), ["a.exits() errored", "a.passes() passed"]);
    assert!(ended.finished("exits").thrown[0].message.contains("exit code 3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_takes_no_test_and_its_jvm_ends() {
    let world = World::new(&[(":test", "A", &["passes", "stalls", "passes1"]), (":test", "B", &["passes2"])])
        .with_jvm_arg("-Dfake.stubborn=true");
    let mut going = world.start(1);
    going.until(test_started("stalls")).await;
    world.stalled("A").await;
    going.signal_agent(Signal::SIGKILL);
    let ended = going.end(&world).await;
    let expected = ["a.passes() passed", "a.passes1() passed", "a.stalls() passed", "b.passes2() passed"];
    assert_eq!(ended.verdicts(), expected, "{:?}", ended.summary.problems);
    let problem = &ended.summary.problems[0];
    assert_eq!(problem.code, FailureCode::WorkerBroken);
    assert!(problem.to_string().contains("killed by signal 9 (SIGKILL)"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_ends_its_worker_over_and_over_is_errored_with_the_reasons() {
    let world = World::new(&[(":test", "A", &["passes", "orphans", "passes1"])]);
    let ended = world.run(2).await;
    let expected = ["a.orphans() errored", "a.passes() passed", "a.passes1() passed"];
    assert_eq!(ended.verdicts(), expected, "{:?}", ended.summary.problems);
    let thrown = &ended.finished("orphans").thrown[0];
    assert_eq!(thrown.kind, "WorkerLost");
    assert_eq!(thrown.message.matches("killed by signal 9 (SIGKILL)").count(), 3, "{}", thrown.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_end_with_their_coordinator_whatever_tests_do() {
    let world = World::new(&[(":test", "A", &["spawns", "hangs"]), (":test", "B", &["talks", "hangs1"])])
        .with_jvm_arg("-Dfake.stubborn=true");
    let mut going = world.start(2);
    going.until(test_started("hangs")).await;
    assert!(!world.processes().is_empty());
    let spawned = going.spawned();
    going.abandon().await;
    world.assert_nothing_is_left().await;
    fixture::assert_gone(&spawned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_terminated_gives_back_what_it_has_without_blame() {
    let world = World::new(&[(":test", "A", &["stalls"]), (":test", "B", &["passes"])]);
    let mut going = world.start(1);
    going.until(test_started("stalls")).await;
    world.stalled("A").await;
    going.signal_agent(Signal::SIGTERM);
    let ended = going.end(&world).await;
    assert_eq!(ended.verdicts(), ["a.stalls() passed", "b.passes() passed"]);
    let left = ended
        .events
        .iter()
        .any(|event| matches!(event, RunEvent::WorkerLeaving { reason, .. } if reason.contains("SIGTERM")));
    assert!(left, "{:?}", ended.events);
    assert!(ended.summary.problems.is_empty(), "{:?}", ended.summary.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_tests_end_with_the_worker() {
    let world = World::new(&[(":test", "A", &["spawns"])]);
    let ended = world.run(1).await;
    let pid = ended.finished("spawns").reason.clone().unwrap();
    fixture::assert_gone(&pid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_the_run_and_says_so() {
    let world = World::new(&[(":test", "A", &["passes", "hangs", "passes1"]), (":test", "B", &["passes2"])]);
    let mut going = world.start(1);
    going.until(test_started("hangs")).await;
    going.cancel.send(true).unwrap();
    let ended = going.end(&world).await;
    assert!(ended.summary.cancelled);
    assert_eq!(ended.verdicts(), ["a.hangs() lost", "a.passes() passed", "a.passes1() lost", "b.passes2() lost"]);
    assert_eq!(ended.lost("hangs"), "cancelled");
    assert!(ended.summary.problems.is_empty(), "{:?}", ended.summary.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jvm_that_cannot_start_is_not_tried_for_each_unit() {
    let mut world =
        World::new(&[(":a:test", "A", &["passes"]), (":a:test", "B", &["passes1"]), (":b:test", "C", &["passes2"])]);
    world.bundle.profiles[0].jvm_args.push("-Dfake.start=exit".into());
    let ended = world.run(1).await;
    assert_eq!(ended.verdicts(), ["a.passes() errored", "b.passes1() errored", "c.passes2() passed"]);
    let problem = &ended.summary.problems[0];
    assert_eq!(problem.code, FailureCode::JvmStart);
    assert!(problem.to_string().contains("exit code 1"), "{problem}");
    assert!(problem.to_string().contains("Invalid maximum heap size"), "{problem}");
    assert_eq!(ended.summary.problems.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_harness_cannot_do_is_told_with_its_hint() {
    for (start, words) in [
        ("fault", "failed to find junit4 on the classpath"),
        ("fault", "add it to testRuntimeOnly"),
        ("version", "speaks protocol 2, not 1"),
        ("java", ":test runs on Java 17, but the worker's is 21.0.2"),
        ("java", "addJava = true"),
        ("garbage", "over the limit"),
    ] {
        let world = World::new(&[(":test", "A", &["passes"])]).with_jvm_arg(&format!("-Dfake.start={start}"));
        let ended = world.run(1).await;
        assert_eq!(ended.verdicts(), ["a.passes() errored"], "{start}");
        let thrown = &ended.finished("passes").thrown[0];
        assert_eq!(thrown.kind, "JvmStart");
        assert!(thrown.message.contains(words), "{start}: {}", thrown.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_jdk_or_working_directory_is_named() {
    let mut world = World::new(&[(":a:test", "A", &["passes"]), (":b:test", "B", &["passes1"])]);
    world.bundle.profiles[0].java_home = Some("/nowhere/jdk".into());
    world.bundle.profiles[1].working_dir = "${project}/gone".into();
    let ended = world.run(1).await;
    assert_eq!(ended.count(Verdict::Errored), 2);
    assert!(ended.finished("passes").thrown[0].message.contains("/nowhere/jdk/bin/java does not exist"));
    assert!(ended.finished("passes1").thrown[0].message.contains("project/gone does not exist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_is_in_a_file_and_its_ends_are_shown() {
    let world = World::new(&[(":test", "A", &["talks", "passes"]), (":test", "B", &["talks1", "passes1"])]);
    let ended = world.run(2).await;
    assert_eq!(ended.count(Verdict::Passed), 4);
    let bytes: usize = ended.output(Stream::Stdout).iter().map(|text| text.len()).sum();
    let limits = world.options.output;
    let kept = 2 * (limits.head_bytes + limits.tail_bytes) as usize;
    assert!(bytes > kept && bytes < kept + 1_000, "{bytes}");
    let stored: Vec<_> = ended
        .events
        .iter()
        .filter_map(|event| match event {
            RunEvent::FileStored { path, of: FileOf::Output { test, .. }, .. } => Some((path, test)),
            _ => None,
        })
        .collect();
    assert_eq!(stored.len(), 2, "{stored:?}");
    for (path, test) in stored {
        assert!(test.as_ref().is_some_and(|test| test.method.starts_with("talks")), "{test:?}");
        let whole = std::fs::read(world.dir.path().join("runs").join(path)).unwrap();
        assert!(whole.len() == 320 * (32 << 10) && whole.iter().all(|byte| *byte == b'x'), "{}", whole.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_output_is_cut_between_characters_and_never_too_long() {
    let world = World::new(&[(":test", "A", &["prints"])]);
    let ended = world.run(1).await;
    let texts = ended.output(Stream::Stdout);
    assert!(texts.iter().all(|text| text.len() <= 64 << 10));
    assert_eq!(texts.concat(), format!("{}\u{fffd}\n", "é".repeat(50_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jvm_is_replaced_for_another_profile_and_after_enough_units() {
    let units: &[(&str, &str, &[&str])] = &[
        (":a:test", "A", &["passes"]),
        (":b:test", "B", &["passes1"]),
        (":a:test", "C", &["passes2"]),
        (":b:test", "D", &["passes3"]),
    ];
    let ended = World::new(units).run(1).await;
    assert_eq!((ended.count(Verdict::Passed), ended.jvms()), (4, 2), "one JVM for each profile");
    let mut world = World::new(units);
    world.bundle.profiles.iter_mut().for_each(|profile| profile.fork_every = 1);
    let ended = world.run(1).await;
    assert_eq!((ended.count(Verdict::Passed), ended.jvms()), (4, 4), "one JVM for each unit");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_another_version_is_refused() {
    let mut world = World::new(&[(":test", "A", &["passes"])]);
    world.agent = fixture::fake_java();
    let ended = world.run(1).await;
    assert_eq!(ended.verdicts(), ["a.passes() lost"]);
    assert!(ended.lost("passes").contains("agent 9.9.9 speaks protocol 2, not 1"), "{}", ended.lost("passes"));
    assert_eq!(ended.summary.problems[0].code, FailureCode::ProtocolVersion);
    assert_eq!(ended.summary.problems.len(), 1, "it is not started again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_makes_no_sense_ends_the_run_with_the_reason() {
    let world = World::new(&[(":test", "A", &["passes"])]);
    std::fs::write(world.dir.path().join("bundle.json"), "{\"protocol\":1}").unwrap();
    let ended = world.run(1).await;
    assert!(ended.lost("passes").contains("failed to understand"), "{}", ended.lost("passes"));
    assert!(ended.summary.problems.iter().all(|problem| problem.hint.is_some()), "{:?}", ended.summary.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_there_ends_the_run_with_the_reason() {
    let mut world = World::new(&[(":test", "A", &["passes"])]);
    world.agent = "/nowhere/testfleet-agent".into();
    let ended = world.run(1).await;
    assert!(ended.lost("passes").contains("failed to start the agent /nowhere"), "{}", ended.lost("passes"));
    let outcome = ended
        .events
        .iter()
        .any(|event| matches!(event, RunEvent::TestFinished { finished, .. } if finished.outcome == Outcome::Passed));
    assert!(!outcome);
}
