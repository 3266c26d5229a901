//! What was predicted of earlier runs, and what they came to.

use serde::{Deserialize, Serialize};

/// How far a prediction may be off, in percent of what was predicted, before anything is said.
const TOLERATED_PERCENT: u64 = 30;
/// So many of the last runs must be off in the same direction: one run on a busy machine says nothing.
const OFF_IN_A_ROW: usize = 3;
/// Shorter runs, in milliseconds, are mostly overheads: nobody plans by them.
const WORTH_JUDGING_MS: u64 = 10_000;

/// One run of all workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastRun {
    /// How many workers it had.
    pub workers: u32,
    /// How many units ran.
    pub units: u64,
    /// How long it was to take by the plan, the longest group, in milliseconds.
    pub predicted_ms: u64,
    /// How long its units took from the start of the first to the end of the last, in milliseconds.
    pub actual_ms: u64,
    /// Sum of the estimates of the units that ran, in milliseconds.
    pub predicted_work_ms: u64,
    /// What these units took, in milliseconds.
    pub actual_work_ms: u64,
}

/// Whether the last runs, the newest first, all took much longer or all much shorter than their plans said: then by how
/// many percent of the prediction on average, signed.
pub fn drift(runs: impl Iterator<Item = PastRun>) -> Option<i64> {
    let judged = |run: &PastRun| run.predicted_work_ms.max(run.actual_work_ms) >= WORTH_JUDGING_MS;
    let off = |run: PastRun| {
        let (predicted, actual) = (i128::from(run.predicted_work_ms.max(1)), i128::from(run.actual_work_ms));
        (actual - predicted) * 100 / predicted
    };
    let last: Vec<i128> = runs.filter(judged).take(OFF_IN_A_ROW).map(off).collect();
    let tolerated = i128::from(TOLERATED_PERCENT);
    let all = |is_off: fn(i128, i128) -> bool| last.iter().all(|percent| is_off(*percent, tolerated));
    (last.len() == OFF_IN_A_ROW && (all(|percent, most| percent > most) || all(|percent, most| percent < -most)))
        .then(|| i64::try_from(last.iter().sum::<i128>() / OFF_IN_A_ROW as i128).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(work: &[(u64, u64)]) -> Option<i64> {
        drift(work.iter().map(|&(predicted_work_ms, actual_work_ms)| PastRun {
            predicted_work_ms,
            actual_work_ms,
            ..PastRun::default()
        }))
    }

    #[test]
    fn several_runs_that_are_off_in_one_direction_are_drift() {
        assert_eq!(runs(&[(100_000, 150_000), (100_000, 140_000), (100_000, 160_000)]), Some(50));
        assert_eq!(runs(&[(100_000, 50_000), (100_000, 60_000), (100_000, 40_000)]), Some(-50));
        assert_eq!(runs(&[(100_000, 150_000), (100_000, 140_000)]), None);
        assert_eq!(runs(&[(100_000, 150_000), (100_000, 50_000), (100_000, 160_000)]), None);
        assert_eq!(runs(&[(100_000, 120_000), (100_000, 140_000), (100_000, 160_000)]), None);
        assert_eq!(runs(&[(10, 150), (10, 140), (10, 160)]), None, "too short to judge");
        assert_eq!(runs(&[(0, u64::MAX); 3]), Some(i64::MAX));
    }
}
