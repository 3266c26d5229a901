//! Which tests JUnit Jupiter finds in a class, by the rules of its engine 5.11, and those of 5.13 and 6 where these are on the classpath.

use super::class_file::{ClassFile, Method};
use super::classpath::Classpath;
use super::found::{FoundTest, Walk};
use noak::AccessFlags;
use std::collections::HashSet;
use std::sync::Arc;
use testfleet_protocol::Result;
use testfleet_protocol::test::TestName;

const TEST: &str = "org.junit.jupiter.api.Test";
const TEST_TEMPLATE: &str = "org.junit.jupiter.api.TestTemplate";
const TEST_FACTORY: &str = "org.junit.jupiter.api.TestFactory";
const NESTED: &str = "org.junit.jupiter.api.Nested";
const DYNAMIC_NODE: &str = "org.junit.jupiter.api.DynamicNode";

/// Only in engines from 5.13 on, which say what they leave out, and leave out more.
const STRICT: &str = "org.junit.jupiter.engine.discovery.predicates.TestClassPredicates";
/// Only in platforms from 6.0 on, which run suspending functions.
const SUSPENDING: &str = "org.junit.platform.commons.util.KotlinSuspendingFunctionUtils";

/// What differs between the versions of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rules {
    /// `@Nested` classes must not be abstract, and a factory's result must be dynamic nodes.
    strict: bool,
    /// Kotlin's `suspend` functions are tests.
    suspending: bool,
}

impl Rules {
    fn of(classpath: &Classpath) -> Result<Self> {
        Ok(Self { strict: classpath.class(STRICT)?.is_some(), suspending: classpath.class(SUSPENDING)?.is_some() })
    }
}

/// The tests of a class that Gradle hands to the launcher; empty when it is no test class.
///
/// # Errors
/// When a class that had to be looked at is broken.
pub(crate) fn find(classpath: &Classpath, class: &Arc<ClassFile>, cyclic: &mut Vec<String>) -> Result<Vec<FoundTest>> {
    let mut tests = Vec::new();
    if !class.has(AccessFlags::PRIVATE) && !class.has(AccessFlags::ABSTRACT) {
        let rules = Rules::of(classpath)?;
        let mut finder = Finder { classpath, rules, walk: Walk::default(), tests: &mut tests, cyclic };
        finder.visit(class, class.name.clone(), &[])?;
    }
    Ok(tests)
}

struct Finder<'a> {
    classpath: &'a Classpath,
    rules: Rules,
    /// By actual names.
    walk: Walk,
    tests: &'a mut Vec<FoundTest>,
    cyclic: &'a mut Vec<String>,
}

impl Finder<'_> {
    /// `name` is how the class is called under the top-level class that is run.
    fn visit(&mut self, class: &Arc<ClassFile>, name: String, outer_tags: &[String]) -> Result<()> {
        if !self.walk.enter(&class.name)? {
            self.cyclic.push(class.name.clone());
            return Ok(());
        }
        let mut tags = outer_tags.to_vec();
        tags.extend(class_tags(self.classpath, class)?);
        let classes: Arc<[String]> = self.walk.on_the_way().rev().cloned().collect();
        for method in methods_in_hierarchy(self.classpath, class)? {
            if self.is_test(method.get())? {
                let mut tags = tags.clone();
                tags.extend(self.classpath.tags(&method.get().annotations)?);
                self.tests.push(FoundTest {
                    name: TestName { class: name.clone(), method: method.get().signature() },
                    classes: Arc::clone(&classes),
                    method: method.get().name.clone(),
                    tags,
                });
            }
        }
        for nested in nested_classes(self.classpath, class)? {
            if self.rules.strict && nested.has(AccessFlags::ABSTRACT) {
                continue;
            }
            let nested_name = format!("{name}${}", nested.simple_name());
            self.visit(&nested, nested_name, &tags)?;
        }
        self.walk.leave();
        Ok(())
    }

    fn is_test(&self, method: &Method) -> Result<bool> {
        if method.annotations.is_empty()
            || method.flags.intersects(AccessFlags::STATIC | AccessFlags::PRIVATE | AccessFlags::ABSTRACT)
        {
            return Ok(false);
        }
        if method.returns_void() || (self.rules.suspending && is_suspending(method)) {
            return self.classpath.has_any(&method.annotations, &[TEST, TEST_TEMPLATE]);
        }
        Ok(self.classpath.has_any(&method.annotations, &[TEST_FACTORY])?
            && (!self.rules.strict || holds_dynamic_nodes(self.classpath, &method.descriptor)?))
    }
}

