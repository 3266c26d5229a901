//! A line to an agent: a relay that Docker starts in the worker's container, its standard streams as the stream.

use super::host::Host;
use super::{spec, trouble};
use crate::backend::silence::UntilSilent;
use crate::backend::{Line, WorkerLife};
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::{Buf, Bytes};
use futures_util::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use testfleet_protocol::{Failure, FailureCode};
use testfleet_wire::{Refusal, RunSecret, knock};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that bollard reads at once.
const CAPACITY: usize = 64 << 10;

/// Why there is no line.
pub(super) enum NoLine {
    /// It may work later.
    Now(Failure),
    /// It will never work.
    Never(Failure),
}

/// Starts a relay beside the agent and says who is there. The line ends when nothing came for `silence`: a connection to
/// Docker that is broken may never say so.
pub(super) async fn open(
    host: &Host,
    container: &str,
    agent: &str,
    life: WorkerLife,
    secret: &RunSecret,
    silence: Option<Duration>,
) -> std::result::Result<Line, NoLine> {
    let what = format!("reach the agent of worker {}", life.worker);
    let failed = |error: Error| NoLine::Now(trouble::failure(&host.doing(&what), error));
    let socket = spec::socket(life);
    let relay = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(vec![agent, "relay", &socket]),
        ..CreateExecOptions::default()
    };
    let exec = host.docker.create_exec(container, relay).await.map_err(failed)?.id;
    let options = StartExecOptions { output_capacity: Some(CAPACITY), ..StartExecOptions::default() };
    let (output, input) = match host.docker.start_exec(&exec, Some(options)).await.map_err(failed)? {
        StartExecResults::Attached { output, input } => (output, input),
        StartExecResults::Detached => {
            return Err(NoLine::Never(Failure::new(FailureCode::Internal, "failed to attach to a relay")));
        }
    };
    let mut stream = tokio::io::join(Output::new(life.worker, output), input);
    match knock(&mut stream, secret, life.worker, life.life).await {
        Ok(()) => {}
        Err(Refusal::Now(failure)) => {
            let said = stream.into_inner().0.said;
            return Err(NoLine::Now(said.into_iter().fold(failure, Failure::cause_text)));
        }
        Err(Refusal::Version(failure) | Refusal::Over(failure)) => return Err(NoLine::Never(failure)),
    }
    let (output, input) = stream.into_inner();
    let output = UntilSilent::new(life.worker, output, silence);
    Ok(Line { from_agent: Box::new(output), to_agent: Box::new(input) })
}

/// What a relay writes to its standard output. What it says on its standard error is logged.
struct Output {
    worker: u32,
    from: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    left: Bytes,
    /// What it said on standard error, and what Docker itself said.
    said: Vec<String>,
}

/// How much of what a relay says is kept.
const SAID: usize = 10;

impl Output {
    fn new(worker: u32, from: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>) -> Self {
        Self { worker, from, left: Bytes::new(), said: Vec::new() }
    }

    fn heard(&mut self, output: LogOutput) {
        match output {
            LogOutput::StdOut { message } => self.left = message,
            other => {
                let text = String::from_utf8_lossy(&other.into_bytes()).trim().to_owned();
                tracing::debug!(worker = self.worker, relay = text);
                if self.said.len() < SAID && !text.is_empty() {
                    self.said.push(text);
                }
            }
        }
    }
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while self.left.is_empty() {
            match self.from.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(output))) => self.heard(output),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(std::io::Error::other(error))),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        let count = self.left.len().min(buffer.remaining());
        buffer.put_slice(&self.left[..count]);
        self.left.advance(count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use tokio::io::AsyncReadExt;

    fn out(text: &'static str) -> Result<LogOutput, Error> {
        Ok(LogOutput::StdOut { message: Bytes::from_static(text.as_bytes()) })
    }

    #[tokio::test]
    async fn standard_output_is_the_line_and_nothing_else() {
        let noise = LogOutput::StdErr { message: Bytes::from_static(b"a warning\n") };
        let parts = stream::iter(vec![out("one"), Ok(noise), out(""), out("two")]);
        let mut output = Output::new(1, Box::pin(parts));
        let mut text = String::new();
        output.read_to_string(&mut text).await.unwrap();
        assert_eq!((text.as_str(), output.said.as_slice()), ("onetwo", &["a warning".to_owned()][..]));
    }
}
