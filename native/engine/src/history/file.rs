//! How timings are written: JSON with one line per class, each complete in itself, so that version control can merge
//! two files line by line (`merge=union`), and whatever comes of it is read.

use super::{InvocationTimes, Observation, PastRun, RunKey, Series};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Raised when a reader of the former format would misunderstand. The first format had no number.
pub(crate) const FORMAT: u32 = 2;

/// The last line of a file: the others can then all end with a comma.
const LAST_LINE: &str = "null]}\n";

/// Everything in a timings file.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) lines: Vec<Option<Line>>,
    /// The first format: task, class.
    #[serde(default)]
    pub(crate) tasks: BTreeMap<TaskPath, BTreeMap<String, FirstFormatClass>>,
}

/// What the first format kept of a class: durations alone, the oldest first.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct FirstFormatClass {
    #[serde(default)]
    pub(crate) setup: Vec<u64>,
    #[serde(default)]
    pub(crate) tests: BTreeMap<String, Vec<u64>>,
}

/// Which formats a file may have.
#[derive(Deserialize)]
pub(crate) struct Head {
    /// `None`: the first.
    pub(crate) timings: Option<u32>,
}

/// One line: a class, a Test task's JVM starts, or a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunKey>,
    /// What was predicted of the run and what came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) past: Option<PastRun>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<TaskPath>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<String>,
    /// The last day on which it was there, where no run tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<u32>,
    /// The runs that the columns below are of, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) runs: Vec<RunKey>,
    /// Microseconds from the start of a JVM until its harness answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) jvm: Vec<Option<u64>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) setup: Vec<Option<u64>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tests: BTreeMap<String, Vec<Option<Observation>>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) parts: BTreeMap<String, Vec<Option<InvocationTimes>>>,
}

/// All runs of several series, the newest first: the columns of a line.
pub(crate) fn columns(runs: impl Iterator<Item = RunKey>) -> Vec<RunKey> {
    runs.collect::<BTreeSet<_>>().into_iter().rev().collect()
}

/// A series as cells below `columns`; what is missing at the end is left out.
pub(crate) fn cells<T: Clone + Ord, const KEPT: usize>(series: &Series<T, KEPT>, columns: &[RunKey]) -> Vec<Option<T>> {
    let mut cells: Vec<Option<T>> = columns.iter().map(|run| series.at(*run).cloned()).collect();
    let used = cells.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    cells.truncate(used);
    cells
}

/// The series of cells below `columns`.
///
/// # Errors
/// When there are more cells than columns.
pub(crate) fn series<T: Clone + Ord, const KEPT: usize>(
    cells: Vec<Option<T>>,
    columns: &[RunKey],
) -> std::result::Result<Series<T, KEPT>, String> {
    if cells.len() > columns.len() {
        return Err(format!("{} values of {} runs", cells.len(), columns.len()));
    }
    let mut series = Series::default();
    for (run, value) in columns.iter().zip(cells) {
        if let Some(value) = value {
            series.add(*run, value);
        }
    }
    Ok(series)
}

/// The whole text of a file.
///
/// # Errors
/// `Internal` when a line has no JSON form.
pub(crate) fn text(protocol: u32, lines: impl Iterator<Item = Line>) -> Result<Vec<u8>> {
    let mut text = format!("{{\"protocol\":{protocol},\"timings\":{FORMAT},\"lines\":[\n");
    for line in lines {
        let json = serde_json::to_string(&line)
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to write timings as JSON").cause(&error))?;
        text.push_str(&json);
        text.push_str(",\n");
    }
    text.push_str(LAST_LINE);
    Ok(text.into_bytes())
}
