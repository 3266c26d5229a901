//! What one side needs to be recognised by the other: a document that is handed over once, on an agent's standard input.

use crate::Peer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION, frame};
use zeroize::Zeroizing;

/// Bytes of a token: 256 random bits.
pub(crate) const TOKEN: usize = 32;

/// Longest document in bytes; far more than two certificates and a key take.
pub(crate) const LONGEST: usize = 64 << 10;

/// A run's token. Overwritten when it is given up.
pub(crate) type Token = Zeroizing<[u8; TOKEN]>;

/// Certificate, key and token of one side. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// [`VERSION`]
    pub(crate) protocol: u32,
    /// Which run's.
    pub(crate) run: String,
    /// Whose.
    pub(crate) peer: Peer,
    /// The authority's certificate, PEM.
    pub(crate) authority: String,
    /// The own certificate, PEM.
    pub(crate) certificate: String,
    /// Its key, PEM.
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub(crate) key: Zeroizing<String>,
    /// The run's token, in hexadecimal digits.
    #[serde(serialize_with = "write_token", deserialize_with = "read_token")]
    pub(crate) token: Token,
    /// What an agent obeys until its coordinator has welcomed it.
    #[serde(default)]
    pub reach: Reach,
}

/// What an agent obeys until its coordinator has welcomed it, and what standard input means to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reach {
    /// How long it works on, or tries, without a coordinator, in milliseconds.
    pub orphan_timeout_ms: u64,
    /// Whether standard input stays open after this document, says nothing more, and its end is the agent's end as well.
    pub ends_with_input: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self { orphan_timeout_ms: 600_000, ends_with_input: false }
    }
}

impl Credentials {
    /// As one frame, for the standard input of an agent.
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when they are too long.
    pub fn to_frame(&self) -> Result<Zeroizing<Vec<u8>>> {
        let json = serde_json::to_vec(self).map(Zeroizing::new);
        let json =
            json.map_err(|error| Failure::new(FailureCode::Internal, "failed to write credentials").cause(&error))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(json.len() + 4));
        frame::encode(&json, &mut bytes)?;
        Ok(bytes)
    }

    /// How long the document is that begins with these four bytes.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when it can be no such document.
    pub fn length(prefix: [u8; 4]) -> Result<usize> {
        let length = u32::from_be_bytes(prefix) as usize;
        if length == 0 || length > LONGEST {
            return Err(unreadable().cause_text(format!("it can't have {length} bytes; the limit is {LONGEST}")));
        }
        Ok(length)
    }

    /// Reads the document without its length.
    ///
    /// # Errors
    /// [`FailureCode::InvalidRequest`] when it makes no sense, [`FailureCode::ProtocolVersion`] when another version wrote
    /// it. No part of it is in the failure.
    pub fn read(json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            protocol: u32,
        }
        // The parser's own words may quote what it read.
        let place = |error: serde_json::Error| {
            unreadable().cause_text(format!("it makes no sense at line {}, column {}", error.line(), error.column()))
        };
        let version: Version = serde_json::from_slice(json).map_err(place)?;
        if version.protocol != VERSION {
            return Err(Failure::new(
                FailureCode::ProtocolVersion,
                format!("failed to use credentials of protocol {}; this agent speaks {VERSION}", version.protocol),
            )
            .hint("use agent and engine of one Testfleet release"));
        }
        serde_json::from_slice(json).map_err(place)
    }

    /// Whose they are.
    pub fn peer(&self) -> Peer {
        self.peer
    }
}

fn unreadable() -> Failure {
    Failure::new(FailureCode::InvalidRequest, "failed to read the credentials on standard input")
        .hint("a backend hands them over at the start; agents that use pipes get none")
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("run", &self.run).field("peer", &self.peer).finish_non_exhaustive()
    }
}

fn write_key<S: Serializer>(key: &Zeroizing<String>, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(key)
}

fn read_key<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

fn write_token<S: Serializer>(token: &Token, to: S) -> std::result::Result<S::Ok, S::Error> {
    let digits = token.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let text: Zeroizing<String> =
        Zeroizing::new(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect());
    to.serialize_str(&text)
}

fn read_token<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Token, D::Error> {
    let text = Zeroizing::new(String::deserialize(from)?);
    let digits: Option<Zeroizing<Vec<u32>>> =
        text.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<_>>>().map(Zeroizing::new);
    let mut token = Token::new([0; TOKEN]);
    match digits {
        Some(digits) if digits.len() == 2 * TOKEN => {
            for (byte, pair) in token.iter_mut().zip(digits.chunks(2)) {
                *byte = (pair[0] << 4 | pair[1]) as u8;
            }
            Ok(token)
        }
        _ => Err(serde::de::Error::custom("a token has 64 hexadecimal digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, Validity};

    fn credentials() -> Credentials {
        let authority = Authority::new("r1", Validity::of_a_run()).unwrap();
        let mut credentials = authority.issue(Peer::Worker { worker: 3 }).unwrap();
        credentials.reach = Reach { orphan_timeout_ms: 5, ends_with_input: true };
        credentials
    }

    #[test]
    fn what_is_written_is_read() {
        let credentials = credentials();
        let frame = credentials.to_frame().unwrap();
        let (prefix, json) = frame.split_first_chunk::<4>().unwrap();
        assert_eq!(Credentials::length(*prefix).unwrap(), json.len());
        assert!(Credentials::read(json).unwrap() == credentials);
    }

    #[test]
    fn nothing_secret_is_shown() {
        let credentials = credentials();
        let shown = format!("{credentials:?}");
        assert_eq!(shown, "Credentials { run: \"r1\", peer: Worker { worker: 3 }, .. }");
        let mut json = String::from_utf8(credentials.to_frame().unwrap()[4..].to_vec()).unwrap();
        let token = json.find("\"token\":\"").unwrap() + 9;
        json.replace_range(token..token + 64, "0123456789abcdef-not-a-token");
        let failure = Credentials::read(json.as_bytes()).unwrap_err().to_string();
        assert!(failure.contains("failed to read the credentials"), "{failure}");
        assert!(!failure.contains("0123456789abcdef") && !failure.contains("PRIVATE"), "{failure}");
    }

    #[test]
    fn another_version_and_an_absurd_length_are_told() {
        let failure = Credentials::read(b"{\"protocol\":9,\"new\":[]}").unwrap_err();
        assert_eq!(failure.code, FailureCode::ProtocolVersion);
        assert!(failure.message.contains("protocol 9"), "{failure}");
        assert!(Credentials::length([0xff; 4]).is_err());
        assert!(Credentials::length([0; 4]).is_err());
    }
}
