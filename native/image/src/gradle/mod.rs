//! What an image has for Gradle: the files that a build resolves, Gradle itself, and the image to work in.
//!
//! Gradle's dependency cache is two things. `modules-2/files-2.1/GROUP/NAME/VERSION/SHA1/FILE` has the files; it says nothing of the machine,
//! so that equal builds have equal ones. `modules-2/metadata-2.N` says which repository was asked for what, and when; it differs from
//! machine to machine and from version to version, so that it goes into no image. Without it Gradle asks repositories for the SHA-1 of each
//! file and takes the file from the cache. Without a network the files are found in the layout of a Maven repository: links to
//! them, which `init.gradle` puts before all repositories.

mod cache;
mod development;
mod distribution;
mod pom;
#[cfg(test)]
mod tests;

pub(crate) use cache::recipes as cache_recipes;
pub(crate) use development::development;
pub use development::{Development, WORK};
#[cfg(any(fuzzing, test))]
pub(crate) use pom::{Pom, references};

/// The variable that names a dependency cache to Gradle, which it reads and never writes.
pub(crate) const READ_ONLY_CACHE: &str = "GRADLE_RO_DEP_CACHE";

/// Where a dependency cache has its files.
pub(crate) const FILES: &str = "modules-2/files-2.1";

/// What layers of dependencies hold: their names in an image's history, by which they are found again.
pub(crate) const DEPENDENCIES: &str = "dependencies";
pub(crate) const BUILD_DEPENDENCIES: &str = "dependencies of the build";
pub(crate) const METADATA: &str = "metadata of dependencies";
