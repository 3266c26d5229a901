use super::*;
use crate::report::test_support::{
    Script, events, finished, folded, id, plan, plan_of, special_events, special_plan, thrown,
};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;
use testfleet_protocol::test::{Outcome, Stream, Verdict};

fn written(aggregate: &Aggregate) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().expect("a folder");
    let paths = write_junit(aggregate, dir.path()).expect("written");
    (dir, paths)
}

/// All files below `dir`, one after the other, headed by their relative paths.
fn all_files(dir: &Path) -> String {
    let mut all = String::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.expect("listed");
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(dir).expect("below").display().to_string();
            all.push_str(&format!("==> {name}\n{}\n", fs::read_to_string(entry.path()).expect("UTF-8")));
        }
    }
    all
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    attributes: Vec<(String, String)>,
    /// Of each `testcase`: name, and the elements in it.
    cases: Vec<(String, Vec<String>)>,
    out: String,
    err: String,
}

impl Read {
    fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn with(&self, element: &str) -> usize {
        self.cases.iter().filter(|(_, elements)| elements.iter().any(|known| known == element)).count()
    }
}

/// Reads a file as a strict consumer would: well-formed, and nothing that XML 1.0 can't hold.
fn read(xml: &str) -> Read {
    assert!(!xml.chars().any(|c| c < ' ' && !matches!(c, '\n' | '\t' | '\r') || matches!(c, '\u{fffe}' | '\u{ffff}')));
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut read, mut path) = (Read::default(), Vec::<String>::new());
    loop {
        let event = reader.read_event().expect("well-formed");
        let opened = match &event {
            Event::Start(element) | Event::Empty(element) => Some(element),
            _ => None,
        };
        if let Some(element) = opened {
            let name = element.name().as_ref().to_owned();
            let attributes: Vec<(String, String)> = element
                .attributes()
                .map(|attribute| attribute.expect("well-formed attribute"))
                .map(|a| {
                    let value = quick_xml::escape::unescape(&a.value).expect("known entities").into_owned();
                    (a.key.as_ref().to_owned(), value)
                })
                .collect();
            match (name.as_str(), path.last().map(String::as_str)) {
                ("testsuite", None) => read.attributes = attributes,
                ("testcase", _) => {
                    read.cases.push((attributes[0].1.clone(), Vec::new()));
                }
                (_, Some("testcase")) => {
                    read.cases.last_mut().expect("a case").1.push(name.clone());
                }
                _ => {}
            }
            if matches!(event, Event::Start(_)) {
                path.push(name);
            }
        }
        match (&event, path.last().map(String::as_str)) {
            (Event::CData(text), Some("system-out")) => read.out.push_str(text),
            (Event::CData(text), Some("system-err")) => read.err.push_str(text),
            (Event::End(_), _) => {
                path.pop();
            }
            (Event::Eof, _) => return read,
            _ => {}
        }
    }
}

