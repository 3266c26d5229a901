use super::*;
use crate::registry::fake::Fake;
use crate::registry::{Patience, Place, Registry};
use crate::test_build::Build;
use crate::{Assembled, Image, layout};
use testfleet_protocol::VERSION;
use testfleet_protocol::image::{ImageRef, RegistryOptions};

const GUAVA: &str = "com.google/guava/33/0b/guava-33.jar";
const JUNIT: &str = "org.junit/junit-api/5/0a/junit-api-5.jar";

/// An image in a folder, and `image.json` that names it.
struct Made {
    build: Build,
    assembled: Assembled,
}

impl Made {
    fn new() -> Self {
        let build = Build::new();
        let assembled = build.image().unwrap();
        let made = Self { build, assembled };
        layout::write(&made.layout(), &[layout::Named { image: &made.assembled.image, name: None }]).unwrap();
        made.write_reference("localhost/x", VERSION, false);
        made
    }

    fn at(&self, name: &str) -> PathBuf {
        self.build.temp.path().join(name)
    }

    fn layout(&self) -> PathBuf {
        self.at("image")
    }

    fn write_reference(&self, name: &str, protocol: u32, pushed: bool) {
        let image = &self.assembled.image;
        let reference = ImageRef {
            protocol,
            name: name.to_owned(),
            tags: vec!["one".to_owned()],
            digest: image.manifest.digest().unwrap().to_string(),
            config_digest: image.config.digest().unwrap().to_string(),
            platform: "linux/amd64".to_owned(),
            layout: self.layout(),
            pushed,
            bundle_sha256: String::new(),
            layers: vec![],
            workers: BTreeMap::new(),
            development: None,
        };
        fs::write(self.at("image.json"), serde_json::to_vec(&reference).unwrap()).unwrap();
    }

    fn restore(&self, image: &str) -> Result<Restored> {
        let (registry, environment) = (RegistryOptions::default(), BTreeMap::new());
        let image_json = self.at("image.json");
        restore(
            &Source { image, image_json: &image_json, registry: &registry, environment: &environment },
            &self.at("to"),
        )
    }

    /// Files of the cache, and what Testfleet keeps beside them.
    fn files(&self) -> (Vec<String>, Vec<String>) {
        let below = |folder: PathBuf| -> Vec<String> {
            let walk = walkdir::WalkDir::new(&folder).sort_by_file_name().into_iter().flatten();
            let files = walk.filter(|entry| entry.file_type().is_file());
            files.map(|file| file.path().strip_prefix(&folder).unwrap().to_string_lossy().into_owned()).collect()
        };
        let own = below(self.at("to/.testfleet")).into_iter().filter(|path| !path.starts_with("layers/"));
        (below(self.at("to").join(FILES)), own.collect())
    }
}

#[test]
fn the_jars_of_the_last_image_are_restored_once() {
    let made = Made::new();
    let first = made.restore("last").unwrap();
    assert_eq!(first, Restored { files: 2, bytes: 10, ..Restored::default() });
    assert_eq!(made.files(), (vec![GUAVA.to_owned(), JUNIT.to_owned()], vec!["lock".to_owned()]));
    assert_eq!(fs::read(made.at("to").join(FILES).join(JUNIT)).unwrap(), b"junit");
    assert_eq!(made.restore("last").unwrap(), Restored { there: 2, ..Restored::default() });
    // What is gone comes back; what a killed restore left goes.
    fs::remove_file(made.at("to").join(FILES).join(GUAVA)).unwrap();
    let left = made.at("to/.testfleet/unpacked-dead");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("half"), "ha").unwrap();
    assert_eq!(
        made.restore(made.layout().to_str().unwrap()).unwrap(),
        Restored { files: 1, bytes: 5, there: 1, ..Restored::default() }
    );
    assert!(!left.exists());
}

#[test]
fn several_at_once_wait_for_each_other() {
    let made = Made::new();
    let restored: Vec<Restored> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| made.restore("last").unwrap())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(restored.iter().map(|one| one.files).sum::<u64>(), 2);
    assert_eq!(restored.iter().map(|one| one.there).sum::<u64>(), 6);
}

fn push(image: &Image, name: &str, fetched: &Path) {
    let options = RegistryOptions::default();
    let registry = Registry::new(&options, &BTreeMap::new(), None, Patience::USUAL).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::parse(name).unwrap();
    runtime.block_on(registry.push(image, &place, &["one".to_owned()], fetched, &|_| {})).unwrap();
}

