//! Who is let in and who is not, over real sockets.

use crate::greeting::{self, Said, Word};
use crate::{Admission, Arrived, Authority, Credentials, Door, Identity, Peer, Refusal, Stream, Validity, dial};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use testfleet_protocol::{FailureCode, VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, TlsStream};

const WORKER: Peer = Peer::Worker { worker: 3 };

struct World {
    authority: Authority,
    door: Door,
    /// Lives that were asked about.
    asked: Arc<Mutex<Vec<(u32, u32)>>>,
}

impl World {
    async fn new() -> Self {
        let authority = Authority::new("r1", Validity::of_a_run()).unwrap();
        let identity = Arc::new(identity(&authority, Peer::Coordinator));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let admit: Admission = Arc::new(move |worker, life| {
            log.lock().unwrap().push((worker, life));
            (worker, life) == (3, 2)
        });
        let door = Door::open("127.0.0.1:0", identity, admit).await.unwrap();
        Self { authority, door, asked }
    }

    fn address(&self) -> String {
        self.door.address().to_string()
    }

    async fn dial(&self, credentials: &Credentials) -> Result<Stream, Refusal> {
        let identity = Identity::new(credentials).unwrap();
        dial(&self.address(), &identity, Peer::Coordinator, 3, 2).await
    }

    /// TLS as a worker of the run, without a greeting.
    async fn tls(&self, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let name = identity(&self.authority, WORKER).name(Peer::Coordinator).unwrap();
        let tcp = TcpStream::connect(self.address()).await?;
        TlsConnector::from(config).connect(name, tcp).await.map(TlsStream::from)
    }

    /// Nobody was let in, or so much as asked about.
    fn assert_nobody_came(&mut self) {
        assert!(self.asked.lock().unwrap().is_empty());
        let next = std::pin::pin!(self.door.next());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.poll(&mut context).is_pending());
    }
}

fn identity(authority: &Authority, peer: Peer) -> Identity {
    Identity::new(&authority.issue(peer).unwrap()).unwrap()
}

