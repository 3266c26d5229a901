//! What changed is read, what did not is not, whatever happens to the cache.

use super::stamp::Stamp;
use super::*;
use std::fs;
use std::time::{Duration, SystemTime};
use testfleet_image::FolderDigest;

struct Place {
    _folder: tempfile::TempDir,
    state: PathBuf,
    dir: PathBuf,
}

impl Place {
    /// A directory of two files that rest, and a folder for state.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (state, dir) = (folder.path().join("state"), folder.path().join("classes"));
        fs::create_dir_all(dir.join("a")).unwrap();
        fs::write(dir.join("a/One.class"), b"one").unwrap();
        fs::write(dir.join("Two.class"), b"two").unwrap();
        let place = Self { _folder: folder, state, dir };
        rest();
        place
    }

    /// Digest of a path, and how many bytes were read for it.
    fn look_at(&self, path: &Path) -> (String, u64) {
        let contents = Contents::open(&self.state);
        let digest = contents.digest(path).unwrap().unwrap();
        contents.save();
        assert_eq!(Some(&digest), Contents::forgetful().digest(path).unwrap().as_ref(), "the digest is wrong");
        (digest.sha256, contents.bytes_read())
    }

    fn look(&self) -> (String, u64) {
        self.look_at(&self.dir)
    }

    fn cache_files(&self) -> Vec<PathBuf> {
        let files = walkdir::WalkDir::new(&self.state).into_iter().flatten();
        files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
    }
}

/// Long enough for stamps to be trusted on the file systems that tests run on.
fn rest() {
    std::thread::sleep(Duration::from_millis(150));
}

#[test]
fn what_did_not_change_is_not_read() {
    let place = Place::new();
    let jar = place.dir.join("Two.class");
    assert_eq!(place.look().1, 6);
    assert_eq!(place.look().1, 0);
    assert_eq!(place.look_at(&jar).1, 3);
    assert_eq!(place.look_at(&jar), (crate::hash::sha256(b"two"), 0));
}

#[test]
fn only_what_changed_is_read() {
    let place = Place::new();
    let (first, _) = place.look();
    fs::write(place.dir.join("Two.class"), b"TWO").unwrap();
    let (second, read) = place.look();
    assert!(first != second && read == 3, "{read}");
    fs::write(place.dir.join("a/Three.class"), b"three").unwrap();
    rest();
    assert_eq!(place.look().1, 8, "what was as young as the look at it is read again");
    assert_eq!(place.look().1, 0);
    fs::remove_file(place.dir.join("a/Three.class")).unwrap();
    assert_eq!(place.look(), (second, 0));
}

#[test]
fn an_edit_of_the_same_size_with_its_time_set_back_is_seen() {
    let place = Place::new();
    let path = place.dir.join("Two.class");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let (first, _) = place.look();
    fs::write(&path, b"owt").unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_ne!(place.look().0, first);
}

#[test]
fn a_file_that_was_just_written_is_not_trusted() {
    let place = Place::new();
    let path = place.dir.join("Two.class");
    // Again and again within the steps of the clock, always of one size: the stamps alone could not tell.
    for round in 0..50u8 {
        fs::write(&path, [round; 3]).unwrap();
        assert_eq!(place.look_at(&path).0, crate::hash::sha256(&[round; 3]));
        place.look();
    }
}

#[test]
fn what_changed_since_contents_were_opened_counts_as_changed() {
    let place = Place::new();
    let file = place.dir.join("Two.class");
    let contents = Contents::open(&place.state);
    // As by a compiler that runs meanwhile: who reads now and who read before saw two files.
    fs::write(&file, b"TWO").unwrap();
    rest();
    for path in [&file, &place.dir] {
        contents.digest(path).unwrap();
        assert!(!contents.is_unchanged(path), "{}", path.display());
    }
    let contents = Contents::open(&place.state);
    for path in [&file, &place.dir] {
        contents.digest(path).unwrap();
        assert!(contents.is_unchanged(path), "{}", path.display());
    }
}

