//! Which features Spock finds in a specification: methods that its compiler marked.

use super::annotation::Value;
use super::class_file::ClassFile;
use super::classpath::Classpath;
use super::found::FoundTest;
use noak::AccessFlags;
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::test::TestName;

const SPECIFICATION: &str = "spock.lang.Specification";
const SPEC: &str = "org.spockframework.runtime.model.SpecMetadata";
const FEATURE: &str = "org.spockframework.runtime.model.FeatureMetadata";
const TAG: &str = "spock.lang.Tag";

fn is_specification(classpath: &Classpath, class: &ClassFile) -> Result<bool> {
    Ok(class.annotation(SPEC).is_some() && classpath.is_subtype(&class.name, SPECIFICATION)?)
}

/// The features of a specification and of those that it extends, by their names as written; none when it is abstract.
///
/// # Errors
/// When a superclass is broken.
pub(crate) fn find(classpath: &Classpath, class: &Arc<ClassFile>) -> Result<Vec<FoundTest>> {
    if class.flags.intersects(AccessFlags::ABSTRACT | AccessFlags::INTERFACE) || !is_specification(classpath, class)? {
        return Ok(Vec::new());
    }
    let mut chain = classpath.superclasses(class)?;
    chain.insert(0, Arc::clone(class));
    let of_spec: Vec<String> = chain.iter().flat_map(|class| tags(&class.annotations)).collect();
    let mut found = Vec::new();
    for method in chain.iter().rev().flat_map(|class| &class.methods) {
        let Some(feature) = method.annotation(FEATURE) else { continue };
        let name = match feature.element("name") {
            Some(Value::Text(name)) => name.clone(),
            _ => method.name.clone(),
        };
        found.push(FoundTest {
            name: TestName { class: class.name.clone(), method: name },
            classes: [class.name.clone()].into(),
            method: method.name.clone(),
            tags: of_spec.iter().cloned().chain(tags(&method.annotations)).collect(),
        });
    }
    Ok(found)
}

fn tags(annotations: &[super::annotation::Annotation]) -> impl Iterator<Item = String> {
    annotations
        .iter()
        .filter(|annotation| annotation.type_name == TAG)
        .flat_map(|annotation| annotation.texts("value"))
        .map(str::to_owned)
}
