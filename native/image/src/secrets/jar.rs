//! The entries of a jar that the build made itself, which may be a credential as any file may.

use super::LOOKED_AT;
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};
use std::fs::File;
use std::io::{BufReader, Error, Read, Result};
use std::path::Path;

/// More entries are in no jar of a build.
const MOST_ENTRIES: usize = 200_000;

/// Tells the name and the beginning of each entry that `wanted` says is worth reading.
///
/// # Errors
/// When it is no jar, or a damaged one.
pub(super) fn entries(jar: &Path, wanted: impl Fn(&str) -> bool, mut on_entry: impl FnMut(&str, &[u8])) -> Result<()> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(File::open(jar)?, &mut buffer).map_err(Error::other)?;
    let mut found = Vec::new();
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(Error::other)? {
        let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
        if entry.is_dir() || entry.flags().is_encrypted() || !wanted(&name) {
            continue;
        }
        if found.len() >= MOST_ENTRIES {
            return Err(Error::other(format!("it has more than {MOST_ENTRIES} entries")));
        }
        found.push((name, entry.wayfinder(), entry.compression_method()));
    }
    for (name, wayfinder, method) in found {
        let entry = archive.get_entry(wayfinder).map_err(Error::other)?;
        let mut bytes = Vec::new();
        let most = LOOKED_AT as u64;
        match method {
            CompressionMethod::STORE => entry.reader().take(most).read_to_end(&mut bytes)?,
            CompressionMethod::DEFLATE => {
                DeflateDecoder::new(BufReader::new(entry.reader())).take(most).read_to_end(&mut bytes)?
            }
            _ => continue,
        };
        on_entry(&name, &bytes);
    }
    Ok(())
}
