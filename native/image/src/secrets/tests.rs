use super::*;

fn look(guard: &Guard, path: &str, content: impl AsRef<[u8]>) -> Vec<Found> {
    let mut looking = guard.looking();
    for piece in content.as_ref().chunks(7) {
        looking.on_bytes(path, Some(piece));
    }
    looking.on_bytes(path, None);
    looking.found()
}

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5IGF0IGFsbCwganVzdCBhIHRlc3Q=\n-----END PRIVATE KEY-----\n";

#[test]
fn what_looks_like_a_credential_is_found_by_name_and_content() {
    let guard = Guard::new(&[]);
    let kube = "apiVersion: v1\nkind: Config\nusers:\n- name: me\n  user:\n    token: abc\n";
    let docker = r#"{"auths": {"registry.example": {"auth": "bWU6cGFzcw=="}}}"#;
    let helpers = r#"{"auths": {"registry.example": {}}, "credsStore": "pass"}"#;
    let cases: &[(&str, &str, bool)] = &[
        ("${project}/app/src/test/resources/server.pem", KEY, true),
        ("${project}/a/key.txt", &format!("text before\n{KEY}"), true),
        ("${project}/a/account.json", &format!("{{\"private_key\": \"{}\"}}", KEY.replace('\n', "\\n")), true),
        (
            "${project}/a/id_rsa",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nbm90IGEga2V5IGF0IGFsbA==\n",
            true,
        ),
        ("${project}/a/cert.pem", "-----BEGIN CERTIFICATE-----\nbm90IGEga2V5IGF0IGFsbA==\n", false),
        ("${project}/a/PemReader.class", KEY, false),
        ("${project}/a/PemReader.java", "if (line.equals(\"-----BEGIN PRIVATE KEY-----\")) {", false),
        ("${project}/.docker/config.json", docker, true),
        ("${project}/x/config.json", docker, true),
        ("${project}/.docker/config.json", helpers, false),
        ("${project}/x/config.json", r#"{"author": "me", "auth": "basic"}"#, false),
        ("${project}/.kube/config", kube, true),
        ("${project}/it/cluster.yaml", kube, true),
        ("${project}/it/pod.yaml", "kind: ConfigMap\ndata:\n  token: abc\n", false),
        ("${project}/.env", "PORT=80\nexport DB_PASSWORD=hunter2\n", true),
        ("${project}/.env", "PORT=80\nDB_PASSWORD=\n", false),
        ("${project}/.env", "DB_PASS=hunter2\n", true),
        ("${project}/.env", "PGPASS: hunter2\n", true),
        ("${project}/.env", "MYSQL_PWD='hunter2'\n", true),
        ("${project}/.env", "PWD=/work\nBYPASS=1\nPASSES=3\n", false),
        ("${project}/.env", "DATABASE_URL=postgres://me:hunter2@db/app\n", true),
        ("${project}/.env", "REDIS=\"redis://:hunter2@cache:6379\"\n", true),
        ("${project}/.env", "JDBC=jdbc:oracle:thin://me:hunter2@db\n", true),
        ("${project}/.env", "DATABASE_URL=postgres://me@db:5432/app\n", false),
        ("${project}/.env", "DATABASE_URL=postgres://me:${DB_PASS}@db/app\n", false),
        ("${project}/x.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", true),
        ("/opt/gradle/init.d/acme.gradle", "credentials { username 'ci'; password 'hunter2' }", true),
        ("/opt/gradle/init.d/acme.init.gradle.kts", "credentials { password = \"hunter2\" }", true),
        ("/opt/gradle/init.d/acme.gradle", "maven { url 'https://ci:hunter2@repo.example/' }", true),
        ("/opt/gradle/init.d/acme.gradle", "credentials { password = System.getenv('REPO_PASSWORD') }", false),
        ("/opt/gradle/init.d/acme.gradle", "maven { url 'https://repo.example/' }", false),
        ("${project}/.env.example", "DB_PASSWORD=changeme\n", false),
        ("${project}/.npmrc", "//registry.example/:_authToken=abc\n", true),
        ("${project}/.npmrc", "//registry.example/:_authToken=${NPM_TOKEN}\n", false),
        ("${project}/.npmrc", "save-exact=true\n", false),
        ("${project}/ci/settings.xml", "<server><password>hunter2</password></server>", true),
        ("${project}/ci/settings.xml", "<server><password>${env.PASS}</password></server>", false),
        ("${project}/.netrc", "machine a login b password c\n", true),
        ("${project}/gradle.properties", "org.gradle.jvmargs=-Xmx1g\nsigning.password=x\n", true),
        ("${project}/gradle.properties", "org.gradle.jvmargs=-Xmx1g\n", false),
        ("${project}/.aws/credentials", "[default]\naws_secret_access_key = abc\n", true),
        ("${project}/.git-credentials", "https://me:token@git.example\n", true),
        ("${project}/.pypirc", "[pypi]\npassword = x\n", true),
        ("${project}/README.md", "password: hunter2\n", false),
    ];
    for (path, content, expected) in cases {
        assert_eq!(!look(&guard, path, content).is_empty(), *expected, "{path}: {content}");
    }
}

/// A keystore as `keytool` wrote it before Java 9, with an entry of this tag.
fn jks(tag: u8) -> Vec<u8> {
    let certificate: [&[u8]; 2] = [&[0, 0, 0, 2, 0, 1, b'a'], &[0; 8]];
    let mut bytes = [&[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2, 0, 0, 0, 2][..], &certificate.concat()].concat();
    bytes.extend(b"\0\x05X.509\0\0\0\x03abc");
    bytes.extend([0, 0, 0, tag, 0, 1, b'b']);
    bytes.extend([0; 8]);
    bytes.extend(b"\0\x05X.509\0\0\0\x03abc and its digest");
    bytes
}

/// A file in PKCS#12 with a bag of this kind.
fn pkcs12(kind: u8) -> Vec<u8> {
    let bag = [0x06, 0x0B, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x0C, 0x0A, 0x01, kind];
    [&[0x30, 0x82, 0x0A, 0x00, 0x02, 0x01, 0x03, 0x30, 0x82, 0x09, 0xC0][..], &bag].concat()
}

#[test]
fn keys_in_binary_files_are_found() {
    let guard = Guard::new(&[]);
    let pkcs8 = [0x30, 0x82, 0x04, 0xBD, 0x02, 0x01, 0x00, 0x30, 0x0D, 0x06, 0x09, 0x2A];
    let encrypted =
        [0x30, 0x82, 0x05, 0x0D, 0x30, 0x57, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x05, 0x0D];
    let cases: &[(&str, &[u8], bool)] = &[
        ("${project}/a/server.jks", &jks(1), true),
        ("${project}/a/truststore.jks", &jks(2), false),
        ("${project}/a/any.name", &pkcs12(2), true),
        ("${project}/a/truststore.p12", &pkcs12(3), false),
        ("${project}/a/key.der", &pkcs8, true),
        ("${project}/a/key.p8", &encrypted, true),
        ("${project}/a/key.key", &[0x30, 0x82, 0x04, 0xA4, 0x02, 0x01, 0x00, 0x02, 0x82, 0x01], true),
        ("${project}/a/ec.der", &[0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20], true),
        ("${project}/a/cert.der", &[0x30, 0x82, 0x03, 0x0D, 0x30, 0x82, 0x01, 0xF5, 0xA0, 0x03, 0x02], false),
        ("${project}/a/message.bin", &pkcs8, false),
        ("${project}/a/short.jks", &jks(1)[..11], false),
    ];
    for (path, content, expected) in cases {
        assert_eq!(!look(&guard, path, content).is_empty(), *expected, "{path}");
    }
}

#[test]
fn jars_of_the_build_are_looked_into() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lib.jar");
    let mut jar = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content, options) in [
        ("acme/PemReader.class", KEY, stored),
        ("deflated/server.pem", KEY, stored.compression_method(zip::CompressionMethod::Deflated)),
        ("stored/.env", "TOKEN=hunter2", stored),
        ("log.properties", "level=info", stored),
    ] {
        jar.start_file(name, options).unwrap();
        jar.write_all(content.as_bytes()).unwrap();
    }
    jar.finish().unwrap();
    let found = |allowed: &[&str], jar: &Path| {
        let guard = Guard::new(&allowed.iter().map(ToString::to_string).collect::<Vec<_>>());
        let mut looking = guard.looking();
        looking.on_jar("${project}/lib/build/libs/lib.jar", jar);
        looking.found().into_iter().map(|found| found.path).collect::<Vec<_>>()
    };
    let inside =
        ["deflated/server.pem", "stored/.env"].map(|name| format!("${{project}}/lib/build/libs/lib.jar!/{name}"));
    assert_eq!(found(&[], &path), inside);
    assert_eq!(found(&["**/lib.jar!/**/*.pem"], &path), inside[1..]);
    std::fs::write(&path, "no jar").unwrap();
    assert_eq!(found(&[], &path), [""; 0]);
}

