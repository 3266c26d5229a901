//! What Docker's errors mean for the user.

use bollard::errors::Error;
use std::error::Error as _;
use std::io::ErrorKind;
use testfleet_protocol::{Failure, FailureCode};

/// What was to be done where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doing<'a> {
    /// Completes "failed to ...".
    pub(crate) what: &'a str,
    /// Of Docker.
    pub(crate) address: &'a str,
}

/// A failure that says what to do.
pub(crate) fn failure(doing: &Doing<'_>, error: Error) -> Failure {
    let Doing { what, address } = doing;
    let failed = Failure::new(FailureCode::WorkerBroken, format!("failed to {what} at {address}"));
    if let Error::SocketNotFoundError(socket) = &error {
        return failed.cause_text(format!("there is no {socket}")).hint(NO_DAEMON);
    }
    if let Some(kind) = io_kind(&error) {
        let hint = match kind {
            ErrorKind::PermissionDenied => {
                "this user may not use that socket: be in its group (`sudo usermod -aG docker $USER`, then log in again), \
                 or use rootless Docker or Podman"
            }
            _ => NO_DAEMON,
        };
        return failed.cause(&error).hint(hint);
    }
    let (status, told) = match error {
        Error::DockerResponseServerError { status_code, message } => (status_code, message),
        Error::DockerStreamError { error } => (0, error),
        Error::RequestTimeoutError => {
            return failed
                .cause_text("it did not answer in time")
                .hint("the machine may be overloaded, or Docker hangs");
        }
        other => return failed.cause(&other),
    };
    let failed = failed.cause_text(told.trim());
    match hint(status, &told.to_lowercase()) {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

const NO_DAEMON: &str = "start Docker there, or say where it is: the variable DOCKER_HOST, or testfleet { docker { host = \
                         'unix:///run/docker.sock' } }";

/// What is known to help; Docker has no codes for it.
fn hint(status: u16, told: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| told.contains(word));
    if says(&["no space left on device"]) {
        Some("make room where Docker keeps its data: `docker system prune`, `docker image prune -a`")
    } else if let Some(hint) = unfit_base(told) {
        Some(hint)
    } else if says(&["exec format error", "does not match the specified platform", "no matching manifest"]) {
        Some(
            "the image is of another architecture than Docker's machine: take one of its own, and make that of the tests there",
        )
    } else if says(&["pull access denied", "manifest unknown", "not found: manifest", "no such image"]) {
        Some("check the image's name and tag; for one that is on this machine alone set pull = 'never'")
    } else if says(&["unauthorized", "authentication required", "access denied", "access to the resource is denied"]) {
        Some("log in to the registry with `docker login`, and check the image's name")
    } else if says(&["all predefined address pools", "could not find an available"]) {
        Some("Docker has no addresses left for another network: remove old ones with `docker network prune`")
    } else if says(&["minimum memory limit", "range of cpus", "nanocpu"]) {
        Some("change cpus or memory in testfleet { docker { } }")
    } else if says(&["network"]) && status == 404 {
        Some(
            "make the network first (`docker network create NAME`), or take another in testfleet { docker { network } }",
        )
    } else if says(&["client version", "api version"]) {
        Some("install Docker 19.03 or later")
    } else {
        None
    }
}

/// What helps when a program of this machine can't start in an image because of the base under it; `told` is in lower case. A loader that is
/// missing is told as if the program itself was.
pub(crate) fn unfit_base(told: &str) -> Option<&'static str> {
    let is_exec = ["exec user process", "exec /", "exec: \""].iter().any(|words| told.contains(words));
    if is_exec && told.contains("no such file or directory") {
        Some(
            "the agent, when it was not built by Gradle, needs the loader of glibc, which bases with musl such as Alpine lack: take one with glibc, such as \
             `eclipse-temurin:17`, or the base `none`",
        )
    } else if told.contains("glibc_") && told.contains("not found") {
        Some(
            "the base's C library is older than that of the machine that agent and JDKs are from: take a newer base, or the \
             base `none`, which has this machine's",
        )
    } else {
        None
    }
}

/// What the system said, however deep it is.
fn io_kind(error: &Error) -> Option<ErrorKind> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = match error {
        Error::IOError { err } => return Some(err.kind()),
        Error::HyperLegacyError { err } => err.source(),
        Error::HyperResponseError { err } => err.source(),
        _ => None,
    };
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

/// Whether what was asked for is not there.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// Whether it is there already, or is being removed.
pub(crate) fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 409, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status_code: u16, message: &str) -> String {
        let error = Error::DockerResponseServerError { status_code, message: message.to_owned() };
        failure(&Doing { what: "start worker 3", address: "unix:///x" }, error).to_string()
    }

    #[test]
    fn what_helps_is_said() {
        for (status, message, hint) in [
            (500, "write /var/lib/x: no space left on device", "docker system prune"),
            (404, "no matching manifest for linux/arm64 in the manifest list entries", "another architecture"),
            (404, "pull access denied for x, repository does not exist", "pull = 'never'"),
            (500, "Head https://r/v2/: unauthorized: x", "docker login"),
            (404, "network mine not found", "docker network create"),
            (400, "Minimum memory limit allowed is 6MB", "cpus or memory"),
            (500, "standard_init_linux.go:228: exec user process caused: no such file or directory", "Alpine"),
            (400, "exec /testfleet/gradleHome/agent: no such file or directory: unknown", "loader of glibc"),
            (400, "/testfleet/agent: /lib/libc.so.6: version `GLIBC_2.34' not found", "newer base"),
            (403, "could not find an available, non-overlapping IPv4 address pool", "network prune"),
        ] {
            let text = told(status, message);
            assert!(text.contains("failed to start worker 3 at unix:///x"), "{text}");
            assert!(text.contains(message) && text.contains(hint), "{text}");
        }
    }

    #[test]
    fn no_daemon_and_no_permission_are_told_apart() {
        let doing = Doing { what: "reach Docker", address: "unix:///x" };
        let gone = failure(&doing, Error::SocketNotFoundError("/x".into())).to_string();
        assert!(gone.contains("there is no /x") && gone.contains("DOCKER_HOST"), "{gone}");
        let denied = Error::IOError { err: ErrorKind::PermissionDenied.into() };
        assert!(failure(&doing, denied).to_string().contains("usermod"));
    }
}
