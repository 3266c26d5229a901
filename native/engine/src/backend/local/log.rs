//! The last lines of an agent's log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::task::JoinHandle;

const LINES: usize = 20;
const LINE_BYTES: u64 = 4 << 10;

/// Follows a log and keeps its last lines.
pub(super) struct LogTail {
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl LogTail {
    /// Reads `stderr` of an agent to its end.
    pub(super) fn follow(worker: u32, stderr: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&lines);
        let reader = tokio::spawn(async move {
            let mut log = BufReader::new(stderr);
            let mut line = Vec::new();
            loop {
                line.clear();
                match (&mut log).take(LINE_BYTES).read_until(b'\n', &mut line).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                tracing::debug!(worker, agent = text);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == LINES {
                    kept.pop_front();
                }
                kept.push_back(text);
            }
        });
        Self { lines, reader }
    }

    /// The last lines, once the log is read to its end or something else keeps it open.
    pub(super) async fn lines(&mut self) -> Vec<String> {
        // A task whose end was seen must not be asked again.
        if !self.reader.is_finished() {
            let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.reader).await;
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for LogTail {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
