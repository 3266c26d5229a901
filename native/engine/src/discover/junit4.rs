//! Which tests JUnit 4 finds in a class: by annotations, by JUnit 3's names, through runners.

use super::annotation::Annotation;
use super::class_file::{ClassFile, Method};
use super::classpath::Classpath;
use super::found::{FoundTest, Walk};
use noak::AccessFlags;
use std::collections::HashSet;
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::test::TestName;

pub(crate) const TEST: &str = "org.junit.Test";
const RUN_WITH: &str = "org.junit.runner.RunWith";
const CATEGORY: &str = "org.junit.experimental.categories.Category";
const SUITE_CLASSES: &str = "org.junit.runners.Suite$SuiteClasses";
const THEORY: &str = "org.junit.experimental.theories.Theory";
pub(crate) const TEST_CASE: &str = "junit.framework.TestCase";

/// What JUnit 4 makes of a class.
#[derive(Debug, PartialEq)]
pub(crate) enum JUnit4Class {
    /// Nothing.
    NoTests,
    /// Methods with `@Test`, whatever runner runs them.
    Annotated(Vec<FoundTest>),
    /// `test...` methods of a `TestCase`.
    JUnit3(Vec<FoundTest>),
    /// Other classes that a suite names or an `Enclosed` class holds.
    Suite(Vec<FoundTest>),
    /// Only running it tells; why.
    Unknown(String),
}

/// Who gives classes to JUnit 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// Gradle itself: `useJUnit()`.
    Gradle,
    /// `junit-vintage-engine`, which leaves a class whose runner is the JUnit Platform to the platform's other engines.
    Vintage,
}

/// The class of a class's runner, `@RunWith` being inherited.
///
/// # Errors
/// When a superclass is broken.
pub(crate) fn runner(classpath: &Classpath, class: &ClassFile) -> Result<Option<String>> {
    let on = |class: &ClassFile| {
        class.annotation(RUN_WITH).and_then(|annotation| annotation.classes("value").first().map(ToString::to_string))
    };
    if let Some(runner) = on(class) {
        return Ok(Some(runner));
    }
    Ok(classpath.superclasses(class)?.iter().find_map(|superclass| on(superclass)))
}

/// Whether the outermost class around a member class is run by `Enclosed`, which runs the member then.
///
/// # Errors
/// When a class on the way out is broken.
pub(crate) fn is_run_by_enclosing(classpath: &Classpath, class: &ClassFile) -> Result<bool> {
    let mut outermost: Option<Arc<ClassFile>> = None;
    let mut next = class.outer().map(str::to_owned);
    let mut seen = HashSet::new();
    while let Some(name) = next.take() {
        if !seen.insert(name.clone()) {
            break;
        }
        if let Some(outer) = classpath.class(&name)? {
            next = outer.outer().map(str::to_owned);
            outermost = Some(outer);
        }
    }
    match outermost {
        Some(outer) => Ok(runner(classpath, &outer)?.as_deref() == Some(ENCLOSED)),
        None => Ok(false),
    }
}

const ENCLOSED: &str = "org.junit.experimental.runners.Enclosed";

/// What JUnit 4 makes of a class, in the order in which `AllDefaultPossibilitiesBuilder` asks.
///
/// # Errors
/// When a class that had to be looked at is broken.
pub(crate) fn find(classpath: &Classpath, class: &Arc<ClassFile>, host: Host) -> Result<JUnit4Class> {
    Builder { classpath, host, walk: Walk::default() }.build(class)
}

struct Builder<'a> {
    classpath: &'a Classpath,
    host: Host,
    walk: Walk,
}

