//! Units that need not run: all their tests passed before, and nothing that they can notice has changed.
//!
//! [`Keys`] says for each test class what "nothing has changed" means: a hash over its JVM profile, its inputs and every class
//! that it reaches. [`Store`] holds which tests passed under which key. [`PassedBefore`] is both together, as planning
//! asks. See docs/reuse.md.

mod contents;
mod facts;
mod graph;
mod keys;
mod names;
mod outcomes;
mod profile;
#[cfg(test)]
mod property_tests;
mod store;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod test_support;
mod unknown;

pub use keys::{ClassKey, Keys};
pub use outcomes::Outcomes;
pub use store::{KEPT_DAYS, Store};

use crate::plan::Passed;
use testfleet_protocol::plan::{Reused, Unit};
use testfleet_protocol::request::Reuse;

/// Reads what a class file mentions of a few names, for [`crate::fuzzing`].
#[cfg(any(fuzzing, test))]
pub(crate) fn read_references(bytes: &[u8]) {
    let mut names = names::Names::default();
    for name in ["com/acme/A", "com/acme/A$B", "A", "a/package-info"] {
        names.add(name);
    }
    let facts = facts::Facts::read(bytes, &names);
    assert!(facts.mentions.iter().all(|id| !names.name(*id).is_empty()));
}

/// What passed before, with the keys of now.
#[derive(Debug, Clone, Copy)]
pub struct PassedBefore<'a> {
    /// Of the classes that are planned.
    pub keys: &'a Keys,
    /// Of earlier runs.
    pub store: &'a Store,
    /// Whether anything counts.
    pub reuse: Reuse,
}

impl Passed for PassedBefore<'_> {
    fn reused(&self, unit: &Unit) -> Option<Reused> {
        if self.reuse == Reuse::Off {
            return None;
        }
        let class = self.keys.of_class(&unit.task, &unit.class)?;
        let reused = self.store.reused(&class.key, &unit.class, &unit.tests)?;
        // Where some slices of a test passed and others were skipped, it passed: that needs to be seen.
        (unit.slice.is_none() || reused.skipped.is_empty()).then_some(reused)
    }
}
