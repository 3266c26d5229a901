//! A machine for tests of what is kept on it and shared with others.

use super::{Context, Sink};
use crate::test_request;
use std::sync::mpsc::{Receiver, channel};
use testfleet_protocol::event::{Event, Level};
use testfleet_protocol::plan::Shard;
use testfleet_protocol::request::SharedHistory;
use tokio::sync::watch;

/// One machine: its folder, what it says, and a place that it shares with others.
pub(super) struct Machine {
    pub(super) folder: tempfile::TempDir,
    sink: Sink,
    said: Receiver<Event>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let (sender, said) = channel();
        Self { folder: tempfile::tempdir().unwrap(), sink: Sink { sender }, said }
    }

    pub(super) fn context(&self, location: &str, shard: Option<Shard>) -> Context<'_> {
        let mut request = test_request::empty();
        request.timings_file = self.folder.path().join("timings.json");
        request.state_dir = self.folder.path().join("state");
        request.options.shard = shard;
        request.options.history = Some(SharedHistory {
            location: location.to_owned(),
            branch: "main".into(),
            fallback_branch: "main".into(),
            publish: true,
            expire_days: 30,
            journal: false,
            user_variable: None,
            password_variable: None,
        });
        let (_, cancelled) = watch::channel(false);
        Context { request, environment: [].into(), sink: &self.sink, cancelled, run_events: false }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let warning = |event| match event {
            Event::Console { level: Level::Warn, text } => Some(text),
            _ => None,
        };
        self.said.try_iter().filter_map(warning).collect()
    }
}
