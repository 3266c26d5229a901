//! A registry in this process, as faulty as a test wants it, and a way to it that breaks.

use crate::Digest;
use std::collections::HashMap;
use std::io::{Cursor, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use tiny_http::{Header, Method, Request, Response, Server};

pub(crate) type Answer = Response<Cursor<Vec<u8>>>;
type Fault = dyn Fn(&mut Request, &mut State) -> Option<Answer> + Send + Sync;

/// What it holds. Repositories and digests or tags are the keys.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) blobs: HashMap<(String, String), Vec<u8>>,
    pub(crate) manifests: HashMap<(String, String), (String, Vec<u8>)>,
    pub(crate) uploads: HashMap<String, Vec<u8>>,
    /// Method, address and login of each request.
    pub(crate) seen: Vec<(String, String, Option<String>)>,
}

pub(crate) struct Fake {
    server: Arc<Server>,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

const THREADS: usize = 8;

impl Fake {
    /// `fault` may answer first.
    pub(crate) fn start(fault: impl Fn(&mut Request, &mut State) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let address = server.server_addr().to_ip().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let fault: Arc<Fault> = Arc::new(fault);
        for _ in 0..THREADS {
            let (server, state, fault) = (Arc::clone(&server), Arc::clone(&state), Arc::clone(&fault));
            thread::spawn(move || {
                while let Ok(mut request) = server.recv() {
                    let mut locked = state.lock().unwrap();
                    let login = header(&request, "authorization");
                    locked.seen.push((request.method().to_string(), request.url().to_owned(), login));
                    let answer = fault(&mut request, &mut locked).unwrap_or_else(|| serve(&mut request, &mut locked));
                    drop(locked);
                    let _ = request.respond(answer);
                }
            });
        }
        Self { server, address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.address)
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// The requests since it was asked last: `HEAD /v2/app/manifests/1`.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.with(|state| std::mem::take(&mut state.seen));
        seen.into_iter().map(|(method, url, _)| format!("{method} {url}")).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        for _ in 0..THREADS {
            self.server.unblock();
        }
    }
}

pub(crate) fn header(request: &Request, name: &'static str) -> Option<String> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.to_string())
}

pub(crate) fn status(code: u16) -> Answer {
    Response::from_data(Vec::new()).with_status_code(code)
}

pub(crate) fn with(answer: Answer, name: &str, value: &str) -> Answer {
    answer.with_header(Header::from_bytes(name, value).unwrap())
}

pub(crate) fn complaint(code: u16, error: &str) -> Answer {
    Response::from_string(format!("{{\"errors\": [{{\"code\": \"{error}\", \"message\": \"so it is\"}}]}}"))
        .with_status_code(code)
}

pub(crate) fn body(request: &mut Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.as_reader().read_to_end(&mut bytes).unwrap();
    bytes
}

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// As the OCI distribution specification has it.
pub(crate) fn serve(request: &mut Request, state: &mut State) -> Answer {
    let url = request.url().to_owned();
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let param = |name: &str| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.map(|value| value.replace("%3A", ":").replace("%2F", "/"))
    };
    let Some(path) = path.strip_prefix("/v2/") else { return status(404) };
    if let Some((repository, name)) = path.split_once("/manifests/") {
        let key = (repository.to_owned(), name.to_owned());
        if *request.method() == Method::Put {
            let media_type = header(request, "content-type").unwrap();
            let bytes = body(request);
            let named = digest(&bytes);
            state.manifests.insert((repository.to_owned(), named), (media_type.clone(), bytes.clone()));
            state.manifests.insert(key, (media_type, bytes));
            return status(201);
        }
        return match state.manifests.get(&key) {
            None => complaint(404, "MANIFEST_UNKNOWN"),
            Some((media_type, bytes)) => {
                let answer = with(Response::from_data(bytes.clone()), "Content-Type", media_type);
                with(answer, "Docker-Content-Digest", &digest(bytes))
            }
        };
    }
    if let Some((repository, id)) = path.split_once("/blobs/uploads/") {
        return upload(request, state, repository, id, &param);
    }
    let Some((repository, name)) = path.split_once("/blobs/") else { return status(404) };
    let Some(bytes) = state.blobs.get(&(repository.to_owned(), name.to_owned())) else {
        return complaint(404, "BLOB_UNKNOWN");
    };
    let range =
        header(request, "range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    match range {
        None => Response::from_data(bytes.clone()),
        Some(from) if from < bytes.len() => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            with(Response::from_data(&bytes[from..]).with_status_code(206), "Content-Range", &range)
        }
        Some(_) => status(416),
    }
}

fn upload(
    request: &mut Request,
    state: &mut State,
    repository: &str,
    id: &str,
    param: &dyn Fn(&str) -> Option<String>,
) -> Answer {
    let session = |answer: Answer, id: &str, has: usize| {
        let answer = with(answer, "Location", &format!("/v2/{repository}/blobs/uploads/{id}?state=s3cret"));
        with(answer, "Range", &format!("0-{}", has.saturating_sub(1)))
    };
    match request.method() {
        Method::Post => {
            if let (Some(digest), Some(from)) = (param("mount"), param("from"))
                && let Some(bytes) = state.blobs.get(&(from, digest.clone())).cloned()
            {
                state.blobs.insert((repository.to_owned(), digest), bytes);
                return status(201);
            }
            let id = format!("u{}", state.uploads.len());
            state.uploads.insert(id.clone(), Vec::new());
            session(status(202), &id, 0)
        }
        Method::Get => match state.uploads.get(id) {
            Some(bytes) => session(status(204), id, bytes.len()),
            None => complaint(404, "BLOB_UPLOAD_UNKNOWN"),
        },
        Method::Patch => {
            let (bytes, range) = (body(request), header(request, "content-range"));
            let Some(upload) = state.uploads.get_mut(id) else { return complaint(404, "BLOB_UPLOAD_UNKNOWN") };
            if range != Some(format!("{}-{}", upload.len(), upload.len() + bytes.len() - 1)) {
                return status(416);
            }
            upload.extend_from_slice(&bytes);
            session(status(202), id, upload.len())
        }
        Method::Put => {
            let rest = body(request);
            let Some(mut bytes) = state.uploads.remove(id) else { return complaint(404, "BLOB_UPLOAD_UNKNOWN") };
            bytes.extend_from_slice(&rest);
            let named = digest(&bytes);
            if param("digest") != Some(named.clone()) {
                return complaint(400, "DIGEST_INVALID");
            }
            state.blobs.insert((repository.to_owned(), named), bytes);
            status(201)
        }
        _ => status(405),
    }
}

/// A way to `to` on which the nth connection breaks after `sent(n)` bytes there and `received(n)` bytes back.
pub(crate) fn breaking_way(
    to: SocketAddr,
    sent: impl Fn(u32) -> Option<u64> + Send + 'static,
    received: impl Fn(u32) -> Option<u64> + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, client) in (0..).zip(listener.incoming()) {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(to)) else { return };
            let (back, there) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (sent, received) = (sent(number), received(number));
            thread::spawn(move || carry(client, server, sent));
            thread::spawn(move || carry(there, back, received));
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream, most: Option<u64>) {
    let mut left = most.unwrap_or(u64::MAX);
    let mut buffer = [0; 4096];
    while let Ok(read) = from.read(&mut buffer) {
        let read = (read as u64).min(left) as usize;
        left -= read as u64;
        if read == 0 || to.write_all(&buffer[..read]).is_err() || left == 0 {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