/// Whether a method is a `suspend` function of Kotlin: its last parameter is what it continues with.
fn is_suspending(method: &Method) -> bool {
    method.descriptor.ends_with("Lkotlin/coroutines/Continuation;)Ljava/lang/Object;")
}

/// The classes that decide about the tests of a class: itself, its `@Nested` classes at any depth, and the superclasses and
/// interfaces of all of these; each once, with the class itself first.
///
/// # Errors
/// When a class that had to be looked at is broken, or they go too deep.
pub(crate) fn involved(classpath: &Classpath, class: &Arc<ClassFile>) -> Result<Vec<Arc<ClassFile>>> {
    let mut seen: HashSet<String> = HashSet::from([class.name.clone()]);
    let mut found = vec![Arc::clone(class)];
    let mut next = 0;
    while let Some(class) = found.get(next).cloned() {
        next += 1;
        for other in nested_classes(classpath, &class)?.into_iter().chain(ancestors(classpath, &class)?) {
            if seen.insert(other.name.clone()) {
                found.push(other);
            }
        }
    }
    Ok(found)
}

/// Whether the type of a factory's result can hold dynamic nodes. What a collection holds is not looked at.
fn holds_dynamic_nodes(classpath: &Classpath, descriptor: &str) -> Result<bool> {
    let result = descriptor.rsplit_once(')').map_or("", |(_, result)| result);
    let element = result.strip_prefix('[').unwrap_or(result);
    let Some(class) = element.strip_prefix('L').and_then(|name| name.strip_suffix(';')) else { return Ok(false) };
    let class = class.replace('/', ".");
    if class == "java.lang.Object" || classpath.is_subtype(&class, DYNAMIC_NODE)? {
        return Ok(true);
    }
    let is_array = element.len() < result.len();
    Ok(!is_array && may_be_streamed(classpath, &class)?)
}

/// Whether a type is a stream, an iterator or something to iterate over, as far as its known ancestors tell.
fn may_be_streamed(classpath: &Classpath, class: &str) -> Result<bool> {
    let is_streamed = |name: &str| {
        name == "java.lang.Iterable" || name.starts_with("java.util.") || name.starts_with("kotlin.sequences.")
    };
    if is_streamed(class) {
        return Ok(true);
    }
    let Some(class) = classpath.class(class)? else { return Ok(!class.starts_with("java.")) };
    let mut all = ancestors(classpath, &class)?;
    all.push(class);
    Ok(all.iter().any(|one| {
        one.superclass.iter().chain(&one.interfaces).any(|name| is_streamed(name))
            || one.methods.iter().any(|method| method.name == "iterator" && method.has_no_parameters())
    }))
}

/// `@Tag` is inherited from superclasses and taken from interfaces too.
fn class_tags(classpath: &Classpath, class: &ClassFile) -> Result<Vec<String>> {
    let mut tags = classpath.tags(&class.annotations)?;
    for ancestor in ancestors(classpath, class)? {
        tags.extend(classpath.tags(&ancestor.annotations)?);
    }
    Ok(tags)
}

/// All known superclasses and interfaces.
///
/// # Errors
/// When one of them is broken.
pub(crate) fn ancestors(classpath: &Classpath, class: &ClassFile) -> Result<Vec<Arc<ClassFile>>> {
    // What is no class here need not be walked to: most have nothing but `java.lang.Object` above them.
    let above = |class: &ClassFile, todo: &mut Vec<String>| {
        let names = class.superclass.iter().chain(&class.interfaces);
        todo.extend(names.filter(|name| !Classpath::is_of_jdk(name)).cloned());
    };
    let mut seen = HashSet::new();
    let mut todo = Vec::new();
    above(class, &mut todo);
    let mut found = Vec::new();
    while let Some(name) = todo.pop() {
        if let Some(ancestor) = classpath.class(&name)?
            && seen.insert(name)
        {
            above(&ancestor, &mut todo);
            found.push(ancestor);
        }
    }
    Ok(found)
}

