use super::super::test_machine::Machine;
use super::*;
use crate::discover::{DiscoveredTask, TestClass};
use crate::test_request;
use testfleet_protocol::FailureCode;
use testfleet_protocol::plan::Shard;
use testfleet_protocol::request::Framework;

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

/// What a run of all tests in `planned` adds, of which it saw `learned`.
fn add<'a>(learned: &'a Timings, plan: &'a Plan, whole: &[&'a TaskPath], today: u32) -> Addition<'a> {
    Addition { learned, plan, is_whole: true, whole: whole.iter().copied().collect(), today, kept_days: 30 }
}

#[test]
fn runs_at_the_same_time_add_to_what_is_there_when_they_end() {
    let place = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let context = machine.context(&place.path().display().to_string(), None);
    timings("there()").save(&context.request.timings_file).unwrap();
    let plan = Plan::default();
    for learned in [timings("first()"), timings("second()")] {
        let addition = add(&learned, &plan, &[], 20_000);
        addition.save(&context).unwrap();
        addition.publish(&context);
    }
    assert_eq!(load_local(&context).unwrap().test_count(), 3);
    let shared = read_shared(&context, TIMINGS).unwrap();
    assert_eq!(
        Timings::parse(Path::new(TIMINGS), &shared).unwrap().test_count(),
        2,
        "those of the machine are its own"
    );
    assert_eq!(machine.warnings(), Vec::<String>::new());
}

#[test]
fn tests_that_the_build_left_out_are_kept_until_they_expire() {
    let task = TaskPath(":test".into());
    let name = |method: &str| TestName { class: "a.B".into(), method: method.into() };
    let unit = Unit { task: task.clone(), class: "a.B".into(), tests: vec![name("fast()")], ..Unit::default() };
    let plan = Plan { units: vec![unit], ..Plan::default() };
    let machine = Machine::new();
    let context = machine.context("/nowhere", None);
    let both = |today| {
        let mut both = timings("slow()");
        both.merge(&timings("fast()"));
        both.expire(today, 30);
        both.save(&context.request.timings_file).unwrap();
    };
    both(20_000);
    let learned = timings("fast()");
    assert_eq!(add(&learned, &plan, &[], 20_030).save(&context).unwrap().test_count(), 2);
    let some = Addition { is_whole: false, ..add(&learned, &plan, &[], 20_031) };
    assert_eq!(some.save(&context).unwrap().test_count(), 2, "a run of some tests lets no others expire");
    assert!(add(&learned, &plan, &[], 20_031).save(&context).unwrap().is_empty());
    both(20_000);
    assert_eq!(add(&learned, &plan, &[&task], 20_000).save(&context).unwrap().test_count(), 1);
}

#[test]
fn tags_and_patterns_of_a_task_may_leave_out_tests() {
    let plain = test_request::task(":test");
    assert!(!plain.leaves_out_tests());
    let mut changed = [plain.clone(), plain.clone(), plain.clone(), plain];
    changed[0].exclude_tests = vec!["*Slow*".into()];
    changed[1].includes = vec!["**/*Test.class".into()];
    changed[2].framework = Framework::JUnit4 { include_categories: vec!["a.Fast".into()], exclude_categories: vec![] };
    if let Framework::JunitPlatform { exclude_tags, .. } = &mut changed[3].framework {
        exclude_tags.push("slow".into());
    }
    assert!(changed.iter().all(|task| task.leaves_out_tests()));
}
