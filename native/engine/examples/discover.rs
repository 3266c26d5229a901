//! Prints what is discovered for a `request.json`, as JSON, for comparison with what a framework itself
//! lists: `cargo run --example discover -- build/testfleet/request.json`.

use std::io::Write;
use std::process::ExitCode;

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
    let request = serde_json::from_slice(&std::fs::read(path)?)?;
    let discovery = testfleet_engine::discover::discover(&request)?;
    Ok(serde_json::to_vec_pretty(&discovery)?)
}
