//! From the fold of a run's events to its figures.

use super::{
    AttemptSummary, CaseCounts, ClassSummary, InvocationSummary, Prediction, QuarantineCounts, QuarantineSummary,
    SlicesSummary, Summary, TaskSummary, TestSummary, UnitSummary, WorkerSummary,
};
use crate::report::Aggregate;
use crate::report::cases::{Case, CaseResult, Problem, cases, earlier_problems};
use crate::report::records::{AttemptRecord, Place, TestRecord, WorkerRecord};
use crate::report::words::{VERDICTS, first_line};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use testfleet_protocol::plan::EstimateSource;
use testfleet_protocol::test::{Finished, Invocation, TaskPath, Verdict};

/// Longest beginning of an exception's message, in characters.
const PROBLEM: usize = 300;

/// The figures of what an aggregate holds.
pub(in crate::report) fn of(aggregate: &Aggregate) -> Summary {
    let mut records: Vec<_> = aggregate.tests.iter().filter(|test| test.in_run).collect();
    records.sort_by(|a, b| a.id.cmp(&b.id));
    let (counts, unaccounted) = count(aggregate, &records);
    let units = units(aggregate);
    let images = images(&records);
    let run = &aggregate.run;
    Summary {
        protocol: testfleet_protocol::VERSION,
        build_name: aggregate.build_name.clone(),
        run: run.id.clone(),
        plan: run.plan.clone(),
        verdict: worst(run.verdict, &records, unaccounted),
        cancelled: run.cancelled,
        finished: run.verdict.is_some(),
        started_at_ms: run.started_at_ms,
        wall_ms: run.last_at_ms.saturating_sub(run.started_at_ms),
        workers_asked: run.workers,
        counts,
        cases: count_cases(&records),
        unaccounted,
        quarantined: quarantined(&records),
        prediction: prediction(aggregate, &units),
        tasks: tasks(&records),
        classes: classes(&records),
        tests: records.iter().map(|record| test(record, &images)).collect(),
        images,
        workers: workers(aggregate, &records, &units),
        units,
    }
}

/// Every verdict, also those that do not occur; what was never heard of is lost.
fn count(aggregate: &Aggregate, records: &[&TestRecord]) -> (BTreeMap<Verdict, u64>, u64) {
    let unaccounted = aggregate.unaccounted();
    let mut counts: BTreeMap<_, _> = VERDICTS.into_iter().map(|verdict| (verdict, 0)).collect();
    for record in records {
        *counts.entry(record.verdict()).or_default() += 1;
    }
    *counts.entry(Verdict::Lost).or_default() += unaccounted;
    (counts, unaccounted)
}

/// The run's own word, unless a test says worse: one without a verdict is lost.
/// Tests in quarantine say nothing.
fn worst(said: Option<Verdict>, records: &[&TestRecord], unaccounted: u64) -> Verdict {
    let counting = records.iter().filter(|record| record.quarantined.is_none()).map(|record| record.verdict());
    let of_tests = counting.chain((unaccounted > 0).then_some(Verdict::Lost)).max();
    let bad = of_tests.filter(|verdict| verdict.is_bad());
    said.max(bad).or(of_tests).unwrap_or(Verdict::Passed)
}

fn quarantined(records: &[&TestRecord]) -> QuarantineCounts {
    let mut counts = QuarantineCounts::default();
    for record in records.iter().filter(|record| record.quarantined.is_some()) {
        match record.verdict() {
            verdict if verdict.is_bad() => counts.bad += 1,
            Verdict::Passed => counts.passed += 1,
            _ => counts.others += 1,
        }
    }
    counts
}

fn prediction(aggregate: &Aggregate, units: &[UnitSummary]) -> Prediction {
    let estimated_work_ms = units.iter().map(|unit| unit.estimate_ms).fold(0, u64::saturating_add);
    let actual_work_ms = units.iter().map(|unit| unit.duration_ms).fold(0, u64::saturating_add);
    let planned = |unit: &UnitSummary| aggregate.unit(&unit.unit);
    let is_guess = |unit: &UnitSummary| planned(unit).is_some_and(|unit| unit.estimate_source == EstimateSource::Guess);
    // What was handed back, or comes after a try that was, is no whole unit.
    let whole = units.iter().filter(|unit| {
        unit.attempt == 1 && unit.estimate_ms > 0 && planned(unit).is_some_and(|it| it.estimate_ms == unit.estimate_ms)
    });
    let mut errors: Vec<_> =
        whole.map(|unit| percent(unit.duration_ms.abs_diff(unit.estimate_ms), unit.estimate_ms)).collect();
    errors.sort_unstable();
    let median_error_percent = match errors.len() {
        0 => None,
        n if n % 2 == 1 => Some(errors[n / 2]),
        n => Some(errors[n / 2 - 1].saturating_add(errors[n / 2]) / 2),
    };
    let whole_plan = aggregate.run.whole_plan && aggregate.run.units > 0;
    Prediction {
        longest_group_ms: aggregate.longest_group_ms,
        predicted_ms: if whole_plan { aggregate.longest_group_ms } else { estimated_work_ms },
        estimated_work_ms,
        actual_work_ms,
        work_percent: (estimated_work_ms > 0).then(|| percent(actual_work_ms, estimated_work_ms)),
        median_error_percent,
        guessed: !units.is_empty() && units.iter().all(is_guess),
    }
}

