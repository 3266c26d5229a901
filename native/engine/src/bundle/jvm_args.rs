//! The JVM arguments of a profile, in the order in which Gradle gives them to a test worker: system properties first,
//! so that arguments can override them, then arguments, heap, encoding and assertions.

use testfleet_protocol::request::TestTask;

/// All arguments; `{worker}`, `{workers}` and `${temp}` are left for the agent to replace.
pub(crate) fn assemble(task: &TestTask) -> Vec<String> {
    let mut properties = task.system_properties.clone();
    let is_set = |name: &str| {
        task.system_properties.contains_key(name)
            || task.jvm_args.iter().any(|argument| argument.starts_with(&format!("-D{name}=")))
    };
    for (name, value) in [("org.gradle.test.worker", "{worker}"), ("java.io.tmpdir", "${temp}")] {
        if !is_set(name) {
            properties.insert(name.to_owned(), value.to_owned());
        }
    }
    let mut arguments: Vec<String> = properties.iter().map(|(name, value)| property(name, value)).collect();
    arguments.extend(task.jvm_args.iter().cloned());
    arguments.extend(task.min_heap.iter().map(|size| format!("-Xms{size}")));
    arguments.extend(task.max_heap.iter().map(|size| format!("-Xmx{size}")));
    arguments.extend(task.default_charset.iter().map(|charset| property("file.encoding", charset)));
    if task.enable_assertions {
        arguments.push("-ea".to_owned());
    }
    arguments
}

fn property(name: &str, value: &str) -> String {
    if value.is_empty() { format!("-D{name}") } else { format!("-D{name}={value}") }
}
