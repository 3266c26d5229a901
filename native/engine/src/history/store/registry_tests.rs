//! Real registries, which `tests/registry` starts and names.

use super::tests::{QUICK, add, history, keeps_the_rules};
use super::*;

fn location() -> String {
    std::env::var("TESTFLEET_TEST_REGISTRY").expect("tests/registry sets it")
}

#[test]
#[ignore = "needs a registry: tests/registry runs it"]
fn a_registry_is_shared() {
    keeps_the_rules(&format!("{}/rules", location()));
    // A document of some size goes through as well.
    let store = super::tests::open(&format!("{}/large", location()), "main");
    let large = "0123456789abcde\n".repeat(300_000).into_bytes();
    store.merge("timings", |_| Ok(large.clone())).unwrap();
    assert_eq!(store.read("timings").unwrap(), Some(large));
}

#[test]
#[ignore = "needs a registry with the user `me`: tests/registry runs it"]
fn a_registry_with_a_login_is_shared() {
    let location = format!("{}/private", location());
    let open = |users: [Option<&str>; 2], environment: &[(&str, &str)]| {
        let [user, password] = users.map(|name| name.map(str::to_owned));
        let history = SharedHistory { user_variable: user, password_variable: password, ..history(&location, "main") };
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Store::open_within(&history, &environment, QUICK).unwrap()
    };
    let variables = [Some("CI_USER"), Some("PASSWORD")];
    open(variables, &[("CI_USER", "me"), ("PASSWORD", "s3cret")]).merge("timings", add("by variables")).unwrap();

    for (user, password) in [("me", "wr0ng"), ("nobody", "s3cret")] {
        let store = open(variables, &[("CI_USER", user), ("PASSWORD", password)]);
        for failure in [store.read("timings").unwrap_err(), store.merge("timings", add("a")).unwrap_err()] {
            let text = failure.to_string();
            assert!(!text.contains(password), "{text}");
            assert!(failure.hint.as_ref().unwrap().contains("passwordVariable"), "{text}");
        }
    }
    assert!(open([None, None], &[]).read("timings").is_err(), "nobody is let in without a login");

    let folder = tempfile::tempdir().unwrap();
    let docker = folder.path().display().to_string();
    let host = location.trim_start_matches("oci://").split('/').next().unwrap();
    // `me:s3cret`
    let logins = format!("{{\"auths\": {{\"{host}\": {{\"auth\": \"bWU6czNjcmV0\"}}}}}}");
    let helpers = format!("{{\"credHelpers\": {{\"{host}\": \"testfleet\"}}}}");
    for (config, line) in [(logins, "by config.json"), (helpers, "by helper")] {
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        open([None, None], &[("DOCKER_CONFIG", &docker)]).merge("timings", add(line)).unwrap();
    }
    let all = open(variables, &[("CI_USER", "me"), ("PASSWORD", "s3cret")]).read("timings").unwrap().unwrap();
    assert_eq!(String::from_utf8(all).unwrap(), "by config.json\nby helper\nby variables");
}
