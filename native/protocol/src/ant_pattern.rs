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
        let segments: Vec<&str> = path.split('/').collect();
        let matches = |patterns: &[AntPattern]| patterns.iter().any(|pattern| pattern.matches(&segments));
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
    segments: Vec<String>,
}

impl AntPattern {
    fn new(pattern: &str) -> Self {
        let mut pattern = pattern.replace('\\', "/");
        if pattern.ends_with('/') {
            pattern.push_str("**");
        }
        let mut segments: Vec<String> = pattern.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        // `**/**` means what `**` means, and would only make matching slow.
        segments.dedup_by(|a, b| a == "**" && b == "**");
        Self { segments }
    }

    /// What comes before the first wildcard; the last segment names files.
    fn folder(&self) -> String {
        let names = &self.segments[..self.segments.len().saturating_sub(1)];
        let plain = names.iter().take_while(|segment| !segment.contains(['*', '?']));
        plain.map(String::as_str).collect::<Vec<_>>().join("/")
    }

    /// Dynamic programming over pattern and path: no pattern takes more than their product.
    fn matches(&self, path: &[&str]) -> bool {
        let mut reachable = vec![false; path.len() + 1];
        reachable[0] = true;
        for segment in &self.segments {
            let mut next = vec![false; path.len() + 1];
            if segment == "**" {
                let mut any = false;
                for (at, slot) in next.iter_mut().enumerate() {
                    any |= reachable[at];
                    *slot = any;
                }
            } else {
                for (at, name) in path.iter().enumerate() {
                    next[at + 1] = reachable[at] && segment_matches(segment, name);
                }
            }
            reachable = next;
        }
        reachable[path.len()]
    }
}

/// `*` is any number of characters, `?` is one.
fn segment_matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    for c in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        if c == '*' {
            let mut any = false;
            for (at, slot) in next.iter_mut().enumerate() {
                any |= reachable[at];
                *slot = any;
            }
        } else {
            for (at, letter) in text.iter().enumerate() {
                next[at + 1] = reachable[at] && (c == '?' || c == *letter);
            }
        }
        reachable = next;
    }
    reachable[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
