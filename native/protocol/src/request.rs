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
    Prepare {
        /// Ask the framework about every class, too, and fail when class files say something else.
        #[serde(default)]
        verify: bool,
    },
    /// Discover and plan, show the outcome, write and run nothing.
    Show {
        /// What.
        what: Listing,
        /// As JSON instead of text.
        #[serde(default)]
        json: bool,
    },
    /// `Prepare`, then make an image of the bundle, and take it where it is to go.
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
        /// Run it in a container of the image that `image.json` names, as it is.
        #[serde(default)]
        in_image: bool,
        /// Leave the container or pod there when it has ended, to be looked at.
        #[serde(default)]
        keep: bool,
    },
    /// Look whether runs would work where the options want them to, and say what is missing.
    Doctor,
    /// Remove what runs left behind whose coordinator is gone.
    Gc {
        /// Also what was made so many milliseconds ago or earlier, whatever became of its coordinator.
        #[serde(default)]
        older_than_ms: Option<u64>,
        /// Also what was to be kept.
        #[serde(default)]
        kept: bool,
    },
    /// Start a container of the image that `image.json` names, for a shell in it.
    Shell {
        /// Number of the worker whose place it takes, from 1.
        worker: u32,
    },
}

/// What can be shown instead of being run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Listing {
    /// `--list`: the tests.
    Tests,
    /// `--dry-run`: the plan: what would run, in which order and groups, what is reused, quarantined, locked.
    Plan,
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
    /// Where else Testfleet keeps what speeds up the next run on this machine (what was discovered, what passed);
    /// its content may be deleted at any time.
    pub state_dir: PathBuf,
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// Where workers are started: `local`, `docker`, `kubernetes`.
    pub backend: String,
    /// How many workers, from 1.
    pub workers: u32,
    /// What may become a unit.
    pub split: Split,
    /// Another choice for some classes; the last that matches counts.
    #[serde(default)]
    pub split_classes: Vec<SplitClasses>,
    /// What must hold between units.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// How far `@ResourceLock` and `@Isolated` reach.
    #[serde(default)]
    pub locks: LockScope,
    /// What is handed out first: by the first key, where that makes no difference by the next, ...
    #[serde(default = "failed_new_longest")]
    pub order: Vec<OrderKey>,
    /// Whether tests that passed before are run again.
    #[serde(default)]
    pub reuse: Reuse,
    /// Run this part of all tests alone.
    #[serde(default)]
    pub shard: Option<crate::plan::Shard>,
    /// Only the tests that did not pass in this run (its id, or `last`).
    #[serde(default)]
    pub rerun_failed: Option<String>,
    /// The quarantine file; it must exist.
    #[serde(default)]
    pub quarantine_file: Option<PathBuf>,
    /// Where timings and passed units are shared with other machines.
    #[serde(default)]
    pub history: Option<SharedHistory>,
    /// `--tests` patterns, in Gradle's syntax; a test must match one of them.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Report bad tests, but end well.
    #[serde(default)]
    pub ignore_failures: bool,
    /// How the run deals with what fails, hangs and breaks off.
    #[serde(default)]
    pub run: crate::run_options::RunOptions,
    /// What images are made of and where they go.
    #[serde(default)]
    pub image: crate::image::ImageOptions,
    /// How workers in containers are started.
    #[serde(default)]
    pub docker: crate::docker::DockerOptions,
    /// What they are when they are pods.
    #[serde(default)]
    pub kubernetes: crate::kubernetes::KubernetesOptions,
    /// Names of variables that workers get from the coordinator's environment; their values are
    /// read when the run starts and never stored. Local workers get the whole environment anyway.
    #[serde(default)]
    pub pass_environment: Vec<String>,
}

fn failed_new_longest() -> Vec<OrderKey> {
    OrderKey::USUAL.to_vec()
}

/// What units are put in order by. A key is a lower-case word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderKey {
    /// Units with a test that did not pass in its last run go first.
    Failed,
    /// Units with a test that never ran go first.
    New,
    /// The longest goes first.
    Longest,
    /// The shortest goes first.
    Shortest,
    /// By Test task, class and method.
    Name,
}

