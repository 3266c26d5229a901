//! Files that a test misses on a worker elsewhere, though they are in the project: inputs that nobody declared.
//!
//! A worker of an image has what the bundle names. A test that reads another file of the project passes where the project
//! is and fails there; this says which file it was and the line that declares it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::path::Roots;
use testfleet_protocol::test::{TaskPath, Thrown};

/// What the system says of a file that is not there.
const NOT_THERE: &str = "No such file or directory";
/// Exceptions whose message begins with a path that is not there.
const OF_FILES: [&str; 2] = ["java.nio.file.NoSuchFileException", "java.io.FileNotFoundException"];
/// Characters of a stack trace that are looked at.
const SEARCHED: usize = 64 << 10;

/// Where things are, here and on a worker.
#[derive(Debug)]
pub(crate) struct Places {
    /// Named roots here.
    here: Roots,
    /// The folder of each root on a worker.
    there: BTreeMap<String, PathBuf>,
    /// Stored paths of all that the worker has.
    has: BTreeSet<String>,
    /// Stored working directory of each Test task.
    working_dirs: BTreeMap<TaskPath, String>,
}

/// What is at a path here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum There {
    File,
    Folder,
}

impl Places {
    /// Of a bundle whose roots are `here` on this machine and `there` on a worker.
    pub(crate) fn new(bundle: &Bundle, here: &BTreeMap<String, PathBuf>, there: impl Fn(&str) -> PathBuf) -> Self {
        Self {
            here: Roots::new(here.clone()),
            there: here.keys().map(|name| (name.clone(), there(name))).collect(),
            has: bundle.entries.iter().map(|entry| entry.path.clone()).collect(),
            working_dirs: bundle.profiles.iter().map(|it| (it.task.clone(), it.working_dir.clone())).collect(),
        }
    }

    /// The hint for an exception of a test of `task`, when it comes from a file that is `at` a place here and not in the
    /// bundle.
    pub(crate) fn hint(&self, task: &TaskPath, thrown: &Thrown, at: impl Fn(&Path) -> Option<There>) -> Option<String> {
        let working_dir = self.working_dirs.get(task)?;
        mentioned(thrown).into_iter().find_map(|path| {
            let stored = self.stored(path, working_dir)?;
            if self.is_in_bundle(&stored) {
                return None;
            }
            let local = self.here.resolve(&stored);
            let what = at(&local)?;
            Some(self.words(task, working_dir, &stored, &local, what))
        })
    }

    /// A path of a worker, as the bundle would name it. Relative ones are so to the working directory.
    fn stored(&self, path: &str, working_dir: &str) -> Option<String> {
        if !path.starts_with('/') {
            return lexically(&format!("{working_dir}/{path}"));
        }
        let path = lexically(path)?;
        let below = |(name, dir): (&String, &PathBuf)| {
            let rest = Path::new(&path).strip_prefix(dir).ok()?;
            let depth = dir.components().count();
            Some((depth, format!("${{{name}}}/{}", rest.to_str()?)))
        };
        let (_, stored) = self.there.iter().filter_map(below).max_by_key(|(depth, _)| *depth)?;
        Some(stored.trim_end_matches('/').to_owned())
    }

    fn is_in_bundle(&self, stored: &str) -> bool {
        let mut path = Some(Path::new(stored));
        while let Some(one) = path {
            if one.to_str().is_some_and(|one| self.has.contains(one)) {
                return true;
            }
            path = one.parent();
        }
        false
    }

    fn words(&self, task: &TaskPath, working_dir: &str, stored: &str, local: &Path, what: There) -> String {
        let name = task.0.rsplit(':').next().unwrap_or(&task.0);
        let kind = match what {
            There::File => "file",
            There::Folder => "dir",
        };
        let below = |folder: &str| stored.strip_prefix(folder)?.strip_prefix('/');
        // Gradle resolves the path of an input against the module's own folder, which is where its tests run.
        let (shown, input) = match (below(working_dir), below("${project}")) {
            (Some(path), _) => (path.to_owned(), quoted(path)),
            (None, Some(path)) => (path.to_owned(), format!("rootProject.file({})", quoted(path))),
            (None, None) => (local.display().to_string(), quoted(&local.to_string_lossy())),
        };
        format!(
            "{shown} is there, but is no declared input of {task}, so workers elsewhere have not got it. Declare it: \
             tasks.named({}) {{ inputs.{kind}({input}) }}",
            quoted(name)
        )
    }
}

