//! A test's entries in a report: itself, or its invocations.

use super::records::{AttemptRecord, TestRecord, is_bad};
use testfleet_protocol::test::{Finished, Invocation, Outcome, Thrown, Verdict};

/// One entry of a report.
#[derive(Debug)]
pub(super) struct Case<'a> {
    /// `None`: the test itself.
    pub(super) invocation: Option<&'a Invocation>,
    pub(super) duration_us: u64,
    pub(super) result: CaseResult<'a>,
}

/// What an entry came to.
#[derive(Debug)]
pub(super) enum CaseResult<'a> {
    Passed,
    Skipped { reason: Option<&'a str> },
    Failed(Problem<'a>),
    Errored(Problem<'a>),
    Lost { reason: &'a str },
}

/// What is known of a failure.
#[derive(Debug)]
pub(super) struct Problem<'a> {
    pub(super) thrown: &'a [Thrown],
    pub(super) reason: Option<&'a str>,
}

impl CaseResult<'_> {
    pub(super) fn is_bad(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Errored(_) | Self::Lost { .. })
    }
}

/// The test's entries. Invocations stand for the test they belong to; the test itself has an entry
/// when it has none, or when it went wrong in a way that none of them shows: its arguments could not be had, its
/// JVM died between two of them. A bad verdict always has a bad entry.
pub(super) fn cases(test: &TestRecord) -> Vec<Case<'_>> {
    let verdict = test.verdict();
    let decisive = test.decisive();
    let of_each = test.decisive_of_each();
    let mut cases: Vec<_> = of_each.iter().flat_map(|attempt| &attempt.invocations).map(of_invocation).collect();
    // Of several slices, one that needs an entry of its own speaks for the test.
    let is_bad = |attempt: &&&AttemptRecord| attempt.verdict().is_none_or(Verdict::is_bad);
    let unexplained = of_each.iter().filter(is_bad).find(|attempt| !is_explained(attempt)).copied();
    let needs_own = match verdict {
        Verdict::Lost => true,
        verdict if verdict.is_bad() => of_each.is_empty() || unexplained.is_some(),
        _ => cases.is_empty(),
    };
    if needs_own {
        let attempt = if verdict.is_bad() && test.slices > 0 { unexplained.or(decisive) } else { decisive };
        let mut own = Case { invocation: None, duration_us: test.duration_us(), result: own_result(test, attempt) };
        if !cases.is_empty() {
            own.duration_us = 0; // it is in the invocations
        }
        cases.push(own);
    }
    cases
}

fn of_invocation((invocation, finished): &(Invocation, Finished)) -> Case<'_> {
    let result = match finished.outcome {
        Outcome::Passed => CaseResult::Passed,
        Outcome::Skipped | Outcome::Aborted => CaseResult::Skipped { reason: skip_reason(finished) },
        Outcome::Failed => CaseResult::Failed(problem(finished, None)),
        Outcome::Errored => CaseResult::Errored(problem(finished, None)),
    };
    Case { invocation: Some(invocation), duration_us: finished.duration_us, result }
}

/// Whether an invocation shows all that went wrong in an attempt.
fn is_explained(attempt: &AttemptRecord) -> bool {
    let Some(finished) = &attempt.finished else { return false };
    let mut bad = attempt.invocations.iter().filter(|(_, of_one)| is_bad(of_one.outcome));
    match finished.outcome {
        Outcome::Errored => bad.any(|(_, of_one)| of_one.outcome == Outcome::Errored && shows(of_one, finished)),
        _ => bad.any(|(_, of_one)| shows(of_one, finished)),
    }
}

fn shows(invocation: &Finished, test: &Finished) -> bool {
    test.thrown.iter().all(|thrown| invocation.thrown.contains(thrown))
}

fn own_result<'a>(test: &'a TestRecord, attempt: Option<&'a AttemptRecord>) -> CaseResult<'a> {
    let finished = attempt.and_then(|attempt| attempt.finished.as_ref());
    let said = test.reason();
    let problem = || match finished {
        Some(finished) => problem(finished, said),
        None => Problem { thrown: &[], reason: said },
    };
    match test.verdict() {
        Verdict::Passed | Verdict::Reused | Verdict::Flaky => CaseResult::Passed,
        Verdict::Skipped => CaseResult::Skipped { reason: finished.map_or(said, |f| skip_reason(f).or(said)) },
        Verdict::Failed => CaseResult::Failed(problem()),
        Verdict::Errored => CaseResult::Errored(problem()),
        Verdict::Lost => CaseResult::Lost { reason: said.unwrap_or("no result came back") },
    }
}

fn problem<'a>(finished: &'a Finished, said: Option<&'a str>) -> Problem<'a> {
    let thrown = if is_bad(finished.outcome) { finished.thrown.as_slice() } else { &[] };
    Problem { thrown, reason: finished.reason.as_deref().or(said) }
}

/// An assumption's reason is the message of what it threw.
fn skip_reason(finished: &Finished) -> Option<&str> {
    let thrown = || finished.thrown.first().map(|thrown| thrown.message.as_str()).filter(|text| !text.is_empty());
    finished.reason.as_deref().or_else(thrown)
}

impl Problem<'_> {
    /// Class of the exception, else a word of ours.
    pub(super) fn kind(&self) -> &str {
        self.thrown.first().map_or("errored", |thrown| &thrown.kind)
    }

    /// As the exception's `toString` has it, else the reason.
    pub(super) fn message(&self) -> String {
        match self.thrown.first() {
            Some(thrown) if thrown.message.is_empty() => thrown.kind.clone(),
            Some(thrown) => format!("{}: {}", thrown.kind, thrown.message),
            None => self.reason.unwrap_or("it said nothing about why").to_owned(),
        }
    }

    /// What the user can do about it.
    pub(super) fn hint(&self) -> Option<&str> {
        self.thrown.iter().find_map(|thrown| thrown.hint.as_deref())
    }

    /// All stack traces, the primary exception's first, and the reason when it tells more.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (i, thrown) in self.thrown.iter().enumerate() {
            if i > 0 {
                text.push_str("\nAlso thrown:\n");
            }
            text.push_str(if thrown.stack.is_empty() { &thrown.message } else { &thrown.stack });
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.extend(thrown.hint.as_ref().map(|hint| format!("{}\n", hint_line(hint))));
        }
        if let Some(reason) = self.reason.filter(|reason| !text.contains(*reason)) {
            text.push_str(reason);
            text.push('\n');
        }
        text
    }
}

/// A hint as all reports show it.
pub(super) fn hint_line(hint: &str) -> String {
    format!("hint: {hint}")
}

/// Attempts before the decisive one that ended badly, first to last.
pub(super) fn earlier_problems(test: &TestRecord) -> impl Iterator<Item = (&AttemptRecord, Problem<'_>)> {
    let decisive: Vec<_> = test.decisive_of_each().iter().map(|attempt| (attempt.slice, attempt.number)).collect();
    let others = test.attempts.iter().filter(move |attempt| !decisive.contains(&(attempt.slice, attempt.number)));
    others.filter_map(|attempt| {
        let finished = attempt.finished.as_ref().filter(|finished| is_bad(finished.outcome))?;
        let of_invocation = attempt.invocations.iter().find(|(_, f)| is_bad(f.outcome)).map(|(_, f)| f);
        let shown = if finished.thrown.is_empty() { of_invocation.unwrap_or(finished) } else { finished };
        Some((attempt, problem(shown, finished.reason.as_deref())))
    })
}
