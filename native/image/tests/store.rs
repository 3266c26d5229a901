//! The store under eight builds at once that prune it, damage it and are killed at any time.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testfleet_image::store::{Policy, Store};

const BUILDS: u64 = 8;

/// Seconds; `STORE_STRESS_SECONDS` makes it longer.
const USUAL: u64 = 3;

#[test]
fn eight_builds_that_prune_and_are_killed_never_see_a_wrong_byte() {
    let seconds = std::env::var("STORE_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL);
    let folder = tempfile::tempdir().unwrap();
    let mut seed: u64 = 20_261;
    let mut start = || {
        seed += 7_919;
        spawn(folder.path(), seed, seconds + 60)
    };
    let mut builds: Vec<Child> = (0..BUILDS).map(|_| start()).collect();
    let begun = Instant::now();
    let mut kills: u64 = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_millis(20 + (kills * 37) % 90));
        let at = (kills * 5 + 3) % BUILDS;
        let build = &mut builds[at as usize];
        if let Some(status) = build.try_wait().unwrap() {
            panic!("a build ended by itself: {status}: {}", said(builds.swap_remove(at as usize)));
        }
        build.kill().unwrap();
        build.wait().unwrap();
        *build = start();
        kills += 1;
    }
    for mut build in builds {
        let ended = build.try_wait().unwrap();
        build.kill().unwrap();
        let said = said(build);
        assert!(ended.is_none(), "a build ended by itself: {ended:?}: {said}");
    }
    assert!(kills > 10, "{kills} kills");

    // Nobody is alive: what the dead left behind goes with the next who prunes, and all that stays is whole.
    let store = Store::open(&folder.path().join("store")).unwrap();
    store.verify().unwrap();
    let kept = store.prune(&Policy { max_size: 4 << 20, max_age: Duration::from_secs(3_600) }).unwrap();
    assert!(kept.kept > 0 && kept.kept_bytes <= 4 << 20, "{kept:?}");
    assert!(store.list().unwrap().iter().all(|stored| !stored.in_use));
    for left in ["leases", "temp"] {
        assert_eq!(std::fs::read_dir(store.dir().join(left)).unwrap().count(), 0, "{left}");
    }
    assert!(store.verify().unwrap().removed.is_empty());
}

fn spawn(folder: &Path, seed: u64, seconds: u64) -> Child {
    let program = example();
    let command =
        Command::new(&program).arg(folder).args([seed.to_string(), seconds.to_string()]).stderr(Stdio::piped()).spawn();
    command.unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn said(build: Child) -> String {
    String::from_utf8_lossy(&build.wait_with_output().unwrap().stderr).into_owned()
}

/// Cargo builds examples with the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/store_stress")
}
