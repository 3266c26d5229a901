//! What is asked, and what becomes of the answers, on compiled fixtures and a harness that answers as it is told.

use super::fixtures::{self, compiled};
use super::*;
use crate::test_request;
use std::sync::Mutex;
use testfleet_protocol::FailureCode;
use testfleet_protocol::request::{Framework, TestTask};
use testfleet_protocol::test::Thrown;

const JUPITER: &str = "org.junit.jupiter.engine.JupiterTestEngine";
const VINTAGE: &str = "org.junit.vintage.engine.VintageTestEngine";
const SUITE: &str = "org.junit.platform.suite.engine.SuiteTestEngine";
const JQWIK: &str = "net.jqwik.engine.JqwikTestEngine";

/// Answers as class files tell, but for what it was told.
struct Told {
    answers: BTreeMap<String, Answer>,
    asked: Mutex<Vec<Question>>,
}

impl Told {
    fn new(answers: &[(&str, Answer)]) -> Self {
        let answers = answers.iter().map(|(class, answer)| (full(class), answer.clone())).collect();
        Self { answers, asked: Mutex::default() }
    }

    /// `Class (reason)` of all that was asked.
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .flat_map(|question| &question.classes)
            .map(|class| class.replace("asked.AskedCases$", ""))
            .collect()
    }

    fn reasons(&self) -> Vec<(String, u64)> {
        self.asked.lock().unwrap().iter().flat_map(|question| question.reasons.clone()).collect()
    }
}

impl AskHarness for Told {
    fn ask(&self, request: &RunRequest, questions: &[Question]) -> Result<Vec<BTreeMap<String, Answer>>> {
        self.asked.lock().unwrap().extend(questions.iter().cloned());
        let mut unfiltered = request.clone();
        unfiltered.options.tests.clear();
        let by_files = discover(&unfiltered)?;
        let of_class = |task: &TaskPath, class: &String| {
            let tasks = by_files.tasks.iter().filter(|known| known.task == *task);
            let found = tasks.flat_map(|task| &task.classes).find(|known| known.class == *class);
            found.map_or(found_by(&[], class, &[]), |known| Answer::Found {
                engines: vec!["junit-jupiter".into()],
                tests: known.tests.clone(),
            })
        };
        let of_task = |question: &Question| {
            let answer =
                |class: &String| self.answers.get(class).cloned().unwrap_or_else(|| of_class(&question.task, class));
            question.classes.iter().map(|class| (class.clone(), answer(class))).collect()
        };
        Ok(questions.iter().map(of_task).collect())
    }
}

fn full(class: &str) -> String {
    format!("asked.AskedCases${class}")
}

fn found_by(engines: &[&str], class: &str, methods: &[&str]) -> Answer {
    let name = |method: &&str| TestName { class: class.to_owned(), method: (*method).to_owned() };
    Answer::Found {
        engines: engines.iter().map(ToString::to_string).collect(),
        tests: methods.iter().map(name).collect(),
    }
}

fn found(engines: &[&str], class: &str, methods: &[&str]) -> Answer {
    found_by(engines, &full(class), methods)
}

fn refused(kind: &str) -> Answer {
    Answer::Refused(Thrown { kind: kind.into(), message: "of no use".into(), stack: String::new(), hint: None })
}

fn request(engines: &[&str], change: impl Fn(&mut TestTask), tests: &[&str]) -> (tempfile::TempDir, RunRequest) {
    let folder = tempfile::tempdir().unwrap();
    let mut task = test_request::task(":test");
    task.class_dirs = vec![compiled().asked.clone()];
    task.classpath =
        vec![compiled().asked.clone(), compiled().stubs.clone(), fixtures::engines(folder.path(), engines)];
    change(&mut task);
    let mut request = test_request::empty();
    request.tasks = vec![task];
    request.options.tests = tests.iter().map(ToString::to_string).collect();
    (folder, request)
}

fn ask(engines: &[&str], tests: &[&str], harness: &Told) -> Result<Discovery> {
    let (_folder, request) = request(engines, |_| (), tests);
    discover_and_ask(&request, harness).map(|(discovery, _)| discovery)
}

fn junit4(task: &mut TestTask) {
    task.framework = fixtures::junit4(&[], &[]);
}

