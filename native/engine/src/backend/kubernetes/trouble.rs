//! What Kubernetes' errors mean for the user.

use kube::Error;
use std::error::Error as _;
use testfleet_protocol::{Failure, FailureCode};

/// A failure that says what to do; `what` completes "failed to ...".
pub(crate) fn failure(what: &str, error: Error) -> Failure {
    let failed = Failure::new(FailureCode::WorkerBroken, format!("failed to {what}"));
    match error {
        Error::Api(status) => {
            let failed = failed.cause_text(status.message.clone());
            match hint(status.code, &status.message.to_lowercase()) {
                Some(hint) => failed.hint(hint),
                None => failed,
            }
        }
        Error::Auth(error) => failed.cause(&error).hint(
            "the login of the kubeconfig does not work: try `kubectl get pods` with the same context, and log in again",
        ),
        error => {
            let failed = failed.cause(&error);
            match error.source() {
                Some(_) => failed.hint(
                    "check that the cluster is up and can be reached from here: `kubectl version` with the same context",
                ),
                None => failed,
            }
        }
    }
}

/// What is known to help.
fn hint(code: u16, told: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| told.contains(word));
    match code {
        401 => Some("the login of the kubeconfig is not valid (any more): log in again"),
        403 if says(&["exceeded quota", "must specify"]) => Some(
            "ask for less, or for a larger quota: `kubectl describe quota` says what is used; a quota may want `limits` to be set",
        ),
        403 if says(&["podsecurity"]) => {
            Some("the namespace allows less than the pod asks for: look at your podTemplate")
        }
        403 => Some("the account needs the permissions of docs/kubernetes.md"),
        404 if says(&["namespaces"]) => Some(
            "make the namespace first (`kubectl create namespace NAME`), or name another: kubernetes { namespace }",
        ),
        422 => Some("look at testfleet { kubernetes { } } and your podTemplate"),
        _ => None,
    }
}

/// Whether what was asked for is not there.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// What is not there need not be removed.
pub(crate) fn unless_gone<T>(removed: kube::Result<T>) -> kube::Result<()> {
    match removed {
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Whether what was to be made is there already.
pub(crate) fn is_there(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists")
}

/// Whether it will not work later either: the account may not, or is not known.
pub(crate) fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api(status) if matches!(status.code, 401 | 403))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn what_helps_is_said() {
        for (code, message, hint) in [
            (403, "jobs.batch is forbidden: User \"x\" cannot create resource \"jobs\"", "docs/kubernetes.md"),
            (403, "pods \"a\" is forbidden: exceeded quota: q, requested: cpu=1", "kubectl describe quota"),
            (404, "namespaces \"x\" not found", "kubectl create namespace"),
            (401, "Unauthorized", "log in again"),
            (422, "Job.batch \"x\" is invalid: spec", "podTemplate"),
        ] {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            let text = failure("start the run's job", Error::Api(Box::new(status))).to_string();
            assert!(text.contains("failed to start the run's job") && text.contains(message), "{text}");
            assert!(text.contains(hint), "{text}");
        }
    }
}