/// Rounded.
fn percent(part: u64, whole: u64) -> u64 {
    let exact = (u128::from(part) * 100 + u128::from(whole) / 2) / u128::from(whole.max(1));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

fn count_cases(records: &[&TestRecord]) -> CaseCounts {
    let mut counts = CaseCounts::default();
    for record in records {
        cases(record).iter().for_each(|case| counts.add(case, record.is_held()));
    }
    counts
}

impl CaseCounts {
    /// Counts an entry. What is bad in a test that is `held` in quarantine is told as skipped.
    pub(in crate::report) fn add(&mut self, case: &Case<'_>, held: bool) {
        self.total += 1;
        match case.result {
            CaseResult::Passed => {}
            _ if held && case.result.is_bad() => self.skipped += 1,
            CaseResult::Skipped { .. } => self.skipped += 1,
            CaseResult::Failed(_) => self.failed += 1,
            CaseResult::Errored(_) | CaseResult::Lost { .. } => self.errored += 1,
        }
    }
}

#[derive(Default)]
struct Sums {
    counts: BTreeMap<Verdict, u64>,
    duration_us: u64,
    classes: BTreeSet<String>,
    workers: BTreeSet<u32>,
}

impl Sums {
    fn add(&mut self, record: &TestRecord) {
        *self.counts.entry(record.verdict()).or_default() += 1;
        self.duration_us = self.duration_us.saturating_add(record.duration_us());
        self.workers.extend(record.workers());
    }
}

fn tasks(records: &[&TestRecord]) -> Vec<TaskSummary> {
    let mut sums: BTreeMap<&TaskPath, Sums> = BTreeMap::new();
    for record in records {
        let sum = sums.entry(&record.id.task).or_default();
        sum.add(record);
        if !sum.classes.contains(&record.id.name.class) {
            sum.classes.insert(record.id.name.class.clone());
        }
    }
    let summary = |(task, sum): (&TaskPath, Sums)| TaskSummary {
        task: task.clone(),
        counts: sum.counts,
        classes: sum.classes.len() as u64,
        duration_ms: sum.duration_us / 1_000,
    };
    sums.into_iter().map(summary).collect()
}

fn classes(records: &[&TestRecord]) -> Vec<ClassSummary> {
    let mut sums: BTreeMap<(&TaskPath, &String), Sums> = BTreeMap::new();
    for record in records {
        sums.entry((&record.id.task, &record.id.name.class)).or_default().add(record);
    }
    let mut classes: Vec<_> = sums.into_iter().collect();
    classes.sort_by_key(|(_, sum)| Reverse(sum.duration_us)); // stable: equal ones stay in order of name
    let summary = |((task, class), sum): ((&TaskPath, &String), Sums)| ClassSummary {
        task: task.clone(),
        class: class.clone(),
        counts: sum.counts,
        duration_ms: sum.duration_us / 1_000,
        workers: sum.workers.into_iter().collect(),
    };
    classes.into_iter().map(summary).collect()
}

/// What all these tests ran in, each image once.
fn images(records: &[&TestRecord]) -> Vec<String> {
    let images: BTreeSet<_> = records.iter().filter_map(|record| record.place()?.image.as_deref()).collect();
    images.into_iter().map(str::to_owned).collect()
}

fn host(place: Option<&Place>) -> Option<String> {
    place.map(|place| place.host.clone()).filter(|host| !host.is_empty())
}

fn test(record: &TestRecord, images: &[String]) -> TestSummary {
    let verdict = record.verdict();
    let entries = if verdict.is_bad() { cases(record) } else { Vec::new() };
    let problems: Vec<_> = entries
        .iter()
        .filter_map(|case| match &case.result {
            CaseResult::Failed(problem) | CaseResult::Errored(problem) => Some(problem),
            _ => None,
        })
        .collect();
    let hint = problems.iter().find_map(|problem| problem.hint()).map(str::to_owned);
    let invocation = |(invocation, finished): &(Invocation, Finished)| InvocationSummary {
        id: invocation.id.clone(),
        name: invocation.name.clone(),
        outcome: finished.outcome,
        duration_us: finished.duration_us,
    };
    TestSummary {
        task: record.id.task.clone(),
        class: record.id.name.class.clone(),
        method: record.id.name.method.clone(),
        verdict,
        outcome: record.decisive().and_then(|attempt| attempt.finished.as_ref()).map(|finished| finished.outcome),
        duration_us: record.duration_us(),
        worker: record.worker(),
        attempt: record.decisive().map(|attempt| attempt.number),
        host: host(record.place()),
        image: record.place().and_then(|place| images.binary_search(place.image.as_ref()?).ok()),
        reason: record.reason().map(str::to_owned),
        problem: problems.first().map(|problem| brief(problem)),
        hint,
        quarantined: record
            .quarantined
            .as_ref()
            .map(|entry| QuarantineSummary { reason: entry.reason.clone(), until: entry.until.clone() }),
        slices: (record.slices > 0)
            .then(|| SlicesSummary { numbers: record.slices_in_run.iter().copied().collect(), of: record.slices }),
        attempts: if record.attempts.len() > 1 { attempts(record) } else { Vec::new() },
        invocations: record.decisive_of_each().iter().flat_map(|a| &a.invocations).map(invocation).collect(),
    }
}

fn attempts(record: &TestRecord) -> Vec<AttemptSummary> {
    let earlier: HashMap<_, _> =
        earlier_problems(record).map(|(tried, problem)| ((tried.slice, tried.number), brief(&problem))).collect();
    let summary = |attempt: &AttemptRecord| AttemptSummary {
        slice: Some(attempt.slice).filter(|slice| *slice > 0),
        number: attempt.number,
        worker: attempt.worker,
        host: host(attempt.place.as_deref()),
        outcome: attempt.finished.as_ref().map(|finished| finished.outcome),
        duration_us: attempt.duration_us(),
        problem: earlier.get(&(attempt.slice, attempt.number)).cloned(),
    };
    record.attempts.iter().map(summary).collect()
}

fn brief(problem: &Problem<'_>) -> String {
    first_line(&problem.message(), PROBLEM)
}

fn units(aggregate: &Aggregate) -> Vec<UnitSummary> {
    let start = aggregate.run.started_at_ms;
    let mut units = Vec::new();
    for (&worker, record) in &aggregate.workers {
        for span in &record.spans {
            let planned = aggregate.unit(&span.unit);
            units.push(UnitSummary {
                unit: span.unit.clone(),
                task: planned.map_or_else(|| TaskPath(String::new()), |unit| unit.task.clone()),
                class: planned.map(|unit| unit.class.clone()).unwrap_or_default(),
                slice: planned.and_then(|unit| unit.slice).map(|slice| slice.number),
                attempt: span.attempt,
                worker,
                from_ms: span.from_ms.saturating_sub(start),
                duration_ms: span.length_ms(),
                estimate_ms: planned.map_or(0, |unit| aggregate.estimate_ms(unit, span.attempt)),
            });
        }
    }
    units
}

fn workers(aggregate: &Aggregate, records: &[&TestRecord], units: &[UnitSummary]) -> Vec<WorkerSummary> {
    let mut tests: HashMap<u32, u64> = HashMap::new();
    for worker in records.iter().flat_map(|record| record.workers().collect::<BTreeSet<_>>()) {
        *tests.entry(worker).or_default() += 1;
    }
    let mut estimates: HashMap<u32, u64> = HashMap::new();
    for unit in units {
        let estimate = estimates.entry(unit.worker).or_default();
        *estimate = estimate.saturating_add(unit.estimate_ms);
    }
    let summary = |(&number, record): (&u32, &WorkerRecord)| WorkerSummary {
        number,
        backend: record.backend.clone(),
        host: record.place.host.clone(),
        ready_after_ms: record.ready_at_ms.map(|ready| ready.saturating_sub(record.started_at_ms)),
        busy_ms: record.busy_ms(),
        estimated_ms: estimates.get(&number).copied().unwrap_or(0),
        units: record.spans.len() as u64,
        tests: tests.get(&number).copied().unwrap_or(0),
        jvm_starts: record.jvm_starts,
        usage: record.usage,
        jvm_deaths: record.jvm_deaths.iter().map(|death| death.reason.clone()).collect(),
        failure: record.failure.clone(),
    };
    aggregate.workers.iter().map(summary).collect()
}
