//! The texts of a class file: its constants as strings, and the descriptors among them as type names.

use super::annotation::Unreadable;
use noak::MStr;
use noak::reader::cpool::{self, ConstantPool};
use std::borrow::Cow;
use std::cell::Cell;

/// Bytes of text that are taken from one class file. Each constant, of up to 64 KiB, may be named any number of times in two
/// bytes each, so that a file of a megabyte could spell out gigabytes.
const MAX_TEXT: usize = 64 << 20;

/// Gives out the texts of one class file, up to [`MAX_TEXT`].
pub(super) struct Texts<'p, 'a> {
    pub(super) pool: &'p ConstantPool<'a>,
    left: Cell<usize>,
}

impl<'p, 'a> Texts<'p, 'a> {
    pub(super) fn new(pool: &'p ConstantPool<'a>) -> Self {
        Self { pool, left: Cell::new(MAX_TEXT) }
    }

    /// Bytes of text that were given out.
    pub(super) fn given(&self) -> usize {
        MAX_TEXT - self.left.get()
    }

    /// A text constant; unpaired surrogates, which Rust has no place for, are replaced.
    pub(super) fn text(&self, index: cpool::Index<cpool::Utf8<'a>>) -> Result<String, Unreadable> {
        self.borrowed(index).map(Cow::into_owned)
    }

    /// As [`Texts::text`], to be looked at.
    pub(super) fn borrowed(&self, index: cpool::Index<cpool::Utf8<'a>>) -> Result<Cow<'a, str>, Unreadable> {
        self.take(self.pool.retrieve(index)?)
    }

    /// The binary name of a class constant.
    pub(super) fn class_name(&self, index: cpool::Index<cpool::Class<'a>>) -> Result<String, Unreadable> {
        Ok(with_dots(&self.take(self.pool.retrieve(index)?.name)?))
    }

    fn take(&self, constant: &'a MStr) -> Result<Cow<'a, str>, Unreadable> {
        let left = self.left.get().checked_sub(constant.as_bytes().len()).ok_or(Unreadable::TooMuchText)?;
        self.left.set(left);
        Ok(constant.to_str().map_or_else(|| constant.chars_lossy().collect::<String>().into(), Cow::Borrowed))
    }
}

/// A name as class files write it, with dots, and with no more room than it takes.
pub(super) fn with_dots(name: &str) -> String {
    let dotted = name.bytes().map(|byte| if byte == b'/' { b'.' } else { byte }).collect();
    // One ASCII character for another leaves Unicode what it is.
    String::from_utf8(dotted).unwrap_or_default()
}

/// Type names, as `Class.getTypeName()` writes them, of a sequence of field descriptors. Ends at
/// the first thing that is none.
pub(super) fn type_names(descriptors: &str) -> impl Iterator<Item = String> {
    let mut rest = descriptors.trim_start_matches('(');
    std::iter::from_fn(move || {
        let element = rest.trim_start_matches('[');
        let dimensions = rest.len() - element.len();
        let letter = element.chars().next()?;
        let (name, after) = match letter {
            'L' => element[1..].split_once(';').map(|(name, after)| (with_dots(name), after))?,
            letter => (primitive(letter)?.to_owned(), &element[1..]),
        };
        rest = after;
        Some(if dimensions == 0 { name } else { name + &"[]".repeat(dimensions.min(255)) })
    })
}

/// The type name of a field descriptor; the descriptor itself when it is none.
pub(super) fn type_name(descriptor: &str) -> String {
    type_names(descriptor).next().unwrap_or_else(|| descriptor.to_owned())
}

fn primitive(letter: char) -> Option<&'static str> {
    Some(match letter {
        'B' => "byte",
        'C' => "char",
        'D' => "double",
        'F' => "float",
        'I' => "int",
        'J' => "long",
        'S' => "short",
        'Z' => "boolean",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::class_file::ClassFile;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_descriptor_has_type_names(text in "[(\\[LIVJ;/a-c)é]{0,20}") {
            let _ = type_names(&text).count();
            let _ = type_name(&text);
        }
    }

    /// A class that names one long constant again and again as its interface.
    fn with_interfaces(count: u16) -> Vec<u8> {
        let length = u16::MAX;
        let mut bytes = vec![0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 52, 0, 3, 1];
        bytes.extend(length.to_be_bytes());
        bytes.extend(std::iter::repeat_n(b'a', length.into()));
        bytes.extend([7, 0, 1, 0, 1, 0, 2, 0, 0]); // class constant; flags, this, super
        bytes.extend(count.to_be_bytes());
        bytes.extend([0, 2].repeat(count.into()));
        bytes.extend([0; 6]); // no fields, methods, attributes
        bytes
    }

    #[test]
    fn a_small_file_can_not_spell_out_gigabytes() {
        assert_eq!(ClassFile::parse(&with_interfaces(1_000)).unwrap().interfaces.len(), 1_000);
        let refused = ClassFile::parse(&with_interfaces(u16::MAX));
        assert!(matches!(refused, Err(Unreadable::TooMuchText)), "{refused:?}");
    }
}
