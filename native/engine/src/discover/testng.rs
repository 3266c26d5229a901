//! Which tests TestNG finds in a class, by the rules of its `AnnotationHelper`; what 6.14.2 and 7.10.2 run agrees.

use super::annotation::{Annotation, Value};
use super::class_file::{ClassFile, Method};
use super::classpath::Classpath;
use super::found::FoundTest;
use noak::AccessFlags;
use std::collections::HashSet;
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::test::TestName;

const TEST: &str = "org.testng.annotations.Test";
const FACTORY: &str = "org.testng.annotations.Factory";

/// What TestNG makes of a class.
#[derive(Debug, Default)]
pub(crate) struct TestNgClass {
    /// Its tests.
    pub(crate) tests: Vec<FoundTest>,
    /// A factory method makes instances of classes that are known only when it runs.
    pub(crate) has_factory_method: bool,
}

/// The tests of a class; none when it is abstract.
///
/// # Errors
/// When a superclass or interface is broken.
pub(crate) fn find(classpath: &Classpath, class: &Arc<ClassFile>) -> Result<TestNgClass> {
    let mut found = TestNgClass::default();
    if class.flags.intersects(AccessFlags::ABSTRACT | AccessFlags::INTERFACE) {
        return Ok(found);
    }
    let mut chain = classpath.superclasses(class)?;
    chain.insert(0, Arc::clone(class));
    let mut signatures = HashSet::new();
    for (index, declaring) in chain.iter().enumerate() {
        // A class-level @Test reaches down to subclasses, never up.
        let on_class = chain[index..].iter().find_map(|class| class.annotation(TEST));
        let mut methods: Vec<(Arc<ClassFile>, usize)> = Vec::new();
        methods.extend((0..declaring.methods.len()).map(|method| (Arc::clone(declaring), method)));
        for interface in &declaring.interfaces {
            for interface in classpath.interfaces(interface)? {
                add_default_methods(&interface, &mut methods);
            }
        }
        for (owner, method) in &methods {
            let method = &owner.methods[*method];
            found.has_factory_method |= !method.name.starts_with('<') && method.annotation(FACTORY).is_some();
            let on_method = method.annotation(TEST);
            if !is_test(method, on_method, on_class) || !signatures.insert(method.signature()) {
                continue;
            }
            if is_enabled(on_method.or(on_class)) {
                let groups = [on_method, on_class].into_iter().flatten().flat_map(groups).collect();
                found.tests.push(FoundTest {
                    name: TestName { class: class.name.clone(), method: method.signature() },
                    classes: [class.name.clone()].into(),
                    method: method.name.clone(),
                    tags: groups,
                });
            }
        }
    }
    Ok(found)
}

fn is_test(method: &Method, on_method: Option<&Annotation>, on_class: Option<&Annotation>) -> bool {
    if method.name.starts_with('<') || !method.returns_void() || method.has(AccessFlags::SYNTHETIC) {
        return false;
    }
    let has_other_role = method.annotations.iter().any(|annotation| is_other_role(&annotation.type_name));
    match (on_method, on_class) {
        (Some(_), _) => !has_other_role,
        (None, Some(_)) => method.has(AccessFlags::PUBLIC) && !has_other_role,
        (None, None) => false,
    }
}

/// Configuration methods and factories are no tests, whatever else stands on them.
fn is_other_role(annotation_type: &str) -> bool {
    annotation_type.strip_prefix("org.testng.annotations.").is_some_and(|name| {
        matches!(name, "Factory" | "Configuration") || name.starts_with("Before") || name.starts_with("After")
    })
}

fn is_enabled(annotation: Option<&Annotation>) -> bool {
    annotation.and_then(|test| test.element("enabled")) != Some(&Value::Bool(false))
}

fn groups(annotation: &Annotation) -> Vec<String> {
    annotation.texts("groups").into_iter().map(str::to_owned).collect()
}

fn add_default_methods(interface: &Arc<ClassFile>, methods: &mut Vec<(Arc<ClassFile>, usize)>) {
    for (index, method) in interface.methods.iter().enumerate() {
        if !method.flags.intersects(AccessFlags::ABSTRACT | AccessFlags::STATIC | AccessFlags::PRIVATE) {
            methods.push((Arc::clone(interface), index));
        }
    }
}
