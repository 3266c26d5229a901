//! The decisions of a run: inputs in, events and commands out. No clock, randomness or I/O.

use super::job::Planned;
use super::state::State;
use super::workers::{Life, WorkerState};
use super::{endings, heard, silence, stopping};
use testfleet_protocol::agent::{AgentMessage, UnitAttempt};
use testfleet_protocol::event::{Attempt, RunEvent};
use testfleet_protocol::plan::Unit;
use testfleet_protocol::test::{Finished, TestId, Verdict};
use testfleet_protocol::{Failure, FailureCode, VERSION};

/// What reaches a run from outside. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Begin.
    Start {
        /// When.
        at_ms: u64,
    },
    /// An agent said something.
    Message {
        /// Which worker's.
        worker: u32,
        /// What.
        message: AgentMessage,
        /// When.
        at_ms: u64,
    },
    /// A worker is gone; nothing more comes from it.
    WorkerEnded {
        /// Which.
        worker: u32,
        /// What is known of the reason.
        failure: Option<Failure>,
        /// When.
        at_ms: u64,
    },
    /// Time passes: asked at least every second.
    Tick {
        /// When.
        at_ms: u64,
        /// How much later this comes than it should have, in milliseconds: the coordinator itself was asleep or busy, so
        /// that nobody's silence in that time means anything.
        late_ms: u64,
        /// How much of that its machine slept, in milliseconds.
        slept_ms: u64,
    },
    /// Go on with the run whose events were applied so far, after its coordinator ended. No agent is connected yet.
    Resume {
        /// When.
        at_ms: u64,
    },
    /// The user or the build wants the end.
    Cancel {
        /// When.
        at_ms: u64,
    },
    /// Whatever the state calls for, one step at a time; asked after every other input until nothing is left.
    Settle {
        /// When.
        at_ms: u64,
    },
}

impl Input {
    /// When it happened.
    pub fn at_ms(&self) -> u64 {
        match self {
            Self::Start { at_ms }
            | Self::Message { at_ms, .. }
            | Self::WorkerEnded { at_ms, .. }
            | Self::Tick { at_ms, .. }
            | Self::Resume { at_ms }
            | Self::Cancel { at_ms }
            | Self::Settle { at_ms } => *at_ms,
        }
    }
}

/// What the driver is to do. All but `Assign` and `StartWorker` may come again; the second time changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Start a worker.
    StartWorker {
        /// Its number.
        worker: u32,
        /// Which start of that number it is, from 1.
        life: u32,
    },
    /// Answer its hello.
    Welcome {
        /// Which.
        worker: u32,
    },
    /// Give it a unit.
    Assign {
        /// Which.
        worker: u32,
        /// The unit with the tests that are still to run.
        unit: Unit,
        /// Which try.
        attempt: Attempt,
        /// Whether it wants a JVM of its own.
        fresh_jvm: bool,
    },
    /// Take these tries at units from it: they are no longer wanted there.
    Drop {
        /// Which.
        worker: u32,
        /// Which.
        units: Vec<UnitAttempt>,
    },
    /// Tell it that no more units come.
    Finish {
        /// Which.
        worker: u32,
    },
    /// Tell it that the run took too long: what it runs is to be killed, with evidence of what it was at.
    Condemn {
        /// Which.
        worker: u32,
        /// How long the run may take, in milliseconds.
        limit_ms: u64,
    },
    /// Tell it to stop at once.
    Cancel {
        /// Which.
        worker: u32,
    },
    /// End it by force.
    Kill {
        /// Which.
        worker: u32,
        /// Why.
        failure: Failure,
    },
    /// Tell the user of something that no event says.
    Problem {
        /// What.
        failure: Failure,
    },
}

/// Events and commands of one decision.
pub type Decision = (Vec<RunEvent>, Vec<Command>);

/// Decides what an input means in a state. The caller applies the events, then asks with [`Input::Settle`] until no
/// event comes; [`State::step`] does both.
pub fn decide(state: &State, input: Input) -> Decision {
    if state.finished {
        return Decision::default();
    }
    match input {
        Input::Start { at_ms } => start(state, at_ms),
        // Nothing was written down before its coordinator was gone.
        Input::Resume { at_ms } if !state.started => start(state, at_ms),
        _ if !state.started => Decision::default(),
        Input::Resume { at_ms } => silence::resume(state, at_ms),
        Input::Tick { at_ms, late_ms, slept_ms } => silence::tick(state, at_ms, late_ms, slept_ms),
        Input::Message { worker, message, at_ms } => heard::heard(state, worker, message, at_ms),
        Input::WorkerEnded { worker, failure, at_ms } => worker_ended(state, worker, failure, at_ms),
        Input::Cancel { at_ms } if state.stop.is_none() => (vec![RunEvent::CancelRequested { at_ms }], Vec::new()),
        // Whoever wants the end now waits for no dumps.
        Input::Cancel { at_ms } => (stopping::dumps_are_due(state, true, at_ms), Vec::new()),
        Input::Settle { at_ms } => settle(state, at_ms),
    }
}