impl Places {
    /// Adds hints to what a test, or an invocation of one, came to.
    pub(crate) fn add_hints(&self, event: &mut RunEvent) {
        let (RunEvent::TestFinished { test, finished, .. } | RunEvent::InvocationFinished { test, finished, .. }) =
            event
        else {
            return;
        };
        for thrown in finished.thrown.iter_mut().filter(|thrown| thrown.hint.is_none()) {
            thrown.hint = self.hint(&test.task, thrown, look);
        }
    }
}

fn look(path: &Path) -> Option<There> {
    let about = std::fs::metadata(path).ok()?;
    Some(if about.is_dir() { There::Folder } else { There::File })
}

/// The paths that an exception and its causes say are not there.
fn mentioned(thrown: &Thrown) -> Vec<&str> {
    let end = (0..=SEARCHED.min(thrown.stack.len())).rev().find(|end| thrown.stack.is_char_boundary(*end)).unwrap_or(0);
    let lines = thrown.stack[..end].lines().map(str::trim).filter(|line| !line.starts_with("at "));
    let own = OF_FILES.contains(&thrown.kind.as_str()).then(|| of_message(&thrown.message));
    let of_lines = lines.flat_map(|line| {
        let text = line.strip_prefix("Caused by: ").or_else(|| line.strip_prefix("Suppressed: ")).unwrap_or(line);
        let of_kind = OF_FILES.iter().find_map(|kind| text.strip_prefix(kind)?.strip_prefix(": ").map(of_message));
        of_kind.into_iter().chain(of_system(text))
    });
    let mut all: Vec<&str> = own.into_iter().chain(of_system(&thrown.message)).chain(of_lines).collect();
    all.retain(|path| !path.is_empty());
    all
}

/// `path`, `path (No such file or directory)`, `path -> other`, `path: reason`.
fn of_message(message: &str) -> &str {
    let path = message.lines().next().unwrap_or_default();
    let path = path.split(" -> ").next().unwrap_or(path);
    path.split(" (").next().unwrap_or(path).trim()
}

/// What other programs and libraries say: `cat: src/x.json: No such file or directory`, `Cannot run program "tools/x": ...`.
fn of_system(text: &str) -> Option<&str> {
    let before = text.split(NOT_THERE).next().filter(|before| before.len() < text.len())?;
    if let Some(quoted) = before.split('"').nth(1) {
        return Some(quoted);
    }
    let before =
        before.trim_end_matches([' ', '(', ':', '-']).trim_end_matches("error=2,").trim_end_matches([' ', ':']);
    let word = before.rsplit([' ', '\'', '`']).find(|word| !word.is_empty())?;
    Some(word.trim_matches(['\'', '`', ':']))
}

/// Without `.` and `..`, as far as that goes without the disk. A name of a root, `${project}`, is a name as any other.
fn lexically(path: &str) -> Option<String> {
    let mut parts = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                // What leads out of a root can't be told.
                if !parts.pop() || parts.as_os_str().is_empty() {
                    return None;
                }
            }
            other => parts.push(other),
        }
    }
    parts.to_str().map(str::to_owned)
}

