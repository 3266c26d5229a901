//! Requests for tests.

use std::path::PathBuf;
use testfleet_protocol::VERSION;
use testfleet_protocol::request::{Framework, Java, Options, RunRequest, Split, TestTask};
use testfleet_protocol::test::TaskPath;

/// A request without tasks for two workers.
pub(crate) fn empty() -> RunRequest {
    RunRequest {
        protocol: VERSION,
        build_name: "acme".into(),
        roots: [("project", "/p"), ("build", "/p/build/testfleet"), ("gradleHome", "/g")]
            .map(|(name, dir)| (name.to_owned(), PathBuf::from(dir)))
            .into(),
        results_dir: "/p/build/test-results/runParallel".into(),
        reports_dir: "/p/build/reports/testfleet".into(),
        timings_file: "/p/timings.json".into(),
        // Nothing can be kept there.
        state_dir: "/dev/null/state".into(),
        harness_jar: "/p/build/testfleet/harness.jar".into(),
        agent: "/p/build/testfleet/agent".into(),
        tasks: vec![],
        options: Options { backend: "local".into(), workers: 2, split: Split::Class, ..Options::default() },
    }
}

/// A Test task on the JUnit Platform without classes.
pub(crate) fn task(path: &str) -> TestTask {
    TestTask {
        path: TaskPath(path.into()),
        class_dirs: vec![],
        classpath: vec![],
        launcher_classpath: vec![],
        java: Java { home: "/usr/lib/jvm/17".into(), version: 17 },
        jvm_args: vec![],
        system_properties: [].into(),
        environment: [].into(),
        working_dir: "/p".into(),
        min_heap: None,
        max_heap: None,
        enable_assertions: true,
        default_charset: None,
        fork_every: 0,
        framework: Framework::JunitPlatform {
            include_tags: vec![],
            exclude_tags: vec![],
            include_engines: vec![],
            exclude_engines: vec![],
        },
        includes: vec![],
        excludes: vec![],
        scan_for_test_classes: true,
        include_tests: vec![],
        exclude_tests: vec![],
        declared_inputs: vec![],
        input_properties: [].into(),
        properties_without_text: vec![],
        jacoco_file: None,
        timeout_ms: None,
        ignore_failures: false,
    }
}
