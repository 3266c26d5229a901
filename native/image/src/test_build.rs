//! A build to make images of, for tests.

use crate::store::{Lease, Store};
use crate::{Assembled, Assembly, Base, FileBelow, FolderDigest, assemble, hex};
use oci_spec::image::ImageConfiguration;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use testfleet_protocol::bundle::{Bundle, Entry, EntryKind, Profile};
use testfleet_protocol::image::ImageOptions;
use testfleet_protocol::path::Roots;
use testfleet_protocol::request::Framework;
use testfleet_protocol::test::TaskPath;
use testfleet_protocol::{Result, VERSION};

pub(crate) struct Build {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) options: ImageOptions,
    pub(crate) base: Option<Base>,
    /// Of the call.
    pub(crate) environment: BTreeMap<String, String>,
    /// A folder of `temp` in which Gradle's own cache lies instead of in its home.
    pub(crate) read_only_cache: Option<&'static str>,
    entries: Vec<(&'static str, EntryKind)>,
}

const JUNIT: &str = "${gradleHome}/caches/modules-2/files-2.1/org.junit/junit-api/5/0a/junit-api-5.jar";
const GUAVA: &str = "${gradleHome}/caches/modules-2/files-2.1/com.google/guava/33/0b/guava-33.jar";
const AGENT: &str = "${gradleHome}/testfleet/native/agent";
const HARNESS: &str = "${gradleHome}/testfleet/native/harness.jar";

impl Build {
    /// A module with a test, a sibling's jar, two dependencies and an input.
    pub(crate) fn new() -> Self {
        let build = Self {
            temp: tempfile::tempdir().unwrap(),
            options: ImageOptions::default(),
            base: Some(Base {
                config: ImageConfiguration::default(),
                layers: vec![],
                identity: "empty".to_owned(),
                documents: vec![],
            }),
            environment: BTreeMap::new(),
            read_only_cache: None,
            entries: vec![
                (AGENT, EntryKind::Testfleet),
                (HARNESS, EntryKind::Testfleet),
                (JUNIT, EntryKind::Dependency),
                (GUAVA, EntryKind::Dependency),
                ("${project}/lib/build/libs/lib.jar", EntryKind::Changing),
                ("${project}/app/build/classes/java/main", EntryKind::Classes),
                ("${project}/app/build/classes/java/test", EntryKind::Classes),
                ("${project}/app/build/resources/test", EntryKind::Classes),
                ("${project}/app/data", EntryKind::Input),
            ],
        };
        for (stored, text) in [
            (AGENT, "agent"),
            (HARNESS, "harness"),
            (JUNIT, "junit"),
            (GUAVA, "guava"),
            ("${project}/lib/build/libs/lib.jar", "lib"),
            ("${project}/app/build/classes/java/main/acme/App.class", "App"),
            ("${project}/app/build/classes/java/test/acme/AppTest.class", "AppTest"),
            ("${project}/app/build/classes/java/test/acme/OtherTest.class", "OtherTest"),
            ("${project}/app/build/resources/test/log.properties", "level=info"),
            ("${project}/app/data/run.sh", "#!/bin/sh"),
            ("${project}/app/data/input.txt", "input"),
        ] {
            build.write(stored, text);
        }
        for program in [AGENT, "${project}/app/data/run.sh"] {
            fs::set_permissions(build.roots().resolve(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let jdk = build.temp.path().join("jdk");
        fs::create_dir_all(jdk.join("bin")).unwrap();
        fs::copy("/bin/true", jdk.join("bin/java")).unwrap();
        fs::write(jdk.join("release"), "JAVA_VERSION=\"17\"").unwrap();
        build
    }

    pub(crate) fn write(&self, stored: &str, text: &str) {
        let path = self.roots().resolve(stored);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn roots(&self) -> Roots {
        let at = |name: &str| self.temp.path().join(name);
        let usual = [
            ("project".to_owned(), at("clone")),
            ("build".to_owned(), at("clone/build/testfleet")),
            ("gradleHome".to_owned(), at("home")),
        ];
        let cache = self.read_only_cache.map(|dir| (crate::place::GRADLE_CACHE.to_owned(), at(dir)));
        Roots::new(usual.into_iter().chain(cache))
    }

    pub(crate) fn bundle(&self) -> Bundle {
        let roots = self.roots();
        let entries = self.entries.iter().map(|(stored, kind)| {
            let stored = match self.read_only_cache {
                Some(_) => stored.replace("${gradleHome}/caches", "${gradleCache}"),
                None => (*stored).to_owned(),
            };
            let (sha256, size) = digest(&roots.resolve(&stored));
            Entry { path: stored, kind: *kind, sha256, size }
        });
        let mut entries: Vec<Entry> = entries.collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let profile = Profile {
            task: TaskPath(":app:test".to_owned()),
            java_version: 17,
            java_home: Some(self.temp.path().join("jdk").to_string_lossy().into_owned()),
            classpath: vec!["${project}/app/build/classes/java/test".to_owned(), JUNIT.to_owned()],
            jvm_args: vec![],
            environment: BTreeMap::new(),
            working_dir: "${project}/app/work".to_owned(),
            fork_every: 0,
            class_timeout_ms: None,
            framework: Framework::JUnit4 { include_categories: vec![], exclude_categories: vec![] },
        };
        Bundle {
            protocol: VERSION,
            profiles: vec![profile],
            entries,
            harness_jar: HARNESS.to_owned(),
            agent: AGENT.to_owned(),
        }
    }

    pub(crate) fn leases(&self) -> [Lease; 2] {
        ["shared", "own"].map(|name| Store::open(&self.temp.path().join(name)).unwrap().lease().unwrap())
    }

    pub(crate) fn image(&self) -> Result<Assembled> {
        self.image_of(&self.bundle(), &self.leases())
    }

    pub(crate) fn image_of(&self, bundle: &Bundle, [shared, own]: &[Lease; 2]) -> Result<Assembled> {
        assemble(&Assembly {
            bundle,
            plan: b"{\"plan\": true}\n",
            roots: &self.roots(),
            options: &self.options,
            environment: &self.environment,
            base: self.base.clone(),
            title: "acme",
            workers: 2,
            shared,
            own,
            files_below: &|dir| {
                let below = |relative: String| FileBelow { sha256: digest(&dir.join(&relative)).0, relative };
                Ok(files(dir).into_iter().map(below).collect())
            },
            left_out: &[],
        })
    }
}

fn files(dir: &Path) -> Vec<String> {
    let walk = walkdir::WalkDir::new(dir).into_iter().map(std::result::Result::unwrap);
    let files = walk.filter(|entry| entry.file_type().is_file());
    let mut files: Vec<String> =
        files.map(|entry| entry.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned()).collect();
    files.sort();
    files
}

fn digest(path: &Path) -> (String, u64) {
    let of_file = |path: PathBuf| {
        let bytes = fs::read(path).unwrap();
        (hex(&Sha256::digest(&bytes)), bytes.len() as u64)
    };
    if path.is_file() {
        return of_file(path.to_owned());
    }
    let (mut digest, mut total) = (FolderDigest::default(), 0);
    for relative in files(path) {
        let (sha256, size) = of_file(path.join(&relative));
        digest.add(&relative, &sha256);
        total += size;
    }
    (digest.finish(), total)
}
