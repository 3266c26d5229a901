use super::*;
use crate::report::test_support::{
    Script, big, events, finished, folded, id, plan, plan_of, special_events, special_plan, thrown,
};
use proptest::prelude::*;
use testfleet_protocol::agent::{Evidence, FileOf};
use testfleet_protocol::test::{Outcome, Stream, Verdict};

/// The page without its style and script, which have files of their own.
fn body(html: &str) -> String {
    let start = html.find("<body>").expect("a body");
    let end = html.rfind("<script").expect("a script");
    html[start..end].to_owned()
}

fn rendered(aggregate: &Aggregate, plan: &Plan) -> String {
    render(aggregate, &aggregate.summary(), plan, std::path::Path::new("/b/reports")).expect("rendered")
}

#[test]
fn a_run_with_everything_in_it() {
    let plan = plan();
    let html = rendered(&folded(&plan, &events()), &plan);
    insta::assert_snapshot!(body(&html));
}

#[test]
fn slices_reused_tests_and_a_quarantine() {
    let plan = special_plan();
    let html = rendered(&folded(&plan, &special_events(false)), &plan);
    insta::assert_snapshot!(body(&html));
}

#[test]
fn one_slice_of_a_test() {
    let plan = special_plan();
    let html = rendered(&folded(&plan, &special_events(true)), &plan);
    assert!(html.contains("counts(int) × 2 (slice 2 of 3)"), "{html}");
}

#[test]
fn it_needs_nothing_else() {
    let plan = plan();
    let html = rendered(&folded(&plan, &events()), &plan);
    for outside in ["http://", "https://", "src=", "@import", "url(", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn it_is_written() {
    let plan = plan();
    let aggregate = folded(&plan, &events());
    let dir = tempfile::tempdir().expect("a folder");
    let path = write_html(&aggregate, &aggregate.summary(), &plan, &dir.path().join("reports")).expect("written");
    let html = std::fs::read_to_string(path).expect("UTF-8");
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
}

#[test]
fn a_large_green_run_stays_small() {
    let (plan, events) = big();
    assert!(events.len() > 30_000, "{}", events.len());
    let html = rendered(&folded(&plan, &events), &plan);
    assert!(html.len() < 2_000_000, "{}", html.len());
    assert_eq!(html.matches("<li><bdi>").count(), 11_500);
}

#[test]
fn a_large_red_run_stays_small() {
    let (plan, mut events) = big();
    let failed = thrown(
        "java.lang.Error",
        &"a long message ".repeat(40),
        &"com.acme.Deep.frame(Deep.java:1)\n\tat ".repeat(900),
    );
    for event in &mut events {
        match event {
            testfleet_protocol::event::RunEvent::TestFinished { finished, .. } => {
                finished.outcome = Outcome::Failed;
                finished.thrown = vec![failed.clone()];
            }
            testfleet_protocol::event::RunEvent::TestVerdict { verdict, .. } => *verdict = Verdict::Failed,
            _ => {}
        }
    }
    let html = rendered(&folded(&plan, &events), &plan);
    assert!(html.len() < 5_000_000, "{}", html.len());
}

/// Writes the page of the special run where `TESTFLEET_PAGE_DIR` says, to be looked at.
#[test]
fn a_page_to_look_at() {
    let plan = special_plan();
    let aggregate = folded(&plan, &special_events(false));
    let temp = tempfile::tempdir().expect("a folder");
    let dir = std::env::var_os("TESTFLEET_PAGE_DIR").map_or_else(|| temp.path().to_owned(), std::path::PathBuf::from);
    let path = write_html(&aggregate, &aggregate.summary(), &plan, &dir).expect("written");
    assert!(path.exists());
}

#[test]
fn nothing_ran() {
    let plan = plan();
    let html = rendered(&Aggregate::new(&plan), &plan);
    assert!(html.contains("Testfleet run"));
}

/// A run in which every text that a build can choose is `text`.
fn run_of(text: &str) -> (Plan, Aggregate) {
    let task = ":app:test";
    let mut plan = plan_of(&[(task, text, 4_000, &["t()"]), (":lib:test", "a.B", 10, &["t()"])]);
    let test = id(task, text, text);
    plan.units[0].tests = vec![test.name.clone()];
    let mut script = Script::started(2, 2);
    script.assign("u1", 1, 1, 20);
    let mut ended = finished(Outcome::Failed, 30, 400);
    ended.thrown = vec![thrown(text, text, text)];
    ended.reason = Some(text.to_owned());
    script.start(&test, "u1", 1, 1, 30);
    script.output(Some(&test), text, task, Stream::Stdout, text);
    script.output(None, "", task, Stream::Stderr, text);
    script.invocation(&test, 1, 1, text, ended.clone());
    script.finish(&test, 1, 1, ended);
    script.verdict(&test, Verdict::Failed, Some(text));
    script.unit_done("u1", 1, 1, &[], 500);
    script.events.push(testfleet_protocol::event::RunEvent::JvmDied {
        worker: 1,
        pid: 7,
        reason: text.to_owned(),
        evidence: vec![Evidence { name: text.to_owned(), text: text.to_owned() }],
        never_ready: None,
        at_ms: crate::report::test_support::START + 600,
    });
    let of = FileOf::Collected { task: test.task.clone(), path: text.to_owned() };
    script.file(1, of, "files/one", 1);
    let whole = FileOf::Output { task: test.task.clone(), test: Some(test.name.clone()), stream: Stream::Stderr };
    script.file(1, whole, "files/two", 1);
    let mut skipped = finished(Outcome::Skipped, 1, 1);
    skipped.reason = Some(text.to_owned());
    script.plain(&id(":lib:test", "a.B", "t()"), "u2", 2, 30, skipped);
    script.over(Verdict::Failed, 1_000);
    (plan.clone(), folded(&plan, &script.events).named(text))
}

/// All tags in order, without the word that changes with the content.
fn tags(html: &str) -> Vec<String> {
    let nonce = html.split("style-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
    let html = html.replace(nonce, "NONCE");
    html.split('<').skip(1).map(|rest| rest.split_inclusive('>').next().unwrap_or(rest).to_owned()).collect()
}

#[test]
fn hostile_names_do_not_break_out() {
    let (plan, aggregate) =
        run_of("x</script></style></pre></title><script>alert(1)</script><img src=x onerror='a()'>\"&lt;{{7*7}}\n2");
    let html = rendered(&aggregate, &plan);
    let (calm_plan, calm) = run_of("x\n2");
    assert_eq!(tags(&html), tags(&rendered(&calm, &calm_plan)));
    insta::assert_snapshot!(body(&html));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_text_changes_the_structure(text in any::<String>(), markup in "[<>&\"'/!a-z=; -]{0,40}") {
        // What stands around it keeps the number of lines on which the structure may depend.
        let hostile = format!("x{}{markup}\n2", text.replace(['\n', '\r'], " "));
        let (plan, aggregate) = run_of(&hostile);
        let (calm_plan, calm) = run_of("x\n2");
        prop_assert_eq!(tags(&rendered(&aggregate, &plan)), tags(&rendered(&calm, &calm_plan)));
    }
}
