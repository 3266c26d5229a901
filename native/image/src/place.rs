//! Where things lie in an image. Backends rely on it, and on its entry point: the command prefix, the agent, `--bundle` and
//! every `--root`; what a worker has of its own (`--worker`, `--life`, `--workers`, `--temp`) are the arguments of its start.

/// Below it each named root is a folder of its name; the agent and the harness lie below theirs.
pub const HOME: &str = "/testfleet";

/// The bundle, whose profiles name the Java homes of the image, if it has any of its own.
pub const BUNDLE: &str = "/testfleet/bundle.json";

/// The plan that the image was made from.
pub const PLAN: &str = "/testfleet/plan.json";

/// Each JDK that was added is a folder here, named by its feature release: `/opt/java/17`.
pub const JAVA: &str = "/opt/java";

/// The folder of a named root.
pub fn root(name: &str) -> String {
    format!("{HOME}/{name}")
}
