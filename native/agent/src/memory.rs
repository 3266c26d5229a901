//! Whether the system killed something for lack of memory.

use std::fs;
use std::path::{Path, PathBuf};

/// How many processes of this process's own cgroup the kernel has killed for lack of memory; `None` where that can't be
/// known. Both cgroup versions count a process in the group that it belongs to, and the JVM is in the agent's: a count
/// that grew while the JVM lived, and a SIGKILL that the agent did not send, belong together.
pub(crate) fn oom_kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    files(&groups, Path::new("/sys/fs/cgroup")).iter().find_map(|file| count(&fs::read_to_string(file).ok()?))
}

/// Where the count may be: version 2 has `memory.events`, version 1 `memory.oom_control`. In a container the path that
/// /proc tells may be that of the host, while the group itself is what is mounted.
fn files(groups: &str, mount: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let path = path.trim_start_matches('/');
        let (base, name) = match (number, controllers) {
            ("0", "") => (mount.to_owned(), "memory.events"),
            (_, controllers) if controllers.split(',').any(|one| one == "memory") => {
                (mount.join("memory"), "memory.oom_control")
            }
            _ => continue,
        };
        files.push(base.join(path).join(name));
        files.push(base.join(name));
    }
    files
}

/// The number in the line `oom_kill N`.
fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found() {
        let mount = Path::new("/m");
        let two = files("0::/user.slice/x\n", mount);
        assert_eq!(two, [PathBuf::from("/m/user.slice/x/memory.events"), "/m/memory.events".into()]);
        let one = files("9:cpu,cpuacct:/a\n4:memory:/a\n0::/\nnonsense\n", mount);
        assert_eq!(one[..2], [PathBuf::from("/m/memory/a/memory.oom_control"), "/m/memory/memory.oom_control".into()]);
    }

    #[test]
    fn the_count_is_read() {
        assert_eq!(count("low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n"), Some(3));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\n"), None);
    }
}
