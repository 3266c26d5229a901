//! What the system says of processes and control groups: for the side that starts workers, and for workers that start JVMs.

mod group;
mod processes;
mod signals;

pub use group::{Group, oom_kills};
pub use processes::{descendants, having_in_environment, kill_all};
pub use signals::signal_in_words;
