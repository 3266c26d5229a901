//! What fuzzing calls: the engine's readers of foreign bytes, each as one function. See `native/fuzz`.
//!
//! There for `cfg(fuzzing)`, which cargo-fuzz sets, and for tests, which read the seeds of the fuzz targets; no part of the
//! engine as it is built for use.

pub use crate::discover::fuzzing::*;

use crate::discover::{ANSWERS, Kept};
use crate::plan::{Past, TIMINGS, Timings, plan as make_plan};
use crate::report::{Aggregate, Console, ConsoleOptions, ReportDirs, write_all};
use crate::reuse::Store;
use crate::run::{FileStore, Queue, RunInput, State, parse_journal, reseal, units_run_by};
use crate::{bundle as bundles, document, plan as plans, select, session};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use testfleet_protocol::agent::AgentMessage;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::plan::Plan;
use testfleet_protocol::request::RunRequest;

/// Reads what crosses JNI, and the request alone as the command line reads it. Starts nothing.
pub fn request(bytes: &[u8]) {
    if let Ok(open) = session::read(bytes) {
        let _ = session::check(&open.request);
    }
    if let Ok(request) = serde_json::from_slice::<RunRequest>(bytes) {
        let _ = session::check(&request);
    }
}

/// Reads `plan.json` and prepares a run and its reports with it.
pub fn plan(bytes: &[u8]) {
    let Ok(plan) = plans::DOCUMENT.parse::<Plan>(Path::new("plan.json"), bytes) else { return };
    assert_round_trip(&plan);
    if plans::check(&plan, Path::new("plan.json")).is_ok() {
        report(Arc::new(plan), &[]);
    }
}

/// Reads `bundle.json`.
pub fn bundle(bytes: &[u8]) {
    if let Ok(bundle) = bundles::DOCUMENT.parse::<Bundle>(Path::new("bundle.json"), bytes) {
        assert_round_trip(&bundle);
    }
}

/// Reads kept answers of test frameworks and makes classes of them.
pub fn answers(bytes: &[u8]) {
    if let Ok(kept) = ANSWERS.parse::<Kept>(Path::new("answers.json"), bytes) {
        assert_round_trip(&kept);
        crate::discover::fuzzing::settle(&kept);
    }
}

/// Reads a timings file and plans with it.
pub fn timings(bytes: &[u8]) {
    let Ok(timings) = TIMINGS.parse::<Timings>(Path::new("timings.json"), bytes) else { return };
    let written = timings.bytes().expect("timings have a JSON form");
    assert_eq!(TIMINGS.parse::<Timings>(Path::new("timings.json"), &written).ok().as_ref(), Some(&timings));
    let other = TIMINGS.parse::<Timings>(Path::new("timings.json"), SMALL_TIMINGS).expect("the seed is a timings file");
    let merged = |first: &Timings, second: &Timings| {
        let mut all = first.clone();
        all.merge(second);
        all
    };
    assert_eq!(merged(&timings, &other), merged(&other, &timings));
    assert_eq!(merged(&timings, &timings), timings);
    let tests = plan_of(SMALL_PLAN);
    let _ = make_plan(&discovered(&tests), &Past::of(&timings), &request_for(&tests));
    let mut young = merged(&timings, &other);
    young.keep_only(&tests, |_| true);
    young.expire(20_000, 90);
    let _ = young.bytes().expect("timings have a JSON form");
}

/// Reads a store of passed tests, and writes it again.
pub fn passed(bytes: &[u8]) {
    let path = Path::new("passed.json");
    let Ok(mut store) = Store::parse(path, bytes) else { return };
    let written = store.bytes().expect("a store has a JSON form");
    assert_eq!(Store::parse(path, &written).ok().as_ref(), Some(&store));
    let copy = store.clone();
    store.merge(&copy);
    assert_eq!(store, copy);
    store.expire(1 << 50, 30);
}

/// Reads JaCoCo's data up to where it is torn.
pub fn jacoco(bytes: &[u8]) {
    let whole = crate::jacoco::whole_blocks(bytes);
    assert_eq!(crate::jacoco::whole_blocks(&bytes[..whole]), whole);
}

/// Takes pieces of files as an agent sends them: nothing is written outside of the run's folder.
pub fn file_pieces(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut store = FileStore::new(&folder.path().join("run"), &Default::default());
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(piece) = serde_json::from_slice::<AgentMessage>(line) else { continue };
        if let Ok(Some(RunEvent::FileStored { path, .. })) = store.take(1, piece) {
            assert!(folder.path().join("run").join(&path).is_file(), "{path} is not there");
        }
    }
    store.worker_ended(1);
    let outside = std::fs::read_dir(folder.path()).expect("the folder is there").count();
    assert!(outside <= 1, "a file was written outside of the run's folder");
}

/// Reads what a class file mentions.
pub fn references(bytes: &[u8]) {
    crate::reuse::read_references(bytes);
}

/// Reads a quarantine file and marks a plan with it.
pub fn quarantine(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(quarantine) = select::parse_quarantine(text, Path::new("quarantine.txt")) {
        let mut plan = plan_of(SMALL_PLAN);
        quarantine.mark(&mut plan, &select::today(), true);
    }
}

/// Reads a journal and reports the run that it tells of: every event goes where those of a live run go.
pub fn journal(bytes: &[u8]) {
    // As it is, and with the checksums mended: a fuzzer would never get past them.
    for bytes in [bytes, &reseal(bytes)] {
        let Ok(recorded) = parse_journal(Path::new("journal.jsonl"), bytes) else { continue };
        let _ = units_run_by(&recorded.events, 1);
        report(Arc::new(plan_of(SMALL_PLAN)), &recorded.events);
    }
}

