//! What a test may notice beside the classes of its build: the JVM and how it is started, the jars from elsewhere, all
//! resources, the declared inputs, Testfleet itself.

use super::contents::{self, Content, Contents};
use super::names::{Mentions, NameId};
use crate::bundle::{digest, jvm_args};
use crate::content::{Contents as Known, Digest};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use testfleet_protocol::Result;
use testfleet_protocol::path::Roots;
use testfleet_protocol::request::{Framework, RunRequest, TestTask};

/// Another number makes all keys of earlier releases unknown: to be raised whenever what is in a key changes its meaning.
const FORMAT: u32 = 1;

/// Declared inputs that are larger are hashed, but not searched for names of classes.
const MAX_SEARCHED_INPUT: u64 = 1 << 20;

/// Fields one after another, each with its name and length, so that no two sequences look the same.
#[derive(Clone)]
pub(super) struct Fields(Sha256);

impl Fields {
    pub(super) fn new() -> Self {
        let mut fields = Self(Sha256::new());
        fields.add("format", FORMAT.to_be_bytes());
        fields
    }

    pub(super) fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
    }

    pub(super) fn hash(self) -> contents::Hash {
        self.0.finalize().into()
    }
}

/// What all tests of a Test task have in common.
pub(super) struct Profile {
    pub(super) fields: Fields,
    /// Classes that arguments, properties and declared inputs name: any test may load them.
    pub(super) named: Vec<NameId>,
}

/// What all tasks of a request have in common.
pub(super) fn common(request: &RunRequest, known: &Known) -> Result<Fields> {
    let mut fields = Fields::new();
    fields.add("testfleet", env!("CARGO_PKG_VERSION"));
    for program in [&request.harness_jar, &request.agent] {
        // One that is missing is an error where it is needed.
        if program.is_file() {
            fields.add("program", known.of(program)?.sha256);
        }
    }
    Ok(fields)
}

impl Profile {
    /// # Errors
    /// `Io` when a declared input or a file that an argument names can't be read.
    pub(super) fn of(
        task: &TestTask,
        request: &RunRequest,
        contents: &Contents,
        common: &Fields,
        known: &Known,
    ) -> Result<Self> {
        let roots = Roots::new(request.roots.clone());
        let texts = roots.clone().with("jdk", &task.java.home);
        let mut fields = common.clone();
        let mut found = Mentions::default();
        let mut say = |fields: &mut Fields, name: &str, text: &str| {
            contents.names.find(text, &mut found);
            fields.add(name, texts.relativize_text(text));
        };
        fields.add("task", &task.path.0);
        fields.add("java", task.java.version.to_be_bytes());
        fields.add("jdk", jdk(&task.java.home, known)?);
        let arguments = jvm_args::assemble(task);
        for argument in &arguments {
            say(&mut fields, "argument", argument);
        }
        for file in named_files(&arguments, &task.working_dir) {
            fields.add("file of an argument", known.of(&file)?.sha256);
        }
        for (name, value) in &task.environment {
            say(&mut fields, "variable", name);
            say(&mut fields, "value", value);
        }
        say(&mut fields, "working folder", &task.working_dir.to_string_lossy());
        for option in options(&task.framework) {
            say(&mut fields, "framework", &option);
        }
        for (name, value) in &task.input_properties {
            say(&mut fields, "input property", name);
            say(&mut fields, "value", value);
        }
        for input in inputs(&task.declared_inputs, &roots, contents, known)? {
            fields.add("input", &input.name);
            fields.add("content", &input.sha256);
            found.classes.extend(input.named);
        }
        for path in classpath(task) {
            match contents.entries.get(path) {
                Some(Content::Foreign(sha256)) => fields.add("jar", sha256),
                Some(Content::Own(own)) => {
                    own.resources.iter().for_each(|hash| fields.add("resources", hash));
                    found.classes.extend(&own.named);
                }
                None => {}
            }
        }
        found.tidy();
        Ok(Self { fields, named: found.classes })
    }
}

/// The classpath of the harness without its own jar, each entry once: launcher jars, the task's classpath, and class
/// directories that are not on it.
pub(super) fn classpath(task: &TestTask) -> Vec<&PathBuf> {
    let mut seen = BTreeSet::new();
    task.launcher_classpath
        .iter()
        .chain(&task.classpath)
        .chain(&task.class_dirs)
        .filter(|path| seen.insert(path.as_path()))
        .collect()
}

/// What tells one build of a JDK from another: the file `release` holds its version, vendor, platform and source. A home
/// without one counts by the classes of its JDK.
fn jdk(home: &Path, known: &Known) -> Result<String> {
    for file_name in ["release", "../release", "lib/modules", "lib/rt.jar", "jre/lib/rt.jar"] {
        let file = home.join(file_name);
        if file.is_file() {
            return Ok(format!("{file_name} {}", known.of(&file)?.sha256));
        }
    }
    // The task can't run with it; nothing will be recorded.
    Ok(home.to_string_lossy().into_owned())
}

