//! Paths and texts relative to named roots: what a root's path became is the same path again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use testfleet_protocol::path::Roots;

fuzz_target!(|input: (Vec<(String, String)>, String)| {
    let (dirs, text) = input;
    // As `Session::open` lets roots in: plain names, absolute folders.
    let is_plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    let dirs = dirs.into_iter().filter(|(name, _)| is_plain(name));
    let roots = Roots::new(dirs.map(|(name, dir)| (name, format!("/{dir}").into())));
    roots.resolve(&text);
    roots.relativize_text(&text);
    // A folder that is itself called `${name}` is taken for the root of that name.
    let path = format!("/{text}");
    if !path.contains("${")
        && let Ok(stored) = roots.relativize(Path::new(&path))
    {
        assert_eq!(roots.resolve(&stored), Path::new(&path));
    }
});
