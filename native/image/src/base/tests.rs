//! Bases as registries, folders and tar files have them, and as they should not be.

use super::*;
use crate::registry::fake::{Fake, breaking_way};
use crate::registry::{Patience, file_of};
use crate::{Blob, BlobSource, Digest};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::time::Duration;
use testfleet_protocol::image::RegistryOptions;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// An image of one layer as Docker writes it: manifest, configuration and layer.
struct Sample {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
}

fn sample(architecture: &str) -> Sample {
    let plain = b"a layer of ".iter().chain(architecture.as_bytes()).copied().collect::<Vec<_>>();
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {"Env": ["JAVA_HOME=/java"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&plain)]},
    });
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&plain).unwrap();
    let (layer, config) = (packed.finish().unwrap(), config.to_string().into_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.docker.container.image.v1+json", &config),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &layer)],
    });
    Sample { manifest: manifest.to_string().into_bytes(), config, layer }
}

fn entry(manifest: &[u8], architecture: &str) -> Value {
    let mut entry = descriptor(MANIFEST, manifest);
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry
}

fn index(entries: &[Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": LIST, "manifests": entries}).to_string().into_bytes()
}

fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

fn registry() -> Registry {
    let patience = Patience { connect: Duration::from_secs(5), tries: 2, first_tries: 2, ..Patience::USUAL };
    Registry::new(&RegistryOptions::default(), &BTreeMap::new(), None, patience).unwrap()
}

/// A registry with an index of two images under `team/base:1`.
fn with_images() -> Fake {
    let fake = Fake::start(|_, _| None);
    let mut entries = Vec::new();
    fake.with(|state| {
        let key = |name: &str| ("team/base".to_owned(), name.to_owned());
        for architecture in ["amd64", "arm64"] {
            let sample = sample(architecture);
            entries.push(entry(&sample.manifest, architecture));
            for blob in [&sample.config, &sample.layer] {
                state.blobs.insert(key(&digest(blob)), blob.clone());
            }
            state.manifests.insert(key(&digest(&sample.manifest)), (MANIFEST.into(), sample.manifest));
        }
        let index = index(&entries);
        state.manifests.insert(key(&digest(&index)), (LIST.into(), index.clone()));
        state.manifests.insert(key("1"), (LIST.into(), index));
    });
    fake
}

async fn of_registry(reference: &str, platform: &str, folder: &Path) -> Result<Base> {
    let chosen = Chosen::Registry { reference: reference.to_owned() };
    let base = resolve(&chosen, &platform.parse().unwrap(), &registry(), folder).await?;
    Ok(base.expect("there is one"))
}

#[tokio::test]
async fn a_base_of_a_registry_is_that_of_the_platform() {
    let (fake, folder) = (with_images(), tempfile::tempdir().unwrap());
    let name = fake.name("team/base");
    let arm = of_registry(&format!("{name}:1"), "linux/arm64", folder.path()).await.unwrap();
    assert_eq!(arm.config.architecture().to_string(), "arm64");
    assert_eq!(arm.identity, digest(&sample("arm64").manifest));
    let [layer] = arm.layers.as_slice() else { panic!("{:?}", arm.layers) };
    assert_eq!(layer.source, BlobSource::Registry(name.clone()));
    assert_eq!(layer.descriptor.media_type().to_string(), "application/vnd.oci.image.layer.v1.tar+gzip");
    let fetched = registry().fetch(layer, folder.path()).await.unwrap();
    assert_eq!(fs::read(fetched).unwrap(), sample("arm64").layer);

    // What was seen is asked for by its name alone, by its digest not at all.
    fake.seen();
    let again = of_registry(&format!("{name}:1"), "linux/arm64", folder.path()).await.unwrap();
    assert_eq!(again, arm);
    assert_eq!(fake.seen(), ["HEAD /v2/team/base/manifests/1"]);
    let exact = fake.with(|state| digest(&state.manifests[&("team/base".to_owned(), "1".to_owned())].1));
    assert_eq!(of_registry(&format!("{name}@{exact}"), "linux/arm64", folder.path()).await.unwrap(), arm);
    assert_eq!(fake.seen(), [""; 0]);
    // A kept manifest that was damaged is fetched again.
    fs::write(file_of(folder.path(), &exact.parse().unwrap()), "{}").unwrap();
    assert_eq!(of_registry(&format!("{name}@{exact}"), "linux/arm64", folder.path()).await.unwrap(), arm);
}

#[tokio::test]
async fn what_other_bases_left_goes() {
    let (fake, folder) = (with_images(), tempfile::tempdir().unwrap());
    let reference = format!("{}:1", fake.name("team/base"));
    let files = || fs::read_dir(folder.path().join("sha256")).unwrap().count();
    let keep = |base: Option<&Base>, chosen: &Chosen| keep_only(base, chosen, &amd64(), folder.path()).unwrap();
    for platform in ["linux/arm64", "linux/amd64"] {
        let base = of_registry(&reference, platform, folder.path()).await.unwrap();
        registry().fetch(&base.layers[0], folder.path()).await.unwrap();
    }
    assert_eq!(files(), 7, "an index, and of each a manifest, a configuration and a layer");
    let base = of_registry(&reference, "linux/amd64", folder.path()).await.unwrap();
    let part = folder.path().join("sha256").join(format!("{}.part", "0".repeat(64)));
    let fetching = fs::File::create(&part).unwrap();
    fetching.lock().unwrap();
    let chosen = Chosen::Registry { reference: reference.clone() };
    keep(Some(&base), &chosen);
    assert_eq!(files(), 5, "what is being fetched stays");
    drop(fetching);
    keep(Some(&base), &chosen);
    assert_eq!(files(), 4);
    fake.seen();
    assert_eq!(of_registry(&reference, "linux/amd64", folder.path()).await.unwrap(), base);
    registry().fetch(&base.layers[0], folder.path()).await.unwrap();
    assert_eq!(fake.seen(), ["HEAD /v2/team/base/manifests/1"], "nothing is fetched again");
    keep(None, &Chosen::None);
    assert_eq!(files(), 0);
    keep_only(None, &Chosen::None, &amd64(), &folder.path().join("none")).unwrap();
}

#[tokio::test]
async fn a_base_that_a_registry_lacks_is_told() {
    let (fake, folder) = (with_images(), tempfile::tempdir().unwrap());
    let name = fake.name("team/base");
    let exact = digest(&sample("arm64").manifest);
    for (reference, platform, reason) in [
        (format!("{name}:1"), "linux/s390x", "only for linux/amd64, linux/arm64"),
        (format!("{name}@{exact}"), "linux/amd64", "only for linux/arm64"),
        (format!("{name}:2"), "linux/amd64", "has no such image"),
        (format!("{name}@{}", digest(b"other")), "linux/amd64", "has no such image"),
    ] {
        let failure = of_registry(&reference, platform, folder.path()).await.unwrap_err();
        assert!(failure.to_string().contains(reason) && failure.hint.is_some(), "{failure}");
        assert!(failure.to_string().contains(&name), "{failure}");
    }
    // A registry that sends another manifest than it was asked for.
    fake.with(|state| {
        let key = ("team/base".to_owned(), exact.clone());
        state.manifests.insert(key, (MANIFEST.into(), sample("amd64").manifest));
    });
    let failure = of_registry(&format!("{name}@{exact}"), "linux/amd64", tempfile::tempdir().unwrap().path()).await;
    assert!(failure.unwrap_err().to_string().contains("the registry sent"));
    // And one that can't be reached.
    let way = breaking_way(fake.address(), |_| Some(0), |_| Some(0));
    let failure = of_registry(&format!("{way}/team/base:1"), "linux/amd64", folder.path()).await.unwrap_err();
    assert!(failure.hint.is_some(), "{failure}");
}

async fn of_path(path: &Path, folder: &Path) -> Result<Base> {
    Ok(resolve(&Chosen::Path { path: path.to_owned() }, &amd64(), &registry(), folder).await?.expect("there is one"))
}

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a layout with the images of two platforms.
fn layout() -> Files {
    let mut files = Files::new();
    let mut entries = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let sample = sample(architecture);
        entries.push(entry(&sample.manifest, architecture));
        for blob in [sample.manifest, sample.config, sample.layer] {
            files.insert(format!("blobs/sha256/{}", &digest(&blob)[7..]), blob);
        }
    }
    files.insert("index.json".into(), index(&entries));
    files.insert("oci-layout".into(), br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec());
    files
}

