//! Ant patterns on relative file paths, as Gradle's `include` and `exclude` take them.

/// Which files are meant.
#[derive(Debug)]
pub struct FileFilter {
    includes: Vec<AntPattern>,
    excludes: Vec<AntPattern>,
}

impl FileFilter {
    /// No include means all; excludes win.
    pub fn new(includes: &[String], excludes: &[String]) -> Self {
        let all = |patterns: &[String]| patterns.iter().map(|pattern| AntPattern::new(pattern)).collect();
        Self { includes: all(includes), excludes: all(excludes) }
    }

    /// Whether the file at a relative path, with `/`, is meant.
    pub fn accepts(&self, path: &str) -> bool {
        let matches = |patterns: &[AntPattern]| patterns.iter().any(|pattern| pattern.matches(path));
        (self.includes.is_empty() || matches(&self.includes)) && !matches(&self.excludes)
    }

    /// The folders that hold all that the includes can match, relative, with `/`, none below another; an empty text is
    /// the folder that paths are relative to.
    pub fn folders(&self) -> Vec<String> {
        let mut folders: Vec<_> = self.includes.iter().map(AntPattern::folder).collect();
        folders.sort();
        folders.dedup();
        let all = folders.clone();
        let is_below = |folder: &String, other: &String| {
            other.is_empty() || folder.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
        };
        folders.retain(|folder| !all.iter().any(|other| other != folder && is_below(folder, other)));
        folders
    }
}

#[derive(Debug)]
struct AntPattern {
    segments: Vec<Segment>,
}

/// What a pattern has between two slashes.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    /// `**`: any number of folders.
    Folders,
    Name(String),
    /// With `*`, which is any number of characters, or `?`, which is one.
    Wildcards(Vec<char>),
}

impl Segment {
    fn new(text: &str) -> Self {
        match text {
            "**" => Self::Folders,
            _ if text.contains(['*', '?']) => Self::Wildcards(text.chars().collect()),
            _ => Self::Name(text.to_owned()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Folders => true,
            Self::Name(own) => own == name,
            Self::Wildcards(pattern) => {
                matches(pattern, name.chars(), |wanted| *wanted == '*', |wanted, c| *wanted == '?' || *wanted == c)
            }
        }
    }
}

impl AntPattern {
    fn new(pattern: &str) -> Self {
        let mut pattern = pattern.replace('\\', "/");
        if pattern.ends_with('/') {
            pattern.push_str("**");
        }
        let segments = pattern.split('/').filter(|part| !part.is_empty()).map(Segment::new).collect();
        Self { segments }
    }

    /// What comes before the first wildcard; the last segment names files.
    fn folder(&self) -> String {
        let above = &self.segments[..self.segments.len().saturating_sub(1)];
        let plain = above.iter().map_while(|segment| match segment {
            Segment::Name(name) => Some(name.as_str()),
            Segment::Folders | Segment::Wildcards(_) => None,
        });
        plain.collect::<Vec<_>>().join("/")
    }

    fn matches(&self, path: &str) -> bool {
        matches(&self.segments, path.split('/'), |segment| *segment == Segment::Folders, Segment::matches)
    }
}

/// Whether a pattern fits a text as a whole. Each item of the pattern fits one item of the text, but for those that are `any`
/// number of them.
///
/// Greedy: where it goes wrong, only the last `any` takes one more, as what an earlier one took makes no difference to what comes
/// after a later one. So it takes no longer than the product of both lengths, and no memory.
fn matches<P, T: Iterator + Clone>(
    pattern: &[P],
    mut text: T,
    is_any: impl Fn(&P) -> bool,
    fits: impl Fn(&P, T::Item) -> bool,
) -> bool {
    let mut at = 0;
    let mut last_any: Option<(usize, T)> = None;
    loop {
        if pattern.get(at).is_some_and(&is_any) {
            at += 1;
            last_any = Some((at, text.clone()));
            continue;
        }
        let mut rest = text.clone();
        let Some(item) = rest.next() else { return at == pattern.len() };
        if pattern.get(at).is_some_and(|wanted| fits(wanted, item)) {
            at += 1;
            text = rest;
        } else if let Some((after, from)) = &mut last_any {
            from.next();
            at = *after;
            text = from.clone();
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_folders_hold_all_that_can_match() {
        let folders = |patterns: &[&str]| {
            let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
            FileFilter::new(&patterns, &[]).folders()
        };
        assert_eq!(folders(&["build/shots/**/*.png", "build/shots/a.txt", "out/"]), ["build/shots", "out"]);
        assert_eq!(folders(&["build/x/*", "build/*/a", "building/x"]), ["build", "building"]);
        assert_eq!(folders(&["*.hprof", "build/x/*"]), [""]);
        assert_eq!(folders(&["", "a"]), [""]);
    }

    #[test]
    fn patterns_match_as_in_ant() {
        for (pattern, path, expected) in [
            ("**/*Test.class", "com/acme/FooTest.class", true),
            ("**/*Test.class", "FooTest.class", true),
            ("*Test.class", "com/FooTest.class", false),
            ("com/**", "com/acme/FooTest.class", true),
            ("com/", "com/acme/FooTest.class", true),
            ("**/acme/**/*.class", "com/acme/a/b/X.class", true),
            ("**/acme/**/*.class", "com/acme/X.class", true),
            ("**/Foo?est.class", "com/FooTest.class", true),
            ("**/Foo?est.class", "com/Fooest.class", false),
            ("com\\acme\\*", "com/acme/X.class", true),
            ("**/*$*", "com/A$B.class", true),
            ("**", "a/b/c", true),
        ] {
            assert_eq!(FileFilter::new(&[pattern.into()], &[]).accepts(path), expected, "{pattern} {path}");
            assert_eq!(!FileFilter::new(&[], &[pattern.into()]).accepts(path), expected, "not {pattern} {path}");
        }
    }

    /// By recursion, as the rule is told.
    fn matches_slowly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, text) => text.is_none(),
            (Some(('*', rest)), None) => matches_slowly(rest, text),
            (Some(('*', rest)), Some((_, shorter))) => matches_slowly(rest, text) || matches_slowly(pattern, shorter),
            (Some((wanted, rest)), Some((c, shorter))) => {
                (*wanted == '?' || wanted == c) && matches_slowly(rest, shorter)
            }
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn names_match_as_the_rule_is_told(pattern in "[ab*?]{0,8}", text in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            // Two stars are folders.
            let pattern = if pattern == "**" { "*".to_owned() } else { pattern };
            prop_assert_eq!(Segment::new(&pattern).matches(&text), matches_slowly(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn paths_match_as_the_rule_is_told(pattern in "[ab?*]{1,7}", text in "[ab]{1,7}") {
            // The same rule on folders of one letter: `?` is `*` there, and `*` is `**`.
            let folders: Vec<&str> =
                pattern.chars().map(|c| match c { 'a' => "a", 'b' => "b", '?' => "*", _ => "**" }).collect();
            let path: Vec<String> = text.chars().map(String::from).collect();
            let expected = matches_slowly(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(AntPattern::new(&folders.join("/")).matches(&path.join("/")), expected);
        }
    }
}
