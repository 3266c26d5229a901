//! How released dependencies and folders of classes are cut into layers.
//!
//! The rule for dependencies, version 1: a jar of 8 MB or more is a layer of its own, but no more than the 24 largest are; all others go by the
//! group that they belong to (`org.junit.jupiter`) into one of 16 layers, by the first byte of its SHA-256 modulo 16. Jars of
//! a group are upgraded together, so that one upgrade moves one layer; nothing else than its own group decides where a jar
//! goes, so that a jar that comes or leaves moves no other.
//!
//! The rule for folders of classes, version 1: a part for each 128 kB, rounded up to a power of two so that a folder that grows
//! a little is not cut anew, and at most 16; a class goes with those nested in it by the first byte of the SHA-256 of the outer
//! one's path. One edited class moves a sixteenth of a large folder; by package it would move whatever the largest one holds.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use testfleet_protocol::bundle::Entry;

/// Jars of this size, in bytes, have a layer of their own.
const LARGE: u64 = 8 << 20;
/// Overlay file systems take 128 layers, older ones 42.
const MOST_LARGE: usize = 24;
const BUCKETS: u8 = 16;
/// Bytes of class files for each part of a folder.
const PART: u64 = 128 << 10;
const MOST_PARTS: u64 = 16;

/// Entries by layer, in a fixed order: the large ones by path, then the buckets.
pub(crate) fn cut<'a>(entries: &[&'a Entry]) -> Vec<Vec<&'a Entry>> {
    let mut large: Vec<&Entry> = entries.iter().copied().filter(|entry| entry.size >= LARGE).collect();
    large.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    large.truncate(MOST_LARGE);
    large.sort_by(|a, b| a.path.cmp(&b.path));
    let mut buckets: BTreeMap<u8, Vec<&Entry>> = BTreeMap::new();
    for entry in entries.iter().copied().filter(|entry| !large.iter().any(|large| large.path == entry.path)) {
        buckets.entry(bucket(&entry.path)).or_default().push(entry);
    }
    buckets.values_mut().for_each(|bucket| bucket.sort_by(|a, b| a.path.cmp(&b.path)));
    large.into_iter().map(|entry| vec![entry]).chain(buckets.into_values()).collect()
}

/// Into how many layers class files of so many bytes are cut, if no more than `most` are left for them. A power of two.
pub(crate) fn parts_of_classes(size: u64, most: usize) -> usize {
    let wanted = size.div_ceil(PART).clamp(1, MOST_PARTS).next_power_of_two() as usize;
    let most = if most.is_power_of_two() { most } else { most.next_power_of_two() / 2 };
    wanted.min(most.max(1))
}

/// Which part a file goes into, by its path below the folder.
pub(crate) fn cut_classes(relative: &str, parts: usize) -> usize {
    let (folder, name) = relative.rsplit_once('/').unwrap_or(("", relative));
    // Names may begin with a `$`.
    let outer = name.char_indices().skip(1).find(|(_, c)| matches!(c, '$' | '.')).map_or(name, |(at, _)| &name[..at]);
    usize::from(Sha256::digest(format!("{folder}/{outer}").as_bytes())[0]) % parts
}

fn bucket(stored: &str) -> u8 {
    Sha256::digest(family(stored).as_bytes())[0] % BUCKETS
}

/// The group of a jar in Gradle's cache (`.../files-2.1/GROUP/NAME/VERSION/SHA1/FILE`); of any other jar its
/// name without the version.
fn family(stored: &str) -> &str {
    if let Some((_, rest)) = stored.split_once("/files-2.1/")
        && let Some((group, _)) = rest.split_once('/')
    {
        return group;
    }
    let name = stored.rsplit('/').next().unwrap_or(stored);
    let version = name.match_indices('-').find(|(at, _)| name[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    version.map_or(name, |(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use testfleet_protocol::bundle::EntryKind;

    fn entry(path: &str, size: u64) -> Entry {
        Entry { path: path.to_owned(), kind: EntryKind::Dependency, sha256: String::new(), size }
    }

    fn jar(group: &str, name: &str, version: u32) -> String {
        format!("${{gradleHome}}/caches/modules-2/files-2.1/{group}/{name}/{version}/0a1b/{name}-{version}.jar")
    }

    #[test]
    fn a_family_is_the_group_or_the_name_without_version() {
        assert_eq!(family(&jar("org.junit.jupiter", "junit-jupiter-api", 5)), "org.junit.jupiter");
        assert_eq!(family("${tools}/log4j-1.2-api-2.17.jar"), "log4j");
        assert_eq!(family("${tools}/plain.jar"), "plain.jar");
    }

    /// Paths by layer.
    fn layers(entries: &[Entry]) -> BTreeSet<BTreeSet<String>> {
        let all: Vec<&Entry> = entries.iter().collect();
        cut(&all).into_iter().map(|layer| layer.into_iter().map(|entry| entry.path.clone()).collect()).collect()
    }

    #[test]
    fn classes_are_cut_by_size_and_layers_left() {
        assert_eq!(parts_of_classes(0, 32), 1);
        assert_eq!(parts_of_classes(128 << 10, 32), 1);
        assert_eq!(parts_of_classes(300 << 10, 32), 4);
        assert_eq!(parts_of_classes(100 << 20, 32), 16);
        assert_eq!(parts_of_classes(100 << 20, 10), 8);
        assert_eq!(parts_of_classes(100 << 20, 0), 1);
    }

    #[test]
    fn nested_classes_go_with_the_outer_one() {
        let part = |relative: &str| cut_classes(relative, 16);
        assert_eq!(part("a/b/OuterTest.class"), part("a/b/OuterTest$Inner$1.class"));
        assert_eq!(part("a/$Odd.class"), part("a/$Odd$Inner.class"));
        assert!((0..64).map(|n| part(&format!("a/C{n}.class"))).collect::<BTreeSet<_>>().len() > 8);
    }

    proptest! {
        #[test]
        fn an_upgrade_moves_one_layer_and_each_jar_is_in_one(
            jars in prop::collection::btree_map(("[a-d]{1,3}", "[a-z]{1,4}"), (1_u64..20 << 20, 1_u32..9), 1..60),
            which in any::<prop::sample::Index>(),
        ) {
            let entries: Vec<Entry> =
                jars.iter().map(|((group, name), (size, version))| entry(&jar(group, name, *version), *size)).collect();
            let before = layers(&entries);
            prop_assert_eq!(before.iter().map(BTreeSet::len).sum::<usize>(), entries.len());
            prop_assert!(before.len() <= MOST_LARGE + usize::from(BUCKETS));

            let mut upgraded = entries.clone();
            let at = which.index(entries.len());
            let ((group, name), (_, version)) = jars.iter().nth(at).unwrap();
            upgraded[at].path = jar(group, name, version + 100);
            prop_assert_eq!(layers(&upgraded).difference(&before).count(), 1);

            let mut shuffled = entries;
            shuffled.reverse();
            prop_assert_eq!(layers(&shuffled), before);
        }
    }
}