/// The files of what `docker save` wrote before it knew of OCI.
fn saved() -> Files {
    let sample = sample("amd64");
    let plain = b"a layer of amd64".to_vec();
    let manifest = json!([{"Config": "c.json", "RepoTags": ["base:1"], "Layers": ["a/layer.tar"]}]);
    [("manifest.json", manifest.to_string().into_bytes()), ("c.json", sample.config), ("a/layer.tar", plain)]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .into()
}

fn write_folder(files: &Files, folder: &Path) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn tar_of(files: &Files) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn only_layer(base: &Base) -> (&Blob, &Path) {
    let [layer] = base.layers.as_slice() else { panic!("{:?}", base.layers) };
    let BlobSource::File(path) = &layer.source else { panic!("{layer:?}") };
    (layer, path)
}

#[tokio::test]
async fn a_layout_is_read_from_a_folder_and_from_a_tar_file() {
    let work = tempfile::tempdir().unwrap();
    let (folder, file, fetched) = (work.path().join("layout"), work.path().join("l.tar"), work.path().join("fetched"));
    write_folder(&layout(), &folder);
    fs::write(&file, tar_of(&layout())).unwrap();
    for path in [&folder, &file] {
        let base = of_path(path, &fetched).await.unwrap();
        let (layer, content) = only_layer(&base);
        assert_eq!(fs::read(content).unwrap(), sample("amd64").layer);
        assert_eq!(layer.descriptor.digest().to_string(), digest(&sample("amd64").layer));
        assert_eq!(base.identity, digest(&sample("amd64").manifest));
        assert_eq!(base.config.config().as_ref().unwrap().env().as_ref().unwrap(), &["JAVA_HOME=/java"]);
        assert_eq!(of_path(path, &fetched).await.unwrap(), base, "what is remembered is the same");
    }
}

