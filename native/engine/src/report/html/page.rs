//! What the template shows, worded.

use super::stored::{Stored, stored_files, wholes};
use super::timeline::{Lane, lanes};
use crate::report::Aggregate;
use crate::report::cases::{CaseResult, cases, earlier_problems};
use crate::report::output::shorten;
use crate::report::records::TestRecord;
use crate::report::summary::{Summary, UnitSummary, WorkerSummary};
use crate::report::words::{
    VERDICTS, counted, duration, duration_us, first_line, printable, quarantine_word, slices_word, thousands, utc,
    verdict_word,
};
use askama::Template;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::test::{TaskPath, TestId, Verdict};

/// Bad tests that are shown with stack traces; of the others the names are listed.
const IN_FULL: usize = 150;
/// Bad entries of one test that are shown.
const ENTRIES: usize = 10;
/// Bytes of a stack trace that are shown; JUnit XML has more.
const STACK: usize = 12 * 1024;
/// Bad tests that are open when the page opens.
const OPEN: usize = 3;
/// Bad tests beyond those in full that are listed by name.
pub(super) const LISTED: usize = 5_000;
/// Rows about estimates that were far off, and how far that is at least, in milliseconds.
const FAR_OFF: (usize, u64) = (8, 500);
/// Characters of a name that are shown.
pub(super) const NAME: usize = 500;

#[derive(Template)]
#[template(path = "report.html")]
pub(super) struct Page {
    nonce: String,
    title: String,
    verdict: &'static str,
    verdict_class: &'static str,
    subtitle: String,
    counts: Vec<Count>,
    figures: Vec<Figure>,
    bad: Vec<Bad>,
    bad_count: String,
    /// What to do, and the command.
    replay: Option<(String, String)>,
    more_bad: Vec<String>,
    more_bad_count: String,
    unaccounted: u64,
    unaccounted_text: String,
    flaky: Vec<Bad>,
    held: Vec<Bad>,
    held_count: String,
    /// Name and why it is in quarantine.
    candidates: Vec<(String, String)>,
    candidates_count: String,
    lanes: Vec<Lane>,
    half_wall: String,
    wall: String,
    troubles: Vec<(String, String)>,
    prediction: Vec<String>,
    stored: Vec<Stored>,
    workers: Vec<Worker>,
    mispredicted: Vec<Mispredicted>,
    classes: Vec<Class>,
    footer: String,
}

struct Count {
    class: &'static str,
    n: String,
}

struct Figure {
    label: &'static str,
    value: String,
}

struct Bad {
    class: &'static str,
    name: String,
    about: String,
    message: String,
    open: bool,
    held: bool,
    /// Heading and text.
    parts: Vec<(String, String)>,
    output: String,
    /// Words and target of links to all of its output.
    wholes: Vec<(String, String)>,
}

struct Worker {
    number: u32,
    host: String,
    units: String,
    tests: String,
    jvm_starts: u64,
    ready: String,
    predicted: String,
    actual: String,
}

struct Mispredicted {
    unit: String,
    class: String,
    note: String,
    predicted: String,
    actual: String,
}

struct Class {
    name: String,
    tally: Vec<Count>,
    time: String,
    share: String,
    tests: Vec<Test>,
}

struct Test {
    /// Empty for passed tests, which are most.
    class: &'static str,
    name: String,
    time: String,
}

