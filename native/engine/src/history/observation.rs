//! One test in one run, and the last runs of it.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Of how many runs observations are kept: enough that two odd ones count for nothing, few enough that a test that
/// has changed is soon known to have.
pub(crate) const KEPT_RUNS: usize = 8;

/// No duration is longer, in microseconds: a year. A damaged one would otherwise make sums overflow.
pub(crate) const LONGEST_US: u64 = 365 * 24 * 60 * 60 * 1_000_000;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// Tags have up to four digits to the base of 36.
const TAGS: u32 = 36 * 36 * 36 * 36;

/// Names a run for ever and on every machine: the second in which it started, and a tag made from its id. Later runs
/// are greater. Written `tgx1a2.k3f9`, both numbers to the base of 36.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    second: u64,
    tag: u32,
}

impl RunKey {
    /// The key of the run `id`, which started so many milliseconds after the Unix epoch.
    pub fn new(id: &str, started_at_ms: u64) -> Self {
        // FNV-1a: spread well enough that runs of one second differ, and the same in every release.
        let hash = id
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let tag = u32::try_from((hash ^ (hash >> 32)) % u64::from(TAGS)).unwrap_or_default();
        Self { second: started_at_ms / 1_000, tag }
    }

    /// A run of which only its place among others is known, as in files of the first format.
    pub(crate) fn unknown(place: u32) -> Self {
        Self { second: 0, tag: place.min(TAGS - 1) }
    }

    /// Days since the Unix epoch; `None` when it is not known.
    pub(crate) fn day(self) -> Option<u32> {
        (self.second > 0).then(|| u32::try_from(self.second / SECONDS_PER_DAY).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", base36(self.second), base36(u64::from(self.tag)))
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

impl FromStr for RunKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let key = || {
            let (second, tag) = text.split_once('.')?;
            let key = Self { second: u64::from_str_radix(second, 36).ok()?, tag: u32::from_str_radix(tag, 36).ok()? };
            (key.tag < TAGS && key.to_string() == text).then_some(key)
        };
        key().ok_or_else(|| format!("`{text}` names no run"))
    }
}

impl Serialize for RunKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a test came to in one run. Ordered, so that of two that contradict each other one is chosen wherever they
/// meet: the one that did not pass, then the longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Observation {
    /// It passed, or was skipped, after so many microseconds. Written as that number.
    Passed(u64),
    /// It did not pass, or not at the first try, and took so long. Written as a negative number.
    Failed(u64),
    /// It did not pass, and how long it takes was not learned: its JVM died, its class set-up failed. Written `false`.
    Broken,
}

impl Observation {
    /// Microseconds, if they tell how long the test takes.
    pub fn micros(self) -> Option<u64> {
        match self {
            Self::Passed(micros) | Self::Failed(micros) => Some(micros),
            Self::Broken => None,
        }
    }

    /// Whether it passed.
    pub fn passed(self) -> bool {
        matches!(self, Self::Passed(_))
    }

    fn bounded(self) -> Self {
        match self {
            Self::Passed(micros) => Self::Passed(micros.min(LONGEST_US)),
            // There is no negative zero.
            Self::Failed(micros) => Self::Failed(micros.clamp(1, LONGEST_US)),
            Self::Broken => Self::Broken,
        }
    }
}

impl Serialize for Observation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.bounded() {
            Self::Passed(micros) => serializer.serialize_u64(micros),
            Self::Failed(micros) => serializer.serialize_i64(-(micros as i64)),
            Self::Broken => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Observation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Cell;
        impl Visitor<'_> for Cell {
            type Value = Observation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("microseconds, negative for a test that did not pass, or false")
            }

            fn visit_u64<E: de::Error>(self, micros: u64) -> Result<Observation, E> {
                Ok(Observation::Passed(micros).bounded())
            }

            fn visit_i64<E: de::Error>(self, micros: i64) -> Result<Observation, E> {
                let found = if micros < 0 { Observation::Failed } else { Observation::Passed };
                Ok(found(micros.unsigned_abs()).bounded())
            }

            fn visit_bool<E: de::Error>(self, passed: bool) -> Result<Observation, E> {
                if passed {
                    return Err(E::invalid_value(de::Unexpected::Bool(true), &self));
                }
                Ok(Observation::Broken)
            }
        }
        deserializer.deserialize_any(Cell)
    }
}

/// The last runs of one thing, the newest first, each with what it came to.
///
/// Joining two is a semilattice (commutative, associative, idempotent): the union of both, of which the newest
/// `KEPT` remain (state-based replicated data types: Shapiro and others, "Conflict-Free Replicated Data
/// Types", 2011).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Series<T, const KEPT: usize = KEPT_RUNS>(Vec<(RunKey, T)>);

