//! Names of this build's classes, and where texts mention them.
//!
//! A text is whatever could make a JVM load a class: a constant of a class file (its descriptors, signatures, annotation
//! values and strings are all text constants), a line of a `META-INF/services` file, the value of a system property. What
//! is found is always more than what is loaded, never less: one name too many costs a test run, one too few hides a
//! failure.

use super::unknown;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Stands for a class name throughout the build; two modules may each have a class of that name.
pub(super) type NameId = u32;

/// All names of classes that this build compiles, with `/` between packages.
#[derive(Debug, Default)]
pub(super) struct Names {
    ids: HashMap<Box<str>, NameId>,
    by_id: Vec<Box<str>>,
    packages: HashSet<Box<str>>,
}

/// What a text mentions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// Classes of this build, sorted, each once.
    pub(super) classes: Vec<NameId>,
    /// The name of one of this build's packages by itself: names of classes may be made from it.
    pub(super) package: Option<String>,
    /// What of elsewhere makes any class reachable.
    pub(super) uses: Option<&'static str>,
}

impl Names {
    /// Takes in a name; names that are known keep their id.
    pub(super) fn add(&mut self, name: &str) -> NameId {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        // Fewer than 2^32: each is a file of a megabyte at most, somewhere on this machine.
        let id = NameId::try_from(self.ids.len()).unwrap_or(NameId::MAX);
        self.ids.insert(name.into(), id);
        self.by_id.push(name.into());
        if let Some((package, _)) = name.rsplit_once('/') {
            self.packages.insert(package.into());
        }
        id
    }

    pub(super) fn id(&self, name: &str) -> Option<NameId> {
        self.ids.get(name).copied()
    }

    /// The name of an id; empty when there is none.
    pub(super) fn name(&self, id: NameId) -> &str {
        self.by_id.get(id as usize).map_or("", |name| name)
    }

    /// The class that holds the annotations of the package of `name`.
    pub(super) fn package_info(&self, name: &str) -> Option<NameId> {
        let package = name.rsplit_once('/').map_or("", |(package, _)| package);
        self.id(&format!("{package}/package-info"))
    }

    /// Adds what `text` mentions to `found`; call [`Mentions::tidy`] after the last text.
    pub(super) fn find(&self, text: &str, found: &mut Mentions) {
        // A constant that names a class, with whatever characters other languages allow in names.
        if let Some(id) = self.id(text) {
            found.classes.push(id);
            return;
        }
        for token in text.split(|c: char| !is_name_char(c)) {
            self.find_in_token(token.trim_start_matches('-'), found);
        }
    }

    fn find_in_token(&self, token: &str, found: &mut Mentions) {
        // A name that is shorter or longer than any of this build still costs a look-up or two; these are most of all.
        if token.is_empty() || token.starts_with("Ljava/") || token.starts_with("java/") {
            return;
        }
        let has_dots = token.contains('.');
        let slashed: Cow<'_, str> = if has_dots { Cow::Owned(token.replace('.', "/")) } else { Cow::Borrowed(token) };
        self.find_name(&slashed, has_dots, found);
        // `IILcom/acme/A` of `(IILcom/acme/A;)V`
        let element = token.trim_start_matches(['B', 'C', 'D', 'F', 'I', 'J', 'S', 'Z']);
        if let Some(name) = element.strip_prefix('L') {
            self.find_name(&name.replace('.', "/"), has_dots, found);
        }
    }

    fn find_name(&self, name: &str, has_dots: bool, found: &mut Mentions) {
        let name = name.trim_matches('/');
        if found.uses.is_none() {
            found.uses = unknown::by_class(name);
        }
        if let Some(id) = self.id(name) {
            found.classes.push(id);
            return;
        }
        if !has_dots {
            return;
        }
        // `com.acme` or `com.acme.`, to which somebody may append the rest.
        if found.package.is_none() && name.contains('/') && self.packages.contains(name) {
            found.package = Some(name.replace('/', "."));
        }
        // `com.acme.A.method`, `com.acme.A.Inner`, `com/acme/A.class`
        let mut rest = name;
        while let Some((before, _)) = rest.rsplit_once('/') {
            if let Some(id) = self.id(before) {
                found.classes.push(id);
                return;
            }
            rest = before;
        }
    }
}

