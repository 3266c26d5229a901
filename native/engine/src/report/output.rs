//! What tests write, kept within bounds: the beginning and the end of each stream.

use super::words::thousands;
use testfleet_protocol::test::{Stream, Thrown};

/// Kept of each stream of a class, from its beginning and from its end.
const EACH_END: usize = 1024 * 1024;
/// Kept of the last output of a test that is still running or ended badly.
const TEST_TAIL: usize = 8 * 1024;
/// What is kept of an exception's stack trace.
const STACK: usize = 64 * 1024;
/// How much smaller all of these are when [`Budget`] is used up.
const SCARCE: usize = 256;
/// Kept of the output and stack traces of a whole run before everything is cut short.
const WHOLE_RUN: usize = 128 * 1024 * 1024;

/// What may still be kept in this run before everything is cut short.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: WHOLE_RUN }
    }
}

impl Budget {
    fn limit(&self, normal: usize) -> usize {
        if self.left > 0 { normal } else { normal / SCARCE }
    }

    /// A text cut to what is kept of one that tells why a JVM ended.
    pub(super) fn kept(&mut self, text: &str) -> String {
        let mut kept = text.to_owned();
        shorten(&mut kept, self.limit(STACK));
        self.grown(0, kept.len());
        kept
    }

    fn grown(&mut self, before: usize, after: usize) {
        self.left = (self.left + before).saturating_sub(after).min(WHOLE_RUN);
    }
}

/// Text of which the beginning and the end are kept.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct HeadTail {
    head: String,
    tail: String,
    cut: u64,
}

impl HeadTail {
    fn push(&mut self, text: &str, head: usize, tail: usize) {
        let mut rest = text;
        if self.tail.is_empty() && self.cut == 0 {
            let taken = floor_boundary(rest, head.saturating_sub(self.head.len()));
            self.head.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
        self.tail.push_str(rest);
        // Twice the limit before anything moves: each byte is moved once on average.
        if self.tail.len() > 2 * tail {
            self.shorten_tail(tail);
        }
    }

    fn shorten_tail(&mut self, limit: usize) {
        let start = ceil_boundary(&self.tail, self.tail.len().saturating_sub(limit));
        self.cut += start as u64;
        self.tail.drain(..start);
    }

    fn kept(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// The text, with a line that says how much is missing where something is.
    pub(super) fn text(&self) -> String {
        if self.cut == 0 {
            return format!("{}{}", self.head, self.tail);
        }
        let gap = if self.head.is_empty() || self.head.ends_with('\n') { "" } else { "\n" };
        format!("{}{gap}[Testfleet: {} bytes cut here]\n{}", self.head, thousands(self.cut), self.tail)
    }
}

/// Both streams of a class.
#[derive(Debug, Default)]
pub(super) struct ClassOutput {
    pub(super) stdout: HeadTail,
    pub(super) stderr: HeadTail,
}

impl ClassOutput {
    pub(super) fn push(&mut self, stream: Stream, text: &str, budget: &mut Budget) {
        let to = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let before = to.kept();
        let limit = budget.limit(EACH_END);
        to.push(text, limit, limit);
        budget.grown(before, to.kept());
    }
}

/// The last output of a test, both streams as they came.
#[derive(Debug, Default)]
pub(super) struct TestTail(HeadTail);

impl TestTail {
    pub(super) fn push(&mut self, text: &str, budget: &mut Budget) {
        let before = self.0.kept();
        self.0.push(text, 0, budget.limit(TEST_TAIL));
        budget.grown(before, self.0.kept());
    }

    /// Gives back what it took.
    pub(super) fn release(self, budget: &mut Budget) {
        budget.grown(self.0.kept(), 0);
    }

    pub(super) fn text(&self) -> String {
        let mut shown = self.0.clone();
        if shown.kept() > TEST_TAIL {
            shown.shorten_tail(TEST_TAIL);
        }
        shown.text()
    }
}

/// Cuts what was thrown to what is kept: messages and traces can be of any size.
pub(super) fn bounded(mut thrown: Vec<Thrown>, budget: &mut Budget) -> Vec<Thrown> {
    for each in &mut thrown {
        let limit = budget.limit(STACK);
        shorten(&mut each.message, limit / 4);
        shorten(&mut each.stack, limit);
        budget.grown(0, each.message.len() + each.stack.len());
    }
    thrown
}

/// Keeps three quarters of `limit` from the beginning and one from the end, where the causes are.
pub(super) fn shorten(text: &mut String, limit: usize) {
    if text.len() <= limit {
        return;
    }
    let mut short = HeadTail::default();
    short.push(text, limit * 3 / 4, usize::MAX / 2);
    short.shorten_tail(limit / 4);
    *text = short.text();
}

fn floor_boundary(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

fn ceil_boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_output_is_kept_whole() {
        let (mut output, mut budget) = (ClassOutput::default(), Budget::default());
        output.push(Stream::Stdout, "one\n", &mut budget);
        output.push(Stream::Stdout, "two\n", &mut budget);
        assert_eq!(output.stdout.text(), "one\ntwo\n");
        assert_eq!(output.stderr.text(), "");
    }

    #[test]
    fn a_flood_keeps_its_ends_and_says_what_is_missing() {
        let (mut output, mut budget) = (ClassOutput::default(), Budget::default());
        let chunk = "0123456789abcde\n".repeat(4096);
        for _ in 0..200 {
            output.push(Stream::Stderr, &chunk, &mut budget);
        }
        let text = output.stderr.text();
        assert!(text.len() < 4 * EACH_END, "{}", text.len());
        let marker = text.lines().find(|line| line.starts_with("[Testfleet:")).expect("a marker");
        let cut: u64 = marker.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number");
        assert_eq!(text.len() as u64 + cut - marker.len() as u64 - 1, 200 * chunk.len() as u64);
        assert!(text.starts_with("0123") && text.ends_with("abcde\n"));
    }

    #[test]
    fn when_the_budget_is_gone_each_class_still_keeps_a_little() {
        let mut budget = Budget { left: 0 };
        let mut output = ClassOutput::default();
        output.push(Stream::Stdout, &"x".repeat(EACH_END), &mut budget);
        assert!(output.stdout.kept() > 0);
        assert!(output.stdout.kept() <= 3 * EACH_END / SCARCE);
    }

    #[test]
    fn a_released_tail_gives_its_room_back() {
        let mut budget = Budget::default();
        let mut tail = TestTail::default();
        tail.push("some output", &mut budget);
        assert_eq!(budget.left, WHOLE_RUN - 11);
        tail.release(&mut budget);
        assert_eq!(budget.left, WHOLE_RUN);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_uncounted(chunks in prop::collection::vec("[aä€😀]{0,9}", 0..40), head in 0usize..20, tail in 0usize..20) {
            let mut kept = HeadTail::default();
            for chunk in &chunks {
                kept.push(chunk, head, tail);
            }
            let whole = chunks.concat();
            prop_assert!(whole.starts_with(&kept.head));
            prop_assert!(whole.ends_with(&kept.tail));
            prop_assert_eq!(kept.kept() as u64 + kept.cut, whole.len() as u64);
            prop_assert!(kept.head.len() <= head && kept.tail.len() <= 2 * tail);
        }

        #[test]
        fn shortened_text_keeps_its_ends(text in "[ab€\n]{0,200}", limit in 0usize..100) {
            let mut short = text.clone();
            shorten(&mut short, limit);
            prop_assert!(short == text || short.contains("bytes cut here"));
            prop_assert!(short.len() <= limit.max(text.len().min(limit)) + 45);
        }
    }
}
