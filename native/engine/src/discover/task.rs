//! Discovery of one Test task.

use super::ant_pattern::FileFilter;
use super::class_file::{ClassFile, Nesting};
use super::classpath::Classpath;
use super::container::{Container, Containers};
use super::engines::Engines;
use super::found::FoundTest;
use super::junit4::JUnit4Class;
use super::selection::Selection;
use super::settings::JupiterSettings;
use super::{DiscoveredTask, FoundBy, Notice, TestClass, Traits, junit4, jupiter, notices, spock, testng, traits};
use noak::AccessFlags;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::request::{Framework, TestTask};
use testfleet_protocol::test::TestName;

/// Finds the tests of a task, with what the user should know about it.
///
/// # Errors
/// As for [`super::discover`].
pub(super) fn discover(
    task: &TestTask,
    command_line: &[String],
    containers: &Containers,
) -> Result<(DiscoveredTask, Vec<Notice>)> {
    let search = Search::new(task, command_line, containers)?;
    let (candidates, searched) = search.candidates(task, containers)?;
    let looked_at: Vec<(Option<TestClass>, Vec<Notice>)> =
        candidates.par_iter().map(|class| search.look_at(class)).collect::<Result<_>>()?;
    let mut notices = search.notices();
    let mut classes = Vec::new();
    for (class, of_class) in looked_at {
        classes.extend(class);
        notices.extend(of_class);
    }
    classes.sort_by(|a, b| a.class.cmp(&b.class));
    Ok((DiscoveredTask { task: task.path.clone(), searched, classes }, notices))
}

struct Search<'a> {
    task: &'a TestTask,
    classpath: Classpath,
    engines: Engines,
    selection: Selection,
    settings: JupiterSettings,
    /// Hashes and sizes of the class files of the task's class directories, by class name.
    own: std::sync::OnceLock<BTreeMap<String, ([u8; 32], u64)>>,
}

/// What one framework found in a class.
type Find = (FoundBy, Vec<FoundTest>);

impl<'a> Search<'a> {
    fn new(task: &'a TestTask, command_line: &[String], containers: &Containers) -> Result<Self> {
        let mut paths: Vec<&PathBuf> = task.class_dirs.iter().collect();
        paths.extend(task.classpath.iter().filter(|path| !task.class_dirs.contains(path)));
        paths.extend(&task.launcher_classpath);
        let classpath = Classpath::new(paths.into_iter().map(|path| containers.get(path)).collect());
        let engines = match &task.framework {
            Framework::JunitPlatform { include_engines, exclude_engines, .. } => {
                Engines::find(&classpath, include_engines, exclude_engines)?
            }
            _ => Engines::default(),
        };
        let selection = Selection::new(task, command_line)?;
        let settings =
            if engines.jupiter { JupiterSettings::find(&classpath, task)? } else { JupiterSettings::default() };
        Ok(Self { task, classpath, engines, selection, settings, own: std::sync::OnceLock::new() })
    }

    fn notices(&self) -> Vec<Notice> {
        match self.task.framework {
            Framework::JunitPlatform { .. } => notices::about_engines(&self.task.path, &self.engines),
            _ => Vec::new(),
        }
    }

