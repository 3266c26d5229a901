//! What is removed of what earlier runs left behind.

use jiff::Timestamp;
use std::path::Path;
use std::time::Duration;

/// Which leftovers go.
pub struct Sweep<'a> {
    /// Whether the run of a folder of this machine has no coordinator any more.
    pub is_dead: &'a (dyn Fn(&Path) -> bool + Sync),
    /// What was made so long ago goes, whatever became of its coordinator.
    pub older_than: Option<Duration>,
    /// Whether what was to be kept goes as well.
    pub kept: bool,
}

impl<'a> Sweep<'a> {
    /// What dead runs of this machine left behind.
    pub fn of_dead(is_dead: &'a (dyn Fn(&Path) -> bool + Sync)) -> Self {
        Self { is_dead, older_than: None, kept: false }
    }

    /// Whether age alone decides. What does not tell its age is young.
    pub(super) fn is_too_old(&self, created: Option<Timestamp>) -> bool {
        let Some((limit, created)) = self.older_than.zip(created) else { return false };
        Duration::try_from(Timestamp::now().duration_since(created)).is_ok_and(|age| age >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_asked_for_by_who_wants_it_alone() {
        let hour = Duration::from_secs(3_600);
        let ago = |age: Duration| Some(Timestamp::now() - age);
        let alive = |_: &Path| false;
        let of_dead = Sweep::of_dead(&alive);
        assert!(!of_dead.is_too_old(ago(hour * 1_000)));
        let old = Sweep { older_than: Some(hour), ..of_dead };
        assert!(old.is_too_old(ago(hour * 2)) && !old.is_too_old(ago(hour / 2)) && !old.is_too_old(None));
        assert!(!old.is_too_old(Some(Timestamp::now() + hour)), "clocks differ");
    }
}
