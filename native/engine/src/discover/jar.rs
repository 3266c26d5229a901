//! A jar that is read in place: its central directory once, its entries when they are asked for, by any number of threads at
//! once. Bounded, whatever the bytes are.

use flate2::bufread::DeflateDecoder;
use hashbrown::{DefaultHashBuilder, HashTable};
use rawzip::{CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder};
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering};

/// No class file or service file is larger; what claims to be is damaged or hostile.
const MAX_ENTRY: u64 = 32 << 20;
/// More entries are in no jar; a hostile one of a few megabytes could hold a great many in zip64 form.
const MAX_ENTRIES: usize = 2_000_000;
/// What the entries of a jar may come to: so much, and so much for each of its own bytes. Entries that lie over each other
/// could make petabytes of a few megabytes.
const MAX_INFLATED: u64 = 256 << 20;
const MAX_RATIO: u64 = 200;
const VERSIONS: &str = "META-INF/versions/";
const MANIFEST: &str = "META-INF/MANIFEST.MF";

/// A buffer beyond this size, in bytes, is not kept for the next entry.
const KEPT_BUFFER: usize = 1 << 20;

thread_local! {
    /// What a thread inflates entries with: making one takes longer than a class file does.
    static INFLATER: Cell<Option<DeflateDecoder<Cursor<Vec<u8>>>>> = const { Cell::new(None) };
}

/// An open jar.
pub(crate) struct Jar {
    archive: ZipArchive<FileReader>,
    entries: Vec<Entry>,
    /// All names, one behind the other: a classpath has tens of thousands, of which few are asked for.
    names: String,
    /// What a JVM finds under a name.
    by_name: HashTable<Named>,
    hasher: DefaultHashBuilder,
    /// Some entries have names that are no Unicode.
    has_nameless: bool,
    /// Bytes that may still be inflated.
    left: AtomicU64,
    size: u64,
}

/// A name of [`Jar::names`] and what is found under it.
struct Named {
    start: usize,
    len: u32,
    entry: u32,
}

impl Named {
    fn of<'a>(&self, names: &'a str) -> &'a str {
        &names[self.start..self.start + self.len as usize]
    }
}

struct Entry {
    wayfinder: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    is_encrypted: bool,
}

impl Jar {
    /// Reads a jar's central directory. `release` is the feature release of the JVM that would load from it: it says which
    /// `META-INF/versions` count in a multi-release jar.
    pub(crate) fn open(file: File, release: u32) -> std::io::Result<Self> {
        let size = file.metadata()?.len();
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let archive = ZipArchive::from_file(file, &mut buffer).map_err(std::io::Error::other)?;
        let mut jar = Self {
            archive,
            entries: Vec::new(),
            names: String::new(),
            by_name: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            has_nameless: false,
            left: AtomicU64::new(size.saturating_mul(MAX_RATIO).saturating_add(MAX_INFLATED)),
            size,
        };
        let versioned = jar.read_directory(&mut buffer)?;
        if release > 8 && !versioned.is_empty() && jar.is_multi_release()? {
            jar.add_versions(&versioned, release);
        }
        Ok(jar)
    }

    /// Fills the index; gives the entries below `META-INF/versions`.
    fn read_directory(&mut self, buffer: &mut [u8]) -> std::io::Result<Vec<(String, u32)>> {
        // Each entry takes at least 46 bytes in the central directory: a number that the jar is too small for is a lie.
        let likely = self.archive.entries_hint().min(self.size / 46).min(MAX_ENTRIES as u64) as usize;
        self.entries.reserve(likely);
        let (hasher, names, by_name) = (&self.hasher, &mut self.names, &mut self.by_name);
        by_name.reserve(likely, |named| hasher.hash_one(named.of(names)));
        let mut versioned = Vec::new();
        let mut entries = self.archive.entries(buffer);
        while let Some(entry) = entries.next_entry().map_err(std::io::Error::other)? {
            if entry.is_dir() {
                continue;
            }
            // A JVM opens no jar with such a name; nothing can ask for it here.
            let Ok(name) = std::str::from_utf8(entry.file_path().as_bytes()) else {
                self.has_nameless = true;
                continue;
            };
            if self.entries.len() >= MAX_ENTRIES {
                return Err(std::io::Error::other(format!("it has more than {MAX_ENTRIES} entries")));
            }
            let index = self.entries.len() as u32;
            self.entries.push(Entry {
                wayfinder: entry.wayfinder(),
                method: entry.compression_method(),
                is_encrypted: entry.flags().is_encrypted(),
            });
            if name.starts_with(VERSIONS) {
                versioned.push((name.to_owned(), index));
            }
            set(names, by_name, hasher, name, index);
        }
        Ok(versioned)
    }

