use super::*;
use crate::run::test_plans::{input_of, plan_of};
use crate::run::{Queue, RunInput};
use testfleet_protocol::plan::{Lock, Plan};

/// The queue of a plan, with all its units in line.
struct Line {
    job: Arc<Job>,
    waiting: Waiting,
}

fn line_of(input: &RunInput) -> Line {
    let job = Arc::new(Job::new(input, "test").unwrap());
    let mut waiting = Waiting::new(&job);
    for (index, unit) in job.units.iter().enumerate() {
        waiting.push(index, unit.estimate_ms, false);
    }
    Line { job, waiting }
}

/// A queue of units with this profile and estimate.
fn line(units: &[(u8, u64)]) -> Line {
    let shape: Vec<_> = units.iter().map(|&(profile, estimate_ms)| (profile, 1, estimate_ms)).collect();
    line_of(&input_of(plan_of(&shape), Queue::Dynamic, 9))
}

fn line_with(units: &[(u8, u64)], change: impl FnOnce(&mut Plan)) -> Line {
    let shape: Vec<_> = units.iter().map(|&(profile, estimate_ms)| (profile, 1, estimate_ms)).collect();
    let mut plan = plan_of(&shape);
    change(&mut plan);
    line_of(&input_of(plan, Queue::Dynamic, 9))
}

fn lock(resource: &str, exclusive: bool) -> Vec<Lock> {
    vec![Lock { resource: resource.into(), exclusive }]
}

impl Line {
    fn next(&self, live: Option<usize>, servers: &[u64]) -> Option<usize> {
        self.waiting.next(live, servers, 0)
    }

    /// Hands out units to new workers until none can be had, and says which.
    fn hand_out(&mut self, in_hand: &mut Vec<usize>) -> Vec<usize> {
        let mut given = Vec::new();
        let servers = vec![0; self.job.profiles.len()];
        while let Some(unit) = self.waiting.next(None, &servers, in_hand.len()) {
            self.waiting.given(unit, 100 + unit as u32);
            in_hand.push(unit);
            given.push(unit);
        }
        given
    }
}

#[test]
fn the_longest_comes_first_and_what_was_handed_back_before_it() {
    let mut line = line(&[(0, 10), (0, 500), (0, 40), (0, 5)]);
    assert_eq!(line.next(None, &[0]), Some(1));
    line.waiting.given(3, 1);
    line.waiting.push(3, 5, true);
    line.waiting.came_back(3);
    assert_eq!(line.next(Some(0), &[1]), Some(3));
}

#[test]
fn a_lower_rank_comes_before_a_longer_unit() {
    let line = line_with(&[(0, 10), (0, 500), (0, 40)], |plan| plan.units[1].rank = 7);
    assert_eq!(line.next(None, &[0]), Some(2));
    assert_eq!(line.waiting.prefetch(0, 0, 0, 1), Some(2), "40 ms fit");
}

#[test]
fn what_ranks_behind_is_not_fetched_ahead_of_what_is_too_long_for_that() {
    let line = line_with(&[(0, 9_000), (0, 50)], |plan| plan.units[1].rank = 1);
    assert_eq!(line.waiting.prefetch(0, 0, 0, 1), None);
}

#[test]
fn first_ranks_of_a_profile_that_nobody_serves_are_fetched_by_a_worker_of_another() {
    let line = line_with(&[(0, 600), (1, 10)], |plan| plan.units[0].rank = 3);
    assert_eq!(line.next(None, &[0, 0]), Some(1));
    assert_eq!(line.next(Some(0), &[1, 0]), Some(1));
    assert_eq!(line.next(Some(0), &[1, 1]), Some(0), "somebody serves it: a new JVM would not pay");
}

#[test]
fn a_worker_stays_with_its_profile_while_that_is_no_loss() {
    assert_eq!(line(&[(0, 600), (1, 1_500)]).next(Some(0), &[1, 0]), Some(0));
}

#[test]
fn a_worker_leaves_for_a_backlog_that_outweighs_a_new_jvm() {
    let line = line(&[(0, 600), (1, 9_000)]);
    assert_eq!(line.next(Some(0), &[2, 0]), Some(1));
    assert_eq!(line.next(Some(0), &[1, 9]), Some(0), "others serve it already");
}

#[test]
fn a_worker_without_a_profile_takes_the_largest_share() {
    let line = line(&[(0, 9_000), (1, 5_000)]);
    assert_eq!(line.next(None, &[0, 0]), Some(0));
    assert_eq!(line.next(None, &[1, 0]), Some(1));
}

#[test]
fn a_unit_of_weight_never_waits_behind_another() {
    let line = line(&[(0, 90_000), (0, 5_000), (0, 150), (0, 120), (0, 30)]);
    assert_eq!(line.waiting.prefetch(0, 0, 0, 2), Some(2));
    assert_eq!(line.waiting.prefetch(0, 0, 150, 2), Some(4), "120 no longer fits into 200");
    assert_eq!(line.waiting.prefetch(0, 0, 200, 2), None);
}

#[test]
fn at_the_end_little_is_fetched_ahead() {
    let line = line(&[(0, 300), (0, 20)]);
    assert_eq!(line.waiting.prefetch(0, 0, 0, 2), Some(1), "a sixteenth of 320 ms is 20 ms");
    assert_eq!(line.waiting.prefetch(0, 0, 0, 8), None);
}

