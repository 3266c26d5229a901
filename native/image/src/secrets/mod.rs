//! Nothing that looks like a credential goes into a layer, unless the build says that it may.

mod copied;
mod jar;
mod rules;

pub(crate) use copied::copies;

use std::borrow::Cow;
use std::path::Path;
use testfleet_protocol::ant_pattern::FileFilter;
use testfleet_protocol::{Failure, FailureCode};

/// Another number for other rules: what passed the old ones is looked at again.
const RULES: u32 = 2;

/// Bytes of a file that are looked at: credentials are small files.
const LOOKED_AT: usize = 1 << 18;

/// How many findings are named.
const NAMED: usize = 10;

/// Looks at the files of layers.
pub(crate) struct Guard {
    allowed: Vec<String>,
    filter: FileFilter,
}

/// Something that looks like a credential.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// Stored path; of a setting its task and name.
    pub(crate) path: String,
    /// What it looks like. Never a part of it.
    pub(crate) what: Cow<'static, str>,
    /// What to do, if it may not be in the image.
    pub(crate) instead: &'static str,
}

/// A look at the files of one layer.
pub(crate) struct Looking<'a> {
    guard: &'a Guard,
    bytes: Vec<u8>,
    found: Vec<Found>,
}

impl Guard {
    /// With Ant patterns of stored paths that may look like credentials.
    pub(crate) fn new(allowed: &[String]) -> Self {
        let trimmed: Vec<String> = allowed.iter().map(|pattern| pattern.trim_start_matches('/').to_owned()).collect();
        Self { allowed: allowed.to_vec(), filter: FileFilter::new(&trimmed, &[]) }
    }

    /// What decides about a file besides itself.
    pub(crate) fn identity(&self) -> String {
        format!("{RULES} {:?}", self.allowed)
    }

    pub(crate) fn looking(&self) -> Looking<'_> {
        Looking { guard: self, bytes: Vec::new(), found: Vec::new() }
    }

    fn is_allowed(&self, path: &str) -> bool {
        !self.allowed.is_empty() && self.filter.accepts(path.trim_start_matches('/'))
    }
}

impl Looking<'_> {
    /// A piece of a file, or its end.
    pub(crate) fn on_bytes(&mut self, path: &str, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                let room = LOOKED_AT.saturating_sub(self.bytes.len());
                self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            None => {
                let bytes = std::mem::take(&mut self.bytes);
                self.look(path, &bytes);
                self.bytes = bytes;
                self.bytes.clear();
            }
        }
    }

    /// The entries of a jar, as `lib.jar!/server.pem`. What is no jar is none for a JVM either.
    pub(crate) fn on_jar(&mut self, path: &str, jar: &Path) {
        let read =
            jar::entries(jar, |name| !rules::is_code(name), |name, bytes| self.look(&format!("{path}!/{name}"), bytes));
        if let Err(error) = read {
            tracing::info!("{} was not looked into to its end: {error}", jar.display());
        }
    }

    fn look(&mut self, path: &str, bytes: &[u8]) {
        if let Some(what) = rules::look(path, bytes)
            && !self.guard.is_allowed(path)
        {
            self.found.push(Found {
                path: path.to_owned(),
                what: Cow::Borrowed(what),
                instead: "take it out of the tests' inputs",
            });
        }
    }

    pub(crate) fn found(self) -> Vec<Found> {
        self.found
    }
}

/// Says what must not be in an image.
pub(crate) fn refuse(mut found: Vec<Found>) -> Failure {
    found.sort();
    found.dedup();
    let more = found.len().saturating_sub(NAMED);
    let (first, instead) = found.first().map_or((String::new(), ""), |found| (found.path.clone(), found.instead));
    let mut failure = Failure::new(FailureCode::InvalidRequest, "failed to make an image without secrets");
    for found in found.iter().take(NAMED) {
        failure = failure.cause_text(format!("{} looks like {}", found.path, found.what));
    }
    if more > 0 {
        failure = failure.cause_text(format!("and {more} more"));
    }
    failure.hint(format!(
        "{instead}, or say that it may be in the image: \
         testfleet {{ image {{ allowedSecrets.add('{first}') }} }}"
    ))
}

#[cfg(test)]
mod tests;
