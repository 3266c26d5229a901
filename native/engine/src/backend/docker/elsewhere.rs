//! What other machines' runs left behind on a Docker that several share. Whether their coordinators live can't be seen from
//! here; whether a worker's container has ended can.

use super::host::Host;
use super::labels::{Found, LIFE, ROLE, RUN, WORKER, WORKER_ROLE};
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use futures_util::future::join_all;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How long something may be there although its worker has ended: longer than any coordinator takes to remove it.
const LONG: Duration = Duration::from_secs(3_600);

/// What goes as one: a life of a worker, with its services and their network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LifeOf {
    run: String,
    worker: String,
    life: String,
}

impl LifeOf {
    pub(super) fn of(labels: &HashMap<String, String>) -> Self {
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        Self { run: label(RUN), worker: label(WORKER), life: label(LIFE) }
    }
}

/// What is known of a life. `None`: not over.
#[derive(Default)]
struct Known {
    /// How long ago its worker's containers ended.
    workers: Vec<Option<Duration>>,
    /// How long ago services and network were made.
    others: Vec<Option<Duration>>,
}

impl Known {
    /// The worker decides; without one, what is left of it is no longer about to get one.
    fn is_over(&self) -> bool {
        let decisive = if self.workers.is_empty() { &self.others } else { &self.workers };
        decisive.iter().all(|since| since.is_some_and(|since| since > LONG))
    }
}

impl Host {
    /// The lives that are over of those whose labels `wanted` accepts.
    pub(super) async fn over(
        &self,
        found: &Found,
        wanted: impl Fn(&HashMap<String, String>) -> bool,
    ) -> HashSet<LifeOf> {
        let mut lives: HashMap<LifeOf, Known> = HashMap::new();
        let containers = found.containers.iter().filter_map(|container| Some((container, container.labels.as_ref()?)));
        let containers: Vec<_> = containers.filter(|(_, labels)| wanted(labels)).collect();
        let ended = containers.iter().map(|&(container, labels)| async move {
            match is_worker(labels) {
                true => self.since_end(container).await,
                false => container.created.and_then(|at| since(jiff::Timestamp::from_second(at).ok()?)),
            }
        });
        let ended: Vec<Option<Duration>> = join_all(ended).await;
        for ((_, labels), since) in containers.iter().zip(ended) {
            let known = lives.entry(LifeOf::of(labels)).or_default();
            if is_worker(labels) { known.workers.push(since) } else { known.others.push(since) }
        }
        for network in found.networks.iter().filter(|network| wanted(&network.labels)) {
            let created = network.created.as_ref().and_then(|at| since(at.parse().ok()?));
            lives.entry(LifeOf::of(&network.labels)).or_default().others.push(created);
        }
        lives.into_iter().filter(|(_, known)| known.is_over()).map(|(life, _)| life).collect()
    }

    /// How long ago a container ended; one that never started counts from when it was made.
    async fn since_end(&self, container: &ContainerSummary) -> Option<Duration> {
        match container.state? {
            ContainerSummaryStateEnum::CREATED => since(jiff::Timestamp::from_second(container.created?).ok()?),
            ContainerSummaryStateEnum::EXITED | ContainerSummaryStateEnum::DEAD => {
                let state = self.docker.inspect_container(container.id.as_deref()?, None).await.ok()?.state?;
                since(state.finished_at?.parse().ok()?)
            }
            _ => None,
        }
    }
}

fn is_worker(labels: &HashMap<String, String>) -> bool {
    labels.get(ROLE).is_some_and(|role| role == WORKER_ROLE)
}

fn since(at: jiff::Timestamp) -> Option<Duration> {
    Duration::try_from(jiff::Timestamp::now().duration_since(at)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_decides_and_without_one_the_age_of_the_rest() {
        let (long, short) = (Some(LONG * 2), Some(LONG / 2));
        for (workers, others, expected) in [
            (vec![long], vec![short], true),
            (vec![short], vec![long], false),
            (vec![None], vec![long], false),
            (vec![long, None], vec![], false),
            (vec![], vec![long, long], true),
            (vec![], vec![long, short], false),
            (vec![], vec![long, None], false),
        ] {
            assert_eq!(
                Known { workers: workers.clone(), others: others.clone() }.is_over(),
                expected,
                "{workers:?} {others:?}"
            );
        }
    }
}