/// As Groovy and Kotlin both read it, unless it has a quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::VERSION;
    use testfleet_protocol::bundle::{Entry, EntryKind, Profile};
    use testfleet_protocol::request::Framework;

    fn places() -> Places {
        let entry = |path: &str| Entry { path: path.into(), kind: EntryKind::Input, sha256: String::new(), size: 0 };
        let profile = |task: &str, dir: &str| Profile {
            task: TaskPath(task.into()),
            java_version: 17,
            java_home: None,
            classpath: vec![],
            jvm_args: vec![],
            environment: [].into(),
            working_dir: dir.into(),
            fork_every: 0,
            class_timeout_ms: None,
            framework: Framework::JUnit4 { include_categories: vec![], exclude_categories: vec![] },
        };
        let bundle = Bundle {
            protocol: VERSION,
            profiles: vec![profile(":app:test", "${project}/app"), profile(":test", "${project}")],
            entries: vec![entry("${project}/app/src/declared.json"), entry("${project}/data")],
            harness_jar: String::new(),
            agent: String::new(),
        };
        let here = [("project", "/home/me/p"), ("build", "/home/me/p/build/testfleet"), ("tools", "/opt/tools")];
        let here = here.map(|(name, dir)| (name.to_owned(), PathBuf::from(dir))).into();
        Places::new(&bundle, &here, |name| format!("/testfleet/{name}").into())
    }

    fn hint(task: &str, kind: &str, message: &str, stack: &str) -> Option<String> {
        let thrown = Thrown { kind: kind.into(), message: message.into(), stack: stack.into(), hint: None };
        places().hint(&TaskPath(task.into()), &thrown, |path| match path.to_str()? {
            "/home/me/p/app/src/x.json" | "/home/me/p/app/it's.txt" | "/home/me/p/common/y.xml" | "/opt/tools/run" => {
                Some(There::File)
            }
            "/home/me/p/app/src/declared.json" | "/home/me/p/data/z" => Some(There::File),
            "/home/me/p/app/golden" => Some(There::Folder),
            _ => None,
        })
    }

    #[test]
    fn the_line_that_declares_a_file_is_shown() {
        let of = |task: &str, path: &str| hint(task, "java.nio.file.NoSuchFileException", path, "").unwrap_or_default();
        insta::assert_snapshot!(
            [
                of(":app:test", "/testfleet/project/app/src/x.json"),
                of(":app:test", "src/../src/./x.json"),
                of(":app:test", "golden -> elsewhere"),
                of(":app:test", "../common/y.xml"),
                of(":test", "app/src/x.json"),
                of(":app:test", "/testfleet/tools/run"),
                of(":app:test", "it's.txt"),
            ]
            .join("\n")
        );
    }

    #[test]
    fn it_is_found_in_all_that_programs_say() {
        let file = "java.io.FileNotFoundException";
        for (kind, message, stack) in [
            (file, "src/x.json (No such file or directory)", ""),
            (
                "java.lang.IllegalStateException",
                "no",
                "java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\nCaused by: java.io.FileNotFoundException: src/x.json (No such file or directory)\n\tat x",
            ),
            (
                "java.io.UncheckedIOException",
                "x",
                "x\nCaused by: java.nio.file.NoSuchFileException: /testfleet/project/app/src/x.json\n",
            ),
            ("java.io.IOException", "Cannot run program \"src/x.json\": error=2, No such file or directory", ""),
            (
                "java.io.IOException",
                "Cannot run program \"src/x.json\" (in directory \"/tmp\"): error=2, No such file or directory",
                "",
            ),
            ("E", "cat: src/x.json: No such file or directory", ""),
            ("E", "cannot open 'src/x.json': No such file or directory", ""),
        ] {
            let found = hint(":app:test", kind, message, stack);
            assert!(found.is_some_and(|hint| hint.contains("inputs.file('src/x.json')")), "{kind}: {message} {stack}");
        }
    }

    #[test]
    fn what_is_declared_or_not_there_gets_no_hint() {
        let file = "java.nio.file.NoSuchFileException";
        for path in [
            "src/declared.json",
            "/testfleet/project/data/z",
            "src/gone.json",
            "/etc/passwd",
            "../../../../../x",
            "",
            "/tmp/testfleet/w1/tmp/x",
        ] {
            assert_eq!(hint(":app:test", file, path, ""), None, "{path}");
        }
        assert_eq!(hint(":app:test", "org.opentest4j.AssertionFailedError", "src/x.json", ""), None);
        assert_eq!(hint(":other:test", file, "src/x.json", ""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_words_are_read(kind in ".{0,20}", message in "[a-z/. :\"()'-]{0,60}(No such file or directory)?.{0,20}", stack in "\\PC{0,200}") {
            hint(":app:test", &kind, &message, &stack);
        }
    }
}
