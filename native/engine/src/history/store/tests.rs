//! Every place against the same rules, and an HTTP server with every fault.

use super::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

pub(super) const QUICK: Limits = Limits {
    connect: Duration::from_secs(2),
    read: Duration::from_secs(3),
    merge: Duration::from_secs(20),
    settle: Duration::ZERO,
    attempts: 40,
};

pub(super) fn history(location: &str, branch: &str) -> SharedHistory {
    SharedHistory {
        location: location.into(),
        branch: branch.into(),
        fallback_branch: "main".into(),
        publish: true,
        expire_days: 30,
        journal: false,
        user_variable: None,
        password_variable: None,
    }
}

pub(super) fn open(location: &str, branch: &str) -> Store {
    Store::open_within(&history(location, branch), &BTreeMap::new(), QUICK).unwrap()
}

/// A document that merges: its lines, sorted.
pub(super) fn add(line: &str) -> impl FnMut(Option<&[u8]>) -> Result<Vec<u8>> {
    let line = line.to_owned();
    move |old| {
        let mut lines: Vec<String> =
            String::from_utf8_lossy(old.unwrap_or_default()).lines().map(str::to_owned).collect();
        lines.push(line.clone());
        lines.sort();
        lines.dedup();
        Ok(lines.join("\n").into_bytes())
    }
}

pub(super) fn text(store: &Store) -> Option<String> {
    store.read("timings").unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

/// What holds for every place.
pub(super) fn keeps_the_rules(location: &str) {
    let main = open(location, "main");
    let branch = open(location, "feature/x");
    assert_eq!(text(&branch), None);
    assert!(main.merge("timings", add("of main")).unwrap());
    assert!(!main.merge("timings", add("of main")).unwrap(), "there is nothing new to write");
    assert_eq!(text(&branch).as_deref(), Some("of main"), "the branch begins from main");
    assert!(branch.merge("timings", add("of branch")).unwrap());
    assert_eq!(text(&branch).as_deref(), Some("of branch\nof main"));
    assert_eq!(text(&main).as_deref(), Some("of main"), "a branch writes nowhere else");
    assert_eq!(main.read("passed").unwrap(), None);
    let mut reader = history(location, "main");
    reader.publish = false;
    let reader = Store::open_within(&reader, &BTreeMap::new(), QUICK).unwrap();
    assert!(!reader.merge("timings", |_| panic!("a reader merges nothing")).unwrap());
    // Whoever asks later gets what the first pinned.
    assert_eq!(main.pin("shards-1", "timings", b"").unwrap(), b"of main");
    main.merge("timings", add("later")).unwrap();
    assert_eq!(main.pin("shards-1", "timings", b"").unwrap(), b"of main");
    assert_eq!(reader.pin("shards-2", "timings", b"").unwrap(), b"later\nof main");
    assert_eq!(main.pin("shards-3", "nothing", b"none").unwrap(), b"none");
}

/// Machines that publish at the same moment lose nothing.
fn loses_no_update(location: &str, machines: usize) {
    let threads: Vec<_> = (0..machines)
        .map(|number| {
            let store = open(location, "race");
            thread::spawn(move || store.merge("timings", add(&format!("machine {number}"))))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    let all = text(&open(location, "race")).unwrap();
    assert_eq!(all.lines().filter(|line| line.starts_with("machine")).count(), machines, "{all}");
}

#[test]
fn a_folder_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().join("deep").display().to_string();
    keeps_the_rules(&location);
    loses_no_update(&location, 8);
}

#[test]
fn documents_of_branches_that_are_gone_are_deleted_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let location = folder.path().display().to_string();
    open(&location, "old").merge("timings", add("a")).unwrap();
    let old = folder.path().join(name::of("timings", "old"));
    let foreign = folder.path().join("notes.txt");
    std::fs::write(&foreign, "keep").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(31 * 24 * 60 * 60);
    for path in [&old, &foreign] {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    open(&location, "new").merge("timings", add("b")).unwrap();
    assert!(!old.exists() && foreign.exists());
}

#[test]
fn a_folder_that_cannot_be_used_is_a_failure_with_a_hint() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let location = file.path().display().to_string();
    let failure = open(&location, "main").merge("timings", add("a")).unwrap_err();
    assert_eq!(failure.code, FailureCode::Io);
    assert!(failure.message.contains(&location) && failure.hint.is_some(), "{failure}");
}

/// What a request asked and how it was answered.
type Answer = tiny_http::Response<std::io::Cursor<Vec<u8>>>;
type Answers = dyn Fn(&mut tiny_http::Request, &mut BTreeMap<String, Vec<u8>>) -> Option<Answer> + Send + Sync;

/// Method, path and credentials.
type Asked = (String, String, Option<String>);

/// A server of documents with entity tags; `fault` may answer first.
struct Server {
    server: Arc<tiny_http::Server>,
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn start(
        fault: impl Fn(&mut tiny_http::Request, &mut BTreeMap<String, Vec<u8>>) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
        let address = server.server_addr().to_ip().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let fault: Arc<Answers> = Arc::new(fault);
        let documents = Arc::new(Mutex::new(BTreeMap::new()));
        for _ in 0..4 {
            let (server, seen) = (Arc::clone(&server), Arc::clone(&seen));
            let (fault, documents) = (Arc::clone(&fault), Arc::clone(&documents));
            thread::spawn(move || {
                while let Ok(mut request) = server.recv() {
                    seen.lock().unwrap().push((
                        request.method().to_string(),
                        request.url().to_owned(),
                        header(&request, "authorization"),
                    ));
                    let mut documents = documents.lock().unwrap();
                    let answer =
                        fault(&mut request, &mut documents).unwrap_or_else(|| serve(&mut request, &mut documents));
                    drop(documents);
                    let _ = request.respond(answer);
                }
            });
        }
        Self { server, address, seen }
    }

    fn location(&self) -> String {
        format!("http://{}/history", self.address)
    }

    fn seen(&self) -> Vec<(String, String, Option<String>)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for _ in 0..4 {
            self.server.unblock();
        }
    }
}