#[test]
fn what_the_build_allows_is_no_finding() {
    for (pattern, expected) in [
        ("${project}/app/src/test/resources/server.pem", true),
        ("${project}/app/**", true),
        ("**/*.pem", true),
        ("*.pem", false),
        ("${project}/lib/**", false),
    ] {
        let guard = Guard::new(&[pattern.to_owned()]);
        assert_eq!(look(&guard, "${project}/app/src/test/resources/server.pem", KEY).is_empty(), expected, "{pattern}");
    }
    let guard = Guard::new(&["/etc/tls/*.pem".to_owned()]);
    assert!(look(&guard, "/etc/tls/a.pem", KEY).is_empty());
}

#[test]
fn the_failure_names_files_and_never_what_is_in_them() {
    let guard = Guard::new(&[]);
    let found = (0..12).flat_map(|n| look(&guard, &format!("${{project}}/a{n:02}/.env"), "TOKEN=hunter2")).collect();
    insta::assert_snapshot!(refuse(found).to_string(), @r"
    failed to make an image without secrets
      because: ${project}/a00/.env looks like an environment with secrets
      because: ${project}/a01/.env looks like an environment with secrets
      because: ${project}/a02/.env looks like an environment with secrets
      because: ${project}/a03/.env looks like an environment with secrets
      because: ${project}/a04/.env looks like an environment with secrets
      because: ${project}/a05/.env looks like an environment with secrets
      because: ${project}/a06/.env looks like an environment with secrets
      because: ${project}/a07/.env looks like an environment with secrets
      because: ${project}/a08/.env looks like an environment with secrets
      because: ${project}/a09/.env looks like an environment with secrets
      because: and 2 more
      hint: take it out of the tests' inputs, or say that it may be in the image: testfleet { image { allowedSecrets.add('${project}/a00/.env') } }
    ");
}
