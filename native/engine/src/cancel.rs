//! The wish that a command ends early.

use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::sync::watch;

/// What a command that was cancelled fails with.
pub(crate) fn cancelled() -> Failure {
    Failure::new(FailureCode::Cancelled, "the run was cancelled")
}

/// Returns once the end is wanted; never when nobody can want it any more.
pub(crate) async fn wanted(cancel: &mut watch::Receiver<bool>) {
    if cancel.wait_for(|wanted| *wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for `work`, which is dropped when the end is wanted.
///
/// # Errors
/// As `work` has them, and [`FailureCode::Cancelled`].
pub(crate) async fn unless_wanted<T>(
    cancel: &watch::Receiver<bool>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut cancel = cancel.clone();
    tokio::select! {
        done = work => done,
        () = wanted(&mut cancel) => Err(cancelled()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_when_the_end_is_wanted_and_not_when_nobody_can_want_it() {
        let (sender, receiver) = watch::channel(false);
        assert_eq!(unless_wanted(&receiver, async { Ok(1) }).await.unwrap(), 1);
        sender.send_replace(true);
        let failure = unless_wanted(&receiver, std::future::pending::<Result<()>>()).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::Cancelled);
        let (sender, receiver) = watch::channel(false);
        drop(sender);
        let slow = async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            Ok(2)
        };
        assert_eq!(unless_wanted(&receiver, slow).await.unwrap(), 2);
    }
}