/// `Class framework asked: tests` of each class.
fn classes(discovery: &Discovery) -> Vec<String> {
    let short = |name: &str| name.replace("asked.AskedCases$", "");
    let line = |class: &TestClass| {
        let asked = if class.asked { " asked" } else { "" };
        let part = if class.whole_class { "" } else { " part" };
        let tests: Vec<String> =
            class.tests.iter().map(|test| short(&format!("{}.{}", test.class, test.method))).collect();
        format!("{} {:?}{asked}{part}: {}", short(&class.class), class.framework, tests.join(" "))
    };
    discovery.tasks.iter().flat_map(|task| &task.classes).map(line).collect()
}

fn texts(discovery: &Discovery) -> Vec<&str> {
    discovery.notices.iter().map(|notice| notice.text.as_str()).collect()
}

#[test]
fn nothing_is_asked_where_class_files_tell_everything() {
    let harness = Told::new(&[]);
    let found = ask(&[JUPITER], &[], &harness).unwrap();
    assert_eq!(classes(&found), ["JupiterTest Jupiter: JupiterTest.a() JupiterTest.b() JupiterTest$Inner.c()"]);
    assert!(harness.asked().is_empty(), "{:?}", harness.asked());
}

#[test]
fn suites_are_asked_about_and_own_their_tests() {
    let member = "asked.AskedCases$JupiterTest.a()";
    let harness = Told::new(&[
        ("AllOfIt", found(&["junit-platform-suite"], "AllOfIt", &[member])),
        ("InheritsSuite", found(&["junit-platform-suite"], "InheritsSuite", &[member, "other.Elsewhere.z()"])),
    ]);
    let found = ask(&[JUPITER, SUITE], &[], &harness).unwrap();
    assert_eq!(harness.asked(), ["AllOfIt", "InheritsSuite"]);
    assert_eq!(harness.reasons(), [("@Suite".to_owned(), 2)]);
    assert_eq!(
        classes(&found),
        [
            "AllOfIt Suite asked: AllOfIt.JupiterTest.a()",
            "InheritsSuite Suite asked: InheritsSuite.JupiterTest.a() InheritsSuite.other.Elsewhere.z()",
            "JupiterTest Jupiter: JupiterTest.a() JupiterTest.b() JupiterTest$Inner.c()",
        ]
    );
    assert!(found.notices.is_empty(), "{:?}", found.notices);
    // A pattern on the member selects it in the suite, too, as Gradle's does.
    let found = ask(&[JUPITER, SUITE], &["*JupiterTest.a"], &harness).unwrap();
    assert_eq!(
        classes(&found),
        [
            "AllOfIt Suite asked: AllOfIt.JupiterTest.a()",
            "InheritsSuite Suite asked part: InheritsSuite.JupiterTest.a()",
            "JupiterTest Jupiter part: JupiterTest.a()",
        ]
    );
}

#[test]
fn an_unknown_engine_is_asked_about_all_that_the_launcher_gets() {
    let harness = Told::new(&[("Helper", found(&["jqwik"], "Helper", &["property(int)"]))]);
    let all = ask(&[JUPITER, JQWIK], &[], &harness).unwrap();
    let asked = harness.asked();
    assert!(asked.contains(&"JupiterTest".to_owned()) && asked.contains(&"Helper".to_owned()), "{asked:?}");
    assert!(
        !asked.iter().any(|class| class.contains("Inner")),
        "inner classes are not given to the launcher: {asked:?}"
    );
    assert_eq!(harness.reasons()[0].0, format!("the engine {JQWIK}"));
    assert_eq!(
        classes(&all),
        [
            "Helper Engine asked: Helper.property(int)",
            "JupiterTest Jupiter: JupiterTest.a() JupiterTest.b() JupiterTest$Inner.c()"
        ]
    );
    let helper = &all.tasks[0].classes[0];
    assert!(helper.traits.ordered && helper.traits.per_class && !helper.sha256.is_empty());
    // A class with tests of both is the framework's to tell.
    let both = found(&["jqwik", "junit-jupiter"], "JupiterTest", &["a()", "b()", "property()"]);
    let mixed = ask(&[JUPITER, JQWIK], &["*JupiterTest"], &Told::new(&[("JupiterTest", both)])).unwrap();
    assert_eq!(classes(&mixed), ["JupiterTest Engine asked: JupiterTest.a() JupiterTest.b() JupiterTest.property()"]);
}

