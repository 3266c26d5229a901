//! A base made from this machine: its JDKs, the libraries that they need, and the few files that a system has.
//!
//! There are no fonts in it: what draws text with AWT needs a base that has some.

mod archive;
mod elf;
mod home;

pub(crate) use archive::archive_layer;
pub(crate) use elf::loader_of;
pub(crate) use home::copy;

use crate::layer::encode::{Codec, Content};
use crate::layer::tree::{Node, PLAIN, PROGRAM, Source, Tree};
use crate::layer::{Made, write};
use crate::store::{Lease, MadeFrom};
use crate::{Digest, place};
use elf::Libraries;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use testfleet_protocol::image::Compression;
use testfleet_protocol::{Failure, FailureCode, Result};
use walkdir::WalkDir;

/// Another number for other layers of the same JDK.
const RULE: u32 = 1;

/// The user that workers run as on a base of this machine, unless the build names another.
pub const USER: &str = "65532:65532";

/// Libraries that others load by their names: name services of the C library, and what old programs link with.
const LOADED: [&str; 8] = [
    "libnss_files.so.2",
    "libnss_dns.so.2",
    "libnss_compat.so.2",
    "libresolv.so.2",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libm.so.6",
];

/// Programs that tests start most, and whoever looks into a container.
const PROGRAMS: [&str; 5] = ["/bin/sh", "/bin/ls", "/bin/cat", "/bin/sleep", "/usr/bin/env"];

/// Further files of a system, and folders of such: a locale, a time zone, authorities.
const FILES: [&str; 3] = ["/usr/lib/locale/C.utf8", "/usr/share/zoneinfo/UTC", "/etc/ssl/certs/ca-certificates.crt"];

/// A JDK of this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Jdk {
    /// Its folder.
    pub home: PathBuf,
    /// Feature release.
    pub release: u32,
}

/// Where JDKs lie in an image: each in the folder of its release; a second one of that release in another.
pub(crate) fn places(jdks: &[Jdk]) -> BTreeMap<PathBuf, String> {
    let mut places: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut taken: BTreeMap<u32, u32> = BTreeMap::new();
    for jdk in jdks {
        if places.contains_key(&jdk.home) {
            continue;
        }
        let number = taken.entry(jdk.release).or_default();
        *number += 1;
        let suffix = if *number > 1 { format!("-{number}") } else { String::new() };
        places.insert(jdk.home.clone(), format!("{}/{}{suffix}", place::JAVA, jdk.release));
    }
    places
}

/// The layer of a JDK at a place in an image.
///
/// # Errors
/// `JvmStart` when there is no JDK, `Io` when it can't be read.
pub(crate) fn jdk_layer(jdk: &Jdk, target: &str, compression: Compression, lease: &Lease) -> Result<Made> {
    let codec = Codec::of(Content::Seldom, compression);
    let key = key(&format!("jdk {RULE} {codec:?} {target}"), &[identity(jdk)?]);
    if let Some((record, file)) = lease.layer(&key)? {
        return Ok(Made { record, file, reused: true });
    }
    let mut tree = Tree::default();
    let temp =
        tempfile::tempdir_in(lease.temp()).map_err(|error| Failure::io("create a folder in", &lease.temp(), &error))?;
    let how = home::add(&jdk.home, jdk.release, target, temp.path(), &mut tree)?;
    let sha256 = Digest::of(identity(jdk)?.as_bytes()).hex().to_owned();
    let made_from = vec![MadeFrom { path: format!("{} ({how})", jdk.home.display()), sha256 }];
    let (record, file) =
        write(lease, codec, &tree, &mut |_, _| {})?.finish(&format!("java {}", jdk.release), made_from)?;
    lease.remember(&key, &record)?;
    Ok(Made { record, file, reused: false })
}

/// The layer of a system that runs these JDKs and the agent.
///
/// # Errors
/// `Io` when something can't be read, `JvmStart` when a library is missing without which nothing starts.
pub(crate) fn system_layer(jdks: &[Jdk], agent: &Path, compression: Compression, lease: &Lease) -> Result<Made> {
    let codec = Codec::of(Content::Seldom, compression);
    let mut identities = vec![stamp(Path::new("/etc/ld.so.cache")), stamp(agent)];
    for jdk in jdks {
        identities.push(identity(jdk)?);
    }
    // Libraries are known by the cache of the loader, which is written anew with them; these are not in it.
    let copied = PROGRAMS.iter().map(PathBuf::from).chain(system_files());
    identities.extend(copied.map(|path| format!("{} {}", path.display(), stamp(&path))));
    let key = key(&format!("system {RULE} {codec:?}"), &identities);
    if let Some((record, file)) = lease.layer(&key)? {
        return Ok(Made { record, file, reused: true });
    }
    let mut tree = Tree::default();
    let made_from = add_libraries(jdks, agent, &mut tree)?;
    add_system(&mut tree);
    let (record, file) = write(lease, codec, &tree, &mut |_, _| {})?.finish("base", made_from)?;
    lease.remember(&key, &record)?;
    Ok(Made { record, file, reused: false })
}

