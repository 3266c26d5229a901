//! Prints what is discovered for a `request.json`, as JSON, for comparison with what a framework itself
//! lists: `cargo run --example discover -- build/testfleet/request.json`. With `--times` it says on standard error how long
//! discovery took within the process, what it had to do, and the most memory that the process had.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;
use testfleet_engine::discover::{Answer, AskHarness, Question, discover_and_ask};
use testfleet_protocol::request::RunRequest;

fn main() -> ExitCode {
    match discover() {
        Ok(json) => ExitCode::from(u8::from(std::io::stdout().write_all(&json).is_err())),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn discover() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("the path of a request.json is missing")?;
    let request: RunRequest = serde_json::from_slice(&std::fs::read(path)?)?;
    if std::env::args().nth(2).as_deref() != Some("--times") {
        return Ok(serde_json::to_vec(&testfleet_engine::discover::discover(&request)?)?);
    }
    let started = Instant::now();
    let (discovery, effort) = discover_and_ask(&request, &Nobody)?;
    let ms = started.elapsed().as_secs_f64() * 1_000.0;
    let classes: usize = discovery.tasks.iter().map(|task| task.classes.len()).sum();
    writeln!(
        std::io::stderr(),
        "discoveryMs={ms:.2} classes={classes} tests={} known={} bytesRead={} peakKb={}",
        discovery.test_count(),
        effort.known,
        effort.bytes_read,
        peak_kb()
    )?;
    Ok(serde_json::to_vec(&discovery)?)
}

/// Knows no more than class files tell.
struct Nobody;

impl AskHarness for Nobody {
    fn ask(&self, _: &RunRequest, questions: &[Question]) -> testfleet_protocol::Result<Vec<BTreeMap<String, Answer>>> {
        Ok(vec![BTreeMap::new(); questions.len()])
    }
}

/// The most memory that this process had at once; 0 where the system does not tell.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
