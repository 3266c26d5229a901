//! What earlier runs tell: observations, how they become one expected duration, and where they are kept and shared.
//!
//! See docs/timings.md. Everything that is kept here merges: in any order and however often, the same comes out.

mod estimator;
pub(crate) mod file;
mod invocations;
mod observation;
mod past_run;
mod store;

pub(crate) use estimator::expected;
pub use invocations::InvocationTimes;
pub(crate) use invocations::WORTH_KEEPING_US;
pub(crate) use observation::{KEPT_RUNS, LONGEST_US, Series};
pub use observation::{Observation, RunKey};
pub use past_run::{PastRun, drift};
pub use store::Store;
