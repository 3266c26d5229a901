//! The classes of `native/engine/tests/fixtures`, compiled once for all tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use testfleet_protocol::request::Framework;

/// Class directories of the compiled fixtures.
pub(super) struct Fixtures {
    _folder: tempfile::TempDir,
    /// The test classes.
    pub(super) cases: PathBuf,
    /// Classes whose tests class files do not tell, and some beside them.
    pub(super) asked: PathBuf,
    /// The framework types.
    pub(super) stubs: PathBuf,
    /// Specifications, as Spock's compiler marks them.
    pub(super) specs: PathBuf,
    /// Types that only newer engines have, by which rules are chosen.
    pub(super) newer: PathBuf,
}

/// Compiles the fixtures, or gives those that were compiled already.
pub(super) fn compiled() -> &'static Fixtures {
    static COMPILED: OnceLock<Fixtures> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let classes = |name: &str| folder.path().join(name);
        let (stubs, cases, asked) = (classes("stubs"), classes("cases"), classes("asked"));
        let (specs, newer) = (classes("specs"), classes("newer"));
        compile(&sources.join("stubs"), &stubs, None);
        compile(&sources.join("cases"), &cases, Some(&stubs));
        compile(&sources.join("asked"), &asked, Some(&stubs));
        compile(&sources.join("specs"), &specs, Some(&stubs));
        compile(&sources.join("newer"), &newer, None);
        Fixtures { _folder: folder, cases, asked, stubs, specs, newer }
    })
}

/// `useTestNG()` with these groups.
pub(super) fn testng(include_groups: &[&str], exclude_groups: &[&str]) -> Framework {
    Framework::TestNg {
        include_groups: strings(include_groups),
        exclude_groups: strings(exclude_groups),
        listeners: vec![],
        parallel: None,
        thread_count: 0,
    }
}

/// `useJUnit()` with these categories.
pub(super) fn junit4(include_categories: &[&str], exclude_categories: &[&str]) -> Framework {
    Framework::JUnit4 {
        include_categories: strings(include_categories),
        exclude_categories: strings(exclude_categories),
    }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Compiles all sources below a folder.
pub(super) fn compile(sources: &Path, classes: &Path, classpath: Option<&Path>) {
    let javac = std::env::var_os("JAVA_HOME").map_or_else(|| "javac".into(), |home| Path::new(&home).join("bin/javac"));
    let mut command = Command::new(javac);
    command.args(["-nowarn", "-proc:none", "-d"]).arg(classes);
    if let Some(classpath) = classpath {
        command.arg("-cp").arg(classpath);
    }
    let files = walkdir::WalkDir::new(sources).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    command.args(files.filter(|path| path.extension().is_some_and(|extension| extension == "java")));
    let output = command.output().expect("javac is needed to compile the fixtures");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A directory that offers engines as a service, as an engine's jar does.
pub(super) fn engines(folder: &Path, classes: &[&str]) -> PathBuf {
    let services = folder.join("engines/META-INF/services");
    std::fs::create_dir_all(&services).unwrap();
    std::fs::write(services.join("org.junit.platform.engine.TestEngine"), classes.join("\n# comment\n")).unwrap();
    folder.join("engines")
}

/// A jar of some files of a directory.
pub(super) fn jar(path: &Path, dir: &Path, extra: &[(&str, &[u8])]) {
    let mut jar = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(dir).unwrap().to_str().unwrap();
            jar.start_file(name, options).unwrap();
            jar.write_all(&std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
    for (name, bytes) in extra {
        jar.start_file(*name, options).unwrap();
        jar.write_all(bytes).unwrap();
    }
    jar.finish().unwrap();
}
