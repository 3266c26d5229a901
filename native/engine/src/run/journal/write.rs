//! Writing a journal, and bringing it to the disk in batches.

use super::read::Recorded;
use super::{FORMAT, Header, JournalOf, KIND, Mark, line};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::sync::watch;

/// The least time between two waits for the disk: what is written meanwhile goes there together.
const BATCH: Duration = Duration::from_millis(10);

/// What is to be brought to the disk.
#[derive(Debug)]
struct Batch {
    beside: Beside,
    upto: Synced,
}

/// What is to be on the disk before the lines that may tell of it.
#[derive(Debug, Default)]
struct Beside {
    files: Vec<File>,
    /// Many files may wait for the disk, so they are not kept open; a folder waits once for all that changed in it.
    places: BTreeSet<PathBuf>,
}

impl Beside {
    fn add(&mut self, more: Self) {
        self.files.extend(more.files);
        self.places.extend(more.places);
    }

    fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(File::sync_all)?;
        self.places.iter().try_for_each(|place| match File::open(place) {
            // What somebody took away again is not missed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            file => file?.sync_all(),
        })
    }
}

/// How far the disk has it all.
#[derive(Debug, Clone, Copy, Default)]
struct Synced {
    lines: u64,
    steps: u64,
}

/// Appends events to a journal.
///
/// [`JournalWriter::flush`] hands them to the operating system, so that they outlive this process; a thread brings them to
/// the disk, so that they outlive the machine, and [`JournalWriter::on_disk`] tells how far it is.
#[derive(Debug)]
pub struct JournalWriter {
    path: PathBuf,
    file: Arc<File>,
    pending: Vec<u8>,
    /// Lines that were appended, those that are pending included.
    lines: u64,
    /// Goes to the disk before these lines.
    beside: Beside,
    /// Lines, and files that went beside them.
    steps: u64,
    /// What the last mark says.
    marked: u64,
    to_sync: Option<Sender<Batch>>,
    synced: watch::Receiver<Synced>,
    broken: Arc<OnceLock<io::Error>>,
    syncer: Option<JoinHandle<()>>,
}

