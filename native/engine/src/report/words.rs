//! Numbers, durations, times and foreign text, worded for people.

use std::borrow::Cow;
use std::path::Path;
use testfleet_protocol::agent::Usage;
use testfleet_protocol::plan::{Lock, Unit};
use testfleet_protocol::test::Verdict;

/// `1 test`, `2,345 tests`.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

/// `11,501`
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `152.3 MB`, in powers of ten.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1_000_000.0)
}

/// `12 ms`, `4.2 s`, `2 min 3 s`, `1 h 5 min`.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..59_950 => format!("{:.1} s", ms as f64 / 1_000.0),
        59_950..3_599_500 => {
            let seconds = (ms + 500) / 1_000;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
        _ => {
            let minutes = ms.saturating_add(30_000) / 60_000;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// As [`duration`], without fractions of a second.
pub(super) fn whole_seconds(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    if seconds < 60 { format!("{seconds} s") } else { duration(seconds.saturating_mul(1_000)) }
}

/// As [`duration`], from microseconds; what took less than half a millisecond is `<1 ms`.
pub(super) fn duration_us(us: u64) -> String {
    if us < 500 { "<1 ms".to_owned() } else { duration(us.saturating_add(500) / 1_000) }
}

/// ISO 8601 in UTC with seconds and no zone, as JUnit XML has it: `2026-11-21T10:48:33`.
pub(super) fn utc(at_ms: u64) -> String {
    let millis = i64::try_from(at_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// `up to 412 MB of 1,024 MB of memory, 12.3 s of processor time, kept waiting for 1.2 s`
pub(crate) fn usage(usage: &Usage) -> String {
    let megabytes = |bytes: u64| format!("{} MB", thousands(bytes.div_ceil(1 << 20)));
    let mut said = Vec::new();
    if let Some(peak) = usage.peak_memory_bytes {
        let of = usage.memory_limit_bytes.map(|limit| format!(" of {}", megabytes(limit))).unwrap_or_default();
        said.push(format!("up to {}{of} of memory", megabytes(peak)));
    }
    if let Some(cpu) = usage.cpu_us {
        said.push(format!("{} of processor time", duration(cpu / 1_000)));
    }
    if let Some(throttled) = usage.throttled_us.filter(|throttled| *throttled >= 1_000) {
        said.push(format!("kept waiting by the limit of that for {}", duration(throttled / 1_000)));
    }
    if let Some(kills) = usage.oom_kills.filter(|kills| *kills > 0) {
        said.push(format!("{} killed for lack of memory", counted(kills, "process was", "processes were")));
    }
    if said.is_empty() { "what nothing tells of".to_owned() } else { said.join(", ") }
}

/// The word for a verdict, lower case.
pub(crate) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Reused => "reused",
        Verdict::Skipped => "skipped",
        Verdict::Flaky => "flaky",
        Verdict::Failed => "failed",
        Verdict::Errored => "errored",
        Verdict::Lost => "lost",
    }
}

/// `quarantined: it sulks on Mondays, until 2026-12-31`
pub(super) fn quarantine_word(reason: &str, until: Option<&str>) -> String {
    let until = until.map(|until| format!(", until {until}")).unwrap_or_default();
    let why = if reason.trim().is_empty() { String::new() } else { format!(": {}", reason.trim()) };
    first_line(&format!("quarantined{why}{until}"), 300)
}

/// `slice 2 of 5`, `slices 2 and 3 of 5`
pub(super) fn slices_word(numbers: impl IntoIterator<Item = u32>, of: u32) -> String {
    let numbers: Vec<_> = numbers.into_iter().map(|number| number.to_string()).collect();
    match numbers.as_slice() {
        [one] => format!("slice {one} of {of}"),
        [others @ .., last] => format!("slices {} and {last} of {of}", others.join(", ")),
        [] => format!("no slice of {of}"),
    }
}

/// What is special about a unit of the plan, for people; empty for most.
pub(super) fn unit_note(unit: &Unit) -> String {
    let mut notes = Vec::new();
    if let Some(slice) = unit.slice {
        let to = slice.invocations.to.map_or_else(|| "the end".to_owned(), |to| to.to_string());
        let of = slices_word([slice.number], slice.of);
        notes.push(format!("{of}, invocations {} to {to}", slice.invocations.from));
    }
    if unit.asked {
        notes.push("tests named by the framework".to_owned());
    }
    if unit.rank > 0 {
        notes.push(format!("rank {}", unit.rank));
    }
    notes.extend(unit.together.as_ref().map(|name| format!("together: {name}")));
    if unit.locks.iter().any(|lock| lock.resource == Lock::EVERYTHING) {
        notes.push("runs alone".to_owned());
    } else if !unit.locks.is_empty() {
        let lock = |lock: &Lock| {
            let shared = if lock.exclusive { "" } else { " (shared)" };
            format!("{}{shared}", lock.resource)
        };
        notes.push(format!("locks: {}", unit.locks.iter().map(lock).collect::<Vec<_>>().join(", ")));
    }
    first_line(&notes.join("; "), 300)
}

/// All verdicts, best first.
pub(super) const VERDICTS: [Verdict; 7] = [
    Verdict::Passed,
    Verdict::Reused,
    Verdict::Skipped,
    Verdict::Flaky,
    Verdict::Failed,
    Verdict::Errored,
    Verdict::Lost,
];

/// Foreign text that may be shown: terminal escape sequences are dropped, other control characters
/// and those that turn the direction of writing become U+FFFD, line ends become `\n`.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    clean.push('\n');
                }
            }
            '\u{1b}' if chars.peek() == Some(&'[') => {
                // A control sequence ends with its first byte in @..~ (ECMA-48, 5.4).
                chars.next();
                while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                chars.next_if(|c| matches!(c, '@'..='~'));
            }
            c if is_unprintable(c) => clean.push(char::REPLACEMENT_CHARACTER),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

