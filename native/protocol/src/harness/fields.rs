//! The fields of payloads: how each kind is written and read.

use crate::test::{Finished, Outcome, TestName, Thrown};
use crate::{Failure, FailureCode, Result};

pub(super) fn broken(what: &str) -> Failure {
    Failure::new(FailureCode::WorkerBroken, format!("failed to read a harness message: {what}"))
        .hint("agent and harness must come from the same Testfleet version")
}

#[derive(Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn blob(&mut self, value: &[u8]) {
        self.u32(value.len() as u32);
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn string(&mut self, value: &str) {
        self.blob(value.as_bytes());
    }

    pub(super) fn list<T>(&mut self, items: &[T], item: impl Fn(&mut Self, &T)) {
        self.u32(items.len() as u32);
        for one in items {
            item(self, one);
        }
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, item: impl Fn(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            item(self, value);
        }
    }

    pub(super) fn test(&mut self, test: &TestName) {
        self.string(&test.class);
        self.string(&test.method);
    }

    pub(super) fn thrown(&mut self, thrown: &Thrown) {
        self.string(&thrown.kind);
        self.string(&thrown.message);
        self.string(&thrown.stack);
    }

    pub(super) fn finished(&mut self, finished: &Finished) {
        self.u8(match finished.outcome {
            Outcome::Passed => 1,
            Outcome::Failed => 2,
            Outcome::Aborted => 3,
            Outcome::Skipped => 4,
            Outcome::Errored => 5,
        });
        self.u64(finished.started_at_ms);
        self.u64(finished.duration_us);
        self.option(finished.reason.as_ref(), |out, reason| out.string(reason));
        self.list(&finished.thrown, Self::thrown);
    }
}

pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl Reader<'_> {
    pub(super) fn take(&mut self, count: usize) -> Result<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| broken("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn bool(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(broken(&format!("{other} is neither yes nor no"))),
        }
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.take(4).map(|bytes| bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.take(8).map(|bytes| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    pub(super) fn blob(&mut self) -> Result<Vec<u8>> {
        let length = self.u32()? as usize;
        self.take(length).map(<[u8]>::to_vec)
    }

    pub(super) fn string(&mut self) -> Result<String> {
        String::from_utf8(self.blob()?).map_err(|_| broken("a text is no UTF-8"))
    }

    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        // No capacity from the wire: a damaged count must not allocate.
        let count = self.u32()?;
        (0..count).map(|_| item(self)).collect()
    }

    pub(super) fn option<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.bool()? { item(self).map(Some) } else { Ok(None) }
    }

    pub(super) fn test(&mut self) -> Result<TestName> {
        Ok(TestName { class: self.string()?, method: self.string()? })
    }

    pub(super) fn thrown(&mut self) -> Result<Thrown> {
        Ok(Thrown { kind: self.string()?, message: self.string()?, stack: self.string()?, hint: None })
    }

    pub(super) fn finished(&mut self) -> Result<Finished> {
        Ok(Finished {
            outcome: match self.u8()? {
                1 => Outcome::Passed,
                2 => Outcome::Failed,
                3 => Outcome::Aborted,
                4 => Outcome::Skipped,
                5 => Outcome::Errored,
                other => return Err(broken(&format!("unknown outcome {other}"))),
            },
            started_at_ms: self.u64()?,
            duration_us: self.u64()?,
            reason: self.option(Self::string)?,
            thrown: self.list(Self::thrown)?,
        })
    }

    pub(super) fn end<T>(self, message: T) -> Result<T> {
        if self.rest.is_empty() { Ok(message) } else { Err(broken("it is longer than its fields")) }
    }
}
