//! Discovery of one Test task.

use super::ask::{Answer, Answers, Question, Reason, only_known};
use super::ask_verify::BothSides;
use super::class_file::{ClassFile, Nesting};
use super::classpath::Classpath;
use super::container::{Container, Containers, is_path_of};
use super::engines::Engines;
use super::found::FoundTest;
use super::junit4::{Host, JUnit4Class};
use super::selection::Selection;
use super::settings::JupiterSettings;
use super::{DiscoveredTask, FoundBy, Notice, TestClass, Traits};
use super::{ask_runners, junit4, jupiter, notices, spock, testng, traits};
use noak::AccessFlags;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::ant_pattern::FileFilter;
use testfleet_protocol::request::{Framework, TestTask};
use testfleet_protocol::test::{TaskPath, TestName};

/// What class files tell of a task's tests.
pub(super) struct Looked<'a> {
    search: Search<'a>,
    searched: u64,
    /// Of each candidate, by name.
    looks: Vec<Look>,
}

/// What the class files of one candidate tell.
struct Look {
    file: Arc<ClassFile>,
    found: Option<TestClass>,
    /// Whether the framework is given the class: otherwise there is nothing to ask.
    is_given: bool,
    doubts: Doubts,
}

/// What is left to say, or to ask, of a class.
#[derive(Default)]
struct Doubts {
    notices: Vec<Notice>,
    /// Why its framework is asked about it, the weightiest first.
    reason: Option<Reason>,
    /// What to say when it isn't.
    unasked: Vec<Notice>,
}

impl Doubts {
    fn ask(&mut self, reason: Reason, unasked: Option<Notice>) {
        self.reason = Some(self.reason.take().map_or(reason.clone(), |known| known.min(reason)));
        self.unasked.extend(unasked);
    }
}

/// Looks at the class files of a task.
///
/// # Errors
/// As for [`super::discover`].
pub(super) fn look<'a>(task: &'a TestTask, command_line: &[String], containers: &Containers) -> Result<Looked<'a>> {
    let search = Search::new(task, command_line, containers)?;
    let (candidates, searched) = search.candidates(task, containers)?;
    let mut looks: Vec<Look> = candidates.par_iter().map(|class| search.look_at(class)).collect::<Result<_>>()?;
    looks.sort_by(|a, b| a.file.name.cmp(&b.file.name));
    Ok(Looked { search, searched, looks })
}

