//! One class file: what test frameworks can ask of a class by reflection, read without loading it.

use super::annotation::{self, Annotation, Unreadable};
use super::texts::{Texts, type_names};
use noak::AccessFlags;
use noak::reader::attributes::{AttributeContent, InnerClasses};
use noak::reader::{Attribute, Class, DecodeMany};
#[cfg(any(fuzzing, test))]
use sha2::{Digest, Sha256};

/// A class as its file describes it. Names are binary names with dots: `com.acme.FooTest$Inner`.
#[derive(Debug, PartialEq)]
pub(crate) struct ClassFile {
    pub(crate) name: String,
    pub(crate) superclass: Option<String>,
    pub(crate) interfaces: Vec<String>,
    /// As `Class.getModifiers()` gives them: for a member class those of its declaration.
    pub(crate) flags: AccessFlags,
    pub(crate) nesting: Nesting,
    /// Binary names of the classes declared in this one, in the order of the file.
    pub(crate) members: Vec<String>,
    pub(crate) annotations: Vec<Annotation>,
    pub(crate) methods: Vec<Method>,
    pub(crate) sha256: [u8; 32],
    /// Of the file, in bytes.
    pub(crate) size: u64,
}

/// Where a class is declared.
#[derive(Debug, PartialEq)]
pub(crate) enum Nesting {
    TopLevel,
    Member {
        outer: String,
        simple_name: String,
    },
    /// In a method, or without a name.
    Local,
}

/// A method or constructor.
#[derive(Debug, PartialEq)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) descriptor: String,
    pub(crate) flags: AccessFlags,
    pub(crate) annotations: Vec<Annotation>,
}

