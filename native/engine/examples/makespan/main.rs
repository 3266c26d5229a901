//! Simulated makespans of recorded suites: the planner and the engine's own queue beside the ways of others.
//!
//!     makespan FOLDER_OF_SUITES [--short] [--rows FILE]
//!
//! Prints a table for each suite and ends with 1 when a promise of docs/planning.md is broken. `--rows` writes each figure
//! with its place, for the plot.

mod estimates;
mod measure;
mod recorded;
mod simulate;

use measure::Measured;
use recorded::Suite;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

const WORKERS: [u32; 20] = [2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 100, 150, 250, 400, 650, 1_000];
const FEW_WORKERS: [u32; 7] = [2, 5, 8, 12, 20, 100, 1_000];

fn main() -> ExitCode {
    match run() {
        Ok((text, broken)) => {
            let written = std::io::stdout().write_all(text.as_bytes()).is_ok();
            ExitCode::from(u8::from(broken || !written))
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "failed to measure makespans: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(String, bool), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("the folder of the recorded suites is missing")?);
    let (mut short, mut rows_file) = (false, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--short" => short = true,
            "--rows" => rows_file = Some(PathBuf::from(arguments.next().ok_or("--rows wants a file")?)),
            other => return Err(format!("{other} is no option").into()),
        }
    }
    let mut folders: Vec<_> =
        std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    folders.retain(|folder| folder.join("results.tsv.gz").exists());
    folders.sort();
    let mut suites = folders.iter().map(|folder| Suite::read(folder)).collect::<Result<Vec<_>, _>>()?;
    if suites.is_empty() {
        return Err(format!("{} has no folder with results.tsv.gz", folder.display()).into());
    }
    if !short {
        suites.push(Suite::many("all ten times", &suites, 10));
    }
    let (mut text, mut rows, mut broken) = (String::new(), String::new(), Vec::new());
    rows.push_str("suite\tworkers\tway\tseconds\tratio\n");
    for suite in &suites {
        let (workers, seeds) = match short {
            true => (FEW_WORKERS.as_slice(), 4),
            false if suite.name.contains(' ') => (FEW_WORKERS.as_slice(), 2),
            false => (WORKERS.as_slice(), 20),
        };
        let measured: Vec<Measured> =
            workers.iter().map(|workers| Measured::of(suite, *workers, seeds)).collect::<Result<_, _>>()?;
        measure::table(&mut text, suite, &measured);
        measure::rows(&mut rows, suite, &measured);
        broken.extend(measured.iter().flat_map(|one| one.broken(&suite.name)));
    }
    if let Some(file) = rows_file {
        std::fs::write(file, rows)?;
    }
    for promise in &broken {
        let _ = writeln!(text, "BROKEN: {promise}");
    }
    let _ = writeln!(text, "{}", if broken.is_empty() { "All promises are kept." } else { "Promises are broken." });
    Ok((text, !broken.is_empty()))
}
