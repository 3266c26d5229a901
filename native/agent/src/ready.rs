//! Whether a JVM that is ready is the one that was wanted.

use crate::ending::Doom;
use testfleet_protocol::VERSION;
use testfleet_protocol::test::TaskPath;

/// Why a JVM can't run the tests of `task`, whose profile wants the feature release `wanted`, by what its harness says of itself:
/// its protocol, and its Java as `java.version` has it.
pub(crate) fn unfit(task: &TaskPath, wanted: u32, protocol: u32, java: &str) -> Option<Doom> {
    if protocol != VERSION {
        return Some(Doom::for_reason(format!("its harness speaks protocol {protocol}, not {VERSION}")));
    }
    // Tests that pass on another Java than the build's say nothing of the build.
    let found = feature_release(java).filter(|found| *found != wanted)?;
    let hint = format!(
        "testfleet {{ image {{ addJava = true }} }} puts the build's own JDK into the image; or take a base with Java \
         {wanted}, or give the Test task the launcher of Java {found}"
    );
    Some(Doom::fault(&format!("{task} runs on Java {wanted}, but the worker's is {java}"), &hint))
}

/// `8` of `1.8.0_412`, `17` of `17.0.10`, `22` of `22-ea`.
fn feature_release(java: &str) -> Option<u32> {
    let digits = java.strip_prefix("1.").unwrap_or(java);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(wanted: u32, protocol: u32, java: &str) -> Option<String> {
        unfit(&TaskPath(":app:test".to_owned()), wanted, protocol, java).map(|doom| doom.verdict)
    }

    #[test]
    fn the_java_of_the_build_will_do_in_any_update() {
        for (wanted, java) in [(8, "1.8.0_412"), (17, "17"), (17, "17.0.10"), (22, "22-ea"), (17, "unknown")] {
            assert_eq!(verdict(wanted, VERSION, java), None, "{java}");
        }
    }

    #[test]
    fn another_java_or_protocol_is_said() {
        let expected = ":app:test runs on Java 17, but the worker's is 21.0.2 (hint: testfleet { image { addJava = true } } \
                        puts the build's own JDK into the image; or take a base with Java 17, or give the Test task the \
                        launcher of Java 21)";
        assert_eq!(verdict(17, VERSION, "21.0.2").as_deref(), Some(expected));
        assert!(verdict(17, VERSION, "1.8.0_412").is_some());
        assert!(verdict(17, VERSION + 1, "17").unwrap().contains("protocol"));
    }
}
