//! What planning asks of a test class: whether its methods depend on each other, and what it must not run beside.
//!
//! Where class files leave a choice, the class counts as harder to split: a class that runs as a whole is never wrong.

use super::annotation::Annotation;
use super::class_file::{ClassFile, Method};
use super::classpath::Classpath;
use super::found::FoundTest;
use super::settings::JupiterSettings;
use super::{FoundBy, Traits, jupiter};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::plan::Lock;

const TEST_METHOD_ORDER: &str = "org.junit.jupiter.api.TestMethodOrder";
const RANDOM_ORDER: &str = "org.junit.jupiter.api.MethodOrderer$Random";
const TEST_INSTANCE: &str = "org.junit.jupiter.api.TestInstance";
const FIX_METHOD_ORDER: &str = "org.junit.FixMethodOrder";
const ORDER_WITH: &str = "org.junit.runner.OrderWith";
const STEPWISE: &str = "spock.lang.Stepwise";
const ISOLATED: [&str; 2] = ["org.junit.jupiter.api.parallel.Isolated", "spock.lang.Isolated"];
const RESOURCE_LOCK: [&str; 2] = ["org.junit.jupiter.api.parallel.ResourceLock", "spock.lang.ResourceLock"];
const RESOURCE_LOCKS: [&str; 2] = ["org.junit.jupiter.api.parallel.ResourceLocks", "spock.lang.ResourceLock$Container"];
/// What `@Isolated` locks.
const GLOBAL: &str = "org.junit.platform.engine.support.hierarchical.ExclusiveResource.GLOBAL_KEY";
const TESTNG_TEST: &str = "org.testng.annotations.Test";
const TESTNG_ORDER: [&str; 3] = ["dependsOnMethods", "dependsOnGroups", "priority"];
const PARAMETERIZED: &str = "org.junit.jupiter.params.ParameterizedTest";
const REPEATED: &str = "org.junit.jupiter.api.RepeatedTest";
const CLASS_TEMPLATE: &str = "org.junit.jupiter.api.ClassTemplate";
/// Only in platforms from 1.9 on, which can run some invocations of a method.
const ITERATION_SELECTOR: &str = "org.junit.platform.engine.discovery.IterationSelector";

/// The traits of a class with the tests that were found in it; `bytes` is the caller's.
///
/// # Errors
/// When a class that had to be looked at is broken.
pub(crate) fn of(
    classpath: &Classpath,
    settings: &JupiterSettings,
    class: &Arc<ClassFile>,
    finds: &[(FoundBy, Vec<FoundTest>)],
) -> Result<Traits> {
    let is_by = |framework| finds.iter().any(|(found_by, _)| *found_by == framework);
    let classes = jupiter::involved(classpath, class)?;
    let mut reader = Reader { classpath, traits: Traits::default(), locks: BTreeMap::new() };
    for one in &classes {
        reader.read_class(one)?;
    }
    let Reader { mut traits, locks, .. } = reader;
    traits.locks = locks.into_iter().map(|(resource, exclusive)| Lock { resource, exclusive }).collect();
    // TestNG makes one instance of a class for all its methods.
    traits.per_class |= is_by(FoundBy::TestNg);
    if is_by(FoundBy::Jupiter) {
        traits.per_class |= settings.per_class && !has_lifecycle(classpath, &classes)?;
        traits.ordered |= settings.ordered;
        let of_jupiter =
            finds.iter().filter(|(found_by, _)| *found_by == FoundBy::Jupiter).flat_map(|(_, tests)| tests);
        traits.sliceable = sliceable(classpath, class, &classes, of_jupiter)?;
    }
    Ok(traits)
}

struct Reader<'a> {
    classpath: &'a Classpath,
    traits: Traits,
    /// Whether each resource is locked exclusively somewhere.
    locks: BTreeMap<String, bool>,
}

