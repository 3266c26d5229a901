//! Pushes and fetches against a registry with every fault.

use super::fake::{Fake, body, breaking_way, complaint, status, with};
use super::*;
use crate::{Blob, BlobSource, Image};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use testfleet_protocol::{Failure, FailureCode};
use tiny_http::Method;

/// Quick to give up, with small pieces.
pub(super) const QUICK: Patience = Patience {
    connect: Duration::from_secs(5),
    silence: Duration::from_secs(20),
    tries: 4,
    first_tries: 2,
    rest: Duration::from_secs(5),
    piece: 64 << 10,
};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub(super) fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn registry() -> Registry {
    Registry::new(&RegistryOptions::default(), &BTreeMap::new(), None, QUICK).unwrap()
}

/// Bytes that nobody can guess from others.
pub(super) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

pub(super) fn image(layers: Vec<Blob>) -> Image {
    let config = Blob::of_bytes(oci_spec::image::MediaType::ImageConfig, b"{\"os\": \"linux\"}".to_vec()).unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor,
        "layers": layers.iter().map(|layer| &layer.descriptor).collect::<Vec<_>>(),
    });
    let manifest =
        Blob::of_bytes(oci_spec::image::MediaType::ImageManifest, manifest.to_string().into_bytes()).unwrap();
    Image { manifest, config, layers }
}

pub(super) fn layer(size: usize, seed: u64) -> Blob {
    Blob::of_bytes(LAYER.into(), noise(size, seed)).unwrap()
}

pub(super) async fn push_with(registry: &Registry, image: &Image, name: &str, tags: &[&str]) -> Result<Pushed> {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let folder = tempfile::tempdir().unwrap();
    registry.push(image, &Place::parse(name).unwrap(), &tags, folder.path(), &|_| {}).await
}

pub(super) async fn push(image: &Image, name: &str) -> Result<Pushed> {
    push_with(&registry(), image, name, &["1"]).await
}

pub(super) fn in_registry(blob: &Blob, place: &str) -> Blob {
    Blob { descriptor: blob.descriptor.clone(), source: BlobSource::Registry(place.to_owned()) }
}

pub(super) fn bytes_of(blob: &Blob) -> Vec<u8> {
    match &blob.source {
        BlobSource::Bytes(bytes) => bytes.clone(),
        other => panic!("{other:?} has no bytes here"),
    }
}

pub(super) fn total(image: &Image) -> u64 {
    image.layers.iter().chain([&image.config, &image.manifest]).map(|blob| blob.descriptor.size()).sum()
}

pub(super) fn hint(failure: &Failure) -> &str {
    assert!(failure.message.starts_with("failed to ") && !failure.causes.is_empty(), "{failure}");
    failure.hint.as_deref().unwrap_or_else(|| panic!("no hint: {failure}"))
}

#[tokio::test]
async fn whether_it_can_be_pushed_is_tried_without_pushing() {
    let fake = Fake::start(|_, _| None);
    registry().try_push(&Place::parse(&fake.name("app")).unwrap()).await.unwrap();
    let seen = fake.seen();
    assert!(seen[0].starts_with("POST ") && seen[0].contains("/blobs/uploads/"), "{seen:?}");
    assert!(seen[1].starts_with("DELETE ") && seen.len() == 2, "the upload is given up: {seen:?}");
    let refusing = Fake::start(|_, _| Some(complaint(403, "DENIED")));
    let failure = registry().try_push(&Place::parse(&refusing.name("app")).unwrap()).await.unwrap_err();
    assert!(failure.code == FailureCode::RegistryFailed && failure.to_string().contains("403"), "{failure}");
}

