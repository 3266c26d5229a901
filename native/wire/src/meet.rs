//! Dialing and accepting: TLS, certificates, greetings, all within a limited time.

use crate::greeting::{self, PREFIX, Prefix, REST, Said, Word};
use crate::{Identity, Peer};
use rustls::pki_types::CertificateDer;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode, VERSION};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// How long it may take until the other side is known.
pub const HANDSHAKE: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 10 });

/// How long the system waits for the other side's machine before a connection counts as broken.
const SILENT_MACHINE: Duration = Duration::from_secs(30);

/// A connection whose other side is known.
pub type Stream = TlsStream<TcpStream>;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It did not work; it may work later.
    Now(Failure),
    /// It will never work: the other side speaks another version.
    Version(Failure),
    /// The other side is the right one and does not know this life of the worker any more.
    Over(Failure),
}

impl Refusal {
    /// What to tell.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Now(failure) | Self::Version(failure) | Self::Over(failure) => failure,
        }
    }
}

/// Dials `address` (`HOST:PORT`), where `to` accepts, about this life of a worker.
///
/// # Errors
/// See [`Refusal`].
pub async fn dial(
    address: &str,
    identity: &Identity,
    to: Peer,
    worker: u32,
    life: u32,
) -> std::result::Result<Stream, Refusal> {
    let about = About { what: format!("connect to {to} at {address}"), identity, to: Some(to) };
    about
        .in_time(async {
            let tcp = TcpStream::connect(address).await.map_err(|error| about.broken(&error))?;
            set_up(&tcp);
            about.meet(tcp, to, worker, life).await
        })
        .await
}

/// As [`dial`], over a stream that leads there already: `way` says which, for messages.
///
/// # Errors
/// See [`Refusal`].
pub async fn dial_over<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    way: &str,
    identity: &Identity,
    to: Peer,
    worker: u32,
    life: u32,
) -> std::result::Result<TlsStream<S>, Refusal> {
    let about = About { what: format!("connect to the agent of worker {worker} {way}"), identity, to: Some(to) };
    about.in_time(about.meet(stream, to, worker, life)).await
}

/// Finds out who dialed. `admit` decides over the worker's number and life that it names; the name of its certificate is
/// checked before.
///
/// # Errors
/// See [`Refusal`]; the other side got no answer, unless only its version or the life that it named is wrong.
pub async fn accept(
    tcp: TcpStream,
    identity: &Identity,
    admit: impl Fn(u32, u32) -> bool,
) -> std::result::Result<(Stream, u32, u32), Refusal> {
    let from = tcp.peer_addr().map_or_else(|_| "an unknown address".to_owned(), |address| address.to_string());
    let about = About { what: format!("accept a connection from {from}"), identity, to: None };
    about
        .in_time(async {
            set_up(&tcp);
            let acceptor = TlsAcceptor::from(Arc::clone(&identity.server));
            let stream = acceptor.accept(tcp).await.map_err(|error| about.broken(&error))?;
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
            let mut stream = TlsStream::from(stream);
            let said = about.hear(&mut stream).await?;
            about.check_name(certificate.as_ref(), said.worker)?;
            let known = said.word == Word::Hello && admit(said.worker, said.life);
            let word = if known { Word::Hello } else { Word::Over };
            about.say(&mut stream, &greeting::write(Said { word, ..said }, &identity.token)).await?;
            if !known {
                let _ = stream.shutdown().await;
                let text = format!("worker {}, life {} is not, or no longer, part of this run", said.worker, said.life);
                return Err(Refusal::Over(about.refused(&text)));
            }
            Ok((stream, said.worker, said.life))
        })
        .await
}

/// Small messages leave at once; a machine that is gone is noticed.
fn set_up(tcp: &TcpStream) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "small messages may be late");
    }
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        let millis = u32::try_from(SILENT_MACHINE.as_millis()).unwrap_or(u32::MAX);
        let set = setsockopt(tcp, sockopt::TcpUserTimeout, &millis)
            .and_then(|()| setsockopt(tcp, sockopt::KeepAlive, &true))
            .and_then(|()| setsockopt(tcp, sockopt::TcpKeepIdle, &(millis / 2_000)))
            .and_then(|()| setsockopt(tcp, sockopt::TcpKeepInterval, &(millis / 6_000)));
        if let Err(error) = set {
            tracing::debug!(%error, "a silent machine may be noticed late");
        }
    }
}

