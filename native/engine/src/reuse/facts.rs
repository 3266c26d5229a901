//! What one class file says about what its class may load.

use super::names::{Mentions, NameId, Names};
use super::unknown;
use noak::MStr;
use noak::error::DecodeError;
use noak::reader::Class;
use noak::reader::cpool::{self, ConstantPool, Item};
use std::borrow::Cow;

/// What a class may load.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Classes of this build that it mentions, sorted.
    pub(super) mentions: Vec<NameId>,
    /// Why it may load any class: an API that it calls, a framework that it uses, a package that it names.
    pub(super) unknown: Option<Cow<'static, str>>,
    /// It asks for resource bundles, which may be classes whose names the JVM makes.
    pub(super) asks_for_bundles: bool,
    /// It is such a class.
    pub(super) is_bundle: bool,
    /// It reads serialized objects: data then names classes.
    pub(super) reads_objects: bool,
}

/// Classes that resource bundles extend.
const BUNDLES: [&str; 3] =
    ["java/util/ResourceBundle", "java/util/ListResourceBundle", "java/util/PropertyResourceBundle"];

impl Facts {
    /// Of a class file; of one that can't be read that nothing is known.
    pub(super) fn read(bytes: &[u8], names: &Names) -> Self {
        read(bytes, names)
            .unwrap_or_else(|_| Self { unknown: Some("its class file can't be read".into()), ..Self::default() })
    }
}

fn read(bytes: &[u8], names: &Names) -> Result<Facts, DecodeError> {
    let class = Class::new(bytes)?;
    let pool = class.pool();
    let mut facts = Facts::default();
    let mut found = Mentions::default();
    for item in pool.iter() {
        match item {
            Item::Utf8(text) => {
                let text = text_of(text.content);
                names.find(&text, &mut found);
                facts.knows_less(unknown::by_text(&text).map(Cow::Borrowed));
            }
            Item::Class(class) => {
                let name = text_of(pool.retrieve(class.name)?);
                facts.knows_less(unknown::by_class(&name).map(unknown::uses));
                facts.reads_objects |= name == "java/io/ObjectInputStream";
            }
            Item::MethodRef(method) => facts.look_at_call(pool, method.class, method.name_and_type)?,
            Item::InterfaceMethodRef(method) => facts.look_at_call(pool, method.class, method.name_and_type)?,
            _ => {}
        }
    }
    let superclass = class.super_class().map(|index| pool.retrieve(index)).transpose()?;
    facts.is_bundle = superclass.is_some_and(|class| BUNDLES.contains(&&*text_of(class.name)));
    found.tidy();
    facts.knows_less(found.uses.map(unknown::uses));
    facts.knows_less(found.package.map(|package| format!("has the text {package}, a package of this build").into()));
    facts.mentions = found.classes;
    Ok(facts)
}

impl Facts {
    /// Adds those of another file of the same class.
    pub(super) fn add(&mut self, other: Self) {
        self.mentions.extend(other.mentions);
        self.mentions.sort_unstable();
        self.mentions.dedup();
        self.knows_less(other.unknown);
        self.asks_for_bundles |= other.asks_for_bundles;
        self.is_bundle |= other.is_bundle;
        self.reads_objects |= other.reads_objects;
    }

    /// The first reason counts: constants have an order, so that equal files give equal reasons.
    fn knows_less(&mut self, why: Option<Cow<'static, str>>) {
        if self.unknown.is_none() {
            self.unknown = why;
        }
    }

    fn look_at_call<'a>(
        &mut self,
        pool: &ConstantPool<'a>,
        class: cpool::Index<cpool::Class<'a>>,
        name_and_type: cpool::Index<cpool::NameAndType<'a>>,
    ) -> Result<(), DecodeError> {
        let class = text_of(pool.retrieve(class)?.name);
        let name = text_of(pool.retrieve(name_and_type)?.name);
        self.knows_less(unknown::by_call(&class, &name));
        self.asks_for_bundles |= class == "java/util/ResourceBundle" && name == "getBundle";
        Ok(())
    }
}

/// Unpaired surrogates, which Rust has no place for, are in no name that a file system could hold.
fn text_of(text: &MStr) -> Cow<'_, str> {
    text.to_str().map_or_else(|| text.chars_lossy().collect::<String>().into(), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_known_to_be_unknown(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let with_magic = [&[0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 52], &bytes[..]].concat();
            for bytes in [bytes, with_magic] {
                let facts = Facts::read(&bytes, &Names::default());
                prop_assert!(facts.unknown.is_some() || !bytes.is_empty());
            }
        }
    }
}