/// What the other side says before it hangs up, of what is no TLS.
async fn answer(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset says no more than an end.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

fn refused<T>(met: Result<T, Refusal>) -> String {
    match met {
        Err(Refusal::Now(failure)) => failure.to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test]
async fn who_belongs_to_the_run_is_let_in_and_bytes_pass_both_ways() {
    let mut world = World::new().await;
    let identity = identity(&world.authority, WORKER);
    let address = world.address();
    let dialing = tokio::spawn(async move { dial(&address, &identity, Peer::Coordinator, 3, 2).await });
    let Arrived { worker, life, mut stream } = world.door.next().await.unwrap();
    assert_eq!((worker, life), (3, 2));
    let mut dialed = dialing.await.unwrap().unwrap();
    dialed.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.unwrap();
    stream.write_all(&heard).await.unwrap();
    dialed.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn a_life_that_is_over_is_told_so() {
    let world = World::new().await;
    let identity = identity(&world.authority, WORKER);
    match dial(&world.address(), &identity, Peer::Coordinator, 3, 1).await {
        Err(Refusal::Over(failure)) => assert!(failure.to_string().contains("given up"), "{failure}"),
        other => panic!("{:?}", other.map(|_| "let in")),
    }
}

#[tokio::test]
async fn another_token_is_refused() {
    let mut world = World::new().await;
    let mut credentials = world.authority.issue(WORKER).unwrap();
    credentials.token[31] ^= 1;
    refused(world.dial(&credentials).await);
    world.assert_nobody_came();
}

#[tokio::test]
async fn another_authority_is_refused_by_both_sides() {
    let mut world = World::new().await;
    let other = Authority::new("r1", Validity::of_a_run()).unwrap();
    let theirs = other.issue(WORKER).unwrap();
    let told = refused(world.dial(&theirs).await);
    assert!(told.contains("not of this run"), "{told}");
    // It trusts the run's authority, and shows a certificate of another.
    let mut mixed = world.authority.issue(WORKER).unwrap();
    (mixed.certificate, mixed.key) = (theirs.certificate.clone(), theirs.key.clone());
    let told = refused(world.dial(&mixed).await);
    assert!(told.contains("not of this run"), "{told}");
    world.assert_nobody_came();
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_not_valid_yet_is_refused() {
    let mut world = World::new().await;
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3_600));
    for (from, until) in [(now - hour * 2, now - hour), (now + hour, now + hour * 2)] {
        // Signed by the run's own authority, whose certificate is valid.
        let credentials = world.authority.issue_for(WORKER, Validity { from, until }).unwrap();
        let told = refused(world.dial(&credentials).await);
        assert!(told.contains("not of this run, or its certificate has expired"), "{told}");
    }
    world.assert_nobody_came();
}

#[tokio::test]
async fn who_shows_no_certificate_is_refused() {
    let mut world = World::new().await;
    let credentials = world.authority.issue(WORKER).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(credentials.authority.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    if let Ok(mut stream) = world.tls(Arc::new(config)).await {
        let said = Said { word: Word::Hello, worker: 3, life: 2 };
        let _ = stream.write_all(&greeting::write(said, &credentials.token)).await;
        assert!(answer(&mut stream).await.is_empty());
    }
    world.assert_nobody_came();
}

#[tokio::test]
async fn nobody_passes_for_another() {
    let mut world = World::new().await;
    // Worker 4, and the coordinator itself, say that they are worker 3.
    for peer in [Peer::Worker { worker: 4 }, Peer::Coordinator] {
        refused(world.dial(&world.authority.issue(peer).unwrap()).await);
    }
    world.assert_nobody_came();
    // A worker accepts where the coordinator is expected.
    let worker = Arc::new(identity(&world.authority, WORKER));
    let door = Door::open("127.0.0.1:0", worker, Arc::new(|_, _| true)).await.unwrap();
    let own = identity(&world.authority, WORKER);
    let told = refused(dial(&door.address().to_string(), &own, Peer::Coordinator, 3, 2).await);
    assert!(told.contains("not of this run"), "{told}");
    // A worker dials another worker.
    let other = identity(&world.authority, Peer::Worker { worker: 4 });
    refused(dial(&door.address().to_string(), &other, WORKER, 3, 2).await);
}

#[tokio::test]
async fn plain_text_and_garbage_get_nothing() {
    let mut world = World::new().await;
    for bytes in [&b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"[..], &[0xff; 5_000], &[0x16, 3, 1, 0xff, 0xff], b""] {
        let mut tcp = TcpStream::connect(world.address()).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        // A TLS alert at most: two bytes of content behind a header of five.
        assert!(answer(&mut tcp).await.len() <= 7);
    }
    // Inside TLS, from a worker of the run.
    let config = Arc::clone(&identity(&world.authority, WORKER).client);
    for bytes in [&[0xff; 200][..], b"GET / HTTP/1.1\r\n\r\n", b"TFLT"] {
        let mut stream = world.tls(Arc::clone(&config)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(answer(&mut stream).await.is_empty());
    }
    world.assert_nobody_came();
}

#[tokio::test]
async fn another_version_is_a_clear_error_on_both_sides() {
    let mut world = World::new().await;
    let config = Arc::clone(&identity(&world.authority, WORKER).client);
    let mut stream = world.tls(config).await.unwrap();
    let mut greeting = greeting::version_only();
    greeting[7] += 1;
    stream.write_all(&greeting).await.unwrap();
    assert_eq!(answer(&mut stream).await, greeting::version_only());
    let failure = world.door.next().await.err().unwrap();
    assert_eq!(failure.code, FailureCode::ProtocolVersion);
    assert!(failure.message.contains(&format!("speaks protocol {}, not {VERSION}", VERSION + 1)), "{failure}");
    // The other way round: the one that accepts is newer.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Arc::clone(&identity(&world.authority, Peer::Coordinator).server);
    tokio::spawn(async move {
        let tcp = listener.accept().await.unwrap().0;
        let mut stream = tokio_rustls::TlsAcceptor::from(server).accept(tcp).await.unwrap();
        stream.write_all(&greeting).await.unwrap();
        answer(&mut stream).await;
    });
    let own = identity(&world.authority, WORKER);
    match dial(&address, &own, Peer::Coordinator, 3, 2).await {
        Err(Refusal::Version(failure)) => {
            assert_eq!(failure.code, FailureCode::ProtocolVersion);
            assert!(failure.hint.is_some() && failure.message.contains("protocol 2"), "{failure}");
        }
        other => panic!("{:?}", other.map(|_| "let in")),
    }
}

#[tokio::test]
async fn who_takes_too_long_is_sent_away() {
    let mut world = World::new().await;
    let mut silent = TcpStream::connect(world.address()).await.unwrap();
    assert!(answer(&mut silent).await.is_empty());
    world.assert_nobody_came();
    // Whoever accepts is given no more time either.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let own = identity(&world.authority, WORKER);
    let told = refused(dial(&address, &own, Peer::Coordinator, 3, 2).await);
    assert!(told.contains("took longer than 3 s"), "{told}");
}

#[tokio::test]
async fn only_so_many_may_be_unknown_at_once() {
    let mut world = World::new().await;
    let mut silent = Vec::new();
    for _ in 0..128 {
        silent.push(TcpStream::connect(world.address()).await.unwrap());
    }
    let mut one_more = TcpStream::connect(world.address()).await.unwrap();
    assert!(answer(&mut one_more).await.is_empty(), "it is closed at once");
    silent.clear();
    // Places are free again once the door has noticed.
    let identity = identity(&world.authority, WORKER);
    let address = world.address();
    let dialing = tokio::spawn(async move {
        while dial(&address, &identity, Peer::Coordinator, 3, 2).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(world.door.next().await.is_ok());
    dialing.await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_with_a_hint() {
    let world = World::new().await;
    let identity = Arc::new(identity(&world.authority, Peer::Coordinator));
    let failure = Door::open(&world.address(), identity, Arc::new(|_, _| true)).await.err().unwrap();
    assert!(failure.message.contains("failed to listen at 127.0.0.1:") && failure.hint.is_some(), "{failure}");
}
