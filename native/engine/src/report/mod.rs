//! Events to console, JUnit XML, HTML and JSON.
//!
//! Everything here is fed by [`RunEvent`]s alone, and by the plan for names, units and estimates.
//! [`Aggregate`] is the fold of the events; [`console`] words them as they come; [`write_all`] writes
//! the documents at the end.
//!
//! [`RunEvent`]: testfleet_protocol::event::RunEvent

mod aggregate;
mod cases;
pub mod console;
#[cfg(test)]
mod docs_check;
mod files;
pub mod html;
pub mod junit;
mod output;
mod records;
pub mod summary;
#[cfg(test)]
mod test_support;
pub(crate) mod words;

pub use aggregate::Aggregate;
pub use console::{Console, ConsoleOptions};
pub use summary::{Summary, TestSummary};

use std::path::PathBuf;
use testfleet_protocol::Result;
use testfleet_protocol::plan::Plan;

/// Where the documents go. Both folders are Testfleet's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportDirs {
    /// JUnit XML. `TEST-*.xml` of earlier runs is removed from it.
    pub results_dir: PathBuf,
    /// `index.html` and `summary.json`.
    pub reports_dir: PathBuf,
}

/// Writes JUnit XML, `summary.json` and `index.html`. Returns what was written, named as in
/// [`Event::Written`](testfleet_protocol::event::Event::Written); the JUnit XML by its folder.
///
/// # Errors
/// `FailureCode::Io` when a file or folder can't be written. Files are replaced whole: none is left half
/// written, whatever happens.
pub fn write_all(aggregate: &Aggregate, plan: &Plan, dirs: &ReportDirs) -> Result<Vec<(String, PathBuf)>> {
    junit::write_junit(aggregate, &dirs.results_dir)?;
    let summary = aggregate.summary();
    let summary_file = summary::write_summary(&summary, &dirs.reports_dir)?;
    let html_file = html::write_html(aggregate, &summary, plan, &dirs.reports_dir)?;
    Ok(vec![
        ("junit-xml".to_owned(), dirs.results_dir.clone()),
        ("summary".to_owned(), summary_file),
        ("html".to_owned(), html_file),
    ])
}
