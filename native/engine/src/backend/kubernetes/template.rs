//! A user's pod template, merged over ours.

use serde_json::{Map, Value};
use std::path::Path;
use testfleet_protocol::{Failure, FailureCode, Result};

/// Lists whose entries are told apart by a field: who has one of a name changes it, who has another adds it.
const KEYED: [(&str, &str); 9] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("imagePullSecrets", "name"),
    ("volumeMounts", "mountPath"),
    ("ports", "containerPort"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
];
/// Lists to which entries are added.
const ADDED: [&str; 2] = ["tolerations", "envFrom"];

/// Reads a template: a `Pod`, a `PodTemplate`, or what has `metadata` and `spec` of a pod.
///
/// # Errors
/// `Io`, or `InvalidRequest` for what is no YAML or no pod.
pub(super) fn read(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::io("read", file, &error))?;
    let invalid = || Failure::new(FailureCode::InvalidRequest, format!("failed to use {}", file.display()));
    // `no` and `n` are words, too: of truth values there are two.
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: Value = serde_saphyr::from_str_with_options(&text, options).map_err(|error| invalid().cause(&error))?;
    let value = match value.get("template") {
        Some(template) if value["kind"] == "PodTemplate" => template.clone(),
        _ => value,
    };
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or("Pod");
    if kind != "Pod" || !value.get("spec").is_some_and(Value::is_object) {
        return Err(invalid()
            .cause_text("it is no template of a pod")
            .hint("it has `spec:` of a pod, and may have `metadata:`; the container of tests is called `worker`"));
    }
    let parts = ["metadata", "spec"].into_iter().filter_map(|part| Some((part.to_owned(), value.get(part)?.clone())));
    Ok(Value::Object(parts.collect()))
}

/// Puts `over` over `base`: fields one by one, lists by the names of their entries, anything else as a whole. `null` takes
/// away. It is what strategic merge patches do, for the lists that pods have.
pub(super) fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                merge_field(base, name, value);
            }
        }
        (base, over) => *base = over,
    }
}

fn merge_field(base: &mut Map<String, Value>, name: String, over: Value) {
    if over.is_null() {
        base.remove(&name);
        return;
    }
    let key = KEYED.iter().find(|(list, _)| *list == name).map(|(_, key)| *key);
    match (base.get_mut(&name), over) {
        (Some(Value::Array(entries)), Value::Array(over)) if key.is_some() => {
            let key = key.unwrap_or_default();
            for entry in over {
                match entries.iter_mut().find(|known| known.get(key).is_some() && known.get(key) == entry.get(key)) {
                    Some(known) => merge(known, entry),
                    None => entries.push(entry),
                }
            }
        }
        (Some(Value::Array(entries)), Value::Array(over)) if ADDED.contains(&name.as_str()) => entries.extend(over),
        (Some(value), over) => merge(value, over),
        (None, over) => drop(base.insert(name, over)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_merged_by_name() {
        let mut pod = json!({ "metadata": { "labels": { "a": "1" } }, "spec": {
            "containers": [{ "name": "worker", "image": "x", "env": [{ "name": "A", "value": "1" }], "args": ["1", "2"] }],
            "tolerations": [{ "key": "k" }], "enableServiceLinks": false, "priorityClassName": "p",
        }});
        merge(
            &mut pod,
            json!({ "metadata": { "labels": { "b": "2" } }, "spec": {
                "containers": [{ "name": "worker", "env": [{ "name": "A", "value": "2" }, { "name": "B" }], "args": ["3"] }, { "name": "side" }],
                "tolerations": [{ "key": "l" }], "priorityClassName": null, "nodeSelector": { "n": "1" },
            }}),
        );
        assert_eq!(
            pod,
            json!({ "metadata": { "labels": { "a": "1", "b": "2" } }, "spec": {
                "containers": [
                    { "name": "worker", "image": "x", "env": [{ "name": "A", "value": "2" }, { "name": "B" }], "args": ["3"] },
                    { "name": "side" },
                ],
                "tolerations": [{ "key": "k" }, { "key": "l" }], "enableServiceLinks": false, "nodeSelector": { "n": "1" },
            }})
        );
    }

    #[test]
    fn what_is_no_pod_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pod.yaml");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read(&file)
        };
        let pod = read("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers: []\n").unwrap();
        assert_eq!(pod, json!({ "metadata": { "name": "x" }, "spec": { "containers": [] } }));
        let template = read("kind: PodTemplate\ntemplate:\n  spec: {nodeName: n}\n").unwrap();
        assert_eq!(template, json!({ "spec": { "nodeName": "n" } }));
        assert!(read("spec: {a: 1}").is_ok());
        for bad in ["kind: Job\nspec: {}", "a: 1", "spec: 3", "\t{", ""] {
            assert_eq!(read(bad).unwrap_err().code, FailureCode::InvalidRequest, "{bad}");
        }
    }
}
