//! A cluster that answers what a test wants, in the process.

use super::Cluster;
use kube::Client;
use kube::client::Body;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// What the cluster was asked.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: String,
}

/// Answers with a status and JSON.
pub(super) struct FakeCluster {
    client: Client,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl FakeCluster {
    pub(super) fn new(answer: impl Fn(&Call) -> (u16, String) + Send + Sync + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (told, answer) = (Arc::clone(&calls), Arc::new(answer));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (told, answer) = (Arc::clone(&told), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let call = Call {
                    method: parts.method.to_string(),
                    path: parts.uri.path().to_owned(),
                    query: parts.uri.query().unwrap_or_default().to_owned(),
                    body: String::from_utf8(body.to_vec()).unwrap(),
                };
                let (status, text) = answer(&call);
                told.lock().unwrap().push(call);
                let response = http::Response::builder().status(status).body(Body::from(text.into_bytes()));
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        Self { client: Client::new(service, "ci"), calls }
    }

    pub(super) fn cluster(&self) -> Cluster {
        let (namespace, address) = ("ci".to_owned(), "https://cluster.example".to_owned());
        Cluster { client: self.client.clone(), namespace, address, version: "v1.34.4".to_owned() }
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Of all calls with this method.
    pub(super) fn paths(&self, method: &str) -> Vec<String> {
        self.calls().into_iter().filter(|call| call.method == method).map(|call| call.path).collect()
    }
}
