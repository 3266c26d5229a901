//! Where things lie in an image. Backends rely on it, and on its entry point: the command prefix, the agent, `--bundle` and
//! every `--root`; what a worker has of its own (`--worker`, `--life`, `--workers`, `--temp`) are the arguments of its start.

use std::path::{Component, Path};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Below it each named root is a folder of its name; the agent and the harness lie below theirs.
pub const HOME: &str = "/testfleet";

/// The bundle, whose profiles name the Java homes of the image, if it has any of its own.
pub const BUNDLE: &str = "/testfleet/bundle.json";

/// The plan that the image was made from.
pub const PLAN: &str = "/testfleet/plan.json";

/// In the image of one worker: its number.
pub const WORKER: &str = "/testfleet/worker";

/// Each JDK that was added is a folder here, named by its feature release: `/opt/java/17`.
pub const JAVA: &str = "/opt/java";

/// The root of what Gradle keeps of repositories, where `GRADLE_RO_DEP_CACHE` has it. In an image it lies where it lies without
/// that variable, so that both have the same layers.
pub const GRADLE_CACHE: &str = "gradleCache";

/// The folder of a named root.
pub fn root(name: &str) -> String {
    if name == GRADLE_CACHE { format!("{HOME}/gradleHome/caches") } else { format!("{HOME}/{name}") }
}

/// Where a stored path lies in an image: `${project}/lib/a.jar` at `/testfleet/project/lib/a.jar`.
///
/// # Errors
/// `PathOutsideRoots` for what is no path below a named root.
pub fn of_stored(stored: &str) -> Result<String> {
    let parts = stored.strip_prefix("${").and_then(|rest| rest.split_once('}'));
    let place = parts.filter(|(_, rest)| rest.is_empty() || rest.starts_with('/')).map(|(name, rest)| {
        let rest = rest.trim_start_matches('/');
        if rest.is_empty() { root(name) } else { format!("{}/{rest}", root(name)) }
    });
    let is_plain = |path: &String| {
        let parts = Path::new(path).components();
        parts.skip(1).all(|part| matches!(part, Component::Normal(_))) && !path.contains("/./")
    };
    place.filter(is_plain).ok_or_else(|| {
        Failure::new(FailureCode::PathOutsideRoots, format!("failed to place {stored} in an image"))
            .cause_text("it is no path below a named root")
            .hint("make a new bundle: ./gradlew prepare")
    })
}

/// The stored path of what lies at a place in an image; other places are their own.
pub fn stored(place: &str) -> String {
    let below = place.strip_prefix(HOME).and_then(|rest| rest.strip_prefix('/'));
    match below.map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        Some((name, "")) => format!("${{{name}}}"),
        Some((name, rest)) => format!("${{{name}}}/{rest}"),
        None => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_paths_have_a_place_and_come_back() {
        for (path, expected) in [
            ("${project}/lib/a.jar", "/testfleet/project/lib/a.jar"),
            ("${project}", "/testfleet/project"),
            ("${gradleHome}/caches/x", "/testfleet/gradleHome/caches/x"),
        ] {
            assert_eq!(of_stored(path).unwrap(), expected);
            assert_eq!(stored(expected), path);
        }
        for outside in ["/etc/passwd", "${project}/../x", "${../x}/y", "${project}x", "${}/y/../..", "", "${a"] {
            assert!(of_stored(outside).is_err(), "{outside}");
        }
        assert_eq!(of_stored("${gradleCache}/modules-2/x").unwrap(), "/testfleet/gradleHome/caches/modules-2/x");
        assert_eq!(stored("/etc/hosts"), "/etc/hosts");
    }
}
