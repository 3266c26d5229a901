//! Lines through a Unix socket in the worker's own container, where a relay that the coordinator starts connects: greeting
//! and token as over TCP, without TLS, because the bytes never leave the container but through the container engine.
//!
//! The first token that comes is the run's: it comes before any test runs, so only the coordinator can have sent it. Tests
//! that connect later do not know it.

use crate::credentials::{TOKEN, Token};
use crate::greeting::{self, PREFIX, Prefix, REST, Said, Word};
use crate::{HANDSHAKE, Refusal};
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, Result, VERSION};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

/// Connections whose other side is not known yet.
const UNKNOWN: usize = 16;
/// Connections that wait to be taken.
const ARRIVED: usize = 4;
/// How long to wait when the system can't accept.
const NO_MORE: Duration = Duration::from_millis(200);

/// The secret of a run, from which each life of a worker has a token of its own. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct RunSecret(Zeroizing<[u8; TOKEN]>);

impl RunSecret {
    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// [`FailureCode::Internal`] when the system has no random numbers.
    pub fn random() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; TOKEN]);
        let provider = rustls::crypto::ring::default_provider();
        provider.secure_random.fill(&mut bytes[..]).map_err(|_| {
            Failure::new(FailureCode::Internal, "failed to make a secret").cause_text("there are no random numbers")
        })?;
        Ok(Self(bytes))
    }

    /// The one of these bytes, if they can be one.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        <[u8; TOKEN]>::try_from(bytes).ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// To be kept where only the coordinator's user can read it.
    pub fn bytes(&self) -> &[u8] {
        &self.0[..]
    }

    /// What this life's agent is to be told.
    fn token(&self, worker: u32, life: u32) -> Token {
        let mut hash = Sha256::new();
        hash.update(b"testfleet worker");
        hash.update(worker.to_be_bytes());
        hash.update(life.to_be_bytes());
        hash.update(&self.0[..]);
        Zeroizing::new(hash.finalize().into())
    }
}

impl std::fmt::Debug for RunSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunSecret").finish_non_exhaustive()
    }
}

/// The coordinator's side, on a stream that leads to an agent's [`SocketDoor`]: says who it is and waits for the answer.
///
/// # Errors
/// See [`Refusal`].
pub async fn knock(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    secret: &RunSecret,
    worker: u32,
    life: u32,
) -> std::result::Result<(), Refusal> {
    let what = format!("reach the agent of worker {worker}");
    let hello = Said { word: Word::Hello, worker, life };
    let token = secret.token(worker, life);
    in_time(&what, async {
        let bytes = greeting::write(hello, &token);
        stream.write_all(&bytes).await.map_err(|error| broken(&what, &error))?;
        stream.flush().await.map_err(|error| broken(&what, &error))?;
        match hear(stream, &what, |rest| greeting::read_rest(rest, &token)).await? {
            said if said == hello => Ok(()),
            Said { word: Word::Over, .. } => {
                Err(Refusal::Over(refused(&what, "it is another worker, or another life of this one")))
            }
            said => Err(Refusal::Now(refused(&what, &format!("worker {}, life {} answered", said.worker, said.life)))),
        }
    })
    .await
}

/// An agent's socket. Dropping it closes it; connections that arrived stay.
pub struct SocketDoor {
    arrived: mpsc::Receiver<UnixStream>,
    _task: JoinSet<()>,
}

impl SocketDoor {
    /// Opens the socket of this life of a worker.
    ///
    /// # Errors
    /// [`FailureCode::WorkerBroken`] when it can't be made there.
    pub fn open(path: &Path, worker: u32, life: u32) -> Result<Self> {
        let listener = UnixListener::bind(path).map_err(|error| {
            Failure::new(FailureCode::WorkerBroken, format!("failed to listen at {}", path.display()))
                .cause(&error)
                .hint("its folder must exist and be writable, and a socket's path has at most 107 bytes")
        })?;
        let (to, arrived) = mpsc::channel(ARRIVED);
        let mut task = JoinSet::new();
        task.spawn(serve(listener, Arc::new(Known { worker, life, token: Mutex::new(None) }), to));
        Ok(Self { arrived, _task: task })
    }

    /// The next connection whose other side knows the token. Never ends.
    pub async fn next(&mut self) -> UnixStream {
        match self.arrived.recv().await {
            Some(arrived) => arrived,
            None => std::future::pending().await,
        }
    }
}

/// Whose agent it is, and the token, once the coordinator has brought it.
struct Known {
    worker: u32,
    life: u32,
    token: Mutex<Option<Token>>,
}

impl Known {
    /// Reads the rest of a greeting. The token of the first that is about this life is remembered.
    fn check(&self, rest: &[u8; REST]) -> Option<Said> {
        let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = known.as_ref() {
            return greeting::read_rest(rest, token);
        }
        let mut token = Token::new([0; TOKEN]);
        token.copy_from_slice(&rest[REST - TOKEN..]);
        let said = greeting::read_rest(rest, &token)?;
        if self.is_of(said) {
            *known = Some(token);
        }
        Some(said)
    }

    fn is_of(&self, said: Said) -> bool {
        said.word == Word::Hello && (said.worker, said.life) == (self.worker, self.life)
    }
}

