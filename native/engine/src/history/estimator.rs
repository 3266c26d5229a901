//! From the durations of the last runs to the one that is planned with.
//!
//! What is wanted is not the most likely duration but the one that costs least when it is wrong. Too short an
//! estimate lets a long test start last, and all other workers wait for it; too long a one only starts it earlier.
//! Under a loss that charges one side `c` times the other, the best guess is the quantile at `c / (1 + c)` (Koenker and
//! Bassett, "Regression Quantiles", Econometrica 46, 1978; the newsvendor problem): with three times, the quantile
//! at 3/4. Recent runs weigh more, since code changes. See docs/timings.md for what was simulated.

/// The quantile that is taken.
const QUANTILE: f64 = 0.75;
/// What a run weighs beside the run after it.
const FADING: f64 = 0.8;
/// No run weighs more of the whole, so that a single one, even the newest, never moves the quantile beyond the others.
const MOST: f64 = 0.24;
/// With fewer runs than this the cap can't hold, and the median is taken: of 3 or 4 it too ignores a single one.
const ENOUGH: usize = 5;

/// What a thing is expected to take that took these `micros`, the newest first; `None` when there is none.
///
/// Between the least and the greatest. From three runs on, a single one, whatever it came to, leaves the result between
/// the least and the greatest of the others.
pub(crate) fn expected(micros: impl Iterator<Item = u64>) -> Option<u64> {
    let mut runs: Vec<(u64, f64)> = micros.zip(weights()).collect();
    if runs.len() < ENOUGH {
        runs.sort_unstable_by_key(|(micros, _)| *micros);
        // Of two middle values the larger.
        return runs.get(runs.len() / 2).map(|(micros, _)| *micros);
    }
    cap(&mut runs);
    runs.sort_by_key(|(micros, _)| *micros);
    let total: f64 = runs.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    for (micros, weight) in &runs {
        below += weight;
        if below >= QUANTILE * total {
            return Some(*micros);
        }
    }
    runs.last().map(|(micros, _)| *micros)
}

fn weights() -> impl Iterator<Item = f64> {
    std::iter::successors(Some(1.0), |weight| Some(weight * FADING))
}

/// Takes from those that weigh too much, newest first, what is above [`MOST`] of the whole, and leaves it away.
fn cap(runs: &mut [(u64, f64)]) {
    // Weights fall from the first to the last, so the heavy ones are at the front: `heavy` of them at the cap `c` and the
    // rest `r` as they are make c = MOST * (heavy * c + r).
    for heavy in 0..runs.len() {
        let rest: f64 = runs[heavy..].iter().map(|(_, weight)| weight).sum();
        let room = 1.0 - MOST * heavy as f64;
        if room <= 0.0 {
            break;
        }
        let most = MOST * rest / room;
        if runs[heavy].1 <= most {
            runs[..heavy].iter_mut().for_each(|(_, weight)| *weight = most);
            return;
        }
    }
    runs.iter_mut().for_each(|(_, weight)| *weight = 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(micros: &[u64]) -> Option<u64> {
        expected(micros.iter().copied())
    }

    #[test]
    fn a_test_that_is_often_slow_counts_as_slow_and_one_that_was_once_does_not() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(7));
        assert_eq!(of(&[7, 9]), Some(9));
        assert_eq!(of(&[1000, 17, 15]), Some(17));
        assert_eq!(of(&[1, 17, 1, 1, 17, 1, 17, 1]), Some(17));
        assert_eq!(of(&[17, 1, 1, 1, 1, 1, 1, 1]), Some(1));
        assert_eq!(of(&[1, 1, 1, 1, 1, 1, 1, 17]), Some(1));
    }

    #[test]
    fn a_test_that_has_changed_is_soon_known_to_have() {
        let needed = |from: u64, to: u64| {
            (1..=8).find(|new| {
                let runs: Vec<u64> = (0..8).map(|age| if age < *new { to } else { from }).collect();
                of(&runs) == Some(to)
            })
        };
        assert_eq!(needed(10, 100), Some(2));
        assert_eq!(needed(100, 10), Some(5));
    }

    proptest! {
        #[test]
        fn a_single_run_never_leads_beyond_the_others(
            runs in prop::collection::vec(0..1_000_000u64, 3..9),
            at in any::<prop::sample::Index>(),
            odd in any::<u64>(),
        ) {
            let at = at.index(runs.len());
            let mut changed = runs.clone();
            changed[at] = odd;
            let others: Vec<u64> = runs.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, run)| *run).collect();
            let estimate = of(&changed).unwrap();
            prop_assert!(estimate <= *others.iter().max().unwrap(), "{estimate} of {changed:?}");
            prop_assert!(estimate >= *others.iter().min().unwrap(), "{estimate} of {changed:?}");
        }

        #[test]
        fn no_run_weighs_too_much(count in ENOUGH..12) {
            let mut runs: Vec<(u64, f64)> = (0..count as u64).zip(weights()).collect();
            cap(&mut runs);
            let total: f64 = runs.iter().map(|(_, weight)| weight).sum();
            prop_assert!(runs.iter().all(|(_, weight)| *weight <= MOST * total + 1e-9));
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        }

        #[test]
        fn slower_runs_never_make_an_estimate_shorter(
            runs in prop::collection::vec((0..1_000_000u64, 0..1000u64), 1..9),
        ) {
            let before: Vec<u64> = runs.iter().map(|(run, _)| *run).collect();
            let after: Vec<u64> = runs.iter().map(|(run, more)| run + more).collect();
            prop_assert!(of(&before) <= of(&after));
        }
    }
}
