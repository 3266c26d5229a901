use super::super::Sink;
use super::*;
use crate::discover::{DiscoveredTask, TestClass};
use crate::test_request;
use std::sync::mpsc::{Receiver, channel};
use testfleet_protocol::FailureCode;
use testfleet_protocol::event::Event;
use testfleet_protocol::plan::Shard;
use tokio::sync::watch;

/// One machine: its folder, what it says, and a place that it shares with others.
struct Machine {
    folder: tempfile::TempDir,
    sink: Sink,
    said: Receiver<Event>,
}

impl Machine {
    fn new() -> Self {
        let (sender, said) = channel();
        Self { folder: tempfile::tempdir().unwrap(), sink: Sink { sender }, said }
    }

    fn context(&self, location: &str, shard: Option<Shard>) -> Context<'_> {
        let mut request = test_request::empty();
        request.timings_file = self.folder.path().join("timings.json");
        request.options.shard = shard;
        request.options.history = Some(SharedHistory {
            location: location.to_owned(),
            branch: "main".into(),
            fallback_branch: "main".into(),
            publish: true,
            expire_days: 30,
            user_variable: None,
            password_variable: None,
        });
        let (_, cancelled) = watch::channel(false);
        Context { request, environment: [].into(), sink: &self.sink, cancelled, run_events: false }
    }

    fn warnings(&self) -> Vec<String> {
        let warning = |event| match event {
            Event::Console { level: Level::Warn, text } => Some(text),
            _ => None,
        };
        self.said.try_iter().filter_map(warning).collect()
    }
}

fn timings(method: &str) -> Timings {
    let name = TestName { class: "a.B".into(), method: method.into() };
    let mut timings = Timings::default();
    timings.record(&TestId { task: TaskPath(":test".into()), name }, Duration::from_millis(5));
    timings
}

fn discovery() -> Discovery {
    let class = TestClass { class: "a.B".into(), ..TestClass::default() };
    let task = DiscoveredTask { task: TaskPath(":test".into()), searched: 1, classes: vec![class] };
    Discovery { tasks: vec![task], notices: vec![] }
}

fn share(location: &str, document: &[u8]) {
    let machine = Machine::new();
    let context = machine.context(location, None);
    let shared = context.request.options.history.clone().unwrap();
    open(&context, &shared).unwrap().merge(TIMINGS, |_| Ok(document.to_vec())).unwrap();
}

#[test]
fn a_run_plans_with_its_own_timings_and_those_of_the_others() {
    let place = tempfile::tempdir().unwrap();
    let location = place.path().display().to_string();
    let machine = Machine::new();
    let context = machine.context(&location, None);
    timings("mine()").save(&context.request.timings_file).unwrap();
    assert_eq!(load(&context, &discovery()).unwrap().test_count(), 1);
    share(&location, &timings("theirs()").bytes().unwrap());
    assert_eq!(load(&context, &discovery()).unwrap().test_count(), 2);
    assert_eq!(machine.warnings(), Vec::<String>::new());
}

#[test]
fn a_damaged_copy_and_a_place_out_of_reach_are_warnings() {
    let place = tempfile::tempdir().unwrap();
    let damaged = place.path().join("damaged").display().to_string();
    share(&damaged, b"{\"protocol\":1,\"timings\":2,\"lines\":[{");
    let file = place.path().join("no-folder");
    std::fs::write(&file, "").unwrap();
    for location in [damaged, file.display().to_string(), "ftp://host/".to_owned()] {
        let machine = Machine::new();
        let context = machine.context(&location, None);
        timings("mine()").save(&context.request.timings_file).unwrap();
        assert_eq!(load(&context, &discovery()).unwrap().test_count(), 1, "{location}");
        let warnings = machine.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("hint: "), "{warnings:?}");
    }
}

#[test]
fn ones_own_damaged_file_is_a_failure() {
    let machine = Machine::new();
    let context = machine.context("/nowhere", None);
    std::fs::write(&context.request.timings_file, "{").unwrap();
    assert_eq!(load(&context, &discovery()).unwrap_err().code, FailureCode::TimingsBroken);
}

#[test]
fn all_shards_plan_by_what_the_first_found() {
    let place = tempfile::tempdir().unwrap();
    let location = place.path().display().to_string();
    let shard = |number| Some(Shard { number, of: 2 });
    share(&location, &timings("shared()").bytes().unwrap());
    let first = Machine::new();
    let context = first.context(&location, shard(1));
    timings("mine()").save(&context.request.timings_file).unwrap();
    let planned = load(&context, &discovery()).unwrap();
    assert_eq!(planned, timings("shared()"), "the file of the machine does not count");
    let mut more = timings("shared()");
    more.merge(&timings("later()"));
    share(&location, &more.bytes().unwrap());
    let second = Machine::new();
    assert_eq!(load(&second.context(&location, shard(2)), &discovery()).unwrap(), planned);
    let mut other_code = discovery();
    other_code.tasks[0].classes[0].sha256 = "other".into();
    assert_eq!(load(&second.context(&location, shard(2)), &other_code).unwrap(), more);
}

#[test]
fn a_shard_that_does_not_know_what_the_others_plan_by_fails() {
    let machine = Machine::new();
    let file = machine.folder.path().join("no-folder");
    std::fs::write(&file, "").unwrap();
    let context = machine.context(&file.display().to_string(), Some(Shard { number: 1, of: 2 }));
    let failure = load(&context, &discovery()).unwrap_err();
    assert!(failure.message.contains("shard 1/2") && failure.hint.is_some(), "{failure}");
}
