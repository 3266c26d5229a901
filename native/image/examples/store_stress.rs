//! Builds that share a store with others, and look at each byte that it gives them: `store_stress FOLDER SEED SECONDS`.
//!
//! Each build needs some of a hundred blobs, makes those that the store lacks, and goes on looking at all of them while others
//! prune, verify and damage the store. Exit code 3 tells of a wrong byte or a missing entry, with a line on standard error. It
//! expects to be killed at any time.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use testfleet_image::Digest;
use testfleet_image::store::{LayerRecord, Lease, MadeFrom, Policy, Store};
use testfleet_protocol::{Failure, Result};

/// Blobs that builds choose from.
const BLOBS: u64 = 100;
/// Bytes that the store may keep: about a third of all.
const MAX_SIZE: u64 = 4 << 20;
/// First byte of a blob that was damaged; no other blob begins with it.
const DAMAGE: u8 = 255;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, seed, seconds] = arguments.as_slice() else { return ExitCode::from(2) };
    let (Ok(seed), Ok(seconds)) = (seed.parse(), seconds.parse::<u64>()) else { return ExitCode::from(2) };
    match stress(Path::new(folder), seed, Duration::from_secs(seconds)) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(wrong)) => report(&wrong, 3),
        Err(failure) => report(&failure.to_string(), 4),
    }
}

fn report(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(code)
}

fn stress(folder: &Path, seed: u64, time: Duration) -> Result<Option<String>> {
    let started = Instant::now();
    let mut dice = Dice(seed | 1);
    let store = Store::open(&folder.join("store"))?;
    while started.elapsed() < time {
        if dice.below(4) == 0 {
            let max_age = if dice.below(8) == 0 { Duration::ZERO } else { Duration::from_secs(60) };
            store.prune(&Policy { max_size: MAX_SIZE, max_age })?;
        }
        if dice.below(20) == 0 {
            store.verify()?;
        }
        if dice.below(3) == 0 {
            damage(folder, dice.below(BLOBS))?;
        }
        if let Some(wrong) = build(folder, &store, &mut dice)? {
            return Ok(Some(wrong));
        }
    }
    Ok(None)
}

/// What a build of an image does with the store.
fn build(folder: &Path, store: &Store, dice: &mut Dice) -> Result<Option<String>> {
    let lease = store.lease()?;
    let mut files: Vec<(u64, PathBuf)> = Vec::new();
    for _ in 0..6 {
        let number = dice.below(BLOBS);
        let key = format!("{number:064x}");
        {
            // Nothing is damaged between giving out and looking.
            let _whole = damages(folder, false)?;
            let file = match lease.layer(&key)? {
                Some((_, file)) => file,
                None => make(&lease, &key, number)?,
            };
            if fs::read(&file).ok() != Some(content(number)) {
                return Ok(Some(format!("blob {number} was given out with wrong bytes: {}", file.display())));
            }
            files.push((number, file));
        }
        for (number, file) in &files {
            match fs::read(file) {
                Err(error) => return Ok(Some(format!("blob {number} is gone: {}: {error}", file.display()))),
                Ok(bytes) if bytes != content(*number) && bytes.first() != Some(&DAMAGE) => {
                    return Ok(Some(format!("blob {number} has wrong bytes: {}", file.display())));
                }
                Ok(_) => {}
            }
        }
    }
    Ok(None)
}

fn make(lease: &Lease, key: &str, number: u64) -> Result<PathBuf> {
    let content = content(number);
    let mut writer = lease.writer()?;
    for piece in content.chunks(8_192) {
        writer.write_all(piece).map_err(|error| Failure::io("write", &lease.temp(), &error))?;
    }
    let (digest, size, file) = writer.finish()?;
    let made_from = vec![MadeFrom { path: format!("/jar-{number}"), sha256: digest.hex().to_owned() }];
    let record = LayerRecord {
        holds: "dependencies".to_owned(),
        diff_id: digest.clone(),
        digest,
        size,
        media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
        made_from,
    };
    lease.remember(key, &record)?;
    Ok(file)
}

/// Always the same of a number, of 1 to 256 KB.
fn content(number: u64) -> Vec<u8> {
    let length = 1_024 + (number * 7_919) % (255 << 10);
    (0..length).map(|at| (number.wrapping_mul(31).wrapping_add(at.wrapping_mul(at)) % 251) as u8).collect()
}

/// Shared by those who look at blobs that they were given; alone for who damages one.
fn damages(folder: &Path, alone: bool) -> Result<File> {
    let path = folder.join("damages");
    let failed = |error: &std::io::Error| Failure::io("lock", &path, error);
    let file = File::options().create(true).append(true).open(&path).map_err(|error| failed(&error))?;
    if alone { file.lock() } else { file.lock_shared() }.map_err(|error| failed(&error))?;
    Ok(file)
}

/// Puts a damaged blob in the place of a whole one.
fn damage(folder: &Path, number: u64) -> Result<()> {
    let _alone = damages(folder, true)?;
    let mut bytes = content(number);
    let path = folder.join("store/blobs").join(Digest::of(&bytes).hex());
    bytes[0] = DAMAGE;
    let temp = folder.join(format!("damage-{}", std::process::id()));
    if path.exists() {
        let put = fs::write(&temp, &bytes).and_then(|()| fs::rename(&temp, &path));
        put.map_err(|error| Failure::io("damage", &path, &error))?;
    }
    Ok(())
}

/// Numbers without a pattern (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
