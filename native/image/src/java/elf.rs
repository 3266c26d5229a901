//! The libraries that programs need, and theirs, found where this machine's loader finds them.

use goblin::elf::Elf;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Beyond this size, in bytes, no library is read to see what it needs.
const LARGEST: u64 = 512 << 20;

/// Libraries of this machine by name.
pub(crate) struct Libraries {
    by_name: BTreeMap<String, PathBuf>,
}

/// What one ELF file asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Names of libraries.
    pub(crate) libraries: Vec<String>,
    /// The loader of a program.
    pub(crate) interpreter: Option<String>,
}

/// All that programs need besides themselves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Closure {
    /// Files of this machine by the name that they are looked for by.
    pub(crate) libraries: BTreeMap<String, PathBuf>,
    /// Paths of loaders: a program names its own by its path.
    pub(crate) interpreters: BTreeSet<String>,
    /// Names that were not found, each with one that needs it.
    pub(crate) missing: BTreeMap<String, PathBuf>,
}

impl Libraries {
    /// Those that `ldconfig -p` lists, and those in the usual folders.
    ///
    /// # Errors
    /// `Io` when `ldconfig` is there but fails.
    pub(crate) fn of_machine() -> Result<Self> {
        let mut by_name = BTreeMap::new();
        let program = ["/sbin/ldconfig", "/usr/sbin/ldconfig"].iter().find(|path| Path::new(path).exists());
        if let Some(program) = program {
            let failed = || Failure::new(FailureCode::Io, format!("failed to list libraries with {program} -p"));
            let output = Command::new(program).arg("-p").output().map_err(|error| failed().cause(&error))?;
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(failed().cause_text(format!("{} {text}", output.status)));
            }
            by_name = listed(&String::from_utf8_lossy(&output.stdout));
        }
        let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
        for folder in
            ["/lib64", "/usr/lib64", &format!("/lib/{triple}"), &format!("/usr/lib/{triple}"), "/lib", "/usr/lib"]
        {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.contains(".so") && entry.path().is_file() {
                    by_name.entry(name).or_insert_with(|| entry.path());
                }
            }
        }
        Ok(Self { by_name })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Path> {
        self.by_name.get(name).map(PathBuf::as_path)
    }

    /// What `files` need. Libraries among them are found by their own run paths.
    ///
    /// # Errors
    /// `Io` when a file can't be read.
    pub(crate) fn closure(&self, files: &[PathBuf]) -> Result<Closure> {
        let mut closure = Closure::default();
        let own: BTreeSet<String> = files.iter().filter_map(|file| name_of(file)).collect();
        let mut seen = BTreeSet::new();
        let mut todo: Vec<PathBuf> = files.to_vec();
        while let Some(file) = todo.pop() {
            if !seen.insert(file.clone()) {
                continue;
            }
            let Some(needs) = needs_of(&file)? else { continue };
            closure.interpreters.extend(needs.interpreter);
            for name in needs.libraries {
                if own.contains(&name) || closure.libraries.contains_key(&name) {
                    continue;
                }
                match self.find(&name) {
                    Some(path) => {
                        todo.push(path.to_owned());
                        closure.libraries.insert(name, path.to_owned());
                    }
                    None => drop(closure.missing.entry(name).or_insert_with(|| file.clone())),
                }
            }
        }
        Ok(closure)
    }
}

fn name_of(file: &Path) -> Option<String> {
    file.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// `libz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1`, of this machine's kind alone.
fn listed(text: &str) -> BTreeMap<String, PathBuf> {
    let kind = match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        "aarch64" => "AArch64",
        other => other,
    };
    let mut libraries = BTreeMap::new();
    for line in text.lines() {
        let Some((name, rest)) = line.trim().split_once(" (") else { continue };
        let Some((tags, path)) = rest.split_once(") => ") else { continue };
        // Variants for newer processors (`hwcap`) are not on each machine.
        if tags.split(", ").next().is_some_and(|tag| tag.ends_with(kind)) && !tags.contains("hwcap") {
            libraries.entry(name.to_owned()).or_insert_with(|| PathBuf::from(path));
        }
    }
    libraries
}

/// `None` for what is no ELF file, or a broken one: then it is not this machine's to load.
pub(crate) fn needs_of(file: &Path) -> Result<Option<Needs>> {
    let failed = |error: &std::io::Error| Failure::io("read", file, error);
    let metadata = fs::metadata(file).map_err(|error| failed(&error))?;
    if !metadata.is_file() || metadata.len() > LARGEST || !begins_as_elf(file).map_err(|error| failed(&error))? {
        return Ok(None);
    }
    let bytes = fs::read(file).map_err(|error| failed(&error))?;
    Ok(parse(&bytes))
}

/// The path of the loader that starts a program; `None` for what needs none, or is no program.
///
/// # Errors
/// `Io` when it can't be read.
pub(crate) fn loader_of(program: &Path) -> Result<Option<String>> {
    Ok(needs_of(program)?.and_then(|needs| needs.interpreter))
}

fn begins_as_elf(file: &Path) -> std::io::Result<bool> {
    use std::io::Read;
    let mut head = Vec::new();
    fs::File::open(file)?.take(4).read_to_end(&mut head)?;
    Ok(head == b"\x7fELF")
}

pub(crate) fn parse(bytes: &[u8]) -> Option<Needs> {
    let elf = Elf::parse(bytes).ok()?;
    Some(Needs {
        libraries: elf.libraries.iter().map(ToString::to_string).collect(),
        interpreter: elf.interpreter.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_another_kind_are_not_listed() {
        let text = "2 libs found in cache `/etc/ld.so.cache'\n\
            \tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1\n\
            \tlibz.so.1 (libc6,AArch64) => /lib/aarch64-linux-gnu/libz.so.1\n\
            \tlibz.so.1 (libc6) => /lib32/libz.so.1\n\
            \tlibm.so.6 (libc6,x86-64, hwcap: \"x86-64-v3\") => /lib/v3/libm.so.6\n\
            \tlibm.so.6 (libc6,x86-64, OS ABI: Linux 3.2.0) => /lib/x86_64-linux-gnu/libm.so.6\n\
            \tlibm.so.6 (libc6,AArch64, OS ABI: Linux 3.7.0) => /lib/aarch64-linux-gnu/libm.so.6\n";
        let found = listed(text);
        let arch = std::env::consts::ARCH;
        assert_eq!(found["libz.so.1"], PathBuf::from(format!("/lib/{arch}-linux-gnu/libz.so.1")));
        assert_eq!(found["libm.so.6"], PathBuf::from(format!("/lib/{arch}-linux-gnu/libm.so.6")));
    }

    #[test]
    fn this_program_needs_the_c_library_and_a_loader() {
        let program = std::env::current_exe().unwrap();
        let closure = Libraries::of_machine().unwrap().closure(&[program]).unwrap();
        assert!(closure.libraries.contains_key("libc.so.6"), "{closure:?}");
        assert!(closure.missing.is_empty() && closure.interpreters.len() == 1, "{closure:?}");
    }

    #[test]
    fn what_is_broken_needs_nothing() {
        let program = fs::read("/bin/true").unwrap();
        assert!(parse(&program).is_some());
        for length in [0, 4, 16, 63, 64, 200, program.len() / 2] {
            let _ = parse(&program[..length.min(program.len())]);
        }
        assert_eq!(needs_of(Path::new("/etc/passwd")).unwrap(), None);
    }
}
