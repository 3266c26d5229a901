//! Coverage data of JaCoCo: each JVM writes to a file of its own, which comes back when the JVM has ended.

use std::path::Path;

/// The argument with JaCoCo's `destfile` changed to `to`; `None` when it is no JaCoCo agent that writes a file.
pub(crate) fn redirected(argument: &str, to: &Path) -> Option<String> {
    let (jar, options) = argument.strip_prefix("-javaagent:")?.split_once('=')?;
    let options = split(options);
    let value = |name: &str| options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
    // No other agent has this option; where it is missing, JaCoCo's own default is a file that all JVMs append to.
    value("destfile")?;
    if value("output").is_some_and(|output| output != "file") {
        return None;
    }
    let replaced = options.iter().map(|option| {
        if option.starts_with("destfile=") { format!("destfile={}", to.display()) } else { (*option).to_owned() }
    });
    Some(format!("-javaagent:{jar}={}", replaced.collect::<Vec<_>>().join(",")))
}

/// JaCoCo's rule: a comma separates options where a name and `=` follow it; elsewhere it is part of a value.
fn split(options: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, _) in options.match_indices(',') {
        let next = &options[at + 1..];
        let name = next.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        if name.is_some_and(|end| end > 0 && next[end..].starts_with('=')) {
            parts.push(&options[from..at]);
            from = at + 1;
        }
    }
    parts.push(&options[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_changed_and_nothing_else() {
        let to = Path::new("/tmp/w1/jvm1/jacoco.exec");
        let given =
            "-javaagent:/x/agent.jar=destfile=../build/a,b.exec,append=true,excludes=a.*:b.*,output=file,jmx=false";
        assert_eq!(
            redirected(given, to).unwrap(),
            "-javaagent:/x/agent.jar=destfile=/tmp/w1/jvm1/jacoco.exec,append=true,excludes=a.*:b.*,output=file,jmx=false"
        );
        let last = "-javaagent:a.jar=includes=x,destfile=b";
        assert_eq!(redirected(last, to).unwrap(), format!("-javaagent:a.jar=includes=x,destfile={}", to.display()));
    }

    #[test]
    fn other_agents_stay_as_they_are() {
        let to = Path::new("/t");
        for argument in [
            "-javaagent:a.jar",
            "-javaagent:a.jar=config=x,y",
            "-javaagent:a.jar=destfile=x,output=tcpserver",
            "-Ddestfile=x",
            "-ea",
        ] {
            assert_eq!(redirected(argument, to), None, "{argument}");
        }
    }
}
