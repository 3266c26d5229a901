//! Panics as failures, with the place they came from.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic;
use std::sync::Once;
use testfleet_protocol::{Failure, FailureCode};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps place and backtrace of every panic for [`panicked`] and prints nothing: for a process whose
/// output is not the engine's, such as a Gradle daemon.
pub fn remember_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            LAST.set(Some(format!("at {place}\n{}", Backtrace::force_capture())));
        }));
    });
}

/// The failure that a caught panic of this thread comes to.
pub fn panicked(payload: &(dyn Any + Send)) -> Failure {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    let failure = Failure::new(FailureCode::Internal, format!("failed unexpectedly: {text}"));
    match LAST.take() {
        Some(place) => failure.cause_text(place),
        None => failure,
    }
    .hint("this is a defect in Testfleet: please report it with this text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_failure_that_names_its_place() {
        remember_panics();
        let payload = panic::catch_unwind(|| panic!("so {}", "sad")).unwrap_err();
        drop(panic::take_hook());
        let failure = panicked(payload.as_ref());
        assert_eq!(failure.code, FailureCode::Internal);
        assert_eq!(failure.message, "failed unexpectedly: so sad");
        assert!(failure.causes[0].contains("panic.rs"), "{failure}");
    }
}
