//! Registries: images pushed to them and bases taken from them (OCI distribution specification 1.1).
//!
//! What is sent is what a registry lacks; what broke off goes on where it ended; a busy registry is asked again. Logins come
//! from named variables or from Docker's configuration, and are in no text. See docs/registries.md.

mod answer;
mod auth;
mod content;
#[cfg(test)]
pub(crate) mod fake;
mod fetch;
mod login;
#[cfg(test)]
mod login_tests;
mod manifest;
mod manner;
mod name;
mod network;
mod push;
#[cfg(test)]
mod real_tests;
mod secret;
#[cfg(test)]
mod tests;
mod transport;
mod upload;

pub use login::{Login, docker_folder, docker_login};
pub use manifest::Manifest;
pub use name::{Place, Reference, is_tag};
pub use network::{Network, failure};
pub use push::{Progress, Pushed};
pub use secret::Secret;
pub use transport::Patience;

pub(crate) use fetch::{copy, digest_of, file_of, keep};
pub(crate) use manifest::LARGEST_MANIFEST;

use crate::Digest;
use auth::Doorkeeper;
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use testfleet_protocol::Result;
use testfleet_protocol::image::RegistryOptions;
use transport::Transport;

/// A way to all registries, with the logins of this build. Making it contacts nothing. One lasts for a build: it remembers
/// tokens, and which blobs it saw where.
pub struct Registry {
    transport: Transport,
    /// Blobs that were seen or sent.
    known: Mutex<HashSet<(Place, Digest)>>,
}

impl Registry {
    /// `environment` has the variables with user and password, `DOCKER_CONFIG`, `HOME`, proxies, and `SSL_CERT_FILE`. The
    /// named variables are sent to the registry `host` only, to any when there is none: a password for one registry is no
    /// business of another.
    ///
    /// # Errors
    /// `InvalidRequest` for variables that are not set or certificates that can't be read. Values are in no failure.
    pub fn new(
        options: &RegistryOptions,
        environment: &BTreeMap<String, String>,
        host: Option<&str>,
        patience: Patience,
    ) -> Result<Self> {
        let (user, password) = (options.user_variable.as_deref(), options.password_variable.as_deref());
        let login = Login::of_variables(user, password, environment, "log in at the registry")?;
        let mut network = Network::of(environment)?;
        if let Some(authorities) = &options.authorities {
            network = network.trusting(authorities, "registry.authorities")?;
        }
        let doorkeeper = Doorkeeper::new(login, host.map(str::to_owned), environment);
        let transport = Transport::new(doorkeeper, options.insecure.clone(), patience, |redirects, silence| {
            network.client(patience.connect, |client| {
                let client = client.redirect(redirects);
                silence.into_iter().fold(client, reqwest::ClientBuilder::read_timeout)
            })
        })?;
        Ok(Self { transport, known: Mutex::default() })
    }
}

/// Reads what a registry says is wrong, how long it wants to be left alone, and what it asks for.
#[cfg(any(fuzzing, test))]
pub(crate) fn read_answer(bytes: &[u8]) {
    answer::read(bytes);
    auth::read(bytes);
}