    /// The classes that Gradle would look at, each read, and how many there were before the patterns for names of tests.
    fn candidates(&self, task: &TestTask, containers: &Containers) -> Result<(Vec<Arc<ClassFile>>, u64)> {
        let filter = FileFilter::new(&task.includes, &task.excludes);
        let mut files: Vec<(Arc<Container>, String)> = Vec::new();
        for dir in &task.class_dirs {
            let container = containers.get(dir);
            let paths = container.class_paths()?;
            files.extend(paths.into_iter().map(|path| (Arc::clone(&container), path)));
        }
        let read: Vec<Option<Arc<ClassFile>>> = files
            .par_iter()
            .map(|(container, path)| {
                let class = container.class_at(path)?;
                if let Some(class) = &class {
                    container.remember(class);
                }
                Ok(class)
            })
            .collect::<Result<_>>()?;
        let mut seen = BTreeSet::new();
        let mut hashes = BTreeMap::new();
        let mut candidates = Vec::new();
        let mut searched = 0;
        for ((_, path), class) in files.iter().zip(read) {
            let Some(class) = class else { continue };
            // A file under another name than its class's can't be loaded from here.
            let is_in_place = class.name.replace('.', "/") == path.trim_end_matches(".class");
            if !is_in_place || !seen.insert(class.name.clone()) {
                continue;
            }
            hashes.insert(class.name.clone(), (class.sha256, class.size));
            if !filter.accepts(path) || is_anonymous(&class.name) {
                continue;
            }
            searched += 1;
            if self.selection.patterns.may_include_class(&class.name) {
                candidates.push(class);
            }
        }
        let _ = self.own.set(hashes);
        Ok((candidates, searched))
    }

    fn look_at(&self, class: &Arc<ClassFile>) -> Result<(Option<TestClass>, Vec<Notice>)> {
        let mut notices = Vec::new();
        let finds = self.find(class, &mut notices)?;
        let Some(framework) = finds.iter().map(|(framework, _)| *framework).min() else {
            // What can't be known is worth a word only where it was asked for.
            let patterns = &self.selection.patterns;
            let is_asked_for = patterns.is_empty() || patterns.selects_class(&class.name);
            return Ok((None, if is_asked_for { notices } else { Vec::new() }));
        };
        let traits = traits::of(&self.classpath, &self.settings, class, &finds)?;
        let mut wanted: BTreeSet<TestName> = BTreeSet::new();
        let mut whole_class = true;
        for test in finds.into_iter().flat_map(|(_, tests)| tests) {
            if self.selection.wants(&test, &self.classpath)? {
                wanted.insert(test.name);
            } else {
                whole_class = false;
            }
        }
        if wanted.is_empty() {
            return Ok((None, if whole_class { notices } else { Vec::new() }));
        }
        let (sha256, bytes) = self.hash(class)?;
        let traits = Traits { bytes, ..traits };
        let tests = wanted.into_iter().collect();
        Ok((
            Some(TestClass {
                class: class.name.clone(),
                framework,
                tests,
                whole_class,
                sha256,
                traits,
                ..Default::default()
            }),
            notices,
        ))
    }

    fn find(&self, class: &Arc<ClassFile>, notices: &mut Vec<Notice>) -> Result<Vec<Find>> {
        let mut finds = match self.task.framework {
            Framework::JunitPlatform { .. } => self.find_on_platform(class, notices)?,
            Framework::JUnit4 { .. } => self.find_junit4(class, notices)?,
            Framework::TestNg { .. } => self.find_testng(class, notices)?,
        };
        finds.retain(|(_, tests)| !tests.is_empty());
        Ok(finds)
    }

    fn find_on_platform(&self, class: &Arc<ClassFile>, notices: &mut Vec<Notice>) -> Result<Vec<Find>> {
        // Gradle gives the launcher no inner, local or anonymous class.
        if class.is_inner() || class.nesting == Nesting::Local || self.is_run_by_enclosing(class)? {
            return Ok(Vec::new());
        }
        let mut finds = Vec::new();
        if self.engines.jupiter {
            let mut cyclic = Vec::new();
            finds.push((FoundBy::Jupiter, jupiter::find(&self.classpath, class, &mut cyclic)?));
            notices.extend(cyclic.iter().map(|nested| notices::cyclic_nesting(&self.task.path, nested)));
        }
        // junit-vintage-engine takes public classes alone.
        if self.engines.vintage && class.has(AccessFlags::PUBLIC) {
            finds.extend(self.find_junit4(class, notices)?);
        }
        if self.engines.testng {
            finds.extend(self.find_testng(class, notices)?);
        }
        if self.engines.spock {
            finds.push((FoundBy::Spock, spock::find(&self.classpath, class)?));
        }
        if self.engines.suite && class.annotation("org.junit.platform.suite.api.Suite").is_some() {
            let why = "@Suite selects its tests while it runs";
            notices.push(notices::unknown_tests(&self.task.path, &class.name, why));
        }
        Ok(finds)
    }