impl JournalWriter {
    /// Starts a new journal, with its folder if need be; one that is there is replaced.
    ///
    /// # Errors
    /// [`FailureCode::Io`]
    pub fn create(path: &Path, of: &JournalOf) -> Result<Self> {
        let failed = |error: io::Error| Failure::io("create the journal", path, &error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut writer = Self::over(path, File::create(path).map_err(failed)?, 0)?;
        writer.line(&Header { journal: KIND.to_owned(), format: FORMAT, version: VERSION, of: of.clone() })?;
        writer.flush()?;
        Ok(writer)
    }

    /// Goes on with a journal behind the events that were read from it; whatever follows them in the file is cut off.
    ///
    /// # Errors
    /// [`FailureCode::Io`]
    pub fn go_on(path: &Path, recorded: &Recorded) -> Result<Self> {
        let failed = |error: io::Error| Failure::io("go on with the journal", path, &error);
        let mut file = File::options().read(true).write(true).open(path).map_err(failed)?;
        let end = recorded.end();
        file.set_len(end.bytes).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Self::over(path, file, end.lines)
    }

    fn over(path: &Path, file: File, lines: u64) -> Result<Self> {
        let file = Arc::new(file);
        let (to_sync, wanted) = channel();
        let (done, synced) = watch::channel(Synced::default());
        let broken = Arc::new(OnceLock::new());
        let syncer = std::thread::Builder::new()
            .name("testfleet-journal".to_owned())
            .spawn({
                let (file, broken) = (Arc::clone(&file), Arc::clone(&broken));
                move || sync(&file, &wanted, &done, &broken)
            })
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to start a thread").cause(&error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            pending: Vec::new(),
            lines,
            beside: Beside::default(),
            steps: lines,
            marked: 0,
            to_sync: Some(to_sync),
            synced,
            broken,
            syncer: Some(syncer),
        })
    }

    /// Adds an event. It is in the file after the next [`Self::flush`].
    ///
    /// # Errors
    /// [`FailureCode::Io`]
    pub fn append(&mut self, event: &RunEvent) -> Result<()> {
        self.line(event)
    }

    /// Brings what was written to a file to the disk with the next [`Self::flush`], before the lines: they may tell of it.
    pub fn with_file(&mut self, file: File) {
        self.beside.files.push(file);
        self.steps += 1;
    }

    /// As [`Self::with_file`], for a file that lies in its place for good, or for a folder: it is opened only then.
    pub fn with_place(&mut self, place: PathBuf) {
        self.beside.places.insert(place);
        self.steps += 1;
    }

    /// Hands everything to the operating system and asks for it to be brought to the disk. Returns how much that is, in lines
    /// and files: once [`Self::on_disk`] has reached it, they are there.
    ///
    /// # Errors
    /// [`FailureCode::Io`], also when an earlier batch could not be brought to the disk.
    pub fn flush(&mut self) -> Result<u64> {
        if let Some(error) = self.broken.get() {
            return Err(self.failed(error));
        }
        let synced = *self.synced.borrow();
        if !self.pending.is_empty() {
            if synced.lines > self.marked {
                self.line(&Mark { synced_lines: synced.lines })?;
                self.marked = synced.lines;
            }
            (&*self.file).write_all(&self.pending).map_err(|error| self.failed(&error))?;
            self.pending.clear();
        }
        if self.steps > synced.steps
            && let Some(to_sync) = &self.to_sync
        {
            let upto = Synced { lines: self.lines, steps: self.steps };
            // The thread ends early only when the disk failed, which the next call tells.
            let _ = to_sync.send(Batch { beside: std::mem::take(&mut self.beside), upto });
        }
        Ok(self.steps)
    }

    /// For those who wait for the disk.
    pub fn on_disk(&self) -> OnDisk {
        OnDisk(self.synced.clone())
    }

    /// Flushes and waits until all of it is on the disk.
    ///
    /// # Errors
    /// [`FailureCode::Io`]
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.end_syncer();
        self.broken.get().map_or(Ok(()), |error| Err(self.failed(error)))
    }

    fn end_syncer(&mut self) {
        self.to_sync = None;
        if let Some(syncer) = self.syncer.take() {
            // It does not panic.
            let _ = syncer.join();
        }
    }

    fn line(&mut self, record: &impl serde::Serialize) -> Result<()> {
        line::append(record, &mut self.pending).map_err(|error| self.failed(&error))?;
        self.lines += 1;
        self.steps += 1;
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::io("write the journal", &self.path, error).hint(
            "make room on that disk, then go on where the run stopped: `./gradlew runParallel --resume`; no result that \
             was shown before is lost",
        )
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        self.end_syncer();
    }
}

/// Tells how much is on the disk, in the measure of [`JournalWriter::flush`].
#[derive(Debug, Clone)]
pub struct OnDisk(watch::Receiver<Synced>);

impl OnDisk {
    /// So much at the moment.
    pub fn now(&self) -> u64 {
        self.0.borrow().steps
    }

    /// Waits until it is more.
    ///
    /// # Errors
    /// When it can't become more, because the journal is closed or its disk failed.
    pub async fn more(&mut self) -> std::result::Result<u64, watch::error::RecvError> {
        self.0.changed().await?;
        Ok(self.0.borrow_and_update().steps)
    }
}

/// Brings what is asked for to the disk until nobody can ask any more.
fn sync(file: &File, wanted: &Receiver<Batch>, done: &watch::Sender<Synced>, broken: &OnceLock<io::Error>) {
    while let Ok(mut batch) = wanted.recv() {
        while let Ok(more) = wanted.try_recv() {
            batch.beside.add(more.beside);
            batch.upto = more.upto;
        }
        if let Err(error) = batch.beside.sync().and_then(|()| file.sync_data()) {
            // What a failed fsync leaves can't be trusted, and a second one would not tell (PostgreSQL's "fsyncgate").
            let _ = broken.set(error);
            return;
        }
        done.send_replace(batch.upto);
        std::thread::sleep(BATCH);
    }
}
