//! The folders of past runs: `build/testfleet/runs/<id>` with `plan.json`, `bundle.json` and `journal.jsonl`.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testfleet_protocol::{Failure, FailureCode, Result};

/// How many runs of each kind are kept; the oldest beyond that go when a new one starts.
const KEPT: usize = 20;

/// The file that a run's coordinator holds a lock on.
const LOCK: &str = "coordinator";

/// The folder of one run.
pub(crate) struct RunDir {
    pub(crate) id: String,
    dir: PathBuf,
    /// Held while this process is the run's coordinator.
    lock: Option<File>,
}

impl RunDir {
    /// A new folder below `output`, named by UTC time so that names sort by age. A run of one `worker` alone is
    /// named so: it is no run that `last` means.
    pub(crate) fn create(output: &Path, worker: Option<u32>) -> Result<Self> {
        let runs = output.join("runs");
        fs::create_dir_all(&runs).map_err(|error| Failure::io("create", &runs, &error))?;
        remove_oldest(&runs)?;
        let kind = worker.map(|number| format!("-w{number}")).unwrap_or_default();
        loop {
            let id = format!("{}{kind}", new_id());
            let dir = runs.join(&id);
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(Self { id, dir, lock: None }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(Failure::io("create", &dir, &error)),
            }
        }
    }

    /// Whether the folder of a run is there.
    pub(crate) fn is_there(output: &Path, id: &str) -> bool {
        output.join("runs").join(id).exists()
    }

    /// Makes the folder of a run of another machine, which `fill` fills: it is there whole or not at all.
    ///
    /// # Errors
    /// Those of `fill`, and when it can't be made.
    pub(crate) fn bring(output: &Path, id: &str, fill: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let runs = output.join("runs");
        fs::create_dir_all(&runs).map_err(|error| Failure::io("create", &runs, &error))?;
        let partial = tempfile::Builder::new()
            .prefix(".bringing-")
            .tempdir_in(output)
            .map_err(|error| Failure::io("create a folder in", output, &error))?;
        fill(&Self { id: id.to_owned(), dir: partial.path().to_owned(), lock: None })?;
        let dir = runs.join(id);
        fs::rename(partial.keep(), &dir).map_err(|error| Failure::io("create", &dir, &error))
    }

    /// The folder of the run `name`: an id, or `last` for the last run of all workers.
    ///
    /// # Errors
    /// [`FailureCode::NoSuchWorker`] when there is none, naming those that there are.
    pub(crate) fn find(output: &Path, name: &str) -> Result<Self> {
        let runs = output.join("runs");
        let ids = list(&runs)?;
        let found =
            if name == "last" { ids.iter().rfind(|id| !is_single(id)) } else { ids.iter().find(|id| *id == name) };
        let Some(id) = found else {
            let known = if ids.is_empty() { "there is none".to_owned() } else { ids.join(", ") };
            return Err(Failure::new(
                FailureCode::NoSuchWorker,
                format!("failed to find the run `{name}` in {}", runs.display()),
            )
            .cause_text(format!("runs that are kept: {known}"))
            .hint("name one of them, or `last`; `./gradlew runParallel` makes one"));
        };
        Ok(Self { id: id.clone(), dir: runs.join(id), lock: None })
    }

    /// Whether it is of one worker alone.
    pub(crate) fn is_single(&self) -> bool {
        is_single(&self.id)
    }

    /// Makes this process the run's one coordinator, until the value is dropped or the process ends in whichever way.
    ///
    /// # Errors
    /// [`FailureCode::RunInUse`] when another process is, saying which.
    pub(crate) fn lock(&mut self) -> Result<()> {
        let path = self.dir.join(LOCK);
        let failed = |error: &std::io::Error| Failure::io("lock", &path, error);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(|e| failed(&e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut who = String::new();
                // Who it is only helps to find it.
                let _ = file.read_to_string(&mut who);
                return Err(Failure::new(FailureCode::RunInUse, "failed to become the coordinator of the run")
                    .cause_text(format!("{} is at work on it", if who.is_empty() { "another process" } else { &who }))
                    .hint("wait for its end, or end it first"));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let host =
            nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned());
        let who = format!("process {} on {host}", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(who.as_bytes())).map_err(|error| failed(&error))?;
        self.lock = Some(file);
        Ok(())
    }

    /// Whether no process is the coordinator of the run in this folder, or the folder is gone.
    pub(crate) fn is_dead(folder: &Path) -> bool {
        !is_at_work(folder)
    }

    /// Where what agents know their coordinator by is kept, for a coordinator that takes the run over. It is for this
    /// user alone.
    pub(crate) fn secret_file(&self) -> PathBuf {
        self.dir.join("secret")
    }

    pub(crate) fn bundle_file(&self) -> PathBuf {
        self.dir.join("bundle.json")
    }

    pub(crate) fn plan_file(&self) -> PathBuf {
        self.dir.join("plan.json")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.join("journal.jsonl")
    }
}

/// UTC time, and an end that tells apart what two processes start in the same millisecond.
pub(crate) fn new_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:04x}", utc_stamp(now), std::process::id() & 0xffff)
}

