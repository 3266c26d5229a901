use super::pom::{Module, references};
use super::*;
use crate::test_build::Build;
use crate::{BlobSource, Image};
use std::collections::BTreeMap;
use std::io::Read;
use testfleet_protocol::image::Development as Wanted;

const FILES_HERE: &str = "${gradleHome}/caches/modules-2/files-2.1";

/// A build whose dependencies have POMs, with a plugin that is in no test.
fn build() -> Build {
    let mut build = Build::new();
    let parent = "<project><groupId>acme</groupId><artifactId>parent</artifactId><version>3</version>\
                  <properties><bom.version>7</bom.version></properties>\
                  <dependencyManagement><dependencies><dependency><groupId>${project.groupId}</groupId>\
                  <artifactId>bom</artifactId><version>${bom.version}</version><type>pom</type><scope>import</scope>\
                  </dependency></dependencies></dependencyManagement></project>";
    let child = "<?xml version='1.0'?><project xmlns='http://maven.apache.org/POM/4.0.0'><parent><groupId>acme</groupId>\
                 <artifactId>parent</artifactId><version>3</version></parent><artifactId>guava</artifactId></project>";
    for (path, text) in [
        ("com.google/guava/33/0c/guava-33.pom", child),
        ("acme/parent/3/0d/parent-3.pom", parent),
        ("acme/bom/7/0e/bom-7.pom", "<project/>"),
        ("acme/bom/8/0e/bom-8.pom", "<project/>"),
        ("org.junit/junit-api/5/0f/junit-api-5.pom", child),
        ("org.junit/junit-api/5/10/junit-api-5.module", "{}"),
        ("org.junit/junit-api/5/11/junit-api-5-sources.jar", "sources"),
        ("acme/plugin/1/12/plugin-1.jar", "plugin"),
        ("acme/odd/1/13/odd-1.pom", "<project><a></b>"),
        ("acme/next/1-SNAPSHOT/14/next-1-SNAPSHOT.jar", "next"),
        ("acme/next/1-SNAPSHOT/15/next-1-SNAPSHOT.pom", "<project/>"),
    ] {
        build.write(&format!("{FILES_HERE}/{path}"), text);
    }
    let file = |path: &str| build.roots().resolve(&format!("{FILES_HERE}/{path}"));
    let files = ["acme/plugin/1/12/plugin-1.jar", "acme/next/1-SNAPSHOT/14/next-1-SNAPSHOT.jar"].map(file);
    build.options.build_files = [&files[..], &["/elsewhere/x.jar".into()]].concat();
    let modules = [
        "com.google:guava:33",
        "org.junit:junit-api:5",
        "acme:odd:1",
        "acme:next:1-SNAPSHOT",
        "never:read:1",
        "a:../..:b",
    ];
    build.options.build_modules = modules.map(str::to_owned).to_vec();
    build
}

/// Paths in an image, and the texts of files and links.
fn content(image: &Image) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for layer in &image.layers {
        let bytes = layer.bytes().unwrap();
        let plain: Box<dyn Read> = match bytes.starts_with(&[0x1f, 0x8b]) {
            true => Box::new(flate2::read::GzDecoder::new(bytes.as_slice())),
            false => Box::new(bytes.as_slice()),
        };
        let mut archive = tar::Archive::new(plain);
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            match entry.link_name().unwrap() {
                Some(link) => text = format!("-> {}", link.display()),
                None => drop(entry.read_to_string(&mut text)),
            }
            all.insert(format!("/{}", entry.path().unwrap().display()), text);
        }
    }
    all
}

fn cached(image: &Image) -> Vec<String> {
    let prefix = "/testfleet/gradleHome/caches/modules-2/files-2.1/";
    let paths = content(image).into_keys();
    paths
        .filter_map(|path| {
            Some(path.strip_prefix(prefix)?.to_owned())
                .filter(|path| path.matches('/').count() == 4 && !path.ends_with('/'))
        })
        .collect()
}

