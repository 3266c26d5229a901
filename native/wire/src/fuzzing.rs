//! What fuzzing calls: the readers of foreign bytes, each as one function. See `native/fuzz`.
//!
//! There for `cfg(fuzzing)`, which cargo-fuzz sets, and for tests, which read the seeds of the fuzz targets.

use crate::{Credentials, Identity, greeting, record};

/// Reads credentials as an agent does, length first, and makes an identity of them.
pub fn credentials(bytes: &[u8]) {
    let Some((prefix, json)) = bytes.split_first_chunk::<4>() else { return };
    if Credentials::length(*prefix).is_err() {
        return;
    }
    let Ok(credentials) = Credentials::read(json) else { return };
    let _ = Identity::new(&credentials);
    // What fits can be handed on; PEM and names of any length may not.
    if let Ok(frame) = credentials.to_frame() {
        assert!(Credentials::read(&frame[4..]).expect("what was written is read") == credentials);
    }
}

/// Reads a record of the spool. Whatever is taken for one is what a message would be written as.
pub fn spool(bytes: &[u8]) {
    let Some((number, record)) = bytes.split_first_chunk::<8>() else { return };
    let seq = u64::from_be_bytes(*number);
    if let Ok(message) = record::read(seq, record) {
        let mut written = Vec::new();
        record::append(seq, message, &mut written).expect("it fits");
        assert_eq!(written, record);
    }
}

/// Reads a greeting.
pub fn greeting(bytes: &[u8]) {
    let Some((prefix, rest)) = bytes.split_first_chunk() else { return };
    if greeting::read_prefix(prefix) == greeting::Prefix::Same
        && let Some((rest, _)) = rest.split_first_chunk()
    {
        let said = greeting::read_rest(rest, &[7; 32]);
        assert!(said.is_none() || rest.ends_with(&[7; 32]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{TOKEN, Token};
    use crate::greeting::{Said, Word};
    use crate::{Authority, Peer, Validity};
    use std::path::Path;

    type Reader = fn(&[u8]);

    #[test]
    fn all_seeds_are_read_or_refused() {
        let targets: [(&str, Reader); 3] = [("credentials", credentials), ("spool", spool), ("greeting", greeting)];
        for (target, read) in targets {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
            let seeds: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|seed| seed.unwrap().path()).collect();
            assert!(!seeds.is_empty(), "{}", folder.display());
            seeds.iter().for_each(|seed| read(&std::fs::read(seed).unwrap()));
        }
    }

    #[test]
    fn the_seeds_are_what_this_version_writes() {
        let seed =
            |name: &str| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name)).unwrap();
        let mut record = 7_u64.to_be_bytes().to_vec();
        record::append(7, b"a message", &mut record).unwrap();
        assert_eq!(seed("spool/one"), record);
        let said = Said { word: Word::Hello, worker: 3, life: 2 };
        assert_eq!(seed("greeting/hello"), *greeting::write(said, &[7; TOKEN]));
        let credentials = Credentials::read(&seed("credentials/expired")[4..]).unwrap();
        assert_eq!(credentials.peer(), Peer::Worker { worker: 3 });
        assert!(Identity::new(&credentials).is_ok());
    }

    /// Writes the seeds anew, after a change of what they hold: `cargo test ... write_the_seeds -- --ignored`. The
    /// credentials are of a run that never was, and expired when they were made.
    #[test]
    #[ignore = "it writes into the sources"]
    fn write_the_seeds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let mut record = 7_u64.to_be_bytes().to_vec();
        record::append(7, b"a message", &mut record).unwrap();
        write("spool/one", &record);
        write("greeting/hello", &greeting::write(Said { word: Word::Hello, worker: 3, life: 2 }, &[7; TOKEN]));
        let past = std::time::UNIX_EPOCH;
        let authority = Authority::new("seed", Validity { from: past, until: past }).unwrap();
        let mut credentials = authority.issue(Peer::Worker { worker: 3 }).unwrap();
        credentials.token = Token::new([7; TOKEN]);
        write("credentials/expired", &credentials.to_frame().unwrap());
    }
}
