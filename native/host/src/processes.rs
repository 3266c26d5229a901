//! Which processes belong together, from /proc; where there is none, no process is found.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs;

/// Kills processes.
pub fn kill_all(processes: &[i32]) {
    for pid in processes {
        // An error says that it is gone already.
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
}

/// Processes, but for this one, that were started with this variable in their environment. Those of other users can't be
/// looked at.
pub fn having_in_environment(name: &str, value: &str) -> Vec<i32> {
    let wanted = format!("{name}={value}");
    let has = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    all().filter(|pid| *pid != own).filter(has).collect()
}

fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Live processes below `root`.
pub fn descendants(root: u32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<(i32, char)>> = HashMap::new();
    for pid in all() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        let Some((state, parent)) = stat.as_deref().and_then(state_and_parent) else { continue };
        children.entry(parent).or_default().push((pid, state));
    }
    let mut found = Vec::new();
    let mut next = i32::try_from(root).map(|root| vec![root]).unwrap_or_default();
    while let Some(pid) = next.pop() {
        for (child, state) in children.remove(&pid).unwrap_or_default() {
            // One that ended has nothing to kill, but keeps its children until the last of its threads is gone.
            if state != 'Z' {
                found.push(child);
            }
            next.push(child);
        }
    }
    found
}

/// From `pid (name) state parent ...`; the name may hold spaces and parentheses.
fn state_and_parent(stat: &str) -> Option<(char, i32)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        assert_eq!(state_and_parent("42 (a) b) S 7 42 42"), Some(('S', 7)));
        assert_eq!(state_and_parent("garbage"), None);
    }

    #[test]
    fn a_child_is_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(descendants(std::process::id()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants(std::process::id()).contains(&pid));
    }

    #[test]
    fn a_process_is_found_by_its_environment() {
        let value = format!("{}-found", std::process::id());
        let mut child = std::process::Command::new("sleep").arg("60").env("TESTFLEET_FOUND", &value).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Until it has become another program, it has its parent's environment.
        while !having_in_environment("TESTFLEET_FOUND", &value).contains(&pid) {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was found");
        }
        assert!(having_in_environment("TESTFLEET_FOUND", &format!("{value}-other")).is_empty());
        kill_all(&[pid]);
        child.wait().unwrap();
    }
}
