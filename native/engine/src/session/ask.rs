//! Asks harness JVMs of this machine where class files can't tell, unless they were asked about the same before.

use super::{Context, runs};
use crate::backend::local::{LocalBackend, LocalConfig};
use crate::bundle::{content_keys, of_tasks};
use crate::discover::{Answer, AnswerCache, AskHarness, Question};
use crate::document;
use crate::report::words::{counted, duration};
use crate::run;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;
use testfleet_protocol::event::Level;
use testfleet_protocol::request::RunRequest;
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Reasons that one line names.
const NAMED: usize = 3;

/// Local agents with the profiles, and in the environment, that tests run with.
pub(crate) struct LocalHarness<'a> {
    pub(crate) context: &'a Context<'a>,
}

impl AskHarness for LocalHarness<'_> {
    fn ask(&self, request: &RunRequest, questions: &[Question]) -> Result<Vec<BTreeMap<String, Answer>>> {
        let tasks: BTreeSet<&TaskPath> = questions.iter().map(|question| &question.task).collect();
        let bundle = of_tasks(request, &tasks)?;
        let keys = content_keys(request, &bundle)?;
        self.context.check_cancelled()?;
        let cache = AnswerCache::new(&request.state_dir);
        let mut known = Vec::new();
        let mut open = Vec::new();
        for (index, question) in questions.iter().enumerate() {
            let key = keys.get(&question.task).cloned().unwrap_or_default();
            let before = cache.load(&key).unwrap_or_else(|failure| {
                self.context.sink.say(Level::Warn, failure.to_string());
                BTreeMap::new()
            });
            let classes: Vec<String> =
                question.classes.iter().filter(|class| !before.contains_key(*class)).cloned().collect();
            if !classes.is_empty() {
                let reasons = question.reasons.clone();
                open.push((index, Question { task: question.task.clone(), classes, reasons }));
            }
            known.push((key, before));
        }
        if !open.is_empty() {
            let (indices, open): (Vec<usize>, Vec<Question>) = open.into_iter().unzip();
            let answers = self.ask_aloud(&document::bytes(&bundle)?, &open)?;
            for (index, new) in indices.into_iter().zip(answers) {
                let (key, answers) = &mut known[index];
                answers.extend(new);
                if let Err(failure) = cache.save(key, answers) {
                    self.context.sink.say(Level::Warn, failure.to_string());
                }
            }
        }
        Ok(known.into_iter().map(|(_, answers)| answers).collect())
    }
}

impl LocalHarness<'_> {
    fn ask_aloud(&self, bundle: &[u8], questions: &[Question]) -> Result<Vec<BTreeMap<String, Answer>>> {
        let sink = self.context.sink;
        sink.say(Level::Lifecycle, describe(questions));
        for question in questions {
            let classes = question.classes.join(", ");
            sink.say(Level::Info, format!("{}: asking about {classes}", question.task));
        }
        let started = Instant::now();
        let answers = self.ask_agents(bundle, questions)?;
        let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let has_tests = |answer: &&Answer| matches!(answer, Answer::Found { tests, .. } if !tests.is_empty());
        let with_tests = answers.iter().flat_map(BTreeMap::values).filter(has_tests).count() as u64;
        let with_tests = counted(with_tests, "class", "classes");
        sink.say(Level::Lifecycle, format!("Asked in {}: {with_tests} with tests", duration(took)));
        Ok(answers)
    }

    fn ask_agents(&self, bundle: &[u8], questions: &[Question]) -> Result<Vec<BTreeMap<String, Answer>>> {
        let context = self.context;
        let output = context.output();
        let failed = |error: &std::io::Error| Failure::io("write a bundle for asking in", output, error);
        fs::create_dir_all(output).map_err(|error| failed(&error))?;
        let mut file = tempfile::Builder::new()
            .prefix("asking-")
            .suffix(".json")
            .tempfile_in(output)
            .map_err(|error| failed(&error))?;
        file.write_all(bundle).map_err(|error| failed(&error))?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let agents = questions.len().min(processors);
        let run = format!("ask-{}", runs::new_id());
        let backend = LocalBackend::new(LocalConfig {
            agent: context.request.agent.clone(),
            bundle: file.path().to_owned(),
            roots: context.request.roots.clone().into_iter().collect(),
            workers_total: context.request.options.workers.max(u32::try_from(agents).unwrap_or(u32::MAX)),
            environment: context.environment.clone(),
            run: run.clone(),
            isolation: Default::default(),
            debug_jvm: false,
            answer_within: None,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("testfleet-ask")
            .enable_all()
            .build()
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to start threads for asking").cause(&error))?;
        let cancelled = context.cancelled.clone();
        runtime.block_on(run::ask(Arc::new(backend), &run, questions.to_vec(), agents, cancelled))
    }
}

/// `Asking test frameworks about 214 classes of 2 Test tasks: the engine net.jqwik.engine.JqwikTestEngine (200), @Suite (14)`
fn describe(questions: &[Question]) -> String {
    let classes: usize = questions.iter().map(|question| question.classes.len()).sum();
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, count) in questions.iter().flat_map(|question| &question.reasons) {
        *reasons.entry(reason).or_default() += count;
    }
    let mut reasons: Vec<(&str, u64)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    let mut named: Vec<String> =
        reasons.iter().take(NAMED).map(|(reason, count)| format!("{reason} ({count})")).collect();
    if reasons.len() > NAMED {
        named.push("...".to_owned());
    }
    let of = match questions {
        [question] => question.task.to_string(),
        _ => counted(questions.len() as u64, "Test task", "Test tasks"),
    };
    let classes = counted(classes as u64, "class", "classes");
    format!("Asking test frameworks about {classes} of {of}: {}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(task: &str, reasons: &[(&str, u64)]) -> Question {
        let count: u64 = reasons.iter().map(|(_, count)| count).sum();
        Question {
            task: TaskPath(task.into()),
            classes: (0..count).map(|n| format!("C{n}")).collect(),
            reasons: reasons.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
        }
    }

    #[test]
    fn what_is_asked_and_why_is_one_line() {
        let one = [question(":test", &[("@Suite", 1)])];
        assert_eq!(describe(&one), "Asking test frameworks about 1 class of :test: @Suite (1)");
        let many = [
            question(":a:test", &[("@Suite", 1), ("the engine E", 9), ("suite()", 1)]),
            question(":b:test", &[("the engine E", 1), ("@Factory", 2)]),
        ];
        assert_eq!(
            describe(&many),
            "Asking test frameworks about 14 classes of 2 Test tasks: the engine E (10), @Factory (2), @Suite (1), ..."
        );
    }
}
