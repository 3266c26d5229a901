//! What is cut, how, and in which order it goes.

use super::*;
use crate::discover::{DiscoveredTask, FoundBy, TestClass, Traits};
use crate::test_request;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use testfleet_protocol::plan::{Lock, Unit};
use testfleet_protocol::request::{Constraint, LockScope, Options, Split, SplitClasses};
use testfleet_protocol::test::{TaskPath, TestName};

/// Milliseconds of each invocation of each test; a test that is not there never ran.
#[derive(Debug, Default)]
struct Known {
    setup_ms: u64,
    tests: HashMap<TestName, Vec<u64>>,
    failed: Vec<TestName>,
}

impl Durations for Known {
    fn test(&self, _: &TaskPath, _: &TestClass, test: &TestName) -> Expected {
        match self.tests.get(test) {
            Some(all) => Expected { us: all.iter().sum::<u64>() * 1_000, known: true },
            None => Expected { us: 20_000, known: false },
        }
    }

    fn setup_us(&self, _: &TaskPath, _: &TestClass) -> u64 {
        self.setup_ms * 1_000
    }

    fn invocations_us(&self, _: &TaskPath, test: &TestName) -> Vec<u64> {
        self.tests.get(test).map(|all| all.iter().map(|ms| ms * 1_000).collect()).unwrap_or_default()
    }

    fn failed_recently(&self, _: &TaskPath, test: &TestName) -> bool {
        self.failed.contains(test)
    }

    fn is_new(&self, _: &TaskPath, test: &TestName) -> bool {
        !self.tests.contains_key(test)
    }
}

/// A build of one Test task.
#[derive(Debug, Default)]
struct Build {
    known: Known,
    classes: Vec<TestClass>,
    options: Options,
}

impl Build {
    fn new(workers: u32) -> Self {
        let options = Options { split: Split::Auto, workers, ..test_request::empty().options };
        let options = Options { order: testfleet_protocol::request::OrderKey::USUAL.into(), ..options };
        Self { known: Known { setup_ms: 10, ..Known::default() }, classes: vec![], options }
    }

    /// A class whose tests take so many milliseconds.
    fn class(&mut self, name: &str, tests: &[u64]) -> &mut TestClass {
        let mut class = TestClass { class: name.into(), whole_class: true, ..TestClass::default() };
        for (index, ms) in tests.iter().enumerate() {
            let test = TestName { class: name.into(), method: format!("t{index:02}()") };
            self.known.tests.insert(test.clone(), vec![*ms]);
            class.tests.push(test);
        }
        self.classes.push(class);
        self.classes.last_mut().unwrap()
    }

    fn discovery(&self) -> Discovery {
        let task = DiscoveredTask { task: TaskPath(":test".into()), searched: 0, classes: self.classes.clone() };
        Discovery { tasks: vec![task], notices: vec![] }
    }

    fn plan(&self) -> Result<Plan> {
        let mut request = test_request::empty();
        request.options = self.options.clone();
        plan_by(&self.discovery(), &self.known, &NothingPassed, &request)
    }

    fn units_of(&self, class: &str) -> Vec<Unit> {
        self.plan().unwrap().units.into_iter().filter(|unit| unit.class == class).collect()
    }
}

/// The plan as a short text.
fn shown(plan: &Plan) -> String {
    let mut text = String::new();
    for unit in &plan.units {
        let names: Vec<&str> = unit.tests.iter().map(|test| test.method.as_str()).collect();
        let slice = unit.slice.map_or(String::new(), |slice| {
            let to = slice.invocations.to.map_or(String::new(), |to| to.to_string());
            format!(" slice {}/{} #{}..{to}", slice.number, slice.of, slice.invocations.from)
        });
        let whole = if unit.whole_class { "whole" } else { "part" };
        let locks: Vec<String> =
            unit.locks.iter().map(|lock| format!("{} {}", lock.resource, lock.exclusive)).collect();
        let together = unit.together.as_deref().unwrap_or("");
        text.push_str(&format!(
            "{} {} {whole} {}{slice} {} ms rank {} [{}] {together}\n",
            unit.id.0,
            unit.class,
            names.join(" "),
            unit.estimate_ms,
            unit.rank,
            locks.join(", ")
        ));
    }
    for group in &plan.groups {
        let units: Vec<&str> = group.units.iter().map(|unit| unit.0.as_str()).collect();
        text.push_str(&format!("{}: {} ms: {}\n", group.name(), group.estimate_ms, units.join(" ")));
    }
    text
}

