//! What is said when all is over.

use super::told::same_reason_as;
use crate::report::summary::{ClassSummary, Summary, TestSummary};
use crate::report::words::{
    counted, duration, file_url, first_line, printable, quarantine_word, slices_word, thousands, verdict_word,
};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use testfleet_protocol::event::Level;
use testfleet_protocol::test::{TestId, TestName, Verdict};

/// Bad tests of one verdict that are named.
const NAMED: usize = 20;
/// Longest classes that are named.
const LONGEST: usize = 5;
/// Workers whose replay is shown.
const REPLAYS: usize = 3;
/// Characters of what was thrown that are shown beside a name.
const PROBLEM: usize = 160;

/// All lines of the end. Of tests that are `lost_by_cancel` the number says enough.
pub(super) fn lines(
    summary: &Summary,
    written: &[(String, PathBuf)],
    several_tasks: bool,
    lost_by_cancel: &HashSet<TestId>,
) -> Vec<(Level, String)> {
    let bad: Vec<_> = summary.bad_tests().filter(|test| !is_in(lost_by_cancel, test)).collect();
    let cut_off = lost_by_cancel.len() as u64;
    let mut lines = vec![(Level::Lifecycle, String::new())];
    for verdict in [Verdict::Failed, Verdict::Errored] {
        lines.extend(named(&bad, summary.counting(verdict), verdict, several_tasks).map(|text| (Level::Error, text)));
    }
    let lost = summary.counting(Verdict::Lost).saturating_sub(cut_off);
    lines.extend(named(&bad, lost, Verdict::Lost, several_tasks).map(|text| (Level::Error, text)));
    let flaky: Vec<_> = summary.tests.iter().filter(|test| test.verdict == Verdict::Flaky).collect();
    let flaky = named(&flaky, summary.count(Verdict::Flaky), Verdict::Flaky, several_tasks);
    lines.extend(flaky.map(|text| (Level::Warn, text)));
    lines.extend(held(summary, several_tasks).map(|text| (Level::Warn, text)));
    lines.extend(candidates(summary, several_tasks).map(|text| (Level::Lifecycle, text)));
    lines.extend(in_part(summary, several_tasks).map(|text| (Level::Lifecycle, text)));
    lines.extend(longest(summary, several_tasks).map(|text| (Level::Lifecycle, text)));
    if cut_off > 0 {
        let tests = counted(cut_off, "test", "tests");
        lines.push((Level::Warn, format!("{tests} had no result when the run was cancelled")));
    }
    lines.push((headline_level(summary), headline(summary)));
    lines.extend(prediction(summary).map(|text| (Level::Lifecycle, text)));
    lines.extend(replay(summary, &bad).map(|text| (Level::Lifecycle, text)));
    lines.extend(reports(written).map(|text| (Level::Lifecycle, text)));
    lines
}

fn is_in(tests: &HashSet<TestId>, test: &TestSummary) -> bool {
    let name = || TestName { class: test.class.clone(), method: test.method.clone() };
    !tests.is_empty() && tests.contains(&TestId { task: test.task.clone(), name: name() })
}

fn headline_level(summary: &Summary) -> Level {
    if summary.verdict.is_bad() || summary.cancelled { Level::Error } else { Level::Lifecycle }
}

/// `FAILED: 11,501 tests on 2 workers in 1 min 2 s: 11,480 passed, 12 skipped, 9 failed`
fn headline(summary: &Summary) -> String {
    let word = match (summary.cancelled, summary.verdict.is_bad()) {
        (true, _) => "CANCELLED",
        (false, true) => "FAILED",
        (false, false) => "PASSED",
    };
    let counting = summary.counts.keys().map(|verdict| (verdict_word(*verdict), summary.counting(*verdict)));
    let held = ("bad in quarantine", summary.quarantined.bad);
    let counts: Vec<_> = counting.chain([held]).filter(|(_, n)| *n > 0).collect();
    let each = counts.iter().map(|(what, n)| format!("{} {what}", thousands(*n)));
    let invocations: usize = summary.tests.iter().map(|test| test.invocations.len()).sum();
    let with = if invocations == 0 {
        String::new()
    } else {
        format!(" ({})", counted(invocations as u64, "invocation", "invocations"))
    };
    if summary.total() == 0 && summary.workers.is_empty() {
        return format!("{word}: nothing ran");
    }
    let workers = summary.workers.len() as u64;
    let on = if workers == 0 { String::new() } else { format!(" on {}", counted(workers, "worker", "workers")) };
    format!(
        "{word}: {}{with} in {}{on} in {}: {}",
        counted(summary.total(), "test", "tests"),
        counted(summary.classes.len() as u64, "class", "classes"),
        duration(summary.wall_ms),
        if counts.is_empty() { "nothing ran".to_owned() } else { each.collect::<Vec<_>>().join(", ") },
    )
}

