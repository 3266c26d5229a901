//! A place that machines share, for what earlier runs tell: a folder, an HTTP server, or an image registry.
//!
//! Documents are bytes under a name, one for each branch. Whoever adds to one reads it, merges, and writes it; two that
//! do so at once lose nothing, since what was written is looked at again and merged once more where it was replaced.
//! That asks of a document that merging it is commutative and idempotent. See docs/timings.md.

mod folder;
mod http;
mod location;
mod name;
mod registry;
#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod tests;

use location::Location;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;
use testfleet_protocol::request::SharedHistory;
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::runtime::Runtime;

/// No document is larger, in bytes: what a server sends beyond it is not read.
const LARGEST: usize = 64 << 20;

/// How long a place may keep a run waiting.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connect: Duration,
    read: Duration,
    merge: Duration,
    /// How long after a write somebody who had read before may still write, where nothing is compared.
    settle: Duration,
    /// How often a merge is tried again that somebody else came before.
    attempts: u32,
}

impl Limits {
    const USUAL: Self = Self {
        connect: Duration::from_secs(3),
        read: Duration::from_secs(10),
        merge: Duration::from_secs(20),
        settle: Duration::from_secs(1),
        attempts: 8,
    };
}

/// An opened place. Opening contacts nothing.
pub struct Store {
    place: Place,
    history: SharedHistory,
    limits: Limits,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

enum Place {
    Folder(folder::Folder),
    Http(http::Http),
    Registry(Box<registry::Registry>),
}

/// A document as it was found, and what tells this state from later ones.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    bytes: Vec<u8>,
    version: Option<String>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// It was written. Somebody may have written at the same moment.
    Done,
    /// It was not, since somebody else came before.
    Conflict,
}

impl Store {
    /// Opens the place that `history` names. `environment` has the variables with user and password, proxies, and
    /// `SSL_CERT_FILE`.
    ///
    /// # Errors
    /// `InvalidRequest` for a location or variables that can't be used. Values of variables are in no failure.
    pub fn open(history: &SharedHistory, environment: &BTreeMap<String, String>) -> Result<Self> {
        Self::open_within(history, environment, Limits::USUAL)
    }

    fn open_within(history: &SharedHistory, environment: &BTreeMap<String, String>, limits: Limits) -> Result<Self> {
        let place = match Location::parse(&history.location)? {
            Location::Folder(folder) => Place::Folder(folder::Folder::new(folder, history.expire_days)),
            Location::Http(url) => Place::Http(http::Http::new(url, history, environment, limits.connect)?),
            Location::Registry { host, repository, plain } => Place::Registry(Box::new(registry::Registry::new(
                &host,
                &repository,
                plain,
                history,
                environment,
                limits.connect,
            )?)),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("testfleet-history")
            .enable_all()
            .build()
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to start a thread").cause(&error))?;
        Ok(Self { place, history: history.clone(), limits, runtime: Some(runtime) })
    }

    /// Whether this run adds to the place.
    pub fn publishes(&self) -> bool {
        self.history.publish
    }

    /// The document of the branch, else that of the branch it began from; `None` when there is neither.
    ///
    /// # Errors
    /// `Io` when the place can't be reached or refuses, or takes longer than a few seconds.
    pub fn read(&self, document: &str) -> Result<Option<Vec<u8>>> {
        let found = self.within(self.limits.read, "read", document, async {
            for branch in [&self.history.branch, &self.history.fallback_branch] {
                if let Some(found) = self.place.read(&name::of(document, branch)).await? {
                    return Ok(Some(found.bytes));
                }
            }
            Ok(None)
        })?;
        Ok(found)
    }

    /// The document `pinned` of the branch: the same for all who ask, whenever they do. The first makes it a copy of what
    /// `document` is then, or of `otherwise`, if this run publishes; if it does not, that is returned.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn pin(&self, pinned: &str, document: &str, otherwise: &[u8]) -> Result<Vec<u8>> {
        let name = name::of(pinned, &self.history.branch);
        if let Some(found) = self.within(self.limits.read, "read", pinned, self.place.read(&name))? {
            return Ok(found.bytes);
        }
        let bytes = self.read(document)?.unwrap_or_else(|| otherwise.to_owned());
        if !self.history.publish {
            return Ok(bytes);
        }
        self.within(self.limits.merge, "add", pinned, async {
            // Done or not: what is there now counts, also when somebody else wrote it.
            self.place.write(&name, &bytes, None).await?;
            let found = self.place.read(&name).await?;
            found.map(|found| found.bytes).ok_or_else(|| {
                Failure::new(FailureCode::Io, format!("failed to read {name}")).cause_text("it is gone again")
            })
        })
    }

