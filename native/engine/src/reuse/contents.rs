//! What lies on the classpaths of a build: of directories and jars that the build makes every file by itself, of all other
//! jars one hash.

use super::facts::Facts;
use super::names::{Mentions, NameId, Names};
use crate::bundle::digest;
use crate::discover::{Jar, is_archive_name};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use testfleet_protocol::path::Roots;
use testfleet_protocol::request::RunRequest;
use testfleet_protocol::{Failure, FailureCode, Result};

/// SHA-256.
pub(super) type Hash = [u8; 32];

/// A larger resource is hashed, but not searched for names of classes.
pub(super) const MAX_SEARCHED: u64 = 8 << 20;

/// How a serialized object begins (`java.io.ObjectStreamConstants`).
const SERIALIZED: [u8; 4] = [0xAC, 0xED, 0x00, 0x05];

/// A directory of classes or resources, or a jar that this build makes.
#[derive(Debug, Default)]
pub(super) struct Container {
    /// By name.
    pub(super) classes: BTreeMap<NameId, ClassEntry>,
    /// Hash of all files that are no classes, by path; `None` when there is none.
    pub(super) resources: Option<Hash>,
    /// Hash of all files, by path; `None` when there is none.
    pub(super) all: Option<Hash>,
    /// Classes that resources and module descriptors name.
    pub(super) named: Vec<NameId>,
    /// A resource that may name classes in a way that is not read.
    pub(super) unread: Option<String>,
    /// A resource holds serialized objects.
    pub(super) has_objects: bool,
}

/// A class of this build. A jar for several releases of Java may hold several files of one name.
#[derive(Debug, Default)]
pub(super) struct ClassEntry {
    pub(super) hash: Hash,
    pub(super) facts: Facts,
}

/// What a classpath entry is.
#[derive(Debug)]
pub(super) enum Content {
    /// The build makes it.
    Own(Container),
    /// It comes from elsewhere: SHA-256 in hex.
    Foreign(String),
}

/// All classpath entries of a build by path; those that are not there are left out, as a JVM passes over them.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) names: Names,
    pub(super) entries: BTreeMap<PathBuf, Content>,
}

enum Listed {
    Foreign,
    /// Files, by path below the directory.
    Directory(Vec<digest::Below>),
    /// Names of all entries that are no directories.
    Jar(Vec<String>),
}

impl Contents {
    /// Reads all that the Test tasks of a request have on their classpaths.
    ///
    /// # Errors
    /// `Io` when something can't be read, `BrokenClassFile` for a damaged jar.
    pub(super) fn read(request: &RunRequest, known: &crate::content::Contents) -> Result<Self> {
        let roots = Roots::new(request.roots.clone());
        let tasks = request.tasks.iter();
        let paths: std::collections::BTreeSet<&PathBuf> = tasks
            .flat_map(|task| task.class_dirs.iter().chain(&task.launcher_classpath).chain(&task.classpath))
            .collect();
        let listed: Vec<(&PathBuf, Listed)> = paths
            .into_par_iter()
            .map(|path| Ok(list(path, &roots)?.map(|listed| (path, listed))))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        let mut names = Names::default();
        for (_, listed) in &listed {
            match listed {
                Listed::Foreign => {}
                Listed::Directory(files) => files.iter().for_each(|file| add_name(&mut names, &file.relative)),
                Listed::Jar(entries) => entries.iter().for_each(|entry| add_name(&mut names, entry)),
            }
        }
        let entries = listed
            .into_par_iter()
            .map(|(path, listed)| {
                let content = match listed {
                    Listed::Foreign => Content::Foreign(known.of(path)?.sha256),
                    Listed::Directory(files) => Content::Own(read_directory(&files, &names)?),
                    Listed::Jar(_) => Content::Own(read_jar(path, &names)?),
                };
                Ok((path.clone(), content))
            })
            .collect::<Result<_>>()?;
        Ok(Self { names, entries })
    }
}

/// A directory is made by the build; so is a jar below the project's folder, unless Gradle keeps its own files there.
fn is_own(path: &Path, roots: &Roots) -> bool {
    let is_below = |root: &str| roots.get(root).is_some_and(|dir| path.starts_with(dir));
    path.is_dir() || is_below("project") && !is_below("gradleHome") && is_archive_name(path)
}

fn list(path: &Path, roots: &Roots) -> Result<Option<Listed>> {
    if !path.exists() {
        return Ok(None);
    }
    if !is_own(path, roots) {
        return Ok(Some(Listed::Foreign));
    }
    if path.is_dir() {
        return Ok(Some(Listed::Directory(digest::files_below(path)?)));
    }
    let jar = open(path)?;
    // Entries that can't be asked for by name count with the jar as a whole.
    if jar.has_nameless() {
        return Ok(Some(Listed::Foreign));
    }
    Ok(Some(Listed::Jar(jar.names().map(str::to_owned).collect())))
}

/// The class that a file can hold: `META-INF/versions/9/com/acme/A.class` holds `com/acme/A`.
fn class_name(path: &str) -> Option<&str> {
    let name = path.strip_suffix(".class")?;
    match name.strip_prefix("META-INF/versions/") {
        Some(versioned) => versioned.split_once('/').map(|(_, name)| name),
        None => Some(name),
    }
}

