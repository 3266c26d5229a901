//! Rules of the run, broken on purpose: the simulator must notice each.

use super::State;
use super::decide::{Decision, Input};
use super::endings;
use super::job::OUTSIDE_OF_TESTS;
use super::workers::Life;
use testfleet_protocol::agent::AgentMessage;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::test::{Outcome, Verdict};

/// A broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutation {
    /// Silence means nothing.
    LeaseIgnored,
    /// A result that comes twice counts twice.
    DuplicateCounted,
    /// A test that passed is tried again.
    RetryAfterPass,
    /// What a lost worker had in hand stays there.
    HandKeptOnLoss,
    /// A lock stays with a unit that has ended.
    LockNotReleased,
    /// Who goes on with a run says the epoch of the one before.
    EpochNotRaised,
    /// Who goes on with a run forgets what workers had in hand.
    ResumeForgetsHands,
    /// Something may wait behind an isolated unit.
    IsolatedNotAlone,
    /// A try that a lost worker cut short counts as one of those that were asked for.
    CutTryCounted,
    /// A test has its verdict before all of its slices have ended.
    SliceVerdictEarly,
    /// However many tests are bad, they are tried again.
    LimitIgnored,
    /// A bad test is tried again where it was bad.
    SameWorkerAgain,
    /// A test of a lost worker is lost with it.
    LossIsVerdict,
    /// A flaky test counts as passed.
    FlakyPasses,
    /// A worker that has to end gets further units.
    LeavingGetsMore,
    /// A unit whose tests have all ended is done, whatever becomes of its end.
    EndNotSeen,
    /// What failed outside of tests is forgotten when the unit breaks off.
    ClassFailureForgotten,
    /// A profile is given up with the first start that fails, whoever else may do better.
    FirstStartDecides,
    /// A worker on which no JVM starts stays.
    FailedStartsForgotten,
    /// A worker that is lost twice in a row is not started again.
    GivenUpEarly,
    /// Who goes on with a run starts nobody that was not started yet.
    PlannedWorkerForgotten,
}

impl Mutation {
    pub(super) const ALL: [Self; 21] = [
        Self::LeaseIgnored,
        Self::DuplicateCounted,
        Self::RetryAfterPass,
        Self::HandKeptOnLoss,
        Self::LockNotReleased,
        Self::EpochNotRaised,
        Self::ResumeForgetsHands,
        Self::IsolatedNotAlone,
        Self::CutTryCounted,
        Self::SliceVerdictEarly,
        Self::LimitIgnored,
        Self::SameWorkerAgain,
        Self::LossIsVerdict,
        Self::FlakyPasses,
        Self::LeavingGetsMore,
        Self::EndNotSeen,
        Self::ClassFailureForgotten,
        Self::FirstStartDecides,
        Self::FailedStartsForgotten,
        Self::GivenUpEarly,
        Self::PlannedWorkerForgotten,
    ];

    /// Changes what was decided.
    pub(super) fn decided(self, state: &State, input: &Input, (events, commands): &mut Decision) {
        let lost = events.iter().any(|event| matches!(event, RunEvent::WorkerEnded { failure: Some(_), .. }));
        match self {
            Self::LeaseIgnored if matches!(input, Input::Tick { .. }) => {
                events.clear();
                commands.clear();
            }
            Self::HandKeptOnLoss if lost => events.retain(|event| !matches!(event, RunEvent::UnitFinished { .. })),
            Self::EpochNotRaised => {
                for event in events {
                    if let RunEvent::RunResumed { epoch, .. } = event {
                        *epoch = state.epoch;
                    }
                }
            }
            Self::LossIsVerdict if lost => {
                let Some(RunEvent::WorkerEnded { worker, .. }) = events.first().cloned() else { return };
                let front = state.workers.get(worker).and_then(|known| known.hand.front());
                let running =
                    front.into_iter().flat_map(|held| held.running.keys().map(|name| (held.unit, name.clone())));
                let lost: Vec<_> = running
                    .map(|(unit, name)| {
                        let task = state.job.units[unit].task.clone();
                        let test = testfleet_protocol::test::TestId { task, name };
                        RunEvent::TestVerdict {
                            test,
                            verdict: Verdict::Lost,
                            reason: Some("its worker was lost".into()),
                        }
                    })
                    .collect();
                events.splice(1..1, lost);
            }
            Self::FirstStartDecides => {
                let task = events.iter().find_map(|event| match event {
                    RunEvent::JvmDied { never_ready, .. } => never_ready.clone(),
                    _ => None,
                });
                let Some(task) = task else { return };
                let profile = state.job.profiles.iter().position(|known| *known == task).unwrap();
                let reason = "it did not start";
                let cause = endings::Cause { kind: "JvmStart", reason, evidence: String::new() };
                for unit in state.waiting.of_profile(profile) {
                    endings::never_handed_out(state, unit, &cause, input.at_ms(), events);
                }
            }
            Self::PlannedWorkerForgotten if matches!(input, Input::Resume { .. }) => {
                events.retain(|event| !matches!(event, RunEvent::WorkerStarted { .. }));
                commands.clear();
            }
            Self::EndNotSeen => {
                for event in events {
                    if let RunEvent::UnitFinished { unseen, .. } = event {
                        *unseen = false;
                    }
                }
            }
            Self::ClassFailureForgotten
                if !matches!(input, Input::Message { message: AgentMessage::UnitFinished { .. }, .. }) =>
            {
                events.retain(|event| {
                    !matches!(event, RunEvent::TestFinished { test, .. } if test.name.method == OUTSIDE_OF_TESTS)
                });
            }
            Self::FlakyPasses => {
                for event in events {
                    if let RunEvent::TestVerdict { verdict: verdict @ Verdict::Flaky, .. } = event {
                        *verdict = Verdict::Passed;
                    }
                }
            }
            _ => {}
        }
    }