/// What was expected and what it came to. Nothing where that says nothing.
fn prediction(summary: &Summary) -> Option<String> {
    let prediction = &summary.prediction;
    if !summary.finished || summary.cancelled || prediction.predicted_ms == 0 || summary.units.is_empty() {
        return None;
    }
    let mut text = format!("Predicted {}, took {}", duration(prediction.predicted_ms), duration(summary.wall_ms));
    if let Some(percent) = prediction.work_percent {
        text.push_str(&format!("; units took {} % of what was expected", thousands(percent)));
    }
    if let Some(percent) = prediction.median_error_percent {
        text.push_str(&format!(", half of them within {} %", thousands(percent)));
    }
    if prediction.guessed {
        text.push_str(" (guesses: nothing was known of these tests)");
    }
    Some(text)
}

fn why_held(test: &TestSummary) -> String {
    let Some(held) = &test.quarantined else { return String::new() };
    quarantine_word(&held.reason, held.until.as_deref())
}

/// Bad tests that do not make the run red.
fn held(summary: &Summary, several_tasks: bool) -> Option<String> {
    // A cancel says nothing about them.
    let held: Vec<_> =
        summary.held_tests().filter(|test| !(summary.cancelled && test.verdict == Verdict::Lost)).collect();
    if held.is_empty() {
        return None;
    }
    let tests = counted(held.len() as u64, "test", "tests");
    let mut text = format!("{tests} in QUARANTINE went wrong, which does not fail the run");
    for test in held.iter().take(NAMED) {
        let word = verdict_word(test.verdict).to_uppercase();
        text.push_str(&format!("\n  {} {word}\n      {}", name(test, several_tasks), why_held(test)));
        let why = test.problem.as_deref().or(test.reason.as_deref());
        text.extend(why.map(|why| format!("\n      {}", first_line(why, PROBLEM))));
    }
    if held.len() > NAMED {
        text.push_str(&format!("\n  and {} more", thousands((held.len() - NAMED) as u64)));
    }
    text.push('\n');
    Some(text)
}

/// Tests in quarantine that passed.
fn candidates(summary: &Summary, several_tasks: bool) -> Option<String> {
    let count = summary.quarantined.passed;
    if count == 0 {
        return None;
    }
    let mut text = format!("{} in quarantine passed and may be ready to leave it", counted(count, "test", "tests"));
    for test in summary.release_candidates().take(NAMED) {
        text.push_str(&format!("\n  {}\n      {}", name(test, several_tasks), why_held(test)));
    }
    let unnamed = count.saturating_sub(NAMED as u64);
    if unnamed > 0 {
        text.push_str(&format!("\n  and {} more", thousands(unnamed)));
    }
    text.push('\n');
    Some(text)
}

/// Tests of which the run had some slices alone.
fn in_part(summary: &Summary, several_tasks: bool) -> Option<String> {
    let partial: Vec<_> = summary.tests.iter().filter(|test| test.is_partial()).collect();
    if partial.is_empty() {
        return None;
    }
    let mut text =
        format!("{} ran in part, as planned for this worker", counted(partial.len() as u64, "test", "tests"));
    for test in partial.iter().take(NAMED) {
        text.push_str(&format!("\n  {}", name(test, several_tasks)));
    }
    if partial.len() > NAMED {
        text.push_str(&format!("\n  and {} more", thousands((partial.len() - NAMED) as u64)));
    }
    text.push('\n');
    Some(text)
}

