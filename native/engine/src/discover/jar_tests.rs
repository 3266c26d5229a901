//! Jars as a JVM reads them, and jars that no JVM should meet.

use super::class_file::ClassFile;
use super::container::Containers;
use super::fixtures::compiled;
use super::jar::Jar;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use testfleet_protocol::FailureCode;
use zip::write::SimpleFileOptions;

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
}

/// The bytes of a jar of these entries.
fn jar(entries: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn open(bytes: &[u8], release: u32) -> std::io::Result<Jar> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Jar::open(file, release)
}

fn read(bytes: &[u8], name: &str) -> std::io::Result<Option<Vec<u8>>> {
    open(bytes, 17)?.read(name)
}

/// The offsets of all places where `what` lies.
fn places(bytes: &[u8], what: &[u8]) -> Vec<usize> {
    bytes.windows(what.len()).enumerate().filter(|(_, part)| *part == what).map(|(at, _)| at).collect()
}

const CENTRAL: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";

#[test]
fn stored_and_deflated_entries_are_read() {
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let bytes = jar(&[("a/A.class", b"hello"), ("empty", b"")], options().compression_method(method));
        assert_eq!(read(&bytes, "a/A.class").unwrap().as_deref(), Some(&b"hello"[..]));
        assert_eq!(read(&bytes, "empty").unwrap().as_deref(), Some(&b""[..]));
        assert!(read(&bytes, "a/").unwrap().is_none() && read(&bytes, "A.class").unwrap().is_none());
    }
}

#[test]
fn a_multi_release_jar_gives_what_a_jvm_of_the_release_loads() {
    let entries: [(&str, &[u8]); 8] = [
        ("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\nmulti-release: TRUE\r\n\r\nName: x\r\n"),
        ("a/A.class", b"base"),
        ("META-INF/versions/9/a/A.class", b"nine"),
        ("META-INF/versions/17/a/A.class", b"seventeen"),
        ("META-INF/versions/21/a/A.class", b"later"),
        ("META-INF/versions/11/a/New.class", b"new"),
        ("META-INF/versions/9/META-INF/services/x", b"no"),
        ("META-INF/versions/nine/a/A.class", b"no"),
    ];
    let bytes = jar(&entries, options());
    for (release, expected, new) in
        [(8, "base", false), (9, "nine", false), (11, "nine", true), (17, "seventeen", true), (25, "later", true)]
    {
        let jar = open(&bytes, release).unwrap();
        assert_eq!(jar.read("a/A.class").unwrap().unwrap(), expected.as_bytes(), "{release}");
        assert_eq!(jar.read("a/New.class").unwrap().is_some(), new, "{release}");
        assert!(jar.read("META-INF/services/x").unwrap().is_none());
    }
    for manifest in [
        "Manifest-Version: 1.0\n",
        "Manifest-Version: 1.0\n\nMulti-Release: true\n",
        "Multi-Release: no\n",
        "Multi-Release:  true\n",
        "Multi-Release: true \n",
        "Multi-Release: true",
    ] {
        let mut entries = entries;
        entries[0].1 = manifest.as_bytes();
        assert_eq!(read(&jar(&entries, options()), "a/A.class").unwrap().unwrap(), b"base", "{manifest}");
    }
}

#[test]
fn of_entries_with_one_name_the_last_counts() {
    let mut bytes = jar(&[("a/A.class", b"first"), ("a/B.class", b"last!")], options());
    for place in places(&bytes, b"a/B.class") {
        bytes[place..place + 9].copy_from_slice(b"a/A.class");
    }
    assert_eq!(read(&bytes, "a/A.class").unwrap().unwrap(), b"last!");
}

#[test]
fn names_that_lead_out_of_the_jar_are_names_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jar");
    let class = fs::read(compiled().cases.join("cases/TaggedTest.class")).unwrap();
    fs::write(
        &path,
        jar(&[("../Out.class", &class), ("/abs/A.class", &class), ("cases/TaggedTest.class", &class)], options()),
    )
    .unwrap();
    let container = Containers::default().get(&path, 17);
    assert_eq!(container.class_at("cases/TaggedTest.class").unwrap().unwrap().name, "cases.TaggedTest");
    assert_eq!(container.class_paths().unwrap().len(), 3);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was unpacked");
}

