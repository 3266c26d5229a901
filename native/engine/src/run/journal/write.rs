//! Writing a journal, and bringing it to the disk in batches.

use super::read::Recorded;
use super::{FORMAT, Header, JournalOf, KIND, Mark, line};
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
    /// What the last mark says.
    marked: u64,
    to_sync: Option<Sender<u64>>,
    synced: watch::Receiver<u64>,
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
        let (done, synced) = watch::channel(0);
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

    /// Hands everything to the operating system and asks for it to be brought to the disk. Returns how many lines that is:
    /// once [`Self::on_disk`] has reached it, they are there.
    ///
    /// # Errors
    /// [`FailureCode::Io`], also when an earlier batch could not be brought to the disk.
    pub fn flush(&mut self) -> Result<u64> {
        if let Some(error) = self.broken.get() {
            return Err(self.failed(error));
        }
        let synced = *self.synced.borrow();
        if !self.pending.is_empty() {
            if synced > self.marked {
                self.line(&Mark { synced_lines: synced })?;
                self.marked = synced;
            }
            (&*self.file).write_all(&self.pending).map_err(|error| self.failed(&error))?;
            self.pending.clear();
        }
        if self.lines > synced
            && let Some(to_sync) = &self.to_sync
        {
            // The thread ends early only when the disk failed, which the next call tells.
            let _ = to_sync.send(self.lines);
        }
        Ok(self.lines)
    }

    /// How many lines are on the disk.
    pub fn on_disk(&self) -> watch::Receiver<u64> {
        self.synced.clone()
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

/// Brings what is asked for to the disk until nobody can ask any more.
fn sync(file: &File, wanted: &Receiver<u64>, done: &watch::Sender<u64>, broken: &OnceLock<io::Error>) {
    while let Ok(mut lines) = wanted.recv() {
        while let Ok(more) = wanted.try_recv() {
            lines = more;
        }
        if let Err(error) = file.sync_data() {
            // What a failed fsync leaves can't be trusted, and a second one would not tell (PostgreSQL's "fsyncgate").
            let _ = broken.set(error);
            return;
        }
        done.send_replace(lines);
        std::thread::sleep(BATCH);
    }
}
