//! Files that come from workers, kept below `files/` in the run's folder.
//!
//! What a worker says of a file decides nothing about where it goes but its name, and that is made safe or refused: an agent
//! runs beside the code of tests.

use crate::content::hash_file;
use crate::file_names::{safe_name, task_folder};
use crate::hash::hex;
use crate::jacoco::whole_blocks;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use testfleet_protocol::agent::{AgentMessage, FILE_PIECE, FileOf};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::run_options::OutputLimits;
use testfleet_protocol::test::{Stream, TaskPath};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Folder below the run's.
const FILES: &str = "files";
/// Largest file that is kept, but for what tests write, which has its own limit.
const LARGEST: u64 = 1 << 30;
/// How many files of one worker may be on their way at once.
const AT_ONCE: usize = 8;
/// Longest path of a collected file, in bytes.
const LONGEST_PATH: usize = 1_024;
/// Longest name in it, as most file systems have it.
const LONGEST_NAME: usize = 255;

/// Puts pieces together and files where they belong.
#[derive(Debug)]
pub struct FileStore {
    run_dir: PathBuf,
    output_bytes: u64,
    /// By worker and the worker's number for the file.
    open: HashMap<(u32, u64), Partial>,
    /// Of each collected path, which workers' versions there are.
    collected: HashMap<(TaskPath, String), Vec<Version>>,
    /// Numbers that are not tried again for a name: see [`FileStore::free`].
    tried: HashMap<PathBuf, u64>,
    /// What was written of files on their way since somebody asked.
    written: HashMap<(u32, u64), File>,
    /// Files in their places and folders that changed since somebody asked.
    placed: BTreeSet<PathBuf>,
}

/// A worker's version of a collected file.
#[derive(Debug)]
struct Version {
    worker: u32,
    /// Relative to the run's folder.
    place: PathBuf,
    /// `None` until somebody wants to know: of those that an earlier coordinator stored.
    sha256: Option<String>,
}

/// A file on its way.
#[derive(Debug)]
enum Partial {
    Written {
        file: File,
        path: PathBuf,
        bytes: u64,
        /// Of these bytes, as long as they come in order and somebody may want to compare them.
        hasher: Option<Sha256>,
    },
    /// It was refused and said so: the rest of it is ignored.
    Refused,
}

impl FileStore {
    /// For the run in this folder.
    pub fn new(run_dir: &Path, output: &OutputLimits) -> Self {
        Self {
            run_dir: run_dir.to_owned(),
            output_bytes: output.file_bytes,
            open: HashMap::new(),
            collected: HashMap::new(),
            tried: HashMap::new(),
            written: HashMap::new(),
            placed: BTreeSet::new(),
        }
    }

    /// Files on their way to which something was written since this was asked: they have to be on the disk before their
    /// worker may forget it.
    pub fn written(&mut self) -> Vec<File> {
        self.written.drain().map(|(_, file)| file).collect()
    }

