use super::*;

fn look(guard: &Guard, path: &str, content: &str) -> Vec<Found> {
    let mut looking = guard.looking();
    for piece in content.as_bytes().chunks(7) {
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
