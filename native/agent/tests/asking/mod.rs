//! Asking a framework about classes, through the agent and a fake JVM.

use crate::fixture::World;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use testfleet_engine::discover::Answer;
use testfleet_engine::run::AllAnswers;
use testfleet_protocol::{FailureCode, Result};
use tokio::sync::watch;

async fn ask(world: &World, about: &[(&str, &[&str])], within: Option<u32>) -> Result<AllAnswers> {
    let (_cancel, wanted) = watch::channel(false);
    world.ask(about, within, wanted).await
}

/// `Class: word` for each class, where a word is `found`, or what it was refused with.
fn words(answers: &BTreeMap<String, Answer>) -> Vec<String> {
    let word = |answer: &Answer| match answer {
        Answer::Found { tests, .. } if tests.is_empty() => "nothing".to_owned(),
        Answer::Found { .. } => "found".to_owned(),
        Answer::Refused(thrown) => thrown.kind.clone(),
    };
    answers.iter().map(|(class, answer)| format!("{class}: {}", word(answer))).collect()
}

/// The JVMs that found something: the fake names its tests by its process.
fn jvms(answers: &AllAnswers) -> usize {
    let tests = answers.iter().flat_map(BTreeMap::values).filter_map(|answer| match answer {
        Answer::Found { tests, .. } => tests.first(),
        Answer::Refused(_) => None,
    });
    tests.map(|test| &test.method).collect::<BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_task_is_asked_in_one_jvm_of_its_own() {
    let world = World::new(&[(":a:test", "A", &["x"]), (":b:test", "B", &["x"]), (":c:test", "C", &["x"])]);
    let about: &[(&str, &[&str])] =
        &[(":a:test", &["A", "B", "Empty", "Refused", "Ignored"]), (":b:test", &["A"]), (":c:test", &["C", "D"])];
    let answers = ask(&world, about, None).await.unwrap();
    assert_eq!(words(&answers[0]), ["A: found", "B: found", "Empty: nothing", "Ignored: NoAnswer", "Refused: Broken"]);
    assert_eq!(words(&answers[1]), ["A: found"]);
    assert_eq!(words(&answers[2]), ["C: found", "D: found"]);
    assert_eq!(jvms(&answers), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_class_that_kills_its_jvm_is_named_and_the_others_are_answered() {
    let world = World::new(&[(":test", "A", &["x"])]);
    let classes: &[&str] = &["A", "B", "Dies", "C", "Dies2", "D"];
    let answers = ask(&world, &[(":test", classes)], None).await.unwrap();
    assert_eq!(words(&answers[0]), ["A: found", "B: found", "C: found", "D: found", "Dies: JvmDied", "Dies2: JvmDied"]);
    let Answer::Refused(thrown) = &answers[0]["Dies2"] else { panic!("{answers:?}") };
    assert!(thrown.message.contains("killed by signal 9 (SIGKILL)"), "{}", thrown.message);
    assert!(thrown.message.contains("looked at Dies2"), "{}", thrown.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_nothing_and_one_that_ends_with_a_death_are_finished() {
    let world = World::new(&[(":a:test", "A", &["x"]), (":b:test", "B", &["x"])]);
    let answers = ask(&world, &[(":a:test", &[]), (":b:test", &["Dies"]), (":a:test", &["A"])], None).await.unwrap();
    assert!(answers[0].is_empty());
    assert_eq!(words(&answers[1]), ["Dies: JvmDied"]);
    assert_eq!(words(&answers[2]), ["A: found"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_hangs_is_given_up_and_the_others_are_answered() {
    let world = World::new(&[(":test", "A", &["x"])]);
    let answers = ask(&world, &[(":test", &["A", "Hangs", "B"])], Some(5)).await.unwrap();
    assert_eq!(words(&answers[0]), ["A: found", "B: found", "Hangs: NoAnswer"]);
    let Answer::Refused(thrown) = &answers[0]["Hangs"] else { panic!("{answers:?}") };
    assert!(thrown.message.contains("it gave no answer within 5 s"), "{}", thrown.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jvm_that_does_not_start_is_a_failure_with_its_words() {
    let mut world = World::new(&[(":a:test", "A", &["x"]), (":b:test", "B", &["x"])]);
    world.bundle.profiles[1].jvm_args.push("-Dfake.start=exit".into());
    let about: &[(&str, &[&str])] = &[(":a:test", &["Hangs"]), (":b:test", &["B"])];
    let failure = ask(&world, about, None).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::JvmStart);
    assert!(failure.to_string().contains(":b:test"), "{failure}");
    assert!(failure.to_string().contains("Invalid maximum heap size"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_not_there_is_a_failure() {
    let world = World::new(&[(":test", "A", &["x"])]);
    let failure = ask(&world, &[(":other:test", &["A"])], None).await.unwrap_err();
    assert!(failure.to_string().contains("failed to find :other:test in"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_there_or_of_another_version_is_a_failure() {
    let mut world = World::new(&[(":test", "A", &["x"])]);
    world.agent = "/nowhere/testfleet-agent".into();
    let failure = ask(&world, &[(":test", &["A"])], None).await.unwrap_err();
    assert!(failure.to_string().contains("failed to start the agent /nowhere"), "{failure}");
    world.agent = crate::fixture::fake_java();
    let failure = ask(&world, &[(":test", &["A"])], None).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ProtocolVersion);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_the_asking() {
    let world = World::new(&[(":test", "A", &["x"])]);
    let (cancel, wanted) = watch::channel(false);
    let cancelled = async {
        while world.processes().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.send(true).unwrap();
    };
    let (asked, ()) = tokio::join!(world.ask(&[(":test", &["Hangs"])], None, wanted), cancelled);
    assert_eq!(asked.unwrap_err().code, FailureCode::Cancelled);
}
