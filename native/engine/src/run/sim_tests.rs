//! Runs the simulator over seeds, and over rules that are broken on purpose.

use super::sim_mutations::Mutation;
use super::simulation::World;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Within so many seeds, a broken rule is noticed.
const SEEDS_PER_MUTATION: u64 = 300;

fn survives(seed: u64, mutation: Option<Mutation>) -> bool {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, mutation, false).live())).is_ok()
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The seeds of `SIMULATE`, `FROM..TO`, on all cores; `tests/simulate` sets it. With `SIMULATE_TRACE`, each step of each is told.
#[test]
fn seeds_keep_their_promises() {
    let range = std::env::var("SIMULATE").unwrap_or_else(|_| "0..60".to_owned());
    let (from, to) = range.split_once("..").expect("FROM..TO");
    let (from, to): (u64, u64) = (from.parse().expect("a number"), to.parse().expect("a number"));
    if std::env::var_os("SIMULATE_TRACE").is_some() {
        (from..to).for_each(|seed| World::new(seed, None, true).live());
        return;
    }
    let (next, failed, began) = (AtomicU64::new(from), AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to || failed.load(Ordering::Relaxed) >= 10 {
                        return;
                    }
                    if !survives(seed, None) {
                        failed.fetch_add(1, Ordering::Relaxed);
                        say(&format!(
                            "seed {seed} breaks a promise: tests/simulate --seeds {seed}..{} --trace",
                            seed + 1
                        ));
                    }
                    let done = seed + 1 - from;
                    if done.is_multiple_of(1_000) {
                        let per_second = done as f64 / began.elapsed().as_secs_f64();
                        say(&format!("{done} of {} seeds, {per_second:.0} per second", to - from));
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "of the seeds {range}");
}

/// Each showed a defect of the rules, or of what watches them, that few others do.
#[test]
fn seeds_that_once_broke_a_promise_keep_it() {
    for seed in [32_673, 34_315, 36_005, 50_178, 54_352, 63_011, 85_100, 92_097, 94_734] {
        assert!(survives(seed, None), "seed {seed}");
    }
}

#[test]
fn each_broken_rule_is_noticed() {
    let all = Mutation::ALL.map(|mutation| {
        let noticed = (0..SEEDS_PER_MUTATION).find(|seed| !survives(*seed, Some(mutation)));
        say(&format!("{mutation:?} is noticed with seed {noticed:?}"));
        (mutation, noticed)
    });
    let unnoticed: Vec<_> = all.iter().filter(|(_, seed)| seed.is_none()).collect();
    assert!(unnoticed.is_empty(), "nobody notices {unnoticed:?}");
}