#[test]
fn an_encrypted_entry_is_refused_by_name() {
    let mut bytes = jar(&[("a/A.class", b"hello")], options());
    for (signature, flags) in [(LOCAL, 6), (CENTRAL, 8)] {
        let at = places(&bytes, signature)[0] + flags;
        bytes[at] |= 1;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.jar");
    fs::write(&path, &bytes).unwrap();
    let failure = Containers::default().get(&path, 17).class_at("a/A.class").unwrap_err();
    assert_eq!(failure.code, FailureCode::BrokenClassFile);
    assert!(failure.message.contains("a/A.class") && failure.message.contains("secret.jar"), "{failure}");
    assert_eq!(failure.causes, ["it is encrypted"]);
    assert!(failure.hint.is_some());
}

#[test]
fn an_entry_that_inflates_without_end_is_refused_in_bounded_time() {
    let zeros = vec![0; 33 << 20];
    let bytes = jar(&[("a/A.class", &zeros)], options());
    assert!(bytes.len() < 100_000);
    let error = read(&bytes, "a/A.class").unwrap_err();
    assert!(error.to_string().contains("larger than 32 MB"), "{error}");
}

#[test]
fn entries_that_lie_over_each_other_do_not_add_up_without_end() {
    // Each directory entry leads to the same 16 MB of zeros.
    let zeros = vec![0; 16 << 20];
    let names: Vec<String> = (0..200).map(|at| format!("a/A{at:03}.class")).collect();
    let mut entries: Vec<(&str, &[u8])> = vec![("a/A000.class", &zeros)];
    entries.extend(names[1..].iter().map(|name| (name.as_str(), &b""[..])));
    let mut bytes = jar(&entries, options());
    let central = places(&bytes, CENTRAL);
    let first = bytes[central[0]..central[0] + 46].to_vec();
    for at in &central[1..] {
        // Checksum and sizes, and where the entry lies.
        bytes[at + 10..at + 12].copy_from_slice(&first[10..12]);
        bytes[at + 16..at + 28].copy_from_slice(&first[16..28]);
        bytes[at + 42..at + 46].copy_from_slice(&first[42..46]);
    }
    let started = Instant::now();
    let jar = open(&bytes, 17).unwrap();
    let outcomes: Vec<_> = names.iter().map(|name| jar.read(name)).collect();
    let read = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!((1..40).contains(&read), "{read}");
    assert!(outcomes.last().unwrap().is_err());
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn wrong_sizes_and_checksums_are_refused() {
    let whole = jar(&[("a/A.class", b"hello hello hello hello")], options());
    let central = places(&whole, CENTRAL)[0];
    // Checksum, compressed size, size, method, place of the entry.
    for (at, bytes) in [(16, 4), (20, 4), (24, 4), (10, 2), (42, 4)] {
        for value in [0x01, 0x7F, 0xFE] {
            let mut damaged = whole.clone();
            damaged[central + at..central + at + bytes].fill(value);
            assert!(read(&damaged, "a/A.class").is_err(), "{value:#x} at {at}");
        }
    }
}

#[test]
fn a_jar_that_ends_too_early_is_refused() {
    let whole = jar(&[("a/A.class", b"hello"), ("b/B.class", b"hello")], options());
    for end in 0..whole.len() {
        let read = read(&whole[..end], "a/A.class");
        assert!(read.is_err(), "{end} of {}", whole.len());
    }
}

#[test]
fn a_directory_that_claims_billions_of_entries_takes_no_memory_for_them() {
    let mut bytes = jar(&[("a/A.class", b"hello")], options());
    let end = places(&bytes, b"PK\x05\x06")[0];
    bytes[end + 8..end + 12].fill(0xFE);
    // Read or refused, at once.
    let _ = read(&bytes, "a/A.class");
    let large = jar(&[("a/A.class", b"hello")], options().large_file(true));
    assert_eq!(read(&large, "a/A.class").unwrap().unwrap(), b"hello", "zip64");
}

#[test]
fn what_is_no_jar_counts_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, is_refused) in [("lib.so", false), ("lib.jar", true)] {
        let path = folder.path().join(name);
        fs::write(&path, b"ELF").unwrap();
        let class = Containers::default().get(&path, 17).class_at("a/A.class");
        assert_eq!(class.is_err(), is_refused, "{name}");
    }
    let absent = Containers::default().get(Path::new("/nowhere/a.jar"), 17);
    assert!(absent.class_at("a/A.class").unwrap().is_none() && absent.class_paths().unwrap().is_empty());
}

/// A class file with these constants (`count` of them), of class 1, with one attribute of this content.
fn class(count: u16, constants: &[u8], attribute: (u16, &[u8])) -> Vec<u8> {
    let mut bytes = vec![0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 52];
    bytes.extend((count + 1).to_be_bytes());
    bytes.extend(constants);
    bytes.extend([0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]); // flags, this, super, no members, one attribute
    bytes.extend(attribute.0.to_be_bytes());
    bytes.extend((attribute.1.len() as u32).to_be_bytes());
    bytes.extend(attribute.1);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&[1], &(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn annotations_that_nest_thousands_deep_are_refused() {
    let constants = [&[7, 0, 2][..], &text("A"), &text("RuntimeVisibleAnnotations"), &text("LX;"), &text("v")].concat();
    // An annotation whose value is an annotation whose value ...
    let mut content = vec![0, 1];
    for _ in 0..100_000 {
        content.extend([0, 4, 0, 1, 0, 5, b'@']);
    }
    let read = ClassFile::parse(&class(5, &constants, (3, &content)));
    assert!(read.unwrap_err().to_string().contains("nests too deeply"));
    let mut lists = vec![0, 1, 0, 4, 0, 1, 0, 5];
    for _ in 0..100_000 {
        lists.extend([b'[', 0, 1]);
    }
    assert!(ClassFile::parse(&class(5, &constants, (3, &lists))).is_err());
}

#[test]
fn a_pool_of_as_many_constants_as_there_can_be_is_read() {
    let mut constants = [&[7, 0, 2][..], &text("A"), &text("Other")].concat();
    for _ in 3..65_534 {
        constants.extend([7, 0, 2]);
    }
    let bytes = class(65_534, &constants, (3, b""));
    assert_eq!(ClassFile::parse(&bytes).unwrap().name, "A");
    // Class constants that name class constants, themselves, nothing.
    for (index, name) in [(0, [0, 1]), (0, [0, 4]), (0, [0, 0]), (0, [0xFF, 0xFF])] {
        let mut looped = constants.clone();
        looped[index + 1..index + 3].copy_from_slice(&name);
        let bytes = class(65_534, &looped, (3, b""));
        assert!(ClassFile::parse(&bytes).is_err(), "{name:?}");
    }
}

#[test]
fn a_class_file_that_ends_anywhere_is_read_or_refused() {
    let bytes = fs::read(compiled().cases.join("cases/TaggedTest.class")).unwrap();
    for end in 0..bytes.len() {
        let _ = ClassFile::parse(&bytes[..end]);
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] = damaged[at].wrapping_add(0x5B);
        let _ = ClassFile::parse(&damaged);
    }
}
