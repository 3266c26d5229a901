//! A line to an agent: a port-forward through the cluster's API server, and TLS in it.

use super::spec::PORT;
use super::trouble;
use crate::backend::silence::UntilSilent;
use crate::backend::{Line, WorkerLife};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode};
use testfleet_wire::{Identity, Peer, Refusal, dial_over};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::timeout;

/// How long the API server may take to reach a pod.
const FORWARD: Duration = Duration::from_secs(20);

/// Why there is no line.
pub(super) enum NoLine {
    /// It may work later.
    Now(Failure),
    /// It will never work.
    Never(Failure),
}

/// Reaches the agent in a pod and tells it which worker it is. The line ends when nothing came for `silence`: a way through
/// several machines may break without a word.
pub(super) async fn open(
    pods: &Api<Pod>,
    pod: &str,
    life: WorkerLife,
    identity: &Identity,
    silence: Option<Duration>,
) -> Result<Line, NoLine> {
    let what = format!("reach worker {} in pod {pod}", life.worker);
    let refused =
        |why: &str| NoLine::Now(Failure::new(FailureCode::WorkerBroken, format!("failed to {what}")).cause_text(why));
    let forwarded = timeout(FORWARD, pods.portforward(pod, &[PORT])).await;
    let mut forwarder = match forwarded {
        Ok(Ok(forwarder)) => forwarder,
        Ok(Err(error)) if trouble::is_forbidden(&error) => return Err(NoLine::Never(trouble::failure(&what, error))),
        Ok(Err(error)) => return Err(NoLine::Now(trouble::failure(&what, error))),
        Err(_) => return Err(refused("the API server did not answer in time")),
    };
    let (Some(stream), Some(broken)) = (forwarder.take_stream(PORT), forwarder.take_error(PORT)) else {
        return Err(refused("the port was not forwarded"));
    };
    let stream = Forwarded { stream, _held: Held(forwarder) };
    let way = format!("through the API server, in pod {pod}");
    let met = tokio::select! {
        biased;
        Some(why) = broken => return Err(refused(&why)),
        met = dial_over(stream, &way, identity, Peer::AnyWorker, life.worker, life.life) => met,
    };
    match met {
        Ok(stream) => {
            let (from, to) = tokio::io::split(stream);
            let from = UntilSilent::new(life.worker, from, silence);
            Ok(Line { from_agent: Box::new(from), to_agent: Box::new(to) })
        }
        Err(Refusal::Now(failure)) => Err(NoLine::Now(failure)),
        Err(Refusal::Version(failure) | Refusal::Over(failure)) => Err(NoLine::Never(failure)),
    }
}

/// A stream that takes its connection with it when it is dropped.
struct Forwarded {
    stream: DuplexStream,
    _held: Held,
}

struct Held(kube::api::Portforwarder);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