/// `count` tests came to a verdict; those of them that are known are among `tests`.
fn named(tests: &[&TestSummary], count: u64, verdict: Verdict, several_tasks: bool) -> Option<String> {
    if count == 0 {
        return None;
    }
    let tests: Vec<_> = tests.iter().filter(|test| test.verdict == verdict).take(NAMED).collect();
    let what = match verdict {
        Verdict::Lost => ": planned, but no result came back, which fails the run",
        Verdict::Flaky => ": failed and passed in different attempts",
        _ => "",
    };
    let mut text = format!("{} {}{what}", counted(count, "test", "tests"), verdict_word(verdict).to_uppercase());
    let mut told: HashMap<_, String> = HashMap::new();
    for test in &tests {
        let name = name(test, several_tasks);
        let why = test.problem.as_deref().or(test.reason.as_deref()).filter(|_| verdict != Verdict::Flaky);
        // What was thrown is cut short here; two tests have that in common only when all of their reason is the same.
        let shared = why.zip(test.reason.as_deref());
        if let Some(first) = shared.and_then(|shared| told.get(&shared)) {
            text.push_str(&format!("\n  {name}, {}", same_reason_as(first)));
            continue;
        }
        text.push_str(&format!("\n  {name}"));
        text.extend(why.map(|why| format!("\n      {}", first_line(why, PROBLEM))));
        told.extend(shared.map(|shared| (shared, name)));
    }
    let unnamed = count.saturating_sub(tests.len() as u64);
    if unnamed > 0 {
        text.push_str(&format!("\n  and {} more", thousands(unnamed)));
    }
    text.push('\n');
    Some(text)
}

fn name(test: &TestSummary, several_tasks: bool) -> String {
    let task = if several_tasks { format!("{} ", test.task) } else { String::new() };
    let slices = test.slices.as_ref().filter(|_| test.is_partial());
    let part = slices.map(|it| format!(" ({})", slices_word(it.numbers.iter().copied(), it.of))).unwrap_or_default();
    one_line(&format!("{task}{} > {}{part}", test.class, test.method))
}

fn one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

fn longest(summary: &Summary, several_tasks: bool) -> Option<String> {
    // A list of what takes milliseconds helps nobody.
    let classes: Vec<_> = summary.classes.iter().filter(|class| class.duration_ms >= 1_000).take(LONGEST).collect();
    if summary.classes.len() < 2 || classes.is_empty() {
        return None;
    }
    let line = |class: &&ClassSummary| {
        let task = if several_tasks { format!("{} ", class.task) } else { String::new() };
        format!("\n  {:>11}  {}", duration(class.duration_ms), one_line(&format!("{task}{}", class.class)))
    };
    Some(format!("Longest classes:{}\n", classes.iter().map(line).collect::<String>()))
}

/// How to run again what the worker of a bad test ran, in its order.
fn replay(summary: &Summary, bad: &[&TestSummary]) -> Option<String> {
    let mut workers: Vec<_> = bad.iter().filter_map(|test| test.worker).collect();
    workers.sort_unstable();
    workers.dedup();
    if workers.is_empty() || summary.run.is_empty() {
        return None;
    }
    let run = one_line(&summary.run);
    let call = |worker: &u32| format!("\n  ./gradlew runWorker -Pworker={worker} --from-run {run}");
    let mut text = "To run again, in the same order, what a worker with a bad test ran:".to_owned();
    text.extend(workers.iter().take(REPLAYS).map(call));
    if workers.len() > REPLAYS {
        let others = workers[REPLAYS..].iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("\n  and so on for {others}"));
    }
    Some(text)
}

fn reports(written: &[(String, PathBuf)]) -> Option<String> {
    let label = |what: &str| match what {
        "html" => "Report".to_owned(),
        "junit-xml" => "JUnit XML".to_owned(),
        "summary" => "Summary".to_owned(),
        "journal" => "Journal".to_owned(),
        "timings" => "Timings".to_owned(),
        other => one_line(other),
    };
    let line = |(what, path): &(String, PathBuf)| {
        let shown = if what == "html" { file_url(path) } else { one_line(&path.display().to_string()) };
        format!("{:<10} {shown}", format!("{}:", label(what)))
    };
    let mut lines: Vec<_> = written.iter().map(line).collect();
    lines.sort_by_key(|line| !line.starts_with("Report:"));
    Some(lines.join("\n")).filter(|text| !text.is_empty())
}