#[tokio::test]
async fn an_image_is_pushed_once() {
    let fake = Fake::start(|_, _| None);
    let folder = tempfile::tempdir().unwrap();
    let in_file = folder.path().join("layer");
    std::fs::write(&in_file, noise(200_000, 1)).unwrap();
    let large = Blob { source: BlobSource::File(in_file), ..layer(200_000, 1) };
    let first = image(vec![large.clone(), layer(10, 2), layer(0, 3), layer(10, 2)]);
    let pushed = push_with(&registry(), &first, &fake.name("team/app"), &["1", "git-abc"]).await.unwrap();
    let expected = total(&first) - 10 + first.manifest.descriptor.size();
    assert_eq!(pushed, Pushed { bytes: expected, sent: 4, there: 0, mounted: 0, manifests: 2 });
    fake.with(|state| {
        let digest = large.descriptor.digest().to_string();
        assert_eq!(state.blobs[&("team/app".to_owned(), digest)], noise(200_000, 1));
        assert_eq!(state.manifests[&("team/app".to_owned(), "git-abc".to_owned())].1, bytes_of(&first.manifest));
    });

    fake.seen();
    let again = push_with(&registry(), &first, &fake.name("team/app"), &["1", "git-abc"]).await.unwrap();
    assert_eq!(again, Pushed { there: 4, ..Pushed::default() });
    assert_eq!(fake.seen(), ["HEAD /v2/team/app/manifests/1", "HEAD /v2/team/app/manifests/git-abc"]);

    let another_tag = push_with(&registry(), &first, &fake.name("team/app"), &["2"]).await.unwrap();
    assert_eq!((another_tag.sent, another_tag.manifests), (0, 1));
    let no_tag = push_with(&registry(), &first, &fake.name("team/app"), &[]).await.unwrap();
    assert_eq!((no_tag.bytes, no_tag.manifests), (0, 0));

    let changed = image(vec![large, layer(11, 4)]);
    let pushed = push(&changed, &fake.name("team/app")).await.unwrap();
    assert_eq!((pushed.sent, pushed.there), (1, 2));
    assert_eq!(pushed.bytes, 11 + changed.manifest.descriptor.size());
}

#[tokio::test]
async fn without_a_tag_an_image_has_its_digest() {
    let fake = Fake::start(|_, _| None);
    let image = image(vec![layer(10, 1)]);
    let pushed = push_with(&registry(), &image, &fake.name("app"), &[]).await.unwrap();
    assert_eq!(pushed.manifests, 1);
    let digest = image.manifest.descriptor.digest().to_string();
    assert!(fake.with(|state| state.manifests.contains_key(&("app".to_owned(), digest))));
    let failure = push_with(&registry(), &image, &fake.name("app"), &["a b"]).await.unwrap_err();
    assert!(failure.code == FailureCode::InvalidRequest && hint(&failure).contains("tag"), "{failure}");
}

#[tokio::test]
async fn progress_ends_with_all() {
    let fake = Fake::start(|_, _| None);
    let image = image(vec![layer(300_000, 1), layer(10, 2)]);
    let told = Mutex::new(Vec::new());
    let place = Place::parse(&fake.name("app")).unwrap();
    let tell = |progress: Progress| told.lock().unwrap().push(progress);
    registry().push(&image, &place, &["1".to_owned()], Path::new("unused"), &tell).await.unwrap();
    let told = told.into_inner().unwrap();
    let last = told.last().unwrap();
    assert_eq!((last.bytes, last.blobs, last.of_blobs), (last.of, 3, 3));
    assert!(told.iter().any(|progress| progress.bytes > 0 && progress.bytes < last.bytes), "{told:?}");
}

/// The number of requests whose method and address begin so.
pub(super) fn count(seen: &[String], begins: &str) -> usize {
    seen.iter().filter(|seen| seen.starts_with(begins)).count()
}

#[tokio::test]
async fn an_upload_goes_on_where_it_broke_off() {
    let broken = AtomicU32::new(0);
    let fake = Fake::start(move |request, state| {
        if *request.method() != Method::Patch || broken.fetch_add(1, Ordering::SeqCst) != 1 {
            return None;
        }
        // Half of the second piece arrives.
        let bytes = body(request);
        state.uploads.values_mut().max_by_key(|upload| upload.len()).unwrap().extend(&bytes[..bytes.len() / 2]);
        Some(status(500))
    });
    let image = image(vec![layer(300_000, 1)]);
    let pushed = push(&image, &fake.name("app")).await.unwrap();
    assert_eq!(pushed.bytes, total(&image), "nothing is sent twice");
    let seen = fake.seen();
    assert_eq!(count(&seen, "POST"), 2, "one session for each blob: {seen:?}");
    assert_eq!(count(&seen, "GET /v2/app/blobs/uploads/"), 1, "{seen:?}");
}