    fn find_junit4(&self, class: &Arc<ClassFile>, notices: &mut Vec<Notice>) -> Result<Vec<Find>> {
        // Nor does Gradle take an inner class for one of JUnit 4, nor the engine.
        if class.flags.intersects(AccessFlags::ABSTRACT | AccessFlags::INTERFACE)
            || class.is_inner()
            || class.nesting == Nesting::Local
            || self.is_run_by_enclosing(class)?
        {
            return Ok(Vec::new());
        }
        Ok(match junit4::find(&self.classpath, class)? {
            JUnit4Class::NoTests => Vec::new(),
            JUnit4Class::Annotated(tests) => vec![(FoundBy::JUnit4, tests)],
            JUnit4Class::Suite(tests) => vec![(FoundBy::Suite, tests)],
            JUnit4Class::JUnit3(tests) => {
                let mut chain = self.classpath.superclasses(class)?;
                chain.insert(0, Arc::clone(class));
                if junit4::has_suite_method(&chain) {
                    let why = "its method suite() makes the tests while it runs";
                    notices.push(notices::guessed_tests(&self.task.path, &class.name, why));
                }
                vec![(FoundBy::JUnit3, tests)]
            }
            // Gradle's own search for JUnit 4 classes does not see a class that has nothing but suite().
            JUnit4Class::Unknown(why) => {
                if self.engines.vintage
                    || junit4::runner(&self.classpath, class)?.is_some()
                    || self.classpath.is_subtype(&class.name, junit4::TEST_CASE)?
                {
                    notices.push(notices::unknown_tests(&self.task.path, &class.name, &why));
                }
                Vec::new()
            }
        })
    }

    fn find_testng(&self, class: &Arc<ClassFile>, notices: &mut Vec<Notice>) -> Result<Vec<Find>> {
        let found = testng::find(&self.classpath, class)?;
        if found.has_factory_method {
            notices.push(notices::factory_method(&self.task.path, &class.name));
        }
        Ok(vec![(FoundBy::TestNg, found.tests)])
    }

    fn is_run_by_enclosing(&self, class: &ClassFile) -> Result<bool> {
        if matches!(class.nesting, Nesting::Member { .. }) {
            junit4::is_run_by_enclosing(&self.classpath, class)
        } else {
            Ok(false)
        }
    }

    /// Hash and size, in bytes, of the class, of all that is declared in it, and of its ancestors.
    fn hash(&self, class: &ClassFile) -> Result<(String, u64)> {
        let mut files: BTreeMap<String, ([u8; 32], u64)> = BTreeMap::new();
        let mut todo = vec![(class.name.clone(), (class.sha256, class.size))];
        for superclass in self.classpath.superclasses(class)? {
            todo.push((superclass.name.clone(), (superclass.sha256, superclass.size)));
        }
        for name in &class.interfaces {
            todo.extend(
                self.classpath
                    .class(name)?
                    .map(|interface| (interface.name.clone(), (interface.sha256, interface.size))),
            );
        }
        for (name, file) in todo {
            if let Some(own) = self.own.get() {
                let nested = format!("{name}$");
                let declared = own.range(nested.clone()..).take_while(|(other, _)| other.starts_with(&nested));
                files.extend(declared.map(|(other, file)| (other.clone(), *file)));
            }
            files.insert(name, file);
        }
        let mut hasher = Sha256::new();
        for (name, (sha256, _)) in &files {
            hasher.update(name.as_bytes());
            hasher.update([0]);
            hasher.update(sha256);
        }
        Ok((crate::hash::hex(&hasher.finalize()), files.values().map(|(_, size)| size).sum()))
    }
}

/// Gradle leaves out what is named like an anonymous class: `Foo$1`.
fn is_anonymous(class: &str) -> bool {
    class.rsplit_once('$').is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}
