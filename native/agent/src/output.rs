//! What tests write, kept within bounds: of each test and stream the beginning and the end travel as output, and when that
//! is not all, the whole as a file.
//!
//! It is cut here, in the agent. The harness must stay small, and what it would hold back is lost when its JVM dies;
//! the coordinator would have to be sent everything first, with the results of other tests waiting behind. Here
//! nothing of it is ever in memory beyond its two ends, and the file waits on this worker's disk until there is nothing
//! better to send.

use crate::text::{begun_character, pieces};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use testfleet_protocol::agent::{AgentMessage, FileOf};
use testfleet_protocol::plan::UnitId;
use testfleet_protocol::run_options::OutputLimits;
use testfleet_protocol::test::{Stream, TaskPath, TestName};

/// Whose output it is: unit and test as far as they are known.
type Key = (Option<UnitId>, Option<TestName>, Stream);

/// The output of one JVM.
#[derive(Debug)]
pub(crate) struct Outputs {
    limits: OutputLimits,
    task: TaskPath,
    folder: PathBuf,
    open: HashMap<Key, Kept>,
    /// The JVM's number and how many files it has; they name files.
    jvm: u32,
    files: u64,
}

/// What is said when something has ended: the rest of its output, and files that are complete.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    pub(crate) messages: Vec<AgentMessage>,
    pub(crate) files: Vec<(FileOf, PathBuf)>,
}

impl Outputs {
    /// `folder` is where files are made.
    pub(crate) fn new(limits: OutputLimits, task: TaskPath, folder: &Path, jvm: u32) -> Self {
        Self { limits, task, folder: folder.to_owned(), open: HashMap::new(), jvm, files: 0 }
    }

    /// Takes what was written, and returns what is passed on at once.
    pub(crate) fn take(
        &mut self,
        unit: Option<UnitId>,
        test: Option<TestName>,
        stream: Stream,
        bytes: &[u8],
    ) -> Vec<AgentMessage> {
        let kept = self.open.entry((unit.clone(), test.clone(), stream)).or_default();
        let now = kept.push(bytes, &self.limits, || {
            self.files += 1;
            self.folder.join(format!("output{}-{}", self.jvm, self.files))
        });
        said(&unit, &test, stream, now)
    }

    /// A test has ended.
    pub(crate) fn test_ended(&mut self, unit: &UnitId, test: &TestName) -> Rest {
        self.end(|(of_unit, of_test, _)| of_unit.as_ref() == Some(unit) && of_test.as_ref() == Some(test))
    }

    /// A unit has ended, and all tests of it.
    pub(crate) fn unit_ended(&mut self, unit: &UnitId) -> Rest {
        self.end(|(of_unit, _, _)| of_unit.as_ref() == Some(unit))
    }

    /// The JVM has ended.
    pub(crate) fn all_ended(&mut self) -> Rest {
        self.end(|_| true)
    }

    fn end(&mut self, ended: impl Fn(&Key) -> bool) -> Rest {
        let mut keys: Vec<_> = self.open.keys().filter(|key| ended(key)).cloned().collect();
        keys.sort_by(|a, b| (&a.0.as_ref().map(|unit| &unit.0), &a.1).cmp(&(&b.0.as_ref().map(|unit| &unit.0), &b.1)));
        let mut rest = Rest::default();
        for key in keys {
            let Some(kept) = self.open.remove(&key) else { continue };
            let (bytes, file) = kept.end(&self.limits);
            let (unit, test, stream) = key;
            rest.messages.extend(said(&unit, &test, stream, &bytes));
            rest.files.extend(file.map(|path| (FileOf::Output { task: self.task.clone(), test, stream }, path)));
        }
        rest
    }
}

fn said(unit: &Option<UnitId>, test: &Option<TestName>, stream: Stream, bytes: &[u8]) -> Vec<AgentMessage> {
    let text = String::from_utf8_lossy(bytes);
    let message =
        |piece: &str| AgentMessage::Output { unit: unit.clone(), test: test.clone(), stream, text: piece.to_owned() };
    pieces(&text).map(message).collect()
}

/// What a file that holds less than everything was limited by.
const RAISE: &str = "testfleet { outputLimit }";

/// One stream of one test.
#[derive(Debug, Default)]
struct Kept {
    /// Bytes that were written.
    total: u64,
    /// Kept until it is clear that there will be no file.
    head: Vec<u8>,
    /// Bytes that were passed on.
    passed: u64,
    tail: Vec<u8>,
    whole: Whole,
}

/// The file with everything.
#[derive(Debug, Default)]
enum Whole {
    #[default]
    NotNeeded,
    Written {
        file: BufWriter<File>,
        path: PathBuf,
        bytes: u64,
    },
    /// It could not be written, for this reason.
    Failed(String),
}