async fn serve(listener: UnixListener, known: Arc<Known>, to: mpsc::Sender<UnixStream>) {
    let unknown = Arc::new(Semaphore::new(UNKNOWN));
    let mut meetings = JoinSet::new();
    loop {
        while meetings.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, for example: those that wait may be served later.
                tracing::warn!(%error, "failed to accept a connection");
                sleep(NO_MORE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&unknown).try_acquire_owned() else {
            tracing::warn!("a connection is closed: too many wait until they are known");
            continue;
        };
        let (known, to) = (Arc::clone(&known), to.clone());
        meetings.spawn(async move {
            let met = admit(stream, &known).await;
            drop(place);
            match met {
                // Without a receiver the door is closed.
                Ok(stream) => drop(to.send(stream).await),
                Err(refusal) => tracing::warn!("{}", refusal.failure()),
            }
        });
    }
}

async fn admit(mut stream: UnixStream, known: &Known) -> std::result::Result<UnixStream, Refusal> {
    let what = "let a connection in";
    in_time(what, async {
        let mut token = Token::new([0; TOKEN]);
        let said = hear(&mut stream, what, |rest| {
            token.copy_from_slice(&rest[REST - TOKEN..]);
            known.check(rest)
        })
        .await;
        if let Err(Refusal::Version(_)) = &said {
            // It learns which version this is.
            let _ = stream.write_all(&greeting::version_only()).await;
        }
        let said = said?;
        let word = if known.is_of(said) { Word::Hello } else { Word::Over };
        let bytes = greeting::write(Said { word, ..said }, &token);
        stream.write_all(&bytes).await.map_err(|error| broken(what, &error))?;
        if word == Word::Over {
            let text = format!("it looks for life {} of worker {}, which is not here", said.life, said.worker);
            return Err(Refusal::Over(refused(what, &text)));
        }
        Ok(stream)
    })
    .await
}

async fn hear(
    stream: &mut (impl AsyncRead + Unpin),
    what: &str,
    read_rest: impl FnOnce(&[u8; REST]) -> Option<Said>,
) -> std::result::Result<Said, Refusal> {
    let mut prefix = [0; PREFIX];
    stream.read_exact(&mut prefix).await.map_err(|error| broken(what, &error))?;
    match greeting::read_prefix(&prefix) {
        Prefix::Same => {}
        Prefix::Foreign => return Err(Refusal::Now(refused(what, "what it says is no greeting of Testfleet"))),
        Prefix::Other(version) => {
            let text = format!("failed to {what}: it speaks protocol {version}, not {VERSION}");
            return Err(Refusal::Version(
                Failure::new(FailureCode::ProtocolVersion, text)
                    .hint("the image holds an agent of another Testfleet release: make it anew"),
            ));
        }
    }
    let mut rest = Zeroizing::new([0; REST]);
    stream.read_exact(&mut rest[..]).await.map_err(|error| broken(what, &error))?;
    read_rest(&rest).ok_or_else(|| Refusal::Now(refused(what, "its token is not the run's")))
}

async fn in_time<T>(
    what: &str,
    met: impl Future<Output = std::result::Result<T, Refusal>>,
) -> std::result::Result<T, Refusal> {
    match timeout(HANDSHAKE, met).await {
        Ok(met) => met,
        Err(_) => Err(Refusal::Now(refused(what, &format!("it took longer than {} s", HANDSHAKE.as_secs())))),
    }
}

fn refused(what: &str, why: &str) -> Failure {
    Failure::new(FailureCode::WorkerBroken, format!("failed to {what}")).cause_text(why)
}

fn broken(what: &str, error: &io::Error) -> Refusal {
    Refusal::Now(Failure::new(FailureCode::WorkerBroken, format!("failed to {what}")).cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn dial(path: &Path, secret: &RunSecret, worker: u32, life: u32) -> std::result::Result<UnixStream, Refusal> {
        let mut stream = UnixStream::connect(path).await.unwrap();
        knock(&mut stream, secret, worker, life).await.map(|()| stream)
    }

    #[tokio::test]
    async fn who_came_first_is_let_in_again_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let mut door = SocketDoor::open(&path, 3, 2).unwrap();
        let (ours, theirs) = (RunSecret::random().unwrap(), RunSecret::random().unwrap());
        let refused = dial(&path, &theirs, 3, 1).await.err().unwrap();
        assert!(matches!(refused, Refusal::Over(_)), "another life: {refused:?}");
        for _ in 0..2 {
            let mut stream = dial(&path, &ours, 3, 2).await.unwrap();
            let mut arrived = door.next().await;
            arrived.write_all(b"hello").await.unwrap();
            let mut said = [0; 5];
            stream.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"hello");
            let refused = dial(&path, &theirs, 3, 2).await.err().unwrap();
            assert!(matches!(refused, Refusal::Now(_)), "another token: {refused:?}");
        }
        // What comes before the token is answered by nothing.
        let mut silent = UnixStream::connect(&path).await.unwrap();
        silent.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // A reset says the same as an end.
        let _ = silent.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }

    #[test]
    fn each_life_has_a_token_of_its_own_and_secrets_are_not_shown() {
        let secret = RunSecret::random().unwrap();
        let same = RunSecret::of(secret.bytes()).unwrap();
        assert_eq!(secret.token(1, 2), same.token(1, 2));
        assert_ne!(secret.token(1, 2), secret.token(2, 1));
        assert_ne!(secret.token(1, 1), secret.token(1, 2));
        assert_eq!(format!("{secret:?}"), "RunSecret { .. }");
        assert!(RunSecret::of(b"short").is_none());
    }
}
