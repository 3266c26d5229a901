use super::*;
use crate::Digest;
use crate::store::{LayerRecord, Store};
use crate::test_build::Build;
use crate::{Blob, BlobSource, archive, layout};
use oci_spec::image::{ConfigBuilder, MediaType, RootFsBuilder};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use testfleet_protocol::image::Compression;

/// `path` and mode of all that a layer holds.
fn content(blob: &Blob) -> Vec<String> {
    let bytes = blob.bytes().unwrap();
    let tar: Box<dyn Read> = match blob.descriptor.media_type() {
        MediaType::ImageLayer => Box::new(bytes.as_slice()),
        MediaType::ImageLayerGzip => Box::new(flate2::read::GzDecoder::new(bytes.as_slice())),
        MediaType::ImageLayerZstd => Box::new(zstd::Decoder::new(bytes.as_slice()).unwrap()),
        other => panic!("{other}"),
    };
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(std::result::Result::unwrap);
    entries.map(|entry| format!("{} {:o}", entry.path().unwrap().display(), entry.header().mode().unwrap())).collect()
}

/// The text of a file in an image; the topmost counts.
fn text(image: &Image, path: &str) -> String {
    for layer in image.layers.iter().rev() {
        let bytes = layer.bytes().unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let Ok(entries) = archive.entries() else { continue };
        for mut entry in entries.map_while(std::result::Result::ok) {
            if entry.path().unwrap().to_string_lossy() == path[1..] {
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                return text;
            }
        }
    }
    panic!("no {path}");
}

fn holds(assembled: &Assembled) -> Vec<&str> {
    assembled.layers.iter().map(|layer| layer.holds.as_str()).collect()
}

fn digest(assembled: &Assembled) -> String {
    assembled.image.manifest.digest().unwrap().to_string()
}

