//! Builds on disk for tests: class files with just what a test needs, in folders and jars.

use super::{Keys, PassedBefore, Store};
use crate::discover::{DiscoveredTask, Discovery, TestClass};
use crate::test_request;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use testfleet_protocol::plan::Unit;
use testfleet_protocol::request::{Reuse, RunRequest};
use testfleet_protocol::test::{TaskPath, TestName};

pub(super) const TASK: &str = ":app:test";

/// A class file that extends `java.lang.Object`, mentions `classes` and `texts`, and calls static methods.
pub(super) fn class_file(name: &str, classes: &[&str], texts: &[&str], calls: &[(&str, &str)]) -> Vec<u8> {
    let mut pool = Pool::default();
    let this = pool.class(name);
    let parent = pool.class("java/lang/Object");
    for class in classes {
        pool.class(class);
    }
    for text in texts {
        pool.text(text);
    }
    for (class, method) in calls {
        let (class, method, descriptor) = (pool.class(class), pool.text(method), pool.text("()V"));
        let name_and_type = pool.add(&[12], &[method, descriptor]);
        pool.add(&[10], &[class, name_and_type]);
    }
    let mut bytes = vec![0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 52];
    bytes.extend((pool.count + 1).to_be_bytes());
    bytes.extend(pool.bytes);
    bytes.extend([0, 0x21]);
    bytes.extend(this.to_be_bytes());
    bytes.extend(parent.to_be_bytes());
    bytes.extend([0; 8]);
    bytes
}

#[derive(Default)]
struct Pool {
    bytes: Vec<u8>,
    count: u16,
}

impl Pool {
    fn add(&mut self, head: &[u8], indexes: &[u16]) -> u16 {
        self.bytes.extend(head);
        indexes.iter().for_each(|index| self.bytes.extend(index.to_be_bytes()));
        self.count += 1;
        self.count
    }

    fn text(&mut self, text: &str) -> u16 {
        let mut head = vec![1];
        head.extend((text.len() as u16).to_be_bytes());
        head.extend(text.as_bytes());
        self.add(&head, &[])
    }

    fn class(&mut self, name: &str) -> u16 {
        let name = self.text(name);
        self.add(&[7], &[name])
    }
}

/// A build with one Test task, whose classpath is the folder `tests`, the folder `main` and the jar `lib/build/lib.jar` of
/// the project, and the jar `dep.jar` of Gradle's cache.
pub(super) struct Build {
    pub(super) folder: tempfile::TempDir,
    pub(super) request: RunRequest,
    jar: BTreeMap<String, Vec<u8>>,
    tests: Vec<TestClass>,
}

impl Build {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for dir in ["project/tests", "project/main", "project/lib/build", "gradle", "jdk"] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        for (file, text) in
            [("gradle/dep.jar", "dep"), ("harness.jar", "harness"), ("agent", "agent"), ("jdk/release", "17")]
        {
            std::fs::write(at(file), text).unwrap();
        }
        let mut request = test_request::empty();
        request.roots = [("project", "project"), ("build", "project/build/testfleet"), ("gradleHome", "gradle")]
            .map(|(name, dir)| (name.to_owned(), at(dir)))
            .into();
        (request.harness_jar, request.agent) = (at("harness.jar"), at("agent"));
        let mut task = test_request::task(TASK);
        task.class_dirs = vec![at("project/tests")];
        task.classpath =
            ["project/tests", "project/main", "project/lib/build/lib.jar", "gradle/dep.jar"].map(at).into();
        task.working_dir = at("project");
        task.java.home = at("jdk");
        request.tasks = vec![task];
        let mut build = Self { folder, request, jar: BTreeMap::new(), tests: Vec::new() };
        build.write_jar();
        build
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(super) fn write(&mut self, path: &str, bytes: impl AsRef<[u8]>) -> &mut Self {
        if let Some(entry) = path.strip_prefix("lib.jar/") {
            self.jar.insert(entry.to_owned(), bytes.as_ref().to_vec());
            self.write_jar();
        } else {
            let path = self.folder.path().join("project").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        self
    }

    /// Writes a class that mentions `classes`, below `place`: `tests`, `main` or `lib.jar`. `version` is what a change changes.
    pub(super) fn class(&mut self, place: &str, name: &str, classes: &[&str], version: &str) -> &mut Self {
        let bytes = class_file(name, classes, &[version], &[]);
        self.write(&format!("{place}/{name}.class"), bytes)
    }

    /// Declares a file or folder of the project as an input.
    pub(super) fn input(&mut self, path: &str) {
        let path = self.path("project").join(path);
        self.request.tasks[0].declared_inputs.push(path);
    }

    /// Makes a class one with a test.
    pub(super) fn test(&mut self, name: &str) -> &mut Self {
        let class = name.replace('/', ".");
        let tests = vec![TestName { class: class.clone(), method: "works()".into() }];
        self.tests.push(TestClass { class, tests, whole_class: true, ..TestClass::default() });
        self
    }

    fn write_jar(&mut self) {
        let file = std::fs::File::create(self.path("project/lib/build/lib.jar")).unwrap();
        let mut jar = zip::ZipWriter::new(file);
        for (name, bytes) in &self.jar {
            jar.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            jar.write_all(bytes).unwrap();
        }
        jar.finish().unwrap();
    }

    pub(super) fn discovery(&self) -> Discovery {
        let task = DiscoveredTask { task: TaskPath(TASK.into()), searched: 1, classes: self.tests.clone() };
        Discovery { tasks: vec![task], notices: Vec::new() }
    }

    pub(super) fn keys(&self) -> Keys {
        Keys::of(&self.request, &self.discovery()).unwrap()
    }

    pub(super) fn key(&self, class: &str) -> String {
        self.keys().of_class(&TaskPath(TASK.into()), class).unwrap().key.clone()
    }

    /// Why a test class counts by its whole classpath.
    pub(super) fn why(&self, class: &str) -> Option<String> {
        self.keys().of_class(&TaskPath(TASK.into()), class).unwrap().whole_classpath.clone()
    }

    /// Names of the test classes that would run after all passed with `before`.
    pub(super) fn changed(&self, before: &Keys) -> Vec<String> {
        let after = self.keys();
        after
            .iter()
            .filter(|(task, class, key)| before.of_class(task, class).map(|known| &known.key) != Some(&key.key))
            .map(|(_, class, _)| class.to_owned())
            .collect()
    }
}

/// A unit of one test class.
pub(super) fn unit(class: &str, tests: &[&str]) -> Unit {
    Unit {
        task: TaskPath(TASK.into()),
        class: class.into(),
        tests: tests.iter().map(|method| TestName { class: class.into(), method: (*method).into() }).collect(),
        whole_class: true,
        ..Unit::default()
    }
}

pub(super) fn passed<'a>(keys: &'a Keys, store: &'a Store) -> PassedBefore<'a> {
    PassedBefore { keys, store, reuse: Reuse::Auto }
}

/// Copies a folder with everything in it.
pub(super) fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