impl Mentions {
    /// Sorts, and drops what is there twice.
    pub(super) fn tidy(&mut self) {
        self.classes.sort_unstable();
        self.classes.dedup();
    }
}

/// What names of classes, packages and methods are made of, with the separators between them.
fn is_name_char(c: char) -> bool {
    matches!(c, '.' | '/' | '$' | '_' | '-') || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Names {
        let mut names = Names::default();
        for name in ["com/acme/A", "com/acme/A$Inner", "com/acme/deep/Bé", "Top", "com/acme/package-info"] {
            names.add(name);
        }
        names
    }

    fn found(text: &str) -> (Vec<NameId>, Option<String>) {
        let mut mentions = Mentions::default();
        names().find(text, &mut mentions);
        mentions.tidy();
        (mentions.classes, mentions.package)
    }

    #[test]
    fn a_name_is_found_in_every_form_in_which_jvms_and_people_write_it() {
        for text in [
            "com/acme/A",
            "Lcom/acme/A;",
            "[[Lcom/acme/A;",
            "(IJLcom/acme/A;Z)V",
            "(I)Lcom/acme/A;",
            "<T:Lcom/acme/A;>Ljava/lang/Object;",
            "Ljava/util/List<-Lcom/acme/A;>;",
            "com.acme.A",
            "com.acme.A#cases",
            "com.acme.A.method",
            "com.acme.A.Inner",
            "com/acme/A.class",
            "/com/acme/A.class",
            "${com.acme.A}",
            "# providers\ncom.acme.A # the first\n",
            "a=b,com.acme.A;c",
            "\u{1}com.acme.A\u{1}",
        ] {
            assert_eq!(found(text).0, [0], "{text}");
        }
        assert_eq!(found("com.acme.deep.Bé").0, [2]);
        assert_eq!(found("com/acme/A$Inner").0, [1]);
        assert_eq!(found("Top").0, [3]);
    }

    #[test]
    fn what_only_looks_alike_is_not_found() {
        for text in ["com/acme/AB", "xcom/acme/A", "acme/A", "com.acme.", "", "LLL", "com/acme/a", "....", "//"] {
            assert_eq!(found(text).0, [0; 0], "{text}");
        }
    }

    #[test]
    fn a_package_by_itself_may_become_any_name() {
        for text in ["com.acme", "com.acme.", "com.acme.\u{1}Impl", "scan=com.acme.deep;"] {
            assert!(found(text).1.is_some(), "{text}");
        }
        for text in ["com", "com.acme.A", "com/acme", "org.acme", "com/acme/data.csv"] {
            assert_eq!(found(text).1, None, "{text}");
        }
    }

    #[test]
    fn the_annotations_of_a_package_belong_to_its_classes() {
        assert_eq!(names().package_info("com/acme/A"), Some(4));
        assert_eq!(names().package_info("com/acme/deep/Bé"), None);
        assert_eq!(names().package_info("Top"), None);
    }

    proptest! {
        #[test]
        fn a_name_is_found_among_anything_that_is_no_name(
            before in "[ \t\n,;:(<>)\\[\"'#*+=^\u{1}]{0,5}",
            after in "[ \t\n,;:(<>)\\[\"'#*+=^\u{1}]{0,5}",
            other in "[a-zA-Z. ;/$é-]{0,12}",
        ) {
            for name in ["com.acme.A", "com/acme/A$Inner", "Lcom/acme/deep/Bé;"] {
                let text = format!("{other} {before}{name}{after} {other}");
                prop_assert!(!found(&text).0.is_empty(), "{}", text);
            }
        }

        #[test]
        fn any_text_is_read(text in ".{0,64}") {
            let _ = found(&text);
        }
    }
}