impl Looked<'_> {
    /// What to ask the framework, if anything: of all that it would be given, or of what class files can't tell.
    pub(super) fn question(&self, everything: bool) -> Option<Question> {
        let mut question =
            Question { task: self.search.task.path.clone(), classes: Vec::new(), reasons: BTreeMap::new() };
        for look in self.looks.iter().filter(|look| look.is_given || look.found.is_some()) {
            let why = look.doubts.reason.as_ref().map(Reason::text);
            if let Some(why) = why.or(everything.then_some("--verify")) {
                *question.reasons.entry(why.to_owned()).or_default() += 1;
                question.classes.push(look.file.name.clone());
            }
        }
        (!question.classes.is_empty()).then_some(question)
    }

    /// The tests of the task, with what the user should know about it. `answers` are those to [`Self::question`]; without
    /// any, class files alone decide.
    ///
    /// # Errors
    /// As for [`Answers::settle`].
    pub(super) fn settle(self, answers: Option<&BTreeMap<String, Answer>>) -> Result<(DiscoveredTask, Vec<Notice>)> {
        let search = &self.search;
        let mut notices = search.notices(answers.is_some());
        let mut classes = Vec::new();
        for look in self.looks {
            let answer = look.doubts.reason.as_ref().and(answers).and_then(|all| all.get(&look.file.name));
            let Look { file, found, doubts, .. } = look;
            let Some(answer) = answer else {
                classes.extend(found);
                notices.extend(doubts.notices.into_iter().chain(doubts.unasked));
                continue;
            };
            let (settled, told) =
                search.answers().settle(search.bare(&file)?, found, doubts.reason.as_ref(), answer)?;
            classes.extend(settled);
            notices.extend(doubts.notices.into_iter().chain(told));
        }
        each_test_once(&search.task.path, &mut classes, &mut notices);
        let task = DiscoveredTask { task: search.task.path.clone(), searched: self.searched, classes };
        Ok((task, notices))
    }

    /// Both sides of each class that the framework was asked about: what class files tell and what it answered, after all filters.
    ///
    /// # Errors
    /// As for [`Answers::settle`].
    pub(super) fn both_sides(&self, answers: &BTreeMap<String, Answer>) -> Result<Vec<BothSides>> {
        let mut sides = Vec::new();
        for look in &self.looks {
            let Some(answer) = answers.get(&look.file.name) else { continue };
            let reason = look.doubts.reason.as_ref();
            let is_answer = match (reason, answer) {
                (Some(Reason::Suite(_) | Reason::More(_)), _) => true,
                (_, Answer::Found { engines, .. }) => !only_known(engines),
                (_, Answer::Refused(_)) => false,
            };
            let refused = match answer {
                Answer::Refused(thrown) => Some(thrown.clone()),
                Answer::Found { .. } => None,
            };
            let framework = match answer {
                Answer::Found { .. } => {
                    let class = TestClass { class: look.file.name.clone(), ..TestClass::default() };
                    self.search.answers().settle(class, None, reason, answer)?.0.map(|class| class.tests)
                }
                Answer::Refused(_) => None,
            };
            sides.push(BothSides {
                task: self.search.task.path.clone(),
                class: look.file.name.clone(),
                class_files: look.found.as_ref().map(|class| class.tests.clone()).unwrap_or_default(),
                framework: framework.unwrap_or_default(),
                refused,
                only_asking_tells: is_answer,
            });
        }
        Ok(sides)
    }
}