impl<T, const KEPT: usize> Default for Series<T, KEPT> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone + Ord, const KEPT: usize> Series<T, KEPT> {
    /// Notes what it came to in a run; of two in the same run the greater counts.
    pub(crate) fn add(&mut self, run: RunKey, value: T) {
        match self.0.binary_search_by(|(known, _)| run.cmp(known)) {
            Ok(at) => {
                if self.0[at].1 < value {
                    self.0[at].1 = value;
                }
            }
            Err(at) if at < KEPT => {
                self.0.insert(at, (run, value));
                self.0.truncate(KEPT);
            }
            Err(_) => {}
        }
    }

    /// Notes what it came to in a run, whatever was noted for that run before.
    pub(crate) fn set(&mut self, run: RunKey, value: T) {
        self.0.retain(|(known, _)| *known != run);
        self.add(run, value);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(run, value)| self.add(*run, value.clone()));
    }

    /// The newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RunKey, &T)> {
        self.0.iter().map(|(run, value)| (*run, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn newest(&self) -> Option<(RunKey, &T)> {
        self.iter().next()
    }

    pub(crate) fn at(&self, run: RunKey) -> Option<&T> {
        self.iter().find(|(known, _)| *known == run).map(|(_, value)| value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series() -> impl Strategy<Value = Series<u64>> {
        prop::collection::vec((0..20_000u64, 0..3u32, 0..5u64), 0..20).prop_map(|values| {
            let mut series = Series::default();
            for (second, tag, value) in values {
                series.add(RunKey { second, tag }, value);
            }
            series
        })
    }

    fn joined(mut left: Series<u64>, right: &Series<u64>) -> Series<u64> {
        left.merge(right);
        left
    }

    proptest! {
        #[test]
        fn joining_is_commutative_associative_and_idempotent(a in series(), b in series(), c in series()) {
            prop_assert_eq!(joined(a.clone(), &b), joined(b.clone(), &a));
            prop_assert_eq!(joined(joined(a.clone(), &b), &c), joined(a.clone(), &joined(b.clone(), &c)));
            prop_assert_eq!(joined(a.clone(), &a), a.clone());
            prop_assert_eq!(joined(joined(a.clone(), &b), &b), joined(a, &b));
        }

        #[test]
        fn the_newest_remain_in_order(a in series(), b in series()) {
            let all = joined(a, &b);
            prop_assert!(all.0.len() <= KEPT_RUNS);
            prop_assert!(all.0.windows(2).all(|pair| pair[0].0 > pair[1].0));
        }

        #[test]
        fn keys_are_read_as_they_are_written(second in any::<u64>(), tag in 0..TAGS) {
            let key = RunKey { second, tag };
            prop_assert_eq!(key.to_string().parse::<RunKey>(), Ok(key));
        }

        #[test]
        fn any_text_is_a_key_or_refused(text in "\\PC{0,12}") {
            if let Ok(key) = text.parse::<RunKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }

    #[test]
    fn later_runs_have_greater_keys_and_runs_of_a_second_differ() {
        let at_ms = 1_790_000_000_123;
        assert!(RunKey::new("b", at_ms) < RunKey::new("a", at_ms + 1_000));
        assert_ne!(RunKey::new("a", at_ms), RunKey::new("b", at_ms));
        assert_eq!(RunKey::new("a", at_ms).day(), Some(20_717));
        assert_eq!(RunKey::unknown(3).day(), None);
        for odd in ["", ".", "a", "a.", "A.1", "01.1", "-1.1", "+1.1", "1.zzzzz", "1.1.1", "zzzzzzzzzzzzzzzz.1"] {
            assert!(odd.parse::<RunKey>().is_err(), "{odd}");
        }
    }

    #[test]
    fn observations_have_short_forms() {
        let all = [Observation::Passed(0), Observation::Passed(7), Observation::Failed(9), Observation::Broken];
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(json, "[0,7,-9,false]");
        assert_eq!(serde_json::from_str::<Vec<Observation>>(&json).unwrap(), all);
        let odd: Vec<Observation> = serde_json::from_str("[18446744073709551615,-9223372036854775808]").unwrap();
        assert_eq!(odd, [Observation::Passed(LONGEST_US), Observation::Failed(LONGEST_US)]);
        for refused in ["true", "1.5", "\"1\"", "null", "1e99"] {
            assert!(serde_json::from_str::<Observation>(refused).is_err(), "{refused}");
        }
        assert_eq!(serde_json::to_string(&Observation::Failed(0)).unwrap(), "-1");
    }
}
