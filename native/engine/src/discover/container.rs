//! Classpath entries: class directories and jars, opened when first asked, read in place, shared
//! between tasks. Each class file is read and parsed once, and no thread waits for another one's file.

use super::class_file::ClassFile;
use super::jar::Jar;
use crate::content::{Contents, Listing};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Bytes of names and annotations that are kept of all class files together. The largest builds come to a tenth.
const MAX_TEXT: u64 = 1 << 30;

/// What became of a class file that was asked for. Most never are: a failure must not make the slots of all large.
type Slot = OnceLock<std::result::Result<Option<Arc<ClassFile>>, Box<Failure>>>;

/// One classpath entry.
pub(crate) struct Container {
    path: PathBuf,
    /// Feature release of the JVM that loads from it.
    release: u32,
    contents: Arc<Contents>,
    kind: OnceLock<Result<Kind>>,
    /// Shared by all containers: what may still be kept.
    text_left: Arc<AtomicU64>,
}

enum Kind {
    /// Not there: Gradle lets class and resource directories be absent.
    Absent,
    Directory {
        listing: Arc<Listing>,
        /// Of each listed file, once it was asked for as a class.
        classes: Vec<Slot>,
    },
    Jar {
        jar: Jar,
        /// Of each entry.
        classes: Vec<Slot>,
    },
    #[cfg(test)]
    Memory(HashMap<String, Arc<ClassFile>>),
}

impl Container {
    /// A container of classes that lie in no file.
    #[cfg(test)]
    pub(super) fn of_classes(classes: impl Iterator<Item = Arc<ClassFile>>) -> Arc<Self> {
        let kind = Kind::Memory(classes.map(|class| (class.name.replace('.', "/") + ".class", class)).collect());
        let container = Containers::default().get(Path::new("/nowhere"), 17);
        let _ = container.kind.set(Ok(kind));
        container
    }

    fn kind(&self) -> Result<&Kind> {
        let kind = match self.kind.get() {
            Some(kind) => kind,
            // Not inside of `get_or_init`: a thread that lists in parallel takes up other work meanwhile, and would wait
            // for itself when that asks for the same container.
            None => {
                let kind = self.open();
                self.kind.get_or_init(|| kind)
            }
        };
        kind.as_ref().map_err(Clone::clone)
    }

    fn open(&self) -> Result<Kind> {
        let path = &self.path;
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => return Ok(Kind::Absent),
            Err(error) => return Err(Failure::io("read", path, &error)),
        };
        if metadata.is_dir() {
            let listing = self.contents.listing(path)?;
            let classes = slots(listing.files.len());
            return Ok(Kind::Directory { listing, classes });
        }
        let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
        match Jar::open(file, self.release) {
            Ok(jar) => Ok(Kind::Jar { classes: slots(jar.len()), jar }),
            // Classpaths hold native libraries and descriptors too; a JVM passes over them.
            Err(_) if !is_archive_name(path) => Ok(Kind::Absent),
            Err(error) => Err(unreadable_jar(path, &error)),
        }
    }

    /// Relative paths, with `/`, of all class files, sorted.
    ///
    /// # Errors
    /// When the jar or directory can't be listed.
    pub(crate) fn class_paths(&self) -> Result<Vec<String>> {
        let sorted = |names: &mut dyn Iterator<Item = &str>| {
            let mut paths: Vec<String> = names.filter(|name| is_class(name)).map(str::to_owned).collect();
            paths.sort_unstable();
            paths
        };
        Ok(match self.kind()? {
            Kind::Absent => Vec::new(),
            Kind::Jar { jar, .. } => sorted(&mut jar.names()),
            // Sorted as they are.
            Kind::Directory { listing, .. } => {
                listing.files.iter().map(|file| &file.relative).filter(|path| is_class(path)).cloned().collect()
            }
            #[cfg(test)]
            Kind::Memory(classes) => sorted(&mut classes.keys().map(String::as_str)),
        })
    }

    /// The class whose file is at a relative path, if this container has it.
    ///
    /// # Errors
    /// [`FailureCode::BrokenClassFile`] when it has a file of that name that is none.
    pub(crate) fn class_at(&self, entry: &str) -> Result<Option<Arc<ClassFile>>> {
        let slot = match self.kind()? {
            Kind::Absent => None,
            Kind::Directory { listing, classes } => listing.position(entry).and_then(|at| classes.get(at)),
            Kind::Jar { jar, classes } => jar.position(entry).and_then(|at| classes.get(at)),
            #[cfg(test)]
            Kind::Memory(classes) => return Ok(classes.get(entry).cloned()),
        };
        slot.map_or(Ok(None), |slot| {
            slot.get_or_init(|| self.read_class(entry).map_err(Box::new)).clone().map_err(|failure| *failure)
        })
    }

    /// Hashes the file or directory. The class files of a directory are parsed from the bytes that are hashed, so that
    /// each is read and hashed once; the index of a jar is read meanwhile. What fails does so again when it is asked for.
    pub(crate) fn hash(&self) {
        if !self.path.is_dir() {
            rayon::join(|| drop(self.contents.digest(&self.path)), || drop(self.kind()));
        } else if let Ok(Kind::Directory { listing, classes }) = self.kind() {
            let _ = self.contents.digest_and_read(&self.path, &|at, bytes, sha256| {
                if let (Some(file), Some(slot)) = (listing.files.get(at), classes.get(at))
                    && is_class(&file.relative)
                {
                    slot.get_or_init(|| self.parse(&file.relative, bytes, sha256).map(Some).map_err(Box::new));
                }
            });
        }
    }

    fn read_class(&self, entry: &str) -> Result<Option<Arc<ClassFile>>> {
        let Some(bytes) = self.read(entry)? else { return Ok(None) };
        self.parse(entry, &bytes, Sha256::digest(&bytes).into()).map(Some)
    }

    fn parse(&self, entry: &str, bytes: &[u8], sha256: [u8; 32]) -> Result<Arc<ClassFile>> {
        let parsed = ClassFile::parse_counting(bytes, sha256);
        let (class, text) = parsed.map_err(|error| self.broken_class(entry, &error))?;
        let spend = |left: u64| left.checked_sub(text as u64);
        if self.text_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_err() {
            let text = "the names and annotations of all class files add up to more text than memory is spent on";
            return Err(self.broken_class(entry, &std::io::Error::other(text)));
        }
        Ok(Arc::new(class))
    }

    fn broken_class(&self, entry: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::new(
            FailureCode::BrokenClassFile,
            format!("failed to read the class file {entry} in {}", self.path.display()),
        )
        .cause(error)
        .hint("compile it again (./gradlew --rerun-tasks testClasses), or replace the jar that it came from")
    }

    /// The bytes of a file, if there is one.
    ///
    /// # Errors
    /// When it is there but can't be read.
    pub(crate) fn read(&self, entry: &str) -> Result<Option<Vec<u8>>> {
        match self.kind()? {
            Kind::Absent => Ok(None),
            Kind::Directory { listing, .. } => {
                if listing.position(entry).is_none() {
                    return Ok(None);
                }
                let path = self.path.join(entry);
                match std::fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if is_absence(&error) => Ok(None),
                    Err(error) => Err(Failure::io("read", &path, &error)),
                }
            }
            Kind::Jar { jar, .. } => jar.read(entry).map_err(|error| broken_jar(&self.path, entry, &error)),
            #[cfg(test)]
            Kind::Memory(_) => Ok(None),
        }
    }
}