#[test]
fn a_replaced_file_and_a_touched_one_are_read_again() {
    let place = Place::new();
    let path = place.dir.join("Two.class");
    let (first, _) = place.look_at(&path);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let other = place.dir.join("other");
    fs::write(&other, b"TWO").unwrap();
    fs::File::options().append(true).open(&other).unwrap().set_modified(modified).unwrap();
    fs::rename(&other, &path).unwrap();
    let (second, _) = place.look_at(&path);
    assert_ne!(first, second);
    fs::File::options().append(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    rest();
    assert_eq!(place.look_at(&path), (second.clone(), 3));
    assert_eq!(place.look_at(&path), (second, 0));
}

#[test]
fn what_is_read_is_handed_on_once_with_its_hash() {
    let place = Place::new();
    let large = vec![7; (1 << 20) + 1];
    fs::write(place.dir.join("large"), &large).unwrap();
    rest();
    let read = |contents: &Contents| {
        let read = Mutex::new(Vec::new());
        let digest = contents.digest_and_read(&place.dir, &|at, bytes, sha256| {
            assert_eq!(crate::hash::hex(&sha256), crate::hash::sha256(bytes));
            read.lock().unwrap().push((at, bytes.to_vec()));
        });
        assert_eq!(digest.unwrap(), Contents::forgetful().digest(&place.dir).unwrap());
        let mut read = read.into_inner().unwrap();
        read.sort();
        read
    };
    let contents = Contents::open(&place.state);
    let names: Vec<_> = contents.listing(&place.dir).unwrap().files.iter().map(|file| file.relative.clone()).collect();
    assert_eq!(names, ["Two.class", "a/One.class", "large"]);
    // Large ones are not kept in memory.
    assert_eq!(read(&contents), [(0, b"two".to_vec()), (1, b"one".to_vec())]);
    assert_eq!(contents.bytes_read(), 6 + large.len() as u64);
    assert!(read(&contents).is_empty(), "it was looked at before");
    contents.save();
    assert!(read(&Contents::open(&place.state)).is_empty(), "it is known");
    fs::write(place.dir.join("Two.class"), b"TWO").unwrap();
    assert_eq!(read(&Contents::open(&place.state)), [(0, b"TWO".to_vec())]);
}

#[test]
fn a_moved_directory_has_the_same_digest() {
    let place = Place::new();
    let (first, _) = place.look();
    let moved = place.dir.with_file_name("moved");
    fs::rename(&place.dir, &moved).unwrap();
    assert_eq!(place.look_at(&moved).0, first);
    assert!(Contents::open(&place.state).digest(&place.dir).unwrap().is_none());
}

#[test]
fn a_damaged_cache_is_no_cache() {
    let place = Place::new();
    let jar = place.dir.join("Two.class");
    let expected = (place.look(), place.look_at(&jar));
    let files: Vec<_> = place.cache_files().into_iter().filter(|path| !path.ends_with("tidied")).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for damage in [0, 1, 7, 20, 39, 40, 60, usize::MAX] {
        for file in &files {
            let mut bytes = fs::read(file).unwrap();
            match bytes.get_mut(damage) {
                Some(byte) => *byte ^= 0x55,
                None => bytes.truncate(bytes.len() / 2),
            }
            fs::write(file, bytes).unwrap();
        }
        assert_eq!(place.look().0, expected.0.0, "{damage}");
        assert_eq!(place.look_at(&jar).0, expected.1.0, "{damage}");
        assert_eq!(place.look().1, 0, "it is whole again");
    }
    // A file of the cache under another's name is none.
    fs::copy(&files[0], &files[1]).unwrap();
    assert_eq!((place.look().0, place.look_at(&jar).0), (expected.0.0, expected.1.0));
}

#[test]
fn a_cache_that_can_not_be_written_fails_nothing() {
    let place = Place::new();
    for state in [Path::new("/dev/null/state"), &place.dir.join("Two.class")] {
        let contents = Contents::open(state);
        assert!(contents.digest(&place.dir).unwrap().is_some());
        contents.save();
    }
}

#[test]
fn many_at_once_agree() {
    let place = Place::new();
    let (expected, _) = place.look();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(place.look().0, expected);
                }
            });
        }
    });
    assert_eq!(place.look(), (expected, 0));
}

