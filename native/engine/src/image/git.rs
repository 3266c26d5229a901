//! The commit of a work tree, read from git's own files where that is simple, else asked of git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The commit that a folder's work tree has checked out, in hex; `None` outside of one, and before the first commit.
pub(super) fn commit(dir: &Path) -> Option<String> {
    let git_dir = dir.ancestors().find_map(git_dir_of)?;
    read_commit(&git_dir).or_else(|| ask_git(dir))
}

/// `.git` as a folder, or as a file that names one: in submodules and further work trees.
fn git_dir_of(dir: &Path) -> Option<PathBuf> {
    let git = dir.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(&git).ok()?;
    Some(dir.join(text.strip_prefix("gitdir:")?.trim()))
}

/// See gitrepository-layout(5): `HEAD` is a commit or names a reference; references are files, or lines of `packed-refs`; a
/// further work tree shares those of `commondir`.
fn read_commit(git_dir: &Path) -> Option<String> {
    let head = fs::read_to_string(git_dir.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref:").map(str::trim) else { return hash(head.trim()) };
    let common = match fs::read_to_string(git_dir.join("commondir")) {
        Ok(common) => git_dir.join(common.trim()),
        Err(_) => git_dir.to_owned(),
    };
    let loose = [git_dir, &common].into_iter().find_map(|dir| fs::read_to_string(dir.join(name)).ok());
    if let Some(loose) = loose {
        return hash(loose.trim());
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    packed
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(_, found)| *found == name).and_then(|(id, _)| hash(id)))
}

fn hash(text: &str) -> Option<String> {
    let is_hash = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_ascii_lowercase())
}

/// For what is not in plain files: reference tables.
fn ask_git(dir: &Path) -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--verify", "HEAD"]).current_dir(dir).output().ok()?;
    hash(String::from_utf8_lossy(&output.stdout).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(dir: &Path, args: &[&str]) {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        let output = Command::new("git").args(identity).args(args).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn the_commit_is_what_git_says() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("repo");
        fs::create_dir_all(dir.join("sub/module")).unwrap();
        assert_eq!(commit(&dir), None);
        git(&dir, &["init", "-q", "-b", "main"]);
        assert_eq!(commit(&dir), None);
        git(&dir, &["commit", "-q", "--allow-empty", "-m", "one"]);
        let expected = ask_git(&dir);
        assert!(expected.is_some());
        assert_eq!(read_commit(&dir.join(".git")), expected);
        assert_eq!(commit(&dir.join("sub/module")), expected);
        git(&dir, &["pack-refs", "--all"]);
        assert_eq!(read_commit(&dir.join(".git")), expected);
        git(&dir, &["worktree", "add", "-q", "../second", "-b", "other"]);
        let second = folder.path().join("second");
        assert_eq!(read_commit(&git_dir_of(&second).unwrap()), expected);
        git(&dir, &["checkout", "-q", "--detach"]);
        assert_eq!(read_commit(&dir.join(".git")), expected);
    }
}
