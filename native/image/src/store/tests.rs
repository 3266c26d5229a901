use super::*;
use crate::{Digest, hex};
use std::io::Write;
use std::time::{Duration, SystemTime};

struct Folder {
    temp: tempfile::TempDir,
    store: Store,
}

fn folder() -> Folder {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(&temp.path().join("store")).unwrap();
    Folder { temp, store }
}

fn put(lease: &Lease, content: &[u8]) -> (Digest, PathBuf) {
    let mut writer = lease.writer().unwrap();
    writer.write_all(content).unwrap();
    let (digest, size, path) = writer.finish().unwrap();
    assert_eq!((size, &digest), (content.len() as u64, &Digest::of(content)));
    (digest, path)
}

fn record(digest: &Digest, size: u64) -> LayerRecord {
    LayerRecord {
        holds: "dependencies".to_owned(),
        digest: digest.clone(),
        size,
        diff_id: digest.clone(),
        media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
        made_from: vec![MadeFrom { path: "/testfleet/gradleHome/a.jar".to_owned(), sha256: "0".repeat(64) }],
    }
}

fn used(store: &Store, digest: &Digest, ago: Duration) {
    let file = File::options().append(true).open(store.use_file(digest.hex())).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn what_one_build_made_another_finds() {
    let Folder { store, temp: _temp } = folder();
    let digest = {
        let lease = store.lease().unwrap();
        let (digest, _) = put(&lease, b"layer");
        lease.remember("key", &record(&digest, 5)).unwrap();
        digest
    };
    let lease = store.lease().unwrap();
    let (found, path) = lease.layer("key").unwrap().unwrap();
    assert_eq!((found, fs::read(&path).unwrap()), (record(&digest, 5), b"layer".to_vec()));
    assert!(store.is_known(&digest));
    assert_eq!(lease.layer("other").unwrap(), None);
    let listed = store.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].in_use && listed[0].layers == [record(&digest, 5)]);
}

#[test]
fn a_damaged_blob_is_not_given_out_and_is_replaced() {
    let Folder { store, temp: _temp } = folder();
    let lease = store.lease().unwrap();
    let (digest, path) = put(&lease, b"layer of some length");
    for damage in [&b"layer"[..], b"", b"Layer of some length"] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, damage).unwrap();
        assert_eq!(lease.blob(&digest).unwrap(), None, "{}", hex(damage));
        put(&lease, b"layer of some length");
        assert_eq!(lease.blob(&digest).unwrap(), Some(path.clone()));
    }
    // In place, as a failing disk or a careless program does it.
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&path, permissions).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    fs::write(&path, b"LAYER of some length").unwrap();
    assert_eq!(lease.blob(&digest).unwrap(), None);
}

#[test]
fn a_blob_of_another_content_than_expected_does_not_appear() {
    let Folder { store, temp: _temp } = folder();
    let lease = store.lease().unwrap();
    let expected = Digest::of(b"expected");
    let mut writer = lease.writer().unwrap();
    writer.write_all(b"something else").unwrap();
    assert!(writer.finish_as(&expected).unwrap_err().message.contains(expected.as_str()));
    assert_eq!(lease.blob(&expected).unwrap(), None);
    assert!(store.list().unwrap().is_empty());
    let mut writer = lease.writer().unwrap();
    writer.write_all(b"expected").unwrap();
    let path = writer.finish_as(&expected).unwrap();
    assert_eq!(lease.blob(&expected).unwrap(), Some(path));
}

