//! Whether programs of this machine start on a base: the loader of their C library has to be in it.

use crate::java::loader_of;
use crate::registry::{digest_of, file_of};
use crate::{Base, BlobSource};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Result as IoResult};
use std::path::{Path, PathBuf};
use testfleet_protocol::{Failure, FailureCode, Result};

/// What a base was found to have is noted beside its lowest layer, or where that would be.
const NOTED: &str = "loader";

/// Looks for the loaders of programs in a base's layers, once for each base. Layers that are still in a registry are not
/// looked at; neither is one that can't be read, which is said elsewhere.
///
/// # Errors
/// `BaseUnusable` when one is in none of them: the base is of musl, or has no system at all.
pub(crate) fn check_loaders(base: &Base, programs: &[PathBuf], fetched: &Path) -> Result<()> {
    let Some(lowest) = base.layers.first() else { return Ok(()) };
    let mark = file_of(fetched, &digest_of(&lowest.descriptor)?).with_extension(NOTED);
    let mut wanted: Vec<(String, &Path)> = Vec::new();
    let mut seen = BTreeSet::new();
    for program in programs.iter().filter(|program| program.is_file()) {
        if let Some(loader) = loader_of(program)?
            && seen.insert(loader.clone())
        {
            wanted.push((loader, program));
        }
    }
    let found = format!("{} {seen:?}", base.identity);
    if wanted.is_empty() || fs::read_to_string(&mark).is_ok_and(|noted| noted == found) {
        return Ok(());
    }
    for (loader, program) in wanted {
        match is_in(base, Path::new(&loader)) {
            Ok(None) => return Ok(()),
            Ok(Some(true)) => {}
            Ok(Some(false)) => return Err(lacks(&loader, program)),
            Err(error) => {
                tracing::info!("the base was not looked at for {loader}: {error}");
                return Ok(());
            }
        }
    }
    // Without the note they are looked for again.
    let _ = mark.parent().map(fs::create_dir_all).and_then(|_| fs::write(&mark, found).ok());
    Ok(())
}

fn lacks(loader: &str, program: &Path) -> Failure {
    Failure::new(FailureCode::BaseUnusable, "failed to use the base")
        .cause_text(format!("no layer of it has {loader}, without which {} does not start there", program.display()))
        .hint(
            "bases with musl, such as Alpine, lack the loader of glibc: take a base with glibc, such as \
             `eclipse-temurin:17`, the base `none`, or one that brings its own Java (addJava = false)",
        )
}

/// `None` when some layers are not here.
fn is_in(base: &Base, loader: &Path) -> IoResult<Option<bool>> {
    for layer in &base.layers {
        let BlobSource::File(file) = &layer.source else { return Ok(None) };
        if has(file, loader)? {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}

/// Whether a layer has a file of that name, in whatever folder: `lib64` may be a link to `usr/lib64`.
fn has(layer: &Path, name: &Path) -> IoResult<bool> {
    let mut file = BufReader::new(File::open(layer)?);
    let plain: Box<dyn Read> = match file.fill_buf()? {
        [0x1F, 0x8B, ..] => Box::new(MultiGzDecoder::new(file)),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Box::new(zstd::Decoder::with_buffer(file)?),
        _ => Box::new(file),
    };
    for entry in tar::Archive::new(plain).entries()? {
        if entry?.path()?.file_name() == name.file_name() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blob;
    use flate2::write::GzEncoder;
    use oci_spec::image::{ImageConfiguration, MediaType};
    use std::io::Write;

    fn tar_of(path: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        tar.append_data(&mut header, path, &[][..]).unwrap();
        tar.into_inner().unwrap()
    }

    fn base(folder: &Path, layers: &[Vec<u8>]) -> Base {
        let file = |(number, bytes): (usize, &Vec<u8>)| {
            let path = folder.join(number.to_string());
            fs::write(&path, bytes).unwrap();
            Blob { source: BlobSource::File(path), ..Blob::of_bytes(MediaType::ImageLayer, bytes.clone()).unwrap() }
        };
        let layers = layers.iter().enumerate().map(file).collect();
        Base { config: ImageConfiguration::default(), layers, identity: "base".to_owned(), documents: vec![] }
    }

    #[test]
    fn a_base_without_the_loader_is_refused_and_one_with_it_looked_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let programs = [std::env::current_exe().unwrap()];
        let loader = loader_of(&programs[0]).unwrap().unwrap();
        let name = Path::new(&loader).file_name().unwrap().to_str().unwrap();
        let mut zipped = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&tar_of(&format!("usr/lib64/{name}"))).unwrap();
        let with = base(folder.path(), &[tar_of("etc/os-release"), zipped.finish().unwrap()]);
        check_loaders(&with, &programs, folder.path()).unwrap();
        fs::write(folder.path().join("1"), tar_of("nothing")).unwrap();
        check_loaders(&with, &programs, folder.path()).unwrap();

        let musl = base(folder.path(), &[tar_of("lib/ld-musl-x86_64.so.1")]);
        let failure = check_loaders(&musl, &programs, folder.path()).unwrap_err();
        assert!(failure.code == FailureCode::BaseUnusable && failure.to_string().contains("Alpine"), "{failure}");
        check_loaders(&musl, &["/etc/passwd".into(), "/nowhere".into()], folder.path()).unwrap();
        check_loaders(&base(folder.path(), &[b"no tar".to_vec()]), &programs, folder.path()).unwrap();
    }
}
