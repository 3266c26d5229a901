//! Discovery of compiled fixtures by the rules of each framework.

use super::fixtures::{self, compiled};
use super::*;
use crate::test_request;
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use testfleet_protocol::FailureCode;
use testfleet_protocol::request::{Framework, TestTask};

const JUPITER: &str = "org.junit.jupiter.engine.JupiterTestEngine";
const VINTAGE: &str = "org.junit.vintage.engine.VintageTestEngine";
const SPOCK: &str = "org.spockframework.runtime.SpockEngine";
const TESTNG: &str = "org.junit.support.testng.engine.TestNGTestEngine";

/// Discovers the fixtures with these engines on the classpath and with changes to the task.
fn find(engines: &[&str], change: impl Fn(&mut TestTask)) -> Result<Discovery> {
    find_tests(engines, change, &[])
}

fn find_tests(engines: &[&str], change: impl Fn(&mut TestTask), tests: &[&str]) -> Result<Discovery> {
    let folder = tempfile::tempdir().unwrap();
    let mut task = test_request::task(":test");
    task.class_dirs = vec![compiled().cases.clone(), folder.path().join("absent")];
    task.classpath = vec![compiled().cases.clone(), folder.path().join("absent"), compiled().stubs.clone()];
    task.classpath.push(fixtures::engines(folder.path(), engines));
    change(&mut task);
    let mut request = test_request::empty();
    request.tasks = vec![task];
    request.options.tests = tests.iter().map(ToString::to_string).collect();
    discover(&request)
}

/// One line for each class, test and notice.
fn render(discovery: &Discovery) -> String {
    let mut lines = Vec::new();
    for class in discovery.tasks.iter().flat_map(|task| &task.classes) {
        let part = if class.whole_class { "whole" } else { "part" };
        lines.push(format!("{} {:?} {part}", class.class, class.framework));
        lines.extend(class.tests.iter().map(|test| format!("  {test}")));
    }
    lines.extend(discovery.notices.iter().map(|notice| notice.text.clone()));
    lines.join("\n")
}

fn names(discovery: &Discovery) -> Vec<String> {
    discovery
        .tasks
        .iter()
        .flat_map(|task| &task.classes)
        .flat_map(|class| &class.tests)
        .map(|test| format!("{}.{}", test.class.trim_start_matches("cases."), test.method))
        .collect()
}

fn set_tags(task: &mut TestTask, includes: &[&str], excludes: &[&str]) {
    if let Framework::JunitPlatform { include_tags, exclude_tags, .. } = &mut task.framework {
        *include_tags = includes.iter().map(ToString::to_string).collect();
        *exclude_tags = excludes.iter().map(ToString::to_string).collect();
    }
}

#[test]
fn jupiter_classes() {
    insta::assert_snapshot!(render(&find(&[JUPITER], |_| ()).unwrap()));
}

#[test]
fn newer_engines_of_jupiter_leave_out_more() {
    let newer = find(&[JUPITER], |task| task.classpath.push(compiled().newer.clone()));
    let (newer, older) = (names(&newer.unwrap()), names(&find(&[JUPITER], |_| ()).unwrap()));
    let left_out: Vec<&String> = older.iter().filter(|name| !newer.contains(name)).collect();
    assert_eq!(left_out, ["InheritsNestedTest$AbstractNested.four()", "OuterTest$AbstractNested.four()"]);
}

fn specs(change: impl Fn(&mut TestTask)) -> Discovery {
    let found = find(&[SPOCK], |task| {
        task.class_dirs = vec![compiled().specs.clone()];
        task.classpath[0].clone_from(&compiled().specs);
        change(task);
    });
    found.unwrap()
}

#[test]
fn specifications_have_their_features_and_those_of_the_specifications_above() {
    let all = specs(|_| ());
    insta::assert_snapshot!(render(&all));
    assert!(all.tasks[0].classes[0].traits.ordered && !all.tasks[0].classes[1].traits.ordered);
    assert_eq!(names(&specs(|task| set_tags(task, &["slow & db"], &[]))), ["specs.DerivedSpec.tagged"]);
    let excluded = specs(|task| {
        if let Framework::JunitPlatform { exclude_engines, .. } = &mut task.framework {
            *exclude_engines = vec!["spock".into()];
        }
    });
    assert!(excluded.tasks[0].classes.is_empty() && excluded.notices.is_empty());
}