#[tokio::test]
async fn connections_that_break_again_and_again_are_no_matter() {
    let fake = Fake::start(|_, _| None);
    // Each connection carries a bit more than two pieces; every third breaks on the way back.
    let way = breaking_way(fake.address(), |_| Some(150_000), |number| number.is_multiple_of(3).then_some(100));
    let image = image(vec![layer(600_000, 1), layer(200_000, 2)]);
    push(&image, &format!("{way}/app")).await.unwrap();
    fake.with(|state| {
        for layer in &image.layers {
            assert_eq!(state.blobs[&("app".to_owned(), layer.descriptor.digest().to_string())], bytes_of(layer));
        }
    });
}

#[tokio::test]
async fn a_registry_that_loses_uploads_gets_them_anew() {
    let lost = AtomicU32::new(0);
    let fake = Fake::start(move |request, state| {
        if *request.method() == Method::Patch && lost.fetch_add(1, Ordering::SeqCst) == 2 {
            state.uploads.clear();
        }
        None
    });
    let image = image(vec![layer(300_000, 1)]);
    let pushed = push(&image, &fake.name("app")).await.unwrap();
    assert!(pushed.bytes > total(&image));
    let always = Fake::start(|request, _| {
        matches!(request.method(), Method::Patch | Method::Put).then(|| complaint(404, "BLOB_UPLOAD_UNKNOWN"))
    });
    let failure = push(&image, &always.name("app")).await.unwrap_err();
    assert!(failure.code == FailureCode::RegistryFailed && failure.to_string().contains("404"), "{failure}");
    hint(&failure);
}

#[tokio::test]
async fn pieces_that_are_too_large_become_smaller() {
    let fake = Fake::start(|request, _| {
        let length = request.body_length().unwrap_or_default();
        (*request.method() == Method::Patch && length > 20_000).then(|| {
            body(request);
            status(413)
        })
    });
    let image = image(vec![layer(300_000, 1)]);
    assert_eq!(push(&image, &fake.name("app")).await.unwrap().bytes, total(&image));
}

/// Refuses pieces of more than 20,000 bytes as GitHub's registry does those of more than 4 MiB: the session is of no use then.
fn no_large_pieces(request: &mut tiny_http::Request, state: &mut super::fake::State) -> Option<super::fake::Answer> {
    let large = request.body_length().unwrap_or_default() > 20_000;
    (*request.method() == Method::Patch && large).then(|| {
        body(request);
        state.uploads.clear();
        complaint(416, "UNKNOWN")
    })
}

#[tokio::test]
async fn a_registry_with_a_limit_of_its_own_is_refused_once() {
    let fake = Fake::start(no_large_pieces);
    let (registry, first, second) = (registry(), image(vec![layer(300_000, 1)]), image(vec![layer(200_000, 2)]));
    let pushed = push_with(&registry, &first, &fake.name("app"), &["1"]).await.unwrap();
    assert_eq!(pushed.bytes, total(&first));
    // 19 pieces of 16 KiB after the one that was refused.
    assert_eq!(count(&fake.seen(), "PATCH"), 20);
    push_with(&registry, &second, &fake.name("app"), &["2"]).await.unwrap();
    assert_eq!(count(&fake.seen(), "PATCH"), 13);
}

