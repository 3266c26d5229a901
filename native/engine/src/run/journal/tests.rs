use super::*;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use testfleet_protocol::FailureCode;
use testfleet_protocol::event::RunEvent;

fn of() -> JournalOf {
    JournalOf { run: "r1".into(), plan: "00".into(), bundle: "11".into(), ..JournalOf::default() }
}

fn events(count: u64) -> Vec<RunEvent> {
    (0..count).map(|at_ms| RunEvent::CancelRequested { at_ms }).collect()
}

/// A journal without marks, and where each of its lines ends.
fn unmarked(count: u64) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let header = Header { journal: KIND.into(), format: FORMAT, version: 1, of: of() };
    line::append(&header, &mut bytes).unwrap();
    let mut ends = vec![bytes.len()];
    for event in events(count) {
        line::append(&event, &mut bytes).unwrap();
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn wait_for(writer: &JournalWriter, flushed: u64) {
    let mut on_disk = writer.on_disk();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    while on_disk.now() < flushed {
        runtime.block_on(on_disk.more()).unwrap();
    }
}

/// Writes events in batches, each on the disk before the next.
fn written(folder: &tempfile::TempDir, batches: &[&[RunEvent]]) -> PathBuf {
    let path = folder.path().join("runs/one/journal.jsonl");
    let mut writer = JournalWriter::create(&path, &of()).unwrap();
    for batch in batches {
        batch.iter().for_each(|event| writer.append(event).unwrap());
        let flushed = writer.flush().unwrap();
        wait_for(&writer, flushed);
    }
    writer.finish().unwrap();
    path
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let all = events(5);
    let recorded = read_journal(&written(&folder, &[&all[..2], &all[2..]])).unwrap();
    assert_eq!((recorded.of, recorded.events, recorded.torn_bytes), (of(), all, 0));
}

#[test]
fn a_file_beside_the_journal_is_waited_for_though_there_is_no_new_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let mut writer = JournalWriter::create(&path, &of()).unwrap();
    let first = writer.flush().unwrap();
    wait_for(&writer, first);
    writer.with_file(std::fs::File::create(folder.path().join("piece")).unwrap());
    let flushed = writer.flush().unwrap();
    assert!(flushed > first);
    wait_for(&writer, flushed);
    for place in ["", "piece", "gone"] {
        writer.with_place(folder.path().join(place));
    }
    let placed = writer.flush().unwrap();
    assert!(placed > flushed);
    wait_for(&writer, placed);
    writer.append(&events(1)[0]).unwrap();
    writer.finish().unwrap();
    assert_eq!(read_journal(&path).unwrap().events, events(1));
}

#[test]
fn flushed_events_are_in_the_file_though_the_writer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let mut writer = JournalWriter::create(&path, &of()).unwrap();
    writer.append(&events(1)[0]).unwrap();
    writer.flush().unwrap();
    assert_eq!(read_events(&path).unwrap(), events(1));
}

#[test]
fn a_torn_end_is_cut_wherever_it_tore_and_the_journal_goes_on_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let (whole, _) = unmarked(3);
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for end in last..whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        let recorded = read_journal(&path).unwrap();
        assert_eq!((&recorded.events[..], recorded.torn_bytes), (&events(2)[..], (end - last) as u64), "cut at {end}");
        let mut writer = JournalWriter::go_on(&path, &recorded).unwrap();
        writer.append(&events(3)[2]).unwrap();
        writer.finish().unwrap();
        assert_eq!(read_journal(&path).unwrap().events, events(3));
    }
}

#[test]
fn who_goes_on_from_an_earlier_event_forgets_the_later_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, &[&events(9)]);
    for kept in [4, 0] {
        let mut recorded = read_journal(&path).unwrap();
        recorded.truncate(kept);
        let mut writer = JournalWriter::go_on(&path, &recorded).unwrap();
        writer.append(&RunEvent::RunResumed { epoch: 2, at_ms: 77 }).unwrap();
        writer.finish().unwrap();
        let again = read_journal(&path).unwrap();
        assert_eq!(again.events[..kept], events(9)[..kept]);
        assert_eq!(again.events[kept..], [RunEvent::RunResumed { epoch: 2, at_ms: 77 }]);
    }
}

#[test]
fn damage_where_it_was_safe_is_an_error_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let all = events(4);
    let path = written(&folder, &[&all[..2], &all[2..]]);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().any(|line| line.contains("syncedLines\":3")), "{text}");
    std::fs::write(&path, text.replacen("\"atMs\":1", "\"atMs\":8", 1)).unwrap();
    let failure = read_journal(&path).unwrap_err();
    assert_eq!(failure.code, FailureCode::JournalBroken);
    assert!(failure.causes[0].starts_with("line 3: "), "{failure}");
    std::fs::write(&path, text.replacen("\"atMs\":2", "\"atMs\":8", 1)).unwrap();
    assert_eq!(read_journal(&path).unwrap().events, events(2), "what no mark covers is cut");
}

#[test]
fn another_version_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    for text in [
        "{\"journal\":\"testfleet\",\"version\":1}\n",
        "12345678 {\"journal\":\"testfleet\",\"format\":2,\"version\":7}\n",
    ] {
        std::fs::write(&path, text).unwrap();
        let failure = read_journal(&path).unwrap_err();
        assert_eq!(failure.code, FailureCode::ProtocolVersion);
        assert!(failure.causes[0].contains("version"), "{failure}");
    }
}

#[test]
fn another_file_is_no_journal() {
    let path = Path::new("some");
    let damaged =
        "12345678 {\"journal\":\"testfleet\",\"format\":2,\"version\":1,\"run\":\"r\",\"plan\":\"\",\"bundle\":\"\"}\n";
    for text in ["", "hello\n", "{}\n", damaged] {
        assert_eq!(parse_journal(path, text.as_bytes()).unwrap_err().code, FailureCode::JournalBroken, "{text}");
    }
}

proptest! {
    #[test]
    fn a_damaged_byte_loses_nothing_before_it(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let (mut bytes, ends) = unmarked(20);
        let begin = ends[0];
        let at = begin + at.index(bytes.len() - begin);
        let before = ends.iter().filter(|end| **end <= at).count() - 1;
        let same = bytes[at] == to;
        bytes[at] = to;
        let recorded = parse_journal(Path::new("some"), &bytes).unwrap();
        prop_assert_eq!(&recorded.events[..before], &events(20)[..before]);
        prop_assert!(same || recorded.events.len() <= before + 1);
        prop_assert!(recorded.events.len() == 20 || recorded.torn_bytes > 0);
    }
}
