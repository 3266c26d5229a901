//! Which test engines a JUnit Platform finds on a task's classpath.

use super::classpath::Classpath;
use testfleet_protocol::Result;

const SERVICE: &str = "META-INF/services/org.junit.platform.engine.TestEngine";

/// The engines that will run, after the task's engine filters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Engines {
    /// JUnit Jupiter.
    pub(crate) jupiter: bool,
    /// JUnit 3 and 4 through `junit-vintage-engine`.
    pub(crate) vintage: bool,
    /// TestNG through `testng-engine`.
    pub(crate) testng: bool,
    /// `@Suite` classes.
    pub(crate) suite: bool,
    /// Spock 2.
    pub(crate) spock: bool,
    /// Classes of engines whose tests class files can't tell.
    pub(crate) others: Vec<String>,
    /// No engine is on the classpath at all.
    pub(crate) none: bool,
}

impl Engines {
    /// Reads the service files of a classpath.
    ///
    /// # Errors
    /// When a jar or a service file can't be read.
    pub(crate) fn find(classpath: &Classpath, includes: &[String], excludes: &[String]) -> Result<Self> {
        let wanted = |id: &str| {
            (includes.is_empty() || includes.iter().any(|one| one == id)) && !excludes.iter().any(|one| one == id)
        };
        let mut engines = Self::default();
        let mut found = false;
        for bytes in classpath.resources(SERVICE)? {
            for line in String::from_utf8_lossy(&bytes).lines() {
                let class = line.split('#').next().unwrap_or_default().trim();
                if class.is_empty() {
                    continue;
                }
                found = true;
                match class {
                    "org.junit.jupiter.engine.JupiterTestEngine" => engines.jupiter = wanted("junit-jupiter"),
                    "org.junit.vintage.engine.VintageTestEngine" => engines.vintage = wanted("junit-vintage"),
                    "org.junit.support.testng.engine.TestNGTestEngine" => engines.testng = wanted("testng"),
                    "org.junit.platform.suite.engine.SuiteTestEngine" => engines.suite = wanted("junit-platform-suite"),
                    "org.spockframework.runtime.SpockEngine" => engines.spock = wanted("spock"),
                    other => engines.others.push(other.to_owned()),
                }
            }
        }
        // The id of another engine is known only to its code: what the filter names is enough to guess by.
        engines.others.retain(|class| may_be_wanted(class, includes, excludes));
        engines.others.sort();
        engines.others.dedup();
        engines.none = !found;
        Ok(engines)
    }
}

/// Whether an engine of unknown id may pass the filters: one that is excluded by a name that its class contains does not.
fn may_be_wanted(class: &str, includes: &[String], excludes: &[String]) -> bool {
    let class = class.to_lowercase();
    let named = |ids: &[String]| ids.iter().any(|id| class.contains(&id.to_lowercase().replace('-', "")));
    let only_known = !includes.is_empty() && includes.iter().all(|id| KNOWN.contains(&id.as_str()));
    !only_known && !named(excludes)
}

const KNOWN: [&str; 5] = ["junit-jupiter", "junit-vintage", "testng", "junit-platform-suite", "spock"];
