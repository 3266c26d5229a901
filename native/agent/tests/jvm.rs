//! The agent alone with fake JVMs: what it says to a coordinator that the test plays itself.

#[allow(dead_code, reason = "made for tests of whole runs")]
mod fixture;
mod spoken;

use fixture::World;
use spoken::{Spoken, file_bytes};
use testfleet_protocol::agent::{AgentMessage, DeathCause, FileOf};
use testfleet_protocol::run_options::{OutputLimits, Rules, Timeouts};
use testfleet_protocol::test::{Outcome, Stream};

fn limits(test_ms: Option<u64>, class_ms: Option<u64>) -> Rules {
    Rules { timeouts: Timeouts { test_ms, class_ms, run_ms: None }, ..Rules::default() }
}

/// Cause, reason, names of those to blame, and evidence: name and text.
type Death = (DeathCause, String, Vec<String>, Vec<(String, String)>);

/// Each JVM that died.
fn deaths(said: &[AgentMessage]) -> Vec<Death> {
    let deaths = said.iter().filter_map(|message| match message {
        AgentMessage::JvmDied { cause, reason, blamed, evidence, .. } => {
            let evidence = evidence.iter().map(|one| (one.name.clone(), one.text.clone())).collect();
            Some((*cause, reason.clone(), blamed.iter().map(ToString::to_string).collect(), evidence))
        }
        _ => None,
    });
    deaths.collect()
}

fn finished(said: &[AgentMessage]) -> Vec<String> {
    let finished = said.iter().filter_map(|message| match message {
        AgentMessage::TestFinished { test, finished, .. } => Some(format!("{test} {:?}", finished.outcome)),
        _ => None,
    });
    finished.collect()
}

#[test]
fn a_test_over_its_limit_is_to_blame_and_those_beside_it_are_not() {
    let world = World::new(&[(":test", "Together", &["hangs", "passes"])]);
    let mut agent = Spoken::start(&world, limits(Some(2_000), None));
    agent.assign(&world.plan.units[0], 1, false);
    agent.until(|message| matches!(message, AgentMessage::JvmDied { .. }));
    let said = agent.finish();
    let (cause, reason, blamed, evidence) = deaths(&said).remove(0);
    assert_eq!(cause, DeathCause::TestTimeout);
    assert_eq!(reason, "Together > hangs() took longer than the limit of 2 s for a test");
    assert_eq!(blamed, ["Together > hangs()"]);
    assert!(evidence[0].1.contains("leaves SIGQUIT alone"), "{evidence:?}");
    assert!(finished(&said).is_empty());
}

#[test]
fn a_stopped_jvm_is_killed_when_its_class_is_over_the_limit() {
    let world = World::new(&[(":test", "A", &["passes", "stops"]), (":test", "B", &["passes1"])]);
    let mut agent = Spoken::start(&world, limits(None, Some(1_500)));
    agent.assign(&world.plan.units[0], 1, false);
    agent.assign(&world.plan.units[1], 1, false);
    let said = agent.finish();
    let (cause, reason, blamed, _) = deaths(&said).remove(0);
    assert_eq!((cause, blamed), (DeathCause::ClassTimeout, vec!["A > stops()".to_owned()]));
    assert!(reason.contains("A took longer than the limit of 1.5 s for a class"), "{reason}");
    assert_eq!(finished(&said), ["A > passes() Passed", "B > passes1() Passed"]);
}

#[test]
fn what_runs_when_the_run_takes_too_long_is_killed_with_evidence_and_nothing_follows() {
    let world = World::new(&[(":test", "A", &["passes", "hangs"]), (":test", "B", &["passes1"])]);
    let mut agent = Spoken::start(&world, Rules::default());
    agent.assign(&world.plan.units[0], 1, false);
    agent.assign(&world.plan.units[1], 1, false);
    agent.until(|message| matches!(message, AgentMessage::TestStarted { test, .. } if test.method == "hangs()"));
    agent.condemn(90_000);
    let said = agent.finish();
    let (cause, reason, blamed, evidence) = deaths(&said).remove(0);
    assert_eq!((cause, blamed), (DeathCause::RunTimeout, vec!["A > hangs()".to_owned()]));
    assert_eq!(reason, "the run took longer than its limit of 90 s");
    assert!(!evidence.is_empty());
    assert_eq!(finished(&said), ["A > passes() Passed"]);
}

#[test]
fn what_others_take_between_the_invocations_of_a_test_is_not_its_time() {
    let world = World::new(&[(":test", "A", &["pauses"])]);
    let mut agent = Spoken::start(&world, limits(Some(3_000), None));
    agent.assign(&world.plan.units[0], 1, false);
    assert_eq!(finished(&agent.finish()), ["A > pauses() Passed"]);
}

#[test]
fn a_unit_that_wants_a_jvm_for_itself_gets_one() {
    let units: &[(&str, &str, &[&str])] = &[
        (":test", "A", &["passes"]),
        (":test", "B", &["passes1"]),
        (":test", "C", &["passes2"]),
        (":test", "D", &["passes3"]),
    ];
    let world = World::new(units);
    let mut agent = Spoken::start(&world, Rules::default());
    for (unit, fresh) in world.plan.units.iter().zip([false, true, false, false]) {
        agent.assign(unit, 1, fresh);
    }
    let said = agent.finish();
    let order: String = said
        .iter()
        .filter_map(|message| match message {
            AgentMessage::JvmStarted { .. } => Some('|'),
            AgentMessage::TestFinished { test, .. } => test.class.chars().next(),
            _ => None,
        })
        .collect();
    assert_eq!(order, "|A|B|CD");
}

