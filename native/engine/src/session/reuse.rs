//! What passed before, read before a run and written after it.

use super::{Context, history};
use crate::clock::now_ms;
use crate::discover::Discovery;
use crate::report::words::counted;
use crate::reuse::{KEPT_DAYS, Keys, Outcomes, PassedBefore, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use testfleet_protocol::Result;
use testfleet_protocol::event::Level;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::request::Reuse;

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
        Ok(Self { discovery, keys, store })
    }

    pub(crate) fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    pub(crate) fn passed(&self, reuse: Reuse) -> PassedBefore<'_> {
        PassedBefore { keys: &self.keys, store: &self.store, reuse }
    }

    /// `Reach: known of 96 test classes; 4 count by their whole classpath: com.acme.Plugins calls java.lang.Class.forName (3), ...`
    pub(crate) fn describe(&self) -> String {
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

    /// Notes what a run came to, for classes that are as they were before it.
    ///
    /// # Errors
    /// When the classes can't be read any more, or the store not be written.
    pub(crate) fn record(&self, context: &Context<'_>, plan: &Plan, outcomes: &Outcomes, run: &str) -> Result<()> {
        let now_ms = now_ms();
        let days = context.request.options.history.as_ref().map_or(KEPT_DAYS, |history| history.expire_days);
        // Reading again costs as much as it did before, and says nothing when nothing ran.
        let after = if outcomes.is_empty() { None } else { Some(Keys::of(&context.request, &self.discovery)?) };
        let mut ours = Store::default();
        Store::update(&file(context), |store| {
            outcomes.record(plan, &self.keys, after.as_ref().unwrap_or(&self.keys), run, now_ms, store);
            store.expire(now_ms, days);
            ours.clone_from(store);
        })?;
        history::publish(context, PASSED, |theirs| {
            let mut all = ours.clone();
            // A damaged copy is replaced.
            if let Some(Ok(theirs)) = theirs.map(|bytes| Store::parse(Path::new(PASSED), bytes)) {
                all.merge(&theirs);
            }
            all.expire(now_ms, days);
            all.bytes()
        });
        Ok(())
    }
}