/// Files and folders that arguments make part of the JVM: agents, more classes, arguments. What an agent is told (JaCoCo:
/// the file that it writes) is text alone. Paths are relative to the working folder.
fn named_files(arguments: &[String], working_dir: &Path) -> Vec<PathBuf> {
    const AGENTS: [&str; 3] = ["-javaagent:", "-agentpath:", "@"];
    const CLASSES: [&str; 6] = [
        "-Xbootclasspath/a:",
        "-Xbootclasspath:",
        "--patch-module=",
        "--module-path=",
        "-p=",
        "--upgrade-module-path=",
    ];
    let mut texts: Vec<&str> = Vec::new();
    let mut previous = "";
    for argument in arguments {
        for option in AGENTS {
            texts.extend(argument.strip_prefix(option).and_then(|value| value.split('=').next()));
        }
        for option in CLASSES {
            // `module=first.jar:second.jar`
            let value =
                argument.strip_prefix(option).or((option.strip_suffix('=') == Some(previous)).then_some(argument));
            texts.extend(value.iter().flat_map(|value| value.split([':', '='])));
        }
        previous = argument;
    }
    texts
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| working_dir.join(text))
        .filter(|path| path.exists())
        .collect()
}

/// What of a framework's options changes how a test runs; which tests run is the business of the plan. TestNG's groups
/// decide which configuration methods run, too.
fn options(framework: &Framework) -> Vec<String> {
    match framework {
        Framework::JunitPlatform { .. } => vec!["junit-platform".to_owned()],
        Framework::JUnit4 { .. } => vec!["junit4".to_owned()],
        Framework::TestNg { include_groups, exclude_groups, listeners, parallel, thread_count } => {
            let mut options = vec!["testng".to_owned(), format!("threads {thread_count}")];
            options.extend(parallel.iter().map(|parallel| format!("parallel {parallel}")));
            options.extend(include_groups.iter().map(|group| format!("group {group}")));
            options.extend(exclude_groups.iter().map(|group| format!("without group {group}")));
            options.extend(listeners.iter().map(|listener| format!("listener {listener}")));
            options
        }
    }
}

struct Input {
    /// Relative to a root.
    name: String,
    sha256: String,
    named: Vec<NameId>,
}

/// The files of declared inputs, in the order of their names.
fn inputs(paths: &[PathBuf], roots: &Roots, contents: &Contents, known: &Known) -> Result<Vec<Input>> {
    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            files.extend(digest::files_below(path)?.into_iter().map(|below| below.path));
        } else if path.exists() {
            files.insert(path.clone());
        }
    }
    let read = |path: PathBuf| -> Result<Input> {
        let Digest { sha256, size } = known.of(&path)?;
        let named = if size <= MAX_SEARCHED_INPUT {
            let bytes = std::fs::read(&path).map_err(|error| testfleet_protocol::Failure::io("read", &path, &error))?;
            contents::mentioned(&bytes, &contents.names).classes
        } else {
            Vec::new()
        };
        // Outside of all roots it is an error where the bundle is made.
        let name = roots.relativize(&path).unwrap_or_else(|_| path.to_string_lossy().into_owned());
        Ok(Input { name, sha256, named })
    };
    let mut inputs: Vec<Input> = files.into_par_iter().map(read).collect::<Result<_>>()?;
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let hash = |fields: &[(&str, &str)]| {
            let mut all = Fields::new();
            fields.iter().for_each(|(name, value)| all.add(name, value));
            all.hash()
        };
        assert_ne!(hash(&[("a", "bc")]), hash(&[("ab", "c")]));
        assert_ne!(hash(&[("a", ""), ("", "b")]), hash(&[("a", "b")]));
        assert_eq!(hash(&[("a", "b")]), hash(&[("a", "b")]));
    }

    #[test]
    fn agents_and_added_classes_count_by_content_and_what_they_write_does_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["agent.jar", "more.jar", "lib.so", "jacoco.exec", "args"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::create_dir(folder.path().join("classes")).unwrap();
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let arguments = [
            format!("-javaagent:{}=destfile={},append=true", at("agent.jar"), at("jacoco.exec")),
            format!("-Xbootclasspath/a:{}:{}", at("more.jar"), at("gone.jar")),
            "-agentpath:lib.so=x".to_owned(),
            "@args".to_owned(),
            "--patch-module".to_owned(),
            "com.acme=classes".to_owned(),
            "-Dfile=agent.jar".to_owned(),
        ];
        let files = named_files(&arguments, folder.path());
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["agent.jar", "more.jar", "lib.so", "args", "classes"]);
    }
}