impl ClassFile {
    /// Reads a class file. Never panics, whatever the bytes are.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::parse_counting(bytes, Sha256::digest(bytes).into()).map(|(class, _)| class)
    }

    /// Reads a class file whose SHA-256 is known, with how many bytes of text it keeps.
    pub(crate) fn parse_counting(bytes: &[u8], sha256: [u8; 32]) -> Result<(Self, usize), Unreadable> {
        let class = Class::new(bytes)?;
        let texts = &Texts::new(class.pool());
        let name = texts.class_name(class.this_class())?;
        let superclass = class.super_class().map(|index| texts.class_name(index)).transpose()?;
        let interfaces =
            class.interfaces().iter().map(|index| texts.class_name(index?)).collect::<Result<Vec<_>, Unreadable>>()?;
        // No room for more than there are: of a large build millions of methods are kept.
        let all = class.methods().iter();
        let mut methods = Vec::with_capacity(all.size_hint().1.unwrap_or_default());
        for method in all {
            methods.push(read_method(texts, &method?)?);
        }
        let mut file = Self {
            superclass,
            interfaces,
            flags: class.access_flags(),
            nesting: Nesting::TopLevel,
            members: Vec::new(),
            annotations: Vec::new(),
            methods,
            sha256,
            size: bytes.len() as u64,
            name,
        };
        file.read_attributes(texts, class.attributes())?;
        Ok((file, texts.given()))
    }

    fn read_attributes<'a>(
        &mut self,
        texts: &Texts<'_, 'a>,
        attributes: DecodeMany<'a, Attribute<'a>, u16>,
    ) -> Result<(), Unreadable> {
        for attribute in attributes {
            let attribute = attribute?;
            match texts.pool.retrieve(attribute.name())?.as_bytes() {
                b"RuntimeVisibleAnnotations" => self.annotations = annotation::read_all(texts, attribute.content())?,
                b"InnerClasses" => {
                    if let AttributeContent::InnerClasses(classes) = attribute.read_content(texts.pool)? {
                        self.read_inner_classes(texts, &classes)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_inner_classes<'a>(&mut self, texts: &Texts<'_, 'a>, classes: &InnerClasses<'a>) -> Result<(), Unreadable> {
        for class in classes.classes() {
            let class = class?;
            let inner = texts.class_name(class.inner_class())?;
            let outer = class.outer_class().map(|index| texts.class_name(index)).transpose()?;
            let simple_name = class.inner_name().map(|index| texts.text(index)).transpose()?;
            if inner == self.name {
                self.flags = class.inner_access_flags();
                self.nesting = match (outer, simple_name) {
                    (Some(outer), Some(simple_name)) => Nesting::Member { outer, simple_name },
                    _ => Nesting::Local,
                };
            } else if outer.as_deref() == Some(&self.name) && simple_name.is_some() {
                self.members.push(inner);
            }
        }
        Ok(())
    }

    pub(crate) fn has(&self, flags: AccessFlags) -> bool {
        self.flags.contains(flags)
    }

    /// A member class with an enclosing instance.
    pub(crate) fn is_inner(&self) -> bool {
        matches!(self.nesting, Nesting::Member { .. }) && !self.has(AccessFlags::STATIC)
    }

    /// `Class.getSimpleName()`
    pub(crate) fn simple_name(&self) -> &str {
        match &self.nesting {
            Nesting::Member { simple_name, .. } => simple_name,
            _ => self.name.rsplit('.').next().unwrap_or(&self.name),
        }
    }

    /// The class that declares this one.
    pub(crate) fn outer(&self) -> Option<&str> {
        match &self.nesting {
            Nesting::Member { outer, .. } => Some(outer),
            _ => None,
        }
    }

    pub(crate) fn package(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(package, _)| package)
    }

    /// The annotation of a type, if it stands on the class itself.
    pub(crate) fn annotation(&self, type_name: &str) -> Option<&Annotation> {
        self.annotations.iter().find(|annotation| annotation.type_name == type_name)
    }
}

impl Method {
    pub(crate) fn has(&self, flags: AccessFlags) -> bool {
        self.flags.contains(flags)
    }

    /// The annotation of a type, if it stands on the method itself.
    pub(crate) fn annotation(&self, type_name: &str) -> Option<&Annotation> {
        self.annotations.iter().find(|annotation| annotation.type_name == type_name)
    }

    pub(crate) fn returns_void(&self) -> bool {
        self.descriptor.ends_with(")V")
    }

    /// The parameters' part of the descriptor: `(ILjava/lang/String;)`.
    pub(crate) fn parameters(&self) -> &str {
        self.descriptor.rsplit_once(')').map_or("", |(parameters, _)| parameters)
    }

    pub(crate) fn has_no_parameters(&self) -> bool {
        self.parameters() == "("
    }

    pub(crate) fn parameter_count(&self) -> usize {
        type_names(self.parameters()).count()
    }

    /// `adds(int, java.lang.String[])`
    pub(crate) fn signature(&self) -> String {
        let mut signature = String::with_capacity(self.name.len() + self.parameters().len() + 1);
        signature.push_str(&self.name);
        signature.push('(');
        for (at, name) in type_names(self.parameters()).enumerate() {
            signature.push_str(if at > 0 { ", " } else { "" });
            signature.push_str(&name);
        }
        signature.push(')');
        signature
    }
}

fn read_method<'a>(texts: &Texts<'_, 'a>, method: &noak::reader::Method<'a>) -> Result<Method, Unreadable> {
    let mut annotations = Vec::new();
    for attribute in method.attributes() {
        let attribute = attribute?;
        if texts.pool.retrieve(attribute.name())?.as_bytes() == b"RuntimeVisibleAnnotations" {
            annotations = annotation::read_all(texts, attribute.content())?;
        }
    }
    Ok(Method {
        name: texts.text(method.name())?,
        descriptor: texts.text(method.descriptor())?,
        flags: method.access_flags(),
        annotations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn signatures_are_written_as_java_source_names_types() {
        let method = Method {
            name: "adds".into(),
            descriptor: "(I[[Ljava/lang/String;Lcom/acme/A$B;[J)V".into(),
            flags: AccessFlags::PUBLIC,
            annotations: vec![],
        };
        assert_eq!(method.signature(), "adds(int, java.lang.String[][], com.acme.A$B, long[])");
        assert_eq!(method.parameter_count(), 4);
        assert!(method.returns_void());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = ClassFile::parse(&bytes);
        }

        #[test]
        fn bytes_that_begin_like_a_class_file_are_read_or_refused(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), 0..20u8, any::<u8>()], 0..512),
        ) {
            let _ = ClassFile::parse(&[&[0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 52], &bytes[..]].concat());
        }
    }
}