    fn is_multi_release(&self) -> std::io::Result<bool> {
        let Some(manifest) = self.read(MANIFEST)? else { return Ok(false) };
        let manifest = String::from_utf8_lossy(&manifest);
        // As a JVM looks for it: one blank, a line's end, in the main section, which ends at the first empty line.
        let lines = manifest.split_inclusive('\n').map(|line| line.strip_suffix('\n'));
        Ok(lines
            .map_while(|line| line.map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.is_empty()))
            .any(|line| line.eq_ignore_ascii_case("Multi-Release: true")))
    }

    /// Lets the entries of the highest version that counts stand in for the others. Those of `META-INF` have no versions.
    fn add_versions(&mut self, versioned: &[(String, u32)], release: u32) {
        let mut best: HashMap<&str, (u32, u32)> = HashMap::new();
        for (path, index) in versioned {
            let Some((version, name)) = path[VERSIONS.len()..].split_once('/') else { continue };
            let Ok(version) = version.parse::<u32>() else { continue };
            if (9..=release).contains(&version) && !name.starts_with("META-INF/") {
                let known = best.entry(name).or_default();
                *known = (*known).max((version, *index));
            }
        }
        for (name, (_, index)) in best {
            set(&mut self.names, &mut self.by_name, &self.hasher, name, index);
        }
    }

    /// Whether some entries have names that are no Unicode, so that nothing can ask for them here.
    pub(crate) fn has_nameless(&self) -> bool {
        self.has_nameless
    }

    /// All names, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.iter().map(|named| named.of(&self.names))
    }

    /// How many entries there are: more than any [`Jar::position`].
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Position of the entry that a JVM finds under a name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let found = self.by_name.find(self.hasher.hash_one(name), |named| named.of(&self.names) == name);
        found.map(|named| named.entry as usize)
    }

    /// The bytes of the entry of a name, if there is one.
    pub(crate) fn read(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        let Some(position) = self.position(name) else { return Ok(None) };
        let refused = |text: &str| Err(std::io::Error::other(text.to_owned()));
        let Some(entry) = self.entries.get(position) else { return Ok(None) };
        if entry.is_encrypted {
            return refused("it is encrypted");
        }
        let file = self.archive.get_entry(entry.wayfinder).map_err(std::io::Error::other)?;
        // No capacity from sizes that the jar itself can't hold.
        let stored = entry.wayfinder.compressed_size_hint();
        if stored > self.size {
            return refused("it is longer than the whole jar");
        }
        let mut bytes =
            Vec::with_capacity(entry.wayfinder.uncompressed_size_hint().min(stored.saturating_mul(8)) as usize);
        match entry.method {
            CompressionMethod::STORE => self.take(file.verifying_reader(file.reader()), &mut bytes)?,
            CompressionMethod::DEFLATE => {
                let mut inflater = INFLATER.take().unwrap_or_else(|| DeflateDecoder::new(Cursor::default()));
                let mut compressed = inflater.reset(Cursor::default()).into_inner();
                compressed.clear();
                file.reader().take(MAX_ENTRY).read_to_end(&mut compressed)?;
                inflater.reset(Cursor::new(compressed));
                self.take(file.verifying_reader(&mut inflater), &mut bytes)?;
                if inflater.get_ref().get_ref().capacity() <= KEPT_BUFFER {
                    INFLATER.set(Some(inflater));
                }
            }
            other => return refused(&format!("its compression method {} is not known", other.as_u16())),
        }
        Ok(Some(bytes))
    }

    fn take(&self, from: impl Read, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        let limit = MAX_ENTRY.min(self.left.load(Ordering::Relaxed));
        let mut from = from.take(limit + 1);
        from.read_to_end(bytes)?;
        let count = bytes.len() as u64;
        let spent = |left: u64| Some(left.saturating_sub(count));
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
        if count > MAX_ENTRY {
            return Err(std::io::Error::other(format!("it is larger than {} MB", MAX_ENTRY >> 20)));
        }
        if count > limit {
            let text =
                "what was read of the jar comes to far more than a jar of its size holds: it is no jar of a build";
            return Err(std::io::Error::other(text));
        }
        Ok(())
    }
}

/// Lets an entry be found under a name. Of entries with one name a JVM takes the last.
fn set(names: &mut String, by_name: &mut HashTable<Named>, hasher: &DefaultHashBuilder, name: &str, entry: u32) {
    let hash = hasher.hash_one(name);
    if let Some(known) = by_name.find_mut(hash, |named| named.of(names) == name) {
        known.entry = entry;
        return;
    }
    // A zip file's names have lengths of 16 bits.
    let (start, len) = (names.len(), name.len() as u32);
    names.push_str(name);
    by_name.insert_unique(hash, Named { start, len, entry }, |named| hasher.hash_one(named.of(names)));
}
