//! A JDK of this machine as it goes into an image: linked anew with all its modules, or copied.

use crate::layer::of_bundle::is_program;
use crate::layer::tree::{Node, PLAIN, PROGRAM, Source, Tree};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use testfleet_protocol::{Failure, FailureCode, Result};
use walkdir::WalkDir;

/// What no test needs of a JDK: sources, documentation, examples, what links modules, and what draws on a display.
const LEFT_OUT: [&str; 14] = [
    "src.zip",
    "lib/src.zip",
    "man",
    "demo",
    "sample",
    "docs",
    "jmods",
    "include",
    "lib/libatk-wrapper.so",
    "lib/libawt_xawt.so",
    "lib/libjawt.so",
    "lib/libsplashscreen.so",
    "lib/libjsound.so",
    "legal",
];

/// Longest text of a failed `jlink` that is shown, in bytes.
const SHOWN: usize = 2_000;

/// Adds a JDK to a tree below `target`; `temp` is for what is linked, and has to stay until the tree is written. Says how it
/// was made.
///
/// # Errors
/// `Io` when the JDK can't be read.
pub(crate) fn add(home: &Path, release: u32, target: &str, temp: &Path, tree: &mut Tree) -> Result<&'static str> {
    let linked = temp.join(format!("jlink-{release}"));
    match link(home, release, &linked) {
        Ok(true) => {
            copy(&linked, target, tree)?;
            // Debian's own is a link that its modules lack.
            let certificates = home.join("lib/security/cacerts");
            if certificates.is_file() {
                let source =
                    fs::canonicalize(&certificates).map_err(|error| Failure::io("read", &certificates, &error))?;
                let to = format!("{target}/lib/security/cacerts");
                tree.add(&to, Node::File { from: Source::File(source), mode: PLAIN });
            }
            Ok("jlink")
        }
        Ok(false) => copy(home, target, tree).map(|()| "copied"),
        Err(failure) => {
            tracing::info!("{failure}; copying it instead");
            copy(home, target, tree).map(|()| "copied")
        }
    }
}

/// Links all modules. `false`: this JDK has no `jlink`.
fn link(home: &Path, release: u32, to: &Path) -> Result<bool> {
    let program = home.join("bin/jlink");
    if !program.is_file() {
        return Ok(false);
    }
    let failed = || Failure::new(FailureCode::Io, format!("failed to link the modules of {}", home.display()));
    // Native symbols are left alone: whether they can be taken away depends on what else is installed.
    let strip = if release >= 13 { "--strip-java-debug-attributes" } else { "--strip-debug" };
    let compress = if release >= 21 { "--compress=zip-0" } else { "--compress=0" };
    let modules = modules(home).map_err(|cause| failed().cause_text(cause))?;
    let mut command = Command::new(&program);
    command
        .args(["--add-modules", &modules, strip, compress, "--no-header-files", "--no-man-pages", "--output"])
        .arg(to);
    output_of(command).map_err(|cause| failed().cause_text(cause))?;
    Ok(true)
}

/// All modules. A JDK that has them no more as files (JEP 493) links from itself, but not what would link others.
fn modules(home: &Path) -> std::result::Result<String, String> {
    if home.join("jmods").is_dir() {
        return Ok("ALL-MODULE-PATH".to_owned());
    }
    let mut command = Command::new(home.join("bin/java"));
    command.arg("--list-modules");
    let listed = output_of(command)?;
    let names = listed.lines().filter_map(|line| line.split('@').next());
    let names: Vec<&str> = names.filter(|name| !matches!(*name, "" | "jdk.jlink" | "jdk.jpackage")).collect();
    Ok(names.join(","))
}

/// What a program of a JDK writes to its standard output, or why it failed.
fn output_of(mut command: Command) -> std::result::Result<String, String> {
    // They would speak up on its output.
    let output = command.env_remove("JAVA_TOOL_OPTIONS").env_remove("JDK_JAVA_OPTIONS").output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let shown: String = text.trim().chars().take(SHOWN).collect();
    Err(format!("{}: {shown}", output.status))
}

