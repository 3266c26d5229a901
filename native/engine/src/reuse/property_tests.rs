//! Keys change with everything that a test can notice, and with nothing else.

use super::test_support::*;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use testfleet_protocol::request::{Framework, Reuse};

/// A test of `a`, and one of `b` that does not reach it.
fn two_tests() -> Build {
    let mut build = Build::new();
    build
        .class("tests", "ATest", &["main/A"], "1")
        .class("tests", "BTest", &["lib/B"], "1")
        .class("main", "main/A", &["lib/Deep"], "1")
        .class("main", "main/Unused", &[], "1")
        .class("lib.jar", "lib/Deep", &[], "1")
        .class("lib.jar", "lib/B", &[], "1")
        .test("ATest")
        .test("BTest");
    build
}

const BOTH: [&str; 2] = ["ATest", "BTest"];

#[test]
fn a_changed_class_changes_the_tests_that_reach_it() {
    let mut build = two_tests();
    for (place, name, expected) in [
        ("lib.jar", "lib/Deep", &["ATest"][..]),
        ("main", "main/A", &["ATest"]),
        ("lib.jar", "lib/B", &["BTest"]),
        ("tests", "BTest", &["BTest"]),
        ("main", "main/Unused", &[]),
        ("main", "main/New", &[]),
    ] {
        let before = build.keys();
        build.class(place, name, &[], "2");
        assert_eq!(build.changed(&before), expected, "{name}");
    }
}

#[test]
fn what_all_tests_can_notice_changes_them_all() {
    type Change = fn(&mut Build);
    let changes: [(&str, Change); 22] = [
        ("a resource", |build| {
            build.write("main/data.txt", "1");
        }),
        ("its content", |build| {
            build.write("main/data.txt", "2");
        }),
        ("a resource in a jar", |build| {
            build.write("lib.jar/data.txt", "1");
        }),
        ("a setting of the framework", |build| {
            build.write("tests/junit-platform.properties", "a=b");
        }),
        ("a jar from elsewhere", |build| std::fs::write(build.path("gradle/dep.jar"), "new").unwrap()),
        ("the harness", |build| std::fs::write(build.path("harness.jar"), "new").unwrap()),
        ("the agent", |build| std::fs::write(build.path("agent"), "new").unwrap()),
        ("the JDK's build", |build| std::fs::write(build.path("jdk/release"), "17.0.1").unwrap()),
        ("the release of Java", |build| build.request.tasks[0].java.version = 21),
        ("an argument", |build| build.request.tasks[0].jvm_args.push("-Da=b".into())),
        ("the heap", |build| build.request.tasks[0].max_heap = Some("1g".into())),
        ("assertions", |build| build.request.tasks[0].enable_assertions = false),
        ("a property", |build| drop(build.request.tasks[0].system_properties.insert("a".into(), "c".into()))),
        ("its value", |build| drop(build.request.tasks[0].system_properties.insert("a".into(), "d".into()))),
        ("the environment", |build| drop(build.request.tasks[0].environment.insert("A".into(), "b".into()))),
        ("the working folder", |build| build.request.tasks[0].working_dir = build.path("project/main")),
        ("the framework", |build| {
            build.request.tasks[0].framework =
                Framework::JUnit4 { include_categories: vec![], exclude_categories: vec![] };
        }),
        ("an input", |build| {
            build.write("inputs/a.txt", "1");
            build.input("inputs");
        }),
        ("its content", |build| {
            build.write("inputs/a.txt", "2");
        }),
        ("another file of it", |build| {
            build.write("inputs/b.txt", "");
        }),
        ("the order of the classpath", |build| {
            build.write("lib.jar/other.txt", "1");
            build.request.tasks[0].classpath.swap(1, 2);
        }),
        ("an agent of the JVM", |build| {
            std::fs::write(build.path("spy.jar"), "1").unwrap();
            let argument = format!("-javaagent:{}=x", build.path("spy.jar").display());
            build.request.tasks[0].jvm_args.push(argument);
        }),
    ];
    let mut build = two_tests();
    let mut seen = BTreeSet::from([build.key("ATest")]);
    for (what, change) in changes {
        let before = build.keys();
        change(&mut build);
        assert_eq!(build.changed(&before), BOTH, "{what}");
        assert!(seen.insert(build.key("ATest")), "{what} gives a key that was there before");
    }
    let before = build.keys();
    std::fs::write(build.path("spy.jar"), "2").unwrap();
    assert_eq!(build.changed(&before), BOTH, "the agent's content");
}