#[test]
fn a_run_with_everything_in_it() {
    let (dir, paths) = written(&folded(&plan(), &events()));
    let all = all_files(dir.path());
    for path in &paths {
        read(&fs::read_to_string(path).expect("UTF-8"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn slices_reused_tests_and_a_quarantine() {
    let (dir, paths) = written(&folded(&special_plan(), &special_events(false)));
    let moody = paths.iter().find(|path| path.ends_with("TEST-com.acme.MoodyTest.xml")).expect("written");
    let moody = read(&fs::read_to_string(moody).expect("UTF-8"));
    assert_eq!((moody.attribute("failures"), moody.attribute("errors"), moody.attribute("skipped")), ("0", "0", "1"));
    assert_eq!((moody.with("failure"), moody.with("skipped")), (0, 1));
    insta::assert_snapshot!(all_files(dir.path()));
}

#[test]
fn one_slice_of_a_test() {
    let (dir, _) = written(&folded(&special_plan(), &special_events(true)));
    let all = all_files(dir.path());
    assert_eq!(all.matches("<system-out>slice 2 of 3 only</system-out>").count(), 2, "{all}");
}

#[test]
fn with_one_task_the_files_lie_flat() {
    let plan = plan_of(&[(":test", "a.FooTest", 1, &["t()"])]);
    let mut script = Script::started(1, 1);
    script.plain(&id(":test", "a.FooTest", "t()"), "u1", 1, 10, finished(Outcome::Passed, 10, 1));
    let (dir, paths) = written(&folded(&plan, &script.events));
    assert_eq!(paths, [dir.path().join("TEST-a.FooTest.xml")]);
}

#[test]
fn a_test_that_the_run_forgot_is_lost() {
    let plan = plan_of(&[(":test", "a.FooTest", 1, &["seen()", "forgotten()"])]);
    let mut script = Script::started(2, 1);
    script.plain(&id(":test", "a.FooTest", "seen()"), "u1", 1, 10, finished(Outcome::Passed, 10, 1));
    let (dir, _) = written(&folded(&plan, &script.events));
    let xml = fs::read_to_string(dir.path().join("TEST-a.FooTest.xml")).expect("written");
    assert_eq!(read(&xml).attribute("errors"), "1");
    assert!(xml.contains("type=\"lost\""), "{xml}");
}

#[test]
fn tests_that_this_run_was_not_to_run_are_left_out() {
    let plan = plan_of(&[(":test", "a.FooTest", 1, &["t()"]), (":test", "a.BarTest", 1, &["t()"])]);
    let mut script = Script::started(1, 1);
    script.assign("u2", 1, 1, 5);
    script.plain(&id(":test", "a.BarTest", "t()"), "u2", 1, 10, finished(Outcome::Passed, 10, 1));
    let (dir, paths) = written(&folded(&plan, &script.events));
    assert_eq!(paths, [dir.path().join("TEST-a.BarTest.xml")]);
}

#[test]
fn stale_results_go_and_foreign_files_stay() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in
        ["TEST-old.xml", "app/test/TEST-old.xml", "notes.txt", "keep/TEST-not-xml.txt", ".testfleet-unfinished-x"]
    {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, "old").expect("written");
    }
    let plan = plan_of(&[(":test", "a.FooTest", 1, &["t()"])]);
    let mut script = Script::started(1, 1);
    script.plain(&id(":test", "a.FooTest", "t()"), "u1", 1, 10, finished(Outcome::Passed, 10, 1));
    write_junit(&folded(&plan, &script.events), dir.path()).expect("written");
    let left: Vec<_> = walkdir::WalkDir::new(dir.path())
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("listed").path().strip_prefix(dir.path()).expect("below").display().to_string())
        .collect();
    assert_eq!(left, ["", "TEST-a.FooTest.xml", "keep", "keep/TEST-not-xml.txt", "notes.txt"]);
}

#[test]
fn classes_that_differ_in_case_alone_stay_two() {
    let plan = plan_of(&[(":test", "a.Foo", 1, &["t()"]), (":test", "a.foo", 1, &["t()"])]);
    let mut script = Script::started(2, 2);
    for class in ["a.Foo", "a.foo"] {
        script.plain(&id(":test", class, "t()"), "u1", 1, 10, finished(Outcome::Passed, 10, 1));
    }
    let (_dir, paths) = written(&folded(&plan, &script.events));
    let names: HashSet<_> = paths.iter().map(|path| path.to_string_lossy().to_lowercase()).collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn a_folder_that_can_not_be_made_is_a_failure() {
    let dir = tempfile::tempdir().expect("a folder");
    let in_the_way = dir.path().join("file");
    fs::write(&in_the_way, "x").expect("written");
    let failure = write_junit(&folded(&plan(), &[]), &in_the_way.join("results")).expect_err("a file is in the way");
    assert_eq!(failure.code, testfleet_protocol::FailureCode::Io);
    assert!(failure.message.starts_with("failed to make the folder"), "{failure}");
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    use Outcome::{Aborted, Errored, Failed, Passed, Skipped};
    prop::sample::select(vec![Passed, Failed, Aborted, Skipped, Errored])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_gives_xml_that_reads_back(
        class in ".{1,30}", method in any::<String>(), display in any::<String>(), message in any::<String>(),
        out in any::<String>(), reason in any::<String>(), outcome in outcomes(),
    ) {
        let test = id(":test", &class, &method);
        let plan = plan_of(&[(":test", "x.Other", 1, &["t()"])]);
        let mut script = Script::started(0, 1);
        let mut ended = finished(outcome, 10, 1);
        ended.thrown = vec![thrown(&display, &message, &out)];
        ended.reason = Some(reason);
        script.output(Some(&test), &class, ":test", Stream::Stdout, &out);
        script.output(Some(&test), &class, ":test", Stream::Stderr, &message);
        script.invocation(&test, 1, 1, &display, ended.clone());
        script.plain(&test, "u1", 1, 10, ended);
        let (_dir, paths) = written(&folded(&plan, &script.events));
        prop_assert_eq!(paths.len(), 1);
        let of_class = read(&fs::read_to_string(&paths[0]).expect("UTF-8"));
        let kept = |text: &str| -> String {
            text.chars().map(|c| if write::is_xml_char(c) { c } else { '?' }).collect()
        };
        prop_assert_eq!(&of_class.out, &kept(&out));
        prop_assert_eq!(&of_class.err, &kept(&message));
        prop_assert_eq!(of_class.attribute("name"), kept(&class));
        prop_assert_eq!(&of_class.cases[0].0, &kept(&display));
        prop_assert_eq!(of_class.with("skipped"), usize::from(matches!(outcome, Outcome::Skipped | Outcome::Aborted)));
    }

    #[test]
    fn counts_are_those_of_the_summary(ends in prop::collection::vec((0usize..6, prop::collection::vec(outcomes(), 0..4), outcomes()), 1..25)) {
        let classes = ["a.A", "a.B$C", "b.A", "c.D", "c.d", "e"];
        let plan = plan_of(&[(":test", "x.Other", 1, &["t()"])]);
        let mut script = Script::started(0, 1);
        let mut tests = 0;
        for (i, (class, invocations, end)) in ends.iter().enumerate() {
            let test = id(":test", classes[*class], &format!("t{i}()"));
            for (n, outcome) in invocations.iter().enumerate() {
                script.invocation(&test, 1, n as u32, &format!("[{n}]"), finished(*outcome, 10, 1));
            }
            script.plain(&test, "u1", 1, 10, finished(*end, 10, 1));
            tests += 1;
        }
        let aggregate = folded(&plan, &script.events);
        let summary = aggregate.summary();
        let (_dir, paths) = written(&aggregate);
        let suites: Vec<_> = paths.iter().map(|path| read(&fs::read_to_string(path).expect("UTF-8"))).collect();
        let sum = |name: &str| suites.iter().map(|suite| suite.attribute(name).parse::<u64>().expect("a number")).sum::<u64>();
        let found = |element: &str| suites.iter().map(|suite| suite.with(element) as u64).sum::<u64>();
        prop_assert_eq!(suites.iter().map(|suite| suite.cases.len() as u64).sum::<u64>(), summary.cases.total);
        prop_assert_eq!((sum("tests"), sum("skipped"), sum("failures"), sum("errors")),
            (summary.cases.total, found("skipped"), found("failure"), found("error")));
        prop_assert_eq!((summary.cases.skipped, summary.cases.failed, summary.cases.errored),
            (found("skipped"), found("failure"), found("error")));
        prop_assert_eq!(summary.total(), tests);
        // The XML of a red run is red.
        let bad = ends.iter().any(|(_, _, end)| Verdict::from(*end).is_bad());
        prop_assert!(!bad || found("failure") + found("error") > 0);
    }
}

#[test]
fn methods_of_junit_4_and_testng_are_named_as_those_name_them() {
    let mut plan = plan();
    let mut methods = plan.units.iter().flat_map(|unit| &unit.tests).map(|test| test.method.clone());
    let method = methods.find(|method| method.ends_with("()")).expect("one without parameters");
    let name = |plan: &testfleet_protocol::plan::Plan| {
        let aggregate = folded(plan, &events());
        let (dir, _) = written(&aggregate);
        all_files(dir.path()).contains(&format!("name=\"{method}\""))
    };
    assert!(name(&plan), "JUnit Jupiter's own reports have the parentheses");
    plan.units.iter_mut().for_each(|unit| unit.plain_names = true);
    assert!(!name(&plan));
}
