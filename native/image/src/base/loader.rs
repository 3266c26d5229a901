//! Whether the agent can start on a base: the loader of its C library has to be in it.

use crate::java::loader_of;
use crate::registry::{digest_of, file_of};
use crate::{Base, BlobSource};
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Result as IoResult};
use std::path::Path;
use testfleet_protocol::{Failure, FailureCode, Result};

/// What a base is looked at for once is noted beside its lowest layer, or where that would be.
const NOTED: &str = "loader";

/// Looks for the agent's loader in a base's layers, once for each base. Layers that are still in a registry are not looked
/// at; neither is one that can't be read, which is said elsewhere.
///
/// # Errors
/// `BaseUnusable` when it is in none of them: the base is of musl, or has no system at all.
pub fn check_loader(base: &Base, agent: &Path, fetched: &Path) -> Result<()> {
    let Some(lowest) = base.layers.first() else { return Ok(()) };
    let mark = file_of(fetched, &digest_of(&lowest.descriptor)?).with_extension(NOTED);
    let noted = fs::read_to_string(&mark).is_ok_and(|identity| identity == base.identity);
    let loader = if noted { None } else { loader_of(agent)? };
    let Some(loader) = loader else { return Ok(()) };
    let name = Path::new(&loader).file_name().unwrap_or_default();
    for layer in &base.layers {
        let BlobSource::File(file) = &layer.source else { return Ok(()) };
        match has(file, Path::new(name)) {
            Ok(false) => {}
            Ok(true) => {
                // Without the note it is looked for again.
                let _ = mark.parent().map(fs::create_dir_all).and_then(|_| fs::write(&mark, &base.identity).ok());
                return Ok(());
            }
            Err(error) => {
                tracing::info!("{} was not looked at for {loader}: {error}", file.display());
                return Ok(());
            }
        }
    }
    Err(Failure::new(FailureCode::BaseUnusable, "failed to use the base")
        .cause_text(format!("no layer of it has {loader}, the loader of glibc, without which the agent does not start"))
        .hint("bases with musl, such as Alpine, lack it: take one with glibc, such as `eclipse-temurin:17`, or the base `none`"))
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
        let agent = std::env::current_exe().unwrap();
        let loader = loader_of(&agent).unwrap().unwrap();
        let name = Path::new(&loader).file_name().unwrap().to_str().unwrap();
        let mut zipped = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&tar_of(&format!("usr/lib64/{name}"))).unwrap();
        let with = base(folder.path(), &[tar_of("etc/os-release"), zipped.finish().unwrap()]);
        check_loader(&with, &agent, folder.path()).unwrap();
        fs::write(folder.path().join("1"), tar_of("nothing")).unwrap();
        check_loader(&with, &agent, folder.path()).unwrap();

        let musl = base(folder.path(), &[tar_of("lib/ld-musl-x86_64.so.1")]);
        let failure = check_loader(&musl, &agent, folder.path()).unwrap_err();
        assert!(failure.code == FailureCode::BaseUnusable && failure.to_string().contains("Alpine"), "{failure}");
        check_loader(&musl, Path::new("/etc/passwd"), folder.path()).unwrap();
        check_loader(&base(folder.path(), &[b"no tar".to_vec()]), &agent, folder.path()).unwrap();
    }
}