impl Reader<'_> {
    fn read_class(&mut self, class: &ClassFile) -> Result<()> {
        self.read(&class.annotations)?;
        for method in &class.methods {
            self.read(&method.annotations)?;
        }
        Ok(())
    }

    fn read(&mut self, annotations: &[Annotation]) -> Result<()> {
        let mut any = false;
        for annotation in annotations {
            any = any || self.classpath.meaning(&annotation.type_name)?.weighs;
        }
        if !any {
            return Ok(());
        }
        each_present(self.classpath, annotations, &mut |annotation| {
            let name = annotation.type_name.as_str();
            self.traits.ordered |= is_order(annotation);
            self.traits.per_class |= name == TEST_INSTANCE && annotation.constant("value") == Some("PER_CLASS");
            self.traits.isolated |= ISOLATED.contains(&name);
            if RESOURCE_LOCK.contains(&name) {
                self.lock(annotation);
            } else if RESOURCE_LOCKS.contains(&name) {
                annotation.contained().for_each(|lock| self.lock(lock));
            }
        })
    }

    fn lock(&mut self, annotation: &Annotation) {
        let exclusive = annotation.constant("mode") != Some("READ");
        // What a provider locks is known when it runs; that the classes with the same provider lock the same is the best guess.
        for resource in annotation.texts("value").into_iter().chain(annotation.classes("providers")) {
            if resource == GLOBAL {
                self.traits.isolated |= exclusive;
            } else if !resource.is_empty() {
                *self.locks.entry(resource.to_owned()).or_default() |= exclusive;
            }
        }
    }
}

/// Whether an annotation of this type says something to [`Reader::read`].
pub(super) fn weighs(name: &str) -> bool {
    [TEST_METHOD_ORDER, FIX_METHOD_ORDER, ORDER_WITH, STEPWISE, TESTNG_TEST, TEST_INSTANCE].contains(&name)
        || [ISOLATED, RESOURCE_LOCK, RESOURCE_LOCKS].concat().contains(&name)
}

/// Whether an annotation gives methods an order that they may rely on.
fn is_order(annotation: &Annotation) -> bool {
    match annotation.type_name.as_str() {
        TEST_METHOD_ORDER => annotation.classes("value") != [RANDOM_ORDER],
        // JUnit 4's default sorter is deterministic and without meaning, the JVM's is neither.
        FIX_METHOD_ORDER => annotation.constant("value") == Some("NAME_ASCENDING"),
        ORDER_WITH | STEPWISE => true,
        TESTNG_TEST => TESTNG_ORDER.iter().any(|name| annotation.element(name).is_some()),
        _ => false,
    }
}

/// Calls back with each annotation that is present or meta-present among these.
fn each_present(classpath: &Classpath, annotations: &[Annotation], call: &mut dyn FnMut(&Annotation)) -> Result<()> {
    let mut seen = HashSet::new();
    let mut todo: Vec<String> = Vec::new();
    let mut visit = |annotations: &[Annotation], todo: &mut Vec<String>| {
        for annotation in annotations {
            call(annotation);
            todo.push(annotation.type_name.clone());
        }
    };
    visit(annotations, &mut todo);
    while let Some(name) = todo.pop() {
        if !name.starts_with("java.lang.")
            && seen.insert(name.clone())
            && let Some(class) = classpath.class(&name)?
        {
            visit(&class.annotations, &mut todo);
        }
    }
    Ok(())
}

/// Whether one of the classes says itself how long an instance lives.
fn has_lifecycle(classpath: &Classpath, classes: &[Arc<ClassFile>]) -> Result<bool> {
    for class in classes {
        if classpath.has_any(&class.annotations, &[TEST_INSTANCE])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Parameterized and repeated tests of the class itself. Those of `@Nested` classes are left out: the platform takes no
/// iterations of them; so are those of a class template, whose invocations are the class's.
fn sliceable<'a>(
    classpath: &Classpath,
    class: &Arc<ClassFile>,
    classes: &[Arc<ClassFile>],
    tests: impl Iterator<Item = &'a FoundTest>,
) -> Result<Vec<testfleet_protocol::test::TestName>> {
    if classpath.class(ITERATION_SELECTOR)?.is_none() {
        return Ok(Vec::new());
    }
    for one in classes {
        if classpath.has_any(&one.annotations, &[CLASS_TEMPLATE])? {
            return Ok(Vec::new());
        }
    }
    let mut found = BTreeSet::new();
    for test in tests.filter(|test| test.name.class == class.name) {
        if has_iterations(classpath, classes, test)? {
            found.insert(test.name.clone());
        }
    }
    Ok(found.into_iter().collect())
}

fn has_iterations(classpath: &Classpath, classes: &[Arc<ClassFile>], test: &FoundTest) -> Result<bool> {
    let is_same = |method: &&Method| method.name == test.method && method.signature() == test.name.method;
    let mut any = false;
    for method in classes.iter().flat_map(|class| &class.methods).filter(is_same) {
        if method.annotations.is_empty() {
            continue;
        }
        if !classpath.has_any(&method.annotations, &[PARAMETERIZED, REPEATED])? {
            // A plain test of the same name somewhere among the ancestors: leave it whole.
            return Ok(false);
        }
        any = true;
    }
    Ok(any)
}