#[test]
fn a_small_plan() {
    let mut build = Build::new(3);
    build.class("com.acme.LongTest", &[3_000, 2_500, 2_000, 1_500, 1_000, 500]);
    build.class("com.acme.OrderedTest", &[400, 400]).traits.ordered = true;
    build.class("com.acme.DatabaseTest", &[300]);
    build.class("com.acme.OtherDatabaseTest", &[200]).traits.locks =
        vec![Lock { resource: "java.lang.System.out".into(), exclusive: true }];
    build.class("com.acme.flow.FirstTest", &[100]);
    build.class("com.acme.flow.SecondTest", &[50]);
    build.class("com.acme.BenchmarkTest", &[70]).traits.isolated = true;
    let grid = build.class("com.acme.GridTest", &[5, 6_000]);
    grid.traits.sliceable = vec![grid.tests[1].clone()];
    let sliced = grid.tests[1].clone();
    build.known.tests.insert(sliced.clone(), vec![100; 60]);
    build.known.failed.push(TestName { class: "com.acme.DatabaseTest".into(), method: "t00()".into() });
    build.options.constraints = vec![
        Constraint::Lock { resource: "db".into(), classes: vec!["*DatabaseTest".into()] },
        Constraint::Together { classes: vec!["com.acme.flow.*".into()] },
    ];
    insta::assert_snapshot!(shown(&build.plan().unwrap()));
}

#[test]
fn a_class_that_gains_little_by_being_cut_stays_whole() {
    let mut build = Build::new(4);
    build.class("a.Long", &[500; 8]);
    build.class("a.Short", &[100; 2]);
    assert!(build.units_of("a.Long").len() > 1);
    assert_eq!(build.units_of("a.Short").len(), 1);
    build.known.setup_ms = 4_000;
    assert_eq!(build.units_of("a.Long").len(), 1, "each part would pay for the set-up again");
    build.known.setup_ms = 10;
    build.options.workers = 1;
    assert_eq!(build.units_of("a.Long").len(), 1, "one worker has it all anyway");
    build.options.workers = 4;
    build.class("a.Longest", &[9_000]);
    assert_eq!(build.units_of("a.Long").len(), 1, "nothing ends before the longest test");
}

#[test]
fn annotations_say_what_may_be_cut() {
    let parts = |change: &dyn Fn(&mut TestClass)| {
        let mut build = Build::new(8);
        change(build.class("a.Long", &[500; 10]));
        build.class("a.Short", &[300]);
        build.units_of("a.Long").len()
    };
    assert!(parts(&|_| ()) > 1);
    assert_eq!(parts(&|class| class.traits.ordered = true), 1);
    assert_eq!(parts(&|class| class.asked = true), 1);
    assert_eq!(parts(&|class| class.framework = FoundBy::Suite), 1);
    assert_eq!(parts(&|class| class.traits.isolated = true), 1, "its parts could not run side by side");
    assert_eq!(parts(&|class| class.traits.locks = vec![Lock { resource: "db".into(), exclusive: true }]), 1);
    assert!(parts(&|class| class.traits.locks = vec![Lock { resource: "db".into(), exclusive: false }]) > 1);
    assert!(parts(&|class| class.traits.per_class = true) > 1, "eight times the fair share is much");
    let mut build = Build::new(2);
    build.class("a.Long", &[500; 10]).traits.per_class = true;
    build.class("a.Short", &[3_000]);
    assert_eq!(build.units_of("a.Long").len(), 1, "a little more than the fair share is not much");
}

#[test]
fn the_last_choice_for_a_class_counts() {
    let mut build = Build::new(2);
    build.class("a.One", &[1, 1]);
    build.class("a.Two", &[1, 1]).traits.ordered = true;
    build.options.split = Split::Method;
    assert_eq!((build.units_of("a.One").len(), build.units_of("a.Two").len()), (2, 1));
    let choice = |pattern: &str, split| SplitClasses { classes: vec![pattern.into()], split };
    build.options.split_classes = vec![choice("a.*", Split::Class), choice("Two", Split::Method)];
    assert_eq!((build.units_of("a.One").len(), build.units_of("a.Two").len()), (1, 2));
    build.options.split_classes.reverse();
    assert_eq!((build.units_of("a.One").len(), build.units_of("a.Two").len()), (1, 1));
    build.options.split_classes = vec![choice("Three", Split::Method)];
    let notices = notices(&build.discovery(), &build.options).unwrap();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].text.contains("Three"), "{notices:?}");
}

