//! Prints the key of every test class of a `request.json`, and why it counts by its whole classpath, if it does; then how
//! long that took: `cargo run --release --example keys -- build/testfleet/request.json`.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;
use testfleet_engine::{discover, reuse};

fn main() -> ExitCode {
    match keys() {
        Ok(text) => ExitCode::from(u8::from(std::io::stdout().write_all(text.as_bytes()).is_err())),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn keys() -> Result<String, Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("the path of a request.json is missing")?;
    let request = serde_json::from_slice(&std::fs::read(path)?)?;
    let discovery = discover::discover(&request)?;
    let started = Instant::now();
    let keys = reuse::Keys::of(&request, &discovery)?;
    let first = started.elapsed();
    let started = Instant::now();
    let again = reuse::Keys::of(&request, &discovery)?;
    let second = started.elapsed();
    if keys != again {
        return Err("something changed meanwhile".into());
    }
    let mut text = String::new();
    let mut known = 0;
    for (task, class, key) in keys.iter() {
        let why = key.whole_classpath.as_deref().unwrap_or("");
        known += u32::from(why.is_empty());
        text.push_str(&format!("{task}\t{class}\t{}\t{why}\n", key.key));
    }
    let all = keys.iter().count();
    text.push_str(&format!(
        "classes={all} known={known} first={:.3} again={:.3}\n",
        first.as_secs_f64(),
        second.as_secs_f64()
    ));
    Ok(text)
}