fn add_name(names: &mut Names, path: &str) {
    if let Some(name) = class_name(path) {
        names.add(name);
    }
}

/// What one file comes to.
struct FileRead {
    path: String,
    hash: Hash,
    kind: FileKind,
}

enum FileKind {
    Class(NameId, Facts),
    Resource { named: Vec<NameId>, unread: bool, has_objects: bool },
}

fn read_directory(files: &[digest::Below], names: &Names) -> Result<Container> {
    let read = |file: &digest::Below| {
        let failed = |error: &std::io::Error| Failure::io("read", &file.path, error);
        let size = file.path.metadata().map_err(|error| failed(&error))?.len();
        let opened = File::open(&file.path).map_err(|error| failed(&error))?;
        read_file(&file.relative, opened, size, names).map_err(|error| failed(&error))
    };
    Ok(Container::of(files.par_iter().map(read).collect::<Result<Vec<_>>>()?))
}

fn read_jar(path: &Path, names: &Names) -> Result<Container> {
    let jar = open(path)?;
    let entries: Vec<&str> = jar.names().collect();
    let read = |entry: &&str| {
        let bytes = jar.read(entry).map_err(|error| broken(path, &error))?.unwrap_or_default();
        read_file(entry, bytes.as_slice(), bytes.len() as u64, names).map_err(|error| broken(path, &error))
    };
    Ok(Container::of(entries.par_iter().map(read).collect::<Result<Vec<_>>>()?))
}

/// Opens a jar with each entry under its own name: those for later releases of Java count, too.
fn open(path: &Path) -> Result<Jar> {
    const NO_VERSIONS: u32 = 8;
    let file = File::open(path).map_err(|error| Failure::io("open", path, &error))?;
    Jar::open(file, NO_VERSIONS).map_err(|error| broken(path, &error))
}

fn broken(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(FailureCode::BrokenClassFile, format!("failed to read the jar {}", path.display()))
        .cause(error)
        .hint("delete it, so that the build makes it again")
}

/// `size` is what the file claims: it decides how the file is read, and nothing is allocated by it.
fn read_file(path: &str, mut file: impl Read, size: u64, names: &Names) -> std::io::Result<FileRead> {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::new();
    if size <= MAX_SEARCHED {
        file.by_ref().take(MAX_SEARCHED + 1).read_to_end(&mut bytes)?;
        hasher.update(&bytes);
    }
    let mut buffer = [0; 1 << 14];
    let mut is_whole = size <= MAX_SEARCHED;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        is_whole = false;
        hasher.update(&buffer[..count]);
    }
    let class =
        class_name(path).filter(|name| !name.ends_with("module-info")).and_then(|name| Some((name, names.id(name)?)));
    let kind = match class {
        Some((name, id)) => {
            let mut facts = if is_whole { Facts::read(&bytes, names) } else { Facts::read(&[], names) };
            facts.mentions.extend(names.package_info(name));
            FileKind::Class(id, facts)
        }
        None => {
            let found = mentioned(&bytes, names);
            let has_objects = bytes.starts_with(&SERIALIZED);
            FileKind::Resource { named: found.classes, unread: !is_whole, has_objects }
        }
    };
    Ok(FileRead { path: path.to_owned(), hash: hasher.finalize().into(), kind })
}

/// Classes of this build that a file names which is no class.
pub(super) fn mentioned(bytes: &[u8], names: &Names) -> Mentions {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Mentions::default();
    names.find(&text, &mut found);
    if bytes.contains(&0) {
        // Binary: the length before a name (`DataOutput.writeUTF`) may itself look like a letter of it.
        for token in text.split(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
            let mut rest = token.chars();
            rest.next();
            names.find(rest.as_str(), &mut found);
        }
    }
    found.tidy();
    found
}

impl Container {
    fn of(mut files: Vec<FileRead>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut container = Self::default();
        let (mut all, mut resources) = (Sha256::new(), Sha256::new());
        let mut any_resource = false;
        container.all = (!files.is_empty()).then_some([0; 32]);
        for file in files {
            add_file(&mut all, &file);
            match file.kind {
                FileKind::Class(id, facts) => container.add_class(id, &file.path, file.hash, facts),
                FileKind::Resource { ref named, unread, has_objects } => {
                    any_resource = true;
                    add_file(&mut resources, &file);
                    container.named.extend(named);
                    container.has_objects |= has_objects;
                    if unread && container.unread.is_none() {
                        container.unread = Some(file.path);
                    }
                }
            }
        }
        container.resources = any_resource.then(|| resources.finalize().into());
        container.all = container.all.map(|_| all.finalize().into());
        container.named.sort_unstable();
        container.named.dedup();
        container
    }

    fn add_class(&mut self, id: NameId, path: &str, hash: Hash, facts: Facts) {
        let entry = self.classes.entry(id).or_default();
        // One file or several, in the order of their paths.
        let mut hasher = Sha256::new();
        hasher.update(entry.hash);
        hasher.update(path.as_bytes());
        hasher.update([0]);
        hasher.update(hash);
        entry.hash = hasher.finalize().into();
        entry.facts.add(facts);
    }
}

fn add_file(hasher: &mut Sha256, file: &FileRead) {
    hasher.update(file.path.as_bytes());
    hasher.update([0]);
    hasher.update(file.hash);
}
