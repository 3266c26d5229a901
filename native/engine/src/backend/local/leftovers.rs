//! What an agent that was killed leaves behind: its JVM and its temp folder.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use testfleet_protocol::agent::JVM_PID;

/// Kills the JVM group of the worker that used `temp`, then removes the folder and, if it is empty, its parent.
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
    for _ in 0..20 {
        match std::fs::remove_dir_all(temp) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(std::time::Duration::from_millis(50));
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
