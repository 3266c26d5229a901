//! What a class file refers to: read from its constant pool alone (Java Virtual Machine Specification 4.4), only when asked.
//!
//! Meant to be too much rather than too little: a text that may be a descriptor or a class name counts as one.

use super::annotation::Unreadable;
use noak::MStr;
use std::collections::BTreeSet;

/// Everything that a class file names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Binary name of the class itself, with dots.
    pub class: String,
    /// Binary names of the classes that it refers to, by constants, descriptors, generic signatures and annotations; sorted,
    /// without itself. Classes of the JDK are among them.
    pub classes: Vec<String>,
    /// Texts that may be names of classes or packages, with dots: what code could look a class up by, and values of
    /// annotations such as `com.acme.Data` of `@MethodSource("com.acme.Data#rows")`. Sorted.
    pub strings: Vec<String>,
    /// Methods called that load classes or resources by a name, as `java.lang.Class.forName`, sorted: with one of these the
    /// class may reach what it does not name.
    pub by_name: Vec<String>,
}

/// Reads what a class file refers to. Linear in time and memory; never panics, whatever the bytes are.
///
/// # Errors
/// The reason when the bytes are no class file or end too early.
pub fn references(bytes: &[u8]) -> Result<References, impl std::error::Error + use<>> {
    read(bytes)
}

fn read(bytes: &[u8]) -> Result<References, Unreadable> {
    let mut reader = Bytes { rest: bytes };
    if reader.u32()? != 0xCAFE_BABE {
        return Err(Unreadable::Magic);
    }
    reader.take(4)?; // versions
    let pool = Pool::read(&mut reader)?;
    reader.take(2)?; // access flags
    let this = pool.class(reader.u16()?).ok_or(Unreadable::End)?;
    Ok(pool.references(this))
}

/// A byte string that is read from the front.
struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Unreadable::End)?;
        self.rest = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Unreadable> {
        let taken = self.take(2)?;
        Ok(u16::from_be_bytes([taken[0], taken[1]]))
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }
}

#[derive(Clone, Copy)]
enum Constant<'a> {
    Text(&'a [u8]),
    Class(u16),
    String(u16),
    Member { class: u16, name_and_type: u16 },
    NameAndType { name: u16, descriptor: u16 },
    Other,
}

struct Pool<'a> {
    /// By index; index 0 and the second place of long constants are [`Constant::Other`].
    constants: Vec<Constant<'a>>,
}

impl<'a> Pool<'a> {
    fn read(reader: &mut Bytes<'a>) -> Result<Self, Unreadable> {
        let count = usize::from(reader.u16()?);
        let mut constants = Vec::with_capacity(count);
        constants.push(Constant::Other);
        while constants.len() < count {
            let tag = reader.take(1)?[0];
            let constant = match tag {
                1 => {
                    let length = reader.u16()?;
                    Constant::Text(reader.take(length.into())?)
                }
                7 => Constant::Class(reader.u16()?),
                8 => Constant::String(reader.u16()?),
                10 | 11 => Constant::Member { class: reader.u16()?, name_and_type: reader.u16()? },
                12 => Constant::NameAndType { name: reader.u16()?, descriptor: reader.u16()? },
                3 | 4 | 9 | 17 | 18 => reader.take(4).map(|_| Constant::Other)?,
                5 | 6 => reader.take(8).map(|_| Constant::Other)?,
                15 => reader.take(3).map(|_| Constant::Other)?,
                16 | 19 | 20 => reader.take(2).map(|_| Constant::Other)?,
                _ => return Err(Unreadable::Constant(tag)),
            };
            constants.push(constant);
            if matches!(tag, 5 | 6) {
                constants.push(Constant::Other);
            }
        }
        Ok(Self { constants })
    }