struct About<'a> {
    what: String,
    identity: &'a Identity,
    /// Whom it dials; `None` when it accepts.
    to: Option<Peer>,
}

impl About<'_> {
    async fn in_time<T>(
        &self,
        met: impl Future<Output = std::result::Result<T, Refusal>>,
    ) -> std::result::Result<T, Refusal> {
        match timeout(HANDSHAKE, met).await {
            Ok(met) => met,
            Err(_) => Err(Refusal::Now(self.refused(&format!("it took longer than {} s", HANDSHAKE.as_secs())))),
        }
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::new(FailureCode::WorkerBroken, format!("failed to {}", self.what)).cause_text(why)
    }

    fn broken(&self, error: &io::Error) -> Refusal {
        let mut failure = Failure::new(FailureCode::WorkerBroken, format!("failed to {}", self.what)).cause(error);
        if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            failure =
                failure.hint("the other side is not of this run, or its certificate has expired; check both clocks");
        }
        Refusal::Now(failure)
    }

    /// What who dials does on a stream that is there.
    async fn meet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        to: Peer,
        worker: u32,
        life: u32,
    ) -> std::result::Result<TlsStream<S>, Refusal> {
        let name = self.identity.name(to).map_err(Refusal::Now)?;
        let connector = TlsConnector::from(Arc::clone(&self.identity.client));
        let stream = connector.connect(name, stream).await.map_err(|error| self.broken(&error))?;
        let mut stream = TlsStream::from(stream);
        let hello = Said { word: Word::Hello, worker, life };
        self.say(&mut stream, &greeting::write(hello, &self.identity.token)).await?;
        match self.hear(&mut stream).await? {
            Said { word: Word::Over, .. } => Err(Refusal::Over(
                self.refused(&format!("worker {worker} was given up, or another one took its place")),
            )),
            answer if answer == hello => Ok(stream),
            answer => {
                Err(Refusal::Now(self.refused(&format!("worker {}, life {} answered", answer.worker, answer.life))))
            }
        }
    }

    async fn say(&self, stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::result::Result<(), Refusal> {
        let said = stream.write_all(bytes).await;
        said.map_err(|error| self.broken(&error))?;
        stream.flush().await.map_err(|error| self.broken(&error))
    }

    async fn hear(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::result::Result<Said, Refusal> {
        let mut prefix = [0; PREFIX];
        stream.read_exact(&mut prefix).await.map_err(|error| self.broken(&error))?;
        match greeting::read_prefix(&prefix) {
            Prefix::Same => {}
            Prefix::Foreign => return Err(Refusal::Now(self.refused("what it says is no greeting of Testfleet"))),
            Prefix::Other(version) => {
                if self.to.is_none() {
                    self.say(stream, &greeting::version_only()).await?;
                    let _ = stream.shutdown().await;
                }
                let text = format!("failed to {}: it speaks protocol {version}, not {VERSION}", self.what);
                return Err(Refusal::Version(
                    Failure::new(FailureCode::ProtocolVersion, text)
                        .hint("use agent and engine of one Testfleet release"),
                ));
            }
        }
        let mut rest = zeroize::Zeroizing::new([0; REST]);
        stream.read_exact(&mut rest[..]).await.map_err(|error| self.broken(&error))?;
        greeting::read_rest(&rest, &self.identity.token)
            .ok_or_else(|| Refusal::Now(self.refused("its token is not the run's")))
    }

    fn check_name(&self, certificate: Option<&CertificateDer<'_>>, worker: u32) -> std::result::Result<(), Refusal> {
        // Workers are dialed by the coordinator alone, and it by workers.
        let expected = match self.identity.peer {
            Peer::Coordinator => Peer::Worker { worker },
            Peer::Worker { .. } | Peer::AnyWorker => Peer::Coordinator,
        };
        match certificate {
            Some(certificate) if self.identity.is_of(certificate, expected) => Ok(()),
            _ => Err(Refusal::Now(self.refused(&format!("its certificate is not that of {expected}")))),
        }
    }
}