/// `@Nested` member classes of a class, its superclasses and its interfaces.
fn nested_classes(classpath: &Classpath, class: &Arc<ClassFile>) -> Result<Vec<Arc<ClassFile>>> {
    let mut nested = Vec::new();
    for declaring in std::iter::once(Arc::clone(class)).chain(ancestors(classpath, class)?) {
        for member in &declaring.members {
            if let Some(member) = classpath.class(member)?
                && member.is_inner()
                && !member.has(AccessFlags::PRIVATE)
                && is_nested(classpath, &member)?
                && !nested.iter().any(|known: &Arc<ClassFile>| known.name == member.name)
            {
                nested.push(member);
            }
        }
    }
    Ok(nested)
}

fn is_nested(classpath: &Classpath, class: &ClassFile) -> Result<bool> {
    if classpath.has_any(&class.annotations, &[NESTED])? {
        return Ok(true);
    }
    for ancestor in ancestors(classpath, class)? {
        for annotation in &ancestor.annotations {
            let meaning = classpath.meaning(&annotation.type_name)?;
            let reaches_subclasses = meaning.inherited || ancestor.has(AccessFlags::INTERFACE);
            if reaches_subclasses && meaning.types.contains(NESTED) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A method and the class that declares it.
struct MethodOf {
    class: Arc<ClassFile>,
    index: usize,
}

impl MethodOf {
    fn get(&self) -> &Method {
        &self.class.methods[self.index]
    }
}

/// Methods as `ReflectionSupport.findMethods` sees them: inherited ones, unless overridden.
fn methods_in_hierarchy(classpath: &Classpath, class: &Arc<ClassFile>) -> Result<Vec<MethodOf>> {
    let mut chain = classpath.superclasses(class)?;
    chain.insert(0, Arc::clone(class));
    let mut visible = Vec::new();
    for class in chain.iter().rev() {
        for name in &class.interfaces {
            for interface in classpath.interfaces(name)? {
                add_declared(&interface, &mut visible);
            }
        }
        add_declared(class, &mut visible);
    }
    Ok(visible)
}

fn add_declared(class: &Arc<ClassFile>, visible: &mut Vec<MethodOf>) {
    let is_interface = class.has(AccessFlags::INTERFACE);
    // A default method overrides those of parent interfaces, but never a superclass's method.
    visible.retain(|upper| (is_interface && !upper.class.has(AccessFlags::INTERFACE)) || !is_overridden(upper, class));
    for (index, method) in class.methods.iter().enumerate() {
        let is_constructor = method.name.starts_with('<');
        let is_left_open = is_interface && method.has(AccessFlags::ABSTRACT);
        if !method.has(AccessFlags::SYNTHETIC) && !is_constructor && !is_left_open {
            visible.push(MethodOf { class: Arc::clone(class), index });
        }
    }
}

/// Whether a class overrides a method of one of its ancestors.
fn is_overridden(upper: &MethodOf, class: &ClassFile) -> bool {
    let method = upper.get();
    if method.flags.intersects(AccessFlags::PRIVATE | AccessFlags::STATIC | AccessFlags::FINAL) {
        return false;
    }
    let package_private = !method.flags.intersects(AccessFlags::PUBLIC | AccessFlags::PROTECTED);
    if package_private && upper.class.package() != class.package() {
        return false;
    }
    class.methods.iter().any(|lower| {
        lower.name == method.name
            && lower.parameters() == method.parameters()
            && !lower.has(AccessFlags::STATIC)
            && !(class.has(AccessFlags::INTERFACE) && lower.has(AccessFlags::ABSTRACT))
            && (!lower.has(AccessFlags::SYNTHETIC) || bridges_to_another(class, lower))
    })
}

/// A bridge from a generic superclass's signature leads to a method with other parameters. (A bridge
/// that only makes a method of a package-private class visible overrides nothing.)
fn bridges_to_another(class: &ClassFile, bridge: &Method) -> bool {
    class.methods.iter().any(|target| {
        target.name == bridge.name
            && !target.has(AccessFlags::SYNTHETIC)
            && target.parameter_count() == bridge.parameter_count()
    })
}