#[test]
fn traits_say_how_a_class_may_be_split_and_what_not_to_run_beside_it() {
    let found = find(&[JUPITER, VINTAGE, TESTNG], |_| ()).unwrap();
    let mut lines = Vec::new();
    for class in &found.tasks[0].classes {
        let traits = &class.traits;
        assert!(traits.bytes > 100, "{}", class.class);
        let mut words: Vec<String> = Vec::new();
        for (is, word) in [(traits.ordered, "ordered"), (traits.per_class, "per-class"), (traits.isolated, "isolated")]
        {
            words.extend(is.then(|| word.to_owned()));
        }
        let mode = |exclusive: bool| if exclusive { "alone" } else { "shared" };
        words.extend(traits.locks.iter().map(|lock| format!("{} {}", lock.resource, mode(lock.exclusive))));
        words.extend(traits.sliceable.iter().map(|test| format!("slices {}", test.method)));
        if !words.is_empty() {
            lines.push(format!("{}: {}", class.class, words.join(", ")));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn defaults_of_the_build_hold_for_classes_that_do_not_say_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let file = "junit.jupiter.testinstance.lifecycle.default = PER_CLASS\njunit.jupiter.testmethod.order.default: acme.Order\n";
    fs::write(folder.path().join("junit-platform.properties"), file).unwrap();
    let of = |class: &str, change: &dyn Fn(&mut TestTask)| {
        let found = find(&[JUPITER], |task| {
            task.classpath.push(folder.path().to_owned());
            change(task);
        });
        let found = found.unwrap().tasks.remove(0).classes.into_iter().find(|one| one.class == class).unwrap();
        (found.traits.per_class, found.traits.ordered)
    };
    assert_eq!(of("cases.PublicTest", &|_| ()), (true, true));
    assert_eq!(of("cases.traits.PerMethodTest", &|_| ()), (false, true));
    let lifecycle = "junit.jupiter.testinstance.lifecycle.default".to_owned();
    let set = |task: &mut TestTask| {
        task.system_properties.insert(lifecycle.clone(), "per_method".into());
    };
    assert_eq!(of("cases.PublicTest", &set), (false, true));
}

#[test]
fn vintage_classes() {
    insta::assert_snapshot!(render(&find(&[VINTAGE], |_| ()).unwrap()));
}

#[test]
fn testng_classes() {
    let own = render(&find(&[], |task| task.framework = fixtures::testng(&[], &[])).unwrap());
    assert_eq!(own, render(&find(&[TESTNG], |_| ()).unwrap()));
    insta::assert_snapshot!(own);
}

#[test]
fn testng_groups() {
    let with = |includes: &[&str], excludes: &[&str]| {
        names(&find(&[], |task| task.framework = fixtures::testng(includes, excludes)).unwrap())
    };
    assert_eq!(with(&["d.*"], &[]), ["TestNgCases$Derived.annotated(int, java.lang.String)"]);
    let base = [
        "TestNgCases$Base.inherited()",
        "TestNgCases$Derived.inherited()",
        "TestNgCases$Derived.reachedByClassLevel()",
    ];
    assert_eq!(with(&["base"], &["slow"]), base);
}

#[test]
fn junit4_without_the_platform_takes_classes_that_are_not_public() {
    let junit4 = |includes: &[&str], excludes: &[&str]| {
        names(&find(&[], |task| task.framework = fixtures::junit4(includes, excludes)).unwrap())
    };
    assert!(junit4(&[], &[]).contains(&"JUnit4Cases$NotPublic.unseenByVintage()".to_owned()));
    let slow = "cases.JUnit4Cases$Slow";
    let of_slow = [
        "JUnit4Cases$AllTests.cases.JUnit4Cases$Derived.verySlow()",
        "JUnit4Cases$Derived.verySlow()",
        "JUnit4Cases$SlowTest.slow()",
    ];
    assert_eq!(junit4(&[slow], &[]), of_slow);
    assert_eq!(junit4(&[slow], &["cases.JUnit4Cases$VerySlow"]), ["JUnit4Cases$SlowTest.slow()"]);
    assert!(!junit4(&[], &[slow]).iter().any(|name| name.contains("low()")));
}

#[test]
fn tags_come_from_methods_composed_annotations_classes_and_their_ancestors() {
    let tagged = |includes: &[&str], excludes: &[&str]| {
        names(&find(&[JUPITER], |task| set_tags(task, includes, excludes)).unwrap())
    };
    assert_eq!(tagged(&["slow & base & db"], &[]), ["TaggedTest.slow()"]);
    assert_eq!(tagged(&["fast & !db"], &[]), ["Signatures.composed()", "Signatures.composedTwice()"]);
    assert_eq!(tagged(&["a & b", "inner & base"], &[]), ["TaggedTest.both()", "TaggedTest$Inside.nested()"]);
    assert_eq!(tagged(&["db"], &["slow", "inner | fast"]), ["TaggedTest.both()", "TaggedTest.untagged()"]);
    let failure = find(&[JUPITER], |task| set_tags(task, &["a &"], &[])).unwrap_err();
    assert_eq!(failure.code, FailureCode::InvalidRequest);
}

#[test]
fn patterns_select_as_gradle_does() {
    let of = |patterns: &[&str]| names(&find_tests(&[JUPITER], |_| (), patterns).unwrap());
    assert_eq!(of(&["Signatures.plain"]), ["Signatures.plain()"]);
    assert_eq!(of(&["cases.Derived.*With"]), ["Derived.implementedWith()", "Derived.overriddenWith()"]);
    // The classes nested in it come along; the static one is a class of its own, which the pattern does not name.
    assert_eq!(
        of(&["cases.OuterTest"]),
        [
            "OuterTest.own()",
            "OuterTest$AbstractNested.four()",
            "OuterTest$Composed.three()",
            "OuterTest$First.one()",
            "OuterTest$First$Deep.two()"
        ]
    );
    assert_eq!(of(&["OuterTest$First"]), ["OuterTest$First.one()", "OuterTest$First$Deep.two()"]);
    assert_eq!(of(&["OuterTest$Standalone.seven"]), ["OuterTest$Standalone.seven()"]);
    assert_eq!(of(&["cases.other.*"]).len(), 2);
    let excluded = find(&[JUPITER], |task| {
        task.include_tests = vec!["Signatures".into()];
        task.exclude_tests = vec!["*composed*".into()];
    });
    let excluded = excluded.unwrap();
    assert_eq!(names(&excluded).len(), 3);
    assert!(!excluded.tasks[0].classes[0].whole_class);
}

#[test]
fn patterns_that_match_nothing_are_a_failure() {
    let failure = find_tests(&[JUPITER], |_| (), &["com.acme.*", "Nope"]).unwrap_err();
    assert_eq!(failure.code, FailureCode::NoTests);
    insta::assert_snapshot!(failure);
}

#[test]
fn ant_patterns_choose_class_files() {
    let found = find(&[JUPITER], |task| {
        task.includes = vec!["**/*Test.class".into()];
        task.excludes = vec!["cases/other/**".into(), "cases/traits/**".into(), "**/*Public*".into()];
    });
    let found = found.unwrap();
    let classes: Vec<&str> = found.tasks[0].classes.iter().map(|class| class.class.as_str()).collect();
    assert_eq!(
        classes,
        [
            "cases.ContractTest",
            "cases.GenericTest",
            "cases.InheritsNestedTest",
            "cases.OnlyNestedTest",
            "cases.OtherPackageTest",
            "cases.OuterTest",
            "cases.TaggedTest"
        ]
    );
}

#[test]
fn engines_that_class_files_do_not_tell_about_are_named() {
    let notices = |engines: &[&str], excluded: &[&str]| {
        let found = find(engines, |task| {
            if let Framework::JunitPlatform { exclude_engines, .. } = &mut task.framework {
                *exclude_engines = excluded.iter().map(ToString::to_string).collect();
            }
        });
        found.unwrap().notices.into_iter().map(|notice| notice.text).collect::<Vec<_>>()
    };
    let jqwik = "net.jqwik.engine.JqwikTestEngine";
    assert!(notices(&[JUPITER, jqwik], &[])[0].contains(jqwik));
    assert!(notices(&[JUPITER, jqwik], &["jqwik"]).is_empty());
    assert!(notices(&[], &[])[0].contains("no test engine"));
    let found = find(&[JUPITER, VINTAGE], |task| {
        if let Framework::JunitPlatform { include_engines, .. } = &mut task.framework {
            *include_engines = vec!["junit-vintage".into()];
        }
    });
    assert!(found.unwrap().tasks[0].classes.iter().all(|class| class.framework != FoundBy::Jupiter));
}

#[test]
fn jars_are_read_like_directories_and_what_lies_outside_their_packages_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let jar = folder.path().join("cases.jar");
    let foreign = fs::read(compiled().cases.join("cases/OuterTest.class")).unwrap();
    let extra: [(&str, &[u8]); 3] = [
        ("META-INF/versions/11/cases/OuterTest.class", &foreign),
        ("module-info.class", b"no class file"),
        ("elsewhere/OuterTest.class", &foreign),
    ];
    fixtures::jar(&jar, &compiled().cases, &extra);
    let from_jar = find(&[JUPITER, VINTAGE, TESTNG], |task| {
        task.class_dirs = vec![jar.clone()];
        task.classpath[0].clone_from(&jar);
    });
    assert_eq!(from_jar.unwrap().tasks[0].classes, find(&[JUPITER, VINTAGE, TESTNG], |_| ()).unwrap().tasks[0].classes);
}

#[test]
fn a_broken_class_file_or_jar_is_a_failure_when_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("classes");
    fs::create_dir_all(broken.join("com/acme")).unwrap();
    fs::write(broken.join("com/acme/BrokenTest.class"), b"\xCA\xFE\xBA\xBE").unwrap();
    let failure = find(&[JUPITER], |task| task.class_dirs.push(broken.clone())).unwrap_err();
    assert_eq!(failure.code, FailureCode::BrokenClassFile);
    assert!(failure.message.contains("com/acme/BrokenTest.class") && failure.message.contains("classes"));
    assert!(failure.hint.is_some());
    // On the classpath alone it is not looked at.
    find(&[JUPITER], |task| task.classpath.push(broken.clone())).unwrap();
    // A JVM passes over what is no archive and does not claim to be one.
    let library = folder.path().join("native.so");
    fs::write(&library, "no archive").unwrap();
    find(&[JUPITER], |task| task.classpath.push(library.clone())).unwrap();
    let jar = folder.path().join("broken.jar");
    fs::write(&jar, "no jar").unwrap();
    let failure = find(&[JUPITER], |task| task.classpath.push(jar.clone())).unwrap_err();
    assert_eq!(failure.code, FailureCode::BrokenClassFile);
}

