//! What the worker's control group says that it used: memory, processor time, throttling. Read from its files, in both
//! versions of control groups (Linux kernel documentation, "Control Group v2" and "cgroup-v1").

use testfleet_host::{Group, oom_kills};
use testfleet_protocol::agent::Usage;

/// A limit of memory in version 1 that is none: the largest multiple of a page.
const NO_LIMIT: u64 = 1 << 62;

/// What this process's own group used; `None` where there are no control groups. It is the container's in a container.
pub(crate) fn used() -> Option<Usage> {
    Group::own().map(|group| used_by(&group))
}

fn used_by(group: &Group) -> Usage {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let limit = group.read("memory.max", "memory", "memory.limit_in_bytes", number);
    let micros = |nanos: u64| nanos / 1_000;
    Usage {
        peak_memory_bytes: group.read("memory.peak", "memory", "memory.max_usage_in_bytes", number),
        memory_limit_bytes: limit.filter(|limit| *limit < NO_LIMIT),
        cpu_us: group
            .read_two("cpu.stat", |text| field(text, "usage_usec"))
            .or_else(|| group.read_one("cpuacct", "cpuacct.usage", number).map(micros)),
        throttled_us: group
            .read_two("cpu.stat", |text| field(text, "throttled_usec"))
            .or_else(|| group.read_one("cpu", "cpu.stat", |text| field(text, "throttled_time")).map(micros)),
        oom_kills: oom_kills(),
    }
}

/// The number in the line `name N`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn group(told: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, Group) {
        let mount = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = mount.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let group = Group::of(told.to_owned(), mount.path().to_owned());
        (mount, group)
    }

    #[test]
    fn version_two_is_read() {
        let (_mount, group) = group(
            "0::/a/b\n",
            &[
                ("a/b/memory.peak", "1000\n"),
                ("a/b/memory.max", "max\n"),
                ("a/b/cpu.stat", "usage_usec 70\nuser_usec 60\nnr_throttled 3\nthrottled_usec 9\n"),
            ],
        );
        let used = used_by(&group);
        assert_eq!((used.peak_memory_bytes, used.memory_limit_bytes), (Some(1000), None));
        assert_eq!((used.cpu_us, used.throttled_us), (Some(70), Some(9)));
    }

    #[test]
    fn version_one_is_read_also_where_the_group_is_the_mount() {
        let (_mount, group) = group(
            "9:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/y\nnonsense\n",
            &[
                ("memory/memory.max_usage_in_bytes", "5\n"),
                ("memory/docker/x/memory.limit_in_bytes", "7\n"),
                ("cpuacct/cpuacct.usage", "8000\n"),
                ("cpu/cpu.stat", "nr_periods 1\nthrottled_time 3000\n"),
            ],
        );
        let used = used_by(&group);
        assert_eq!((used.peak_memory_bytes, used.memory_limit_bytes), (Some(5), Some(7)));
        assert_eq!((used.cpu_us, used.throttled_us), (Some(8), Some(3)));
    }

    #[test]
    fn no_limit_is_none_and_nothing_is_nothing() {
        let (_mount, limitless) = group("4:memory:/\n", &[("memory/memory.limit_in_bytes", "9223372036854771712\n")]);
        assert_eq!(used_by(&limitless).memory_limit_bytes, None);
        let (_mount, empty) = group("", &[]);
        assert_eq!(used_by(&empty).cpu_us, None);
    }
}
