//! The command line of a harness JVM.

use crate::args::Args;
use crate::coverage;
use crate::isolation::own_folders;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use testfleet_protocol::agent::{COVERAGE_VARIABLE, FOLDER_VARIABLE};
use testfleet_protocol::bundle::{Bundle, Profile};
use testfleet_protocol::path::Roots;
use testfleet_protocol::run_options::Isolation;
use testfleet_protocol::{Failure, FailureCode, Result};

const MAIN_CLASS: &str = "dev.testfleet.harness.Main";
/// What Gradle's own `--debug-jvm` adds, without the port.
const DEBUG: &str = "-agentlib:jdwp=transport=dt_socket,server=y,suspend=y,address=";

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) working_dir: PathBuf,
    /// Where a JVM that crashes tells of it; `%p` is its process id.
    pub(crate) crash_file: PathBuf,
    /// Where JaCoCo writes, if it is there.
    pub(crate) coverage: Option<PathBuf>,
}

/// Option of HotSpot for the file that a crash leaves.
const ERROR_FILE: &str = "-XX:ErrorFile=";

/// Places and numbers of this worker.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) args: &'a Args,
    /// `java.io.tmpdir` and `TMPDIR`.
    pub(crate) tmp: &'a Path,
    /// Folder of this one JVM, for its argument file and pipes.
    pub(crate) control: &'a Path,
}

impl Launch {
    /// The command for `profile`, whose harness is to talk over `pipes` (commands, results).
    ///
    /// # Errors
    /// [`FailureCode::JvmStart`] when the JVM or the working directory is not there.
    pub(crate) fn new(bundle: &Bundle, profile: &Profile, place: &Place<'_>, pipes: [&Path; 2]) -> Result<Self> {
        let home = java_home(profile, place.args)?;
        let roots = place.args.roots().with("jdk", &home).with("temp", place.tmp);
        let expand = |text: &str| expand(text, &roots, place.args);
        let working_dir = PathBuf::from(expand(&profile.working_dir));
        if !working_dir.is_dir() {
            return Err(Failure::new(
                FailureCode::JvmStart,
                format!(
                    "failed to start a JVM for {}: its working directory {} does not exist",
                    profile.task,
                    working_dir.display()
                ),
            )
            .hint("make the folder before the tests run, or set workingDir of the Test task"));
        }
        let program = home.join("bin/java");
        if !program.exists() {
            return Err(Failure::new(
                FailureCode::JvmStart,
                format!("failed to start a JVM for {}: {} does not exist", profile.task, program.display()),
            )
            .hint("install that JDK, or choose another launcher for the Test task"));
        }
        let class_path = std::iter::once(&bundle.harness_jar)
            .chain(&profile.classpath)
            .map(|entry| expand(entry))
            .collect::<Vec<_>>()
            .join(":");
        let mut environment: BTreeMap<_, _> =
            profile.environment.iter().map(|(name, value)| (name.clone(), expand(value))).collect();
        environment.insert("TESTFLEET_WORKER".to_owned(), place.args.worker.to_string());
        environment.insert("TESTFLEET_WORKERS".to_owned(), place.args.workers.to_string());
        environment.insert(FOLDER_VARIABLE.to_owned(), place.args.temp.display().to_string());
        environment.entry("TMPDIR".to_owned()).or_insert_with(|| place.tmp.display().to_string());
        // First, so that the build's own choice wins.
        let own_crash_file = place.control.join("hs_err_pid%p.log");
        let mut jvm_args = vec![
            format!("-Djava.io.tmpdir={}", place.tmp.display()),
            format!("{ERROR_FILE}{}", own_crash_file.display()),
        ];
        if place.args.isolation != Isolation::None {
            let own = own_folders(&place.args.temp.join("home"))?;
            for (name, value) in own.environment {
                environment.entry(name).or_insert(value);
            }
            jvm_args.extend(own.properties.iter().map(|(name, value)| format!("-D{name}={value}")));
        }
        jvm_args.extend(profile.jvm_args.iter().map(|arg| expand(arg)));
        let crash_file = jvm_args.iter().rev().find_map(|arg| arg.strip_prefix(ERROR_FILE)).map(|file| {
            // The build's own may be relative.
            working_dir.join(file)
        });
        let own_coverage = place.control.join("jacoco.exec");
        let mut coverage = None;
        for arg in &mut jvm_args {
            if let Some(redirected) = coverage::redirected(arg, &own_coverage) {
                *arg = redirected;
                environment.insert(COVERAGE_VARIABLE.to_owned(), own_coverage.display().to_string());
                coverage = Some(own_coverage.clone());
            }
        }
        if place.args.debug_jvm {
            // In a container, whoever attaches comes from outside; JVMs before 9 listen everywhere anyway.
            let everywhere = place.args.socket.is_some() && profile.java_version >= 9;
            jvm_args.push(format!("{DEBUG}{}5005", if everywhere { "*:" } else { "" }));
        }
        let mut args;
        if profile.java_version >= 9 {
            // An argument file takes class paths longer than the 128 KiB that Linux allows for one argument.
            jvm_args.extend(["-cp".to_owned(), class_path]);
            let file = place.control.join("args");
            fs::write(&file, argument_file(&jvm_args)).map_err(|error| Failure::io("write", &file, &error))?;
            args = vec![format!("@{}", file.display())];
        } else {
            environment.insert("CLASSPATH".to_owned(), class_path);
            args = jvm_args;
        }
        args.push(MAIN_CLASS.to_owned());
        args.extend(pipes.map(|pipe| pipe.display().to_string()));
        let crash_file = crash_file.unwrap_or(own_crash_file);
        Ok(Self { program, args, environment, working_dir, crash_file, coverage })
    }
}