/// Ids of the runs below `runs`, oldest first.
fn list(runs: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io("read", runs, &error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Failure::io("read", runs, &error))?;
        if entry.path().is_dir()
            && let Ok(id) = entry.file_name().into_string()
        {
            ids.push(id);
        }
    }
    ids.sort();
    Ok(ids)
}

/// Whether a run was of one worker alone.
fn is_single(id: &str) -> bool {
    id.rsplit_once("-w").is_some_and(|(_, number)| number.parse::<u32>().is_ok())
}

/// Makes room for one more run, of each kind by itself: replaying workers must not push out what they replay.
fn remove_oldest(runs: &Path) -> Result<()> {
    let (single, whole): (Vec<_>, Vec<_>) = list(runs)?.into_iter().partition(|id| is_single(id));
    let surplus = |ids: Vec<String>| {
        let count = (ids.len() + 1).saturating_sub(KEPT);
        ids.into_iter().take(count)
    };
    for id in surplus(single).chain(surplus(whole)) {
        let dir = runs.join(id);
        if is_at_work(&dir) {
            continue;
        }
        match fs::remove_dir_all(&dir) {
            Ok(()) => {}
            // Another run of the same build removed it at the same time.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::io("remove", &dir, &error)),
        }
    }
    Ok(())
}

/// Whether a process is the coordinator of the run in this folder: somebody may have gone on with an old one.
fn is_at_work(dir: &Path) -> bool {
    match File::open(dir.join(LOCK)) {
        Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        // What can't be read may be another user's.
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// `20261121T104500123Z`, with milliseconds, from the time since the Unix epoch.
fn utc_stamp(since_epoch: Duration) -> String {
    let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).strftime("%Y%m%dT%H%M%S%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc_dates() {
        let stamp = |millis| utc_stamp(Duration::from_millis(millis));
        assert_eq!(stamp(0), "19700101T000000000Z");
        assert_eq!(stamp(951_827_696_007), "20000229T123456007Z");
        assert_eq!(stamp(1_798_761_599_999), "20261231T235959999Z");
    }

    #[test]
    fn the_last_run_is_found_and_old_ones_go() {
        let output = tempfile::tempdir().unwrap();
        let ids: Vec<_> = (0..KEPT + 3).map(|_| RunDir::create(output.path(), None).unwrap().id).collect();
        let kept = list(&output.path().join("runs")).unwrap();
        assert_eq!(kept, ids[3..], "names sort by age");
        assert_eq!(RunDir::find(output.path(), "last").unwrap().id, *ids.last().unwrap());
        let failure = RunDir::find(output.path(), "nope").err().unwrap();
        assert_eq!(failure.code, FailureCode::NoSuchWorker);
        assert!(failure.causes[0].contains(&kept[0]), "{failure}");
    }

    #[test]
    fn a_run_without_a_coordinator_is_dead() {
        let output = tempfile::tempdir().unwrap();
        let mut dir = RunDir::create(output.path(), None).unwrap();
        let folder = dir.folder().to_owned();
        assert!(RunDir::is_dead(&folder), "it has had none");
        dir.lock().unwrap();
        assert!(!RunDir::is_dead(&folder));
        drop(dir);
        assert!(RunDir::is_dead(&folder) && RunDir::is_dead(Path::new("/nowhere")));
    }

    #[test]
    fn a_run_that_is_at_work_stays_however_old_it_is() {
        let output = tempfile::tempdir().unwrap();
        let mut oldest = RunDir::create(output.path(), None).unwrap();
        oldest.lock().unwrap();
        for _ in 0..KEPT + 3 {
            RunDir::create(output.path(), None).unwrap();
        }
        let kept = list(&output.path().join("runs")).unwrap();
        assert_eq!(kept[0], oldest.id);
        assert_eq!(kept.len(), KEPT + 1);
        drop(oldest);
        RunDir::create(output.path(), None).unwrap();
        assert_eq!(list(&output.path().join("runs")).unwrap().len(), KEPT);
    }

    #[test]
    fn replays_of_one_worker_are_not_the_last_run_and_push_none_out() {
        let output = tempfile::tempdir().unwrap();
        let whole = RunDir::create(output.path(), None).unwrap().id;
        let single: Vec<_> = (0..KEPT + 3).map(|_| RunDir::create(output.path(), Some(2)).unwrap().id).collect();
        let last = RunDir::find(output.path(), "last").unwrap();
        assert!(last.id == whole && !last.is_single());
        assert!(RunDir::find(output.path(), single.last().unwrap()).unwrap().is_single());
        assert_eq!(RunDir::find(output.path(), single.last().unwrap()).unwrap().id, *single.last().unwrap());
        assert!(RunDir::find(output.path(), &single[0]).is_err());
    }
}