#[test]
fn what_decides_which_tests_run_changes_none() {
    let mut build = two_tests();
    let before = build.keys();
    let task = &mut build.request.tasks[0];
    task.framework = Framework::JunitPlatform {
        include_tags: vec!["fast".into()],
        exclude_tags: vec![],
        include_engines: vec![],
        exclude_engines: vec![],
    };
    task.includes.push("**/*Test.class".into());
    task.ignore_failures = true;
    build.request.options.workers = 7;
    build.request.options.tests.push("*".into());
    assert_eq!(build.changed(&before), [""; 0]);
}

#[test]
fn the_first_class_of_a_name_counts_and_one_before_it_changes_the_tests() {
    let mut build = two_tests();
    let before = build.keys();
    build.class("lib.jar", "main/A", &[], "other");
    assert_eq!(build.changed(&before), [""; 0], "it is never loaded");
    build.class("tests", "lib/B", &[], "1");
    assert_eq!(build.changed(&before), [""; 0], "it is loaded from elsewhere, and is the same");
    build.class("tests", "lib/B", &[], "2");
    assert_eq!(build.changed(&before), ["BTest"]);
}

#[test]
fn a_text_that_names_a_class_leads_there() {
    for text in ["lib.B", "lib.B#cases", "lib/B.class", "Llib/B;", "com.acme.X,lib.B"] {
        let mut build = two_tests();
        build.write("tests/ATest.class", class_file("ATest", &[], &[text], &[]));
        let before = build.keys();
        assert_eq!(build.why("ATest"), None, "{text}");
        build.class("lib.jar", "lib/B", &[], "2");
        assert_eq!(build.changed(&before), BOTH, "{text}");
    }
}

#[test]
fn a_resource_an_argument_or_an_input_that_names_a_class_leads_there() {
    type Naming = fn(&mut Build);
    let namings: [(&str, Naming); 4] = [
        ("service", |build| {
            build.write("main/META-INF/services/x.Y", "# all\nmain.Unused\n");
        }),
        ("binary", |build| {
            build.write("main/plugins.dat", b"\0\x0bmain.Unused\0Amain.Unused");
        }),
        ("property", |build| {
            build.request.tasks[0].system_properties.insert("factory".into(), "main.Unused".into());
        }),
        ("input", |build| {
            build.write("conf.yaml", "plugin: main.Unused");
            build.input("conf.yaml");
        }),
    ];
    for (what, name) in namings {
        let mut build = two_tests();
        name(&mut build);
        let before = build.keys();
        build.class("main", "main/Unused", &[], "2");
        assert_eq!(build.changed(&before), BOTH, "{what}");
    }
}

