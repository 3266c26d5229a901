//! Control groups, in both versions (Linux kernel documentation, "Control Group v2" and "cgroup-v1").

use std::fs;
use std::path::{Path, PathBuf};

/// The control group of a process.
pub struct Group {
    /// As /proc tells it: `number:controllers:path` in each line.
    told: String,
    mount: PathBuf,
}

impl Group {
    /// That of this process; `None` where there are no control groups.
    pub fn own() -> Option<Self> {
        let told = fs::read_to_string("/proc/self/cgroup").ok()?;
        Some(Self::of(told, PathBuf::from("/sys/fs/cgroup")))
    }

    /// What /proc tells of a process, and where control groups are mounted.
    pub fn of(told: String, mount: PathBuf) -> Self {
        Self { told, mount }
    }

    /// What is in a file of version 2, or in one of a controller of version 1.
    pub fn read<T>(&self, two: &str, controller: &str, one: &str, of: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.read_two(two, &of).or_else(|| self.read_one(controller, one, &of))
    }

    /// What is in a file of version 2.
    pub fn read_two<T>(&self, name: &str, of: impl Fn(&str) -> Option<T>) -> Option<T> {
        first(&self.files_of_two(name), of)
    }

    /// What is in a file of a controller of version 1.
    pub fn read_one<T>(&self, controller: &str, name: &str, of: impl Fn(&str) -> Option<T>) -> Option<T> {
        first(&self.files_of_one(controller, name), of)
    }

    fn files_of_two(&self, name: &str) -> Vec<PathBuf> {
        let path = self
            .paths()
            .find_map(|(number, controllers, path)| (number == "0" && controllers.is_empty()).then_some(path));
        path.map(|path| candidates(&self.mount, path, name)).unwrap_or_default()
    }

    fn files_of_one(&self, controller: &str, name: &str) -> Vec<PathBuf> {
        let path = self
            .paths()
            .find_map(|(_, controllers, path)| controllers.split(',').any(|one| one == controller).then_some(path));
        path.map(|path| candidates(&self.mount.join(controller), path, name)).unwrap_or_default()
    }

    fn paths(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.told.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            Some((fields.next()?, fields.next()?, fields.next()?))
        })
    }
}

/// In a container the path that /proc tells may be that of the host, while the group itself is what is mounted.
fn candidates(base: &Path, path: &str, name: &str) -> Vec<PathBuf> {
    vec![base.join(path.trim_start_matches('/')).join(name), base.join(name)]
}

fn first<T>(files: &[PathBuf], of: impl Fn(&str) -> Option<T>) -> Option<T> {
    files.iter().find_map(|file| of(&fs::read_to_string(file).ok()?))
}

/// How many processes of this process's own cgroup the kernel has killed for lack of memory; `None` where that can't be
/// known. Both cgroup versions count a process in the group that it belongs to, and who starts a process
/// has it in its own: a count that grew while that lived, and a SIGKILL that nobody here sent, belong together.
pub fn oom_kills() -> Option<u64> {
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