    /// The document of the branch alone.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn read_own(&self, document: &str) -> Result<Option<Vec<u8>>> {
        let name = name::of(document, &self.history.branch);
        let found = self.within(self.limits.read, "read", document, self.place.read(&name))?;
        Ok(found.map(|found| found.bytes))
    }

    /// Makes the branch's document these bytes, whatever it was: it has one writer at a time.
    ///
    /// # Errors
    /// `Io` as for [`Self::read`], or when others write it, too.
    pub fn put(&self, document: &str, bytes: &[u8]) -> Result<()> {
        let name = name::of(document, &self.history.branch);
        if bytes.len() > LARGEST {
            return Err(too_large(&name));
        }
        self.within(self.limits.merge, "write", document, async {
            for attempt in 0..self.limits.attempts {
                let found = self.place.read(&name).await?;
                if found.as_ref().is_some_and(|found| found.bytes == bytes) {
                    return Ok(());
                }
                match self.place.write(&name, bytes, found.as_ref()).await? {
                    Written::Done => return Ok(()),
                    Written::Conflict => tokio::time::sleep(pause(attempt)).await,
                }
            }
            let text = format!("others wrote it at the same time, {} times in a row", self.limits.attempts);
            Err(Failure::new(FailureCode::Io, format!("failed to write {name}")).cause_text(text))
        })
    }

    /// Replaces the branch's document by what `merge` makes of it; where the branch has none, of the one of the branch it
    /// began from. Whether there was something to write: never, unless this run publishes.
    ///
    /// `merge` may be called several times, whenever somebody else has written in between. It has to be commutative and
    /// idempotent: what it added before may be in what it is given.
    ///
    /// # Errors
    /// Those of `merge`; `Io` as for [`Self::read`], or when others always came before.
    pub fn merge(&self, document: &str, mut merge: impl FnMut(Option<&[u8]>) -> Result<Vec<u8>>) -> Result<bool> {
        if !self.history.publish {
            return Ok(false);
        }
        let name = name::of(document, &self.history.branch);
        self.within(self.limits.merge, "add to", document, async {
            let mut found = self.place.read(&name).await?;
            let mut wrote = false;
            for attempt in 0..self.limits.attempts {
                let merged = match &found {
                    Some(found) => merge(Some(&found.bytes))?,
                    None => {
                        let fallback = name::of(document, &self.history.fallback_branch);
                        merge(self.place.read(&fallback).await?.as_ref().map(|found| found.bytes.as_slice()))?
                    }
                };
                if found.as_ref().is_some_and(|found| found.bytes == merged) {
                    return Ok(wrote);
                }
                if merged.len() > LARGEST {
                    return Err(too_large(&name));
                }
                match self.place.write(&name, &merged, found.as_ref()).await? {
                    Written::Done => {
                        wrote = true;
                        if !self.place.compares(found.as_ref()) {
                            tokio::time::sleep(self.limits.settle).await;
                        }
                    }
                    Written::Conflict => tokio::time::sleep(pause(attempt)).await,
                }
                // Not every server looks at what it is asked to compare, so what is there now is read in any case.
                found = self.place.read(&name).await?;
            }
            let text = format!("others wrote it at the same time, {} times in a row", self.limits.attempts);
            Err(Failure::new(FailureCode::Io, format!("failed to write {name}")).cause_text(text))
        })
    }

    /// Waits for `work`, but not for long; says in which document and place it failed.
    fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        document: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(runtime) = &self.runtime else {
            return Err(Failure::new(FailureCode::Internal, "failed to use a closed store"));
        };
        let ended = runtime.block_on(async { tokio::time::timeout(limit, work).await });
        let failed = || {
            let message = format!("failed to {what} the shared {document} in {}", self.history.location);
            Failure::new(FailureCode::Io, message)
        };
        match ended {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(inner)) => {
                let mut failure = failed().cause_text(inner.message);
                failure.code = inner.code;
                failure.causes.extend(inner.causes);
                failure.hint = inner.hint.or_else(|| Some(HINT.to_owned()));
                Err(failure)
            }
            Err(_) => Err(failed().cause_text(format!("it took longer than {} s", limit.as_secs_f32())).hint(HINT)),
        }
    }
}

const HINT: &str = "is the place up, and may this machine reach it? the run goes on without it";

impl Drop for Store {
    fn drop(&mut self) {
        // A folder on a server that does not answer may keep a thread for ever: nobody waits for that.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Place {
    async fn read(&self, name: &str) -> Result<Option<Found>> {
        match self {
            Self::Folder(folder) => folder.read(name).await,
            Self::Http(http) => http.read(name).await,
            Self::Registry(registry) => registry.read(name).await,
        }
    }

    /// Whether a write fails when somebody else has replaced what was found.
    fn compares(&self, found: Option<&Found>) -> bool {
        match self {
            Self::Folder(_) => true,
            Self::Http(_) => found.is_none_or(|found| found.version.is_some()),
            Self::Registry(_) => false,
        }
    }

    /// Writes a document that is to replace `expected`, where the place can tell.
    async fn write(&self, name: &str, bytes: &[u8], expected: Option<&Found>) -> Result<Written> {
        match self {
            Self::Folder(folder) => folder.write(name, bytes, expected).await,
            Self::Http(http) => http.write(name, bytes, expected).await,
            Self::Registry(registry) => registry.write(name, bytes).await,
        }
    }
}

/// How long to wait after others came before: longer each time, and not the same on two machines.
fn pause(attempt: u32) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let most = 50_u64 << attempt.min(5);
    Duration::from_millis(most / 2 + u64::from(now.subsec_nanos() ^ std::process::id()) % most)
}

fn too_large(name: &str) -> Failure {
    Failure::new(FailureCode::Io, format!("failed to share {name}"))
        .cause_text(format!("it is larger than {} MB", LARGEST >> 20))
        .hint("lower expireDays, so that less is kept; or delete it, so that it begins anew")
}
