//! Class files that lead discovery astray: chains without an end in sight, suites that multiply.

use super::annotation::{Annotation, Value};
use super::class_file::{ClassFile, Nesting};
use super::classpath::Classpath;
use super::container::Container;
use super::{junit4, jupiter, testng};
use noak::AccessFlags;
use std::sync::Arc;
use testfleet_protocol::FailureCode;

fn class(name: String, flags: AccessFlags) -> ClassFile {
    ClassFile {
        name,
        superclass: None,
        interfaces: Vec::new(),
        flags,
        nesting: Nesting::TopLevel,
        members: Vec::new(),
        annotations: Vec::new(),
        methods: Vec::new(),
        sha256: [0; 32],
        size: 0,
    }
}

/// A classpath of these classes alone, and the first of them.
fn classpath(classes: impl Iterator<Item = ClassFile>) -> (Classpath, Arc<ClassFile>) {
    let classes: Vec<_> = classes.map(Arc::new).collect();
    let container = Container::of_classes(classes.iter().cloned());
    (Classpath::new(vec![container]), Arc::clone(&classes[0]))
}

#[test]
fn interfaces_may_extend_each_other_in_a_long_chain() {
    let length = 100_000;
    let (classpath, top) = classpath((0..length).map(|at| {
        let mut class = class(format!("I{at}"), if at == 0 { AccessFlags::PUBLIC } else { AccessFlags::INTERFACE });
        class.interfaces = vec![format!("I{}", at + 1)];
        class
    }));
    assert_eq!(classpath.interfaces("I1").unwrap().len(), length - 1);
    assert_eq!(classpath.interfaces("I1").unwrap()[0].name, format!("I{}", length - 1));
    assert!(jupiter::find(&classpath, &top, &mut Vec::new()).unwrap().is_empty());
    assert!(testng::find(&classpath, &top).unwrap().tests.is_empty());
}

#[test]
fn interfaces_that_extend_each_other_in_a_circle_come_once() {
    let (classpath, _) = classpath((0..3).map(|at| {
        let mut class = class(format!("I{at}"), AccessFlags::INTERFACE);
        class.interfaces = vec![format!("I{}", (at + 1) % 3), "Nowhere".into()];
        class
    }));
    let names: Vec<_> = classpath.interfaces("I0").unwrap().iter().map(|class| class.name.clone()).collect();
    assert_eq!(names, ["I2", "I1", "I0"]);
}

#[test]
fn nested_classes_that_go_too_deep_are_a_failure() {
    let nested = Annotation { type_name: "org.junit.jupiter.api.Nested".into(), elements: Vec::new() };
    let (classpath, top) = classpath((0..100_000).map(|at| {
        let mut class = class(format!("C{at}"), AccessFlags::PUBLIC);
        class.members = vec![format!("C{}", at + 1)];
        if at > 0 {
            class.annotations = vec![nested.clone()];
            class.nesting = Nesting::Member { outer: format!("C{}", at - 1), simple_name: "In".into() };
        }
        class
    }));
    let failure = jupiter::find(&classpath, &top, &mut Vec::new()).unwrap_err();
    assert_eq!(failure.code, FailureCode::BrokenClassFile);
}

#[test]
fn suites_that_multiply_are_a_failure() {
    let annotation = |type_name: &str, value: Value| Annotation {
        type_name: type_name.into(),
        elements: vec![("value".into(), value)],
    };
    let (classpath, top) = classpath((0..40).map(|at| {
        let mut class = class(format!("S{at}"), AccessFlags::PUBLIC);
        let next = Value::Class(format!("S{}", at + 1));
        class.annotations = vec![
            annotation("org.junit.runner.RunWith", Value::Class("org.junit.runners.Suite".into())),
            annotation("org.junit.runners.Suite$SuiteClasses", Value::List(vec![next.clone(), next])),
        ];
        class
    }));
    assert_eq!(junit4::find(&classpath, &top, junit4::Host::Gradle).unwrap_err().code, FailureCode::BrokenClassFile);
}