#[tokio::test]
async fn what_docker_saved_is_read() {
    let work = tempfile::tempdir().unwrap();
    let (file, fetched) = (work.path().join("saved.tar"), work.path().join("fetched"));
    fs::write(&file, tar_of(&saved())).unwrap();
    let base = of_path(&file, &fetched).await.unwrap();
    let (layer, content) = only_layer(&base);
    assert_eq!(fs::read(content).unwrap(), b"a layer of amd64");
    assert_eq!(layer.descriptor.media_type().to_string(), "application/vnd.oci.image.layer.v1.tar");
    assert_eq!(base.identity, digest(&sample("amd64").config));
    // Compressed layers, and links from one to another.
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut files = saved();
    files.remove("a/layer.tar");
    files.insert("b/layer.tar".into(), sample("amd64").layer);
    for (name, bytes) in &files {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(::tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "a/layer.tar", "../b/layer.tar").unwrap();
    fs::write(&file, builder.into_inner().unwrap()).unwrap();
    let base = of_path(&file, &fetched).await.unwrap();
    let (layer, content) = only_layer(&base);
    assert_eq!(fs::read(content).unwrap(), sample("amd64").layer);
    assert_eq!(layer.descriptor.media_type().to_string(), "application/vnd.oci.image.layer.v1.tar+gzip");
}

#[tokio::test]
async fn layers_are_read_once() {
    let work = tempfile::tempdir().unwrap();
    let (file, fetched) = (work.path().join("saved.tar"), work.path().join("fetched"));
    fs::write(&file, tar_of(&saved())).unwrap();
    let base = of_path(&file, &fetched).await.unwrap();
    let memo = fs::read_dir(fetched.join("bases")).unwrap().next().unwrap().unwrap().path();
    let written = fs::metadata(&memo).unwrap().modified().unwrap();
    of_path(&file, &fetched).await.unwrap();
    assert_eq!(fs::metadata(&memo).unwrap().modified().unwrap(), written, "it was not read again");
    // A layer that changed since is put right.
    fs::write(only_layer(&base).1, "something else").unwrap();
    assert_eq!(of_path(&file, &fetched).await.unwrap(), base);
    assert_eq!(fs::read(only_layer(&base).1).unwrap(), b"a layer of amd64");
    // So is a memo that is none, and another platform has its own.
    fs::write(&memo, "{").unwrap();
    assert_eq!(of_path(&file, &fetched).await.unwrap(), base);
    let (chosen, other) = (Chosen::Path { path: file.clone() }, "linux/arm64".parse().unwrap());
    let arm = resolve(&chosen, &other, &registry(), &fetched).await;
    assert!(arm.unwrap_err().to_string().contains("only for linux/amd64"));
    // And a file that is another now.
    fs::write(&file, tar_of(&layout())).unwrap();
    assert_ne!(of_path(&file, &fetched).await.unwrap(), base);
}

/// What is wrong with files, and what a failure says of it.
fn broken(files: &Files, change: impl FnOnce(&mut Files)) -> Files {
    let mut files = files.clone();
    change(&mut files);
    files
}

#[tokio::test]
async fn damaged_bases_are_refused() {
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", &digest(bytes)[7..]);
    let amd64 = sample("amd64");
    let layouts = [
        (broken(&layout(), |files| drop(files.remove("index.json"))), "index.json"),
        (broken(&layout(), |files| drop(files.insert("index.json".into(), b"{".to_vec()))), "can't be read"),
        (broken(&layout(), |files| drop(files.insert("index.json".into(), vec![b' '; 5 << 20]))), "bytes"),
        (broken(&layout(), |files| drop(files.remove(&blob(&amd64.layer)))), &blob(&amd64.layer)[13..]),
        (broken(&layout(), |files| drop(files.insert(blob(&amd64.layer), b"x".to_vec()))), "1 of "),
        (broken(&layout(), |files| drop(files.insert(blob(&amd64.config), b"{}".to_vec()))), "has the digest"),
        (broken(&layout(), |files| files.get_mut(&blob(&amd64.layer)).unwrap()[0] ^= 1), "digest"),
        (
            broken(&layout(), |files| {
                let both = [sample("amd64"), sample("arm64")].map(|sample| descriptor(MANIFEST, &sample.manifest));
                files.insert("index.json".into(), index(&both));
            }),
            "several images",
        ),
    ];
    let saves = [
        (broken(&saved(), |files| drop(files.remove("c.json"))), "c.json"),
        (
            broken(&saved(), |files| drop(files.insert("manifest.json".into(), b"[]".to_vec()))),
            "no image for linux/amd64",
        ),
        (broken(&saved(), |files| drop(files.insert("manifest.json".into(), b"{".to_vec()))), "can't be read"),
        (broken(&saved(), |files| drop(files.insert("a/layer.tar".into(), b"other".to_vec()))), "has the digest"),
        (broken(&saved(), |files| drop(files.insert("a/layer.tar".into(), vec![0x1f, 0x8b, 8, 0]))), "layer"),
        (
            broken(&saved(), |files| {
                let out = json!([{"Config": "c.json", "Layers": ["../../etc/passwd"]}]);
                files.insert("manifest.json".into(), out.to_string().into_bytes());
            }),
            "leads out",
        ),
        (broken(&saved(), |files| drop(files.remove("manifest.json"))), "neither"),
    ];
    let work = tempfile::tempdir().unwrap();
    let check = async |path: &Path, reason: &str| {
        let failure = of_path(path, &work.path().join("fetched")).await.unwrap_err();
        assert!(failure.to_string().contains(reason) && failure.hint.is_some(), "{reason}: {failure}");
        assert!(failure.to_string().contains(&path.display().to_string()), "{failure}");
    };
    for (number, (files, reason)) in layouts.iter().enumerate() {
        let folder = work.path().join(format!("layout-{number}"));
        write_folder(files, &folder);
        check(&folder, reason).await;
    }
    for (number, (files, reason)) in layouts.iter().skip(1).chain(&saves).enumerate() {
        let file = work.path().join(format!("{number}.tar"));
        fs::write(&file, tar_of(files)).unwrap();
        check(&file, reason).await;
    }
    check(&work.path().join("not-there"), "not-there").await;
}

#[tokio::test]
async fn broken_tar_files_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("broken.tar");
    let whole = tar_of(&saved());
    // Somewhere within each of the parts.
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&whole).unwrap();
    let leads_out = {
        let mut header = ::tar::Header::new_gnu();
        header.as_mut_bytes()[..9].copy_from_slice(b"../../out");
        header.set_size(1);
        header.set_cksum();
        let mut builder = ::tar::Builder::new(Vec::new());
        builder.append(&header, &b"x"[..]).unwrap();
        builder.into_inner().unwrap()
    };
    let noise: Vec<u8> = (0..4096_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (bytes, reason) in [
        (Vec::new(), "no tar file"),
        (b"x".to_vec(), "no tar file"),
        (noise, "no tar file"),
        (packed.finish().unwrap(), "gunzip"),
        (leads_out, "leads out"),
        (whole[..600].to_vec(), ""),
        (whole[..1700].to_vec(), ""),
    ] {
        fs::write(&file, &bytes).unwrap();
        let failure = of_path(&file, &work.path().join("fetched")).await.unwrap_err();
        assert!(failure.to_string().contains(reason) && failure.hint.is_some(), "{reason}: {failure}");
    }
    // Wherever it ends, it is whole or refused.
    for end in (0..whole.len()).step_by(97) {
        fs::write(&file, &whole[..end]).unwrap();
        if let Ok(base) = of_path(&file, &work.path().join("fetched")).await {
            assert_eq!(fs::read(only_layer(&base).1).unwrap(), b"a layer of amd64");
        }
    }
}

#[tokio::test]
async fn no_base_is_made_elsewhere() {
    assert_eq!(resolve(&Chosen::None, &amd64(), &registry(), Path::new("unused")).await.unwrap(), None);
}
