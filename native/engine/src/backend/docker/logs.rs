//! What a container wrote.

use super::host::Host;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::timeout;

/// How long Docker may take to tell a log.
const WITHIN: Duration = Duration::from_secs(2);
/// Characters of one line.
const LINE: usize = 2_000;

/// The last lines of a container's log. None when Docker can't tell, for example because its log driver keeps nothing.
pub(super) async fn tail(host: &Host, container: &str, lines: usize) -> Vec<String> {
    let count = lines.to_string();
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&count).build();
    let mut log = host.docker.logs(container, Some(options));
    let mut text = Vec::new();
    let read = async {
        while let Some(Ok(part)) = log.next().await {
            text.extend_from_slice(&part.into_bytes());
        }
    };
    // What came until then is better than nothing.
    let _ = timeout(WITHIN, read).await;
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().map(|line| line.trim_end().chars().take(LINE).collect::<String>()).collect();
    all[all.len().saturating_sub(lines)..].to_vec()
}
