//! Round trips, damaged payloads, and the vectors that the Java side reads and writes alike.

use super::*;
use crate::test::Outcome;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn test_name() -> impl Strategy<Value = TestName> {
    (".{0,12}", ".{0,12}").prop_map(|(class, method)| TestName { class, method })
}

fn thrown() -> impl Strategy<Value = Thrown> {
    (".{0,12}", ".{0,12}", ".{0,12}").prop_map(|(kind, message, stack)| Thrown { kind, message, stack, hint: None })
}

fn finished() -> impl Strategy<Value = Finished> {
    let outcome = prop::sample::select(vec![
        Outcome::Passed,
        Outcome::Failed,
        Outcome::Aborted,
        Outcome::Skipped,
        Outcome::Errored,
    ]);
    (outcome, any::<u64>(), any::<u64>(), prop::option::of(".{0,12}"), prop::collection::vec(thrown(), 0..3)).prop_map(
        |(outcome, started_at_ms, duration_us, reason, thrown)| Finished {
            outcome,
            started_at_ms,
            duration_us,
            reason,
            thrown,
        },
    )
}

fn to_harness() -> impl Strategy<Value = ToHarness> {
    prop_oneof![
        (any::<u32>(), ".{0,12}", prop::collection::vec((".{0,12}", ".{0,12}"), 0..4))
            .prop_map(|(protocol, framework, options)| ToHarness::Configure { protocol, framework, options }),
        (
            ".{0,12}",
            ".{0,12}",
            any::<bool>(),
            prop::collection::vec(test_name(), 0..4),
            prop::option::of((any::<u32>(), prop::option::of(any::<u32>()))),
        )
            .prop_map(|(unit, class, whole_class, tests, range)| ToHarness::RunUnit {
                unit,
                class,
                whole_class,
                tests,
                invocations: range.map(|(from, to)| Invocations { from, to }),
            }),
        prop::collection::vec(".{0,12}", 0..4).prop_map(|classes| ToHarness::Discover { classes }),
        Just(ToHarness::Shutdown),
    ]
}

fn from_harness() -> impl Strategy<Value = FromHarness> {
    let stream = prop::sample::select(vec![Stream::Stdout, Stream::Stderr]);
    prop_oneof![
        (any::<u32>(), ".{0,12}").prop_map(|(protocol, java_version)| FromHarness::Ready { protocol, java_version }),
        (".{0,12}", test_name()).prop_map(|(unit, test)| FromHarness::TestStarted { unit, test }),
        (".{0,12}", test_name(), ".{0,12}", ".{0,12}", finished()).prop_map(|(unit, test, id, name, finished)| {
            FromHarness::InvocationFinished { unit, test, invocation: Invocation { id, name }, finished }
        }),
        (".{0,12}", test_name(), finished()).prop_map(|(unit, test, finished)| FromHarness::TestFinished {
            unit,
            test,
            finished
        }),
        (".{0,12}", prop::option::of(test_name()), stream, prop::collection::vec(any::<u8>(), 0..32))
            .prop_map(|(unit, test, stream, bytes)| FromHarness::Output { unit, test, stream, bytes }),
        (".{0,12}", ".{0,12}", thrown()).prop_map(|(unit, class, thrown)| FromHarness::ClassFailed {
            unit,
            class,
            thrown
        }),
        ".{0,12}".prop_map(|unit| FromHarness::UnitFinished { unit }),
        (".{0,12}", ".{0,12}").prop_map(|(message, hint)| FromHarness::Fault { message, hint }),
        (".{0,12}", prop::collection::vec(".{0,12}", 0..3), prop::collection::vec(test_name(), 0..4))
            .prop_map(|(class, engines, tests)| FromHarness::Discovered { class, engines, tests }),
        (".{0,12}", thrown()).prop_map(|(class, thrown)| FromHarness::DiscoveryFailed { class, thrown }),
        Just(FromHarness::DiscoveryFinished),
        (".{0,12}", test_name()).prop_map(|(unit, test)| FromHarness::TestPaused { unit, test }),
        (".{0,12}", test_name()).prop_map(|(unit, test)| FromHarness::TestResumed { unit, test }),
        ".{0,12}".prop_map(|stacks| FromHarness::ExitCalled { stacks }),
    ]
}

