//! A table that many threads fill at once: each name's shard has a lock of its own, which readers share.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// Far more than threads, so that two seldom meet.
const SHARDS: usize = 64;

pub(super) struct Sharded<V> {
    shards: Vec<RwLock<HashMap<String, V>>>,
}

impl<V> Default for Sharded<V> {
    fn default() -> Self {
        Self { shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect() }
    }
}

impl<V: Clone> Sharded<V> {
    fn shard(&self, name: &str) -> &RwLock<HashMap<String, V>> {
        // Names differ at their ends. Any spread will do: the tables behind it hash in earnest.
        let end =
            name.bytes().rev().take(8).fold(name.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        &self.shards[end % SHARDS]
    }

    pub(super) fn get(&self, name: &str) -> Option<V> {
        self.shard(name).read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Puts a value under a name, unless there is one; gives the one that is there then.
    pub(super) fn put(&self, name: &str, value: V) -> V {
        let mut shard = self.shard(name).write().unwrap_or_else(PoisonError::into_inner);
        shard.entry(name.to_owned()).or_insert(value).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_name_stays() {
        let table = Sharded::default();
        for name in 0..1_000 {
            assert_eq!(table.get(&name.to_string()), None);
            assert_eq!(table.put(&name.to_string(), name), name);
        }
        assert_eq!((table.put("7", 8), table.get("7"), table.get("none")), (7, Some(7), None));
    }
}