#[test]
fn what_is_not_known_is_not_mentioned_when_patterns_ask_for_something_else() {
    let notices = |patterns: &[&str]| find_tests(&[VINTAGE], |_| (), patterns).unwrap().notices;
    assert!(notices(&["*Cases$Derived"]).is_empty());
    assert_eq!(notices(&["*Cases$*"]).len(), 6);
}

#[test]
fn the_same_class_name_in_two_modules_stays_two() {
    let mut request = test_request::empty();
    let folder = tempfile::tempdir().unwrap();
    for path in [":a:test", ":b:test"] {
        let mut task = test_request::task(path);
        task.class_dirs = vec![compiled().cases.clone()];
        task.classpath = vec![compiled().stubs.clone(), fixtures::engines(folder.path(), &[JUPITER])];
        request.tasks.push(task);
    }
    let found = discover(&request).unwrap();
    assert_eq!(found.tasks.len(), 2);
    assert_eq!(found.tasks[0].classes, found.tasks[1].classes);
}

#[test]
fn a_change_of_a_class_its_nested_classes_or_its_ancestors_changes_its_hash() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("cases");
    for entry in walkdir::WalkDir::new(&compiled().cases) {
        let entry = entry.unwrap();
        let target = copy.join(entry.path().strip_prefix(&compiled().cases).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).unwrap()
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
    let hash = |class: &str| {
        let found = find(&[JUPITER], |task| {
            task.class_dirs = vec![copy.clone()];
            task.classpath[0].clone_from(&copy);
        });
        let found = found.unwrap();
        found.tasks[0].classes.iter().find(|one| one.class == class).unwrap().sha256.clone()
    };
    let touch = |path: &str| {
        let path = copy.join(path);
        let mut bytes = fs::read(&path).unwrap();
        bytes.push(0);
        fs::write(path, bytes).unwrap();
    };
    let (derived, outer) = (hash("cases.Derived"), hash("cases.OuterTest"));
    touch("cases/Base.class");
    assert_ne!(hash("cases.Derived"), derived);
    assert_eq!(hash("cases.OuterTest"), outer);
    touch("cases/OuterTest$First$Deep.class");
    assert_ne!(hash("cases.OuterTest"), outer);
}

fn with_damage(file: &Path, at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    let at = at % bytes.len();
    bytes[at] = byte;
    bytes
}

proptest! {
    #[test]
    fn a_damaged_class_file_is_read_or_refused(at in any::<usize>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let bytes = with_damage(&compiled().cases.join("cases/TaggedTest.class"), at, byte);
        let _ = class_file::ClassFile::parse(&bytes);
        let _ = class_file::ClassFile::parse(&bytes[..cut.index(bytes.len())]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_damaged_jar_is_read_or_refused(at in any::<usize>(), byte in any::<u8>(), from_end in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let jar = folder.path().join("cases.jar");
        fixtures::jar(&jar, &compiled().cases, &[]);
        let length = fs::metadata(&jar).unwrap().len() as usize;
        let at = if from_end { length - 1 - at % 200 } else { at };
        fs::write(&jar, with_damage(&jar, at, byte)).unwrap();
        let _ = find(&[JUPITER], |task| task.class_dirs = vec![jar.clone()]);
    }
}
