//! What one call chooses about how a run deals with what fails and breaks off.

use crate::word;
use clap::Args;
use testfleet_protocol::run_options::{Isolation, LocalConnection, Resume, RunOptions};

#[derive(Args, Default)]
pub(crate) struct RunChoices {
    /// Go on with a run that did not come to its end (its id; the last run unless given)
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "last", require_equals = true)]
    resume: Option<String>,
    /// Run each test so many times, whatever comes out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: Option<u32>,
    /// Try bad tests again up to so many times, instead of what the request says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    max_retries: Option<u32>,
    /// What workers of this machine share, instead of what the request says: `none`, `directory` or `namespace`
    #[arg(long, value_name = "KIND", value_parser = word::<Isolation>)]
    isolation: Option<Isolation>,
    /// How agents of this machine are reached: `pipe`, `dial` or `listen`; for drills of the other ways
    #[arg(long, value_name = "WAY", value_parser = word::<LocalConnection>, hide = true)]
    local_connection: Option<LocalConnection>,
    /// Give up a worker that says nothing for so long, instead of what the request says
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400), hide = true)]
    lease: Option<u64>,
}

impl RunChoices {
    /// Puts what was chosen into what the request says.
    pub(crate) fn apply(&self, options: &mut RunOptions) {
        // To go on with a run is the choice of one call, whatever the request was written for.
        match (&self.resume, &options.resume) {
            (Some(run), _) => options.resume = Resume::Run { run: run.clone() },
            (None, Resume::Run { .. }) => options.resume = Resume::Off,
            (None, Resume::Off | Resume::Auto) => {}
        }
        options.repeat = self.repeat.unwrap_or(0);
        if let Some(max_retries) = self.max_retries {
            options.retries.max_retries = max_retries;
        }
        if let Some(isolation) = self.isolation {
            options.isolation = isolation;
        }
        if let Some(local) = self.local_connection {
            options.connection.local = local;
        }
        if let Some(seconds) = self.lease {
            options.connection.lease_ms = seconds * 1_000;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_names_no_run_resumes_none_unless_the_build_wants_it_always() {
        let resumed = |chosen: Option<&str>, said: Resume| {
            let mut options = RunOptions { resume: said, ..RunOptions::default() };
            RunChoices { resume: chosen.map(Into::into), ..RunChoices::default() }.apply(&mut options);
            options.resume
        };
        let run = |run: &str| Resume::Run { run: run.into() };
        assert_eq!(resumed(None, run("old")), Resume::Off);
        assert_eq!(resumed(None, Resume::Auto), Resume::Auto);
        assert_eq!(resumed(Some("last"), Resume::Auto), run("last"));
    }
}
