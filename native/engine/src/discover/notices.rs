//! The wording of what discovery tells the user.

use super::engines::Engines;
use super::{Discovery, Notice, TestClass};
use testfleet_protocol::request::RunRequest;
use testfleet_protocol::test::{TaskPath, Thrown};
use testfleet_protocol::{Failure, FailureCode};

/// Engines that class files don't tell about, when nobody asks them.
pub(super) fn unasked_engines(task: &TaskPath, engines: &Engines) -> Vec<Notice> {
    let not_run = |class: &String| Notice {
        text: format!("{task}: the tests of the engine {class} are not run: class files do not tell which they are"),
        hint: Some(
            "run them with Gradle's own test task; excludeEngines in useJUnitPlatform { } silences this".to_owned(),
        ),
    };
    engines.others.iter().map(not_run).collect()
}

/// A classpath without any engine.
pub(super) fn no_engine(task: &TaskPath, engines: &Engines) -> Option<Notice> {
    engines.none.then(|| Notice {
        text: format!("{task}: there is no test engine on the classpath, so nothing of it can run"),
        hint: Some("add one: testRuntimeOnly 'org.junit.jupiter:junit-jupiter-engine:5.11.4'".to_owned()),
    })
}

/// A class that the framework could not look into.
pub(super) fn refused(task: &TaskPath, class: &str, thrown: &Thrown, what_now: &str) -> Notice {
    let message = thrown.message.trim();
    let why = if message.is_empty() { thrown.kind.clone() } else { format!("{}: {message}", thrown.kind) };
    Notice { text: format!("{task}: the test framework could not look into {class}: {why}; {what_now}"), hint: None }
}

/// A class whose class files show tests where the framework finds none.
pub(super) fn only_in_class_files(task: &TaskPath, class: &TestClass) -> Notice {
    let count = class.tests.len();
    Notice {
        text: format!(
            "{task}: {} is not run: its class files show tests ({count}), but the test framework, which was asked, finds none",
            class.class
        ),
        hint: Some("`./gradlew prepare --verify` compares all classes both ways".to_owned()),
    }
}

/// A test of one name that two classes have.
pub(super) fn same_test(task: &TaskPath, class: &str, test: &str) -> Notice {
    Notice {
        text: format!("{task}: {test} is run once: {class} and another class have it by the same name"),
        hint: None,
    }
}

/// A class whose tests are not known before it runs, and which is not run.
pub(super) fn unknown_tests(task: &TaskPath, class: &str, why: &str) -> Notice {
    Notice {
        text: format!("{task}: {class} is not run: {why}"),
        hint: Some("run it with Gradle's own test task, or exclude it".to_owned()),
    }
}

/// A class that has more tests than those that are planned.
pub(super) fn missed_tests(task: &TaskPath, class: &str, why: &str) -> Notice {
    Notice {
        text: format!("{task}: some tests of {class} are not run: {why}"),
        hint: Some("run it with Gradle's own test task".to_owned()),
    }
}

/// A TestNG factory method, beside which the class may have tests of its own.
pub(super) fn factory_method(task: &TaskPath, class: &str) -> Notice {
    Notice {
        text: format!("{task}: {class} has a @Factory method: tests that only the instances it makes have are not run"),
        hint: Some("run it with Gradle's own test task, or put @Factory on a constructor of the test class".to_owned()),
    }
}

/// A class whose tests are a guess.
pub(super) fn guessed_tests(task: &TaskPath, class: &str, why: &str) -> Notice {
    Notice { text: format!("{task}: {class}: {why}; its test... methods are what is planned"), hint: None }
}

/// A `@Nested` class that extends a class around it.
pub(super) fn cyclic_nesting(task: &TaskPath, class: &str) -> Notice {
    Notice {
        text: format!("{task}: the nested class {class} contains itself by inheritance, which Jupiter refuses to run"),
        hint: Some("let it extend another class".to_owned()),
    }
}

/// `--tests` selected nothing.
pub(super) fn no_match(request: &RunRequest, discovery: &Discovery) -> Failure {
    let searched: u64 = discovery.tasks.iter().map(|task| task.searched).sum();
    let tasks: Vec<&str> = discovery.tasks.iter().map(|task| task.task.0.as_str()).collect();
    Failure::new(
        FailureCode::NoTests,
        format!("failed to find tests that match --tests {}", request.options.tests.join(" --tests ")),
    )
    .cause_text(format!("none of the {searched} classes of {} has one", tasks.join(", ")))
    .hint(
        "patterns are com.acme.FooTest, FooTest.method, com.acme.* or *Foo*; a pattern that begins with a \
         lower-case letter is the whole name, package included",
    )
}
