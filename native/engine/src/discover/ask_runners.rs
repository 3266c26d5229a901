//! Which JUnit 4 runners class files tell enough of, and which classes Gradle or the suite engine take at all.

use super::class_file::ClassFile;
use super::classpath::Classpath;
use super::found::Walk;
use super::junit4::{self, Host, JUnit4Class};
use std::sync::Arc;
use testfleet_protocol::Result;

const SUITE: &str = "org.junit.platform.suite.api.Suite";
const SUITE_CLASSES: &str = "org.junit.runners.Suite$SuiteClasses";
const JUNIT3_RUNNER: &str = "org.junit.internal.runners.JUnit38ClassRunner";
const BLOCK_RUNNER: &str = "org.junit.runners.BlockJUnit4ClassRunner";
const TEST_CASE: &str = "junit.framework.TestCase";
const GROOVY_TEST_CASE: &str = "groovy.util.GroovyTestCase";

/// Runners of JUnit and of well-known libraries that run the methods with `@Test`, and no others, under their own names.
const KNOWN: [&str; 10] = [
    "org.junit.runners.JUnit4",
    BLOCK_RUNNER,
    "org.junit.runners.Parameterized",
    "org.junit.experimental.theories.Theories",
    "org.junit.internal.runners.JUnit4ClassRunner",
    "org.mockito.junit.MockitoJUnitRunner",
    "org.mockito.runners.MockitoJUnitRunner",
    "org.springframework.test.context.junit4.SpringRunner",
    "org.springframework.test.context.junit4.SpringJUnit4ClassRunner",
    "androidx.test.ext.junit.runners.AndroidJUnit4",
];

/// Methods of a runner that decide which tests there are and what they are called.
const DECIDE: [&str; 7] =
    ["computeTestMethods", "getChildren", "describeChild", "getDescription", "testName", "run", "filter"];

/// Whether the runner's tests are the `@Test` methods of a class: it is a known one, or extends JUnit's own and leaves it to it
/// which tests there are.
///
/// # Errors
/// When a class on the way is broken.
pub(super) fn runs_annotated_methods(classpath: &Classpath, runner: &str) -> Result<bool> {
    let is_known = |name: &str| KNOWN.iter().any(|known| name == *known || name.starts_with(&format!("{known}$")));
    if is_known(runner) {
        return Ok(true);
    }
    let Some(class) = classpath.class(runner)? else { return Ok(false) };
    let decides = |class: &ClassFile| class.methods.iter().any(|method| DECIDE.contains(&method.name.as_str()));
    if decides(&class) {
        return Ok(false);
    }
    for superclass in classpath.superclasses(&class)? {
        if is_known(&superclass.name) {
            return Ok(true);
        }
        if decides(&superclass) {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Why the tests of a class that a suite or an `Enclosed` class holds are not told by class files, if they are not.
///
/// # Errors
/// When a class on the way is broken, or the suites go too deep.
pub(super) fn unknown_member(classpath: &Classpath, class: &Arc<ClassFile>, host: Host) -> Result<Option<String>> {
    look_into(classpath, class, host, &mut Walk::default())
}

fn look_into(classpath: &Classpath, class: &Arc<ClassFile>, host: Host, walk: &mut Walk) -> Result<Option<String>> {
    if !walk.enter(&class.name)? {
        return Ok(None);
    }
    let mut members: Vec<String> = class.members.clone();
    let mut chain = classpath.superclasses(class)?;
    chain.insert(0, Arc::clone(class));
    if let Some(classes) = chain.iter().find_map(|class| class.annotation(SUITE_CLASSES)) {
        members = classes.classes("value").into_iter().map(str::to_owned).collect();
    }
    for member in members {
        let Some(member) = classpath.class(&member)? else { continue };
        let why = match junit4::find(classpath, &member, host)? {
            JUnit4Class::Unknown(_) => Some(reason(classpath, &member)?),
            JUnit4Class::Suite(_) => look_into(classpath, &member, host, walk)?,
            JUnit4Class::Annotated(_) | JUnit4Class::JUnit3(_) => doubt(classpath, &member)?,
            JUnit4Class::NoTests => None,
        };
        if why.is_some() {
            return Ok(why);
        }
    }
    walk.leave();
    Ok(None)
}

/// Why the tests that class files show need not be all of them.
///
/// # Errors
/// When a superclass or the runner is broken.
pub(super) fn doubt(classpath: &Classpath, class: &Arc<ClassFile>) -> Result<Option<String>> {
    if let Some(runner) = junit4::runner(classpath, class)? {
        let is_plain = runner == JUNIT3_RUNNER || runs_annotated_methods(classpath, &runner)?;
        return Ok((!is_plain).then(|| format!("the runner {runner}")));
    }
    let mut chain = classpath.superclasses(class)?;
    chain.insert(0, Arc::clone(class));
    Ok(junit4::has_suite_method(&chain).then(|| "suite()".to_owned()))
}

/// What makes the tests of a class that JUnit 4 alone knows.
///
/// # Errors
/// When a superclass is broken.
pub(super) fn reason(classpath: &Classpath, class: &ClassFile) -> Result<String> {
    let runner = junit4::runner(classpath, class)?;
    Ok(runner.map_or_else(|| "suite()".to_owned(), |runner| format!("the runner {runner}")))
}

/// Whether Gradle's search for JUnit 3 and 4 classes takes a class.
///
/// # Errors
/// When a superclass is broken.
pub(super) fn looks_like_a_test(classpath: &Classpath, class: &ClassFile) -> Result<bool> {
    if junit4::runner(classpath, class)?.is_some() {
        return Ok(true);
    }
    let has_test = |class: &ClassFile| class.methods.iter().any(|method| method.annotation(junit4::TEST).is_some());
    let is_case = |class: &ClassFile| {
        class.superclass.as_deref().is_some_and(|superclass| [TEST_CASE, GROOVY_TEST_CASE].contains(&superclass))
    };
    let superclasses = classpath.superclasses(class)?;
    Ok(has_test(class) || is_case(class) || superclasses.iter().any(|class| has_test(class) || is_case(class)))
}

/// Whether the suite engine may take a class: `@Suite` stands on it or above it, by itself or on an annotation.
///
/// # Errors
/// When a superclass or an annotation is broken.
pub(super) fn is_suite(classpath: &Classpath, class: &ClassFile) -> Result<bool> {
    if classpath.has_any(&class.annotations, &[SUITE])? {
        return Ok(true);
    }
    for superclass in classpath.superclasses(class)? {
        if classpath.has_any(&superclass.annotations, &[SUITE])? {
            return Ok(true);
        }
    }
    Ok(false)
}