impl Page {
    pub(super) fn of(aggregate: &Aggregate, summary: &Summary, plan: &Plan, nonce: String, reports_dir: &Path) -> Self {
        let several_tasks = summary.tasks.len() > 1;
        let shown = |test: &TestRecord, open| bad_test(test, several_tasks, open, wholes(aggregate, test, reports_dir));
        let mut records: Vec<_> = aggregate.tests.iter().filter(|test| test.in_run).collect();
        records.sort_by(|a, b| a.id.cmp(&b.id));
        let (bad, more_bad) = bad_tests(&records, several_tasks, &shown);
        let flaky = records.iter().filter(|test| test.verdict() == Verdict::Flaky).take(IN_FULL);
        let held = records.iter().filter(|test| test.is_held()).take(IN_FULL);
        let passed = records.iter().filter(|test| test.quarantined.is_some() && test.verdict() == Verdict::Passed);
        let why = |test: &&&TestRecord| (name(&test.id, several_tasks), held_word(test));
        let (verdict, verdict_class) = match (summary.cancelled, summary.verdict.is_bad()) {
            (true, _) => ("was cancelled", "flaky"),
            (false, true) => ("failed", "failed"),
            (false, false) => ("passed", "passed"),
        };
        let name = summary.build_name.as_deref().unwrap_or("Testfleet run");
        Self {
            nonce,
            title: first_line(name, NAME),
            verdict,
            verdict_class,
            subtitle: format!("Run {}, {} UTC", printable(&summary.run), utc(summary.started_at_ms).replace('T', " ")),
            counts: counts(
                summary.counts.keys().map(|verdict| (*verdict, summary.counting(*verdict))),
                summary.quarantined.bad,
            ),
            figures: figures(summary),
            bad_count: thousands(summary.bad_tests().count() as u64 + summary.unaccounted),
            replay: replay(summary),
            more_bad_count: format!("{}, by name", counted(more_bad.len() as u64, "more bad test", "more bad tests")),
            bad,
            more_bad,
            unaccounted: summary.unaccounted,
            unaccounted_text: format!(
                "{} planned but never heard of",
                counted(summary.unaccounted, "more test was", "more tests were")
            ),
            flaky: flaky.map(|test| shown(test, false)).collect(),
            held: held.map(|test| shown(test, false)).collect(),
            held_count: thousands(summary.quarantined.bad),
            candidates: passed.take(LISTED).map(|test| why(&test)).collect(),
            candidates_count: counted(summary.quarantined.passed, "test", "tests"),
            lanes: lanes(aggregate, summary, several_tasks),
            half_wall: duration(summary.wall_ms / 2),
            wall: duration(summary.wall_ms),
            troubles: troubles(aggregate),
            prediction: prediction(summary, plan),
            stored: stored_files(aggregate, reports_dir),
            workers: workers(summary),
            mispredicted: mispredicted(aggregate, summary, several_tasks),
            classes: classes(summary, &records, several_tasks),
            footer: footer(summary),
        }
    }
}

fn footer(summary: &Summary) -> String {
    let mut text = format!("Testfleet {}. Plan {}.", env!("CARGO_PKG_VERSION"), printable(&summary.plan));
    for image in &summary.images {
        text.push_str(&format!(" Image {}.", printable(image)));
    }
    text
}

fn replay(summary: &Summary) -> Option<(String, String)> {
    let worker = summary.bad_tests().find_map(|test| test.worker)?;
    let what = format!("To run again, in the same order, what worker {worker} ran:");
    Some((what, format!("./gradlew runWorker -Pworker={worker} --from-run {}", printable(&summary.run))))
}

/// Tests by verdict, best first; those that are `held` in quarantine by themselves.
fn counts(by_verdict: impl Iterator<Item = (Verdict, u64)>, held: u64) -> Vec<Count> {
    let mut all: Vec<_> = by_verdict.map(|(verdict, n)| (verdict_word(verdict), n)).collect();
    all.insert(all.iter().position(|(word, _)| *word == "failed").unwrap_or(all.len()), (HELD, held));
    // What needs attention first.
    let occurring = all.into_iter().rev().filter(|(_, n)| *n > 0);
    occurring.map(|(class, n)| Count { class, n: thousands(n) }).collect()
}

/// Stands beside the verdicts for a bad one that counts for nothing.
const HELD: &str = "quarantined";

fn held_word(test: &TestRecord) -> String {
    let entry = test.quarantined.as_ref();
    entry.map(|entry| quarantine_word(&entry.reason, entry.until.as_deref())).unwrap_or_default()
}

fn figures(summary: &Summary) -> Vec<Figure> {
    let invocations: usize = summary.tests.iter().map(|test| test.invocations.len()).sum();
    let jvm_starts = summary.workers.iter().map(|worker| worker.jvm_starts).sum();
    let mut figures = vec![
        Figure { label: "Wall time", value: duration(summary.wall_ms) },
        Figure { label: "Work", value: duration(summary.prediction.actual_work_ms) },
        Figure { label: "Tests", value: thousands(summary.total()) },
        Figure { label: "Classes", value: thousands(summary.classes.len() as u64) },
        Figure { label: "Workers", value: thousands(summary.workers.len() as u64) },
        Figure { label: "JVM starts", value: thousands(jvm_starts) },
    ];
    if invocations > 0 {
        figures.insert(3, Figure { label: "Invocations", value: thousands(invocations as u64) });
    }
    figures
}

fn name(id: &TestId, several_tasks: bool) -> String {
    let name = if several_tasks { id.to_string() } else { id.name.to_string() };
    first_line(&name.replace(['\n', '\r'], " "), NAME)
}

fn class_name(task: &TaskPath, class: &str, several_tasks: bool) -> String {
    let name = if several_tasks { format!("{task} {class}") } else { class.to_owned() };
    first_line(&name.replace(['\n', '\r'], " "), NAME)
}

/// Those shown in full, and the names of the others.
fn bad_tests(
    records: &[&TestRecord],
    several_tasks: bool,
    shown: &impl Fn(&TestRecord, bool) -> Bad,
) -> (Vec<Bad>, Vec<String>) {
    let bad: Vec<_> = records.iter().filter(|test| test.is_bad()).collect();
    let (in_full, others) = bad.split_at(bad.len().min(IN_FULL));
    let shown = in_full.iter().enumerate().map(|(i, test)| shown(test, i < OPEN)).collect();
    (shown, others.iter().take(LISTED).map(|test| name(&test.id, several_tasks)).collect())
}