#[test]
fn only_layers_of_dependencies_come_from_a_registry_and_once() {
    let made = Made::new();
    let registry = Fake::start(|_, _| None);
    let name = registry.name("team/tests");
    push(&made.assembled.image, &name, &made.at("fetched"));
    let first = made.restore(&format!("{name}:one")).unwrap();
    let wanted: u64 =
        made.assembled.layers.iter().filter(|layer| layer.holds == "dependencies").map(|layer| layer.size).sum();
    assert_eq!((first.files, first.fetched), (2, wanted));
    // Nothing but what is small stays of what was fetched.
    let kept: u64 = walkdir::WalkDir::new(made.at("to/.testfleet/fetched"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.metadata().ok().filter(fs::Metadata::is_file))
        .map(|file| file.len())
        .sum();
    let small = made.assembled.image.manifest.descriptor.size() + made.assembled.image.config.descriptor.size();
    assert_eq!(kept, small);
    assert_eq!(made.restore(&format!("{name}:one")).unwrap().fetched, 0);

    // The last image, whose folder went with the machine that made it.
    fs::remove_dir_all(made.layout()).unwrap();
    fs::remove_dir_all(made.at("to")).unwrap();
    assert!(made.restore("last").unwrap_err().causes.iter().any(|cause| cause.contains("pushed to no registry")));
    made.write_reference(&name, VERSION, true);
    assert_eq!(made.restore("last").unwrap().files, 2);
    let failure = made.restore(&format!("{name}:two")).unwrap_err();
    assert!(failure.to_string().contains("has no such image") && failure.hint.is_some(), "{failure}");
}

#[test]
fn what_can_not_be_restored_is_said_and_leaves_nothing() {
    let made = Made::new();
    let said = |image: &str| {
        let failure = made.restore(image).unwrap_err();
        assert!(failure.hint.is_some(), "{failure}");
        failure.to_string()
    };
    made.write_reference("localhost/x", VERSION + 1, false);
    assert!(said("last").contains("protocol version"), "{}", said("last"));
    fs::remove_file(made.at("image.json")).unwrap();
    assert!(said("last").contains("restore registry.example/team/app-tests:latest"));
    assert!(said("Not A Reference").contains("Not A Reference"));
    // A layer whose bytes are others.
    let layer = made.assembled.layers.iter().find(|layer| layer.holds == "dependencies").unwrap();
    let blob = made.layout().join("blobs/sha256").join(layer.digest.trim_start_matches("sha256:"));
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    made.write_reference("localhost/x", VERSION, false);
    assert!(said("last").contains("its digest says"), "{}", said("last"));
    assert!(made.files().0.len() < 2);
}

#[test]
fn an_image_without_dependencies_or_of_somebody_else_is_refused() {
    let made = Made::new();
    let found = |change: &dyn Fn(&mut ImageConfiguration)| {
        let mut config = made.assembled.image.configuration().unwrap();
        change(&mut config);
        let found = Found::here(config, made.assembled.image.layers.clone());
        layers(&found, "the image").unwrap_err().causes.join(" ")
    };
    assert!(
        found(&|config| {
            config.set_history(None);
        })
        .contains("does not tell")
    );
    let renamed = |config: &mut ImageConfiguration| {
        let mut history = config.history().clone().unwrap();
        for step in &mut history {
            let text = step.created_by().clone().unwrap().replace(DEPENDENCIES, "jars");
            step.set_created_by(Some(text));
        }
        config.set_history(Some(history));
    };
    assert!(found(&renamed).contains("no layer of dependencies"));
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    let failure = Folder::open(Path::new("/dev/null/cache")).err().unwrap();
    assert!(failure.message.contains("/dev/null/cache") && failure.hint.unwrap().contains("--to"));
}

#[test]
fn only_files_of_a_cache_leave_a_layer_and_none_lands_outside() {
    let temp = tempfile::tempdir().unwrap();
    let blob = temp.path().join("layer");
    let mut tar = tar::Builder::new(fs::File::create(&blob).unwrap());
    let cache = "testfleet/gradleHome/caches/modules-2/files-2.1";
    let mut add = |path: String, kind: tar::EntryType| {
        let mut header = tar::Header::new_gnu();
        // As the tar crate does not write them by itself.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(if kind.is_file() { 3 } else { 0 });
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, if kind.is_file() { &b"abc"[..] } else { b"" }).unwrap();
    };
    add(format!("{cache}/g/n/1/0a/n-1.jar"), tar::EntryType::Regular);
    add(format!("{cache}/g/n/1/n-2.jar"), tar::EntryType::Regular);
    add(format!("{cache}/../../../../../o/u/t"), tar::EntryType::Regular);
    add(format!("{cache}/g/n/1/../n-3.jar"), tar::EntryType::Regular);
    add(format!("{cache}/g/n/1/0a/link.jar"), tar::EntryType::Symlink);
    add("/etc/passwd".to_owned(), tar::EntryType::Regular);
    tar.finish().unwrap();
    drop(tar);
    let to = temp.path().join("to");
    fs::create_dir(&to).unwrap();
    let files = unpack(&blob, &oci_spec::image::MediaType::ImageLayer, &to).unwrap();
    assert_eq!(files, BTreeMap::from([("g/n/1/0a/n-1.jar".to_owned(), 3)]));
    let below: Vec<_> =
        walkdir::WalkDir::new(temp.path()).into_iter().flatten().filter(|file| file.file_type().is_file()).collect();
    assert_eq!(below.len(), 2);
    let other = unpack(&blob, &oci_spec::image::MediaType::Other("text/plain".to_owned()), &to).unwrap_err();
    assert!(other.to_string().contains("text/plain"));
}
