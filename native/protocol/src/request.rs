//! What a build asks for: written by the Gradle plugin as `build/testfleet/request.json`.

use crate::test::TaskPath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A command and what it works on. This is what crosses JNI; only `request` is ever stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenRequest {
    /// What to do.
    pub command: Command,
    /// The build.
    pub request: RunRequest,
    /// The environment in which local workers start: that of the Gradle call or of the shell.
    /// It holds secrets: kept in memory, never written, logged or shown (there is no `Debug`).
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Whether each event of the run is wanted, besides what is said to people: `false` spares a caller that shows
    /// nothing of its own a great many of them.
    #[serde(default = "yes")]
    pub run_events: bool,
}

fn yes() -> bool {
    true
}

/// What to do with a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// Discover and plan; write `plan.json` and `bundle.json`.
    Prepare,
    /// `Prepare`, then make the bundle a folder of its own.
    Image,
    /// `Prepare`, then run everything on all workers.
    RunParallel,
    /// Run one group of the existing plan in this terminal.
    RunWorker {
        /// Number of the group, from 1.
        worker: u32,
        /// A plan other than `plan.json` of the output folder.
        #[serde(default)]
        plan: Option<PathBuf>,
        /// Replay, in order, what the worker of this number really ran in that run
        /// (its id, or `last`).
        #[serde(default)]
        from_run: Option<String>,
        /// Suspend the harness JVM until a debugger attaches to port 5005.
        #[serde(default)]
        debug_jvm: bool,
    },
}

/// A whole build: its Test tasks and what the user chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRequest {
    /// [`crate::VERSION`].
    pub protocol: u32,
    /// Name of the root project, for titles.
    pub build_name: String,
    /// Named roots, absolute: at least `project`, `build`, `gradleHome`. See [`crate::path::Roots`].
    pub roots: BTreeMap<String, PathBuf>,
    /// `build/test-results/runParallel`: JUnit XML goes here.
    pub results_dir: PathBuf,
    /// `build/reports/testfleet`: `index.html` and `summary.json` go here.
    pub reports_dir: PathBuf,
    /// Where past durations are kept.
    pub timings_file: PathBuf,
    /// The harness jar.
    pub harness_jar: PathBuf,
    /// The agent for this machine's platform.
    pub agent: PathBuf,
    /// The Test tasks, in the order of their paths.
    pub tasks: Vec<TestTask>,
    /// What the user chose.
    pub options: Options,
}

/// What the user chose in `testfleet { }` and on the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// Where workers are started; this version knows `local`.
    pub backend: String,
    /// How many workers, from 1.
    pub workers: u32,
    /// What may become a unit.
    pub split: Split,
    /// `--tests` patterns, in Gradle's syntax; a test must match one of them.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Report bad tests, but end well.
    #[serde(default)]
    pub ignore_failures: bool,
    /// Names of variables that workers get from the coordinator's environment; their values are
    /// read when the run starts and never stored. Local workers get the whole environment anyway.
    #[serde(default)]
    pub pass_environment: Vec<String>,
}

/// What may become a unit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Whole classes only.
    #[default]
    Class,
    /// Every method by itself.
    Method,
}

/// What one Gradle Test task says. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestTask {
    /// Module and task.
    pub path: TaskPath,
    /// `testClassesDirs`.
    pub class_dirs: Vec<PathBuf>,
    /// The runtime classpath in order.
    pub classpath: Vec<PathBuf>,
    /// Jars that the harness needs besides the classpath (junit-platform-launcher at the engine's
    /// version); empty when the classpath has them.
    #[serde(default)]
    pub launcher_classpath: Vec<PathBuf>,
    /// The JVM of the task's launcher.
    pub java: Java,
    /// JVM arguments in order, those of argument providers included; without `-D`, heap and
    /// assertion flags that have a field of their own.
    #[serde(default)]
    pub jvm_args: Vec<String>,
    /// System properties. `{worker}` and `{workers}` in values and arguments are replaced by the
    /// worker's number and count when a JVM starts.
    #[serde(default)]
    pub system_properties: BTreeMap<String, String>,
    /// What the build itself set in the environment, and nothing else.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Where the JVM runs.
    pub working_dir: PathBuf,
    /// `-Xms` value, such as `256m`.
    #[serde(default)]
    pub min_heap: Option<String>,
    /// `-Xmx` value. Gradle's own default of 512m is filled in by the plugin.
    #[serde(default)]
    pub max_heap: Option<String>,
    /// `-ea`
    pub enable_assertions: bool,
    /// `-Dfile.encoding`
    #[serde(default)]
    pub default_charset: Option<String>,
    /// Restart the JVM after this many classes; 0 is never.
    #[serde(default)]
    pub fork_every: u32,
    /// Which framework runs the classes.
    pub framework: Framework,
    /// Ant patterns on class files relative to `class_dirs`; empty is all.
    #[serde(default)]
    pub includes: Vec<String>,
    /// Ant patterns; they win over `includes`.
    #[serde(default)]
    pub excludes: Vec<String>,
    /// Whether Gradle would look into class files; when false every included class is one.
    pub scan_for_test_classes: bool,
    /// `filter { includeTestsMatching }`
    #[serde(default)]
    pub include_tests: Vec<String>,
    /// `filter { excludeTestsMatching }`
    #[serde(default)]
    pub exclude_tests: Vec<String>,
    /// Files and directories that the task declares as further inputs.
    #[serde(default)]
    pub declared_inputs: Vec<PathBuf>,
    /// `ignoreFailures` of the task: its bad tests are reported but do not end the run badly.
    #[serde(default)]
    pub ignore_failures: bool,
}

/// A JVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Java {
    /// `java.home`
    pub home: PathBuf,
    /// Feature release: 8, 11, 17.
    pub version: u32,
}

/// A Test task's framework and its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Framework {
    /// `useJUnitPlatform()`
    JunitPlatform {
        /// Tag expressions; a test must match one of them. Empty is all.
        #[serde(default)]
        include_tags: Vec<String>,
        /// Tag expressions; a test must match none.
        #[serde(default)]
        exclude_tags: Vec<String>,
        /// Engine ids; empty is all.
        #[serde(default)]
        include_engines: Vec<String>,
        /// Engine ids.
        #[serde(default)]
        exclude_engines: Vec<String>,
    },
    /// `useJUnit()`: JUnit 3 and 4.
    #[serde(rename = "junit4")]
    JUnit4 {
        /// Names of category classes; empty is all.
        #[serde(default)]
        include_categories: Vec<String>,
        /// Names of category classes.
        #[serde(default)]
        exclude_categories: Vec<String>,
    },
    /// `useTestNG()`
    #[serde(rename = "testng")]
    TestNg {
        /// Groups; empty is all.
        #[serde(default)]
        include_groups: Vec<String>,
        /// Groups.
        #[serde(default)]
        exclude_groups: Vec<String>,
        /// Class names of listeners.
        #[serde(default)]
        listeners: Vec<String>,
        /// TestNG's own parallel mode (`methods`, `classes`, ...).
        #[serde(default)]
        parallel: Option<String>,
        /// Threads for `parallel`; 0 leaves TestNG's own default.
        #[serde(default)]
        thread_count: u32,
    },
}