/// A valid plan of two units.
const SMALL_PLAN: &[u8] = include_bytes!("../../fuzz/seeds/plan/small.json");

/// Valid timings of several runs.
const SMALL_TIMINGS: &[u8] = include_bytes!("../../fuzz/seeds/timings/lines.json");

fn plan_of(bytes: &[u8]) -> Plan {
    serde_json::from_slice(bytes).expect("the seed is a plan")
}

fn assert_round_trip<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = document::bytes(value).expect("what was read has a JSON form");
    assert_eq!(serde_json::from_slice::<T>(&bytes).ok().as_ref(), Some(value));
}

fn report(plan: Arc<Plan>, events: &[RunEvent]) {
    let mut aggregate = Aggregate::new(&plan).named("acme");
    let mut console = Console::new(&plan, ConsoleOptions { build_name: "acme".into(), workers: 2 });
    let input = RunInput {
        run: "run".into(),
        plan: Arc::clone(&plan),
        plan_sha256: String::new(),
        queue: Queue::Dynamic,
        workers: vec![1, 2],
        images: BTreeMap::new(),
        bundle_sha256: "11".into(),
        journal: PathBuf::new(),
        resumed: None,
        options: Default::default(),
    };
    let mut state = State::new(&input, "local").ok();
    for event in events {
        aggregate.apply(event);
        console.on_event(event);
        console.tick(u64::MAX);
        if let Some(state) = &mut state {
            state.apply(event);
        }
    }
    console.finish(&aggregate.summary(), &[]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dirs =
        ReportDirs { results_dir: folder.path().join("deep/results"), reports_dir: folder.path().join("reports") };
    for (_, path) in write_all(&aggregate, &plan, &dirs).unwrap_or_default() {
        assert!(path.starts_with(folder.path()), "{} is outside of the folder for reports", path.display());
    }
    let outside = std::fs::read_dir(folder.path()).expect("the folder is there").count();
    assert!(outside <= 2, "a report was written outside of its folder");
}

fn discovered(plan: &Plan) -> crate::discover::Discovery {
    use crate::discover::{DiscoveredTask, Discovery, FoundBy, TestClass};
    let task = |unit: &testfleet_protocol::plan::Unit| DiscoveredTask {
        task: unit.task.clone(),
        searched: 1,
        classes: vec![TestClass {
            class: unit.class.clone(),
            framework: FoundBy::Jupiter,
            tests: unit.tests.clone(),
            whole_class: true,
            ..TestClass::default()
        }],
    };
    Discovery { tasks: plan.units.iter().map(task).collect(), notices: Vec::new() }
}

fn request_for(plan: &Plan) -> RunRequest {
    let open: testfleet_protocol::request::OpenRequest =
        serde_json::from_slice(include_bytes!("../../fuzz/seeds/request/prepare.json")).expect("the seed is a request");
    let mut request = open.request;
    request.options.workers = plan.workers;
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reader = fn(&[u8]);

    /// Inputs that once broke something stay with the seeds, what fuzzers found worth keeping is the corpus: see `native/fuzz/README.md`.
    #[test]
    fn all_seeds_and_the_corpus_are_read_or_refused() {
        let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let targets: [(&str, Reader); 15] = [
            ("jacoco", jacoco),
            ("file_pieces", file_pieces),
            ("passed", passed),
            ("references", references),
            ("class_file", references),
            ("answers", answers),
            ("cache", cache),
            ("request", request),
            ("plan", plan),
            ("bundle", bundle),
            ("timings", timings),
            ("journal", journal),
            ("class_file", class_file),
            ("jar", jar),
            ("discovery", discovery),
        ];
        for (target, read) in targets {
            for seed in std::fs::read_dir(inputs.join("seeds").join(target)).into_iter().flatten() {
                read(&std::fs::read(seed.unwrap().path()).unwrap());
            }
            let Ok(packed) = std::fs::File::open(inputs.join("corpus").join(format!("{target}.tar.gz"))) else {
                continue;
            };
            for input in tar::Archive::new(flate2::read::GzDecoder::new(packed)).entries().unwrap() {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut input.unwrap(), &mut bytes).unwrap();
                read(&bytes);
            }
        }
    }

    #[test]
    fn the_small_seeds_are_valid() {
        let plan = plan_of(SMALL_PLAN);
        let store = Store::parse(Path::new("small"), include_bytes!("../../fuzz/seeds/passed/small.json")).unwrap();
        assert_eq!(store.len(), 2);
        let small = |bytes: &[u8]| parse_journal(Path::new("small"), bytes).unwrap().events.len();
        assert_eq!(small(include_bytes!("../../fuzz/seeds/journal/small.jsonl")), 15);
        assert_eq!(small(include_bytes!("../../fuzz/seeds/journal/longest-durations.jsonl")), 18);
        let bundle = include_bytes!("../../fuzz/seeds/bundle/small.json");
        assert!(bundles::DOCUMENT.parse::<Bundle>(Path::new("small"), bundle).is_ok());
        let answers = include_bytes!("../../fuzz/seeds/answers/small.json");
        assert_eq!(ANSWERS.parse::<Kept>(Path::new("small"), answers).unwrap().answers.len(), 3);
        let timings = include_bytes!("../../fuzz/seeds/timings/small.json");
        assert!(TIMINGS.parse::<Timings>(Path::new("small"), timings).is_ok());
        assert!(session::check(&request_for(&plan)).is_ok());
        assert!(make_plan(&discovered(&plan), &Past::of(&Timings::default()), &request_for(&plan)).is_ok());
    }
}
