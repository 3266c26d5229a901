//! Paths relative to named roots, so that documents and digests do not depend on where a clone lies.

use crate::{Failure, FailureCode, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The named roots of one machine, as absolute directories.
///
/// Stored paths and texts hold `${name}` instead of the directory: `${project}/lib/a.jar`,
/// `-javaagent:${gradleHome}/caches/x.jar`. Names in use: `project` (root project), `build`
/// (Testfleet's output folder), `gradleHome` (Gradle user home), `jdk` (of the profile at hand), `temp` (the
/// worker's own), and whatever `testfleet { roots }` adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots {
    dirs: BTreeMap<String, PathBuf>,
}

impl Roots {
    /// Roots of the given names and absolute directories.
    pub fn new(dirs: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        Self { dirs: dirs.into_iter().collect() }
    }

    /// The same roots and one more, or another directory for a known name.
    #[must_use]
    pub fn with(mut self, name: &str, dir: impl Into<PathBuf>) -> Self {
        self.dirs.insert(name.to_owned(), dir.into());
        self
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.dirs.keys().map(String::as_str)
    }

    /// The directory of a root.
    pub fn get(&self, name: &str) -> Option<&Path> {
        self.dirs.get(name).map(PathBuf::as_path)
    }

    /// `path` relative to the deepest root that holds it.
    ///
    /// # Errors
    /// [`FailureCode::PathOutsideRoots`] when no root holds it.
    pub fn relativize(&self, path: &Path) -> Result<String> {
        self.find(path).map(|(name, rest)| render(name, rest)).ok_or_else(|| {
            Failure::new(
                FailureCode::PathOutsideRoots,
                format!("failed to describe {} independently of this machine", path.display()),
            )
            .cause_text(format!("it lies outside every named root ({})", self.describe()))
            .hint("move it below one of them, or name its folder: testfleet { roots.put('tools', file('/opt/tools')) }")
        })
    }

    /// `text` with every root directory that occurs in it, at a path boundary, replaced by its name.
    pub fn relativize_text(&self, text: &str) -> String {
        let mut by_length: Vec<_> =
            self.dirs.iter().filter_map(|(name, dir)| dir.to_str().map(|dir| (name, dir))).collect();
        by_length.sort_by_key(|(_, dir)| std::cmp::Reverse(dir.len()));
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        'text: while let Some(c) = rest.chars().next() {
            for (name, dir) in &by_length {
                if let Some(after) = rest.strip_prefix(dir)
                    && dir.len() > 1
                    && after.chars().next().is_none_or(|c| !is_name_char(c))
                    && out.chars().next_back().is_none_or(|c| !is_name_char(c) && c != '/')
                {
                    out.push_str("${");
                    out.push_str(name);
                    out.push('}');
                    rest = after;
                    continue 'text;
                }
            }
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
        out
    }

    /// `text` with every `${name}` of a known root replaced by its directory; other `${...}` stay.
    pub fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let after = &rest[start + 2..];
            match after.find('}').and_then(|end| self.dirs.get(&after[..end]).map(|dir| (end, dir))) {
                Some((end, dir)) => {
                    out.push_str(&dir.to_string_lossy());
                    rest = &after[end + 1..];
                }
                None => {
                    out.push_str("${");
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// A stored path as an absolute one on this machine.
    pub fn resolve(&self, stored: &str) -> PathBuf {
        PathBuf::from(self.expand(stored))
    }

    fn find<'a>(&'a self, path: &'a Path) -> Option<(&'a str, &'a Path)> {
        self.dirs
            .iter()
            .filter_map(|(name, dir)| path.strip_prefix(dir).ok().map(|rest| (name.as_str(), rest)))
            .min_by_key(|(_, rest)| rest.as_os_str().len())
    }

    fn describe(&self) -> String {
        self.dirs.iter().map(|(name, dir)| format!("{name} = {}", dir.display())).collect::<Vec<_>>().join(", ")
    }
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn render(name: &str, rest: &Path) -> String {
    if rest.as_os_str().is_empty() { format!("${{{name}}}") } else { format!("${{{name}}}/{}", rest.to_string_lossy()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn roots() -> Roots {
        Roots::new([
            ("project".to_owned(), PathBuf::from("/home/ann/acme")),
            ("build".to_owned(), PathBuf::from("/home/ann/acme/build/testfleet")),
            ("gradleHome".to_owned(), PathBuf::from("/home/ann/.gradle")),
        ])
    }

    #[test]
    fn the_deepest_root_wins() {
        let path = Path::new("/home/ann/acme/build/testfleet/plan.json");
        assert_eq!(roots().relativize(path).unwrap(), "${build}/plan.json");
        assert_eq!(roots().relativize(Path::new("/home/ann/acme")).unwrap(), "${project}");
    }

    #[test]
    fn a_path_outside_every_root_is_an_error_with_a_hint() {
        let failure = roots().relativize(Path::new("/opt/x.jar")).unwrap_err();
        assert_eq!(failure.code, FailureCode::PathOutsideRoots);
        assert!(failure.hint.unwrap().contains("roots.put"));
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_left_alone() {
        let text = "-Da=/home/ann/acme2/x,/home/ann/acme/x:/home/ann/acme -Db=/mnt/home/ann/acme";
        assert_eq!(
            roots().relativize_text(text),
            "-Da=/home/ann/acme2/x,${project}/x:${project} -Db=/mnt/home/ann/acme"
        );
    }

    #[test]
    fn unknown_names_are_not_expanded() {
        assert_eq!(roots().expand("${nope}/${project}/${"), "${nope}//home/ann/acme/${");
    }

    proptest! {
        #[test]
        fn expansion_undoes_relativization(parts in prop::collection::vec(
            prop_oneof![Just("/home/ann/acme".to_owned()), Just("/home/ann/.gradle".to_owned()), "[a-z:=, /.-]{0,6}"], 0..8)) {
            let text = parts.concat();
            prop_assert_eq!(roots().expand(&roots().relativize_text(&text)), text);
        }
    }
}