impl OrderKey {
    /// The order unless something else is said.
    pub const USUAL: [Self; 3] = [Self::Failed, Self::New, Self::Longest];
}

/// Classes that are split in their own way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SplitClasses {
    /// Patterns of class names, with `*` for any text; one without a dot matches simple names.
    pub classes: Vec<String>,
    /// How.
    pub split: Split,
}

/// Something that must hold between units; classes are named as in [`SplitClasses::classes`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Constraint {
    /// The classes run on one worker, one after another, with nothing between them.
    Together {
        /// Which.
        classes: Vec<String>,
    },
    /// No two of these classes run at the same time.
    Lock {
        /// Name of what they share.
        resource: String,
        /// Which.
        classes: Vec<String>,
    },
    /// While one of these classes runs, nothing else does.
    Alone {
        /// Which.
        classes: Vec<String>,
    },
}

/// How far `@ResourceLock` and `@Isolated` reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockScope {
    /// Over all workers of the run, except for resources that each JVM has for itself (system properties, standard
    /// streams, default locale and time zone).
    #[default]
    Run,
    /// Within a JVM, which is the framework's own business.
    Jvm,
}

/// Whether tests that passed before are run again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reuse {
    /// A unit counts as passed when all classes that it reaches are equal; where its reach can't be known, when the
    /// whole classpath is.
    #[default]
    Auto,
    /// A unit counts as passed when the whole classpath of its Test task is equal.
    Classpath,
    /// Everything is run.
    Off,
}

/// Where timings and passed units are shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedHistory {
    /// A folder's path, `http(s)://host/path/`, or `oci://registry/repository`.
    pub location: String,
    /// The branch whose history this run continues.
    pub branch: String,
    /// Where a branch without history begins from.
    pub fallback_branch: String,
    /// Whether this run adds to it.
    pub publish: bool,
    /// What no run used for so many days is forgotten.
    pub expire_days: u32,
    /// Whether the record of a run is kept there while it goes on, so that another machine can go on with it.
    #[serde(default)]
    pub journal: bool,
    /// Name of the variable of the environment that holds the user; the value is read when it is needed, never stored.
    #[serde(default)]
    pub user_variable: Option<String>,
    /// Name of the variable that holds the password or token.
    #[serde(default)]
    pub password_variable: Option<String>,
}

/// What may become a unit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Whole classes, unless one is longer than the fair share of a worker and can be split at less than it saves:
    /// then some of its methods, or some invocations of a method.
    #[default]
    Auto,
    /// Whole classes only.
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
    /// What the task declares as further inputs by name and value, `inputs.property`.
    #[serde(default)]
    pub input_properties: BTreeMap<String, String>,
    /// What it declares so and what has no text by which builds could be compared, in words.
    #[serde(default)]
    pub properties_without_text: Vec<String>,
    /// Where the JaCoCo agent of this task would write its data; the workers' data is merged there.
    #[serde(default)]
    pub jacoco_file: Option<PathBuf>,
    /// `timeout` of the task, in milliseconds. Workers share its tests, so that it can't be counted as Gradle does; nothing
    /// that a worker runs of one of its classes may take longer, whatever [`crate::run_options::Timeouts`] allow.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// `ignoreFailures` of the task: its bad tests are reported but do not end the run badly.
    #[serde(default)]
    pub ignore_failures: bool,
}

impl TestTask {
    /// Whether its patterns, tags, categories or groups may leave out tests that its classes have: the next build may ask
    /// for others.
    pub fn leaves_out_tests(&self) -> bool {
        let of_framework: Vec<&Vec<String>> = match &self.framework {
            Framework::JunitPlatform { include_tags, exclude_tags, include_engines, exclude_engines } => {
                vec![include_tags, exclude_tags, include_engines, exclude_engines]
            }
            Framework::JUnit4 { include_categories, exclude_categories } => {
                vec![include_categories, exclude_categories]
            }
            Framework::TestNg { include_groups, exclude_groups, .. } => vec![include_groups, exclude_groups],
        };
        let of_names = [&self.includes, &self.excludes, &self.include_tests, &self.exclude_tests];
        of_framework.into_iter().chain(of_names).any(|filter| !filter.is_empty())
    }
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
