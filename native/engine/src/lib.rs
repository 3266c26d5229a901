//! Discovers, plans, bundles, runs and reports a JVM build's tests.
//!
//! Each stage is one public function with owned, serializable input and output:
//! [`discover`] → [`plan`] → [`bundle`] → [`run`] → [`report`]. [`session`] puts them behind one
//! command and one stream of events, which is what JNI and the command line use.

pub mod backend;
pub mod bundle;
mod cancel;
mod clock;
mod content;
pub mod discover;
mod document;
mod file_names;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod hash;
pub mod history;
mod image;
mod jacoco;
mod pace;
pub mod plan;
mod quarantined;
pub mod report;
pub mod reuse;
pub mod run;
mod select;
pub mod session;
#[cfg(test)]
mod test_request;
mod undeclared;
