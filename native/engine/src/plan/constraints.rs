//! What must hold between classes while they run: `constraints { }` of the build, `@ResourceLock`, `@Isolated`.

use super::names::ClassPattern;
use crate::discover::{Discovery, Notice, TestClass};
use std::collections::BTreeMap;
use testfleet_protocol::plan::Lock;
use testfleet_protocol::request::{Constraint, LockScope, Options};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Resources that each JVM has for itself, by the names that JUnit's `Resources` gives them; the last is JUnit Pioneer's.
/// Two workers never share a JVM.
const OF_EACH_JVM: [&str; 6] = [
    "java.lang.System.properties",
    "java.lang.System.out",
    "java.lang.System.err",
    "java.util.Locale.default",
    "java.util.TimeZone.default",
    "java.lang.System.environment",
];

/// JUnit's name of the lock that `@Isolated` takes for itself and every other test shares.
const GLOBAL: &str = "org.junit.platform.engine.support.hierarchical.ExclusiveResource.GLOBAL_KEY";

/// What binds one class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bonds {
    /// Name of those that it runs together with.
    pub(super) together: Option<String>,
    /// Ordered, each resource once.
    pub(super) locks: Vec<Lock>,
}

impl Bonds {
    /// Whether parts of the class could not run at the same time anyway.
    pub(super) fn is_serial(&self) -> bool {
        self.together.is_some() || self.locks.iter().any(|lock| lock.exclusive)
    }
}

/// All constraints of a build.
pub(super) struct Constraints {
    together: Vec<(String, Vec<ClassPattern>)>,
    locks: Vec<(String, Vec<ClassPattern>)>,
    scope: LockScope,
}

impl Constraints {
    /// # Errors
    /// `InvalidRequest` for a constraint that says nothing or names what it can't.
    pub(super) fn new(options: &Options) -> Result<Self> {
        let mut constraints = Self { together: Vec::new(), locks: Vec::new(), scope: options.locks };
        for constraint in &options.constraints {
            match constraint {
                Constraint::Together { classes } => {
                    let patterns = patterns(classes, "together")?;
                    constraints.together.push((classes.join(", "), patterns));
                }
                Constraint::Lock { resource, classes } => {
                    if resource.trim().is_empty() || resource == Lock::EVERYTHING {
                        return Err(invalid(format!("failed to lock the resource '{resource}'"))
                            .cause_text("it is no name of a resource")
                            .hint("name what the classes share: lock 'database', ...; a class that nothing may run beside is alone '...'"));
                    }
                    let patterns = patterns(classes, &format!("lock '{resource}'"))?;
                    constraints.locks.push((resource.clone(), patterns));
                }
                Constraint::Alone { classes } => {
                    constraints.locks.push((Lock::EVERYTHING.to_owned(), patterns(classes, "alone")?));
                }
            }
        }
        Ok(constraints)
    }

    /// What binds a class.
    ///
    /// # Errors
    /// `InvalidRequest` when it is to run together with two different sets of classes.
    pub(super) fn of(&self, class: &TestClass) -> Result<Bonds> {
        let fits = |patterns: &[ClassPattern]| patterns.iter().any(|pattern| pattern.matches(&class.class));
        let mut sets = self.together.iter().filter(|(_, patterns)| fits(patterns)).map(|(name, _)| name);
        let together = sets.next();
        if let (Some(one), Some(other)) = (together, sets.find(|other| Some(*other) != together)) {
            return Err(invalid(format!("failed to run {} together with two sets of classes", class.class))
                .cause_text(format!("it belongs to together '{one}'"))
                .cause_text(format!("it belongs to together '{other}', too"))
                .hint("put all these classes into one together, or narrow the patterns"));
        }
        let mut locks: BTreeMap<String, bool> = BTreeMap::new();
        if self.scope == LockScope::Run {
            if class.traits.isolated {
                locks.insert(Lock::EVERYTHING.to_owned(), true);
            }
            for lock in &class.traits.locks {
                match lock.resource.as_str() {
                    GLOBAL if lock.exclusive => *locks.entry(Lock::EVERYTHING.to_owned()).or_default() = true,
                    // Everything shares it unasked.
                    GLOBAL => {}
                    resource if OF_EACH_JVM.contains(&resource) => {}
                    resource => *locks.entry(resource.to_owned()).or_default() |= lock.exclusive,
                }
            }
        }
        for (resource, _) in self.locks.iter().filter(|(_, patterns)| fits(patterns)) {
            locks.insert(resource.clone(), true);
        }
        let locks = locks.into_iter().map(|(resource, exclusive)| Lock { resource, exclusive }).collect();
        Ok(Bonds { together: together.cloned(), locks })
    }
}

/// Patterns of the options that no class matches: a misspelt constraint guards nothing. Says nothing of a discovery that
/// was narrowed to some tests.
///
/// # Errors
/// As planning itself.
pub fn notices(discovery: &Discovery, options: &Options) -> Result<Vec<Notice>> {
    if !options.tests.is_empty() || options.rerun_failed.is_some() {
        return Ok(Vec::new());
    }
    let constraints = Constraints::new(options)?;
    let place = |resource: &str| match resource {
        Lock::EVERYTHING => "alone".to_owned(),
        resource => format!("lock '{resource}'"),
    };
    let mut named: Vec<(String, ClassPattern)> = Vec::new();
    for (_, patterns) in constraints.together {
        named.extend(patterns.into_iter().map(|pattern| ("together".to_owned(), pattern)));
    }
    for (resource, patterns) in constraints.locks {
        named.extend(patterns.into_iter().map(|pattern| (place(&resource), pattern)));
    }
    for choice in &options.split_classes {
        let patterns = patterns(&choice.classes, "splitClasses")?;
        named.extend(patterns.into_iter().map(|pattern| ("splitClasses".to_owned(), pattern)));
    }
    let classes = || discovery.tasks.iter().flat_map(|task| &task.classes);
    named.retain(|(_, pattern)| !classes().any(|class| pattern.matches(&class.class)));
    let notice = |(place, pattern): (String, ClassPattern)| {
        Notice {
        text: format!("no test class matches '{}' of {place}", pattern.text()),
        hint: Some(
            "a pattern with a dot must match the whole name with its package, one without a dot the simple name; * stands for any text".into(),
        ),
    }
    };
    Ok(named.into_iter().map(notice).collect())
}

/// Patterns of one place.
///
/// # Errors
/// `InvalidRequest` for none, and for one that can match nothing.
pub(super) fn patterns(texts: &[String], place: &str) -> Result<Vec<ClassPattern>> {
    if texts.is_empty() {
        return Err(invalid(format!("failed to read {place}: it names no classes"))
            .hint("name classes by patterns: com.acme.db.*, *DatabaseTest"));
    }
    texts.iter().map(|text| ClassPattern::new(text, place)).collect()
}

fn invalid(message: String) -> Failure {
    Failure::new(FailureCode::InvalidRequest, message)
}
