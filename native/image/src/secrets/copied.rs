//! Values of secret variables that a build script copied to where an image tells them to everybody.

use super::{Found, Guard};
use regex::Regex;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use testfleet_protocol::bundle::Bundle;
use testfleet_protocol::image::ImageOptions;

/// Shorter values are rather words, such as `true`, and found in many others by chance.
const SHORTEST: usize = 8;

/// Names of variables that hold secrets: MY_APIKEY and KEYS_OF_CI, but not KEYBOARD; AUTH and AUTHORIZATION, but not
/// GIT_AUTHOR_NAME. The plugin's warning (`CopiedSecrets`) has the same rules; `tests/vectors/copied-secrets.txt` holds both together.
static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern("(?i)TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|AUTH(?:[^O]|O[^R]|ORIZ|O?$)|KEYS?(?:[^A-Z]|$)")
});

/// URLs that say where something is and not how to get in: neither user nor parameters.
static PLAIN_URL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z][A-Za-z0-9+.:-]*://[A-Za-z0-9._~:/%,\[\]-]*$"));

fn pattern(pattern: &str) -> Regex {
    // The patterns are constants, and the tests compile them.
    #[allow(clippy::expect_used)]
    Regex::new(pattern).expect("a pattern of ours")
}

/// What the image of a bundle would tell of the secret variables of `environment`, that of the call.
pub(crate) fn copies(
    guard: &Guard,
    environment: &BTreeMap<String, String>,
    bundle: &Bundle,
    options: &ImageOptions,
) -> Vec<Found> {
    let secrets: Vec<(&str, &str)> = environment
        .iter()
        .filter(|(name, value)| is_secret(name, value))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    if secrets.is_empty() {
        return Vec::new();
    }
    let of_image =
        options.environment.iter().map(|(name, value)| (format!("image/environment/{name}"), value.as_str()));
    let of_tasks = bundle.profiles.iter().flat_map(|profile| {
        let task = &profile.task;
        let variables =
            profile.environment.iter().map(move |(name, value)| (format!("{task}/environment/{name}"), value.as_str()));
        variables.chain(
            profile
                .jvm_args
                .iter()
                .map(move |argument| (format!("{task}/jvmArgs/{}", name_of(argument)), value_of(argument))),
        )
    });
    let mut found = Vec::new();
    for (path, value) in of_image.chain(of_tasks) {
        let copied = secrets.iter().filter(|(_, secret)| holds(value, secret));
        found.extend(copied.filter(|_| !guard.is_allowed(&path)).map(|(name, _)| Found {
            path: path.clone(),
            what: Cow::Owned(format!("a copy of the variable {name}")),
            instead: "let the tests read that variable itself: testfleet { passEnvironment }",
        }));
    }
    found
}

/// The path of a socket or of a key file, as in SSH_AUTH_SOCK, may be known to everybody, and so may a plain URL.
fn is_secret(name: &str, value: &str) -> bool {
    value.chars().count() >= SHORTEST
        && SECRET_NAME.is_match(name)
        && !PLAIN_URL.is_match(value)
        && !Path::new(value).exists()
}

/// Whether a text holds a secret that is not merely a part of a word: the password `postgres` is not in `jdbc:postgresql:`.
fn holds(text: &str, secret: &str) -> bool {
    let of_word = |c: char| c.is_ascii_alphanumeric();
    text.char_indices().any(|(at, _)| {
        let after = text[at..].strip_prefix(secret);
        after.is_some_and(|after| !after.starts_with(of_word) && !text[..at].ends_with(of_word))
    })
}

/// What an argument sets: `-Djavax.net.ssl.trustStorePassword=` is no copy of the password `password`.
fn value_of(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(_, value)| value)
}

/// The name of a system property; of any other argument the option, which is no secret by itself.
fn name_of(argument: &str) -> &str {
    let end = argument.find(['=', ':']).filter(|_| argument.starts_with('-'));
    match (argument.strip_prefix("-D"), end) {
        (Some(property), _) => property.split_once('=').map_or("-D", |(name, _)| name),
        (None, Some(end)) => &argument[..end],
        (None, None) => "...",
    }
}

#[cfg(test)]
mod tests {
    use super::super::refuse;
    use super::*;
    use crate::test_build::Build;

    const VALUE: &str = "hunter22";

    fn found(variable: &str, value: &str, set: &str, allowed: &[&str]) -> Vec<Found> {
        let mut bundle = Build::new().bundle();
        bundle.profiles[0].environment.insert("COPY".to_owned(), set.to_owned());
        bundle.profiles[0].jvm_args =
            vec![format!("-Ddb.password={set}"), format!("-javaagent:a.jar={set}"), set.to_owned(), "-ea".to_owned()];
        let mut options = ImageOptions::default();
        options.environment.insert("URL".to_owned(), format!("jdbc:x?password={set}"));
        let guard = Guard::new(&allowed.iter().map(ToString::to_string).collect::<Vec<_>>());
        copies(&guard, &BTreeMap::from([(variable.to_owned(), value.to_owned())]), &bundle, &options)
    }

    #[test]
    fn copies_are_named_and_never_their_values() {
        insta::assert_snapshot!(refuse(found("CI_TOKEN", VALUE, VALUE, &[])).to_string(), @r"
        failed to make an image without secrets
          because: :app:test/environment/COPY looks like a copy of the variable CI_TOKEN
          because: :app:test/jvmArgs/-javaagent looks like a copy of the variable CI_TOKEN
          because: :app:test/jvmArgs/... looks like a copy of the variable CI_TOKEN
          because: :app:test/jvmArgs/db.password looks like a copy of the variable CI_TOKEN
          because: image/environment/URL looks like a copy of the variable CI_TOKEN
          hint: let the tests read that variable itself: testfleet { passEnvironment }, or say that it may be in the image: testfleet { image { allowedSecrets.add(':app:test/environment/COPY') } }
        ");
    }

    #[test]
    fn what_the_build_allows_may_be_copied() {
        assert_eq!(found("CI_TOKEN", VALUE, VALUE, &[":app:test/**", "image/environment/URL"]), []);
        assert_eq!(found("CI_TOKEN", VALUE, VALUE, &["**/environment/*"]).len(), 3);
    }

    #[test]
    fn both_sides_have_the_same_rules() {
        let table = include_str!("../../../../tests/vectors/copied-secrets.txt");
        let mut bundle = Build::new().bundle();
        for case in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let columns: Vec<&str> = case.split('|').map(str::trim).collect();
            let [expected, variable, value, kind, text] = columns[..] else { panic!("five columns: {case}") };
            let profile = &mut bundle.profiles[0];
            (profile.environment, profile.jvm_args) = match kind {
                "setting" => (BTreeMap::from([("COPY".to_owned(), text.to_owned())]), vec![]),
                "argument" => (BTreeMap::new(), vec![text.to_owned()]),
                _ => panic!("no kind of text: {case}"),
            };
            let inherited = BTreeMap::from([(variable.to_owned(), value.to_owned())]);
            let found = copies(&Guard::new(&[]), &inherited, &bundle, &ImageOptions::default());
            assert_eq!(if found.is_empty() { "none" } else { "copy" }, expected, "{case}");
        }
    }

    #[test]
    fn paths_of_files_are_no_secrets() {
        assert_eq!(found("SSH_AUTH_SOCK", "/etc/passwd", "/etc/passwd", &[]), []);
    }
}
