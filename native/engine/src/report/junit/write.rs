//! One class as XML.

use super::Suite;
use crate::report::Aggregate;
use crate::report::cases::{Case, CaseResult, Problem, cases, earlier_problems};
use crate::report::output::HeadTail;
use crate::report::records::{AttemptRecord, TestRecord};
use crate::report::summary::CaseCounts;
use crate::report::words::{quarantine_word, slices_word, utc};
use quick_xml::events::{BytesCData, BytesDecl, BytesText, Event};
use quick_xml::writer::Writer;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use testfleet_protocol::plan::Quarantined;
use testfleet_protocol::test::{Outcome, Verdict};

type Xml = Writer<Vec<u8>>;

/// The document for a class.
pub(super) fn suite(aggregate: &Aggregate, suite: &Suite<'_>) -> io::Result<Vec<u8>> {
    let entries: Vec<_> = suite.tests.iter().map(|test| (*test, cases(test))).collect();
    let mut counts = CaseCounts::default();
    for (test, cases) in &entries {
        cases.iter().for_each(|case| counts.add(case, test.is_held()));
    }
    let duration_us = suite.tests.iter().map(|test| test.duration_us()).fold(0, u64::saturating_add);
    let attributes = [
        ("name", clean(suite.class).into_owned()),
        ("tests", counts.total.to_string()),
        ("skipped", counts.skipped.to_string()),
        ("failures", counts.failed.to_string()),
        ("errors", counts.errored.to_string()),
        ("timestamp", utc(started_at_ms(aggregate, suite))),
        ("hostname", clean(host(suite)).into_owned()),
        ("time", seconds(duration_us)),
    ];
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("testsuite")
        .with_attributes(attributes.iter().map(|(name, value)| (*name, value.as_str())))
        .write_inner_content(|xml| {
            properties(xml, aggregate, suite)?;
            for (test, cases) in &entries {
                for (i, case) in cases.iter().enumerate() {
                    let wholes = if i == 0 { whole_outputs(aggregate, test) } else { Vec::new() };
                    testcase(xml, test, case, i == 0, wholes)?;
                }
            }
            output(xml, "system-out", suite.output.map(|output| &output.stdout))?;
            output(xml, "system-err", suite.output.map(|output| &output.stderr))
        })?;
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn properties(xml: &mut Xml, aggregate: &Aggregate, suite: &Suite<'_>) -> io::Result<()> {
    let mut workers: Vec<_> = suite.tests.iter().flat_map(|test| test.workers()).collect();
    workers.sort_unstable();
    workers.dedup();
    let workers = workers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let places = || suite.tests.iter().filter_map(|test| test.place());
    let each_once = |texts: BTreeSet<&str>| texts.into_iter().collect::<Vec<_>>().join(",");
    let images = each_once(places().filter_map(|place| place.image.as_deref()).collect());
    let hosts = each_once(places().map(|place| place.host.as_str()).collect());
    let mut told =
        vec![("testfleet.run", &aggregate.run.id), ("testfleet.task", &suite.task.0), ("testfleet.workers", &workers)];
    if !images.is_empty() {
        told.extend([("testfleet.hosts", &hosts), ("testfleet.images", &images)]);
    }
    xml.create_element("properties").write_inner_content(|xml| {
        for (name, value) in told {
            let value = clean(value);
            xml.create_element("property").with_attributes([("name", name), ("value", &*value)]).write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn testcase(xml: &mut Xml, test: &TestRecord, case: &Case<'_>, first: bool, wholes: Vec<String>) -> io::Result<()> {
    let name = case.invocation.map_or(test.reported_name(), |invocation| &invocation.name);
    let (name, class, time) = (clean(name), clean(&test.id.name.class), seconds(case.duration_us));
    let attributes = [("name", &*name), ("classname", &*class), ("time", &*time)];
    let element = xml.create_element("testcase").with_attributes(attributes);
    let held = test.quarantined.as_ref().filter(|_| case.result.is_bad());
    // Readers would take an element of a failed attempt for a failure.
    let earlier: Vec<_> = if first && held.is_none() { earlier_problems(test).collect() } else { Vec::new() };
    let note = note(test, held.is_some(), wholes);
    if matches!(case.result, CaseResult::Passed) && earlier.is_empty() && note.is_none() {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|xml| {
        match held {
            Some(entry) => quarantined(xml, entry, &case.result)?,
            None => result(xml, &case.result)?,
        }
        earlier.iter().try_for_each(|(attempt, problem)| rerun(xml, test, attempt, problem))?;
        note.iter().try_for_each(|note| {
            xml.create_element("system-out").write_text_content(BytesText::new(&clean(note))).map(drop)
        })
    })?;
    Ok(())
}

/// Where all is that a test wrote, if it was too much to be here; as CI servers take attachments.
fn whole_outputs(aggregate: &Aggregate, test: &TestRecord) -> Vec<String> {
    let folder = aggregate.run_dir.as_deref().unwrap_or(Path::new(""));
    let outputs = aggregate.whole_outputs(&test.id).into_iter();
    outputs.map(|(_, stored)| format!("[[ATTACHMENT|{}]]", folder.join(&stored.path).display())).collect()
}

/// What a reader of the file can't see otherwise.
fn note(test: &TestRecord, held: bool, wholes: Vec<String>) -> Option<String> {
    let mut notes = wholes;
    if test.verdict() == Verdict::Reused {
        notes.push(format!("reused, not run: {}", test.reason().unwrap_or("it passed in an earlier run")));
    }
    if test.is_partial() {
        notes.push(format!("{} only", slices_word(test.slices_in_run.iter().copied(), test.slices)));
    }
    if let Some(entry) = test.quarantined.as_ref().filter(|_| !held) {
        notes.push(quarantine_word(&entry.reason, entry.until.as_deref()));
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// What went wrong in a test in quarantine, in the one element that keeps it visible and fails nothing.
fn quarantined(xml: &mut Xml, entry: &Quarantined, result: &CaseResult<'_>) -> io::Result<()> {
    let (word, message, text) = match result {
        CaseResult::Failed(problem) => ("failed", problem.message(), problem.text()),
        CaseResult::Errored(problem) => ("errored", problem.message(), problem.text()),
        CaseResult::Lost { reason } => ("lost", (*reason).to_owned(), (*reason).to_owned()),
        CaseResult::Passed | CaseResult::Skipped { .. } => return Ok(()),
    };
    let message = format!("{}; {word}: {message}", quarantine_word(&entry.reason, entry.until.as_deref()));
    xml.create_element("skipped")
        .with_attributes([("message", &*clean(&message))])
        .write_text_content(BytesText::new(&clean(&text)))
        .map(drop)
}

fn result(xml: &mut Xml, result: &CaseResult<'_>) -> io::Result<()> {
    match result {
        CaseResult::Passed => Ok(()),
        CaseResult::Skipped { reason } => {
            let message = reason.map(clean);
            let attributes = message.iter().map(|message| ("message", &**message));
            xml.create_element("skipped").with_attributes(attributes).write_empty().map(drop)
        }
        CaseResult::Failed(problem) => thrown(xml, "failure", &problem.message(), problem.kind(), &problem.text()),
        CaseResult::Errored(problem) => thrown(xml, "error", &problem.message(), problem.kind(), &problem.text()),
        CaseResult::Lost { reason } => thrown(xml, "error", reason, "lost", reason),
    }
}

fn thrown(xml: &mut Xml, element: &str, message: &str, kind: &str, text: &str) -> io::Result<()> {
    let (message, kind, text) = (clean(message), clean(kind), clean(text));
    xml.create_element(element)
        .with_attributes([("message", &*message), ("type", &*kind)])
        .write_text_content(BytesText::new(&text))
        .map(drop)
}

/// An attempt that another one made up for, or not: the elements that Maven Surefire has for it, which Gradle
/// writes too when reruns are merged.
fn rerun(xml: &mut Xml, test: &TestRecord, attempt: &AttemptRecord, problem: &Problem<'_>) -> io::Result<()> {
    let errored = attempt.finished.as_ref().is_some_and(|f| f.outcome == Outcome::Errored);
    let element = match (test.verdict() == Verdict::Flaky, errored) {
        (true, false) => "flakyFailure",
        (true, true) => "flakyError",
        (false, false) => "rerunFailure",
        (false, true) => "rerunError",
    };
    let (message, text) = (problem.message(), problem.text());
    let (message, kind, text) = (clean(&message), clean(problem.kind()), clean(&text));
    xml.create_element(element)
        .with_attributes([("message", &*message), ("type", &*kind)])
        .write_inner_content(|xml| xml.create_element("stackTrace").write_text_content(BytesText::new(&text)).map(drop))
        .map(drop)
}

fn output(xml: &mut Xml, element: &str, kept: Option<&HeadTail>) -> io::Result<()> {
    let text = kept.map(HeadTail::text).unwrap_or_default();
    let text = clean(&text);
    xml.create_element(element)
        .write_inner_content(|xml| BytesCData::escaped(&text).try_for_each(|part| xml.write_event(Event::CData(part))))
        .map(drop)
}

/// Characters that XML 1.0 can't hold (its production 2, `Char`) become `?`, as in Gradle's files.
fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_xml_char) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_xml_char(c) { c } else { '?' }).collect())
}

pub(super) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn seconds(us: u64) -> String {
    format!("{}.{:03}", us / 1_000_000, us / 1_000 % 1_000)
}

fn started_at_ms(aggregate: &Aggregate, suite: &Suite<'_>) -> u64 {
    let started = suite.tests.iter().filter_map(|test| test.decisive()?.started_at_ms()).min();
    started.unwrap_or(aggregate.run.started_at_ms)
}

fn host<'a>(suite: &'a Suite<'_>) -> &'a str {
    suite.tests.iter().find_map(|test| test.place()).map_or("localhost", |place| &place.host)
}
