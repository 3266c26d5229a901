//! Logins: tokens, passwords, what Docker knows, and that nobody else is told.

use super::fake::{Answer, Fake, State, body, complaint, header, serve, status, with};
use super::tests::{QUICK, bytes_of, count, environment, hint, image, in_registry, layer, push, push_with, total};
use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use testfleet_protocol::FailureCode;
use tiny_http::{Method, Request, Response};

/// A registry with a login service at `/token`: `tokens` good ones are given out, each good for `uses` requests.
fn guarded(uses: u32) -> Fake {
    let (given, used) = (AtomicU32::new(0), AtomicU32::new(0));
    Fake::start(move |request, state| {
        let host = header(request, "host").unwrap();
        if request.url().starts_with("/token") {
            let login = header(request, "authorization");
            // `me:s3cret`
            let identity = *request.method() == Method::Post && {
                let text = String::from_utf8(body(request)).unwrap();
                text.contains("refresh_token=l0ng") && text.contains("grant_type=refresh_token")
            };
            if login.as_deref() != Some("Basic bWU6czNjcmV0") && !identity {
                return Some(complaint(401, "UNAUTHORIZED"));
            }
            used.store(0, Ordering::SeqCst);
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            return Some(Response::from_string(format!("{{\"token\": \"t{number}\"}}")));
        }
        let token = format!("Bearer t{}", given.load(Ordering::SeqCst));
        if header(request, "authorization") == Some(token) && used.fetch_add(1, Ordering::SeqCst) < uses {
            return Some(serve(request, state));
        }
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"fake\"");
        Some(with(complaint(401, "UNAUTHORIZED"), "WWW-Authenticate", &challenge))
    })
}

fn with_login(fake: &Fake, user: &str, password: &str) -> Registry {
    let options = RegistryOptions {
        user_variable: Some("CI_USER".into()),
        password_variable: Some("CI_PASSWORD".into()),
        ..RegistryOptions::default()
    };
    let host = fake.address().to_string();
    Registry::new(&options, &environment(&[("CI_USER", user), ("CI_PASSWORD", password)]), Some(&host), QUICK).unwrap()
}

#[tokio::test]
async fn a_token_is_asked_for_and_renewed_when_it_expires() {
    let image = image(vec![layer(500_000, 1), layer(10, 2)]);
    for uses in [1_000, 5] {
        let fake = guarded(uses);
        let pushed = push_with(&with_login(&fake, "me", "s3cret"), &image, &fake.name("app"), &["1"]).await.unwrap();
        assert_eq!(pushed.bytes, total(&image));
        let seen = fake.seen();
        let asked = count(&seen, "GET /token");
        assert!(if uses == 5 { asked > 2 } else { asked == 1 }, "{seen:?}");
        assert!(seen.iter().any(|url| url.contains("service=fake&scope=repository%3Aapp%3Apull%2Cpush")), "{seen:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_without_repeating_it() {
    let fake = guarded(1_000);
    let image = image(vec![layer(10, 1)]);
    let failure = push_with(&with_login(&fake, "me", "wr0ng"), &image, &fake.name("app"), &["1"]).await.unwrap_err();
    assert!(failure.code == FailureCode::RegistryFailed && failure.message.contains("failed to log in"), "{failure}");
    assert!(hint(&failure).contains("passwordVariable") && !failure.to_string().contains("wr0ng"), "{failure}");
    assert_eq!(fake.seen().len(), 2, "a refusal is final");
    // Without any login.
    let failure = push(&image, &fake.name("app")).await.unwrap_err();
    assert!(hint(&failure).contains("docker login"), "{failure}");
    // A login that no header can hold.
    let strange = push_with(&with_login(&fake, "me", "s3\ncret"), &image, &fake.name("app"), &["1"]).await;
    assert!(!strange.unwrap_err().to_string().contains("cret"));
}

#[tokio::test]
async fn dockers_logins_and_identity_tokens_are_used() {
    let fake = guarded(1_000);
    let folder = tempfile::tempdir().unwrap();
    for login in [r#"{"auth": "bWU6czNjcmV0"}"#, r#"{"identitytoken": "l0ng"}"#] {
        let config = format!("{{\"auths\": {{\"{}\": {login}}}}}", fake.address());
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let variables = environment(&[("DOCKER_CONFIG", &folder.path().display().to_string())]);
        let registry = Registry::new(&RegistryOptions::default(), &variables, None, QUICK).unwrap();
        push_with(&registry, &image(vec![layer(10, 1)]), &fake.name("app"), &["1"]).await.unwrap();
    }
}

#[tokio::test]
async fn a_named_password_is_sent_to_its_registry_alone() {
    let basic = |fake: &'static str| {
        Fake::start(move |request: &mut Request, _: &mut State| -> Option<Answer> {
            let challenge = format!("Basic realm=\"{fake}\"");
            header(request, "authorization")
                .is_none()
                .then(|| with(complaint(401, "UNAUTHORIZED"), "WWW-Authenticate", &challenge))
        })
    };
    let (ours, other) = (basic("ours"), basic("other"));
    let registry = with_login(&ours, "me", "s3cret");
    let image = image(vec![layer(10, 1)]);
    push_with(&registry, &image, &ours.name("app"), &["1"]).await.unwrap();
    let failure = push_with(&registry, &image, &other.name("app"), &["1"]).await.unwrap_err();
    assert!(failure.to_string().contains("401"), "{failure}");
    assert!(other.with(|state| state.seen.iter().all(|(_, _, login)| login.is_none())));
}

#[tokio::test]
async fn logins_and_uploads_go_nowhere_else() {
    let elsewhere = Fake::start(|_, _| None);
    let target = elsewhere.address();
    let fake = Fake::start(move |request, state| {
        if header(request, "authorization").is_none() {
            return Some(with(status(401), "WWW-Authenticate", "Basic realm=\"x\""));
        }
        if *request.method() == Method::Get && request.url().contains("/blobs/") {
            return Some(with(status(307), "Location", &format!("http://{target}{}", request.url())));
        }
        Some(serve(request, state))
    });
    let blob = layer(1_000, 1);
    let image = image(vec![blob.clone()]);
    let registry = with_login(&fake, "me", "s3cret");
    push_with(&registry, &image, &fake.name("app"), &["1"]).await.unwrap();
    push(&image, &elsewhere.name("app")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = registry.fetch(&in_registry(&blob, &fake.name("app")), folder.path()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), bytes_of(&blob));
    elsewhere.with(|state| assert!(state.seen.iter().all(|(_, _, login)| login.is_none())));
}