#[tokio::test]
async fn a_registry_that_takes_no_pieces_gets_blobs_whole() {
    for code in [400, 404, 405, 416, 501] {
        let fake = Fake::start(move |request, _| {
            (*request.method() == Method::Patch).then(|| {
                body(request);
                complaint(code, "UNSUPPORTED")
            })
        });
        let (registry, folder) = (registry(), tempfile::tempdir().unwrap());
        let in_file = folder.path().join("layer");
        std::fs::write(&in_file, noise(700_000, 1)).unwrap();
        let large = Blob { source: BlobSource::File(in_file), ..layer(700_000, 1) };
        let first = image(vec![large.clone()]);
        let pushed = push_with(&registry, &first, &fake.name("app"), &["1"]).await.unwrap();
        assert_eq!(pushed.bytes, total(&first), "{code}");
        let digest = large.descriptor.digest().to_string();
        assert_eq!(fake.with(|state| state.blobs[&("app".to_owned(), digest)].clone()), noise(700_000, 1), "{code}");
        fake.seen();
        push_with(&registry, &image(vec![layer(600_000, 2)]), &fake.name("app"), &["2"]).await.unwrap();
        assert_eq!(count(&fake.seen(), "PATCH"), 0, "it is remembered: {code}");
    }
}

#[tokio::test]
async fn a_whole_blob_that_breaks_off_is_begun_anew() {
    let broken = AtomicU32::new(0);
    let fake = Fake::start(move |request, _| {
        let large = request.body_length().unwrap_or_default() > 64 << 10;
        let patch = *request.method() == Method::Patch;
        let put = *request.method() == Method::Put && large && broken.fetch_add(1, Ordering::SeqCst) == 0;
        (patch || put).then(|| {
            body(request);
            status(if patch { 405 } else { 502 })
        })
    });
    let image = image(vec![layer(300_000, 1)]);
    assert_eq!(push(&image, &fake.name("app")).await.unwrap().bytes, total(&image));
}

#[tokio::test]
async fn a_busy_registry_is_left_alone_for_as_long_as_it_wants() {
    let busy = AtomicU32::new(0);
    let fake = Fake::start(move |_, _| {
        (busy.fetch_add(1, Ordering::SeqCst) == 3).then(|| with(status(429), "Retry-After", "1"))
    });
    let start = Instant::now();
    push(&image(vec![layer(10, 1)]), &fake.name("app")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));

    let closed = Fake::start(|_, _| Some(with(complaint(429, "TOOMANYREQUESTS"), "Retry-After", "3600")));
    let failure = push(&image(vec![layer(10, 1)]), &closed.name("app")).await.unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("429") && text.contains("3600 s") && hint(&failure).contains("log in"), "{text}");
    assert_eq!(closed.seen().len(), 1);
}

#[tokio::test]
async fn a_broken_registry_is_given_up() {
    let broken = Fake::start(|_, _| Some(status(503)));
    let failure = push(&image(vec![layer(10, 1)]), &broken.name("app")).await.unwrap_err();
    assert!(failure.to_string().contains("try 4 of 4") && hint(&failure).contains("log"), "{failure}");
    assert_eq!(broken.seen().len(), 4);
    let address = broken.address();
    drop(broken);
    // Nobody listens, and never did.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_ne!(nobody, address);
    let failure = push(&image(vec![layer(10, 1)]), &format!("{nobody}/app")).await.unwrap_err();
    assert!(failure.to_string().contains("try 2 of 2") && hint(&failure).contains("is the registry up"), "{failure}");
}

