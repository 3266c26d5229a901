//! What passed before, read before a run and written after it.

use super::{Context, history};
use crate::clock::now_ms;
use crate::discover::Discovery;
use crate::report::words::counted;
use crate::reuse::{Keys, Outcomes, PassedBefore, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use testfleet_protocol::Result;
use testfleet_protocol::event::Level;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::request::{Reuse, TestTask};
use testfleet_protocol::test::TaskPath;

/// Name of the shared document with what passed.
const PASSED: &str = "passed";

/// How many reasons for a reach that is not known are told.
const NAMED: usize = 5;

/// The keys of all classes, and what passed under which.
pub(crate) struct Before {
    discovery: Discovery,
    keys: Keys,
    store: Store,
}

fn file(context: &Context<'_>) -> PathBuf {
    context.request.state_dir.join("passed.json")
}

impl Before {
    /// Reads what the tests of a build reach and what passed before.
    ///
    /// # Errors
    /// As for [`Keys::of`]. A damaged store is told and left out.
    pub(crate) fn read(context: &Context<'_>, discovery: Discovery) -> Result<Self> {
        let keys = Keys::of(&context.request, &discovery)?;
        let (mut store, damage) = Store::load(&file(context));
        if let Some(failure) = damage {
            context.sink.say(Level::Warn, failure.to_string());
        }
        if context.request.options.reuse != Reuse::Off
            && let Some(bytes) = history::read_shared(context, PASSED)
        {
            match Store::parse(Path::new(PASSED), &bytes) {
                Ok(theirs) => store.merge(&theirs),
                Err(failure) => context.sink.say(Level::Warn, failure.to_string()),
            }
        }
        let before = Self { discovery, keys, store };
        context.sink.say(Level::Info, before.describe());
        Ok(before)
    }

    /// Nothing: for who reuses nothing and runs nothing, as reading what tests reach takes longest of all.
    pub(crate) fn unread(discovery: Discovery) -> Self {
        Self { discovery, keys: Keys::default(), store: Store::default() }
    }

    pub(crate) fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    pub(crate) fn passed(&self, reuse: Reuse) -> PassedBefore<'_> {
        PassedBefore { keys: &self.keys, store: &self.store, reuse }
    }

    /// `Nothing is reused of :app:test: ...` for Test tasks that run whatever passed before.
    pub(crate) fn describe_exempt(&self, context: &Context<'_>) -> Vec<String> {
        if context.request.options.reuse == Reuse::Off {
            return Vec::new();
        }
        let has_tests =
            |path: &TaskPath| self.discovery.tasks.iter().any(|found| found.task == *path && !found.classes.is_empty());
        let tasks: Vec<&TestTask> = context.request.tasks.iter().filter(|task| has_tests(&task.path)).collect();
        let measured = tasks.iter().filter(|task| task.jacoco_file.is_some());
        let names: Vec<&str> = measured.map(|task| task.path.0.as_str()).collect();
        let measured = (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!(
                "Nothing is reused of {names}: JaCoCo measures what runs, and a test that is not run would be missing there"
            )
        });
        let unclear = tasks.iter().filter(|task| !task.properties_without_text.is_empty()).map(|task| {
            format!(
                "Nothing is reused of {}: of its inputs.property it can't be told whether they changed: {}\n  hint: declare a text, \
                 a number, or a list or map of these",
                task.path.0,
                task.properties_without_text.join(", ")
            )
        });
        measured.into_iter().chain(unclear).collect()
    }

    /// `Reach: known of 96 test classes; 4 count by their whole classpath: com.acme.Plugins calls java.lang.Class.forName (3), ...`
    fn describe(&self) -> String {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        let mut known = 0;
        for (_, _, class) in self.keys.iter() {
            match &class.whole_classpath {
                None => known += 1,
                Some(why) => *reasons.entry(why).or_default() += 1,
            }
        }
        let mut text = format!("Reach: known of {}", counted(known, "test class", "test classes"));
        let unknown: u64 = reasons.values().sum();
        if unknown > 0 {
            let mut reasons: Vec<_> = reasons.into_iter().collect();
            reasons.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            let named: Vec<_> = reasons.iter().take(NAMED).map(|(why, count)| format!("{why} ({count})")).collect();
            let rest = if reasons.len() > NAMED { ", ..." } else { "" };
            text.push_str(&format!("; {unknown} by whole classpath: {}{rest}", named.join(", ")));
        }
        text
    }

    /// Notes what a run came to, for classes that are as they were before it. What is shared is what this run saw: whoever
    /// publishes answers for that alone, and not for what others left in the store of the machine.
    ///
    /// # Errors
    /// When the classes can't be read any more, or the store not be written.
    pub(crate) fn record(&self, context: &Context<'_>, plan: &Plan, outcomes: &Outcomes, run: &str) -> Result<()> {
        let (now_ms, days) = (now_ms(), history::kept_days(context));
        // Reading again costs as much as it did before, and says nothing when nothing ran.
        let after = if outcomes.is_empty() { None } else { Some(Keys::of(&context.request, &self.discovery)?) };
        let after = after.as_ref().unwrap_or(&self.keys);
        let add_to = |store: &mut Store| {
            outcomes.record(plan, &self.keys, after, run, now_ms, store);
            store.expire(now_ms, days);
        };
        Store::update(&file(context), add_to)?;
        history::publish(context, PASSED, |theirs| {
            // A damaged copy is replaced.
            let theirs = theirs.and_then(|bytes| Store::parse(Path::new(PASSED), bytes).ok());
            let mut theirs = theirs.unwrap_or_default();
            add_to(&mut theirs);
            theirs.bytes()
        });
        Ok(())
    }
}

#[cfg(test)]
#[path = "reuse_tests.rs"]
mod tests;