#[test]
fn a_unit_that_another_has_now_is_stopped_without_a_word() {
    let world = World::new(&[(":test", "A", &["hangs"]), (":test", "B", &["hangs1"]), (":test", "C", &["passes"])]);
    let mut agent = Spoken::start(&world, Rules::default());
    for unit in &world.plan.units {
        agent.assign(unit, 3, false);
    }
    agent.until(|message| matches!(message, AgentMessage::TestStarted { .. }));
    agent.give_up(&[(&world.plan.units[1], 3), (&world.plan.units[0], 2)]);
    agent.give_up(&[(&world.plan.units[0], 3)]);
    let said = agent.finish();
    assert!(deaths(&said).is_empty(), "{said:?}");
    assert_eq!(finished(&said), ["C > passes() Passed"]);
}

#[test]
fn much_output_travels_by_its_ends_and_as_a_file() {
    let world = World::new(&[(":test", "A", &["talks"])]);
    let output = OutputLimits { head_bytes: 1_000, tail_bytes: 2_000, file_bytes: 5 << 20 };
    let mut agent = Spoken::start(&world, Rules { output, ..Rules::default() });
    agent.assign(&world.plan.units[0], 1, false);
    let said = agent.finish();
    let text: String = said
        .iter()
        .filter_map(|message| match message {
            AgentMessage::Output { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let (head, rest) = text.split_once("\n[Testfleet: ").unwrap();
    let (remark, tail) = rest.split_once("]\n").unwrap();
    assert_eq!((head.len(), tail.len()), (1_000, 2_000));
    assert_eq!(
        remark,
        "10482760 bytes left out here; its first 5242880 bytes are in a file of the run, testfleet { outputLimit } keeps more"
    );
    let last_output = said.iter().rposition(|message| matches!(message, AgentMessage::Output { .. }));
    let end = said.iter().position(|message| matches!(message, AgentMessage::TestFinished { .. }));
    assert!(last_output < end, "output goes before the end of its test");
    let of_output = |of: &FileOf| matches!(of, FileOf::Output { stream: Stream::Stdout, test: Some(_), .. });
    assert_eq!(file_bytes(&said, of_output), [vec![b'x'; 5 << 20]]);
}

#[test]
fn what_tests_produce_and_coverage_come_back() {
    let world = World::new(&[(":test", "A", &["writes"]), (":test", "B", &["passes"])])
        .with_jvm_arg("-javaagent:${project}/agent.jar=destfile=build/jacoco/test.exec");
    let mut agent = Spoken::start(&world, Rules { collect: vec!["out/*.txt".into()], ..Rules::default() });
    agent.assign(&world.plan.units[0], 1, false);
    agent.assign(&world.plan.units[1], 1, true);
    let said = agent.finish();
    let collected = |of: &FileOf| matches!(of, FileOf::Collected { path, .. } if path == "out/shot.txt");
    assert_eq!(file_bytes(&said, collected), [b"shot of A".to_vec()]);
    let jvms = said.iter().filter_map(|message| match message {
        AgentMessage::JvmStarted { pid, .. } => Some(format!("coverage of {pid}").into_bytes()),
        _ => None,
    });
    assert_eq!(file_bytes(&said, |of| matches!(of, FileOf::Jacoco { .. })), jvms.collect::<Vec<_>>());
    assert!(!world.dir.path().join("project/module/build").exists());
}

#[test]
fn a_crash_is_told_with_what_the_jvm_left() {
    let world = World::new(&[(":test", "A", &["crashes"])]);
    let mut agent = Spoken::start(&world, Rules::default());
    agent.assign(&world.plan.units[0], 1, false);
    let said = agent.finish();
    let (cause, reason, blamed, evidence) = deaths(&said).remove(0);
    assert!(reason.starts_with("it crashed: SIGSEGV (0xb) at pc=0x1, pid=2, tid=3; killed by signal 6"), "{reason}");
    assert_eq!((cause, blamed.len()), (DeathCause::Died, 0));
    assert!(evidence[0].0 == "hs_err" && evidence[0].1.len() < 100 << 10, "{}", evidence[0].1.len());
    let whole = file_bytes(&said, |of| matches!(of, FileOf::Crash { name, .. } if name.starts_with("hs_err_pid")));
    assert!(whole[0].len() > 300 << 10);
}

#[test]
fn memory_that_runs_out_is_told_as_what_it_is() {
    let world = World::new(&[(":test", "A", &["throws"]), (":test", "B", &["exhausts"]), (":test", "C", &["passes"])]);
    let mut agent = Spoken::start(&world, Rules::default());
    for unit in &world.plan.units {
        agent.assign(unit, 1, false);
    }
    let said = agent.finish();
    assert_eq!(finished(&said), [format!("A > throws() {:?}", Outcome::Failed), "C > passes() Passed".to_owned()]);
    let (cause, reason, _, evidence) = deaths(&said).remove(0);
    assert_eq!((cause, evidence[0].0.as_str()), (DeathCause::OutOfMemory, "stack"));
    assert!(reason.contains("java.lang.OutOfMemoryError: Java heap space"), "{reason}");
    let jvms = said.iter().filter(|message| matches!(message, AgentMessage::JvmStarted { .. })).count();
    assert_eq!(jvms, 3, "a JVM in which memory ran out runs nothing more");
}

#[test]
fn who_called_exit_is_told() {
    let world = World::new(&[(":test", "A", &["leaves"])]);
    let mut agent = Spoken::start(&world, Rules::default());
    agent.assign(&world.plan.units[0], 1, false);
    let (_, reason, _, evidence) = deaths(&agent.finish()).remove(0);
    assert_eq!(reason, "exit code 3: System.exit was called at A.leaves(A.java:7)");
    assert_eq!(evidence[0].0, "exit-stack");
}