#[tokio::test]
async fn a_file_that_is_not_what_it_should_be_is_told() {
    let fake = Fake::start(|_, _| None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer");
    let damaged = Blob { source: BlobSource::File(path.clone()), ..layer(100_000, 1) };
    for (content, reason) in [(noise(100_000, 2), "damaged"), (noise(50_000, 1), "failed to read")] {
        std::fs::write(&path, content).unwrap();
        let failure = push(&image(vec![damaged.clone()]), &fake.name("app")).await.unwrap_err();
        assert!(failure.code == FailureCode::Io && failure.to_string().contains(reason), "{failure}");
        assert!(failure.to_string().contains(&path.display().to_string()) && hint(&failure).contains("run it again"));
    }
    assert!(fake.with(|state| state.manifests.is_empty()));
}

#[tokio::test]
async fn blobs_of_the_same_registry_are_mounted_and_those_of_another_copied() {
    let (ours, theirs) = (Fake::start(|_, _| None), Fake::start(|_, _| None));
    let (here, there) = (layer(1_000, 1), layer(2_000, 2));
    push(&image(vec![here.clone()]), &ours.name("base")).await.unwrap();
    push(&image(vec![there.clone()]), &theirs.name("library/base")).await.unwrap();
    let mixed = image(vec![in_registry(&here, &ours.name("base")), in_registry(&there, &theirs.name("library/base"))]);
    ours.seen();
    let pushed = push(&mixed, &ours.name("app")).await.unwrap();
    assert_eq!((pushed.mounted, pushed.sent, pushed.there), (1, 2, 0));
    assert_eq!(pushed.bytes, total(&mixed) - 1_000);

    // A registry that mounts nothing begins an upload instead; one that lets nobody mount refuses.
    for code in [202, 403] {
        let source = here.clone();
        let fake = Fake::start(move |request, state| {
            let digest = source.descriptor.digest().to_string();
            state.blobs.insert(("base".to_owned(), digest), bytes_of(&source));
            let url = request.url().to_owned();
            if !url.contains("mount=") {
                return None;
            }
            if code == 403 {
                return Some(complaint(403, "DENIED"));
            }
            state.uploads.insert("begun".to_owned(), Vec::new());
            Some(with(status(202), "Location", "/v2/app/blobs/uploads/begun"))
        });
        let image = image(vec![in_registry(&here, &fake.name("base"))]);
        let pushed = push(&image, &fake.name("app")).await.unwrap();
        assert_eq!((pushed.mounted, pushed.sent), (0, 2));
    }
}

#[tokio::test]
async fn a_blob_is_fetched_once_and_damage_is_put_right() {
    let fake = Fake::start(|_, _| None);
    let blob = layer(100_000, 1);
    push(&image(vec![blob.clone()]), &fake.name("app")).await.unwrap();
    let wanted = in_registry(&blob, &fake.name("app"));
    let folder = tempfile::tempdir().unwrap();
    let registry = registry();
    let path = registry.fetch(&wanted, folder.path()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes_of(&blob));
    fake.seen();
    registry.fetch(&wanted, folder.path()).await.unwrap();
    assert_eq!(fake.seen(), [""; 0]);
    std::fs::write(&path, noise(100_000, 2)).unwrap();
    registry.fetch(&wanted, folder.path()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes_of(&blob));
    // What was compared with its digest long enough after it came is not read again: nobody sees what was changed on the sly.
    let (then, seen) = (std::time::UNIX_EPOCH + Duration::from_secs(1_000_000), path.with_extension("seen"));
    let date = |path: &Path| std::fs::File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
    assert!(!seen.exists());
    date(&path);
    registry.fetch(&wanted, folder.path()).await.unwrap();
    assert!(seen.exists());
    std::fs::write(&path, noise(100_000, 3)).unwrap();
    date(&path);
    registry.fetch(&wanted, folder.path()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), noise(100_000, 3));
    std::fs::write(&path, noise(100_000, 4)).unwrap();
    registry.fetch(&wanted, folder.path()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes_of(&blob));
    // Several at once: one fetches, the others wait.
    std::fs::remove_file(&path).unwrap();
    fake.seen();
    let fetches = (0..4).map(|_| registry.fetch(&wanted, folder.path()));
    for fetched in futures_util::future::join_all(fetches).await {
        assert_eq!(fetched.unwrap(), path);
    }
    assert_eq!(fake.seen().len(), 1);
    // Bytes become a file as well.
    assert_eq!(std::fs::read(registry.fetch(&layer(10, 5), folder.path()).await.unwrap()).unwrap(), noise(10, 5));
}