#[test]
fn a_fixed_order_is_kept_across_profiles() {
    let plan = plan_of(&[(0, 1, 5), (1, 1, 900), (0, 1, 70)]);
    let ids = plan.units.iter().map(|unit| unit.id.clone()).collect();
    let mut line = line_of(&input_of(plan, Queue::Fixed(ids), 1));
    assert_eq!(line.next(Some(1), &[0, 1]), Some(0));
    line.waiting.given(0, 1);
    assert_eq!(line.next(Some(0), &[1, 0]), Some(1));
    assert_eq!(line.waiting.prefetch(0, 0, 0, 1), None, "the next is of another profile");
    line.waiting.push(0, 5, true);
    assert_eq!(line.next(Some(1), &[0, 1]), Some(0), "handed back to its place");
}

#[test]
fn one_writer_at_a_time_and_the_others_have_the_rest() {
    let mut line = line_with(&[(0, 500), (0, 400), (1, 300), (0, 90), (0, 20)], |plan| {
        plan.units[..3].iter_mut().for_each(|unit| unit.locks = lock("db", true));
        plan.units[3].locks = lock("db", false);
    });
    let mut in_hand = Vec::new();
    assert_eq!(line.hand_out(&mut in_hand), [0, 4], "nothing that wants the database beside its writer");
    line.waiting.came_back(0);
    in_hand.retain(|unit| *unit != 0);
    assert_eq!(line.hand_out(&mut in_hand), [1]);
    line.waiting.came_back(1);
    line.waiting.came_back(4);
    in_hand.clear();
    assert_eq!(line.hand_out(&mut in_hand), [2], "of the other profile");
    line.waiting.came_back(2);
    assert_eq!(line.hand_out(&mut vec![]), [3]);
}

#[test]
fn units_that_can_only_follow_each_other_begin_early() {
    let line = line_with(&[(0, 300), (0, 200), (0, 200)], |plan| {
        plan.units[1..].iter_mut().for_each(|unit| unit.locks = lock("db", true));
    });
    assert_eq!(line.next(None, &[0]), Some(1), "400 ms one after another");
}

#[test]
fn a_unit_with_locks_is_never_fetched_ahead() {
    let line = line_with(&[(0, 9_000), (0, 90), (0, 20)], |plan| plan.units[1].locks = lock("db", false));
    assert_eq!(line.waiting.prefetch(0, 0, 0, 1), Some(2));
}

#[test]
fn who_runs_alone_comes_last_and_nobody_beside_it() {
    let mut line = line_with(&[(0, 900), (1, 10), (0, 500)], |plan| {
        plan.units[0].locks = lock(Lock::EVERYTHING, true);
        plan.units[2].locks = lock(Lock::EVERYTHING, false);
    });
    let mut in_hand = Vec::new();
    assert_eq!(line.hand_out(&mut in_hand), [1]);
    assert!(line.hand_out(&mut in_hand).is_empty(), "while something runs");
    line.waiting.came_back(1);
    in_hand.clear();
    assert_eq!(line.hand_out(&mut in_hand), [0]);
    line.waiting.push(1, 10, true);
    assert!(line.hand_out(&mut in_hand).is_empty(), "not even what was handed back meanwhile");
    assert_eq!(line.waiting.prefetch(1, 0, 0, 1), None);
    line.waiting.came_back(0);
    in_hand.clear();
    assert_eq!(line.hand_out(&mut in_hand), [1]);
}

#[test]
fn what_belongs_together_follows_its_first_and_moves_on_together() {
    let mut line = line_with(&[(0, 50), (1, 60), (0, 70), (0, 400)], |plan| {
        plan.units[..3].iter_mut().for_each(|unit| unit.together = Some("t".into()));
        plan.units[1].locks = lock("db", true);
    });
    assert_eq!(line.next(None, &[0, 0]), Some(3), "400 ms are more than the 180 ms of those together");
    line.waiting.given(3, 1);
    assert_eq!(line.next(None, &[0, 0]), Some(0));
    line.waiting.given(0, 2);
    assert_eq!(line.next(None, &[0, 0]), None);
    assert_eq!(line.waiting.homeward().next(), Some((2, 2)), "first those of the same profile");
    line.waiting.given(2, 2);
    assert_eq!(line.waiting.homeward().next(), Some((2, 1)));
    line.waiting.given(1, 2);
    assert_eq!(line.waiting.homeward().next(), None);
    // One has to be tried again: it follows the others.
    line.waiting.push(0, 50, true);
    line.waiting.came_back(0);
    assert_eq!(line.waiting.homeward().next(), Some((2, 0)));
    // The worker is lost: what it had moves on as a whole, and not before all of it is there.
    line.waiting.worker_gone(2);
    line.waiting.push(1, 60, true);
    line.waiting.came_back(1);
    assert_eq!((line.waiting.homeward().next(), line.next(None, &[0, 0])), (None, None));
    line.waiting.push(2, 70, true);
    line.waiting.came_back(2);
    assert_eq!(line.next(None, &[0, 0]), Some(0));
    line.waiting.given(0, 5);
    assert_eq!(line.waiting.homeward().next(), Some((5, 2)));
}