impl Drop for Container {
    /// Frees the classes by all threads: of a large build they are millions of texts.
    fn drop(&mut self) {
        if let Some(Ok(Kind::Directory { classes, .. } | Kind::Jar { classes, .. })) = self.kind.get_mut() {
            std::mem::take(classes).into_par_iter().with_min_len(1_000).for_each(drop);
        }
    }
}

fn slots(count: usize) -> Vec<Slot> {
    std::iter::repeat_with(Slot::new).take(count).collect()
}

/// Where the class of a binary name lies.
pub(super) fn class_path(name: &str) -> String {
    let mut path = String::with_capacity(name.len() + 6);
    path.extend(name.chars().map(|c| if c == '.' { '/' } else { c }));
    path + ".class"
}

/// Whether a class of this binary name lies at a relative path.
pub(super) fn is_path_of(path: &str, name: &str) -> bool {
    let as_in_path = |byte| if byte == b'.' { b'/' } else { byte };
    path.strip_suffix(".class").is_some_and(|path| path.bytes().eq(name.bytes().map(as_in_path)))
}

/// Whether a file's name says that it is an archive of classes.
pub(crate) fn is_archive_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["jar", "zip", "war", "aar"].iter().any(|known| extension == *known))
}

fn unreadable_jar(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::BrokenClassFile, format!("failed to read the jar {}", path.display()))
        .cause(error)
        .hint("delete it, so that the build fetches or makes it again")
}

fn broken_jar(path: &Path, entry: &str, error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::BrokenClassFile, format!("failed to read {entry} in the jar {}", path.display()))
        .cause(error)
        .hint("delete the jar, so that the build fetches or makes it again")
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn is_class(path: &str) -> bool {
    path.ends_with(".class") && !path.starts_with("META-INF/") && !path.ends_with("module-info.class")
}

/// All containers of a build: an entry that several tasks name is opened once.
pub(crate) struct Containers {
    contents: Arc<Contents>,
    by_path: Mutex<HashMap<(PathBuf, u32), Arc<Container>>>,
    text_left: Arc<AtomicU64>,
}

impl Containers {
    /// Containers that share the listings of directories with what hashes them.
    pub(crate) fn new(contents: Arc<Contents>) -> Self {
        Self { contents, by_path: Mutex::default(), text_left: Arc::new(AtomicU64::new(MAX_TEXT)) }
    }

    /// The container of a path, as a JVM of this feature release loads from it.
    pub(crate) fn get(&self, path: &Path, release: u32) -> Arc<Container> {
        let mut by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        let container = by_path.entry((path.to_owned(), release)).or_insert_with(|| {
            Arc::new(Container {
                path: path.to_owned(),
                release,
                contents: Arc::clone(&self.contents),
                kind: OnceLock::new(),
                text_left: Arc::clone(&self.text_left),
            })
        });
        Arc::clone(container)
    }
}

impl Default for Containers {
    fn default() -> Self {
        Self::new(Arc::new(Contents::forgetful()))
    }
}
