//! What may be left when a worker ends: processes that tests started, and the worker's folder.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::thread;
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result};

/// How often what is left is looked at again: the end of a process takes a moment, and it may start another until then.
const ROUNDS: usize = 40;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes this process the parent of descendants whose own parent ended, so that
/// [`kill_descendants`] finds them. Where the system can't, they stay orphans.
pub(crate) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        tracing::debug!("orphans can't be adopted: {error}");
    }
}

/// Kills everything that this process and its children started.
pub(crate) fn kill_descendants() {
    let mut nothing = 0;
    for _ in 0..ROUNDS {
        let found = testfleet_host::descendants(std::process::id());
        if found.is_empty() {
            // The table is not read at one instant: whose parent ends meanwhile is missed, but not twice.
            nothing += 1;
            if nothing == 2 {
                return;
            }
            continue;
        }
        nothing = 0;
        testfleet_host::kill_all(&found);
        thread::sleep(PAUSE);
    }
}

/// Makes the worker's folder, for this user alone: it may lie in a folder that all users share.
///
/// # Errors
/// [`testfleet_protocol::FailureCode::Io`], also when the folder is there already: another worker may use it.
pub(crate) fn make_folder(temp: &Path) -> Result<()> {
    let make = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
    let failed = |error: std::io::Error| Failure::io("create the worker's folder", temp, &error);
    // The last of the other workers may just be removing the folder of the run.
    for _ in 0..ROUNDS {
        if let Some(parent) = temp.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
            own(parent)?;
        }
        match make(temp) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => return other.map_err(failed),
        }
    }
    make(temp).map_err(failed)
}

/// The name of a run's folder can be guessed: another user could have made it first, and swap what lies in it.
fn own(folder: &Path) -> Result<()> {
    let about = fs::symlink_metadata(folder).map_err(|error| Failure::io("look at", folder, &error))?;
    let (user, mode) = (nix::unistd::geteuid().as_raw(), about.mode());
    if about.is_dir() && about.uid() == user && mode & 0o022 == 0 {
        return Ok(());
    }
    Err(Failure::new(FailureCode::WorkerBroken, format!("failed to use {} for a worker's files", folder.display()))
        .cause_text(format!("it is not this user's alone (owner {}, mode {:o})", about.uid(), mode & 0o7777))
        .hint("remove it, or set TMPDIR to a folder of your own"))
}

/// Removes the worker's folder, and the folder of the run when it was the last in it.
pub(crate) fn remove_folder(temp: &Path) {
    for round in 1..=ROUNDS {
        match fs::remove_dir_all(temp) {
            // A process that is about to end may still write.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && round < ROUNDS => thread::sleep(PAUSE),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!("failed to remove {}: {error}", temp.display());
                return;
            }
            _ => break,
        }
    }
    if let Some(parent) = temp.parent() {
        // Other workers' folders are in it, or their agents were faster.
        let _ = fs::remove_dir(parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_for_this_user_and_removed_with_its_parent() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        let temp = base.path().join("tf-run/w1");
        make_folder(&temp).unwrap();
        assert_eq!(fs::metadata(&temp).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(make_folder(&temp).is_err(), "another worker may use it");
        fs::write(temp.join("file"), "x").unwrap();
        remove_folder(&temp);
        assert!(!base.path().join("tf-run").exists());
    }

    #[test]
    fn a_run_folder_that_others_may_change_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        let run = base.path().join("tf-run");
        fs::create_dir(&run).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
        let failure = make_folder(&run.join("w1-1")).unwrap_err();
        assert!(failure.to_string().contains("mode 777"), "{failure}");
        let elsewhere = base.path().join("tf-other");
        std::os::unix::fs::symlink(base.path(), &elsewhere).unwrap();
        assert!(make_folder(&elsewhere.join("w1-1")).is_err());
    }
}