impl Builder<'_> {
    fn build(&mut self, class: &Arc<ClassFile>) -> Result<JUnit4Class> {
        if !self.walk.enter(&class.name)? {
            return Ok(JUnit4Class::Unknown("a suite contains itself".to_owned()));
        }
        let built = self.build_new(class);
        self.walk.leave();
        built
    }

    fn build_new(&mut self, class: &Arc<ClassFile>) -> Result<JUnit4Class> {
        let mut chain = self.classpath.superclasses(class)?;
        chain.insert(0, Arc::clone(class));
        if let Some(runner) = runner(self.classpath, class)? {
            return self.with_runner(&runner, class, &chain);
        }
        let is_test_case = chain.iter().any(|class| class.superclass.as_deref() == Some(TEST_CASE));
        if is_test_case {
            // With a suite() method these are what it most often holds; discovery says that it is a guess.
            return Ok(junit3(class, &chain));
        }
        if has_suite_method(&chain) {
            return Ok(JUnit4Class::Unknown("its method suite() makes the tests while it runs".to_owned()));
        }
        let tests = annotated_tests(class, &chain, &[TEST]);
        Ok(if tests.is_empty() { JUnit4Class::NoTests } else { JUnit4Class::Annotated(tests) })
    }

    fn with_runner(&mut self, runner: &str, class: &Arc<ClassFile>, chain: &[Arc<ClassFile>]) -> Result<JUnit4Class> {
        match runner {
            "org.junit.runners.Suite" => self.suite(class, chain),
            ENCLOSED => self.enclosed(chain),
            "org.junit.experimental.categories.Categories" => {
                Ok(JUnit4Class::Unknown("its categories choose the tests of its suite while it runs".to_owned()))
            }
            "org.junit.platform.runner.JUnitPlatform" => Ok(match self.host {
                Host::Vintage => JUnit4Class::NoTests,
                Host::Gradle => JUnit4Class::Unknown("the JUnit Platform makes its tests while it runs".to_owned()),
            }),
            "org.junit.internal.runners.JUnit38ClassRunner" => Ok(junit3(class, chain)),
            "org.junit.experimental.theories.Theories" => {
                Ok(JUnit4Class::Annotated(annotated_tests(class, chain, &[TEST, THEORY])))
            }
            _ => {
                let tests = annotated_tests(class, chain, &[TEST]);
                Ok(if tests.is_empty() {
                    JUnit4Class::Unknown(format!("its runner {runner} makes the tests while it runs"))
                } else {
                    JUnit4Class::Annotated(tests)
                })
            }
        }
    }

    /// A suite's tests are its own, beside those of the classes that it names: `suite > com.acme.FooTest.adds()`.
    fn suite(&mut self, class: &Arc<ClassFile>, chain: &[Arc<ClassFile>]) -> Result<JUnit4Class> {
        let classes = chain.iter().find_map(|class| class.annotation(SUITE_CLASSES));
        let mut tests = Vec::new();
        for member in classes.map(|annotation| annotation.classes("value")).unwrap_or_default() {
            let Ok(of_member) = self.member(member)? else {
                return Ok(JUnit4Class::Unknown(format!("its suite has {member}, whose tests only running it tells")));
            };
            for test in of_member {
                let method = if test.name.class == class.name {
                    test.name.method
                } else {
                    format!("{}.{}", test.name.class, test.name.method)
                };
                let name = TestName { class: class.name.clone(), method };
                tests.push(FoundTest { name, ..test });
            }
        }
        for test in &mut tests {
            test.add_class(&class.name);
        }
        Ok(JUnit4Class::Suite(tests))
    }

    fn enclosed(&mut self, chain: &[Arc<ClassFile>]) -> Result<JUnit4Class> {
        let mut tests = Vec::new();
        for declaring in chain {
            for member in &declaring.members {
                let Some(inner) = self.classpath.class(member)? else { continue };
                if inner.has(AccessFlags::PUBLIC) && !inner.has(AccessFlags::ABSTRACT) {
                    let Ok(of_member) = self.member(member)? else {
                        return Ok(JUnit4Class::Unknown(format!(
                            "it holds {member}, whose tests only running it tells"
                        )));
                    };
                    tests.extend(of_member);
                }
            }
        }
        if let Some(top) = chain.first() {
            for test in &mut tests {
                test.add_class(&top.name);
            }
        }
        Ok(JUnit4Class::Suite(tests))
    }

    /// The tests of a class in a suite; the reason when only running it tells.
    fn member(&mut self, name: &str) -> Result<std::result::Result<Vec<FoundTest>, String>> {
        let Some(class) = self.classpath.class(name)? else { return Ok(Ok(Vec::new())) };
        let mut chain = self.classpath.superclasses(&class)?;
        chain.insert(0, Arc::clone(&class));
        Ok(match self.build(&class)? {
            JUnit4Class::JUnit3(_) if has_suite_method(&chain) => Err("suite()".to_owned()),
            JUnit4Class::Annotated(tests) | JUnit4Class::JUnit3(tests) | JUnit4Class::Suite(tests) => Ok(tests),
            JUnit4Class::NoTests => Ok(Vec::new()),
            JUnit4Class::Unknown(why) => Err(why),
        })
    }
}