fn is_unprintable(c: char) -> bool {
    let turns_direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || turns_direction
}

/// A `file:` URL that terminals make a link of. What is not unreserved (RFC 3986, 2.3) is escaped by its bytes, but for
/// a few characters that a path may have as they are and that no terminal takes for the end of a link.
pub(super) fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' | b'+' | b'=' => {
                url.push(char::from(byte));
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

/// The first line of foreign text that has something on it, of at most `max` characters.
pub(super) fn first_line(text: &str, max: usize) -> String {
    let clean = printable(text);
    let mut lines = clean.lines().map(str::trim_end).filter(|line| !line.trim().is_empty());
    let line = lines.next().unwrap_or_default();
    match line.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if lines.next().is_some() => format!("{line} …"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_grouped_and_nouns_agree() {
        assert_eq!(counted(1, "class", "classes"), "1 class");
        assert_eq!(counted(0, "class", "classes"), "0 classes");
        assert_eq!(counted(1_234_567, "test", "tests"), "1,234,567 tests");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(100_000), "100,000");
    }

    #[test]
    fn durations_round_without_reaching_the_next_unit() {
        let worded: Vec<_> =
            [0, 999, 1_000, 59_949, 59_950, 119_600, 3_599_499, 3_599_500, 7_500_000].map(duration).into();
        assert_eq!(
            worded,
            ["0 ms", "999 ms", "1.0 s", "59.9 s", "1 min 0 s", "2 min 0 s", "59 min 59 s", "1 h 0 min", "2 h 5 min"]
        );
        assert_eq!(whole_seconds(59_001), "1 min 0 s");
        assert_eq!(whole_seconds(1), "1 s");
        assert_eq!(duration_us(499), "<1 ms");
        assert_eq!(duration_us(500), "1 ms");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(utc(0), "1970-01-01T00:00:00");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00");
        assert_eq!(utc(1_795_258_113_999), "2026-11-21T10:48:33");
    }

    #[test]
    fn terminal_sequences_and_controls_do_not_survive() {
        assert_eq!(printable("\u{1b}[1;31mred\u{1b}[0m\u{0}\r\nnext\u{202e}x"), "red\u{fffd}\nnext\u{fffd}x");
        assert_eq!(first_line("\n  \none\ntwo", 10), "one …");
        assert_eq!(first_line("ääääää", 3), "äää…");
    }

    #[test]
    fn a_url_has_no_character_that_ends_a_link() {
        let plain = Path::new("/a-b/c_d.e~/job@2/index.html");
        assert_eq!(file_url(plain), "file:///a-b/c_d.e~/job@2/index.html");
        let odd = Path::new("/q s/100%/#1?/(ä)\u{1b}");
        assert_eq!(file_url(odd), "file:///q%20s/100%25/%231%3F/%28%C3%A4%29%1B");
    }

    proptest! {
        #[test]
        fn printable_text_is_printable(text in any::<String>()) {
            prop_assert!(!printable(&text).chars().any(is_unprintable));
        }
    }
}
