//! Which JUnit 4 runners class files tell enough of, and which classes Gradle or the suite engine take at all.

use super::class_file::ClassFile;
use super::classpath::Classpath;
use super::junit4;
use testfleet_protocol::Result;

const SUITE: &str = "org.junit.platform.suite.api.Suite";
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