impl Kept {
    /// Returns the part of `bytes` that belongs to the head.
    fn push<'a>(&mut self, bytes: &'a [u8], limits: &OutputLimits, path: impl FnOnce() -> PathBuf) -> &'a [u8] {
        let (now, later) = bytes.split_at(self.of_head(bytes, limits));
        self.total += bytes.len() as u64;
        self.passed += now.len() as u64;
        if self.fits(limits) {
            if limits.file_bytes > 0 {
                self.head.extend_from_slice(now);
            }
            self.tail.extend_from_slice(later);
            return now;
        }
        if let Whole::NotNeeded = self.whole {
            self.whole = Whole::create(path());
            let (head, tail) = (std::mem::take(&mut self.head), std::mem::take(&mut self.tail));
            self.whole.write(&head, limits);
            self.whole.write(&tail, limits);
            self.tail = tail;
        }
        self.whole.write(bytes, limits);
        let kept = limits.tail_bytes as usize;
        // A large piece replaces all; otherwise twice the limit before anything moves: each byte is moved once on average.
        if later.len() >= kept {
            self.tail.clear();
        }
        self.tail.extend_from_slice(&later[later.len().saturating_sub(kept)..]);
        if self.tail.len() > 2 * kept {
            self.tail.drain(..self.tail.len() - kept);
        }
        now
    }

    /// How much of `bytes` belongs to the head, cut between characters. Once something did not, nothing more does.
    fn of_head(&self, bytes: &[u8], limits: &OutputLimits) -> usize {
        let room = limits.head_bytes.saturating_sub(self.passed) as usize;
        if self.passed < self.total || bytes.len() <= room {
            return if self.passed < self.total { 0 } else { bytes.len() };
        }
        room - begun_character(&bytes[..room])
    }

    fn fits(&self, limits: &OutputLimits) -> bool {
        self.total - self.passed <= limits.tail_bytes
    }

    /// What is left to be passed on, and the file.
    fn end(mut self, limits: &OutputLimits) -> (Vec<u8>, Option<PathBuf>) {
        if self.fits(limits) {
            return (self.tail, None);
        }
        let surplus = self.tail.len().saturating_sub(limits.tail_bytes as usize);
        let continues = self.tail[surplus..].iter().take(3).take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000);
        let start = surplus + continues.count();
        let left_out = self.total - self.passed - (self.tail.len() - start) as u64;
        let (what, file) = std::mem::take(&mut self.whole).end(self.total);
        let mut rest = format!("\n[Testfleet: {left_out} bytes left out here; {what}]\n").into_bytes();
        rest.extend_from_slice(&self.tail[start..]);
        (rest, file)
    }
}

impl Whole {
    fn create(path: PathBuf) -> Self {
        match File::create_new(&path) {
            Ok(file) => Self::Written { file: BufWriter::new(file), path, bytes: 0 },
            Err(error) => Self::Failed(error.to_string()),
        }
    }

    /// Writes at once, on the thread that called: the page cache takes it faster than a JVM writes.
    fn write(&mut self, new: &[u8], limits: &OutputLimits) {
        let Self::Written { file, path, bytes } = self else { return };
        let room = limits.file_bytes.saturating_sub(*bytes).min(new.len() as u64) as usize;
        *bytes += room as u64;
        if let Err(error) = file.write_all(&new[..room]) {
            let path = std::mem::take(path);
            *self = Self::Failed(error.to_string());
            // A disk that is full has better use for the room.
            let _ = std::fs::remove_file(path);
        }
    }

    /// What it holds in words, and where.
    fn end(self, total: u64) -> (String, Option<PathBuf>) {
        let (file, path, bytes) = match self {
            Self::NotNeeded => return ("the whole is not kept".to_owned(), None),
            Self::Failed(why) => return (format!("the whole could not be kept: {why}"), None),
            Self::Written { file, path, bytes } => (file, path, bytes),
        };
        match file.into_inner().map_err(io::Error::from) {
            Ok(_) if bytes == 0 => ("the whole is not kept".to_owned(), Some(path).filter(|path| remove(path))),
            Ok(_) if bytes < total => {
                (format!("its first {bytes} bytes are in a file of the run, {RAISE} keeps more"), Some(path))
            }
            Ok(_) => ("the whole is in a file of the run".to_owned(), Some(path)),
            Err(error) => {
                remove(&path);
                (format!("the whole could not be kept: {error}"), None)
            }
        }
    }
}