    fn text(&self, index: u16) -> Option<&'a [u8]> {
        match self.constants.get(usize::from(index)) {
            Some(Constant::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The name of a class constant, as it stands there.
    fn class(&self, index: u16) -> Option<&'a [u8]> {
        match self.constants.get(usize::from(index)) {
            Some(Constant::Class(name)) => self.text(*name),
            _ => None,
        }
    }

    fn references(&self, this: &'a [u8]) -> References {
        let mut classes = BTreeSet::new();
        let mut inner = BTreeSet::new();
        let mut strings = BTreeSet::new();
        let mut by_name = BTreeSet::new();
        let mut names_a_class = vec![false; self.constants.len()];
        for constant in &self.constants {
            if let Constant::Class(name) = constant
                && let Some(named) = names_a_class.get_mut(usize::from(*name))
            {
                *named = true;
            }
        }
        for (constant, names_a_class) in self.constants.iter().zip(names_a_class) {
            match *constant {
                Constant::Text(text) if names_a_class => match text.first() {
                    Some(b'[') => add_types(text, &mut classes, &mut inner),
                    _ => drop(classes.insert(text)),
                },
                Constant::Text(text) => {
                    add_types(text, &mut classes, &mut inner);
                    strings.extend(class_like(text).filter(|text| text.contains('.')));
                }
                Constant::String(text) => strings.extend(self.text(text).and_then(class_like_text)),
                Constant::Member { class, name_and_type } => by_name.extend(self.by_name(class, name_and_type)),
                Constant::Class(_) | Constant::NameAndType { .. } | Constant::Other => {}
            }
        }
        classes.remove(this);
        let class = dotted(this);
        let mut classes: BTreeSet<String> = classes.into_iter().map(dotted).collect();
        classes.extend(inner);
        classes.remove(&class);
        References {
            class,
            classes: classes.into_iter().collect(),
            strings: strings.into_iter().collect(),
            by_name: by_name.into_iter().collect(),
        }
    }

    /// The method as `class.name` when it loads something by its name, whatever class it is called on: class loaders have
    /// subclasses.
    fn by_name(&self, class: u16, name_and_type: u16) -> Option<String> {
        let Some(Constant::NameAndType { name, descriptor }) = self.constants.get(usize::from(name_and_type)) else {
            return None;
        };
        let (class, name, descriptor) = (self.class(class)?, self.text(*name)?, self.text(*descriptor)?);
        let returned = descriptor.rsplit(|byte| *byte == b')').next()?;
        let loads = match name {
            b"forName" | b"loadClass" | b"findClass" | b"findSystemClass" | b"findLoadedClass" | b"defineClass" => {
                returned == b"Ljava/lang/Class;"
            }
            b"getResource" | b"getSystemResource" => returned == b"Ljava/net/URL;",
            b"getResources" | b"getSystemResources" => returned == b"Ljava/util/Enumeration;",
            b"getResourceAsStream" | b"getSystemResourceAsStream" => returned == b"Ljava/io/InputStream;",
            b"resources" => class == b"java/lang/ClassLoader",
            b"load" | b"loadInstalled" => class == b"java/util/ServiceLoader",
            b"getBundle" => class == b"java/util/ResourceBundle",
            b"readObject" | b"readUnshared" => descriptor == b"()Ljava/lang/Object;",
            b"<init>" => class == b"java/net/URLClassLoader",
            _ => false,
        };
        loads.then(|| format!("{}.{}", dotted(class), String::from_utf8_lossy(name)))
    }
}

/// Collects the class names of a descriptor or generic signature; of other texts, nothing or names that nothing has.
/// `inner` takes those that a signature spells in parts: `Lcom/acme/Outer<TT;>.Inner;` is `com.acme.Outer$Inner`.
fn add_types<'a>(text: &'a [u8], classes: &mut BTreeSet<&'a [u8]>, inner: &mut BTreeSet<String>) {
    if !matches!(text.first(), Some(b'(' | b'[' | b'<' | b'L')) {
        return;
    }
    let mut rest = text;
    // The classes whose type arguments are being read.
    let mut open: Vec<&[u8]> = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'L' => {
                let end = after.iter().position(|byte| b";<:.()".contains(byte)).unwrap_or(after.len());
                let name = &after[..end];
                match after.get(end) {
                    Some(b';') => add_type(name, classes),
                    Some(b'<') => {
                        add_type(name, classes);
                        open.push(name);
                    }
                    // The name of a type parameter, or no signature at all.
                    _ => {}
                }
                rest = after.get(end + 1..).unwrap_or_default();
            }
            b'T' => {
                let end = after.iter().position(|byte| b";:<".contains(byte)).unwrap_or(after.len());
                rest = after.get(end + 1..).unwrap_or_default();
            }
            b'>' => {
                let outer = open.pop();
                if let (Some(outer), Some((b'.', after))) = (outer, rest.split_first()) {
                    let end = after.iter().position(|byte| b";<".contains(byte)).unwrap_or(after.len());
                    let name = after[..end].split(|byte| *byte == b'.');
                    let name = name.fold(dotted(outer), |name, part| name + "$" + &dotted(part));
                    if name.len() <= MAX_NAME {
                        inner.insert(name);
                    }
                    rest = after.get(end + 1..).unwrap_or_default();
                    if after.get(end) == Some(&b'<') {
                        // Further parts are told from the outermost class: rare, and the constants name them too.
                        open.push(outer);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Longer than this is no class name in any file system.
const MAX_NAME: usize = 4096;

fn add_type<'a>(name: &'a [u8], classes: &mut BTreeSet<&'a [u8]>) {
    let is_name =
        |part: &[u8]| !part.is_empty() && !part.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b'[');
    if name.len() <= MAX_NAME && name.split(|byte| *byte == b'/').all(is_name) {
        classes.insert(name);
    }
}

/// A text as class name with dots, if it may be one: `com.acme.Foo`, `com/acme/Foo.class`, `[Lcom.acme.Foo;`, `com.acme.Foo#rows`.
fn class_like_text(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let text = text.split('#').next().unwrap_or_default().trim_start_matches('[');
    let text = text.strip_suffix(';').and_then(|text| text.strip_prefix('L')).unwrap_or(text);
    let text = text.strip_suffix(".class").unwrap_or(text).trim_matches(['/', '.']);
    let is_part = |part: &str| {
        !part.starts_with(|c: char| c.is_ascii_digit())
            && !part.is_empty()
            && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '-'))
    };
    (text.len() <= MAX_NAME && text.split(['.', '/']).all(is_part)).then(|| text.replace('/', "."))
}