#[test]
fn without_timings_only_a_huge_class_is_cut() {
    let mut build = Build::new(8);
    for number in 0..20 {
        build.class(&format!("a.C{number}"), &[0; 20]);
    }
    build.class("a.Huge", &[0; 400]);
    build.known.tests.clear();
    let plan = build.plan().unwrap();
    let cut: Vec<&str> = plan.units.iter().filter(|unit| !unit.whole_class).map(|unit| unit.class.as_str()).collect();
    assert!(cut.len() > 1 && cut.iter().all(|class| *class == "a.Huge"), "{cut:?}");
    assert!(plan.units.iter().all(|unit| unit.rank == 0), "all are new: that says nothing");
}

#[test]
fn contradictions_and_empty_constraints_say_what_to_do() {
    let mut build = Build::new(2);
    build.class("com.acme.CartTest", &[1]);
    let classes = |patterns: &[&str]| patterns.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let mut failures = String::new();
    for constraints in [
        vec![
            Constraint::Together { classes: classes(&["com.acme.*"]) },
            Constraint::Together { classes: classes(&["*CartTest", "*ShopTest"]) },
        ],
        vec![Constraint::Lock { resource: " ".into(), classes: classes(&["*"]) }],
        vec![Constraint::Lock { resource: "*".into(), classes: classes(&["*"]) }],
        vec![Constraint::Alone { classes: classes(&[]) }],
        vec![Constraint::Lock { resource: "db".into(), classes: classes(&["A B"]) }],
    ] {
        build.options.constraints = constraints;
        failures.push_str(&format!("{}\n\n", build.plan().unwrap_err()));
    }
    insta::assert_snapshot!(failures);
}

#[test]
fn a_constraint_that_guards_nothing_is_told_unless_tests_were_chosen() {
    let mut build = Build::new(2);
    build.class("com.acme.CartTest", &[1]);
    build.options.constraints = vec![
        Constraint::Alone { classes: vec!["CartTest".into(), "CrtTest".into()] },
        Constraint::Lock { resource: "db".into(), classes: vec!["acme.*".into()] },
    ];
    let texts: Vec<String> =
        notices(&build.discovery(), &build.options).unwrap().into_iter().map(|notice| notice.text).collect();
    assert_eq!(texts, ["no test class matches 'CrtTest' of alone", "no test class matches 'acme.*' of lock 'db'"]);
    build.options.tests = vec!["*ShopTest".into()];
    assert_eq!(notices(&build.discovery(), &build.options).unwrap(), []);
}

#[test]
fn locks_reach_as_far_as_they_are_asked_to() {
    let mut build = Build::new(2);
    let lock = |resource: &str, exclusive| Lock { resource: resource.into(), exclusive };
    let global = "org.junit.platform.engine.support.hierarchical.ExclusiveResource.GLOBAL_KEY";
    let traits = |locks| Traits { locks, ..Traits::default() };
    build.class("a.A", &[1]).traits =
        traits(vec![lock("db", false), lock("db", true), lock("java.lang.System.err", true)]);
    build.class("a.B", &[1]).traits = traits(vec![lock(global, true)]);
    build.class("a.C", &[1]).traits = traits(vec![lock(global, false)]);
    let locks =
        |build: &Build| -> Vec<Vec<Lock>> { build.plan().unwrap().units.into_iter().map(|unit| unit.locks).collect() };
    assert_eq!(locks(&build), [vec![lock("db", true)], vec![lock(Lock::EVERYTHING, true)], vec![]]);
    build.options.locks = LockScope::Jvm;
    build.options.constraints = vec![Constraint::Alone { classes: vec!["C".into()] }];
    assert_eq!(locks(&build), [vec![], vec![], vec![lock(Lock::EVERYTHING, true)]]);
}

