//! What each worker did when, as bars.

use crate::report::Aggregate;
use crate::report::summary::{Summary, UnitSummary};
use crate::report::words::{counted, duration, printable};
use std::collections::HashSet;
use testfleet_protocol::plan::UnitId;

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
    pub(super) bad: bool,
    pub(super) title: String,
}

struct Span<'a> {
    from: f64,
    to: f64,
    bad: bool,
    units: Vec<&'a UnitSummary>,
}

/// The lanes of all workers.
pub(super) fn lanes(aggregate: &Aggregate, summary: &Summary, several_tasks: bool) -> Vec<Lane> {
    let bad = bad_units(aggregate);
    let wall = summary.wall_ms.max(1) as f64;
    let mut lanes = Vec::with_capacity(summary.workers.len());
    for worker in &summary.workers {
        let mut spans: Vec<Span<'_>> = Vec::new();
        for unit in summary.units.iter().filter(|unit| unit.worker == worker.number) {
            let (from, to) = (unit.from_ms as f64, unit.from_ms.saturating_add(unit.duration_ms) as f64);
            let (from, to) = (from / wall * WIDTH, to / wall * WIDTH);
            let is_bad = bad.contains(&(worker.number, &unit.unit));
            match spans.last_mut().filter(|last| to - last.from < NARROW && last.bad == is_bad) {
                Some(last) => {
                    last.to = to;
                    last.units.push(unit);
                }
                None => spans.push(Span { from, to, bad: is_bad, units: vec![unit] }),
            }
        }
        let busy = 100.0 * worker.busy_ms as f64 / wall;
        lanes.push(Lane {
            number: worker.number,
            label: format!("worker {}: {}", worker.number, counted(worker.units, "unit", "units")),
            end: format!("{} busy, {:.0} %", duration(worker.busy_ms), busy.min(100.0)),
            bars: spans.iter().map(|span| span.bar(several_tasks)).collect(),
        });
    }
    lanes
}

/// Units that a worker ran a bad test of.
fn bad_units(aggregate: &Aggregate) -> HashSet<(u32, &UnitId)> {
    let mut bad = HashSet::new();
    for unit in &aggregate.units {
        let tests = unit.tests.iter().map(|&at| &aggregate.tests[at]);
        let judged_bad = tests.filter(|test| test.in_run && test.verdict().is_bad());
        bad.extend(judged_bad.filter_map(|test| test.worker()).map(|worker| (worker, &unit.id)));
    }
    bad
}

impl Span<'_> {
    fn bar(&self, several_tasks: bool) -> Bar {
        let took: u64 = self.units.iter().map(|unit| unit.duration_ms).fold(0, u64::saturating_add);
        let what = match self.units.as_slice() {
            [unit] if several_tasks => format!("{} {}", unit.task, unit.class),
            [unit] => unit.class.clone(),
            units => counted(units.len() as u64, "short unit", "short units"),
        };
        Bar {
            x: format!("{:.1}", self.from),
            width: format!("{:.1}", (self.to - self.from).max(0.5)),
            bad: self.bad,
            title: format!("{}: {}", printable(&what), duration(took)),
        }
    }
}