fn bad_test(test: &TestRecord, several_tasks: bool, open: bool, wholes: Vec<(String, String)>) -> Bad {
    let mut message = String::new();
    let mut parts = Vec::new();
    let cases = cases(test);
    let bad = || cases.iter().filter(|case| case.result.is_bad());
    for case in bad().take(ENTRIES) {
        let heading = case.invocation.map(|invocation| first_line(&invocation.name, NAME)).unwrap_or_default();
        let (first, text) = match &case.result {
            CaseResult::Failed(problem) | CaseResult::Errored(problem) => (problem.message(), problem.text()),
            CaseResult::Lost { reason } => ((*reason).to_owned(), String::new()),
            CaseResult::Passed | CaseResult::Skipped { .. } => continue,
        };
        if message.is_empty() {
            message = first_line(&first, NAME);
        }
        parts.push((heading, stack(text)));
    }
    if bad().count() > ENTRIES {
        let more = bad().count() - ENTRIES;
        parts.push((counted(more as u64, "more bad invocation", "more bad invocations"), String::new()));
    }
    for (attempt, problem) in earlier_problems(test) {
        let of = if attempt.slice > 0 { format!(" at slice {}", attempt.slice) } else { String::new() };
        let at = attempt.worker.map(|worker| format!("{of} on worker {worker}")).unwrap_or(of);
        parts.push((format!("Attempt {}{at}", attempt.number), stack(problem.text())));
        if message.is_empty() {
            message = first_line(&problem.message(), NAME);
        }
    }
    // A trace of one line says what the message has said.
    parts.retain(|(heading, text)| !heading.is_empty() || text.trim().lines().nth(1).is_some());
    let mut about = Vec::from_iter(took(test));
    about.extend(test.worker().map(|worker| format!("worker {worker}")));
    // Of interest where workers come and go; else it is always the same.
    about.extend(test.place().filter(|place| place.image.is_some()).map(|place| first_line(&place.host, NAME)));
    if test.is_partial() {
        about.push(slices_word(test.slices_in_run.iter().copied(), test.slices));
    } else if test.slices > 0 {
        about.push(counted(test.slices.into(), "slice", "slices"));
    }
    let ended = test.decisive_of_each().len().max(1);
    if test.attempts.len() > ended {
        about.push(counted(test.attempts.len() as u64, "attempt", "attempts"));
    }
    if test.quarantined.is_some() {
        about.push(held_word(test));
    }
    Bad {
        class: verdict_word(test.verdict()),
        name: name(&test.id, several_tasks),
        about: about.join(", "),
        message,
        open: open && !parts.is_empty(),
        held: test.is_held(),
        parts,
        output: test.tail.shown().map(|text| printable(&text).into_owned()).unwrap_or_default(),
        wholes,
    }
}

/// Nothing for a test that never ran.
fn took(test: &TestRecord) -> Option<String> {
    let ran = !matches!(test.verdict(), Verdict::Lost | Verdict::Reused) || test.duration_us() > 0;
    ran.then(|| duration_us(test.duration_us()))
}

fn stack(mut text: String) -> String {
    shorten(&mut text, STACK);
    printable(&text).trim_end().to_owned()
}

/// Workers that broke down, JVMs that died, and what was written while no test ran.
fn troubles(aggregate: &Aggregate) -> Vec<(String, String)> {
    let mut troubles = Vec::new();
    for (number, worker) in &aggregate.workers {
        for death in &worker.jvm_deaths {
            let after = duration(death.at_ms.saturating_sub(aggregate.run.started_at_ms));
            let jvm = format!("the test JVM of worker {number} (process {})", death.pid);
            let what = format!("The test JVM of worker {number} (process {}) died after {after}", death.pid);
            troubles.push((what, stack(death.reason.clone())));
            let told = death
                .evidence
                .iter()
                .map(|(name, text)| (format!("{} {jvm}", evidence_word(name)), printable(text).trim_end().to_owned()));
            troubles.extend(told);
        }
        if let Some(failure) = &worker.failure {
            troubles.push((format!("Worker {number} broke down"), stack(failure.clone())));
        }
        if let Some(text) = worker.tail.shown() {
            troubles.push((format!("What worker {number} wrote between tests"), printable(&text).into_owned()));
        }
    }
    troubles
}

fn evidence_word(name: &str) -> String {
    match name {
        "thread-dump" => "Threads of".to_owned(),
        "hs_err" => "What was left by the crash of".to_owned(),
        "exit-stack" => "Who ended".to_owned(),
        "stack" => "Where memory ran out in".to_owned(),
        other => format!("{} of", printable(other)),
    }
}