#[test]
fn options_that_make_units_make_a_plan_outdated_and_others_do_not() {
    let mut build = Build::new(2);
    build.class("a.A", &[1, 1]);
    let mut request = test_request::empty();
    request.options = build.options.clone();
    let made = build.plan().unwrap();
    let fits = |change: &dyn Fn(&mut Options)| {
        let mut request = request.clone();
        change(&mut request.options);
        fits(&made, &build.discovery(), &request).is_ok()
    };
    assert!(fits(&|_| ()));
    assert!(fits(&|options| options.order = vec![]));
    assert!(fits(&|options| options.workers = 7));
    assert!(!fits(&|options| options.split = Split::Class));
    assert!(!fits(
        &|options| options.split_classes = vec![SplitClasses { classes: vec!["A".into()], split: Split::Class }]
    ));
    assert!(!fits(&|options| options.constraints = vec![Constraint::Alone { classes: vec!["A".into()] }]));
    assert!(!fits(&|options| options.locks = LockScope::Jvm));
    assert!(!fits(&|options| options.shard = Some(testfleet_protocol::plan::Shard { number: 1, of: 2 })));
}

fn builds() -> impl Strategy<Value = Build> {
    let test = (prop::option::of(prop::collection::vec(0..900u64, 1..20)), any::<bool>());
    let class = (prop::collection::vec(test, 1..20), 0..8u8);
    (prop::collection::vec(class, 1..12), 1..30u32, 0..500u64).prop_map(|(classes, workers, setup_ms)| {
        let mut build = Build::new(workers);
        build.known.setup_ms = setup_ms;
        for (number, (tests, traits)) in classes.into_iter().enumerate() {
            let name = format!("a.C{number}");
            let count = tests.len();
            let class = build.class(&name, &vec![0; count]);
            class.traits.ordered = traits == 1;
            class.traits.per_class = traits == 2;
            class.traits.isolated = traits == 3;
            let names = class.tests.clone();
            class.traits.sliceable =
                names.iter().zip(&tests).filter(|(_, test)| test.1).map(|(name, _)| name.clone()).collect();
            for (name, (durations, _)) in names.into_iter().zip(tests) {
                match durations {
                    Some(all) => build.known.tests.insert(name, all),
                    None => build.known.tests.remove(&name),
                };
            }
        }
        build
    })
}

proptest! {
    #[test]
    fn every_invocation_of_every_test_is_in_one_unit(build in builds()) {
        let plan = build.plan().unwrap();
        let mut of_test: BTreeMap<&TestName, Vec<&Unit>> = BTreeMap::new();
        for unit in &plan.units {
            unit.tests.iter().for_each(|test| of_test.entry(test).or_default().push(unit));
            prop_assert!(unit.slice.is_none() || unit.tests.len() == 1 && !unit.whole_class);
        }
        let discovery = build.discovery();
        prop_assert_eq!(of_test.len(), discovery.test_count());
        for (test, mut units) in of_test {
            let Some(first) = units[0].slice else {
                prop_assert_eq!(units.len(), 1, "{:?}", test);
                continue;
            };
            prop_assert_eq!(units.len(), first.of as usize);
            units.sort_by_key(|unit| unit.slice.unwrap().number);
            let mut next = Some(1);
            for (number, unit) in (1..).zip(units) {
                let slice = unit.slice.unwrap();
                prop_assert_eq!((slice.number, slice.of, Some(slice.invocations.from)), (number, first.of, next));
                prop_assert!(slice.invocations.to.is_none_or(|to| to >= slice.invocations.from));
                next = slice.invocations.to.map(|to| to + 1);
            }
            prop_assert_eq!(next, None, "the last has no end");
        }
        let grouped: usize = plan.groups.iter().map(|group| group.units.len()).sum();
        prop_assert_eq!(grouped, plan.units.len());
    }

    #[test]
    fn cutting_never_makes_the_longest_unit_longer(build in builds()) {
        let cut = build.plan().unwrap();
        let whole = Build { options: Options { split: Split::Class, ..build.options.clone() }, ..build };
        let longest = |plan: &Plan| plan.units.iter().map(|unit| unit.estimate_ms).max().unwrap();
        prop_assert!(longest(&cut) <= longest(&whole.plan().unwrap()));
    }
}