#[test]
fn where_patterns_leave_nothing_to_ask_nothing_is_said() {
    let harness = Told::new(&[]);
    let found = ask(&[JUPITER, JQWIK], &["*JupiterTest.a"], &harness).unwrap();
    assert!(found.notices.is_empty(), "{:?}", found.notices);
    let (_folder, request) = request(&[JUPITER, JQWIK], |task| task.includes = vec!["none/**".into()], &[]);
    let found = discover_and_ask(&request, &Told::new(&[])).unwrap().0;
    assert!(found.notices.is_empty(), "{:?}", found.notices);
    assert_eq!(discover(&request).unwrap().notices.len(), 1, "without a harness it is said");
}

#[test]
fn excluded_engines_are_not_asked() {
    let harness = Told::new(&[]);
    let (_folder, request) = request(
        &[JUPITER, JQWIK],
        |task| {
            if let Framework::JunitPlatform { exclude_engines, .. } = &mut task.framework {
                exclude_engines.push("jqwik".into());
            }
        },
        &[],
    );
    discover_and_ask(&request, &harness).unwrap();
    assert!(harness.asked().is_empty());
}

#[test]
fn junit4_is_asked_about_suite_methods_and_runners_without_rules() {
    let suite = found(&["junit4"], "Legacy", &["other.Elsewhere.z()"]);
    let scripted = found(&["junit4"], "Scripted", &["line 1"]);
    let picky = found(&["junit4"], "RunPickily", &["e()", "more()"]);
    let mixed = found(&["junit4"], "MixedSuite", &["asked.AskedCases$RunPatiently.d()", "other.Elsewhere.z()"]);
    let filtered = found(&["junit4"], "Filtered", &["asked.AskedCases$RunPatiently.d()"]);
    let platform = found(&["junit4"], "OnPlatform", &["h()"]);
    let harness = Told::new(&[
        ("Legacy", suite),
        ("Scripted", scripted),
        ("RunPickily", picky),
        ("MixedSuite", mixed),
        ("Filtered", filtered),
        ("OnPlatform", platform),
    ]);
    let (_folder, request) = request(
        &[],
        |task| {
            junit4(task);
            task.scan_for_test_classes = false;
        },
        &[],
    );
    let found = discover_and_ask(&request, &harness).unwrap().0;
    assert_eq!(harness.asked(), ["Filtered", "Legacy", "MixedSuite", "OnPlatform", "RunPickily", "Scripted"]);
    assert_eq!(
        classes(&found),
        [
            "Filtered Suite asked: Filtered.RunPatiently.d()",
            "Legacy Suite asked: Legacy.other.Elsewhere.z()",
            "MixedSuite Suite asked: MixedSuite.RunPatiently.d() MixedSuite.other.Elsewhere.z()",
            "OnPlatform Suite asked: OnPlatform.h()",
            "PlainSuite Suite: PlainSuite.RunPatiently.d()",
            "RunPatiently JUnit4: RunPatiently.d()",
            "RunPickily JUnit4 asked: RunPickily.e() RunPickily.more()",
            "Scripted Suite asked: Scripted.line 1",
        ]
    );
    assert!(found.notices.is_empty(), "{:?}", found.notices);
}

#[test]
fn gradles_search_for_junit4_classes_decides_what_is_asked() {
    let harness = Told::new(&[]);
    let (_folder, request) = request(&[], junit4, &[]);
    discover_and_ask(&request, &harness).unwrap();
    assert_eq!(
        harness.asked(),
        ["Filtered", "MixedSuite", "OnPlatform", "RunPickily", "Scripted"],
        "a class with nothing but suite() is none for it"
    );
    let vintage = Told::new(&[]);
    ask(&[VINTAGE], &[], &vintage).unwrap();
    assert_eq!(vintage.asked(), ["Filtered", "Legacy", "MixedSuite", "RunPickily", "Scripted"]);
}

#[test]
fn testng_is_asked_about_factories() {
    let harness = Told::new(&[("Fabric", found(&["testng"], "Fabric", &["f()", "g()"]))]);
    let (_folder, request) = request(&[], |task| task.framework = fixtures::testng(&[], &[]), &[]);
    let found = discover_and_ask(&request, &harness).unwrap().0;
    assert_eq!(harness.asked(), ["Fabric"]);
    assert_eq!(classes(&found), ["Fabric TestNg asked: Fabric.f() Fabric.g()"]);
}

