//! What a test framework could ask of the classes of one Test task: lookups across the classpath,
//! class hierarchies and annotations with the annotations on their types.

use super::class_file::ClassFile;
use super::container::{Container, class_path};
use super::sharded::Sharded;
use std::collections::HashSet;
use std::sync::Arc;
use testfleet_protocol::Result;

/// The classes that a Test task can load.
pub(crate) struct Classpath {
    containers: Vec<Arc<Container>>,
    classes: Sharded<Option<Arc<ClassFile>>>,
    meanings: Sharded<Arc<Meaning>>,
}

/// What an annotation type means by itself or through the annotations on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Meaning {
    /// Names of the annotation types that are present: itself and, transitively, those on it.
    pub(crate) types: HashSet<String>,
    /// `@Tag`s on it, or on annotations on it.
    pub(crate) tags: Vec<String>,
    /// `@Inherited`: subclasses have it too.
    pub(crate) inherited: bool,
    /// Whether planning looks at one of `types`.
    pub(crate) weighs: bool,
}

const TAG: &str = "org.junit.jupiter.api.Tag";
const TAGS: &str = "org.junit.jupiter.api.Tags";

impl Classpath {
    /// A classpath in order.
    pub(crate) fn new(containers: Vec<Arc<Container>>) -> Self {
        Self { containers, classes: Sharded::default(), meanings: Sharded::default() }
    }

    /// Whether a class is the JDK's by its name, so that nothing is known of it.
    pub(crate) fn is_of_jdk(name: &str) -> bool {
        name.starts_with("java.")
    }

    /// The class of a binary name; `None` for classes of the JDK and for those that are nowhere.
    ///
    /// # Errors
    /// When the first container that has it has it broken.
    pub(crate) fn class(&self, name: &str) -> Result<Option<Arc<ClassFile>>> {
        if Self::is_of_jdk(name) {
            return Ok(None);
        }
        if let Some(known) = self.classes.get(name) {
            return Ok(known);
        }
        let mut found = None;
        let path = class_path(name);
        for container in &self.containers {
            found = container.class_at(&path)?;
            if found.is_some() {
                break;
            }
        }
        Ok(self.classes.put(name, found))
    }

    /// The bytes of every file of this name, in classpath order, as `ClassLoader.getResources` finds them.
    ///
    /// # Errors
    /// When one of them, or a jar, can't be read.
    pub(crate) fn resources(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        self.containers.iter().filter_map(|container| container.read(name).transpose()).collect()
    }

    /// The superclasses that are known, nearest first.
    ///
    /// # Errors
    /// When one of them is broken.
    pub(crate) fn superclasses(&self, class: &ClassFile) -> Result<Vec<Arc<ClassFile>>> {
        let mut chain: Vec<Arc<ClassFile>> = Vec::new();
        let mut next = class.superclass.clone();
        while let Some(name) = next.take() {
            let Some(superclass) = self.class(&name)? else { break };
            if superclass.name == class.name || chain.iter().any(|known| known.name == superclass.name) {
                break;
            }
            next.clone_from(&superclass.superclass);
            chain.push(superclass);
        }
        Ok(chain)
    }

    /// An interface and those that it extends, as far as they are known: each once, parents before what extends them.
    ///
    /// # Errors
    /// When one of them is broken.
    pub(crate) fn interfaces(&self, name: &str) -> Result<Vec<Arc<ClassFile>>> {
        let mut seen = HashSet::from([name.to_owned()]);
        // With how many of its parents are done. No recursion: nothing bounds how deep a class file says that it goes.
        let mut on_the_way: Vec<_> = self.class(name)?.into_iter().map(|interface| (interface, 0)).collect();
        let mut found = Vec::new();
        while let Some((interface, done)) = on_the_way.last_mut() {
            match interface.interfaces.get(*done).cloned() {
                Some(parent) => {
                    *done += 1;
                    if seen.insert(parent.clone())
                        && let Some(parent) = self.class(&parent)?
                    {
                        on_the_way.push((parent, 0));
                    }
                }
                None => found.extend(on_the_way.pop().map(|(interface, _)| interface)),
            }
        }
        Ok(found)
    }

    /// Whether a class is, extends or implements the class of this name.
    ///
    /// # Errors
    /// When a class on the way is broken.
    pub(crate) fn is_subtype(&self, name: &str, of: &str) -> Result<bool> {
        let mut seen = HashSet::new();
        let mut todo = vec![name.to_owned()];
        while let Some(name) = todo.pop() {
            if name == of {
                return Ok(true);
            }
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Some(class) = self.class(&name)? {
                todo.extend(class.superclass.iter().chain(&class.interfaces).cloned());
            }
        }
        Ok(false)
    }

    /// What an annotation of this type means.
    ///
    /// # Errors
    /// When the type, or one that stands on it, is broken.
    pub(crate) fn meaning(&self, annotation_type: &str) -> Result<Arc<Meaning>> {
        if let Some(known) = self.meanings.get(annotation_type) {
            return Ok(known);
        }
        let mut meaning = Meaning::default();
        let mut todo = vec![annotation_type.to_owned()];
        while let Some(name) = todo.pop() {
            if !meaning.types.insert(name.clone()) {
                continue;
            }
            let Some(class) = self.class(&name)? else { continue };
            for annotation in &class.annotations {
                if annotation.type_name == "java.lang.annotation.Inherited" {
                    meaning.inherited |= name == annotation_type;
                } else if !annotation.type_name.starts_with("java.lang.annotation.") {
                    meaning.tags.extend(tags_of(annotation));
                    todo.push(annotation.type_name.clone());
                }
            }
        }
        meaning.weighs = meaning.types.iter().any(|name| super::traits::weighs(name));
        Ok(self.meanings.put(annotation_type, Arc::new(meaning)))
    }

    /// Whether an annotation of one of these types is present or meta-present among `annotations`.
    ///
    /// # Errors
    /// When an annotation type is broken.
    pub(crate) fn has_any(&self, annotations: &[super::annotation::Annotation], types: &[&str]) -> Result<bool> {
        if annotations.iter().any(|annotation| types.contains(&annotation.type_name.as_str())) {
            return Ok(true);
        }
        for annotation in annotations {
            let meaning = self.meaning(&annotation.type_name)?;
            if types.iter().any(|name| meaning.types.contains(*name)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The Jupiter tags that stand on an element, composed annotations included.
    ///
    /// # Errors
    /// When an annotation type is broken.
    pub(crate) fn tags(&self, annotations: &[super::annotation::Annotation]) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        for annotation in annotations {
            tags.extend(tags_of(annotation));
            tags.extend(self.meaning(&annotation.type_name)?.tags.iter().cloned());
        }
        Ok(tags)
    }
}

fn tags_of(annotation: &super::annotation::Annotation) -> Vec<String> {
    let texts: Vec<&str> = match annotation.type_name.as_str() {
        TAG => annotation.texts("value"),
        TAGS => annotation.contained().flat_map(|tag| tag.texts("value")).collect(),
        _ => Vec::new(),
    };
    texts.into_iter().map(|tag| tag.trim().to_owned()).filter(|tag| super::tags::is_valid_tag(tag)).collect()
}
