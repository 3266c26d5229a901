use super::super::test_machine::Machine;
use super::*;
use crate::discover::{DiscoveredTask, TestClass};
use crate::test_request;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::Unit;
use testfleet_protocol::test::{TaskPath, TestId, TestName, Verdict};

#[test]
fn what_is_never_reused_is_told() {
    let machine = Machine::new();
    let mut context = machine.context("/nowhere", None);
    let classes = [TestClass { class: "A".into(), ..TestClass::default() }];
    let found = |path: &str, classes: &[TestClass]| DiscoveredTask {
        task: TaskPath(path.into()),
        searched: 1,
        classes: classes.to_vec(),
    };
    let tasks = vec![found(":a:test", &classes), found(":b:test", &classes), found(":empty:test", &[])];
    let before = Before::unread(Discovery { tasks, notices: vec![] });
    context.request.tasks = [":a:test", ":b:test", ":empty:test"].map(test_request::task).into();
    assert_eq!(before.describe_exempt(&context), Vec::<String>::new());
    for task in &mut context.request.tasks {
        task.jacoco_file = Some("/p/build/jacoco/test.exec".into());
    }
    context.request.tasks[1].properties_without_text = vec!["date (java.util.Date)".into()];
    insta::assert_snapshot!(before.describe_exempt(&context).join("\n"));
    context.request.options.reuse = Reuse::Off;
    assert_eq!(before.describe_exempt(&context), Vec::<String>::new());
}

#[test]
fn what_is_shared_is_what_the_run_saw_and_not_what_the_machine_knows() {
    let place = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let mut context = machine.context(&place.path().display().to_string(), None);
    context.request.tasks = vec![test_request::task(":test")];
    let classes = ["Mine", "Trusted"].map(|class| TestClass { class: class.into(), ..TestClass::default() });
    let task = DiscoveredTask { task: TaskPath(":test".into()), searched: 2, classes: classes.into() };
    let before = Before::read(&context, Discovery { tasks: vec![task], notices: vec![] }).unwrap();
    let run = |class: &str, context: &Context<'_>| {
        let name = TestName { class: class.into(), method: "a()".into() };
        let unit =
            Unit { task: TaskPath(":test".into()), class: class.into(), tests: vec![name.clone()], ..Unit::default() };
        let mut outcomes = Outcomes::default();
        let test = TestId { task: unit.task.clone(), name };
        outcomes.apply(&RunEvent::TestVerdict { test, verdict: Verdict::Passed, reason: None });
        let plan = Plan { units: vec![unit], ..Plan::default() };
        before.record(context, &plan, &outcomes, "r").unwrap();
    };
    let history = context.request.options.history.take();
    run("Mine", &context);
    context.request.options.history = history;
    run("Trusted", &context);
    assert_eq!(Store::load(&file(&context)).0.len(), 2);
    let shared = Store::parse(Path::new(PASSED), &history::read_shared(&context, PASSED).unwrap()).unwrap();
    let key = &before.keys.of_class(&TaskPath(":test".into()), "Trusted").unwrap().key;
    let name = TestName { class: "Trusted".into(), method: "a()".into() };
    assert_eq!(shared.len(), 1);
    assert!(shared.reused(key, "Trusted", &[name]).is_some());
    assert_eq!(machine.warnings(), Vec::<String>::new());
}
