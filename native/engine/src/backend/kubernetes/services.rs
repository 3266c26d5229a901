//! Services of a worker as sidecars of its pod.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use testfleet_protocol::docker::{Readiness, Service};
use testfleet_protocol::{Failure, FailureCode, Result};

/// How long one look at whether a service is ready may take, in seconds.
const PROBE_SECONDS: u32 = 10;

/// Where services are, for the worker's environment: `POSTGRES_HOST`, `POSTGRES_PORT`.
pub(super) fn addresses(services: &BTreeMap<String, Service>) -> BTreeMap<String, String> {
    let mut addresses = BTreeMap::new();
    for (name, service) in services {
        let variable = crate::backend::variable(name);
        addresses.insert(format!("{variable}_HOST"), name.clone());
        addresses.extend(service.port.map(|port| (format!("{variable}_PORT"), port.to_string())));
    }
    addresses
}

/// A text that the cluster passes on as it is: `$(NAME)` would be replaced, and `$$` made one.
fn plain(text: &str) -> String {
    text.replace('$', "$$")
}

/// A service as a sidecar of the pod: started before the worker, ready before it starts, ended with it.
pub(super) fn sidecar(name: &str, service: &Service) -> Result<Value> {
    let mut container = json!({
        "name": name,
        "image": service.image,
        "restartPolicy": "Always",
        "env": service.environment.iter().map(|(name, value)| json!({ "name": name, "value": plain(value) })).collect::<Vec<_>>(),
    });
    if !service.command.is_empty() {
        container["args"] = service.command.iter().map(|word| json!(plain(word))).collect();
    }
    if let Some(bytes) = service.memory_bytes {
        container["resources"] =
            json!({ "requests": { "memory": bytes.to_string() }, "limits": { "memory": bytes.to_string() } });
    }
    let probe = match (&service.readiness, service.port) {
        (Readiness::Port, Some(port)) => Some(json!({ "tcpSocket": { "port": port } })),
        (Readiness::Port, None) => None,
        (Readiness::Command { command }, _) => Some(json!({ "exec": { "command": command } })),
        (Readiness::Log { .. } | Readiness::Healthy, _) => {
            return Err(Failure::new(
                FailureCode::InvalidRequest,
                format!("failed to start the service {name} in pods"),
            )
            .cause_text("Kubernetes looks neither for text in logs nor at health checks of images")
            .hint("say when it is ready by its port, or by readyCommand = [...]"));
        }
    };
    if let Some(mut probe) = probe {
        probe["periodSeconds"] = json!(1);
        probe["timeoutSeconds"] = json!(PROBE_SECONDS);
        probe["failureThreshold"] = json!(service.ready_within_ms.div_ceil(1_000).max(1));
        container["startupProbe"] = probe;
    }
    if !service.tmpfs.is_empty() {
        return Err(Failure::new(FailureCode::InvalidRequest, format!("failed to start the service {name} in pods"))
            .cause_text("`tmpfs` is not known there")
            .hint("give it a volume in memory by the podTemplate"));
    }
    Ok(container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_pods_cannot_have_are_refused() {
        for readiness in [r#"{"type":"log","text":"up"}"#, r#"{"type":"healthy"}"#] {
            let service: Service =
                serde_json::from_str(&format!(r#"{{"image":"x","readiness":{readiness}}}"#)).unwrap();
            assert!(sidecar("db", &service).is_err());
        }
    }
}