/// The key of a layer that is made from what these texts tell apart.
pub(crate) fn key(what: &str, identities: &[String]) -> String {
    Digest::of(format!("{what}\n{}", identities.join("\n")).as_bytes()).hex().to_owned()
}

/// What tells a JDK from another without reading all of it.
fn identity(jdk: &Jdk) -> Result<String> {
    let java = jdk.home.join("bin/java");
    if !java.is_file() {
        return Err(Failure::new(FailureCode::JvmStart, format!("failed to find a JDK in {}", jdk.home.display()))
            .cause_text(format!("there is no {}", java.display()))
            .hint("install that JDK, choose another launcher for the Test task, or a base with a Java of its own"));
    }
    let release = fs::read_to_string(jdk.home.join("release")).unwrap_or_default();
    let files = ["bin/java", "lib/modules", "jre/lib/rt.jar", "lib/security/cacerts", "jre/lib/security/cacerts"];
    let stamps: Vec<String> = files.iter().map(|file| stamp(&jdk.home.join(file))).collect();
    Ok(format!("{} {}\n{release}", jdk.home.display(), stamps.join(" ")))
}

/// What tells a file from another without reading it.
pub(crate) fn stamp(path: &Path) -> String {
    fs::metadata(path).map_or_else(
        |_| "none".to_owned(),
        |file| format!("{}:{}:{}.{}", file.ino(), file.len(), file.mtime(), file.mtime_nsec()),
    )
}

fn add_libraries(jdks: &[Jdk], agent: &Path, tree: &mut Tree) -> Result<Vec<MadeFrom>> {
    let libraries = Libraries::of_machine()?;
    let mut files = vec![agent.to_owned()];
    for jdk in jdks {
        let mut copied = Tree::default();
        home::copy(&jdk.home, "jdk", &mut copied)?;
        files.extend(copied.files().map(Path::to_owned));
    }
    let programs: Vec<PathBuf> = PROGRAMS.iter().map(PathBuf::from).filter(|path| path.is_file()).collect();
    files.extend(programs.iter().cloned());
    files.extend(LOADED.iter().filter_map(|name| libraries.find(name)).map(Path::to_owned));
    let closure = libraries.closure(&files)?;
    for (name, needed_by) in &closure.missing {
        tracing::debug!("no {name} for {}", needed_by.display());
    }
    let Some(c_library) = closure.libraries.get("libc.so.6") else {
        return Err(Failure::new(FailureCode::JvmStart, "failed to make a base from this machine")
            .cause_text("its C library, libc.so.6, was not found")
            .hint("choose a base: testfleet { image { base = 'eclipse-temurin:17' } }"));
    };
    // The loader looks there without being told, as it was built for this machine.
    let folder = c_library.parent().unwrap_or(Path::new("/lib")).to_owned();
    let named = LOADED.iter().filter_map(|name| Some(((*name).to_owned(), libraries.find(name)?.to_owned())));
    let mut made_from = Vec::new();
    let mut add = |to: &Path, from: &Path| -> Result<()> {
        let from = fs::canonicalize(from).map_err(|error| Failure::io("read", from, &error))?;
        let bytes = fs::read(&from).map_err(|error| Failure::io("read", &from, &error))?;
        made_from
            .push(MadeFrom { path: from.to_string_lossy().into_owned(), sha256: Digest::of(&bytes).hex().to_owned() });
        tree.add(&to.to_string_lossy(), Node::File { from: Source::File(from), mode: PROGRAM });
        Ok(())
    };
    for (name, from) in closure.libraries.clone().into_iter().chain(named) {
        add(&folder.join(name), &from)?;
    }
    for path in closure.interpreters.iter().map(PathBuf::from).chain(programs) {
        add(&path, &path)?;
    }
    made_from.sort_by(|a, b| a.path.cmp(&b.path));
    made_from.dedup();
    Ok(made_from)
}

fn add_system(tree: &mut Tree) {
    let texts = [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/sbin/nologin\n\
             nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n\
             nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n",
        ),
        ("etc/group", "root:x:0:\nnonroot:x:65532:\nnogroup:x:65534:\n"),
        ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        ("etc/os-release", "ID=testfleet\nNAME=\"Testfleet base from a machine's JDK\"\n"),
    ];
    for (path, text) in texts {
        tree.add(path, Node::File { from: Source::Bytes(text.into()), mode: PLAIN });
    }
    for folder in ["dev", "proc", "sys", "run", "usr/bin", "var"] {
        tree.add_folder(folder);
    }
    for (folder, mode) in [("root", 0o700), ("home/nonroot", 0o777), ("tmp", 0o1777), ("var/tmp", 0o1777)] {
        tree.add(folder, Node::Folder { mode });
    }
    for file in system_files() {
        tree.add(&file.to_string_lossy(), Node::File { from: Source::File(file.clone()), mode: PLAIN });
    }
}

fn system_files() -> impl Iterator<Item = PathBuf> {
    let entries = FILES.iter().flat_map(|from| WalkDir::new(from).follow_links(true).sort_by_file_name()).flatten();
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path)
}
