//! `index.html`: one file that needs nothing else, made by a template that escapes every value.

mod page;
mod stored;
mod timeline;

use super::Aggregate;
use super::files;
use super::summary::Summary;
use askama::Template;
use page::Page;
use std::path::{Path, PathBuf};
use testfleet_protocol::plan::Plan;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Writes `index.html` and returns its path.
///
/// # Errors
/// `FailureCode::Io` when it can't be written.
pub fn write_html(aggregate: &Aggregate, summary: &Summary, plan: &Plan, reports_dir: &Path) -> Result<PathBuf> {
    files::make_folder(reports_dir)?;
    let path = reports_dir.join("index.html");
    files::replace(&path, render(aggregate, summary, plan, reports_dir)?.as_bytes())?;
    Ok(path)
}

fn render(aggregate: &Aggregate, summary: &Summary, plan: &Plan, reports_dir: &Path) -> Result<String> {
    let internal = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(FailureCode::Internal, "failed to render index.html").cause(error)
    };
    // The page allows only scripts and styles that carry this word. It hangs on everything that the run measured, so that no
    // test can know it while it chooses its name or message.
    let measured = serde_json::to_string(summary).map_err(|error| internal(&error))?;
    let page = Page::of(aggregate, summary, plan, files::short_digest(&measured), reports_dir);
    page.render().map_err(|error| internal(&error))
}

#[cfg(test)]
mod tests;