#[test]
fn links_are_followed_and_circles_refused() {
    let place = Place::new();
    std::os::unix::fs::symlink(place.dir.join("a"), place.dir.join("b")).unwrap();
    std::os::unix::fs::symlink("/nowhere", place.dir.join("dangling")).unwrap();
    let names: Vec<_> = list(&place.dir).unwrap().files.into_iter().map(|file| file.relative).collect();
    assert_eq!(names, ["Two.class", "a/One.class", "b/One.class"]);
    std::os::unix::fs::symlink(&place.dir, place.dir.join("a/up")).unwrap();
    let failure = list(&place.dir).unwrap_err();
    assert!(failure.message.starts_with("failed to list "), "{failure}");
    assert!(failure.causes.iter().any(|cause| cause.contains("leads back")), "{failure}");
}

#[test]
fn what_was_not_used_for_long_and_what_is_too_much_goes() {
    let place = Place::new();
    let store = Store::new(&place.state).with_max_total(1_000);
    let age = |key: &str, days: u64| {
        let path = place.state.join("discovery/tests").join(key);
        let at = SystemTime::now() - Duration::from_secs(86_400 * days + 60);
        fs::File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
    };
    for (key, days) in [("old", 31), ("used", 29), ("new", 0), ("touched", 29)] {
        store.put("tests", key, &[1; 250]);
        age(key, days);
    }
    store.touch("tests", "touched");
    store.tidy_now();
    let there = |key: &str| store.get("tests", key).is_some();
    assert_eq!(["old", "used", "new", "touched"].map(there), [false, true, true, true]);
    assert!(!store.is_empty("tests") && store.is_empty("others"));
    store.put("tests", "more", &[1; 250]);
    store.tidy_now();
    assert_eq!(["used", "new", "touched", "more"].map(there), [false, true, true, true], "the oldest makes place");
}

#[test]
fn stamps_that_are_equal_are_of_the_same_file() {
    let place = Place::new();
    let stamp = |name: &str| Stamp::of(&fs::metadata(place.dir.join(name)).unwrap());
    assert_eq!(stamp("Two.class"), stamp("Two.class"));
    assert_ne!(stamp("Two.class"), stamp("a/One.class"));
}

#[test]
fn files_below_a_directory_are_those_that_its_digest_is_made_of() {
    let place = Place::new();
    let folder_digest = |files: &[(String, String)]| {
        let mut digest = FolderDigest::default();
        files.iter().for_each(|(relative, sha256)| digest.add(relative, sha256));
        digest.finish()
    };
    let look = || {
        let contents = Contents::open(&place.state);
        let files = contents.files_below(&place.dir).unwrap();
        assert_eq!(folder_digest(&files), contents.of(&place.dir).unwrap().sha256);
        contents.save();
        (files, contents.bytes_read())
    };
    let of = |relative: &str, text: &str| (relative.to_owned(), crate::hash::sha256(text.as_bytes()));
    assert_eq!(look(), (vec![of("Two.class", "two"), of("a/One.class", "one")], 6));
    assert_eq!(look().1, 0);
    // Too young to be remembered.
    fs::write(place.dir.join("a/One.class"), b"edited").unwrap();
    assert_eq!(look().0, [of("Two.class", "two"), of("a/One.class", "edited")]);
    assert_eq!(look().0, [of("Two.class", "two"), of("a/One.class", "edited")]);
}