#[test]
fn a_refused_class_is_planned_and_named() {
    let harness = Told::new(&[("AllOfIt", refused("java.lang.NoClassDefFoundError"))]);
    let found = ask(&[JUPITER, SUITE], &[], &harness).unwrap();
    assert_eq!(classes(&found)[0], "AllOfIt Engine asked: AllOfIt.initializationError()");
    let notices = texts(&found);
    assert!(notices[0].contains("could not look into asked.AskedCases$AllOfIt"), "{notices:?}");
    assert!(notices[0].contains("java.lang.NoClassDefFoundError: of no use"), "{notices:?}");
    // Where class files tell tests, those are planned.
    let harness = Told::new(&[("JupiterTest", refused("JvmDied"))]);
    let found = ask(&[JUPITER, JQWIK], &[], &harness).unwrap();
    assert_eq!(classes(&found), ["JupiterTest Jupiter: JupiterTest.a() JupiterTest.b() JupiterTest$Inner.c()"]);
    assert_eq!(found.notices.len(), 1);
    // It is none of those that a pattern asks for.
    let harness = Told::new(&[("AllOfIt", refused("JvmDied"))]);
    let found = ask(&[JUPITER, SUITE], &["*a"], &harness).unwrap();
    assert_eq!(classes(&found), ["JupiterTest Jupiter part: JupiterTest.a()"]);
}

#[test]
fn a_class_over_which_the_jvm_hangs_is_a_failure_unless_class_files_tell_its_tests() {
    let harness = Told::new(&[("Helper", refused(Answer::NO_ANSWER))]);
    let failure = ask(&[JUPITER, JQWIK], &[], &harness).unwrap_err();
    assert_eq!(failure.code, FailureCode::DiscoveryFailed);
    insta::assert_snapshot!(failure);
    let harness = Told::new(&[("JupiterTest", refused(Answer::NO_ANSWER))]);
    assert_eq!(ask(&[JUPITER, JQWIK], &[], &harness).unwrap().notices.len(), 1);
}

#[test]
fn what_only_class_files_show_is_told() {
    let harness = Told::new(&[("JupiterTest", found(&[], "JupiterTest", &[]))]);
    let found = ask(&[JUPITER, JQWIK], &[], &harness).unwrap();
    assert!(classes(&found).is_empty());
    assert!(texts(&found)[0].contains("JupiterTest is not run: its class files show tests (3)"), "{:?}", found.notices);
}

#[test]
fn a_test_that_two_classes_have_by_one_name_is_the_one_s_whose_own_it_is() {
    let foreign = Answer::Found {
        engines: vec!["jqwik".into()],
        tests: vec![
            TestName { class: full("JupiterTest"), method: "a()".into() },
            TestName { class: full("Helper"), method: "p()".into() },
        ],
    };
    let found = ask(&[JUPITER, JQWIK], &[], &Told::new(&[("Helper", foreign)])).unwrap();
    assert_eq!(
        classes(&found),
        [
            "Helper Engine asked part: Helper.p()",
            "JupiterTest Jupiter: JupiterTest.a() JupiterTest.b() JupiterTest$Inner.c()"
        ]
    );
    assert!(texts(&found)[0].contains("JupiterTest > a() is run once"), "{:?}", found.notices);
}

#[test]
fn verifying_asks_about_everything_and_tells_what_differs() {
    let (_folder, request) = request(&[JUPITER, SUITE], |_| (), &[]);
    let suite = ("AllOfIt", found(&["junit-platform-suite"], "AllOfIt", &["asked.AskedCases$JupiterTest.a()"]));
    let harness = Told::new(std::slice::from_ref(&suite));
    let (discovery, verification) = discover_and_verify(&request, &harness).unwrap();
    assert!(harness.asked().contains(&"Helper".to_owned()));
    assert_eq!(
        verification.summary(),
        "Verified 3 tests of 1 class: class files and frameworks agree (1 test of 1 class more are known by asking alone)"
    );
    assert_eq!(classes(&discovery).len(), 2);

    let harness = Told::new(&[
        suite,
        ("JupiterTest", found(&["junit-jupiter"], "JupiterTest", &["a()", "z()"])),
        ("Helper", refused("java.lang.NoClassDefFoundError")),
    ]);
    let (discovery, verification) = discover_and_verify(&request, &harness).unwrap();
    insta::assert_snapshot!(format!("{}\n{}", verification.lines().join("\n"), verification.summary()));
    assert_eq!(verification.judge().unwrap_err().code, FailureCode::DiscoveryDiffers);
    // What is planned is what is planned without the comparison.
    assert_eq!(classes(&discovery)[1], "JupiterTest Jupiter: JupiterTest.a() JupiterTest.b() JupiterTest$Inner.c()");
}