fn start(state: &State, at_ms: u64) -> Decision {
    if state.started {
        return Decision::default();
    }
    let job = &state.job;
    let reused = reused(state);
    let to_run = |unit: &usize| job.reused(*unit).is_none();
    let mut events = vec![RunEvent::RunStarted {
        run: job.run.clone(),
        protocol: VERSION,
        plan: job.plan_sha256.clone(),
        workers: job.workers.len() as u32,
        units: (0..job.units.len()).filter(to_run).count() as u64,
        tests: (job.tests.len() - reused.len()) as u64,
        reused: reused
            .iter()
            .filter(|event| matches!(event, RunEvent::TestVerdict { verdict: Verdict::Reused, .. }))
            .count() as u64,
        at_ms,
    }];
    events.extend(reused);
    let mut commands = Vec::new();
    for &worker in &job.workers {
        start_worker(state, worker, at_ms, &mut events, &mut commands);
    }
    (events, commands)
}

/// The verdicts, as far as they are not told yet, of the tests of which nothing is run: an earlier run counts. Of a test in
/// slices, the latest of them. What was skipped then is skipped, not passed.
pub(super) fn reused(state: &State) -> Vec<RunEvent> {
    let job = &state.job;
    let mut events = Vec::new();
    for (index, unit) in job.units.iter().enumerate().filter(|(index, _)| job.reused(*index).is_some()) {
        for test in unit.test_ids() {
            let places = match job.tests.get(&test) {
                Some(Planned::Whole(place)) => std::slice::from_ref(place),
                Some(Planned::Sliced(sliced)) => &job.sliced[*sliced],
                None => continue,
            };
            let earlier: Option<Vec<_>> = places.iter().map(|(unit, _)| job.reused(*unit)).collect();
            let latest = earlier.and_then(|earlier| earlier.into_iter().max_by_key(|reused| reused.at_ms));
            let is_open = state.units[places[0].0].verdicts[places[0].1].is_none();
            if let Some(latest) = latest.filter(|_| places[0].0 == index && is_open) {
                let (verdict, then) = match latest.skipped.contains(&test.name) {
                    true => (Verdict::Skipped, "skipped"),
                    false => (Verdict::Reused, "passed"),
                };
                let reason = Some(format!("{then} in run {}", latest.run));
                events.push(RunEvent::TestVerdict { test, verdict, reason });
            }
        }
    }
    events
}

pub(super) fn start_worker(
    state: &State,
    worker: u32,
    at_ms: u64,
    events: &mut Vec<RunEvent>,
    commands: &mut Vec<Command>,
) {
    let (backend, image) = (state.job.backend.clone(), state.job.images.get(&worker).cloned());
    events.push(RunEvent::WorkerStarted { worker, backend, image, at_ms });
    let life = state.workers.get(worker).map_or(0, |worker| worker.starts) + 1;
    commands.push(Command::StartWorker { worker, life });
}

fn worker_ended(state: &State, worker: u32, failure: Option<Failure>, at_ms: u64) -> Decision {
    let Some(known) = state.workers.get(worker).filter(|worker| worker.life != Life::Ended) else {
        return Decision::default();
    };
    if known.life == Life::Away {
        // It was there for an earlier coordinator: who knows whether it outlived that.
        let mut events = Vec::new();
        silence::gone(state, worker, known, at_ms, &mut events);
        return (events, Vec::new());
    }
    let leaves = known.leaving.is_some() && known.hand.is_empty();
    let failure = if state.is_done() || state.stop.is_some() || leaves {
        None
    } else {
        Some(failure.unwrap_or_else(|| {
            Failure::new(FailureCode::WorkerBroken, format!("failed to keep worker {worker}: it ended by itself"))
        }))
    };
    let mut events = vec![RunEvent::WorkerEnded { worker, failure: failure.clone(), at_ms }];
    let mut commands = Vec::new();
    if let Some(failure) = failure {
        endings::worker_lost(state, worker, &known.hand, &failure, at_ms, &mut events);
        commands.push(Command::Problem { failure });
    } else {
        for held in known.hand.iter().rev() {
            endings::broken_off(state, worker, held, at_ms, &mut events);
        }
    }
    (events, commands)
}

/// One step of what the state calls for.
fn settle(state: &State, at_ms: u64) -> Decision {
    if !state.started {
        return Decision::default();
    }
    if !state.to_judge.is_empty() || !state.to_tell.is_empty() {
        return (ended_tests(state), Vec::new());
    }
    if let Some(stop) = state.stop.filter(|_| !state.is_done()) {
        return (stopping::stopped(state, stop, at_ms), Vec::new());
    }
    if state.is_done() {
        return over(state, at_ms);
    }
    if state.waiting.is_empty() {
        return Decision::default();
    }
    if let Some(worker) = state.workers.to_start_again(at_ms) {
        let (mut events, mut commands) = Decision::default();
        start_worker(state, worker, at_ms, &mut events, &mut commands);
        return (events, commands);
    }
    if state.workers.live_count() == 0 && !state.workers.may_start_again() {
        return (stopping::no_worker_left(state, at_ms), Vec::new());
    }
    match choose(state) {
        Some((worker, unit)) => assign(state, worker, unit, at_ms),
        None => Decision::default(),
    }
}