fn prediction(summary: &Summary, plan: &Plan) -> Vec<String> {
    let prediction = summary.prediction;
    let mut sentences = vec![format!(
        "The plan for {} expected its longest group to take {}; the run took {}. Its units were expected to take {} together \
         and took {}.",
        counted(plan.workers.into(), "worker", "workers"),
        duration(prediction.longest_group_ms),
        duration(summary.wall_ms),
        duration(prediction.estimated_work_ms),
        duration(prediction.actual_work_ms),
    )];
    if let Some(percent) = prediction.work_percent {
        let off = prediction
            .median_error_percent
            .map(|off| format!("; half of them were off by {} % or less", thousands(off)));
        sentences.push(format!("That is {} % of the estimate{}.", thousands(percent), off.unwrap_or_default()));
    }
    if prediction.guessed {
        sentences.push("Nothing was known of these tests: all estimates were guesses.".to_owned());
    }
    sentences
}

fn workers(summary: &Summary) -> Vec<Worker> {
    let row = |worker: &WorkerSummary| Worker {
        number: worker.number,
        host: first_line(&worker.host, NAME),
        units: thousands(worker.units),
        tests: thousands(worker.tests),
        jvm_starts: worker.jvm_starts,
        ready: worker.ready_after_ms.map_or_else(|| "never".to_owned(), duration),
        predicted: duration(worker.estimated_ms),
        actual: duration(worker.busy_ms),
    };
    summary.workers.iter().map(row).collect()
}

fn mispredicted(aggregate: &Aggregate, summary: &Summary, several_tasks: bool) -> Vec<Mispredicted> {
    let (rows, at_least) = FAR_OFF;
    let off = |unit: &UnitSummary| unit.duration_ms.abs_diff(unit.estimate_ms);
    let mut units: Vec<_> = summary.units.iter().filter(|unit| off(unit) >= at_least).collect();
    units.sort_by_key(|unit| (Reverse(off(unit)), &unit.unit));
    let row = |unit: &&UnitSummary| Mispredicted {
        unit: first_line(&unit.unit.0, NAME),
        note: aggregate.unit(&unit.unit).map(|unit| unit.note.clone()).unwrap_or_default(),
        class: class_name(&unit.task, &unit.class, several_tasks),
        predicted: duration(unit.estimate_ms),
        actual: duration(unit.duration_ms),
    };
    units.iter().take(rows).map(row).collect()
}

fn classes(summary: &Summary, records: &[&TestRecord], several_tasks: bool) -> Vec<Class> {
    /// Tests, how many of each verdict, and how many are in quarantine.
    type OfClass = (Vec<Test>, BTreeMap<Verdict, u64>, u64);
    let mut tests: HashMap<(&TaskPath, &str), OfClass> = HashMap::new();
    for record in records {
        let class = (&record.id.task, record.id.name.class.as_str());
        let (tests, by_verdict, held) = tests.entry(class).or_default();
        tests.push(test(record));
        let sum = if record.is_held() { held } else { by_verdict.entry(record.verdict()).or_default() };
        *sum += 1;
    }
    let longest = summary.classes.first().map_or(1, |class| class.duration_ms).max(1);
    let mut rows = Vec::with_capacity(summary.classes.len());
    for class in &summary.classes {
        let known = tests.remove(&(&class.task, class.class.as_str()));
        let (tests, mut by_verdict, held) = known.unwrap_or_default();
        for verdict in VERDICTS {
            by_verdict.entry(verdict).or_default();
        }
        rows.push(Class {
            name: class_name(&class.task, &class.class, several_tasks),
            tally: counts(by_verdict.into_iter(), held),
            time: duration(class.duration_ms),
            share: (class.duration_ms * 1_000 / longest).to_string(),
            tests,
        });
    }
    rows
}

fn test(record: &TestRecord) -> Test {
    let invocations = record.decisive().map_or(0, |attempt| attempt.invocations.len());
    let mut name = first_line(&record.id.name.method.replace(['\n', '\r'], " "), NAME);
    if invocations > 0 {
        name.push_str(&format!(" × {}", thousands(invocations as u64)));
    }
    let verdict = record.verdict();
    if record.is_partial() {
        name.push_str(&format!(" ({})", slices_word(record.slices_in_run.iter().copied(), record.slices)));
    }
    let reason = record.reason().filter(|_| matches!(verdict, Verdict::Skipped | Verdict::Reused));
    name.extend(reason.map(|reason| format!(" ({})", first_line(reason, 120))));
    if record.is_held() {
        name.push_str(&format!(" ({}; {})", verdict_word(verdict), held_word(record)));
    }
    let class = match verdict {
        _ if record.is_held() => HELD,
        Verdict::Passed => "",
        verdict => verdict_word(verdict),
    };
    Test { class, name, time: took(record).unwrap_or_default() }
}