#[test]
fn where_reach_is_unknown_the_whole_classpath_counts() {
    /// Classes, texts, and methods by class and name.
    type Mentions<'a> = (&'a [&'a str], &'a [&'a str], &'a [(&'a str, &'a str)]);
    let calls: [Mentions<'_>; 5] = [
        (&[], &[], &[("java/lang/Class", "forName")]),
        (&[], &[], &[("lib/OwnLoader", "loadClass")]),
        (&["org/reflections/Reflections"], &[], &[]),
        (&[], &["Lorg/springframework/stereotype/Component;"], &[]),
        (&[], &["com.acme.plugins.\u{1}"], &[]),
    ];
    for (classes, texts, methods) in calls {
        let mut build = two_tests();
        build.class("main", "com/acme/plugins/One", &[], "1");
        build.write("lib.jar/lib/Deep.class", class_file("lib/Deep", classes, texts, methods));
        let why = build.why("ATest").unwrap();
        assert!(why.starts_with("lib.Deep "), "{why}");
        assert_eq!(build.why("BTest"), None);
        let before = build.keys();
        build.class("main", "main/Unused", &[], "2");
        assert_eq!(build.changed(&before), ["ATest"], "{why}");
    }
}

#[test]
fn a_class_that_can_not_be_read_is_not_known() {
    let mut build = two_tests();
    build.write("lib.jar/lib/Deep.class", "no class");
    assert_eq!(build.why("ATest").unwrap(), "lib.Deep its class file can't be read");
}

#[test]
fn resource_bundles_that_are_classes_are_reached_by_who_asks_for_bundles() {
    let mut build = two_tests();
    build.write("main/main/A.class", class_file("main/A", &[], &[], &[("java/util/ResourceBundle", "getBundle")]));
    let texts = |version: &str| {
        // The second class of the pool is the superclass.
        let bytes = class_file("main/Texts_de", &[], &[version], &[]);
        let (from, to) = (b"java/lang/Object", b"java/util/ListResourceBundle");
        let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
        [&bytes[..at - 2], &(to.len() as u16).to_be_bytes(), to, &bytes[at + from.len()..]].concat()
    };
    build.write("main/main/Texts_de.class", texts("1"));
    let before = build.keys();
    build.write("main/main/Texts_de.class", texts("2"));
    assert_eq!(build.changed(&before), ["ATest"]);
}

#[test]
fn serialized_objects_in_resources_name_classes_for_who_reads_objects() {
    let mut build = two_tests();
    build.write("main/main/A.class", class_file("main/A", &["java/io/ObjectInputStream"], &[], &[]));
    assert_eq!(build.why("ATest"), None);
    build.write("tests/old.ser", [0xAC, 0xED, 0, 5, 0x73]);
    assert_eq!(build.why("ATest").unwrap(), "main.A reads serialized objects, and a resource holds some");
    assert_eq!(build.why("BTest"), None);
}

#[test]
fn a_whole_classpath_is_asked_for_by_name() {
    let mut build = two_tests();
    build.request.options.reuse = Reuse::Classpath;
    let before = build.keys();
    build.class("main", "main/Unused", &[], "2");
    assert_eq!(build.changed(&before), BOTH);
    assert_eq!(build.why("ATest").unwrap(), "reuse = 'classpath'");
}

#[test]
fn neither_the_place_of_a_clone_nor_the_times_of_files_count() {
    let mut build = two_tests();
    let dir = build.path("project/x").display().to_string();
    build.request.tasks[0].system_properties.insert("dir".into(), dir);
    build.write("inputs/a.txt", "1");
    build.input("inputs");
    let before = build.keys();
    let elsewhere = tempfile::tempdir().unwrap();
    copy(build.folder.path(), elsewhere.path());
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for entry in walkdir::WalkDir::new(elsewhere.path()) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            std::fs::File::options().write(true).open(entry.path()).unwrap().set_modified(old).unwrap();
        }
    }
    let text = serde_json::to_string(&build.request).unwrap();
    let moved = text.replace(build.folder.path().to_str().unwrap(), elsewhere.path().to_str().unwrap());
    assert_ne!(text, moved);
    let moved = serde_json::from_str(&moved).unwrap();
    assert_eq!(Keys::of(&moved, &build.discovery()).unwrap(), before);
}

/// Which classes each of `count` classes mentions.
fn mentions(count: usize) -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(0..count, 0..4), count)
}

fn place_of(number: usize) -> &'static str {
    ["tests", "main", "lib.jar"][number % 3]
}

fn write(build: &mut Build, number: usize, mentioned: &[usize], version: &str) {
    let names: Vec<String> = mentioned.iter().map(|other| format!("p/C{other}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    build.class(place_of(number), &format!("p/C{number}"), &names, version);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_tests_that_reach_a_changed_class_have_another_key(graph in mentions(9), pick in 0..9_usize) {
        let mut build = Build::new();
        for (number, mentioned) in graph.iter().enumerate() {
            write(&mut build, number, mentioned, "1");
            if place_of(number) == "tests" {
                build.test(&format!("p/C{number}"));
            }
        }
        let before = build.keys();
        write(&mut build, pick, &graph[pick], "2");
        let mut expected = Vec::new();
        for number in (0..graph.len()).filter(|number| place_of(*number) == "tests") {
            let (mut seen, mut todo) = (BTreeSet::from([number]), vec![number]);
            while let Some(class) = todo.pop() {
                todo.extend(graph[class].iter().copied().filter(|next| seen.insert(*next)));
            }
            if seen.contains(&pick) {
                expected.push(format!("p.C{number}"));
            }
        }
        prop_assert_eq!(build.changed(&before), expected);
        // And back again.
        write(&mut build, pick, &graph[pick], "1");
        prop_assert_eq!(build.keys(), before);
    }
}
