//! Gives discovery a hash of its own sources: what an earlier version of the rules found is not taken for today's.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let mut sources = BTreeMap::new();
    for folder in ["src/discover", "src/content", "../protocol/src"] {
        println!("cargo::rerun-if-changed={folder}");
        collect(Path::new(folder), &mut sources)?;
    }
    let mut hasher = DefaultHasher::new();
    (env::var("CARGO_PKG_VERSION").ok(), sources).hash(&mut hasher);
    println!("cargo::rustc-env=TESTFLEET_DISCOVERY_RULES={:016x}", hasher.finish());
    Ok(())
}

fn collect(folder: &Path, sources: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.insert(path.display().to_string(), fs::read(&path)?);
        }
    }
    Ok(())
}
