//! A worker's pod while it runs and at its end.

use super::Shared;
use super::spec::WORKER;
use crate::backend::{BoxFuture, WorkerLife, WorkerProcess};
use kube::api::LogParams;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Last lines of its log in what is said of its end.
const LINES: usize = 20;
/// Lines that are kept of the log of a worker that failed.
const LOG: i64 = 100_000;
/// Between two tries to end a pod.
const AGAIN: Duration = Duration::from_secs(5);
/// How long it is tried.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// How long the cluster may take to hand a log over.
const LOG_TIME: Duration = Duration::from_secs(10);

/// A pod whose main process is an agent.
pub(super) struct PodProcess {
    shared: Arc<Shared>,
    life: WorkerLife,
    pod: String,
    /// How it ended, once that is known.
    how: Option<String>,
    /// Since when it is to end.
    killed: Option<Instant>,
}

impl PodProcess {
    pub(super) fn new(shared: Arc<Shared>, life: WorkerLife, pod: String) -> Self {
        Self { shared, life, pod, how: None, killed: None }
    }

    async fn end(&self) -> String {
        let ended = tokio::select! {
            ended = self.shared.pods.ended(&self.pod) => ended,
            how = self.end_again() => return how,
        };
        let on = |how: String| match self.shared.pods.node_of(&self.pod) {
            Some(node) => format!("{how} (pod {} on {node})", self.pod),
            None => format!("{how} (pod {})", self.pod),
        };
        if ended.well {
            return ended.how;
        }
        match self.log().await {
            log if log.is_empty() => on(ended.how),
            log => {
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
                format!("{}; the last lines of its log:\n{last}", on(ended.how))
            }
        }
    }

    /// Ends a pod again and again that is to end; says at last that it could not be ended. One that is not to end is left alone.
    async fn end_again(&self) -> String {
        let Some(killed) = self.killed else { return std::future::pending().await };
        while killed.elapsed() < ENDS_WITHIN {
            sleep(AGAIN).await;
            self.shared.end(&self.pod).await;
        }
        format!("could not be ended: the cluster still has pod {}", self.pod)
    }

    /// The log of a pod that is still there, which is kept with the run as well.
    async fn log(&self) -> String {
        let wanted = LogParams { container: Some(WORKER.to_owned()), tail_lines: Some(LOG), ..LogParams::default() };
        let log = match timeout(LOG_TIME, self.shared.api_pods().logs(&self.pod, &wanted)).await {
            Ok(Ok(log)) => log,
            Ok(Err(error)) => {
                tracing::debug!(pod = self.pod, %error, "its log is not to be had");
                return String::new();
            }
            Err(_) => return String::new(),
        };
        if !log.is_empty() {
            let folder = self.shared.config.run_dir.join("pods");
            let kept = std::fs::create_dir_all(&folder)
                .and_then(|()| std::fs::write(folder.join(format!("{}.log", self.pod)), &log));
            if let Err(error) = kept {
                tracing::warn!(pod = self.pod, %error, "the log of a pod could not be kept");
            }
        }
        log
    }
}

impl WorkerProcess for PodProcess {
    fn wait(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async move {
            // It may be given up at any time and called again.
            let how = match &self.how {
                Some(how) => how.clone(),
                None => self.end().await,
            };
            self.how = Some(how.clone());
            self.shared.forget(self.life);
            how
        })
    }

    fn kill(&mut self) {
        self.killed.get_or_insert_with(Instant::now);
        let (shared, pod) = (Arc::clone(&self.shared), self.pod.clone());
        tokio::spawn(async move { shared.end(&pod).await });
    }
}
