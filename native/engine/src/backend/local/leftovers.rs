//! What an agent that was killed leaves behind: its JVM, what tests started, and its temp folder.

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testfleet_host::{descendants, having_in_environment, kill_all};
use testfleet_protocol::agent::{FOLDER_VARIABLE, JVM_PID};

/// How often what is left is looked at: it may start another process until it has ended.
const ROUNDS: usize = 20;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Kills what an agent that is about to be killed has started: afterwards nobody knows any more what belongs to it. It is
/// stopped first, so that it does not start the next JVM.
pub(super) fn kill_below(agent: u32) {
    let Ok(pid) = i32::try_from(agent) else { return };
    // It fails only for a process that has ended.
    let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
    for _ in 0..ROUNDS {
        let found = descendants(agent);
        if found.is_empty() {
            return;
        }
        kill_all(&found);
    }
}

/// Kills the JVM group of the worker that used `temp` and what left that group, then removes the folder and, if it is empty, its parent.
pub(super) async fn remove(temp: &Path) {
    let temp = temp.to_owned();
    let removed = tokio::task::spawn_blocking(move || {
        // Where an agent makes the /tmp of its own namespace: an empty folder, here outside.
        let _ = std::fs::remove_dir(temp.with_extension("tmp"));
        if !temp.exists() {
            let _ = temp.parent().map(std::fs::remove_dir);
            return;
        }
        kill_jvm(&temp);
        kill_marked(&temp);
        if let Err(error) = remove_folder(&temp) {
            tracing::warn!(temp = %temp.display(), %error, "failed to remove a worker's temp folder");
        }
    });
    if let Err(error) = removed.await {
        tracing::warn!(%error, "failed to clean up after a worker");
    }
}

fn kill_jvm(temp: &Path) {
    let Some(pid) = std::fs::read_to_string(temp.join(JVM_PID)).ok().and_then(|text| text.trim().parse().ok()) else {
        return;
    };
    if is_jvm_of(pid, temp) {
        // It fails only for a group that is gone.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// What tests started in a session of its own has the folder in its environment, as their JVM had.
fn kill_marked(temp: &Path) {
    let Some(folder) = temp.to_str() else { return };
    for _ in 0..ROUNDS {
        let found = having_in_environment(FOLDER_VARIABLE, folder);
        if found.is_empty() {
            return;
        }
        kill_all(&found);
        std::thread::sleep(PAUSE);
    }
}

/// Whether the process is still the worker's JVM: ids are used again, and its command line names the folder.
fn is_jvm_of(pid: i32, temp: &Path) -> bool {
    let command_line = if cfg!(target_os = "linux") {
        std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
    } else {
        let ps = std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
        ps.map(|output| output.stdout).unwrap_or_default()
    };
    let below = temp.join("");
    let below = below.as_os_str().as_encoded_bytes();
    pid > 1 && command_line.windows(below.len()).any(|part| part == below)
}

fn remove_folder(temp: &PathBuf) -> std::io::Result<()> {
    // What is dying may still write; a second look is enough once it is gone.
    for _ in 0..ROUNDS {
        match std::fs::remove_dir_all(temp) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(PAUSE);
            }
            other => {
                other?;
                break;
            }
        }
    }
    if let Some(parent) = temp.parent() {
        // Other workers may still use it.
        let _ = std::fs::remove_dir(parent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};
    use std::time::Instant;

    /// A shell whose child leads a session of its own.
    fn with_daemon(seconds: &str, folder: &Path) -> Child {
        let script = format!("setsid sleep {seconds} & wait");
        Command::new("sh").args(["-c", &script]).env(FOLDER_VARIABLE, folder).spawn().unwrap()
    }

    /// Looks until there is an answer, which takes a moment.
    fn await_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "waited 10 s for {what}");
            std::thread::sleep(PAUSE);
        }
    }

    fn await_daemon(of: &Child) -> i32 {
        await_some("a daemon's start", || descendants(of.id()).into_iter().find(|pid| is_sleep(*pid)))
    }

    fn is_sleep(pid: i32) -> bool {
        std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(b"sleep")
    }

    fn await_end(pid: i32) {
        await_some("a daemon's end", || (!is_sleep(pid)).then_some(()));
    }

    #[test]
    fn what_an_agent_started_goes_before_it_does() {
        let mut agent = with_daemon("3601", Path::new("/nowhere"));
        let daemon = await_daemon(&agent);
        kill_below(agent.id());
        agent.kill().unwrap();
        agent.wait().unwrap();
        await_end(daemon);
    }

    #[tokio::test]
    async fn a_daemon_that_outlived_its_agent_is_found_by_the_folder() {
        let base = tempfile::tempdir().unwrap();
        let temp = base.path().join("tf-run/w1-1");
        std::fs::create_dir_all(&temp).unwrap();
        let mut agent = with_daemon("3602", &temp);
        let daemon = await_daemon(&agent);
        agent.kill().unwrap();
        agent.wait().unwrap();
        assert!(is_sleep(daemon));
        remove(&temp).await;
        await_end(daemon);
        assert!(!base.path().join("tf-run").exists());
    }
}