proptest! {
    #[test]
    fn what_goes_to_the_harness_comes_back(message in to_harness()) {
        prop_assert_eq!(ToHarness::decode(&message.encode()).unwrap(), message);
    }

    #[test]
    fn what_the_harness_says_comes_back(message in from_harness()) {
        prop_assert_eq!(FromHarness::decode(&message.encode()).unwrap(), message);
    }

    #[test]
    fn a_torn_or_lengthened_message_is_refused(message in from_harness(), cut in any::<prop::sample::Index>()) {
        let mut bytes = message.encode();
        prop_assert!(FromHarness::decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(FromHarness::decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        let _ = ToHarness::decode(&bytes);
        let _ = FromHarness::decode(&bytes);
    }

    #[test]
    fn a_damaged_message_never_panics(
        message in from_harness(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = message.encode();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = FromHarness::decode(&bytes);
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/harness")
}

fn vector(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.hex"))).unwrap();
    let hex: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::bytes)
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    hex.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn unit() -> String {
    ":app:test#com.acme.FooTest".into()
}

fn name(class: &str, method: &str) -> TestName {
    TestName { class: class.into(), method: method.into() }
}

fn adds() -> TestName {
    name("com.acme.FooTest$Inner", "adds(int, java.lang.String[])")
}

fn assertion() -> Thrown {
    Thrown {
        kind: "java.lang.AssertionError".into(),
        message: "größer als 日本 🚀".into(),
        stack: "java.lang.AssertionError\n\tat com.acme.FooTest".into(),
        hint: None,
    }
}

/// The same table as in `harness/src/test/java/dev/testfleet/harness/wire/VectorsTest.java`.
fn vectors_to_harness() -> Vec<(&'static str, ToHarness)> {
    let class = || "com.acme.FooTest".to_owned();
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        (
            "to-configure",
            ToHarness::Configure {
                protocol: 1,
                framework: "junit-platform".into(),
                options: vec![
                    option("includeEngines", "junit-jupiter"),
                    option("excludeTags", "slow & !nightly"),
                    option("excludeTags", "flaky"),
                ],
            },
        ),
        (
            "to-run-unit",
            ToHarness::RunUnit {
                unit: unit(),
                class: class(),
                whole_class: false,
                tests: vec![adds(), name("com.acme.FooTest", "plain()")],
                invocations: None,
            },
        ),
        (
            "to-run-unit-whole",
            ToHarness::RunUnit { unit: unit(), class: class(), whole_class: true, tests: vec![], invocations: None },
        ),
        (
            "to-run-unit-slice",
            ToHarness::RunUnit {
                unit: unit(),
                class: class(),
                whole_class: false,
                tests: vec![adds()],
                invocations: Some(Invocations { from: 51, to: Some(100) }),
            },
        ),
        (
            "to-run-unit-last-slice",
            ToHarness::RunUnit {
                unit: unit(),
                class: class(),
                whole_class: false,
                tests: vec![adds()],
                invocations: Some(Invocations { from: 101, to: None }),
            },
        ),
        ("to-discover", ToHarness::Discover { classes: vec![class(), "com.acme.FooTest$Inner".into()] }),
        ("to-discover-nothing", ToHarness::Discover { classes: vec![] }),
        ("to-shutdown", ToHarness::Shutdown),
    ]
}

fn vectors_from_harness() -> Vec<(&'static str, FromHarness)> {
    let failed = Finished {
        outcome: Outcome::Failed,
        started_at_ms: 1_700_000_000_123,
        duration_us: 4_567,
        reason: Some("1 of 2 invocations failed, first #2".into()),
        thrown: vec![
            assertion(),
            Thrown { kind: "java.io.IOException".into(), message: String::new(), stack: String::new(), hint: None },
        ],
    };
    let passed = Finished {
        outcome: Outcome::Passed,
        started_at_ms: 1_700_000_000_123,
        duration_us: 0,
        reason: None,
        thrown: vec![],
    };
    vec![
        ("from-ready", FromHarness::Ready { protocol: 1, java_version: "1.8.0_412".into() }),
        ("from-test-started", FromHarness::TestStarted { unit: unit(), test: adds() }),
        (
            "from-invocation-finished",
            FromHarness::InvocationFinished {
                unit: unit(),
                test: adds(),
                invocation: Invocation { id: "#2/#1".into(), name: "[1] text = \"ä\"".into() },
                finished: passed,
            },
        ),
        ("from-test-finished", FromHarness::TestFinished { unit: unit(), test: adds(), finished: failed }),
        (
            "from-output",
            FromHarness::Output {
                unit: unit(),
                test: Some(adds()),
                stream: Stream::Stderr,
                bytes: "Zeile eins\nЗдравствуй\n".into(),
            },
        ),
        (
            "from-output-between-units",
            FromHarness::Output { unit: String::new(), test: None, stream: Stream::Stdout, bytes: vec![0xff, 0, 10] },
        ),
        (
            "from-class-failed",
            FromHarness::ClassFailed { unit: unit(), class: "com.acme.FooTest".into(), thrown: assertion() },
        ),
        ("from-unit-finished", FromHarness::UnitFinished { unit: unit() }),
        (
            "from-fault",
            FromHarness::Fault { message: "failed to find JUnit 4".into(), hint: "add 'junit:junit:4.13.2'".into() },
        ),
        (
            "from-discovered",
            FromHarness::Discovered {
                class: "com.acme.FooTest".into(),
                engines: vec!["junit-jupiter".into(), "junit-vintage".into()],
                tests: vec![adds(), name("com.acme.FooTest", "plain()")],
            },
        ),
        (
            "from-discovered-nothing",
            FromHarness::Discovered { class: "com.acme.FooTest".into(), engines: vec![], tests: vec![] },
        ),
        (
            "from-discovery-failed",
            FromHarness::DiscoveryFailed { class: "com.acme.FooTest".into(), thrown: assertion() },
        ),
        ("from-discovery-finished", FromHarness::DiscoveryFinished),
        ("from-test-paused", FromHarness::TestPaused { unit: unit(), test: adds() }),
        ("from-test-resumed", FromHarness::TestResumed { unit: unit(), test: adds() }),
        ("from-exit-called", FromHarness::ExitCalled { stacks: "main\n\tat java.lang.Runtime.exit\n".into() }),
    ]
}

#[test]
fn the_vectors_are_read_and_written_alike() {
    for (file, message) in vectors_to_harness() {
        assert_eq!(message.encode(), vector(file), "{file}");
        assert_eq!(ToHarness::decode(&vector(file)).unwrap(), message, "{file}");
    }
    for (file, message) in vectors_from_harness() {
        assert_eq!(message.encode(), vector(file), "{file}");
        assert_eq!(FromHarness::decode(&vector(file)).unwrap(), message, "{file}");
    }
}

#[test]
fn no_vector_is_left_out() {
    let known: BTreeSet<String> = vectors_to_harness()
        .iter()
        .map(|(file, _)| file)
        .chain(vectors_from_harness().iter().map(|(file, _)| file))
        .map(|file| format!("{file}.hex"))
        .collect();
    let there: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|file| file.ends_with(".hex"))
        .collect();
    assert_eq!(there, known);
}