    /// Files that were moved to their places since this was asked, and the folders of all that is new: they have to be on the
    /// disk as well, but whoever takes files has no time to wait for that.
    pub fn placed(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.placed)
    }

    /// Takes note of a file that an earlier coordinator of this run stored.
    pub fn apply(&mut self, event: &RunEvent) {
        if let RunEvent::FileStored { worker, of: FileOf::Collected { task, path }, path: stored, .. } = event {
            self.note(task, path, Version { worker: *worker, place: PathBuf::from(stored), sha256: None });
        }
    }

    /// Takes a piece; with the last one the file is there, and the event says where. Other messages are none of its business.
    ///
    /// # Errors
    /// [`FailureCode::WorkerBroken`] for a piece that makes no sense, [`FailureCode::Io`] when it can't be stored. Either is
    /// said once for a file, of which nothing is kept then.
    pub fn take(&mut self, worker: u32, piece: AgentMessage) -> Result<Option<RunEvent>> {
        let AgentMessage::FilePiece { file, of, offset, data, last } = piece else { return Ok(None) };
        let key = (worker, file);
        let taken = self.piece(key, &of, offset, &data);
        if let Err(failure) = taken {
            self.remove(key);
            if !last {
                self.open.insert(key, Partial::Refused);
            }
            return Err(failure);
        }
        if !last {
            return Ok(None);
        }
        self.written.remove(&key);
        match self.open.remove(&key) {
            Some(Partial::Written { path, bytes, hasher, .. }) => {
                let stored = self.finish(worker, of, &path, bytes, hasher);
                if stored.is_err() {
                    // What is left of it helps nobody.
                    let _ = fs::remove_file(&path);
                }
                stored
            }
            Some(Partial::Refused) | None => Ok(None),
        }
    }

    /// A worker is gone: what it did not finish is not kept, which the failure says.
    pub fn worker_ended(&mut self, worker: u32) -> Option<Failure> {
        let begun: Vec<_> = self.open.keys().filter(|(of, _)| *of == worker).copied().collect();
        let unfinished = begun.iter().filter(|key| matches!(self.open[key], Partial::Written { .. })).count();
        begun.into_iter().for_each(|key| self.remove(key));
        (unfinished > 0).then(|| refused(worker, "it ended before it had sent the whole file"))
    }

    fn remove(&mut self, key: (u32, u64)) {
        self.written.remove(&key);
        if let Some(Partial::Written { path, .. }) = self.open.remove(&key) {
            // Nobody looks for it any more.
            let _ = fs::remove_file(path);
        }
    }

    fn piece(&mut self, key: (u32, u64), of: &FileOf, offset: u64, data: &str) -> Result<()> {
        let (worker, number) = key;
        if let Some(Partial::Refused) = self.open.get(&key) {
            return Ok(());
        }
        let bytes = STANDARD.decode(data).map_err(|error| refused(worker, "its bytes are no Base64").cause(&error))?;
        if bytes.len() > FILE_PIECE {
            return Err(refused(worker, &format!("a piece has {} bytes, over the limit of {FILE_PIECE}", bytes.len())));
        }
        let limit = if let FileOf::Output { .. } = of { self.output_bytes } else { LARGEST };
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= limit);
        let end = end.ok_or_else(|| refused(worker, &format!("it is larger than the limit of {limit} bytes")))?;
        if let FileOf::Collected { path, .. } = of
            && collected_path(path).is_none()
        {
            return Err(refused(worker, &format!("{path:?} is no path below the working directory")));
        }
        if !self.open.contains_key(&key) {
            if self.open.keys().filter(|(other, _)| *other == worker).count() >= AT_ONCE {
                return Err(refused(worker, &format!("more than {AT_ONCE} are on their way at once")));
            }
            let path = self.run_dir.join(FILES).join(".partial").join(format!("w{worker}-{number}"));
            let is_compared = matches!(of, FileOf::Collected { .. });
            let begun = self.change_below(&path).and_then(|()| begin(&path, offset, is_compared));
            let partial = begun.map_err(|error| Failure::io("write", &path, &error))?;
            self.open.insert(key, partial);
        }
        let Some(Partial::Written { file, path, bytes: there, hasher }) = self.open.get_mut(&key) else {
            return Ok(());
        };
        if offset > *there {
            return Err(refused(worker, &format!("bytes {there} to {offset} of it are missing")));
        }
        let written = file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(&bytes));
        let handle = written.and_then(|()| file.try_clone()).map_err(|error| Failure::io("write", path, &error))?;
        self.written.entry(key).or_insert(handle);
        *hasher = hasher.take().filter(|_| offset == *there).map(|hasher| hasher.chain_update(&bytes));
        *there = end.max(*there);
        Ok(())
    }

    /// Moves a whole file to its place.
    fn finish(
        &mut self,
        worker: u32,
        of: FileOf,
        partial: &Path,
        size: u64,
        hasher: Option<Sha256>,
    ) -> Result<Option<RunEvent>> {
        let files = Path::new(FILES);
        let place = match &of {
            FileOf::Collected { task, path } => {
                let relative = collected_path(path)
                    .ok_or_else(|| refused(worker, &format!("{path:?} is no path below the working directory")))?;
                let sha256 = match hasher {
                    Some(hasher) => hex(&hasher.finalize()),
                    None => hash_file(partial).map_err(|error| Failure::io("read", partial, &error))?.sha256,
                };
                // Workers of one host may share a working directory: each of them sees the same file.
                if self.have_others(worker, task, path, &sha256) {
                    let _ = fs::remove_file(partial);
                    return Ok(None);
                }
                let place = task_folder(&files.join("collected"), task).join(format!("worker-{worker}")).join(relative);
                self.note(task, path, Version { worker, place: place.clone(), sha256: Some(sha256) });
                place
            }
            FileOf::Jacoco { task, jvm, .. } => {
                let name = format!("w{worker}-{}.exec", safe_name(jvm));
                let place = task_folder(&files.join("jacoco"), task).join(name);
                if self.run_dir.join(&place).exists() && is_torn(partial)? {
                    // What the JVM had measured before is worth more, and its record says that the last is missing.
                    let _ = fs::remove_file(partial);
                    return Ok(None);
                }
                place
            }
            FileOf::Crash { task, name } => {
                self.free(&task_folder(&files.join("crash"), task), worker, &format!("-{}", safe_name(name)), "")
            }
            FileOf::Output { task, test, stream } => {
                let test = test.as_ref().map_or_else(
                    || "between-tests".to_owned(),
                    |test| safe_name(&format!("{}.{}", test.class, test.method)),
                );
                let stream = match stream {
                    Stream::Stdout => "stdout",
                    Stream::Stderr => "stderr",
                };
                self.free(
                    &task_folder(&files.join("output"), task),
                    worker,
                    &format!("-{test}"),
                    &format!(".{stream}.txt"),
                )
            }
        };
        let target = self.run_dir.join(&place);
        self.place(partial, &target).map_err(|error| Failure::io("write", &target, &error))?;
        let path = place.to_string_lossy().into_owned();
        Ok(Some(RunEvent::FileStored { worker, of, path, size }))
    }

    /// Moves a file to where it stays.
    fn place(&mut self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.change_below(to)?;
        fs::rename(from, to)?;
        self.placed.insert(to.to_owned());
        Ok(())
    }

    /// Makes the folder of a file, and takes note that its entries change.
    fn change_below(&mut self, file: &Path) -> std::io::Result<()> {
        let folder = file.parent().unwrap_or(&self.run_dir);
        // A new folder is an entry of the one above.
        let above = if folder.is_dir() { folder } else { &self.run_dir };
        fs::create_dir_all(folder)?;
        self.placed.extend(folder.ancestors().take_while(|one| one.starts_with(above)).map(Path::to_owned));
        Ok(())
    }

    /// Whether another worker's version of a collected file has this content.
    fn have_others(&mut self, worker: u32, task: &TaskPath, path: &str, sha256: &str) -> bool {
        let versions = self.collected.get_mut(&(task.clone(), path.to_owned()));
        versions.into_iter().flatten().filter(|version| version.worker != worker).any(|version| {
            if version.sha256.is_none() {
                // One that can't be read is like no other.
                version.sha256 = hash_file(&self.run_dir.join(&version.place)).ok().map(|digest| digest.sha256);
            }
            version.sha256.as_deref() == Some(sha256)
        })
    }

    fn note(&mut self, task: &TaskPath, path: &str, version: Version) {
        let versions = self.collected.entry((task.clone(), path.to_owned())).or_default();
        versions.retain(|other| other.worker != version.worker);
        versions.push(version);
    }

    /// A path that no file has yet: `w2-1-NAME.EXTENSION`.
    fn free(&mut self, folder: &Path, worker: u32, name: &str, extension: &str) -> PathBuf {
        let path = |number: u64| folder.join(format!("w{worker}-{number}{name}{extension}"));
        // There may be one for each JVM of a run: those that were taken once are not looked at again.
        let number = self.tried.entry(path(0)).or_insert(1);
        while self.run_dir.join(path(*number)).exists() {
            *number += 1;
        }
        path(*number)
    }
}