/// Whether there is a public `suite()`, own or inherited.
pub(crate) fn has_suite_method(chain: &[Arc<ClassFile>]) -> bool {
    chain.iter().flat_map(|class| &class.methods).any(|method| {
        method.name == "suite" && method.has_no_parameters() && method.has(AccessFlags::PUBLIC | AccessFlags::STATIC)
    })
}

/// JUnit 4 keeps an inherited `@Test` method that a subclass overrides without the annotation.
fn annotated_tests(class: &ClassFile, chain: &[Arc<ClassFile>], types: &[&str]) -> Vec<FoundTest> {
    let class_categories = categories(chain.iter().find_map(|class| class.annotation(CATEGORY)));
    let mut names = HashSet::new();
    let mut tests = Vec::new();
    for method in chain.iter().flat_map(|class| &class.methods) {
        let is_test = types.iter().any(|name| method.annotation(name).is_some());
        if is_test && !method.has(AccessFlags::SYNTHETIC) && names.insert(&method.name) {
            let own = categories(method.annotation(CATEGORY));
            tests.push(found(class, method, own.chain(class_categories.clone()).collect()));
        }
    }
    tests
}

/// Names of the classes of a `@Category`.
fn categories(annotation: Option<&Annotation>) -> impl Iterator<Item = String> + Clone {
    let names: Vec<String> =
        annotation.map(|one| one.classes("value").into_iter().map(str::to_owned).collect()).unwrap_or_default();
    names.into_iter()
}

/// JUnit 3 runs what it can't make a test of as a warning, which fails.
fn junit3(class: &ClassFile, chain: &[Arc<ClassFile>]) -> JUnit4Class {
    match junit3_warning(class, chain) {
        Some(why) => JUnit4Class::Unknown(format!("{why}, which JUnit 3 reports as a failed test")),
        None => JUnit4Class::JUnit3(junit3_tests(class, chain)),
    }
}

fn junit3_warning(class: &ClassFile, chain: &[Arc<ClassFile>]) -> Option<&'static str> {
    if has_suite_method(chain) {
        return None;
    }
    let is_constructor = |method: &&Method| method.name == "<init>" && method.has(AccessFlags::PUBLIC);
    let takes_name_or_nothing = |method: &Method| ["(", "(Ljava/lang/String;"].contains(&method.parameters());
    if !class.methods.iter().filter(is_constructor).any(takes_name_or_nothing) {
        return Some("it is a TestCase without a public constructor that takes a name or nothing");
    }
    if !class.has(AccessFlags::PUBLIC) {
        return Some("it is a TestCase that is not public");
    }
    let is_test = |method: &&Method| {
        method.name.starts_with("test")
            && method.has_no_parameters()
            && method.returns_void()
            && !method.has(AccessFlags::SYNTHETIC)
    };
    let mut tests = chain.iter().flat_map(|class| &class.methods).filter(is_test).peekable();
    if tests.peek().is_none() {
        return Some("it is a TestCase without tests");
    }
    tests
        .any(|method| !method.has(AccessFlags::PUBLIC))
        .then_some("it is a TestCase with a test method that is not public")
}

fn junit3_tests(class: &ClassFile, chain: &[Arc<ClassFile>]) -> Vec<FoundTest> {
    let class_categories: Vec<String> = categories(chain.iter().find_map(|class| class.annotation(CATEGORY))).collect();
    let mut names = HashSet::new();
    chain
        .iter()
        .flat_map(|class| &class.methods)
        .filter(|method| {
            method.name.starts_with("test")
                && method.has_no_parameters()
                && method.returns_void()
                && method.has(AccessFlags::PUBLIC)
                && !method.has(AccessFlags::SYNTHETIC)
                && names.insert(&method.name)
        })
        .map(|method| found(class, method, class_categories.clone()))
        .collect()
}

fn found(class: &ClassFile, method: &Method, categories: Vec<String>) -> FoundTest {
    FoundTest {
        name: TestName { class: class.name.clone(), method: format!("{}()", method.name) },
        classes: [class.name.clone()].into(),
        method: method.name.clone(),
        tags: categories,
    }
}
