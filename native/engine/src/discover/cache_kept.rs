//! How the tests of a Test task are kept: names of classes, which are most of the text, once for each class.

use super::{DiscoveredTask, FoundBy, Notice, Settled, TestClass, Traits};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use testfleet_protocol::test::{TaskPath, TestName};

/// The tests of a Test task, with what the user should know about it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Task<'a> {
    task: Cow<'a, TaskPath>,
    searched: u64,
    classes: Vec<Class<'a>>,
    notices: Cow<'a, [Notice]>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Class<'a> {
    class: Cow<'a, str>,
    framework: FoundBy,
    tests: Vec<Test<'a>>,
    whole_class: bool,
    sha256: Cow<'a, str>,
    asked: bool,
    traits: Cow<'a, Traits>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Test<'a> {
    /// Where it is not the class that is run.
    class: Option<Cow<'a, str>>,
    method: Cow<'a, str>,
}

impl<'a> Task<'a> {
    pub(super) fn of((task, notices): &'a Settled) -> Self {
        Self {
            task: Cow::Borrowed(&task.task),
            searched: task.searched,
            classes: task.classes.iter().map(Class::of).collect(),
            notices: Cow::Borrowed(notices),
        }
    }

    pub(super) fn into_settled(self) -> Settled {
        let classes = self.classes.into_iter().map(Class::into_class).collect();
        let task = DiscoveredTask { task: self.task.into_owned(), searched: self.searched, classes };
        (task, self.notices.into_owned())
    }
}

impl<'a> Class<'a> {
    fn of(class: &'a TestClass) -> Self {
        let TestClass { class, framework, tests, whole_class, sha256, asked, traits } = class;
        let test = |test: &'a TestName| Test {
            class: (test.class != *class).then_some(Cow::Borrowed(&test.class)),
            method: Cow::Borrowed(&test.method),
        };
        Self {
            class: Cow::Borrowed(class),
            framework: *framework,
            tests: tests.iter().map(test).collect(),
            whole_class: *whole_class,
            sha256: Cow::Borrowed(sha256),
            asked: *asked,
            traits: Cow::Borrowed(traits),
        }
    }

    fn into_class(self) -> TestClass {
        let class = self.class.into_owned();
        let name = |test: Test<'_>| TestName {
            class: test.class.map_or_else(|| class.clone(), Cow::into_owned),
            method: test.method.into_owned(),
        };
        TestClass {
            tests: self.tests.into_iter().map(name).collect(),
            framework: self.framework,
            whole_class: self.whole_class,
            sha256: self.sha256.into_owned(),
            asked: self.asked,
            traits: self.traits.into_owned(),
            class,
        }
    }
}

/// Reads tests from bytes, for [`crate::fuzzing`].
#[cfg(any(fuzzing, test))]
pub(super) fn read(bytes: &[u8]) {
    let Ok(task) = postcard::from_bytes::<Task<'_>>(bytes) else { return };
    let settled = task.into_settled();
    let bytes = postcard::to_stdvec(&Task::of(&settled)).expect("what was read can be written");
    let again = postcard::from_bytes::<Task<'_>>(&bytes).expect("what was written can be read");
    assert_eq!(again.into_settled(), settled);
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::plan::Lock;

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let test = |class: &str, method: &str| TestName { class: class.into(), method: method.into() };
        let class = TestClass {
            class: "com.acme.FooTest".into(),
            framework: FoundBy::Spock,
            tests: vec![test("com.acme.FooTest", "adds()"), test("com.acme.FooTest$Deep", "adds()"), test("", "")],
            whole_class: true,
            sha256: "0123".into(),
            asked: true,
            traits: Traits {
                ordered: true,
                locks: vec![Lock { resource: "db".into(), exclusive: true }],
                sliceable: vec![test("com.acme.FooTest", "adds()")],
                bytes: 7,
                ..Traits::default()
            },
        };
        let task = DiscoveredTask { task: TaskPath(":a:test".into()), searched: 3, classes: vec![class] };
        let notices = vec![
            Notice { text: "something".into(), hint: None },
            Notice { text: "else".into(), hint: Some("do this".into()) },
        ];
        let settled = (task, notices);
        let bytes = postcard::to_stdvec(&Task::of(&settled)).unwrap();
        assert_eq!(postcard::from_bytes::<Task<'_>>(&bytes).unwrap().into_settled(), settled);
        for end in 0..bytes.len() {
            read(&bytes[..end]);
        }
    }
}