fn header(request: &tiny_http::Request, name: &'static str) -> Option<String> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.to_string())
}

fn status(code: u16) -> Answer {
    tiny_http::Response::from_data(Vec::new()).with_status_code(code)
}

fn redirect(code: u16, to: &str) -> Answer {
    status(code).with_header(tiny_http::Header::from_bytes("Location", to).unwrap())
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", &crate::hash::sha256(bytes)[..16])
}

/// GET and PUT as RFC 9110 has them.
fn serve(request: &mut tiny_http::Request, documents: &mut BTreeMap<String, Vec<u8>>) -> Answer {
    let path = request.url().to_owned();
    let found = documents.get(&path).cloned();
    match (request.method(), found) {
        (tiny_http::Method::Get, None) => status(404),
        (tiny_http::Method::Get, Some(bytes)) => {
            let header = tiny_http::Header::from_bytes("ETag", tag(&bytes)).unwrap();
            tiny_http::Response::from_data(bytes).with_header(header)
        }
        (tiny_http::Method::Put, found) => {
            let fits = match (header(request, "if-match"), header(request, "if-none-match"), &found) {
                (Some(expected), _, Some(bytes)) => expected == tag(bytes),
                (Some(_), _, None) => false,
                (None, Some(_), found) => found.is_none(),
                (None, None, _) => true,
            };
            if !fits {
                return status(412);
            }
            let mut bytes = Vec::new();
            request.as_reader().read_to_end(&mut bytes).unwrap();
            documents.insert(path, bytes);
            status(204)
        }
        _ => status(405),
    }
}

#[test]
fn a_server_is_shared() {
    let server = Server::start(|_, _| None);
    keeps_the_rules(&server.location());
    loses_no_update(&server.location(), 6);
}

#[test]
fn a_server_that_compares_nothing_loses_nothing_that_is_seen() {
    // As nginx: entity tags are sent, and ignored in a PUT. Somebody else writes right after this machine.
    let others = AtomicU32::new(0);
    let server = Server::start(move |request, documents| {
        if *request.method() != tiny_http::Method::Put {
            return None;
        }
        let mut bytes = Vec::new();
        request.as_reader().read_to_end(&mut bytes).unwrap();
        if others.fetch_add(1, Ordering::SeqCst) == 0 {
            bytes = b"other".to_vec();
        }
        documents.insert(request.url().to_owned(), bytes);
        Some(status(201))
    });
    let store = open(&server.location(), "main");
    store.merge("timings", add("mine")).unwrap();
    assert_eq!(text(&store).as_deref(), Some("mine\nother"));
}

#[test]
fn somebody_who_always_comes_first_is_given_up() {
    let count = AtomicU32::new(0);
    let server = Server::start(move |request, documents| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        documents.insert(request.url().to_owned(), format!("other {number}").into_bytes());
        (*request.method() == tiny_http::Method::Put).then(|| status(412))
    });
    let limits = Limits { attempts: 3, ..QUICK };
    let store = Store::open_within(&history(&server.location(), "main"), &BTreeMap::new(), limits).unwrap();
    let failure = store.merge("timings", add("mine")).unwrap_err();
    assert!(failure.to_string().contains("3 times in a row"), "{failure}");
}

#[test]
fn a_refusal_says_what_to_do() {
    for (code, hint) in [(401, "passwordVariable"), (403, "passwordVariable"), (405, "PUT"), (418, "log")] {
        let server = Server::start(move |_, _| Some(status(code)));
        let store = open(&server.location(), "main");
        let failure = store.read("timings").unwrap_err();
        assert!(failure.causes.iter().any(|cause| cause.contains(&code.to_string())), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains(hint), "{failure}");
        assert!(store.merge("timings", add("a")).is_err());
        assert_eq!(server.seen().len(), 2, "a refusal is final");
    }
}

