//! What each worker did when, as bars.

use crate::report::Aggregate;
use crate::report::summary::{Summary, UnitSummary};
use crate::report::words::{counted, duration, printable};
use std::collections::HashMap;
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::test::Verdict;

/// Width of a lane in its own units.
const WIDTH: f64 = 1_000.0;
/// Bars narrower than this are drawn together: a run of ten thousand short units stays small, and visible.
const NARROW: f64 = 2.0;

/// One worker.
pub(super) struct Lane {
    pub(super) number: u32,
    pub(super) label: String,
    pub(super) end: String,
    pub(super) bars: Vec<Bar>,
}

/// One unit, or several short ones.
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) width: String,
    /// `b` for one with a bad test, `q` for one with a bad test in quarantine; empty for others.
    pub(super) class: &'static str,
    pub(super) title: String,
}

struct Span<'a> {
    from: f64,
    to: f64,
    class: &'static str,
    units: Vec<&'a UnitSummary>,
}

/// The lanes of all workers.
pub(super) fn lanes(aggregate: &Aggregate, summary: &Summary, several_tasks: bool) -> Vec<Lane> {
    let coloured = coloured_units(aggregate);
    let wall = summary.wall_ms.max(1) as f64;
    let mut lanes = Vec::with_capacity(summary.workers.len());
    for worker in &summary.workers {
        let mut spans: Vec<Span<'_>> = Vec::new();
        for unit in summary.units.iter().filter(|unit| unit.worker == worker.number) {
            let (from, to) = (unit.from_ms as f64, unit.from_ms.saturating_add(unit.duration_ms) as f64);
            let (from, to) = (from / wall * WIDTH, to / wall * WIDTH);
            let class = coloured.get(&(worker.number, &unit.unit)).copied().unwrap_or_default();
            match spans.last_mut().filter(|last| to - last.from < NARROW && last.class == class) {
                Some(last) => {
                    last.to = to;
                    last.units.push(unit);
                }
                None => spans.push(Span { from, to, class, units: vec![unit] }),
            }
        }
        let busy = 100.0 * worker.busy_ms as f64 / wall;
        lanes.push(Lane {
            number: worker.number,
            label: format!("worker {}: {}", worker.number, counted(worker.units, "unit", "units")),
            end: format!("{} busy, {:.0} %", duration(worker.busy_ms), busy.min(100.0)),
            bars: spans.iter().map(|span| span.bar(aggregate, several_tasks)).collect(),
        });
    }
    lanes
}

/// Units that a worker ran a bad test of, or a bad slice of one.
fn coloured_units(aggregate: &Aggregate) -> HashMap<(u32, &UnitId), &'static str> {
    let mut coloured = HashMap::new();
    for unit in &aggregate.units {
        let slice = unit.slice.map_or(0, |slice| slice.number);
        let tests = unit.tests.iter().map(|&at| &aggregate.tests[at]).filter(|test| test.in_run);
        for test in tests.filter(|test| test.verdict().is_bad()) {
            let class = if test.is_held() { "q" } else { "b" };
            let of_each = test.decisive_of_each();
            let attempt = of_each.iter().find(|attempt| attempt.slice == slice);
            // Of several slices, the one that passed is not to blame.
            let to_blame = attempt.filter(|it| slice == 0 || it.verdict().is_none_or(Verdict::is_bad));
            if let Some(worker) = to_blame.and_then(|attempt| attempt.worker) {
                let known = coloured.entry((worker, &unit.id)).or_insert(class);
                if class == "b" {
                    *known = class;
                }
            }
        }
    }
    coloured
}

impl Span<'_> {
    fn bar(&self, aggregate: &Aggregate, several_tasks: bool) -> Bar {
        let took: u64 = self.units.iter().map(|unit| unit.duration_ms).fold(0, u64::saturating_add);
        let what = match self.units.as_slice() {
            [unit] => {
                let task = if several_tasks { format!("{} ", unit.task) } else { String::new() };
                let note = aggregate.unit(&unit.unit).map(|unit| unit.note.as_str()).filter(|note| !note.is_empty());
                let note = note.map(|note| format!("; {note}")).unwrap_or_default();
                format!("{task}{} ({}{note})", unit.class, unit.unit.0)
            }
            units => counted(units.len() as u64, "short unit", "short units"),
        };
        Bar {
            x: format!("{:.1}", self.from),
            width: format!("{:.1}", (self.to - self.from).max(0.5)),
            class: self.class,
            title: format!("{}: {}", printable(&what), duration(took)),
        }
    }
}
