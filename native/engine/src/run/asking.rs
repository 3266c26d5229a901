//! Asking the frameworks themselves which tests classes have, through agents of a backend.
//!
//! Each agent takes one Test task after another, so that there is one harness JVM for each task and no more of them at a time than
//! there are agents. Nothing is run; what the JVMs write is dropped.

use super::link::{self, Arrival, Begin, Order};
use crate::backend::{Backend, WorkerLife};
use crate::discover::{Answer, Question};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use testfleet_protocol::agent::{AgentMessage, CoordinatorMessage};
use testfleet_protocol::run_options::Rules;
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Messages that may wait to be looked at.
const ARRIVALS: usize = 256;

/// Answers by class, in the order of the questions.
pub type AllAnswers = Vec<BTreeMap<String, Answer>>;

/// Asks up to `agents` of the questions at a time, until all are answered.
///
/// # Errors
/// `JvmStart` when a task's JVM does not start, `WorkerBroken` when an agent breaks, `Cancelled` once `cancel` turns true.
pub async fn ask(
    backend: Arc<dyn Backend>,
    run: &str,
    questions: Vec<Question>,
    agents: usize,
    cancel: watch::Receiver<bool>,
) -> Result<AllAnswers> {
    let count = questions.len();
    let todo: Arc<Mutex<VecDeque<(usize, Question)>>> =
        Arc::new(Mutex::new(questions.into_iter().enumerate().collect()));
    let (stop, stopped) = watch::channel(false);
    let mut asking = JoinSet::new();
    for worker in 1..=agents.min(count) {
        let worker = u32::try_from(worker).unwrap_or(u32::MAX);
        let (todo, run) = (Arc::clone(&todo), run.to_owned());
        let ends = [cancel.clone(), stopped.clone()];
        let (orders, received) = mpsc::unbounded_channel();
        let (arrivals, arrived) = mpsc::channel(ARRIVALS);
        let backend = Arc::clone(&backend);
        asking.spawn(async move {
            let agent = Agent { worker, run, orders, todo, current: None, answers: Vec::new(), finishing: false };
            let live = link::live(WorkerLife { worker, life: 1 }, Begin::Start, backend.as_ref(), received, arrivals);
            // In one task, so that nothing survives it.
            let ((), answers) = tokio::join!(live, agent.work(arrived, ends));
            answers
        });
    }
    let mut all: AllAnswers = vec![BTreeMap::new(); count];
    let mut failure = None;
    while let Some(ended) = asking.join_next().await {
        let ended = ended.unwrap_or_else(|error| {
            Err(Failure::new(FailureCode::Internal, "failed to look after an agent that asks").cause(&error))
        });
        match ended {
            Ok(answers) => answers.into_iter().for_each(|(index, of_task)| all[index] = of_task),
            Err(first) => {
                // The others are stopped by it, and say so: only the first tells why.
                failure.get_or_insert(first);
                stop.send_replace(true);
            }
        }
    }
    failure.map_or(Ok(all), Err)
}

/// One agent, and what it is asked at the moment.
struct Agent {
    worker: u32,
    run: String,
    orders: mpsc::UnboundedSender<Order>,
    todo: Arc<Mutex<VecDeque<(usize, Question)>>>,
    current: Option<Current>,
    answers: Vec<(usize, BTreeMap<String, Answer>)>,
    finishing: bool,
}

struct Current {
    index: usize,
    task: TaskPath,
    open: BTreeSet<String>,
    answers: BTreeMap<String, Answer>,
}

