//! A container of an image that does nothing, for a shell in it.

use super::host::Host;
use super::image::WorkerImage;
use super::labels::Labels;
use super::spec::Spec;
use super::this_machine;
use crate::backend::WorkerLife;
use std::collections::BTreeMap;
use testfleet_protocol::Result;
use testfleet_protocol::docker::DockerOptions;

/// After so many hours the container goes by itself.
pub(crate) const SHELL_HOURS: u64 = 8;

/// Programs that are a shell, the most comfortable first.
const SHELLS: [&str; 3] = ["/bin/bash", "/bin/sh", "/bin/ash"];

impl Host {
    /// Starts a container of an image in which the agent's program only waits, with all else as a worker has it. Returns
    /// the shell that the image has.
    ///
    /// # Errors
    /// When the container does not start.
    pub(crate) async fn open_shell(
        &self,
        name: &str,
        image: &WorkerImage,
        worker: u32,
        options: &DockerOptions,
        environment: &BTreeMap<String, String>,
    ) -> Result<Option<&'static str>> {
        // A shell has no services beside it: they go with the worker that they were started for.
        let options = DockerOptions { services: BTreeMap::new(), keep: true, ..options.clone() };
        let labels = Labels { run: "shell".into(), machine: this_machine(), folder: "".into(), keep: true };
        let spec =
            Spec { options: &options, labels: &labels, run: "shell", workers_total: 1, environment, debug_jvm: false };
        let life = WorkerLife { worker, life: 1 };
        let mut body = spec.worker(life, image.of(worker)?);
        let seconds = (SHELL_HOURS * 3_600).to_string();
        body.entrypoint = Some(vec![image.agent.clone()]);
        body.cmd = Some(vec!["hold".to_owned(), "--seconds".to_owned(), seconds]);
        body.labels = Some(labels.of(life, "shell"));
        if let Some(place) = &mut body.host_config {
            place.auto_remove = Some(true);
        }
        let started = self.run("start a container for a shell", name, body).await;
        if started.is_err() {
            // One that never ran does not go by itself.
            self.remove_container(name).await;
        }
        let container = started?;
        for shell in SHELLS {
            if self.ends_well(&container, &[shell, "-c", "exit 0"]).await {
                return Ok(Some(shell));
            }
        }
        Ok(None)
    }
}