/// Removes a file that nobody wants; always `false`.
fn remove(path: &Path) -> bool {
    // It goes with the worker's folder at last.
    let _ = std::fs::remove_file(path);
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(head_bytes: u64, tail_bytes: u64, file_bytes: u64) -> OutputLimits {
        OutputLimits { head_bytes, tail_bytes, file_bytes }
    }

    fn test(method: &str) -> TestName {
        TestName { class: "A".into(), method: method.into() }
    }

    fn text(messages: &[AgentMessage]) -> String {
        let texts = messages.iter().map(|message| match message {
            AgentMessage::Output { text, .. } => text.as_str(),
            other => panic!("{other:?}"),
        });
        texts.collect()
    }

    /// What a test that wrote these chunks is told with, and what its file holds.
    fn written(limits: OutputLimits, chunks: &[&[u8]]) -> (String, Option<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::new(limits, TaskPath(":test".into()), folder.path(), 1);
        let unit = UnitId("u1".into());
        let mut said = String::new();
        for chunk in chunks {
            said += &text(&outputs.take(Some(unit.clone()), Some(test("a()")), Stream::Stdout, chunk));
        }
        let rest = outputs.test_ended(&unit, &test("a()"));
        assert!(outputs.open.is_empty());
        let file = rest.files.first().map(|(_, path)| std::fs::read(path).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), rest.files.len());
        (said + &text(&rest.messages), file)
    }

    #[test]
    fn little_output_is_told_whole_and_has_no_file() {
        assert_eq!(written(limits(4, 4, 100), &[b"ab", b"cdef", b"gh"]), ("abcdefgh".to_owned(), None));
    }

    #[test]
    fn much_output_is_told_by_its_ends_and_is_in_a_file() {
        let (told, file) = written(limits(4, 4, 100), &[b"abcdefgh", b"ijkl"]);
        assert_eq!(told, "abcd\n[Testfleet: 4 bytes left out here; the whole is in a file of the run]\nijkl");
        assert_eq!(file.unwrap(), b"abcdefghijkl");
    }

    #[test]
    fn the_file_has_its_limit_too() {
        let (told, file) = written(limits(2, 2, 6), &[b"abcdefgh", b"ijkl"]);
        assert!(
            told.contains("its first 6 bytes are in a file of the run, testfleet { outputLimit } keeps more]"),
            "{told}"
        );
        assert_eq!(file.unwrap(), b"abcdef");
        let (told, file) = written(limits(2, 2, 0), &[b"abcdefgh"]);
        assert!(told.contains("the whole is not kept") && file.is_none(), "{told}");
    }

    #[test]
    fn memory_stays_within_the_bound() {
        let mut kept = Kept::default();
        let limits = limits(1_000, 1_000, 0);
        let folder = tempfile::tempdir().unwrap();
        for size in [1, 500, 999, 1_000, 1_001, 5_000].into_iter().cycle().take(5_000) {
            kept.push(&vec![b'x'; size], &limits, || folder.path().join("f"));
            assert!(kept.head.len() + kept.tail.len() <= 3_000, "{}", kept.tail.len());
        }
    }

    #[test]
    fn a_folder_that_is_gone_costs_the_file_only() {
        let mut outputs = Outputs::new(limits(1, 1, 9), TaskPath(":test".into()), Path::new("/nowhere"), 1);
        outputs.take(None, None, Stream::Stderr, b"abcdef");
        let rest = outputs.all_ended();
        let told = text(&rest.messages);
        assert!(told.contains("could not be kept: No such file") && told.ends_with('f'), "{told}");
        assert!(rest.files.is_empty());
    }

    #[test]
    fn tests_streams_and_units_are_apart() {
        let folder = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::new(limits(0, 10, 10), TaskPath(":test".into()), folder.path(), 1);
        let unit = UnitId("u1".into());
        outputs.take(Some(unit.clone()), Some(test("a()")), Stream::Stdout, b"a");
        outputs.take(Some(unit.clone()), Some(test("b()")), Stream::Stdout, b"b");
        outputs.take(Some(unit.clone()), None, Stream::Stdout, b"u");
        outputs.take(None, None, Stream::Stdout, b"n");
        assert_eq!(text(&outputs.test_ended(&unit, &test("a()")).messages), "a");
        assert_eq!(text(&outputs.unit_ended(&unit).messages), "ub");
        assert_eq!(text(&outputs.all_ended().messages), "n");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_uncounted(
            chunks in prop::collection::vec("[aä€😀]{0,9}", 0..30), head in 0u64..20, tail in 0u64..20,
        ) {
            let whole = chunks.concat();
            let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            let (told, file) = written(limits(head, tail, 1 << 20), &chunks);
            prop_assert!(!told.contains('\u{fffd}'), "{}", told);
            match told.split_once("\n[Testfleet: ") {
                None => prop_assert_eq!(&told, &whole),
                Some((first, rest)) => {
                    let (count, rest) = rest.split_once(' ').unwrap();
                    let last = rest.split_once("]\n").unwrap().1;
                    prop_assert!(whole.starts_with(first) && whole.ends_with(last));
                    prop_assert_eq!(first.len() + last.len() + count.parse::<usize>().unwrap(), whole.len());
                    prop_assert!(first.len() as u64 <= head && last.len() as u64 <= tail);
                    prop_assert_eq!(file.unwrap(), whole.as_bytes());
                }
            }
        }
    }
}
