//! Which pod is which life of which worker, written down with the jobs that the pods are of.

use crate::backend::WorkerLife;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A pod of one of the run's jobs, which are numbered from 1. There is a second one only when all pods of the first had ended, or
/// where a queue lets jobs in as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// Which job.
    pub(super) job: u32,
    /// Which index of it.
    pub(super) index: u32,
}

/// Pods by life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lives {
    slots: BTreeMap<WorkerLife, Slot>,
}

impl Lives {
    /// What a job's annotation says: `3.2=4 1.2=5`. What makes no sense is left out.
    pub(super) fn read(&mut self, job: u32, text: &str) {
        for entry in text.split_whitespace() {
            let parsed = entry.split_once('=').and_then(|(life, index)| {
                let (worker, number) = life.split_once('.')?;
                let life = WorkerLife { worker: worker.parse().ok()?, life: number.parse().ok()? };
                Some((life, Slot { job, index: index.parse().ok()? }))
            });
            match parsed {
                Some((life, slot)) => drop(self.slots.insert(life, slot)),
                None => tracing::warn!(entry, "a life of a worker is not understood"),
            }
        }
    }

    /// As the annotation of a job has it.
    pub(super) fn text(&self, job: u32) -> String {
        let mut text = String::new();
        for (WorkerLife { worker, life }, slot) in self.slots.iter().filter(|(_, slot)| slot.job == job) {
            let blank = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{blank}{worker}.{life}={}", slot.index);
        }
        text
    }

    /// A life's pod.
    pub(super) fn slot(&self, life: WorkerLife) -> Option<Slot> {
        self.slots.get(&life).copied()
    }

    /// How many pods a job has.
    pub(super) fn count(&self, job: u32) -> u32 {
        self.slots.values().filter(|slot| slot.job == job).map(|slot| slot.index + 1).max().unwrap_or(0)
    }

    /// Gives lives that have none a pod each of this job, beyond those that it has.
    pub(super) fn add(&mut self, job: u32, lives: impl IntoIterator<Item = WorkerLife>) {
        let mut index = self.count(job);
        for life in lives {
            self.slots.entry(life).or_insert_with(|| {
                index += 1;
                Slot { job, index: index - 1 }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn life(worker: u32, life: u32) -> WorkerLife {
        WorkerLife { worker, life }
    }

    #[test]
    fn lives_are_given_pods_and_read_again() {
        let mut lives = Lives::default();
        lives.add(1, [life(2, 1), life(5, 1)]);
        lives.add(1, [life(5, 2), life(2, 1)]);
        lives.add(2, [life(5, 3)]);
        assert_eq!(lives.slot(life(5, 2)), Some(Slot { job: 1, index: 2 }));
        assert_eq!((lives.slot(life(1, 1)), lives.count(1), lives.count(2), lives.count(3)), (None, 3, 1, 0));
        assert_eq!((lives.text(1).as_str(), lives.text(2).as_str()), ("2.1=0 5.1=1 5.2=2", "5.3=0"));
        let mut read = Lives::default();
        read.read(1, "2.1=0 5.1=1 nonsense 5.2=2 1.x=3");
        read.read(2, "5.3=0");
        assert_eq!(read, lives);
    }

    proptest! {
        #[test]
        fn no_two_lives_have_one_pod(asked in prop::collection::vec((1_u32..20, 1_u32..9, 1_u32..3), 0..60)) {
            let mut lives = Lives::default();
            for (worker, number, job) in asked {
                lives.add(job, [life(worker, number)]);
            }
            let mut again = Lives::default();
            for job in 1..3 {
                again.read(job, &lives.text(job));
                let of_job = || lives.slots.values().filter(move |slot| slot.job == job);
                prop_assert_eq!(of_job().collect::<BTreeSet<_>>().len() as u32, lives.count(job));
                prop_assert_eq!(of_job().count() as u32, lives.count(job));
            }
            prop_assert_eq!(again, lives);
        }
    }
}
