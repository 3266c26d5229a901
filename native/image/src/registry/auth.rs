//! What a registry wants to see before it answers (OCI distribution specification; Docker's token authentication).

use super::answer::Refused;
use super::login::{Login, docker_folder, docker_login};
use super::name::Place;
use super::secret::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Request, Url};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use testfleet_protocol::{Failure, FailureCode, Result};
use tokio::sync::OnceCell;

/// A repository, and what is to be done there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Access {
    pub(super) place: Place,
    /// `repository:team/app:pull,push`
    scopes: Vec<String>,
}

impl Access {
    pub(super) fn pull(place: &Place) -> Self {
        Self { place: place.clone(), scopes: vec![format!("repository:{}:pull", place.repository())] }
    }

    /// Also pulling from `others` of the same registry, whose blobs are mounted.
    pub(super) fn push<'a>(place: &Place, others: impl Iterator<Item = &'a Place>) -> Self {
        let mut scopes = vec![format!("repository:{}:pull,push", place.repository())];
        scopes.extend(others.map(|other| format!("repository:{}:pull", other.repository())));
        scopes.dedup();
        Self { place: place.clone(), scopes }
    }
}

/// Logins, and what they were changed into.
pub(super) struct Doorkeeper {
    /// By the variables that were named, and for which registry.
    named: Login,
    named_for: Option<String>,
    /// The folder of Docker's configuration.
    docker: Option<PathBuf>,
    /// By host.
    logins: Mutex<HashMap<String, Arc<OnceCell<Login>>>>,
    /// The header that worked last.
    keys: Mutex<HashMap<Access, Arc<tokio::sync::Mutex<Option<HeaderValue>>>>>,
}

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Doorkeeper {
    /// `named` is for the registry `named_for`; for all when that is `None`.
    pub(super) fn new(named: Login, named_for: Option<String>, environment: &BTreeMap<String, String>) -> Self {
        Self { named, named_for, docker: docker_folder(environment), logins: Mutex::default(), keys: Mutex::default() }
    }

    fn key(&self, access: &Access) -> Arc<tokio::sync::Mutex<Option<HeaderValue>>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(keys.entry(access.clone()).or_default())
    }

    /// Adds what worked last; returns it.
    pub(super) async fn open(&self, access: &Access, request: &mut Request) -> Option<HeaderValue> {
        let key = self.key(access).lock().await.clone()?;
        request.headers_mut().insert(AUTHORIZATION, key.clone());
        Some(key)
    }

    /// After a 401: gets what the registry asks for, unless somebody else got it since `used`. Whether there is anything
    /// to try now.
    pub(super) async fn knock(
        &self,
        client: &Client,
        access: &Access,
        asked: &HeaderMap,
        used: Option<&HeaderValue>,
        plain: bool,
    ) -> std::result::Result<bool, Refused> {
        let cell = self.key(access);
        let mut key = cell.lock().await;
        if key.as_ref() != used {
            return Ok(key.is_some());
        }
        let login = self.login(&access.place).await?;
        let fresh = match (challenge(asked), &login) {
            (None | Some(Challenge::Basic), Login::Anonymous | Login::Identity(_)) => None,
            (_, Login::Token(token)) => header(access, "Bearer ", token.reveal()).map(Some)?,
            (None | Some(Challenge::Basic), Login::Basic { .. }) => basic(client, access, &login)?,
            (Some(Challenge::Bearer { realm, service }), _) => {
                let token = token(client, access, &realm, service.as_deref(), &login, plain).await?;
                Some(header(access, "Bearer ", token.reveal())?)
            }
        };
        if fresh.as_ref() == used {
            return Ok(false);
        }
        *key = fresh;
        Ok(key.is_some())
    }

    async fn login(&self, place: &Place) -> Result<Login> {
        let cell = {
            let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(logins.entry(place.host().to_owned()).or_default())
        };
        let login = cell.get_or_try_init(|| async {
            // A password for one registry is no business of another.
            let ours = self.named_for.as_deref().is_none_or(|host| host == place.host());
            match &self.docker {
                _ if ours && self.named != Login::Anonymous => Ok(self.named.clone()),
                None => Ok(Login::Anonymous),
                Some(folder) => docker_login(folder, place).await,
            }
        });
        login.await.cloned()
    }
}

