//! What fuzzing calls: the readers of foreign bytes, each as one function. See `native/fuzz`.
//!
//! There for `cfg(fuzzing)`, which cargo-fuzz sets, and for tests, which read the seeds of the fuzz targets.

use crate::base::{self, Platform};
use crate::gradle;
use crate::hashing;
use crate::registry;
use crate::restore;
use crate::{BlobSource, Digest};
use oci_spec::image::MediaType;

/// Reads a manifest, an index or a configuration of a base.
pub fn base_document(bytes: &[u8]) {
    base::read_document(bytes, &Platform { os: "linux".into(), architecture: "amd64".into(), variant: None });
}

/// Reads a base from a tar file: whatever is in it, nothing is written but blobs under their digests.
pub fn base_tar(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, fetched) = (folder.path().join("base.tar"), folder.path().join("fetched"));
    std::fs::write(&file, bytes).expect("the folder can be written");
    let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    if let Ok(base) = base::resolve_path(&file, &platform, &fetched) {
        for layer in &base.layers {
            let BlobSource::File(path) = &layer.source else { panic!("{layer:?} is no file") };
            assert!(path.starts_with(&fetched), "{} is outside", path.display());
            let digest: Digest = layer.descriptor.digest().to_string().parse().expect("layers have digests");
            assert_eq!(hashing::of_file(path).ok().as_ref(), Some(&digest));
        }
        let again = base::resolve_path(&file, &platform, &fetched).expect("what was read is read again");
        assert_eq!(again, base);
    }
    for entry in std::fs::read_dir(folder.path()).expect("the folder is there") {
        let name = entry.expect("the folder can be read").file_name();
        assert!(name == "base.tar" || name == "fetched", "{name:?} was written");
    }
}

/// Reads the name of an image, and what a registry answers.
pub fn registry_answer(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(reference) = registry::Reference::parse(text)
    {
        // What was understood is understood again.
        let again = registry::Reference::parse(&reference.to_string()).expect("a reference is one");
        assert_eq!((again.place, again.digest), (reference.place, reference.digest));
    }
    registry::read_answer(bytes);
}

/// Reads a POM.
pub fn pom(bytes: &[u8]) {
    if let Ok(pom) = gradle::Pom::read(bytes) {
        gradle::references(&[pom.clone(), pom]);
    }
}

/// Unpacks a layer of dependencies: nothing is written but files of a cache.
pub fn cached_files(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (blob, to) = (folder.path().join("layer"), folder.path().join("to"));
    std::fs::write(&blob, bytes).expect("the folder can be written");
    std::fs::create_dir(&to).expect("the folder can be written");
    for kind in [MediaType::ImageLayer, MediaType::ImageLayerGzip, MediaType::ImageLayerZstd] {
        if let Ok(files) = restore::unpack(&blob, &kind, &to) {
            assert!(files.iter().all(|(path, size)| to.join(path).metadata().is_ok_and(|file| file.len() == *size)));
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder is there").count(), 2);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_seeds_break_nothing() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
        type Read = fn(&[u8]);
        let targets: [(&str, Read); 5] = [
            ("base_document", base_document),
            ("base_tar", base_tar),
            ("registry_answer", registry_answer),
            ("pom", pom),
            ("cached_files", cached_files),
        ];
        for (target, read) in targets {
            for seed in std::fs::read_dir(seeds.join(target)).unwrap() {
                read(&std::fs::read(seed.unwrap().path()).unwrap());
            }
        }
    }
}