/// Two classes of one task can have a test of the same name only where one names the tests of the other: it then has one
/// verdict, that of the class whose own it is.
fn each_test_once(task: &TaskPath, classes: &mut Vec<TestClass>, notices: &mut Vec<Notice>) {
    if !classes.iter().any(|class| class.asked) {
        return;
    }
    let mut owners: BTreeMap<TestName, String> = BTreeMap::new();
    let own_first = |class: &TestClass, test: &TestName| (test.class != class.class, class.asked);
    let mut all: Vec<(&TestClass, &TestName)> =
        classes.iter().flat_map(|class| class.tests.iter().map(move |test| (class, test))).collect();
    all.sort_by_key(|(class, test)| own_first(class, test));
    for (class, test) in all {
        owners.entry(test.clone()).or_insert_with(|| class.class.clone());
    }
    for class in classes.iter_mut() {
        let before = class.tests.len();
        class.tests.retain(|test| {
            let is_own = owners.get(test) == Some(&class.class);
            if !is_own {
                notices.push(notices::same_test(task, &class.class, &test.to_string()));
            }
            is_own
        });
        class.whole_class &= class.tests.len() == before;
    }
    classes.retain(|class| !class.tests.is_empty());
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
        let classpath = Classpath::new(paths.into_iter().map(|path| containers.get(path, task.java.version)).collect());
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

    fn notices(&self, asked: bool) -> Vec<Notice> {
        let mut all = Vec::new();
        if let Framework::JunitPlatform { .. } = self.task.framework {
            all.extend(notices::no_engine(&self.task.path, &self.engines));
            if !asked {
                all.extend(notices::unasked_engines(&self.task.path, &self.engines));
            }
        }
        all
    }

    fn answers(&self) -> Answers<'_> {
        Answers { task: &self.task.path, classpath: &self.classpath, selection: &self.selection }
    }

    /// The classes that Gradle would look at, each read, and how many there were before the patterns for names of tests.
    fn candidates(&self, task: &TestTask, containers: &Containers) -> Result<(Vec<Arc<ClassFile>>, u64)> {
        let filter = FileFilter::new(&task.includes, &task.excludes);
        let mut files: Vec<(Arc<Container>, String)> = Vec::new();
        for dir in &task.class_dirs {
            let container = containers.get(dir, task.java.version);
            let paths = container.class_paths()?;
            files.extend(paths.into_iter().map(|path| (Arc::clone(&container), path)));
        }
        let read: Vec<Option<Arc<ClassFile>>> =
            files.par_iter().map(|(container, path)| container.class_at(path)).collect::<Result<_>>()?;
        let mut hashes: BTreeMap<String, ([u8; 32], u64)> = BTreeMap::new();
        let mut candidates = Vec::new();
        let mut searched = 0;
        for ((_, path), class) in files.iter().zip(read) {
            let Some(class) = class else { continue };
            // A file under another name than its class's can't be loaded from here.
            if !is_path_of(path, &class.name) {
                continue;
            }
            let Entry::Vacant(entry) = hashes.entry(class.name.clone()) else { continue };
            entry.insert((class.sha256, class.size));
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

    fn look_at(&self, class: &Arc<ClassFile>) -> Result<Look> {
        let is_given = self.is_given(class)?;
        let mut look = Look { file: Arc::clone(class), found: None, is_given, doubts: Doubts::default() };
        let finds = self.find(class, is_given, &mut look.doubts)?;
        if is_given && !self.engines.others.is_empty() {
            look.doubts.ask(Reason::Engine(format!("the engine {}", self.engines.others.join(", "))), None);
        }
        // What can't be known is worth a word only where it was asked for.
        let patterns = &self.selection.patterns;
        let is_asked_for = patterns.is_empty() || patterns.selects_class(&class.name);
        let Some(framework) = finds.iter().map(|(framework, _)| *framework).min() else {
            if !is_asked_for {
                look.doubts.notices.clear();
                look.doubts.unasked.clear();
            }
            return Ok(look);
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
            if !whole_class {
                look.doubts.notices.clear();
                look.doubts.unasked.clear();
            }
            return Ok(look);
        }
        let tests = wanted.into_iter().collect();
        let bare = self.bare(class)?;
        let traits = Traits { bytes: bare.traits.bytes, ..traits };
        look.found = Some(TestClass { framework, tests, whole_class, traits, ..bare });
        Ok(look)
    }

    /// A class with its name, hash and size, and nothing else.
    fn bare(&self, class: &ClassFile) -> Result<TestClass> {
        let (sha256, bytes) = self.hash(class)?;
        let traits = Traits { bytes, ..Traits::default() };
        Ok(TestClass { class: class.name.clone(), sha256, traits, ..TestClass::default() })
    }

    /// Whether Gradle gives the class to the framework.
    fn is_given(&self, class: &ClassFile) -> Result<bool> {
        let is_concrete = !class.flags.intersects(AccessFlags::ABSTRACT | AccessFlags::INTERFACE);
        Ok(match self.task.framework {
            // The launcher gets no inner, local or anonymous class.
            Framework::JunitPlatform { .. } => {
                !class.is_inner() && class.nesting != Nesting::Local && !self.is_run_by_enclosing(class)?
            }
            Framework::JUnit4 { .. } => {
                is_concrete
                    && !class.is_inner()
                    && !self.is_run_by_enclosing(class)?
                    && (!self.task.scan_for_test_classes || ask_runners::looks_like_a_test(&self.classpath, class)?)
            }
            Framework::TestNg { .. } => is_concrete,
        })
    }

    fn find(&self, class: &Arc<ClassFile>, is_given: bool, doubts: &mut Doubts) -> Result<Vec<Find>> {
        let mut finds = match self.task.framework {
            Framework::JunitPlatform { .. } if !is_given => Vec::new(),
            Framework::JunitPlatform { .. } => self.find_on_platform(class, doubts)?,
            Framework::JUnit4 { .. } => self.find_junit4(class, doubts)?,
            Framework::TestNg { .. } => self.find_testng(class, doubts)?,
        };
        finds.retain(|(_, tests)| !tests.is_empty());
        Ok(finds)
    }

    fn find_on_platform(&self, class: &Arc<ClassFile>, doubts: &mut Doubts) -> Result<Vec<Find>> {
        let mut finds = Vec::new();
        if self.engines.jupiter {
            let mut cyclic = Vec::new();
            finds.push((FoundBy::Jupiter, jupiter::find(&self.classpath, class, &mut cyclic)?));
            doubts.notices.extend(cyclic.iter().map(|nested| notices::cyclic_nesting(&self.task.path, nested)));
        }
        // junit-vintage-engine takes public classes alone.
        if self.engines.vintage && class.has(AccessFlags::PUBLIC) {
            finds.extend(self.find_junit4(class, doubts)?);
        }
        if self.engines.testng {
            finds.extend(self.find_testng(class, doubts)?);
        }
        if self.engines.spock {
            finds.push((FoundBy::Spock, spock::find(&self.classpath, class)?));
        }
        if self.engines.suite && ask_runners::is_suite(&self.classpath, class)? {
            let why = "@Suite selects its tests while it runs";
            let unasked = notices::unknown_tests(&self.task.path, &class.name, why);
            doubts.ask(Reason::Suite("@Suite".to_owned()), Some(unasked));
        }
        Ok(finds)
    }

    fn find_junit4(&self, class: &Arc<ClassFile>, doubts: &mut Doubts) -> Result<Vec<Find>> {
        // Nor does Gradle take an inner class for one of JUnit 4, nor the engine.
        if class.flags.intersects(AccessFlags::ABSTRACT | AccessFlags::INTERFACE)
            || class.is_inner()
            || class.nesting == Nesting::Local
            || self.is_run_by_enclosing(class)?
        {
            return Ok(Vec::new());
        }
        let host = match self.task.framework {
            Framework::JunitPlatform { .. } => Host::Vintage,
            Framework::JUnit4 { .. } | Framework::TestNg { .. } => Host::Gradle,
        };
        Ok(match junit4::find(&self.classpath, class, host)? {
            JUnit4Class::NoTests => Vec::new(),
            JUnit4Class::Annotated(tests) => {
                if let Some(why) = ask_runners::doubt(&self.classpath, class)? {
                    doubts.ask(Reason::More(why), None);
                }
                vec![(FoundBy::JUnit4, tests)]
            }
            JUnit4Class::Suite(tests) => {
                if let Some(why) = ask_runners::unknown_member(&self.classpath, class, host)? {
                    let text = format!("it holds a class of which class files do not tell the tests: {why}");
                    let unasked = notices::missed_tests(&self.task.path, &class.name, &text);
                    doubts.ask(Reason::Suite(format!("a suite with {why}")), Some(unasked));
                }
                vec![(FoundBy::Suite, tests)]
            }
            JUnit4Class::JUnit3(tests) => {
                if let Some(why) = ask_runners::doubt(&self.classpath, class)? {
                    let text = "its method suite() makes the tests while it runs";
                    let unasked = notices::guessed_tests(&self.task.path, &class.name, text);
                    doubts.ask(Reason::Suite(why), Some(unasked));
                }
                vec![(FoundBy::JUnit3, tests)]
            }
            // Gradle's own search for JUnit 4 classes does not see a class that has nothing but suite().
            JUnit4Class::Unknown(why) => {
                if self.is_given(class)? {
                    let reason = ask_runners::reason(&self.classpath, class)?;
                    let unasked = notices::unknown_tests(&self.task.path, &class.name, &why);
                    doubts.ask(Reason::Suite(reason), Some(unasked));
                }
                Vec::new()
            }
        })
    }

    fn find_testng(&self, class: &Arc<ClassFile>, doubts: &mut Doubts) -> Result<Vec<Find>> {
        let found = testng::find(&self.classpath, class)?;
        if found.has_factory_method {
            let unasked = notices::factory_method(&self.task.path, &class.name);
            doubts.ask(Reason::More("@Factory".to_owned()), Some(unasked));
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