/// Opens a file for its first piece, or to go on where an earlier coordinator stopped.
fn begin(path: &Path, offset: u64, is_compared: bool) -> std::io::Result<Partial> {
    let file = File::options().create(true).truncate(offset == 0).write(true).open(path)?;
    let bytes = file.metadata()?.len();
    let hasher = (is_compared && bytes == 0).then(Sha256::new);
    Ok(Partial::Written { file, path: path.to_owned(), bytes, hasher })
}

/// Whether a JVM was killed while it wrote what it had measured.
fn is_torn(coverage: &Path) -> Result<bool> {
    let bytes = fs::read(coverage).map_err(|error| Failure::io("read", coverage, &error))?;
    let whole = whole_blocks(&bytes);
    Ok(whole == 0 || whole < bytes.len())
}

/// The path of a collected file, if it is one below some folder on every system: names separated by `/`.
pub(crate) fn collected_path(path: &str) -> Option<PathBuf> {
    let is_name = |name: &str| {
        !name.is_empty() && name.len() <= LONGEST_NAME && !matches!(name, "." | "..") && !name.contains(['\0', '\\'])
    };
    if path.len() > LONGEST_PATH || !path.split('/').all(is_name) {
        return None;
    }
    let found = PathBuf::from(path);
    found.components().all(|component| matches!(component, Component::Normal(_))).then_some(found)
}

fn refused(worker: u32, why: &str) -> Failure {
    Failure::new(FailureCode::WorkerBroken, format!("failed to store a file of worker {worker}"))
        .cause_text(why.to_owned())
        .hint("results and all other files are kept; docs/jvm.md has the limits")
}

#[cfg(test)]
mod tests;