#[tokio::test]
async fn a_fetch_goes_on_where_it_broke_off() {
    let fake = Fake::start(|_, _| None);
    let blob = layer(1_000_000, 1);
    push(&image(vec![blob.clone()]), &fake.name("app")).await.unwrap();
    let way = breaking_way(fake.address(), |_| None, |_| Some(300_000));
    let wanted = in_registry(&blob, &format!("{way}/app"));
    let folder = tempfile::tempdir().unwrap();
    fake.seen();
    let path = registry().fetch(&wanted, folder.path()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes_of(&blob));
    assert_eq!(fake.seen().len(), 4);
    // In another process, with something wrong in what is there.
    for (left, requests) in [(bytes_of(&blob)[..900_000].to_vec(), 1), (noise(900_000, 9), 2), (noise(2_000_000, 9), 1)]
    {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(path.with_extension("part"), left).unwrap();
        fake.seen();
        let straight = in_registry(&blob, &fake.name("app"));
        assert_eq!(registry().fetch(&straight, folder.path()).await.unwrap(), path);
        assert_eq!(fake.seen().len(), requests);
        assert_eq!(std::fs::read(&path).unwrap(), bytes_of(&blob));
    }
}

#[tokio::test]
async fn what_is_not_the_blob_is_refused() {
    let blob = layer(1_000, 1);
    for (content, reason) in [
        (noise(1_000, 2), "another digest"),
        (noise(500, 1), "500 of 1000 bytes"),
        (noise(1_001, 1), "more than the 1000 bytes"),
    ] {
        let digest = blob.descriptor.digest().to_string();
        let fake = Fake::start(|_, _| None);
        fake.with(|state| state.blobs.insert(("app".to_owned(), digest), content));
        let folder = tempfile::tempdir().unwrap();
        let failure = registry().fetch(&in_registry(&blob, &fake.name("app")), folder.path()).await.unwrap_err();
        assert!(failure.code == FailureCode::RegistryFailed && failure.to_string().contains(reason), "{failure}");
        hint(&failure);
        assert!(!folder.path().join("sha256").join(&blob.descriptor.digest().to_string()[7..]).exists());
    }
    let fake = Fake::start(|_, _| None);
    let failure = registry().fetch(&in_registry(&blob, &fake.name("app")), Path::new("/proc/none")).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Io);
    let folder = tempfile::tempdir().unwrap();
    let failure = registry().fetch(&in_registry(&blob, &fake.name("app")), folder.path()).await.unwrap_err();
    assert!(failure.to_string().contains("BLOB_UNKNOWN"), "{failure}");
}

#[tokio::test]
async fn plain_http_is_for_the_own_machine_and_those_that_were_named() {
    let place = Place::parse("registry.acme.com:5000/app").unwrap();
    let scheme = |insecure: &[&str], place: &Place| {
        let insecure = insecure.iter().map(|host| (*host).to_owned()).collect();
        let options = RegistryOptions { insecure, ..RegistryOptions::default() };
        let registry = Registry::new(&options, &BTreeMap::new(), None, QUICK).unwrap();
        registry.transport.url(place, "").unwrap().scheme().to_owned()
    };
    assert_eq!(scheme(&[], &place), "https");
    assert_eq!(scheme(&["registry.acme.com:5000"], &place), "http");
    assert_eq!(scheme(&["registry.acme.com"], &place), "https", "the port belongs to the name");
    assert_eq!(scheme(&[], &Place::parse("localhost:5000/app").unwrap()), "http");
}

#[test]
fn files_of_certificates_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let options = RegistryOptions { authorities: Some(file.clone()), ..RegistryOptions::default() };
    let new = |variables: &[(&str, &str)], options: &RegistryOptions| {
        Registry::new(options, &environment(variables), None, QUICK).err()
    };
    for content in [None, Some("nothing of that kind"), Some("")] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let failure = new(&[], &options).unwrap();
        assert!(failure.code == FailureCode::InvalidRequest && failure.message.contains("registry.authorities"));
        let failure = new(&[("SSL_CERT_FILE", &file.display().to_string())], &RegistryOptions::default()).unwrap();
        assert!(failure.message.contains("SSL_CERT_FILE") && failure.hint.is_some(), "{failure}");
    }
}