/// The profile's own JVM on the machine that made the bundle; elsewhere the one that the worker brings.
fn java_home(profile: &Profile, args: &Args) -> Result<PathBuf> {
    profile
        .java_home
        .as_ref()
        .map(PathBuf::from)
        .or_else(|| args.roots().get("jdk").map(Path::to_owned))
        .or_else(|| std::env::var_os("JAVA_HOME").map(PathBuf::from))
        .ok_or_else(|| {
            Failure::new(FailureCode::JvmStart, format!("failed to find a JVM for {}", profile.task))
                .hint("set JAVA_HOME for the worker, or start its agent with --root jdk=FOLDER")
        })
}

fn expand(text: &str, roots: &Roots, args: &Args) -> String {
    roots.expand(text).replace("{worker}", &args.worker.to_string()).replace("{workers}", &args.workers.to_string())
}

/// The text of a `java @file`: one quoted argument a line, as "java Command-Line Argument Files" has it.
fn argument_file(args: &[String]) -> String {
    let mut text = String::new();
    for arg in args {
        text.push('"');
        for c in arg.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                c => text.push(c),
            }
        }
        text.push_str("\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_for_javas_own_reader() {
        let args = ["-Da=b c".to_owned(), "-Dq=\"x\\y\"\n".to_owned(), String::new()];
        assert_eq!(argument_file(&args), "\"-Da=b c\"\n\"-Dq=\\\"x\\\\y\\\"\\n\"\n\"\"\n");
    }

    #[test]
    fn a_real_java_reads_the_arguments_as_they_were() {
        let odd =
            ["plain", "two words", "\"quoted\" 'single'", "back\\slash\\", "# no comment", "@at", "$HOME *", "é€"];
        let mut args: Vec<_> = odd.iter().enumerate().map(|(index, odd)| format!("-Dodd.{index}={odd}")).collect();
        // Without it a JVM of a POSIX locale shows other characters than it holds.
        args.extend(
            ["-Dfile.encoding=UTF-8", "-Dsun.stderr.encoding=UTF-8", "-Dstderr.encoding=UTF-8"].map(str::to_owned),
        );
        args.extend(["-XshowSettings:properties", "-version"].map(str::to_owned));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("args");
        fs::write(&file, argument_file(&args)).unwrap();
        let java =
            std::env::var_os("JAVA_HOME").map_or_else(|| "java".into(), |home| Path::new(&home).join("bin/java"));
        let shown = std::process::Command::new(java)
            .arg(format!("@{}", file.display()))
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("a java on the path or in JAVA_HOME");
        let text = String::from_utf8_lossy(&shown.stderr);
        for (index, odd) in odd.iter().enumerate() {
            let line = format!("odd.{index} = {odd}");
            assert!(text.lines().any(|found| found.trim() == line), "no {line} in {text}");
        }
    }
}