#[test]
fn an_image_may_have_what_the_build_resolves_and_only_that() {
    let mut build = build();
    let plain = build.image().unwrap();
    assert_eq!(
        cached(&plain.image),
        ["com.google/guava/33/0b/guava-33.jar", "org.junit/junit-api/5/0a/junit-api-5.jar"]
    );
    build.options.dependency_cache = true;
    let full = build.image().unwrap();
    insta::assert_snapshot!(cached(&full.image).join("\n"), @r"
    acme/bom/7/0e/bom-7.pom
    acme/odd/1/13/odd-1.pom
    acme/parent/3/0d/parent-3.pom
    acme/plugin/1/12/plugin-1.jar
    com.google/guava/33/0b/guava-33.jar
    com.google/guava/33/0c/guava-33.pom
    org.junit/junit-api/5/0a/junit-api-5.jar
    org.junit/junit-api/5/0f/junit-api-5.pom
    org.junit/junit-api/5/10/junit-api-5.module
    ");
    let environment = full.image.configuration().unwrap().config().clone().unwrap().env().clone().unwrap();
    assert!(environment.contains(&"GRADLE_RO_DEP_CACHE=/testfleet/gradleHome/caches".to_owned()), "{environment:?}");
    // All others are the same.
    assert!(plain.layers.iter().filter(|layer| layer.holds != "plan").all(|layer| full.layers.contains(layer)));
}

#[test]
fn dependencies_are_the_same_layers_where_gradle_reads_them_from_a_read_only_cache() {
    let mut build = build();
    build.options.dependency_cache = true;
    let usual = build.image().unwrap();
    let home = build.temp.path().join("home");
    std::fs::rename(home.join("caches"), build.temp.path().join("read-only")).unwrap();
    build.read_only_cache = Some("read-only");
    for file in &mut build.options.build_files {
        if let Ok(rest) = file.strip_prefix(home.join("caches")) {
            *file = build.temp.path().join("read-only").join(rest);
        }
    }
    let restored = build.image().unwrap();
    let dependencies = |assembled: &crate::Assembled| -> Vec<_> {
        let layers = assembled.layers.iter();
        layers.filter(|layer| layer.holds.contains("dependencies")).map(|layer| layer.digest.clone()).collect()
    };
    assert_eq!(dependencies(&usual).len(), 3);
    assert_eq!(dependencies(&usual), dependencies(&restored));
}

fn with_development(build: &mut Build) {
    let home = build.temp.path().join("gradle-8.8");
    for (path, text) in [("lib/gradle-launcher-8.8.jar", "launcher"), ("bin/gradle", "needs xargs"), ("README", "read")]
    {
        std::fs::create_dir_all(home.join(path).parent().unwrap()).unwrap();
        std::fs::write(home.join(path), text).unwrap();
    }
    build.options.development = Some(Wanted {
        gradle_home: home,
        gradle_version: "8.8".to_owned(),
        java_home: build.temp.path().join("jdk"),
        java_version: 17,
    });
}

#[test]
fn the_image_to_work_in_shares_layers_and_has_gradle_and_links_to_all_files() {
    let mut build = build();
    build.options.add_java = Some(true);
    with_development(&mut build);
    let leases = build.leases();
    let made = build.image_of(&build.bundle(), &leases).unwrap();
    let development = made.development.unwrap();
    let holds: Vec<&str> = development.layers.iter().map(|layer| layer.holds.as_str()).collect();
    insta::assert_snapshot!(holds.join("\n"), @r"
    java 17
    dependencies
    gradle 8.8
    dependencies of the build
    metadata of dependencies
    development
    ");
    assert!(development.layers[..2].iter().all(|layer| made.layers.contains(layer)));
    assert!(made.image.layers.iter().all(|layer| matches!(layer.source, BlobSource::File(_))));

    let content = content(&development.image);
    let linked: Vec<&String> = content.keys().filter(|path| path.starts_with("/testfleet/maven/")).collect();
    assert!(linked.contains(&&"/testfleet/maven/com/google/guava/33/guava-33.pom".to_owned()), "{linked:?}");
    for (path, text) in content.iter().filter(|(path, _)| path.starts_with("/testfleet/maven/")) {
        let target = text.strip_prefix("-> ");
        assert!(path.ends_with('/') || target.is_some_and(|target| content.contains_key(target)), "{path} {text}");
    }
    assert!(content["/opt/gradle/bin/gradle"].contains("/opt/gradle/lib/gradle-launcher-8.8.jar org.gradle.launcher"));
    assert_eq!(
        content["/opt/gradle/gradle.properties"].lines().next(),
        Some("org.gradle.java.installations.paths=/opt/java/17")
    );
    assert!(content["/opt/gradle/init.d/testfleet.gradle"].contains("/testfleet/maven"));
    assert!(content.keys().all(|path| !path.contains("classes") && !path.contains("plan.json")));

    let config = development.image.configuration().unwrap().config().clone().unwrap();
    assert_eq!((config.entrypoint(), config.working_dir().as_deref()), (&None, Some("/work")));
    let environment = config.env().clone().unwrap();
    assert!(
        environment.iter().any(|pair| pair.starts_with("PATH=/opt/gradle/bin:/opt/java/17/bin:")),
        "{environment:?}"
    );

    // Gradle is made once for the machine.
    let again = build.image_of(&build.bundle(), &leases).unwrap().development.unwrap();
    assert_eq!(again.image.manifest, development.image.manifest);
    std::fs::remove_file(build.temp.path().join("gradle-8.8/lib/gradle-launcher-8.8.jar")).unwrap();
    let failure = build.image_of(&build.bundle(), &leases).unwrap_err();
    assert!(failure.message.contains("find Gradle") && failure.hint.is_some(), "{failure}");
}

#[test]
fn poms_refer_to_parents_and_imports_with_the_properties_of_the_child() {
    let parent = Pom::read(
        b"<project><groupId>g</groupId><version>1</version><properties><v>1</v></properties><dependencyManagement>\
          <dependencies><dependency><groupId>b</groupId><artifactId>n</artifactId><version>${v}</version>\
          <scope>import</scope></dependency><dependency><groupId>plain</groupId><artifactId>n</artifactId>\
          <version>1</version></dependency></dependencies></dependencyManagement></project>",
    )
    .unwrap();
    let child = Pom::read(
        b"<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>1</version></parent>\
          <properties><v>${w}</v><w>2</w></properties></project>",
    )
    .unwrap();
    let shown = |chain: &[Pom]| -> Vec<String> {
        references(chain).iter().map(|Module { group, name, version }| format!("{group}:{name}:{version}")).collect()
    };
    assert_eq!(shown(&[child, parent.clone()]), ["g:p:1", "b:n:2"]);
    assert_eq!(shown(&[parent]), ["b:n:1"]);
    let endless = Pom::read(
        b"<project><properties><a>${a}${a}</a></properties><dependencyManagement><dependencies><dependency>\
          <groupId>b</groupId><artifactId>${a}</artifactId><version>../${project.version}</version><scope>import</scope>\
          </dependency></dependencies></dependencyManagement></project>",
    )
    .unwrap();
    assert!(shown(&[endless]).is_empty());
}
