//! Whether the system killed something for lack of memory.

use crate::usage::Group;

/// How many processes of this process's own cgroup the kernel has killed for lack of memory; `None` where that can't be
/// known. Both cgroup versions count a process in the group that it belongs to, and the JVM is in the agent's: a count
/// that grew while the JVM lived, and a SIGKILL that the agent did not send, belong together.
pub(crate) fn oom_kills() -> Option<u64> {
    Group::own()?.read("memory.events", "memory", "memory.oom_control", count)
}

/// The number in the line `oom_kill N`.
fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read() {
        assert_eq!(count("low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n"), Some(3));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\n"), None);
    }
}
