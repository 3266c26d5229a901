//! Classpath entries: class directories and jars, opened when first asked, read in place, shared
//! between tasks.

use super::class_file::ClassFile;
use super::references::{References, references};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use testfleet_protocol::{Failure, FailureCode, Result};
use zip::ZipArchive;

/// No class file that a JVM loads is larger; what claims to be is damaged or hostile.
const MAX_ENTRY: u64 = 256 << 20;

type Classes = Mutex<HashMap<String, Option<Arc<ClassFile>>>>;

/// One classpath entry.
pub(crate) struct Container {
    path: PathBuf,
    kind: OnceLock<Result<Kind>>,
    classes: Classes,
}

enum Kind {
    /// Not there: Gradle lets class and resource directories be absent.
    Absent,
    Directory,
    Jar(Jar),
}

struct Jar {
    /// Index of each entry by name.
    index: HashMap<Box<str>, usize>,
    archive: Mutex<ZipArchive<BufReader<File>>>,
}

impl Container {
    fn new(path: PathBuf) -> Self {
        Self { path, kind: OnceLock::new(), classes: Mutex::default() }
    }

    fn kind(&self) -> Result<&Kind> {
        self.kind.get_or_init(|| open(&self.path)).as_ref().map_err(Clone::clone)
    }

    /// Relative paths, with `/`, of all class files, sorted.
    ///
    /// # Errors
    /// When the jar or directory can't be listed.
    pub(crate) fn class_paths(&self) -> Result<Vec<String>> {
        let mut paths = match self.kind()? {
            Kind::Absent => Vec::new(),
            Kind::Jar(jar) => jar.index.keys().filter(|name| is_class(name)).map(ToString::to_string).collect(),
            Kind::Directory => class_paths_below(&self.path)?,
        };
        paths.sort_unstable();
        Ok(paths)
    }

    /// The class of a binary name, if this container has it.
    ///
    /// # Errors
    /// [`FailureCode::BrokenClassFile`] when it has a file of that name that is none.
    pub(crate) fn class(&self, name: &str) -> Result<Option<Arc<ClassFile>>> {
        if let Some(known) = self.classes.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(known.clone());
        }
        let class = self.class_at(&format!("{}.class", name.replace('.', "/")))?;
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(classes.entry(name.to_owned()).or_insert(class).clone())
    }

    /// Reads the class file at a relative path, past the cache.
    ///
    /// # Errors
    /// As for [`Container::class`].
    pub(crate) fn class_at(&self, entry: &str) -> Result<Option<Arc<ClassFile>>> {
        let Some(bytes) = self.read(entry)? else { return Ok(None) };
        match ClassFile::parse(&bytes) {
            Ok(class) => Ok(Some(Arc::new(class))),
            Err(error) => Err(self.broken_class(entry, &error)),
        }
    }

    fn broken_class(&self, entry: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::new(
            FailureCode::BrokenClassFile,
            format!("failed to read the class file {entry} in {}", self.path.display()),
        )
        .cause(error)
        .hint("compile it again (./gradlew --rerun-tasks testClasses), or replace the jar that it came from")
    }

    /// Puts a class that was read by [`Container::class_at`] where [`Container::class`] finds it.
    pub(crate) fn remember(&self, class: &Arc<ClassFile>) {
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        classes.insert(class.name.clone(), Some(Arc::clone(class)));
    }

    /// What the class file at a relative path refers to, and its SHA-256. Read anew at each call.
    ///
    /// # Errors
    /// As for [`Container::class`].
    pub(crate) fn references(&self, entry: &str) -> Result<Option<([u8; 32], References)>> {
        let Some(bytes) = self.read(entry)? else { return Ok(None) };
        let found = references(&bytes).map_err(|error| self.broken_class(entry, &error))?;
        Ok(Some((Sha256::digest(&bytes).into(), found)))
    }

    /// The bytes of a file, if there is one.
    ///
    /// # Errors
    /// When it is there but can't be read.
    pub(crate) fn read(&self, entry: &str) -> Result<Option<Vec<u8>>> {
        match self.kind()? {
            Kind::Absent => Ok(None),
            Kind::Directory => {
                let path = self.path.join(entry);
                match std::fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if is_absence(&error) => Ok(None),
                    Err(error) => Err(Failure::io("read", &path, &error)),
                }
            }
            Kind::Jar(jar) => jar.read(entry).map_err(|error| broken_jar(&self.path, entry, &error)),
        }
    }
}

impl Jar {
    fn read(&self, entry: &str) -> std::io::Result<Option<Vec<u8>>> {
        let Some(&index) = self.index.get(entry) else { return Ok(None) };
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let file = archive.by_index(index)?;
        // No capacity from the archive: a damaged size must not allocate.
        let mut bytes = Vec::new();
        file.take(MAX_ENTRY).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

fn open(path: &Path) -> Result<Kind> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_absence(&error) => return Ok(Kind::Absent),
        Err(error) => return Err(Failure::io("read", path, &error)),
    };
    if metadata.is_dir() {
        return Ok(Kind::Directory);
    }
    let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    let archive = match ZipArchive::new(BufReader::new(file)) {
        Ok(archive) => archive,
        // Classpaths hold native libraries and descriptors too; a JVM passes over them.
        Err(_) if !is_archive_name(path) => return Ok(Kind::Absent),
        Err(error) => return Err(unreadable_jar(path, &error)),
    };
    let index = (0..archive.len())
        .filter_map(|index| Some((archive.name_for_index(index)?.ok()?.into_owned().into_boxed_str(), index)))
        .collect();
    Ok(Kind::Jar(Jar { index, archive: Mutex::new(archive) }))
}

/// Whether a file's name says that it is an archive of classes.
pub(crate) fn is_archive_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["jar", "zip", "war", "aar"].iter().any(|known| extension == *known))
}

fn unreadable_jar(path: &Path, error: &zip::result::ZipError) -> Failure {
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

fn class_paths_below(dir: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in walkdir::WalkDir::new(dir).follow_links(true) {
        let entry = entry.map_err(|error| {
            Failure::new(FailureCode::Io, format!("failed to list {}", dir.display())).cause(&error)
        })?;
        if !entry.file_type().is_file() {
            continue;
        }
        let Ok(relative) = entry.path().strip_prefix(dir) else { continue };
        let path = relative.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        if is_class(&path) {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// All containers of a build: an entry that several tasks name is opened once.
#[derive(Default)]
pub(crate) struct Containers {
    by_path: Mutex<HashMap<PathBuf, Arc<Container>>>,
}

impl Containers {
    /// The container of a path.
    pub(crate) fn get(&self, path: &Path) -> Arc<Container> {
        let mut by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_path.entry(path.to_owned()).or_insert_with(|| Arc::new(Container::new(path.to_owned()))))
    }
}
