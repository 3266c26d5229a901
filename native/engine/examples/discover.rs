//! Prints what is discovered for a `request.json`, as JSON, for comparison with what a framework itself
//! lists: `cargo run --example discover -- build/testfleet/request.json`. With `--times` it says on standard error how long
//! discovery took within the process, what it had to do, and the most memory that the process had.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::Instant;
use testfleet_engine::discover::{Answer, AskHarness, Question, discover_and_ask};
use testfleet_protocol::Result as Outcome;
use testfleet_protocol::request::RunRequest;

/// What class files do not tell stays unknown: it is a notice of the discovery that is printed.
struct Nobody;

impl AskHarness for Nobody {
    fn ask(&self, _: &RunRequest, questions: &[Question]) -> Outcome<Vec<BTreeMap<String, Answer>>> {
        Ok(vec![BTreeMap::new(); questions.len()])
    }
}

fn main() -> ExitCode {
    match discover() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn discover() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("the path of a request.json is missing")?;
    let request = serde_json::from_slice(&std::fs::read(path)?)?;
    let started = Instant::now();
    let (discovery, effort) = discover_and_ask(&request, &Nobody)?;
    let ms = started.elapsed().as_secs_f64() * 1_000.0;
    let mut output = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    serde_json::to_writer(&mut output, &discovery)?;
    output.flush()?;
    if std::env::args().nth(2).as_deref() == Some("--times") {
        let classes: usize = discovery.tasks.iter().map(|task| task.classes.len()).sum();
        writeln!(
            std::io::stderr(),
            "discoveryMs={ms:.2} classes={classes} tests={} known={} bytesRead={} peakKb={}",
            discovery.test_count(),
            effort.known,
            effort.bytes_read,
            peak_kb()
        )?;
    }
    // The process ends here: taking half a million texts apart first would be time of no discovery.
    std::mem::forget(discovery);
    Ok(())
}

/// The most memory that this process had at once; 0 where the system does not tell.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