fn header(access: &Access, scheme: &str, value: &str) -> Result<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("{scheme}{value}")).map_err(|_| {
        Failure::new(FailureCode::RegistryFailed, format!("failed to log in at {}", access.place.host()))
            .cause_text("the password or token has characters that no header may have, such as a line break")
            .hint("look at the variable or the credential helper that it comes from")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The header of user and password, as the HTTP client writes it.
fn basic(client: &Client, access: &Access, login: &Login) -> Result<Option<HeaderValue>> {
    let request = login.apply(client.get("http://localhost/")).build();
    let header = request.ok().and_then(|request| request.headers().get(AUTHORIZATION).cloned());
    header.map(Some).ok_or_else(|| {
        Failure::new(FailureCode::Internal, format!("failed to write the login for {}", access.place.host()))
    })
}

/// Changes a login into a token for `access`.
async fn token(
    client: &Client,
    access: &Access,
    realm: &str,
    service: Option<&str>,
    login: &Login,
    plain: bool,
) -> std::result::Result<Secret, Refused> {
    let what = format!("failed to log in at {} for {}", access.place.host(), access.place.repository());
    let strange = |text: &str| {
        Failure::new(FailureCode::RegistryFailed, &what)
            .cause_text(text.to_owned())
            .hint("this is up to the registry: look at its configuration of token authentication")
    };
    let url = Url::parse(realm).map_err(|_| strange("the address of its login service is no URL"))?;
    if url.scheme() != "https" && !(plain && url.scheme() == "http") {
        return Err(strange("its login service does not speak TLS, so it would get the password in plain text").into());
    }
    let request = if let Login::Identity(token) = login {
        // OAuth2, as Docker does it with identity tokens.
        let scope = access.scopes.join(" ");
        client.post(url).form(&[
            ("grant_type", "refresh_token"),
            ("service", service.unwrap_or_default()),
            ("client_id", "testfleet"),
            ("scope", &scope),
            ("refresh_token", token.reveal()),
        ])
    } else {
        let mut query: Vec<(&str, &str)> = service.map(|service| ("service", service)).into_iter().collect();
        query.extend(access.scopes.iter().map(|scope| ("scope", scope.as_str())));
        login.apply(client.get(url).query(&query))
    };
    let response = request.send().await.map_err(|error| Refused::broken(&what, error))?;
    if !response.status().is_success() {
        return Err(Refused::answered(&what, response).await);
    }
    let body = super::transport::body(response, 1 << 20, &what).await?;
    let token = serde_json::from_slice::<Token>(&body).ok().and_then(|token| token.token.or(token.access_token));
    token.map(Secret::new).ok_or_else(|| strange("what its login service answers has no token").into())
}

/// The best of what a registry asks for that can be done.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut found = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let Some(challenges) = value.to_str().ok().and_then(|text| http_auth::parse_challenges(text).ok()) else {
            continue;
        };
        for challenge in challenges {
            let param = |name: &str| {
                let found = challenge.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                if let Some(realm) = param("realm") {
                    return Some(Challenge::Bearer { realm, service: param("service") });
                }
            } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                found = Some(Challenge::Basic);
            }
        }
    }
    found
}

#[cfg(any(fuzzing, test))]
pub(super) fn read(bytes: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        challenge(&[(WWW_AUTHENTICATE, value)].into_iter().collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_asks_for() {
        let read = |values: &[&str]| {
            let headers = values.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap()));
            challenge(&headers.collect())
        };
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) })
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        let value = "Bearer realm=\"https://auth.acme.com/token\",service=\"acme\",scope=\"repository:a:pull,push\"";
        assert_eq!(read(&["Basic realm=\"x\"", value]), bearer("https://auth.acme.com/token", Some("acme")));
        assert_eq!(read(&["bearer Realm=\"https://a/\""]), bearer("https://a/", None));
        for broken in ["", "Bearer", "Bearer realm", "=", "Negotiate", "Bearer service=\"a\""] {
            assert_eq!(read(&[broken]), None, "{broken}");
        }
    }
}
