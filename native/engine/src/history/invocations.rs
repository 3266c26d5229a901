//! How a test's time is spread over its invocations, by their numbers, in bounded space.

use serde::{Deserialize, Serialize};

/// So many ranges are kept at most; a power of two.
const RANGES: usize = 32;
/// A test that takes less, in microseconds, is not worth slicing: nothing is kept of it.
pub(crate) const WORTH_KEEPING_US: u64 = 200_000;

/// The durations of a test's invocations, summed over ranges of equal width.
///
/// Up to 32 invocations have a range each; with every doubling beyond, the ranges get twice as wide. What is
/// asked for inside a range is taken to be spread evenly over it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct InvocationTimes {
    count: u32,
    sums: Vec<u64>,
}

/// How they are written: `[invocations, sum of the first range, ...]`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Stored(Vec<u64>);

impl InvocationTimes {
    /// From the durations in microseconds of all invocations in the order of their numbers; `None` for fewer than two.
    pub fn new(micros: &[u64]) -> Option<Self> {
        let count = u32::try_from(micros.len()).ok().filter(|count| *count > 1)?;
        let sum =
            |range: &[u64]| range.iter().fold(0, |sum: u64, micros| sum.saturating_add(*micros)).min(super::LONGEST_US);
        Some(Self { count, sums: micros.chunks(width(count) as usize).map(sum).collect() })
    }

    /// How many invocations there were.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What all of them took, in microseconds.
    pub fn total(&self) -> u64 {
        self.sums.iter().fold(0, |sum, range| sum.saturating_add(*range))
    }

    /// What those from `from` to `to`, both included and counted from 1, took in microseconds. `None` goes on to the
    /// end. Adjacent ranges add up to the whole, but for what rounding takes.
    pub fn between(&self, from: u32, to: Option<u32>) -> u64 {
        let end = |to: u32| self.up_to(to.min(self.count));
        end(to.unwrap_or(self.count)).saturating_sub(end(from.saturating_sub(1)))
    }

    /// The sum of the first `count`.
    fn up_to(&self, count: u32) -> u64 {
        let width = width(self.count);
        let whole = (count / width) as usize;
        let sum = self.sums.iter().take(whole).fold(0, |sum: u64, range| sum.saturating_add(*range));
        let rest = count % width;
        let Some(range) = self.sums.get(whole).filter(|_| rest > 0) else { return sum };
        // The last range may be shorter than the others.
        let length = width.min(self.count - whole as u32 * width);
        let part = u128::from(*range) * u128::from(rest) / u128::from(length);
        sum.saturating_add(u64::try_from(part).unwrap_or(u64::MAX))
    }
}

/// How many invocations a range has.
fn width(count: u32) -> u32 {
    (count as usize).div_ceil(RANGES).next_power_of_two() as u32
}

impl TryFrom<Stored> for InvocationTimes {
    type Error = String;

    fn try_from(Stored(numbers): Stored) -> Result<Self, String> {
        let (count, sums) = numbers.split_first().ok_or("invocations without a number of them")?;
        let count =
            u32::try_from(*count).ok().filter(|count| *count > 1).ok_or("a test of too many or few invocations")?;
        if sums.len() != count.div_ceil(width(count)) as usize {
            return Err(format!("{count} invocations don't have {} ranges", sums.len()));
        }
        Ok(Self { count, sums: sums.iter().map(|sum| (*sum).min(super::LONGEST_US)).collect() })
    }
}

impl From<InvocationTimes> for Stored {
    fn from(times: InvocationTimes) -> Self {
        Self(std::iter::once(u64::from(times.count)).chain(times.sums).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn up_to_32_invocations_are_kept_one_by_one() {
        let times = InvocationTimes::new(&[5, 0, 7]).unwrap();
        assert_eq!((times.between(1, Some(1)), times.between(2, Some(2)), times.between(3, None)), (5, 0, 7));
        assert_eq!((times.count(), times.total(), times.between(4, None), times.between(0, None)), (3, 12, 0, 12));
        assert_eq!(serde_json::to_string(&times).unwrap(), "[3,5,0,7]");
        assert_eq!(InvocationTimes::new(&[5]), None);
    }

    #[test]
    fn many_are_summed_up() {
        let times = InvocationTimes::new(&vec![10; 1_000]).unwrap();
        assert_eq!(times.sums.len(), 32);
        assert_eq!((times.total(), times.between(1, Some(17)), times.between(991, None)), (10_000, 170, 100));
        let times = InvocationTimes::new(&vec![1; 3_000_000]).unwrap();
        assert!(times.sums.len() <= RANGES);
        assert_eq!(times.total(), 3_000_000);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for odd in ["[]", "[0]", "[1,5]", "[3,1,2]", "[3,1,2,3,4]", "[99999999999,1]", "[2,-1,1]", "{}"] {
            assert!(serde_json::from_str::<InvocationTimes>(odd).is_err(), "{odd}");
        }
        let longest: InvocationTimes =
            serde_json::from_str("[4294967295,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]")
                .unwrap();
        assert_eq!(longest.between(1, None), 32);
    }

    proptest! {
        #[test]
        fn slices_add_up(micros in prop::collection::vec(0..1_000_000u64, 2..300), cut in 1..300u32) {
            let times = InvocationTimes::new(&micros).unwrap();
            let parts = times.between(1, Some(cut)) + times.between(cut + 1, None);
            prop_assert_eq!(parts, times.total());
            prop_assert_eq!(times.total(), micros.iter().sum::<u64>());
            let json = serde_json::to_string(&times).unwrap();
            prop_assert_eq!(serde_json::from_str::<InvocationTimes>(&json).unwrap(), times);
        }
    }
}