fn class_like(text: &[u8]) -> impl Iterator<Item = String> {
    class_like_text(text).into_iter()
}

/// A class name with dots, from modified UTF-8; unpaired surrogates are replaced.
fn dotted(name: &[u8]) -> String {
    let text = match MStr::from_mutf8(name) {
        Ok(name) => name.to_str().map_or_else(|| name.chars_lossy().collect(), str::to_owned),
        Err(_) => String::from_utf8_lossy(name).into_owned(),
    };
    text.replace('/', ".")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;
    use proptest::prelude::*;

    fn types(text: &str) -> Vec<String> {
        let (mut classes, mut inner) = (BTreeSet::new(), BTreeSet::new());
        add_types(text.as_bytes(), &mut classes, &mut inner);
        classes.into_iter().map(dotted).chain(inner).collect()
    }

    #[test]
    fn descriptors_and_signatures_name_classes() {
        for (text, expected) in [
            ("(ILcom/acme/A;[[Lcom/acme/B$C;J)V", &["com.acme.A", "com.acme.B$C"][..]),
            ("Lcom/acme/A;", &["com.acme.A"]),
            ("[[Lcom/acme/A;", &["com.acme.A"]),
            (
                "<LIST:Ljava/lang/Object;T::Lcom/acme/I<TT;>;>Lcom/acme/Base<-[TT;*+Lcom/acme/X;>;",
                &["com.acme.Base", "com.acme.I", "com.acme.X", "java.lang.Object"],
            ),
            ("(TT;Lcom/acme/A<TL;>.In;)TT;^Lcom/acme/E;", &["com.acme.A", "com.acme.E", "com.acme.A$In"]),
            ("Lcom/acme/A<Lx/B;>.In<Lx/C;>;", &["com.acme.A", "x.B", "x.C", "com.acme.A$In"]),
            ("List of things; and more", &[]),
            ("Hello", &[]),
            ("", &[]),
        ] {
            assert_eq!(types(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_that_may_be_class_names_are_told() {
        for (text, expected) in [
            ("com.acme.Foo", Some("com.acme.Foo")),
            ("com/acme/Foo$Bar.class", Some("com.acme.Foo$Bar")),
            ("/com/acme/data", Some("com.acme.data")),
            ("[Lcom.acme.Foo;", Some("com.acme.Foo")),
            ("com.acme.Data#rows(int)", Some("com.acme.Data")),
            ("com.acme.", Some("com.acme")),
            ("Foo", Some("Foo")),
            ("hello world", None),
            ("1.2", None),
            ("a..b", None),
            ("#rows", None),
            ("", None),
        ] {
            assert_eq!(class_like_text(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_compiled_class_tells_all_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let source = r#"package acme;
            import java.util.*;
            @interface With { Class<?> value(); String data(); }
            class Base<T> {} class Thrown extends Exception {} class Param {} class Generic {} class Arr {} class Local {}
            class Arg {} class Called { static void call() {} } class Field { static int f; } enum Color { RED }
            @interface Colored { Color value(); }
            @With(value = Param.class, data = "acme.Data#rows") @Colored(Color.RED)
            class Main extends Base<Generic> {
                Arr[][] arrays;
                void run(Arg a, Map<String, ? super Local> b) throws Thrown {
                    Called.call(); int f = Field.f; Runnable r = Called::call;
                    String s = "acme.ByString";
                }
                Object load(ClassLoader loader) throws Exception {
                    return loader.loadClass("acme.X" + hashCode()).getResourceAsStream("x");
                }
            }"#;
        std::fs::write(folder.path().join("Main.java"), source).unwrap();
        fixtures::compile(folder.path(), &folder.path().join("out"), None);
        let bytes = std::fs::read(folder.path().join("out/acme/Main.class")).unwrap();
        let found = references(&bytes).unwrap();
        assert_eq!(found.class, "acme.Main");
        for name in [
            "acme.Base",
            "acme.Thrown",
            "acme.Param",
            "acme.Generic",
            "acme.Arr",
            "acme.Local",
            "acme.Arg",
            "acme.Called",
            "acme.Field",
            "acme.With",
            "acme.Color",
            "acme.Colored",
            "java.util.Map",
        ] {
            assert!(found.classes.iter().any(|class| class == name), "{name} is not among {:?}", found.classes);
        }
        assert!(!found.classes.contains(&"acme.Main".to_owned()), "{:?}", found.classes);
        for text in ["acme.ByString", "acme.Data"] {
            assert!(found.strings.iter().any(|string| string == text), "{text} is not among {:?}", found.strings);
        }
        assert_eq!(found.by_name, ["java.lang.Class.getResourceAsStream", "java.lang.ClassLoader.loadClass"]);
        let called = std::fs::read(folder.path().join("out/acme/Called.class")).unwrap();
        assert!(references(&called).unwrap().by_name.is_empty());
    }

    #[test]
    fn a_file_that_ends_too_early_is_refused_wherever_it_ends() {
        let bytes = std::fs::read(fixtures::compiled().cases.join("cases/TaggedTest.class")).unwrap();
        let whole = read(&bytes).unwrap();
        let needed = (0..bytes.len()).find(|end| read(&bytes[..*end]).is_ok()).unwrap();
        assert!(needed > 50);
        (needed..bytes.len()).step_by(97).for_each(|end| assert_eq!(read(&bytes[..end]).unwrap(), whole));
    }

    #[test]
    fn constants_that_point_at_themselves_end() {
        // Class, String and NameAndType constants that name themselves or nothing.
        let mut bytes = vec![0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 52, 0, 6];
        bytes.extend([7, 0, 1, 8, 0, 2, 12, 0, 3, 0, 3, 10, 0, 4, 0, 3, 1, 0, 1, b'A']);
        bytes.extend([0, 0, 0, 1]);
        assert!(read(&bytes).is_err(), "the class names itself");
        let this = bytes.len() - 1;
        bytes[10..13].copy_from_slice(&[7, 0, 5]);
        bytes[this] = 1;
        assert_eq!(read(&bytes).unwrap(), References { class: "A".into(), ..References::default() });
    }

    proptest! {
        #[test]
        fn any_text_is_a_signature_or_none(text in "[(\\[<>LT:;*+.^/a-cé]{0,40}") {
            let _ = types(&text);
            let _ = class_like_text(text.as_bytes());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop_oneof![0..20u8, any::<u8>()], 0..512)) {
            let _ = read(&[&[0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 52], &bytes[..]].concat());
        }
    }
}