impl Agent {
    async fn work(
        mut self,
        mut arrived: mpsc::Receiver<Arrival>,
        mut ends: [watch::Receiver<bool>; 2],
    ) -> Result<Vec<(usize, BTreeMap<String, Answer>)>> {
        let mut failure = None;
        loop {
            let [cancel, stop] = &mut ends;
            let arrival = tokio::select! {
                arrival = arrived.recv() => arrival,
                () = turned(cancel), if failure.is_none() => {
                    failure = Some(Failure::new(FailureCode::Cancelled, "the run was cancelled"));
                    self.say(CoordinatorMessage::Cancel);
                    continue;
                }
                () = turned(stop), if failure.is_none() => {
                    failure = Some(Failure::new(FailureCode::Cancelled, "another task's framework could not be asked"));
                    self.say(CoordinatorMessage::Cancel);
                    continue;
                }
            };
            match arrival {
                Some(Arrival::Message { seq, message, .. }) => {
                    if failure.is_none()
                        && let Err(first) = self.hear(message)
                    {
                        failure = Some(first);
                        self.say(CoordinatorMessage::Cancel);
                    }
                    self.say(CoordinatorMessage::Ack { seq });
                }
                Some(Arrival::Ended { failure: how, .. }) => {
                    return match failure {
                        Some(failure) => Err(failure),
                        None if self.finishing && self.current.is_none() => Ok(self.answers),
                        None => Err(how),
                    };
                }
                None => return Err(broken(self.worker, "its end was not seen")),
            }
        }
    }

    fn hear(&mut self, message: AgentMessage) -> Result<()> {
        match message {
            AgentMessage::Hello { protocol, version, .. } if protocol != VERSION => {
                return Err(Failure::new(
                    FailureCode::ProtocolVersion,
                    format!(
                        "failed to ask a test framework: the agent {version} speaks protocol {protocol}, not {VERSION}"
                    ),
                )
                .hint("use the agent of the same Testfleet version"));
            }
            AgentMessage::Hello { .. } => {
                let run = self.run.clone();
                self.say(CoordinatorMessage::Welcome {
                    protocol: VERSION,
                    run,
                    epoch: 1,
                    seen: Some(0),
                    rules: Rules::default(),
                });
                self.next();
            }
            AgentMessage::Discovered { task, class, engines, tests } => {
                self.answer(&task, class, Answer::Found { engines, tests });
            }
            AgentMessage::DiscoveryFailed { task, class, thrown } => {
                self.answer(&task, class, Answer::Refused(thrown));
            }
            AgentMessage::DiscoveryFinished { task } => {
                if let Some(done) = self.current.take_if(|current| current.task == task) {
                    if let Some(silent) = done.open.first() {
                        return Err(broken(self.worker, &format!("it gave no answer about {silent} of {task}")));
                    }
                    self.answers.push((done.index, done.answers));
                    self.next();
                }
            }
            AgentMessage::JvmDied { task, reason, was_ready: false, .. } => {
                return Err(Failure::new(
                    FailureCode::JvmStart,
                    format!("failed to start the test JVM of {task}, to ask it which tests there are"),
                )
                .cause_text(reason)
                .hint("check the task's JVM, jvmArgs, maxHeapSize and classpath"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks about the next task, or lets the agent end.
    fn next(&mut self) {
        let next = self.todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match next {
            Some((index, Question { task, classes, .. })) => {
                let open = classes.iter().cloned().collect();
                self.current = Some(Current { index, task: task.clone(), open, answers: BTreeMap::new() });
                self.say(CoordinatorMessage::Ask { task, classes });
            }
            None => {
                self.finishing = true;
                self.say(CoordinatorMessage::Finish);
            }
        }
    }

    fn answer(&mut self, task: &TaskPath, class: String, answer: Answer) {
        if let Some(current) = self.current.as_mut().filter(|current| current.task == *task)
            && current.open.remove(&class)
        {
            current.answers.insert(class, answer);
        }
    }

    fn say(&self, message: CoordinatorMessage) {
        // An agent whose life is over says so itself.
        let _ = self.orders.send(Order::Say(message));
    }
}

/// Returns once it is true; never when nobody can make it so any more.
async fn turned(end: &mut watch::Receiver<bool>) {
    if end.wait_for(|end| *end).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn broken(worker: u32, why: &str) -> Failure {
    Failure::new(FailureCode::WorkerBroken, format!("failed to ask a test framework: agent {worker} broke"))
        .cause_text(why)
        .hint("agent and engine must come from the same Testfleet version")
}