    /// Changes what an event makes of the state.
    pub(super) fn applied(self, state: &mut State, event: &RunEvent) {
        match (self, event) {
            (Self::DuplicateCounted, RunEvent::TestFinished { test, worker: Some(worker), slice, .. }) => {
                if let Some((unit, index)) = state.job.place(test, *slice)
                    && let Some(held) = state.workers.hand_mut(*worker).find(|held| held.unit == unit)
                {
                    held.due.insert(index);
                }
            }
            (Self::RetryAfterPass, RunEvent::TestFinished { test, slice, finished, .. })
                if finished.outcome == Outcome::Passed =>
            {
                if let Some((unit, index)) = state.job.place(test, *slice)
                    && state.units[unit].verdicts[index].take().is_some()
                {
                    state.units[unit].missing += 1;
                    state.to_judge.clear();
                }
            }
            (Self::LockNotReleased, RunEvent::UnitFinished { unit, .. }) => {
                let unit = state.job.unit_index[unit];
                let job = std::sync::Arc::clone(&state.job);
                state.waiting.held.take(&job.locks, job.lock_set_of[unit]);
            }
            (Self::ResumeForgetsHands, RunEvent::RunResumed { .. }) => {
                let all: Vec<_> = state.workers.all().map(|(number, _)| number).collect();
                all.into_iter().for_each(|number| state.workers.change(number, |worker| worker.hand.clear()));
            }
            (Self::IsolatedNotAlone, RunEvent::UnitAssigned { worker, .. }) => {
                state.workers.change(*worker, |worker| worker.hand.iter_mut().for_each(|held| held.solo = false));
            }
            (Self::CutTryCounted, RunEvent::UnitFinished { unit, worker, .. }) => {
                let unit = state.job.unit_index[unit];
                if state.workers.get(*worker).is_some_and(|known| known.life == Life::Ended) {
                    state.units[unit].tries.values_mut().for_each(|tries| tries.ended += 1);
                }
            }
            (Self::SliceVerdictEarly, RunEvent::TestFinished { test, slice: Some(_), finished, .. }) => {
                if let Some(planned @ super::job::Planned::Sliced(sliced)) = state.job.tests.get(test).copied()
                    && !state.sliced[sliced].judged
                {
                    state.to_judge.insert(planned, (finished.outcome.into(), None));
                }
            }
            (Self::LimitIgnored, _) => state.limits.over = false,
            (Self::SameWorkerAgain, RunEvent::TestFinished { test, slice, .. }) => {
                if let Some((unit, _)) = state.job.place(test, *slice) {
                    state.units[unit].tries.values_mut().for_each(|tries| tries.bad_at = None);
                }
            }
            (Self::GivenUpEarly, RunEvent::WorkerEnded { worker, .. }) => {
                state.workers.change(*worker, |worker| worker.hopeless |= worker.fruitless > 1);
            }
            (Self::FailedStartsForgotten, RunEvent::JvmDied { worker, .. }) => {
                state.workers.change(*worker, |worker| worker.failed_starts = 0);
            }
            (Self::LeavingGetsMore, RunEvent::WorkerLeaving { worker, .. }) => {
                state.workers.change(*worker, |worker| worker.leaving = None);
            }
            _ => {}
        }
    }
}