/// Every test has its verdict: the workers are told to end, and when they have, so has the run.
fn over(state: &State, at_ms: u64) -> Decision {
    if state.workers.live_count() == 0 {
        let (verdict, counts) = (state.verdict(), state.counts.clone());
        let cancelled = state.is_cancelled();
        return (vec![RunEvent::RunFinished { verdict, counts, cancelled, at_ms }], Vec::new());
    }
    let mut events = Vec::new();
    let mut commands = Vec::new();
    for (worker, known) in state.workers.live() {
        match state.stop {
            // Nobody waits for the return of one that is not there.
            Some(_) if known.life == Life::Away => {
                let silent_ms = at_ms.saturating_sub(known.heard_ms);
                silence::forgotten(state, worker, known, silent_ms, at_ms, &mut events, &mut commands);
            }
            Some(_) => commands.push(Command::Cancel { worker }),
            None => commands.push(Command::Finish { worker }),
        }
    }
    (events, commands)
}

/// The next unit and the worker that gets it: what belongs behind others first, then workers with empty hands, then those
/// with room behind what runs.
fn choose(state: &State) -> Option<(u32, usize)> {
    let (waiting, workers) = (&state.waiting, &state.workers);
    if let Some(homeward) =
        waiting.homeward().find(|(worker, _)| workers.get(*worker).is_some_and(WorkerState::is_ready))
    {
        return Some(homeward);
    }
    if waiting.nothing_first() {
        // Two see all there is: a unit is kept from one worker at most.
        let others = workers.ready_count() > 1;
        let later = |(number, _)| Some((number, waiting.next_later(number, others, state.in_hand)?));
        return workers.idle().take(2).find_map(later);
    }
    if let Some(first) = workers.idle().next() {
        let serves =
            |(_, worker): &(u32, &WorkerState)| worker.profile.is_some_and(|profile| waiting.has_alone(profile));
        // Of those that would all have to wait, one that needs no other JVM.
        let alone = waiting.only_alone(state.in_hand).then(|| workers.idle().find(serves)).flatten();
        let (number, worker) = alone.unwrap_or(first);
        let next = waiting.next(worker.profile, workers.servers(), state.in_hand);
        return next.map(|unit| (number, unit));
    }
    workers.roomiest().find_map(|(profile, waiting_ms, number)| {
        let runs_ms = workers.get(number)?.hand.front()?.estimate_ms;
        waiting.prefetch(profile, runs_ms, waiting_ms, workers.live_count()).map(|unit| (number, unit))
    })
}

fn assign(state: &State, worker: u32, index: usize, at_ms: u64) -> Decision {
    let planned = &state.job.units[index];
    let attempt = state.units[index].attempt + 1;
    let due = state.units[index].due(state.job.runs());
    let tests: Vec<_> = due.tests.iter().map(|test| planned.tests[*test].clone()).collect();
    let whole_class = planned.whole_class && tests.len() == planned.tests.len();
    let unit = Unit { tests, whole_class, ..planned.clone() };
    let event = RunEvent::UnitAssigned { unit: unit.id.clone(), worker, attempt, at_ms };
    (vec![event], vec![Command::Assign { worker, unit, attempt, fresh_jvm: due.solo }])
}

/// The verdicts of tests that have ended for good.
fn ended_tests(state: &State) -> Vec<RunEvent> {
    let planned = state.to_judge.iter().map(|(planned, judgement)| {
        let place = match *planned {
            Planned::Whole(place) => place,
            Planned::Sliced(sliced) => state.job.sliced[sliced][0],
        };
        (state.job.test_id(place), judgement)
    });
    let others = state.to_tell.iter().map(|(test, judgement)| (test.clone(), judgement));
    let verdict = |(test, (verdict, reason)): (TestId, &(Verdict, Option<String>))| RunEvent::TestVerdict {
        test,
        verdict: *verdict,
        reason: reason.clone(),
    };
    planned.chain(others).map(verdict).collect()
}

pub(super) fn verdict_lost(test: TestId, reason: &str) -> RunEvent {
    RunEvent::TestVerdict { test, verdict: Verdict::Lost, reason: Some(reason.to_owned()) }
}

/// No result of a test, or of the slice of it that `unit` runs, will come.
pub(super) fn lost(state: &State, test: TestId, unit: usize, reason: &str) -> RunEvent {
    match state.job.slice_of(unit) {
        Some(slice) if state.job.tests.contains_key(&test) => {
            RunEvent::SliceLost { test, slice, reason: reason.to_owned() }
        }
        _ => verdict_lost(test, reason),
    }
}

/// A try at a test of `unit` ended. Its verdict, if there is no other try, follows from the state.
pub(super) fn test_ended(
    state: &State,
    events: &mut Vec<RunEvent>,
    test: TestId,
    unit: usize,
    worker: Option<u32>,
    attempt: Attempt,
    finished: Finished,
) {
    let slice = state.job.slice_of(unit).filter(|_| state.job.tests.contains_key(&test));
    events.push(RunEvent::TestFinished { test, worker, attempt, slice, finished });
}
