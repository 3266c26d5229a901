//! A run of the size that a large cluster sees, against the state machine alone: what each step costs must not grow with
//! the number of workers or of waiting units.

use super::decide::{Command, Input};
use super::test_plans::{finished, input_of, plan_of};
use super::{Queue, State};
use std::collections::VecDeque;
use testfleet_protocol::agent::AgentMessage;
use testfleet_protocol::plan::{Lock, Unit};
use testfleet_protocol::test::{Outcome, Verdict};

const WORKERS: u32 = 1_000;
const UNITS: usize = 50_000;

#[test]
fn fifty_thousand_units_on_a_thousand_workers() {
    let shape: Vec<_> = (0..UNITS).map(|unit| ((unit % 158) as u8, 2, 1 + (unit * 7_919 % 1_000) as u64)).collect();
    let mut plan = plan_of(&shape);
    for (index, unit) in plan.units.iter_mut().enumerate() {
        unit.rank = (index % 3) as u32;
        let lock = |resource: String, exclusive| vec![Lock { resource, exclusive }];
        match index % 100 {
            0 => unit.locks = lock(format!("port-{}", index % 700), true),
            1 | 2 => unit.locks = lock("properties".into(), index % 1_000 == 1),
            3 => unit.together = Some(format!("suite-{}", index % 900)),
            4 if index % 5_000 == 4 => unit.locks = lock(Lock::EVERYTHING.into(), true),
            _ => {}
        }
    }
    let input = input_of(plan, Queue::Dynamic, WORKERS);
    let mut state = State::new(&input, "scale").unwrap();
    let mut hands: Vec<VecDeque<(Unit, u32)>> = vec![VecDeque::new(); WORKERS as usize + 1];
    let mut busy: VecDeque<u32> = VecDeque::new();
    let feed = |state: &mut State, input, hands: &mut Vec<VecDeque<(Unit, u32)>>, busy: &mut VecDeque<u32>| {
        for command in state.step(input).1 {
            if let Command::Assign { worker, unit, attempt, .. } = command {
                if hands[worker as usize].is_empty() {
                    busy.push_back(worker);
                }
                hands[worker as usize].push_back((unit, attempt));
            }
        }
    };
    feed(&mut state, Input::Start { at_ms: 0 }, &mut hands, &mut busy);
    for worker in 1..=WORKERS {
        let message = AgentMessage::first_hello(worker, 1, "1", "h".into(), worker);
        feed(&mut state, Input::Message { worker, message, at_ms: 1 }, &mut hands, &mut busy);
    }
    while let Some(worker) = busy.pop_front() {
        let (unit, attempt) = hands[worker as usize].pop_front().unwrap();
        let more = !hands[worker as usize].is_empty();
        for test in unit.tests {
            for message in [
                AgentMessage::TestStarted { unit: unit.id.clone(), attempt, test: test.clone() },
                AgentMessage::TestFinished {
                    unit: unit.id.clone(),
                    attempt,
                    test,
                    finished: finished(Outcome::Passed),
                },
            ] {
                feed(&mut state, Input::Message { worker, message, at_ms: 2 }, &mut hands, &mut busy);
            }
        }
        if more {
            busy.push_back(worker);
        }
        let message = AgentMessage::UnitFinished { unit: unit.id, attempt };
        feed(&mut state, Input::Message { worker, message, at_ms: 3 }, &mut hands, &mut busy);
    }
    assert_eq!(state.counts().get(&Verdict::Passed), Some(&(2 * UNITS as u64)));
    assert!(state.waiting.is_at_rest());
    for worker in 1..=WORKERS {
        state.step(Input::WorkerEnded { worker, failure: None, at_ms: 4 });
    }
    assert!(state.is_finished());
}
