//! What units must not share while they run at the same time.
//!
//! Units that ask for the same locks form a *set*. A set, not each of its units, is held or blocked, so that a thousand
//! units that share one resource cost as much as one.

use std::collections::HashMap;
use testfleet_protocol::plan::Lock;

/// The set of units that ask for nothing and are not bound to others.
pub(super) const FREE: usize = 0;

/// One set of locks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct LockSet {
    /// Resources by number, and whether nobody else may have them. Each resource once.
    needs: Vec<(usize, bool)>,
    /// Whether nothing else may run beside it.
    pub(super) alone: bool,
}

impl LockSet {
    /// Whether no two of its units can run at the same time.
    pub(super) fn is_serial(&self) -> bool {
        self.alone || self.needs.iter().any(|(_, exclusive)| *exclusive)
    }
}

/// All sets of a job. Constant.
#[derive(Debug, PartialEq)]
pub(super) struct LockSets {
    sets: Vec<LockSet>,
    /// The sets that ask for a resource.
    asking: Vec<Vec<usize>>,
}

impl std::ops::Index<usize> for LockSets {
    type Output = LockSet;

    fn index(&self, set: usize) -> &LockSet {
        &self.sets[set]
    }
}

/// What makes two sets equal: their locks, whether they ask to be alone, whether their units are bound to others.
type Signature = (Vec<(usize, bool)>, bool, bool);

/// Collects the sets of a job's units.
#[derive(Debug)]
pub(super) struct LockSetsBuilder {
    built: LockSets,
    resources: HashMap<String, usize>,
    numbers: HashMap<Signature, usize>,
}

impl LockSetsBuilder {
    pub(super) fn new() -> Self {
        let numbers = HashMap::from([((Vec::new(), false, false), FREE)]);
        let built = LockSets { sets: vec![LockSet::default()], asking: Vec::new() };
        Self { built, resources: HashMap::new(), numbers }
    }

    /// The number of the set that asks for `locks`. Units that are `bound` to others never share a set with free ones.
    pub(super) fn set<'a>(&mut self, locks: impl IntoIterator<Item = &'a Lock>, bound: bool) -> usize {
        let mut needs: HashMap<usize, bool> = HashMap::new();
        let mut alone = false;
        for lock in locks {
            if lock.resource == Lock::EVERYTHING {
                alone = true;
                continue;
            }
            let next = self.resources.len();
            let resource = *self.resources.entry(lock.resource.clone()).or_insert(next);
            *needs.entry(resource).or_default() |= lock.exclusive;
        }
        // Who is alone shares nothing anyway.
        let mut needs: Vec<_> = if alone { Vec::new() } else { needs.into_iter().collect() };
        needs.sort_unstable();
        self.built.asking.resize(self.resources.len(), Vec::new());
        let next = self.built.sets.len();
        let number = *self.numbers.entry((needs.clone(), alone, bound)).or_insert(next);
        if number == next {
            needs.iter().for_each(|(resource, _)| self.built.asking[*resource].push(number));
            self.built.sets.push(LockSet { needs, alone });
        }
        number
    }

    pub(super) fn build(self) -> LockSets {
        self.built
    }
}

/// How often a resource is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Holders {
    shared: u32,
    exclusive: u32,
}

/// What is held at the moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Held {
    holders: Vec<Holders>,
    alone: u32,
}

impl Held {
    pub(super) fn new(sets: &LockSets) -> Self {
        Self { holders: vec![Holders::default(); sets.asking.len()], alone: 0 }
    }

    /// Whether something runs that must be alone.
    pub(super) fn is_alone(&self) -> bool {
        self.alone > 0
    }

    /// Whether a set that need not be alone gets all that it asks for, as far as resources go.
    pub(super) fn admits(&self, set: &LockSet) -> bool {
        set.needs.iter().all(|&(resource, exclusive)| {
            let holders = self.holders[resource];
            holders.exclusive == 0 && !(exclusive && holders.shared > 0)
        })
    }

    /// Takes a set's locks. Returns the sets for which that may make a difference.
    pub(super) fn take(&mut self, sets: &LockSets, set: usize) -> Vec<usize> {
        self.change(sets, set, |count| {
            *count += 1;
            *count == 1
        })
    }

    /// Gives a set's locks back. Returns the sets for which that may make a difference.
    pub(super) fn release(&mut self, sets: &LockSets, set: usize) -> Vec<usize> {
        self.change(sets, set, |count| {
            *count = count.saturating_sub(1);
            *count == 0
        })
    }

    fn change(&mut self, sets: &LockSets, set: usize, change: impl Fn(&mut u32) -> bool) -> Vec<usize> {
        let set = &sets[set];
        if set.alone {
            change(&mut self.alone);
        }
        let mut touched = Vec::new();
        for &(resource, exclusive) in &set.needs {
            let holders = &mut self.holders[resource];
            if change(if exclusive { &mut holders.exclusive } else { &mut holders.shared }) {
                touched.extend_from_slice(&sets.asking[resource]);
            }
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(resource: &str, exclusive: bool) -> Lock {
        Lock { resource: resource.into(), exclusive }
    }

    #[test]
    fn equal_locks_are_one_set_whatever_their_order() {
        let mut builder = LockSetsBuilder::new();
        assert_eq!(builder.set([], false), FREE);
        let one = builder.set(&[lock("a", true), lock("b", false)], false);
        assert_eq!(builder.set(&[lock("b", false), lock("a", false), lock("a", true)], false), one);
        assert_ne!(builder.set(&[lock("a", true), lock("b", false)], true), one, "bound to others");
        assert_ne!(builder.set([], true), FREE);
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let mut builder = LockSetsBuilder::new();
        let read = builder.set(&[lock("db", false)], false);
        let write = builder.set(&[lock("db", true)], false);
        let other = builder.set(&[lock("port", true)], false);
        let sets = builder.build();
        let mut held = Held::new(&sets);
        assert_eq!(held.take(&sets, read), [read, write]);
        assert!(held.take(&sets, read).is_empty(), "the second reader changes nothing");
        assert!(held.admits(&sets[read]) && !held.admits(&sets[write]) && held.admits(&sets[other]));
        assert!(held.release(&sets, read).is_empty());
        assert_eq!(held.release(&sets, read), [read, write]);
        held.take(&sets, write);
        assert!(!held.admits(&sets[read]) && !held.admits(&sets[write]));
        assert!(sets[write].is_serial() && !sets[read].is_serial());
    }
}