#[test]
fn what_was_not_used_for_longest_goes_first_and_what_a_build_needs_never() {
    let Folder { store, temp: _temp } = folder();
    let digests: Vec<Digest> = {
        let lease = store.lease().unwrap();
        (0..5).map(|n| put(&lease, &[n; 100]).0).collect()
    };
    for (hours, digest) in digests.iter().enumerate() {
        used(&store, digest, HOUR * hours as u32);
    }
    let running = store.lease().unwrap();
    // The oldest; it is needed from now on, without having been used now.
    running.blob(&digests[4]).unwrap().unwrap();
    used(&store, &digests[4], HOUR * 100);
    let policy = Policy { max_size: 350, max_age: HOUR * 1_000 };
    let pruned = store.prune(&policy).unwrap();
    assert_eq!((pruned.kept, pruned.kept_bytes, pruned.removed, pruned.removed_bytes), (3, 300, 2, 200));
    let left: Vec<Digest> = store.list().unwrap().into_iter().map(|stored| stored.digest).collect();
    assert_eq!(left, [digests[0].clone(), digests[1].clone(), digests[4].clone()]);

    assert_eq!(store.prune(&Policy { max_size: 1_000, max_age: HOUR / 2 }).unwrap().removed, 1);
    drop(running);
    assert_eq!(store.prune(&Policy::NOTHING).unwrap().removed, 2);
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn nothing_stays_that_was_not_used_for_longer_than_what_went() {
    let Folder { store, temp: _temp } = folder();
    let digests: Vec<Digest> = {
        let lease = store.lease().unwrap();
        [100, 500, 100].into_iter().zip(0..).map(|(size, n)| put(&lease, &vec![n; size]).0).collect()
    };
    for (hours, digest) in digests.iter().enumerate() {
        used(&store, digest, HOUR * hours as u32);
    }
    let pruned = store.prune(&Policy { max_size: 350, max_age: HOUR * 1_000 }).unwrap();
    assert_eq!((pruned.kept, pruned.removed), (1, 2));
    assert_eq!(store.list().unwrap()[0].digest, digests[0]);
}

#[test]
fn layers_whose_blob_went_are_forgotten() {
    let Folder { store, temp: _temp } = folder();
    {
        let lease = store.lease().unwrap();
        let (digest, _) = put(&lease, b"layer");
        lease.remember("key", &record(&digest, 5)).unwrap();
        lease.remember("nowhere", &record(&Digest::of(b"never made"), 5)).unwrap();
        fs::write(store.folder("layers").join("broken"), b"{").unwrap();
        assert_eq!(lease.layer("broken").unwrap(), None);
    }
    store.prune(&Policy::default()).unwrap();
    let keys = || fs::read_dir(store.folder("layers")).unwrap().count();
    assert_eq!(keys(), 1);
    store.prune(&Policy::NOTHING).unwrap();
    assert_eq!(keys(), 0);
}

#[test]
fn the_lease_of_a_dead_build_holds_nothing_and_what_it_wrote_goes() {
    let Folder { store, temp: _temp } = folder();
    let lease = store.lease().unwrap();
    let (_, path) = put(&lease, b"layer");
    let temp = lease.temp();
    fs::write(temp.join("half"), b"lay").unwrap();
    // As a kill leaves it: the files are there, the lock is not.
    let name = temp.file_name().unwrap().to_owned();
    let copy = fs::read(store.folder("leases").join(&name)).unwrap();
    drop(lease);
    fs::write(store.folder("leases").join(&name), copy).unwrap();
    fs::create_dir_all(&temp).unwrap();
    fs::write(temp.join("half"), b"lay").unwrap();

    assert_eq!(store.prune(&Policy::NOTHING).unwrap().removed, 1);
    assert!(!path.exists() && !temp.exists() && !store.folder("leases").join(&name).exists());
}

#[test]
fn verifying_removes_what_is_damaged_but_not_under_a_build() {
    let Folder { store, temp: _temp } = folder();
    let (good, bad) = {
        let lease = store.lease().unwrap();
        (put(&lease, b"good").0, put(&lease, b"bad"))
    };
    fs::remove_file(&bad.1).unwrap();
    fs::write(&bad.1, b"dab").unwrap();
    let lease = store.lease().unwrap();
    assert_eq!(lease.blob(&bad.0).unwrap(), None);
    let verified = store.verify().unwrap();
    assert_eq!((verified.whole, verified.in_use, verified.removed), (1, vec![bad.0.clone()], vec![]));
    drop(lease);
    assert_eq!(store.verify().unwrap().removed, [bad.0]);
    let left = store.list().unwrap();
    assert!(left.len() == 1 && left[0].digest == good);
}

#[test]
fn pruning_at_times_is_not_done_at_others() {
    let Folder { store, temp: _temp } = folder();
    assert!(store.prune_at_times(&Policy::NOTHING, HOUR).unwrap().is_some());
    assert!(store.prune_at_times(&Policy::NOTHING, HOUR).unwrap().is_none());
    assert!(store.prune_at_times(&Policy::NOTHING, Duration::ZERO).unwrap().is_some());
}

#[test]
fn the_usual_folder_is_absolute() {
    let dir = |set: &[(&str, &str)]| {
        Store::usual_dir(|name| set.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned()))
    };
    let all = [("TESTFLEET_STORE", "/s"), ("XDG_CACHE_HOME", "/c"), ("HOME", "/h")];
    assert_eq!(dir(&all).unwrap(), PathBuf::from("/s"));
    assert_eq!(dir(&all[1..]).unwrap(), PathBuf::from("/c/testfleet"));
    assert_eq!(dir(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]).unwrap(), PathBuf::from("/h/.cache/testfleet"));
    assert!(dir(&[("HOME", "")]).unwrap_err().hint.unwrap().contains("store"));
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    let failure = Store::open(Path::new("/dev/null/store")).unwrap_err();
    assert!(failure.message.contains("/dev/null/store") && failure.hint.is_some(), "{failure}");
}
