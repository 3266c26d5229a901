//! A worker's container while it runs and at its end.

use super::{Shared, logs, trouble};
use crate::backend::{BoxFuture, WorkerLife, WorkerProcess};
use bollard::errors::Error;
use bollard::models::ContainerState;
use bollard::query_parameters::KillContainerOptionsBuilder;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use testfleet_host::signal_in_words;
use tokio::time::{Instant, sleep};

/// Last lines of its log in what is said of its end.
const LINES: usize = 20;
/// How long Docker may be out of reach before its containers count as lost.
const OUT_OF_REACH: Duration = Duration::from_secs(60);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// A container whose main process is an agent.
pub(super) struct DockerProcess {
    pub(super) shared: Arc<Shared>,
    pub(super) life: WorkerLife,
    pub(super) container: String,
    /// How it ended, once that is known.
    how: Option<String>,
    /// Since when Docker does not answer.
    unreachable: Option<Instant>,
}

impl DockerProcess {
    pub(super) fn new(shared: Arc<Shared>, life: WorkerLife, container: String) -> Self {
        Self { shared, life, container, how: None, unreachable: None }
    }

    /// Waits for its end, also while Docker itself is out of reach for a while.
    async fn end(&mut self) -> String {
        let docker = &self.shared.config.host.docker;
        loop {
            let mut ended = docker.wait_container(&self.container, None);
            let error = match ended.next().await {
                Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) => return self.describe().await,
                Some(Err(error)) if trouble::is_gone(&error) => return "was removed from outside".to_owned(),
                Some(Err(error)) => error.to_string(),
                None => "the connection ended".to_owned(),
            };
            // Something between may only have cut a connection on which nothing is said for long.
            if docker.ping().await.is_ok() {
                self.unreachable = None;
            } else {
                let since = *self.unreachable.get_or_insert_with(Instant::now);
                if since.elapsed() > OUT_OF_REACH {
                    let seconds = OUT_OF_REACH.as_secs();
                    return format!("is out of reach: Docker has not answered for {seconds} s ({error})");
                }
            }
            sleep(PAUSE).await;
        }
    }

    async fn describe(&self) -> String {
        let host = &self.shared.config.host;
        let state = match host.docker.inspect_container(&self.container, None).await {
            Ok(about) => about.state.unwrap_or_default(),
            Err(error) => return format!("ended in a way that can't be told: {error}"),
        };
        let how = in_words(&state, self.shared.config.options.memory_bytes);
        let lines = logs::tail(host, &self.container, LINES).await;
        match lines.as_slice() {
            [] => how,
            lines if lines.iter().any(|line| line.contains("exec format error")) => {
                let own = &host.platform;
                format!("{how}: its image is not for {own}, which is what Docker runs on there")
            }
            lines => {
                let text = lines.join("\n");
                let hint = trouble::unfit_base(&text.to_lowercase());
                let hint = hint.map(|hint| format!("\n(hint: {hint})")).unwrap_or_default();
                format!("{how}; the last lines of its log:\n{text}{hint}")
            }
        }
    }
}

/// How a container ended; `limit` is that of its memory in bytes.
fn in_words(state: &ContainerState, limit: Option<u64>) -> String {
    const KILLED: i64 = 137;
    let code = state.exit_code.unwrap_or(-1);
    let memory = || match limit {
        Some(bytes) => format!("its container used more than its {} MB of memory", bytes >> 20),
        None => "the machine had no memory left".to_owned(),
    };
    if state.oom_killed == Some(true) && code == KILLED {
        let way = "raise testfleet { docker { memory } }, or lower maxHeapSize of the Test task";
        return format!("was killed for lack of memory: {} ({way})", memory());
    }
    let error = state.error.as_deref().filter(|error| !error.is_empty());
    let how = match code {
        129..=159 => format!("was killed by {}", signal_in_words(code as i32 - 128)),
        _ => format!("ended with exit code {code}"),
    };
    match error {
        Some(error) => format!("{how}: {error}"),
        None => how,
    }
}

impl WorkerProcess for DockerProcess {
    fn wait(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async move {
            // It may be given up at any time and called again.
            let how = match &self.how {
                Some(how) => how.clone(),
                None => self.end().await,
            };
            self.how = Some(how.clone());
            self.shared.forget(self.life);
            self.shared.remove(self.life).await;
            how
        })
    }

    fn kill(&mut self) {
        let (docker, container) = (self.shared.config.host.docker.clone(), self.container.clone());
        tokio::spawn(async move {
            let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
            // It fails for a container that has ended.
            if let Err(error) = docker.kill_container(&container, Some(options)).await {
                tracing::debug!(container, %error, "a container was not killed");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(exit_code: i64, oom_killed: bool) -> ContainerState {
        ContainerState { exit_code: Some(exit_code), oom_killed: Some(oom_killed), ..ContainerState::default() }
    }

    #[test]
    fn lack_of_memory_is_told_from_other_ends() {
        let text = in_words(&state(137, true), Some(256 << 20));
        assert!(text.starts_with("was killed for lack of memory: its container used more than its 256 MB"), "{text}");
        assert_eq!(in_words(&state(137, false), None), "was killed by signal 9 (SIGKILL)");
        // Its JVM was killed for that, which the agent tells.
        assert_eq!(in_words(&state(0, true), None), "ended with exit code 0");
        assert_eq!(in_words(&state(143, false), None), "was killed by signal 15 (SIGTERM)");
        let broken = ContainerState { error: Some("no such file".into()), ..state(127, false) };
        assert_eq!(in_words(&broken, None), "ended with exit code 127: no such file");
    }
}