#[test]
fn layers_go_from_what_seldom_changes_to_what_always_does() {
    let build = Build::new();
    let assembled = build.image().unwrap();
    let mut shown = String::new();
    for (layer, blob) in assembled.layers.iter().zip(&assembled.image.layers) {
        let files: Vec<String> =
            content(blob).into_iter().filter(|line| !line.contains("/ 7") && !line.ends_with('/')).collect();
        shown.push_str(&format!("{} ({})\n  {}\n", layer.holds, layer.media_type, files.join("\n  ")));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn an_image_starts_the_agent_and_names_its_bundle() {
    let mut build = Build::new();
    build.options.environment.insert("TZ".to_owned(), "UTC".to_owned());
    build.options.command_prefix = vec!["xvfb-run".to_owned(), "-a".to_owned()];
    build.options.working_dir = Some("/work".to_owned());
    build.options.user = Some("1000:1000".to_owned());
    let assembled = build.image().unwrap();
    let config = assembled.image.configuration().unwrap();
    let run = config.config().as_ref().unwrap();
    assert_eq!(run.labels().as_ref().unwrap()[BUNDLE_LABEL], assembled.bundle_sha256);
    let shown = serde_json::to_string_pretty(&serde_json::json!({
        "entrypoint": run.entrypoint(), "env": run.env(), "user": run.user(), "dir": run.working_dir(),
        "created": config.created(), "history": config.history().as_ref().map(Vec::len),
        "layers": config.rootfs().diff_ids().len(),
    }));
    insta::assert_snapshot!(shown.unwrap());
    let bundle = text(&assembled.image, place::BUNDLE);
    let bundle: Bundle = serde_json::from_str(&bundle).unwrap();
    assert_eq!(bundle_name(&bundle).unwrap(), assembled.bundle_sha256, "wherever its JDKs are");
    assert_eq!(bundle_name(&build.bundle()).unwrap(), assembled.bundle_sha256);
    assert_eq!(bundle.profiles[0].java_home.as_deref(), Some("/opt/java/17"));
    assert_eq!(text(&assembled.image, place::PLAN), "{\"plan\": true}\n");
}

#[test]
fn equal_builds_make_equal_images_wherever_and_by_whomever() {
    let (mut one, mut two) = (Build::new(), Build::new());
    let class = two.roots().resolve("${project}/app/build/classes/java/test/acme/AppTest.class");
    fs::set_permissions(&class, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(class.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    let script = two.roots().resolve("${project}/app/data/run.sh");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    fs::File::options().append(true).open(&class).unwrap().set_modified(old).unwrap();
    for compression in [Compression::Auto, Compression::None, Compression::Gzip, Compression::Zstd] {
        one.options.compression = compression;
        two.options.compression = compression;
        assert_eq!(digest(&one.image().unwrap()), digest(&two.image().unwrap()), "{compression:?}");
    }
}

#[test]
fn after_an_edit_only_the_changed_classes_are_made() {
    let build = Build::new();
    let first = build.image().unwrap();
    assert_eq!(first.reused, 0);
    let again = build.image().unwrap();
    assert_eq!((again.reused, digest(&again)), (again.layers.len(), digest(&first)));

    build.write("${project}/app/build/classes/java/test/acme/AppTest.class", "edited");
    let edited = build.image().unwrap();
    let new: Vec<&str> =
        edited.layers.iter().filter(|layer| !first.layers.contains(layer)).map(|layer| layer.holds.as_str()).collect();
    assert_eq!(new, ["classes of :app/test", "plan"]);
    assert_eq!(edited.reused, edited.layers.len() - 2);
}

#[test]
fn of_a_large_folder_of_classes_only_a_part_is_made() {
    const CLASSES: &str = "${project}/app/build/classes/java/test";
    let build = Build::new();
    let large = |n: usize, suffix: &str| (format!("{CLASSES}/acme/Large{n}{suffix}.class"), "x".repeat(16 << 10));
    for n in 0..64 {
        for (stored, text) in [large(n, ""), large(n, "$Inner")] {
            build.write(&stored, &text);
        }
    }
    let first = build.image().unwrap();
    let parts: Vec<&Blob> = first
        .layers
        .iter()
        .zip(&first.image.layers)
        .filter_map(|(layer, blob)| layer.holds.starts_with("classes of :app/test, part ").then_some(blob))
        .collect();
    assert_eq!(parts.len(), 16);
    let mut files: Vec<String> =
        parts.iter().flat_map(|part| content(part)).filter(|line| line.contains(".class ")).collect();
    files.sort();
    assert_eq!(files.len(), 130);
    files.dedup();
    assert_eq!(files.len(), 130);

    build.write(&large(5, "$Inner").0, "edited");
    build.write(&large(5, "").0, "edited");
    let edited = build.image().unwrap();
    assert_eq!(edited.reused, edited.layers.len() - 2, "a part of the classes, and the plan");

    let (bundle, leases) = (build.bundle(), build.leases());
    build.write(&large(7, "").0, "edited meanwhile");
    let failure = build.image_of(&bundle, &leases).unwrap_err();
    assert!(failure.causes[0].contains("changed after it was looked at"), "{failure}");
}

#[test]
fn a_layer_that_is_known_is_not_read() {
    let build = Build::new();
    let (bundle, leases) = (build.bundle(), build.leases());
    let first = build.image_of(&bundle, &leases).unwrap();
    // What nobody reads nobody notices.
    build.write("${project}/app/build/classes/java/test/acme/AppTest.class", "unnoticed");
    let again = build.image_of(&bundle, &leases).unwrap();
    assert_eq!((digest(&again), again.reused), (digest(&first), first.layers.len()));
}

#[test]
fn what_changes_while_the_image_is_made_is_noticed_and_not_kept() {
    for stored in ["${project}/app/build/classes/java/test/acme/AppTest.class", "${project}/lib/build/libs/lib.jar"] {
        let build = Build::new();
        let (bundle, leases) = (build.bundle(), build.leases());
        build.write(stored, "edited meanwhile");
        let failure = build.image_of(&bundle, &leases).unwrap_err();
        assert!(failure.causes[0].contains("changed after it was looked at"), "{failure}");
        let now = build.image().unwrap();
        assert_eq!(now.layers.len(), holds(&now).len());
        drop(leases);
    }
}

#[test]
fn other_builds_get_released_dependencies_alone() {
    let build = Build::new();
    drop(build.image().unwrap());
    let made_from = |name: &str| {
        let store = Store::open(&build.temp.path().join(name)).unwrap();
        let layers: Vec<LayerRecord> = store.list().unwrap().into_iter().flat_map(|stored| stored.layers).collect();
        let mut names: Vec<String> = layers.iter().map(|layer| layer.holds.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(made_from("shared"), ["dependencies", "java 17", "testfleet"]);
    let own = made_from("own");
    assert!(own.contains(&"changing :lib/lib.jar".to_owned()) && own.len() == 6, "{own:?}");
}

#[test]
fn a_base_with_java_needs_none_and_one_without_gets_the_machines() {
    let mut build = Build::new();
    assert_eq!(holds(&build.image().unwrap())[0], "java 17");
    build.options.add_java = Some(false);
    let assembled = build.image().unwrap();
    assert_eq!(holds(&assembled)[0], "testfleet");
    let bundle: Bundle = serde_json::from_str(&text(&assembled.image, place::BUNDLE)).unwrap();
    assert_eq!(bundle.profiles[0].java_home, None);

    build.options.add_java = None;
    let mut config = ConfigBuilder::default().build().unwrap();
    config.set_env(Some(vec!["JAVA_HOME=/opt/own".to_owned(), "PATH=/opt/own/bin:/bin".to_owned()]));
    config.set_user(Some("tester".to_owned()));
    build.base.as_mut().unwrap().config.set_config(Some(config));
    let assembled = build.image().unwrap();
    assert_eq!(holds(&assembled)[0], "testfleet");
    let run = assembled.image.configuration().unwrap().config().clone().unwrap();
    assert_eq!(run.env().clone().unwrap(), ["JAVA_HOME=/opt/own", "PATH=/opt/own/bin:/bin"]);
    assert_eq!(run.user().as_deref(), Some("tester"));

    build.options.add_java = Some(true);
    let assembled = build.image().unwrap();
    assert_eq!(holds(&assembled)[0], "java 17");
    let run = assembled.image.configuration().unwrap().config().clone().unwrap();
    assert_eq!(run.env().clone().unwrap(), ["JAVA_HOME=/opt/java/17", "PATH=/opt/java/17/bin:/opt/own/bin:/bin"]);
}

#[test]
fn a_base_of_this_machine_has_what_a_jvm_and_the_agent_need() {
    let mut build = Build::new();
    build.base = None;
    fs::copy(std::env::current_exe().unwrap(), build.roots().resolve("${gradleHome}/testfleet/native/agent")).unwrap();
    let assembled = build.image().unwrap();
    assert_eq!(&holds(&assembled)[..3], ["base", "java 17", "testfleet"]);
    let base = content(&assembled.image.layers[0]);
    let has = |end: &str| base.iter().any(|line| line.ends_with(end));
    for path in
        ["libc.so.6 755", "libgcc_s.so.1 755", "etc/passwd 644", "tmp/ 1777", "libnss_files.so.2 755", "bin/sh 755"]
    {
        assert!(has(path), "{path} in {base:?}");
    }
    assert!(base.iter().any(|line| line.contains("ld-linux")), "{base:?}");
    let run = assembled.image.configuration().unwrap().config().clone().unwrap();
    assert_eq!(run.user().as_deref(), Some(java::USER));
    assert_eq!(content(&assembled.image.layers[1])[4..], ["opt/java/17/bin/java 755", "opt/java/17/release 644"]);
}

#[test]
fn an_archive_of_classes_is_a_layer_behind_its_jdk() {
    let mut build = Build::new();
    build.options.class_data_sharing = true;
    let failure = build.image().unwrap_err();
    assert!(failure.message.contains("archive the classes") && failure.hint.is_some(), "{failure}");

    let java = build.temp.path().join("jdk/bin/java");
    let script =
        "#!/bin/sh\nhome=$(dirname \"$0\")/..\nmkdir -p $home/lib/server\necho $* > $home/lib/server/classes.jsa\n";
    fs::write(&java, script).unwrap();
    fs::set_permissions(&java, fs::Permissions::from_mode(0o755)).unwrap();
    for compression in [Compression::Auto, Compression::Zstd, Compression::None] {
        build.options.compression = compression;
        let assembled = build.image().unwrap();
        assert_eq!(&holds(&assembled)[..3], ["java 17", "class archive of java 17", "testfleet"]);
        let files = content(&assembled.image.layers[1]);
        assert_eq!(files.last().unwrap(), "opt/java/17/lib/server/classes.jsa 644");
        assert_eq!(build.image().unwrap().reused, assembled.layers.len());
    }
    // A JDK that has one keeps it.
    let own = build.temp.path().join("jdk/lib/server");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("classes.jsa"), "own").unwrap();
    fs::write(build.temp.path().join("jdk/release"), "another").unwrap();
    assert_eq!(&holds(&build.image().unwrap())[..2], ["java 17", "testfleet"]);
}

#[test]
fn a_jdk_that_is_not_there_is_named() {
    let build = Build::new();
    fs::remove_file(build.temp.path().join("jdk/bin/java")).unwrap();
    let failure = build.image().unwrap_err();
    assert_eq!(failure.code, FailureCode::JvmStart);
    assert!(failure.message.contains("/jdk") && failure.hint.is_some(), "{failure}");
}

#[test]
fn what_looks_like_a_credential_is_refused_until_it_is_allowed() {
    let mut build = Build::new();
    build.write("${project}/app/data/.env", "TOKEN=hunter2\n");
    build.write("${project}/app/build/resources/test/.npmrc", "//r.example/:_authToken=hunter2\n");
    let extra = build.temp.path().join("extra");
    fs::write(&extra, "machine a login b password hunter2").unwrap();
    build.options.files.insert("/root/.netrc".to_owned(), extra);
    let failure = build.image().unwrap_err();
    insta::assert_snapshot!(failure.to_string(), @r"
    failed to make an image without secrets
      because: ${project}/app/build/resources/test/.npmrc looks like a login to an npm registry
      because: ${project}/app/data/.env looks like an environment with secrets
      because: /root/.netrc looks like logins of .netrc
      hint: take it out of the tests' inputs, or say that it may be in the image: testfleet { image { allowedSecrets.add('${project}/app/build/resources/test/.npmrc') } }
    ");
    for kept in ["shared", "own"] {
        for file in walkdir::WalkDir::new(build.temp.path().join(kept)).into_iter().flatten() {
            let bytes = fs::read(file.path()).unwrap_or_default();
            assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{}", file.path().display());
        }
    }
    build.options.allowed_secrets = ["**/.env", "**/.npmrc", "/root/.netrc"].map(str::to_owned).into();
    let assembled = build.image().unwrap();
    assert_eq!(text(&assembled.image, "/testfleet/project/app/data/.env"), "TOKEN=hunter2\n");
    build.options.allowed_secrets.clear();
    assert!(build.image().is_err(), "what was allowed once is refused again");
}

#[test]
fn what_copies_a_secret_of_the_call_is_refused_before_any_layer_is_made() {
    let mut build = Build::new();
    build.environment.insert("CI_TOKEN".to_owned(), "hunter2hunter2".to_owned());
    build.options.environment.insert("REPO".to_owned(), "https://ci:hunter2hunter2@r.example".to_owned());
    let failure = build.image().unwrap_err().to_string();
    assert!(failure.contains("image/environment/REPO looks like a copy of the variable CI_TOKEN"), "{failure}");
    assert!(!failure.contains("hunter2"), "{failure}");
    build.options.allowed_secrets.push("image/environment/REPO".to_owned());
    build.image().unwrap();
}

#[test]
fn files_of_the_build_lie_where_it_says() {
    let mut build = Build::new();
    let file = build.temp.path().join("test.conf");
    fs::write(&file, "a=b").unwrap();
    build.options.files.insert("/etc/app/test.conf".to_owned(), file.clone());
    let assembled = build.image().unwrap();
    assert_eq!(text(&assembled.image, "/etc/app/test.conf"), "a=b");
    fs::write(&file, "a=c").unwrap();
    assert_eq!(text(&build.image().unwrap().image, "/etc/app/test.conf"), "a=c");
    for place in ["etc/x", "/", "/a/../b", "/a//b", ""] {
        let mut build = Build::new();
        build.options.files.insert(place.to_owned(), file.clone());
        assert_eq!(build.image().unwrap_err().code, FailureCode::InvalidRequest, "{place}");
    }
}

#[test]
fn each_worker_may_have_an_image_of_its_own_over_shared_layers() {
    let mut build = Build::new();
    build.options.per_worker = true;
    let assembled = build.image().unwrap();
    assert_eq!(assembled.workers.keys().copied().collect::<Vec<_>>(), [1, 2]);
    for (worker, image) in &assembled.workers {
        let (own, shared) = image.layers.split_last().unwrap();
        assert_eq!(shared, assembled.image.layers);
        assert!(own.descriptor.size() < 300, "{}", own.descriptor.size());
        assert_eq!(text(image, place::WORKER), format!("{worker}\n"));
        let env = image.configuration().unwrap().config().clone().unwrap().env().clone().unwrap();
        assert!(env.contains(&format!("TESTFLEET_WORKER={worker}")));
    }
}

#[test]
fn compression_is_as_chosen() {
    for (compression, jars, classes) in [
        (Compression::Auto, MediaType::ImageLayer, MediaType::ImageLayerGzip),
        (Compression::None, MediaType::ImageLayer, MediaType::ImageLayer),
        (Compression::Gzip, MediaType::ImageLayerGzip, MediaType::ImageLayerGzip),
        (Compression::Zstd, MediaType::ImageLayerZstd, MediaType::ImageLayerZstd),
    ] {
        let mut build = Build::new();
        build.options.compression = compression;
        let assembled = build.image().unwrap();
        let of = |holds: &str| assembled.layers.iter().find(|layer| layer.holds.starts_with(holds)).unwrap();
        assert_eq!(of("dependencies").media_type, jars.to_string(), "{compression:?}");
        assert_eq!(of("classes").media_type, classes.to_string(), "{compression:?}");
        assert!(assembled.image.layers.iter().all(|layer| !content(layer).is_empty()));
    }
}

#[test]
fn a_base_that_contradicts_itself_is_refused() {
    let mut build = Build::new();
    let base = build.base.as_mut().unwrap();
    let rootfs = RootFsBuilder::default().typ("layers").diff_ids(vec!["sha256:0".to_owned()]).build().unwrap();
    base.config.set_rootfs(rootfs);
    let failure = build.image().unwrap_err();
    assert!(failure.causes[0].contains("tells of 1 layers"), "{failure}");
}

/// Every blob that an index leads to, whole.
fn assert_whole(dir: &Path) -> usize {
    let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let index: oci_spec::image::ImageIndex = serde_json::from_slice(&read(&dir.join("index.json"))).unwrap();
    let blob = |descriptor: &oci_spec::image::Descriptor| {
        let digest: Digest = descriptor.digest().to_string().parse().unwrap();
        let bytes = read(&dir.join("blobs/sha256").join(digest.hex()));
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (digest, descriptor.size()));
        bytes
    };
    let mut count = BTreeSet::new();
    for descriptor in index.manifests() {
        let manifest: oci_spec::image::ImageManifest = serde_json::from_slice(&blob(descriptor)).unwrap();
        blob(manifest.config());
        count.extend([descriptor.digest().to_string(), manifest.config().digest().to_string()]);
        for layer in manifest.layers() {
            blob(layer);
            count.insert(layer.digest().to_string());
        }
    }
    assert_eq!(fs::read(dir.join("oci-layout")).unwrap(), br#"{"imageLayoutVersion":"1.0.0"}"#);
    count.len()
}

#[test]
fn a_layout_is_whole_and_holds_nothing_else() {
    let build = Build::new();
    let dir = build.temp.path().join("layout");
    let write = |assembled: &Assembled| {
        let named = layout::Named { image: &assembled.image, name: Some("latest".to_owned()) };
        layout::write(&dir, &[named]).unwrap();
        let there = fs::read_dir(dir.join("blobs/sha256")).unwrap().count();
        assert_eq!(assert_whole(&dir), there);
    };
    let first = build.image().unwrap();
    write(&first);
    let layer = dir.join("blobs/sha256").join(first.image.layers[1].digest().unwrap().hex());
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, "damaged").unwrap();
    build.write("${project}/app/build/classes/java/test/acme/AppTest.class", "edited");
    write(&build.image().unwrap());
}

#[test]
fn an_archive_is_what_docker_loads_and_a_layout() {
    let build = Build::new();
    let assembled = build.image().unwrap();
    let mut bytes = Vec::new();
    let names = ["localhost/acme:one".to_owned()];
    archive::write(&[archive::Packed { image: &assembled.image, names: &names, left_out: 0 }], &mut bytes).unwrap();
    let dir = build.temp.path().join("unpacked");
    tar::Archive::new(bytes.as_slice()).unpack(&dir).unwrap();
    assert_whole(&dir);
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "localhost/acme:one");
    let config = fs::read(dir.join(manifest[0]["Config"].as_str().unwrap())).unwrap();
    assert_eq!(Digest::of(&config), assembled.image.config.digest().unwrap());
    for (path, layer) in manifest[0]["Layers"].as_array().unwrap().iter().zip(&assembled.image.layers) {
        assert_eq!(Digest::of(&fs::read(dir.join(path.as_str().unwrap())).unwrap()), layer.digest().unwrap());
    }
}

#[test]
fn an_archive_has_shared_layers_once_and_none_that_its_reader_has() {
    let mut build = Build::new();
    build.options.per_worker = true;
    let assembled = build.image().unwrap();
    let [one, two] = [1, 2].map(|worker| &assembled.workers[&worker]);
    let left_out = 3;
    let pack = |image| archive::Packed { image, names: &[], left_out };
    let mut bytes = Vec::new();
    archive::write(&[pack(one), pack(two)], &mut bytes).unwrap();
    let mut tar = tar::Archive::new(bytes.as_slice());
    let paths = tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned());
    let mut paths: Vec<String> = paths.filter(|path| path != "manifest.json").collect();
    let mut expected: Vec<String> = [one, two]
        .into_iter()
        .flat_map(|image| image.layers[left_out..].iter().chain([&image.config, &image.manifest]))
        .map(|blob| format!("blobs/sha256/{}", blob.digest().unwrap().hex()))
        .collect();
    expected.sort();
    expected.dedup();
    paths.sort();
    assert_eq!(paths, expected, "it is no layout, as it is not whole");
}

#[test]
fn an_archive_of_a_layer_that_is_not_here_or_not_whole_fails() {
    let build = Build::new();
    let mut assembled = build.image().unwrap();
    let BlobSource::File(file) = assembled.image.layers[0].source.clone() else { panic!() };
    fs::remove_file(&file).unwrap();
    fs::write(&file, "short").unwrap();
    let write = |image: &Image| archive::write(&[archive::Packed { image, names: &[], left_out: 0 }], &mut Vec::new());
    let failure = write(&assembled.image).unwrap_err();
    assert!(failure.causes[0].contains("5 bytes"), "{failure}");
    assembled.image.layers[0].source = BlobSource::Registry("registry.example/base".to_owned());
    let failure = write(&assembled.image).unwrap_err();
    assert!(failure.causes[0].contains("registry.example/base"), "{failure}");
}
