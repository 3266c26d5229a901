//! Answers of frameworks, kept by the content of everything that decides them: an unchanged project asks nothing.
//!
//! One file for each key, replaced as a whole. Refusals are not kept: what was in the way may be gone the next time.

use super::ask::Answer;
use crate::document;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// How many keys are kept; the ones that were used longest ago go first. A branch or two of a build with many modules.
const KEPT: usize = 400;

pub(crate) const DOCUMENT: document::Kind = document::Kind {
    what: "answers of test frameworks",
    broken: FailureCode::Io,
    hint: "nothing has to be done: the frameworks are asked again",
};

/// What is in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    /// [`VERSION`].
    pub(crate) protocol: u32,
    /// SHA-256 in hex of what decides the answers; the file's name, too.
    pub(crate) key: String,
    /// By class.
    pub(crate) answers: BTreeMap<String, Answer>,
}

/// The folder of the answers.
pub(crate) struct AnswerCache {
    folder: PathBuf,
}

impl AnswerCache {
    /// Below the folder of what may be deleted at any time.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("answers") }
    }

    fn file(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }

    /// The answers that are known for a key; none when there is no file.
    ///
    /// # Errors
    /// When the file is damaged or can't be read. It is gone then, as far as it can be removed; the caller goes on without it.
    pub(crate) fn load(&self, key: &str) -> Result<BTreeMap<String, Answer>> {
        let path = self.file(key);
        let kept = DOCUMENT.read::<Kept>(&path).and_then(|kept| match kept {
            Some(kept) if kept.key != key => {
                Err(DOCUMENT.failure(&path).cause_text(format!("it is of another key, {}", kept.key)))
            }
            other => Ok(other),
        });
        match kept {
            Ok(None) => Ok(BTreeMap::new()),
            Ok(Some(kept)) => {
                // So that it counts as used; where that fails it is forgotten a little early.
                let file = std::fs::File::options().append(true).open(&path);
                let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
                Ok(kept.answers)
            }
            Err(failure) => {
                // A file that can't be removed is told of again the next time.
                let _ = std::fs::remove_file(&path);
                Err(failure)
            }
        }
    }

    /// Keeps answers, and forgets the oldest files beyond [`KEPT`].
    ///
    /// # Errors
    /// `Io` when the folder can't be written.
    pub(crate) fn save(&self, key: &str, answers: &BTreeMap<String, Answer>) -> Result<()> {
        let found = answers.iter().filter(|(_, answer)| matches!(answer, Answer::Found { .. }));
        let answers = found.map(|(class, answer)| (class.clone(), answer.clone())).collect();
        let kept = Kept { protocol: VERSION, key: key.to_owned(), answers };
        document::write(&self.file(key), &document::bytes(&kept)?)?;
        self.forget_oldest()
    }

    fn forget_oldest(&self) -> Result<()> {
        let entries = std::fs::read_dir(&self.folder).map_err(|error| Failure::io("list", &self.folder, &error))?;
        let mut files: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        for (_, path) in files.iter().take(files.len().saturating_sub(KEPT)) {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Failure::io("remove", path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_protocol::test::{TestName, Thrown};

    fn answers() -> BTreeMap<String, Answer> {
        let tests = vec![TestName { class: "a.A".into(), method: "a()".into() }];
        let found = Answer::Found { engines: vec!["jqwik".into()], tests };
        let thrown = Thrown { kind: "X".into(), message: "no".into(), stack: String::new(), hint: None };
        [("a.A".to_owned(), found), ("a.B".to_owned(), Answer::Refused(thrown))].into()
    }

    #[test]
    fn answers_come_back_by_their_key_and_refusals_are_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = AnswerCache::new(folder.path());
        assert!(cache.load("k1").unwrap().is_empty());
        cache.save("k1", &answers()).unwrap();
        let loaded = cache.load("k1").unwrap();
        assert_eq!(loaded.keys().collect::<Vec<_>>(), ["a.A"]);
        assert_eq!(loaded["a.A"], answers()["a.A"]);
        assert!(cache.load("k2").unwrap().is_empty());
    }

    #[test]
    fn a_damaged_file_is_told_of_once_and_gone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = AnswerCache::new(folder.path());
        cache.save("k1", &answers()).unwrap();
        let whole = std::fs::read(cache.file("k1")).unwrap();
        let of_another_key = String::from_utf8(whole.clone()).unwrap().replace("\"k1\"", "\"k2\"").into_bytes();
        for damaged in [whole[..whole.len() / 2].to_vec(), Vec::new(), b"\xff\xfe".to_vec(), of_another_key] {
            std::fs::write(cache.file("k1"), damaged).unwrap();
            let failure = cache.load("k1").unwrap_err();
            assert!(failure.message.contains("answers of test frameworks"), "{failure}");
            assert!(cache.load("k1").unwrap().is_empty());
        }
    }

    #[test]
    fn what_was_used_longest_ago_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let cache = AnswerCache::new(folder.path());
        cache.save("old", &answers()).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH;
        std::fs::File::options().append(true).open(cache.file("old")).unwrap().set_modified(long_ago).unwrap();
        for n in 0..KEPT {
            std::fs::write(cache.file(&format!("k{n}")), "{}").unwrap();
        }
        cache.save("new", &answers()).unwrap();
        assert!(!cache.file("old").exists() && cache.file("new").exists());
        assert_eq!(std::fs::read_dir(folder.path().join("answers")).unwrap().count(), KEPT);
    }
}
