//! The journal: a header line, then one event per line, as JSON.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use testfleet_protocol::event::RunEvent;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};

/// First line of a journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    /// `testfleet`: what kind of file this is.
    journal: String,
    /// [`VERSION`] of the events.
    version: u32,
}

const KIND: &str = "testfleet";

/// Appends events to a journal.
#[derive(Debug)]
pub struct JournalWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl JournalWriter {
    /// Starts a new journal, with its folder if need be.
    ///
    /// # Errors
    /// [`FailureCode::Io`]
    pub fn create(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Failure::io("create the journal", path, &error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = BufWriter::with_capacity(64 << 10, File::create(path).map_err(failed)?);
        let mut writer = Self { path: path.to_owned(), file };
        writer.line(&Header { journal: KIND.to_owned(), version: VERSION })?;
        Ok(writer)
    }

    /// Adds an event. It is in the file after the next [`Self::flush`].
    ///
    /// # Errors
    /// [`FailureCode::Io`]
    pub fn append(&mut self, event: &RunEvent) -> Result<()> {
        self.line(event)
    }

    /// Hands everything to the operating system, so that it outlives this process.
    ///
    /// # Errors
    /// [`FailureCode::Io`]
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|error| Failure::io("write the journal", &self.path, &error))
    }

    /// Flushes and waits until it is on the disk.
    ///
    /// # Errors
    /// [`FailureCode::Io`]
    pub fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.file.get_ref().sync_all().map_err(|error| Failure::io("store the journal", &self.path, &error))
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.file, value)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|error| Failure::io("write the journal", &self.path, &error))
    }
}

/// The events of a journal. A torn last line, as a crash leaves it, is left out with a notice in the log.
///
/// # Errors
/// [`FailureCode::Io`]; [`FailureCode::JournalBroken`] when it is no journal or a line before the last is damaged;
/// [`FailureCode::ProtocolVersion`] when another version wrote it.
pub fn read_journal(path: &Path) -> Result<Vec<RunEvent>> {
    let bytes = std::fs::read(path).map_err(|error| Failure::io("read the journal", path, &error))?;
    parse_journal(path, &bytes)
}

/// [`read_journal`] of bytes; `path` is for messages.
///
/// # Errors
/// As for [`read_journal`].
pub(crate) fn parse_journal(path: &Path, bytes: &[u8]) -> Result<Vec<RunEvent>> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let header = lines.next().and_then(|line| serde_json::from_slice::<Header>(line).ok());
    match header {
        Some(header) if header.journal == KIND && header.version == VERSION => {}
        Some(header) if header.journal == KIND => {
            return Err(Failure::new(
                FailureCode::ProtocolVersion,
                format!("failed to read the journal {}", path.display()),
            )
            .cause_text(format!("it has version {}, this Testfleet reads version {VERSION}", header.version))
            .hint("read it with the Testfleet version that wrote it, or run again"));
        }
        _ => return Err(broken(path, 1, "it does not begin as a journal does")),
    }
    let mut events = Vec::new();
    for (index, line) in lines.enumerate() {
        if !line.ends_with(b"\n") {
            tracing::warn!(journal = %path.display(), bytes = line.len(), "left out a torn last line");
            break;
        }
        events.push(serde_json::from_slice(line).map_err(|error| broken(path, index + 2, &error.to_string()))?);
    }
    Ok(events)
}

fn broken(path: &Path, line: usize, why: &str) -> Failure {
    Failure::new(FailureCode::JournalBroken, format!("failed to read the journal {}", path.display()))
        .cause_text(format!("line {line}: {why}"))
        .hint("name the journal of another run, or run again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<RunEvent> {
        (0..3).map(|at_ms| RunEvent::CancelRequested { at_ms }).collect()
    }

    fn written(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("runs/one/journal.jsonl");
        let mut writer = JournalWriter::create(&path).unwrap();
        events().iter().for_each(|event| writer.append(event).unwrap());
        writer.finish().unwrap();
        path
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_journal(&written(&folder)).unwrap(), events());
    }

    #[test]
    fn flushed_events_are_in_the_file_though_the_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut writer = JournalWriter::create(&path).unwrap();
        writer.append(&events()[0]).unwrap();
        writer.flush().unwrap();
        assert_eq!(read_journal(&path).unwrap(), events()[..1]);
    }

    #[test]
    fn what_was_written_before_there_were_slices_is_read() {
        let text = concat!(
            "{\"journal\":\"testfleet\",\"version\":1}\n",
            r#"{"type":"runStarted","run":"r","protocol":1,"plan":"p","workers":2,"units":1,"tests":1,"atMs":1}"#,
            "\n",
            r#"{"type":"testStarted","test":{"task":":test","class":"A","method":"a()"},"unit":"u1","worker":1,"attempt":1,"atMs":2}"#,
            "\n",
            r#"{"type":"testFinished","test":{"task":":test","class":"A","method":"a()"},"worker":1,"attempt":1,"finished":{"outcome":"passed","startedAtMs":2,"durationUs":3}}"#,
            "\n",
        );
        let events = parse_journal(Path::new("old"), text.as_bytes()).unwrap();
        assert!(matches!(events[0], RunEvent::RunStarted { reused: 0, .. }));
        assert!(matches!(events[1], RunEvent::TestStarted { slice: None, .. }));
        assert!(matches!(events[2], RunEvent::TestFinished { slice: None, .. }));
        let again = serde_json::to_string(&events[2]).unwrap();
        assert!(text.contains(&again), "{again}");
    }

    #[test]
    fn a_torn_last_line_is_cut_wherever_it_tore() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder);
        let whole = std::fs::read(&path).unwrap();
        let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for end in last..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(read_journal(&path).unwrap(), events()[..2], "cut at {end}");
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder);
        let text = std::fs::read_to_string(&path).unwrap().replacen("\"atMs\":1", "\"atMs\":!", 1);
        std::fs::write(&path, text).unwrap();
        let failure = read_journal(&path).unwrap_err();
        assert_eq!(failure.code, FailureCode::JournalBroken);
        assert!(failure.causes[0].starts_with("line 3: "), "{failure}");
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        std::fs::write(&path, "{\"journal\":\"testfleet\",\"version\":7}\n").unwrap();
        let failure = read_journal(&path).unwrap_err();
        assert_eq!(failure.code, FailureCode::ProtocolVersion);
        assert!(failure.causes[0].contains("version 7"), "{failure}");
    }

    #[test]
    fn another_file_is_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        for text in ["", "hello\n", "{}\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_journal(&path).unwrap_err().code, FailureCode::JournalBroken);
        }
    }
}