/// Adds what lies below a folder. Links within it stay links; what others lead to is copied.
pub(crate) fn copy(home: &Path, target: &str, tree: &mut Tree) -> Result<()> {
    let home = fs::canonicalize(home).map_err(|error| Failure::io("read", home, &error))?;
    copy_below(&home, &home, target, tree, 0)
}

fn copy_below(home: &Path, dir: &Path, target: &str, tree: &mut Tree, depth: usize) -> Result<()> {
    const DEEPEST: usize = 8;
    tree.add_folder(target);
    let walk = WalkDir::new(dir).min_depth(1).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| dir != home || !is_left_out(home, entry.path())) {
        let entry = entry.map_err(|error| {
            Failure::new(FailureCode::Io, format!("failed to read {}", dir.display())).cause(&error)
        })?;
        let relative = entry.path().strip_prefix(dir).unwrap_or(entry.path()).to_string_lossy().into_owned();
        let to = format!("{target}/{relative}");
        let kind = entry.file_type();
        if kind.is_dir() {
            tree.add_folder(&to);
        } else if kind.is_file() {
            add_file(entry.path(), &to, tree)?;
        } else if kind.is_symlink() {
            match inner_link(home, entry.path())? {
                Some(link) => tree.add(&to, Node::Link { to: link }),
                None => match fs::canonicalize(entry.path()) {
                    Ok(outside) if outside.is_dir() && depth < DEEPEST => {
                        copy_below(home, &outside, &to, tree, depth + 1)?;
                    }
                    Ok(outside) if outside.is_file() => add_file(&outside, &to, tree)?,
                    // It leads nowhere here, and would there.
                    _ => {}
                },
            }
        }
    }
    Ok(())
}

fn add_file(source: &Path, to: &str, tree: &mut Tree) -> Result<()> {
    let mode = if is_program(source)? { PROGRAM } else { PLAIN };
    tree.add(to, Node::File { from: Source::File(source.to_owned()), mode });
    Ok(())
}

fn is_left_out(home: &Path, path: &Path) -> bool {
    path.strip_prefix(home).is_ok_and(|relative| LEFT_OUT.iter().any(|name| Path::new(name) == relative))
}

/// The text of a relative link that stays within the folder.
fn inner_link(home: &Path, path: &Path) -> Result<Option<String>> {
    let to = fs::read_link(path).map_err(|error| Failure::io("read", path, &error))?;
    let mut at: PathBuf = path.parent().unwrap_or(home).to_owned();
    for part in to.components() {
        match part {
            Component::Normal(name) => at.push(name),
            Component::ParentDir => drop(at.pop()),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Ok(None),
        }
    }
    let is_kept = at.starts_with(home) && at.exists() && !is_left_out(home, &at);
    Ok(is_kept.then(|| to.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_that_leave_a_home_become_what_they_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let (home, etc) = (folder.path().join("jdk"), folder.path().join("etc"));
        for dir in [home.join("bin"), home.join("man"), home.join("lib"), etc.join("security")] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(home.join("bin/java"), "java").unwrap();
        fs::write(home.join("man/java.1"), "man").unwrap();
        fs::write(home.join("src.zip"), "src").unwrap();
        fs::write(etc.join("security/policy"), "policy").unwrap();
        symlink("../bin/java", home.join("lib/inner")).unwrap();
        symlink(&etc, home.join("conf")).unwrap();
        symlink("../src.zip", home.join("lib/src.zip")).unwrap();
        symlink("/nowhere", home.join("lib/nowhere")).unwrap();
        let mut tree = Tree::default();
        copy(&home, "opt/java/17", &mut tree).unwrap();
        let below: Vec<_> = tree.paths().into_iter().filter_map(|path| path.strip_prefix("opt/java/17/")).collect();
        assert_eq!(below, ["bin", "bin/java", "conf", "conf/security", "conf/security/policy", "lib", "lib/inner"]);
        assert_eq!(tree.get("opt/java/17/lib/inner"), Some(&Node::Link { to: "../bin/java".to_owned() }));
    }
}