#[test]
fn a_server_that_is_busy_for_a_moment_is_asked_again() {
    let count = AtomicU32::new(0);
    let server = Server::start(move |_, _| count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2).then(|| status(503)));
    let store = open(&server.location(), "main");
    store.merge("timings", add("mine")).unwrap();
    assert_eq!(text(&store).as_deref(), Some("mine"));
    let broken = Server::start(|_, _| Some(status(500)));
    assert!(open(&broken.location(), "main").read("timings").is_err());
    assert_eq!(broken.seen().len(), 3);
}

/// A server that does with each connection what it likes.
fn raw(answer: impl Fn(std::net::TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("http://{}/history", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            answer(connection.unwrap());
        }
    });
    location
}

#[test]
fn a_server_that_answers_nonsense_or_half_is_a_failure() {
    let answers: [&[u8]; 4] = [
        b"\x00\x01garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"",
    ];
    for answer in answers {
        let location = raw(move |mut connection| {
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(answer);
        });
        let failure = open(&location, "main").read("timings").unwrap_err();
        assert_eq!(failure.code, FailureCode::Io, "{failure}");
        assert!(!failure.causes.is_empty() && failure.hint.is_some(), "{failure}");
    }
}

#[test]
fn nobody_waits_for_a_server_that_says_nothing() {
    let silent = raw(std::mem::forget);
    let limits = Limits { read: Duration::from_millis(200), merge: Duration::from_millis(200), ..QUICK };
    let store = Store::open_within(&history(&silent, "main"), &BTreeMap::new(), limits).unwrap();
    for failure in [store.read("timings").unwrap_err(), store.merge("timings", add("a")).unwrap_err()] {
        assert!(failure.to_string().contains("longer than 0.2 s"), "{failure}");
    }
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let failure = open(&location, "main").read("timings").unwrap_err();
    assert!(failure.message.contains(&location), "{failure}");
}

fn with_password(location: &str, user: Option<&str>) -> Store {
    let mut history = history(location, "main");
    history.user_variable = user.map(str::to_owned);
    history.password_variable = Some("PASSWORD".into());
    let environment = [("CI_USER", "me"), ("PASSWORD", "s3cret")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Store::open_within(&history, &environment, QUICK).unwrap()
}

#[test]
fn credentials_are_sent_and_shown_nowhere() {
    let server = Server::start(|request, _| header(request, "authorization").is_none().then(|| status(401)));
    let token = with_password(&server.location(), None);
    token.merge("timings", add("mine")).unwrap();
    assert_eq!(server.seen()[0].2.as_deref(), Some("Bearer s3cret"));
    with_password(&server.location(), Some("CI_USER")).read("timings").unwrap();
    assert_eq!(server.seen().last().unwrap().2.as_deref(), Some("Basic bWU6czNjcmV0"));
    let refusing = Server::start(|_, _| Some(status(403)));
    let failure = with_password(&refusing.location(), None).read("timings").unwrap_err();
    assert!(!failure.to_string().contains("s3cret"), "{failure}");
}

#[test]
fn redirects_are_followed_and_other_servers_see_no_credentials() {
    let target = Server::start(|_, _| None);
    let to = target.location();
    let server = Server::start(move |request, _| {
        let name = request.url().rsplit('/').next().unwrap();
        Some(redirect(307, &format!("{to}/{name}?X-Signature=s3cret-too")))
    });
    let store = with_password(&server.location(), None);
    store.merge("timings", add("mine")).unwrap();
    assert_eq!(text(&store).as_deref(), Some("mine"));
    assert!(server.seen().iter().all(|(_, _, login)| login.is_some()));
    assert!(!target.seen().is_empty() && target.seen().iter().all(|(_, _, login)| login.is_none()));
}

#[test]
fn redirects_that_lead_nowhere_are_failures() {
    // A PUT that became a GET would seem to have been written.
    let server =
        Server::start(|request, _| (*request.method() == tiny_http::Method::Put).then(|| redirect(302, "/login")));
    let failure = open(&server.location(), "main").merge("timings", add("a")).unwrap_err();
    assert!(failure.to_string().contains("302"), "{failure}");
    for to in ["/history/again", "ftp://elsewhere/", "http://[", ""] {
        let server = Server::start(move |_, _| Some(redirect(308, to)));
        assert!(open(&server.location(), "main").read("timings").is_err(), "{to}");
        assert!(server.seen().len() <= 10, "{to}");
    }
}

#[test]
fn a_failed_merge_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().display().to_string(), "main");
    let failure = store.merge("timings", |_| Err(Failure::new(FailureCode::Internal, "failed to merge"))).unwrap_err();
    assert!(failure.to_string().contains("failed to merge"), "{failure}");
    assert_eq!(store.read("timings").unwrap(), None);
}
