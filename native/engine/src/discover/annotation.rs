//! Annotations with their values, from the bytes of a `RuntimeVisibleAnnotations` attribute
//! (Java Virtual Machine Specification 4.7.16).
//!
//! Read by hand, because noak reads nested values by recursion without a limit: a hostile file
//! would overflow the stack and take the whole process with it.

use super::texts::{Texts, type_name};
use noak::error::DecodeError;
use noak::reader::cpool;

/// Deeper nesting than this is no annotation that a compiler writes.
const MAX_DEPTH: u32 = 32;

/// Why a class file can't be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// Its structure is damaged.
    Structure(DecodeError),
    /// An annotation is.
    Annotation,
    /// It names its constants more often than any compiler does.
    TooMuchText,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Structure(error) => write!(f, "it is no class file, or a damaged one: {error}"),
            Self::Annotation => f.write_str("it is damaged: an annotation ends too early or nests too deeply"),
            Self::TooMuchText => f.write_str("its names and annotations add up to more text than a compiler writes"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<DecodeError> for Unreadable {
    fn from(error: DecodeError) -> Self {
        Self::Structure(error)
    }
}

/// An annotation on a class or method.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Annotation {
    /// Binary name of the annotation's type.
    pub(crate) type_name: String,
    /// Elements that are written out, in the order of the file; defaults are not.
    pub(crate) elements: Vec<(String, Value)>,
}

/// The value of an annotation's element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// Type name of a class literal.
    Class(String),
    Bool(bool),
    Annotation(Annotation),
    List(Vec<Value>),
    /// Name of an enum constant.
    Constant(String),
    /// A number or character: no rule asks for one.
    Other,
}

impl Annotation {
    pub(crate) fn element(&self, name: &str) -> Option<&Value> {
        self.elements.iter().find(|(element, _)| element == name).map(|(_, value)| value)
    }

    /// The texts of an element that is a text or a list of texts.
    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        self.flat(name)
            .filter_map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The class names of an element that is a class or a list of classes.
    pub(crate) fn classes(&self, name: &str) -> Vec<&str> {
        self.flat(name)
            .filter_map(|value| match value {
                Value::Class(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The enum constant of an element, if it is written out.
    pub(crate) fn constant(&self, name: &str) -> Option<&str> {
        match self.element(name) {
            Some(Value::Constant(constant)) => Some(constant),
            _ => None,
        }
    }

    /// The annotations of a container annotation's `value`.
    pub(crate) fn contained(&self) -> impl Iterator<Item = &Annotation> {
        self.flat("value").filter_map(|value| match value {
            Value::Annotation(annotation) => Some(annotation),
            _ => None,
        })
    }

    fn flat(&self, name: &str) -> impl Iterator<Item = &Value> {
        match self.element(name) {
            Some(Value::List(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        }
        .iter()
    }
}

/// All annotations of an attribute's content.
pub(super) fn read_all(texts: &Texts<'_, '_>, content: &[u8]) -> Result<Vec<Annotation>, Unreadable> {
    let mut reader = Reader { texts, rest: content };
    reader.many(4, |reader| reader.annotation(0))
}

struct Reader<'p, 'a> {
    texts: &'p Texts<'p, 'a>,
    rest: &'p [u8],
}

impl Reader<'_, '_> {
    fn u8(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.rest.split_first().ok_or(Unreadable::Annotation)?;
        self.rest = rest;
        Ok(*first)
    }

    fn u16(&mut self) -> Result<u16, Unreadable> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    /// As many as the next number says, each of at least so many bytes. There is room for no more than there are: of a large
    /// build millions of annotations are kept.
    fn many<T>(
        &mut self,
        least: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, Unreadable> {
        let count = usize::from(self.u16()?);
        if count > self.rest.len() / least {
            return Err(Unreadable::Annotation);
        }
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(read(self)?);
        }
        Ok(all)
    }

    fn text(&mut self) -> Result<String, Unreadable> {
        let index = cpool::Index::new(self.u16()?)?;
        self.texts.text(index)
    }

    fn type_name(&mut self) -> Result<String, Unreadable> {
        let index = cpool::Index::new(self.u16()?)?;
        Ok(type_name(&self.texts.borrowed(index)?))
    }

    fn annotation(&mut self, depth: u32) -> Result<Annotation, Unreadable> {
        if depth > MAX_DEPTH {
            return Err(Unreadable::Annotation);
        }
        let type_name = self.type_name()?;
        // A name, and a value of a letter and two bytes.
        let elements = self.many(5, |reader| Ok((reader.text()?, reader.value(depth + 1)?)))?;
        Ok(Annotation { type_name, elements })
    }

    fn value(&mut self, depth: u32) -> Result<Value, Unreadable> {
        if depth > MAX_DEPTH {
            return Err(Unreadable::Annotation);
        }
        Ok(match self.u8()? {
            b's' => Value::Text(self.text()?),
            b'c' => Value::Class(self.type_name()?),
            b'Z' => {
                let index = cpool::Index::<cpool::Integer>::new(self.u16()?)?;
                Value::Bool(self.texts.pool.get(index)?.value != 0)
            }
            b'B' | b'C' | b'D' | b'F' | b'I' | b'J' | b'S' => {
                self.u16()?;
                Value::Other
            }
            b'e' => {
                self.u16()?;
                Value::Constant(self.text()?)
            }
            b'@' => Value::Annotation(self.annotation(depth + 1)?),
            b'[' => Value::List(self.many(3, |reader| reader.value(depth + 1))?),
            _ => return Err(Unreadable::Annotation),
        })
    }
}
