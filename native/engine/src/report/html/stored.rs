//! Files that workers sent, as the page shows them.

use super::page::{LISTED, NAME};
use crate::report::Aggregate;
use crate::report::files;
use crate::report::records::{StoredFile, TestRecord};
use crate::report::words::{first_line, thousands};
use std::path::Path;
use testfleet_protocol::agent::FileOf;
use testfleet_protocol::test::Stream;

/// A row about a file that a worker sent.
pub(super) struct Stored {
    pub(super) what: String,
    pub(super) worker: u32,
    pub(super) size: String,
    pub(super) link: String,
}

/// Links to all that a test wrote, where it was too much to be shown.
pub(super) fn wholes(aggregate: &Aggregate, test: &TestRecord, reports_dir: &Path) -> Vec<(String, String)> {
    let outputs = aggregate.whole_outputs(&test.id).into_iter().map(|(stream, stored)| {
        let words = format!("{} bytes that it wrote to {}", thousands(stored.size), stream_word(stream));
        (words, link(aggregate, reports_dir, stored))
    });
    outputs.collect()
}

fn stream_word(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "System.out",
        Stream::Stderr => "System.err",
    }
}

/// Files that workers sent: what it is, its size, where it is. Coverage has reports of its own.
pub(super) fn stored_files(aggregate: &Aggregate, reports_dir: &Path) -> Vec<Stored> {
    let row = |stored: &StoredFile| {
        let what = match &stored.of {
            FileOf::Jacoco { .. } => return None,
            FileOf::Collected { path, .. } => path.clone(),
            FileOf::Crash { name, .. } => name.clone(),
            FileOf::Output { test, stream, .. } => {
                let whose = test.as_ref().map_or_else(|| "between tests".to_owned(), ToString::to_string);
                format!("{} of {whose}", stream_word(*stream))
            }
        };
        Some(Stored {
            what: first_line(&what, NAME),
            worker: stored.worker,
            size: thousands(stored.size),
            link: link(aggregate, reports_dir, stored),
        })
    };
    aggregate.files.iter().filter_map(row).take(LISTED).collect()
}

/// Where a file is, seen from the page.
fn link(aggregate: &Aggregate, reports_dir: &Path, stored: &StoredFile) -> String {
    let path = aggregate.run_dir.as_deref().unwrap_or(Path::new("")).join(&stored.path);
    files::relative_url(reports_dir, &path)
}
