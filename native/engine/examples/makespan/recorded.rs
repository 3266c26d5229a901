//! Recorded suites as discovery would find them, with what their tests really took.

use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::path::Path;
use testfleet_engine::discover::{DiscoveredTask, Discovery, FoundBy, TestClass, Traits};
use testfleet_protocol::plan::Unit;
use testfleet_protocol::test::{TaskPath, TestName};

/// A suite with its true durations, in microseconds.
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) discovery: Discovery,
    pub(crate) classes: BTreeMap<String, Class>,
}

/// A class: what it takes beyond its tests, and its tests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Class {
    pub(crate) setup_us: u64,
    pub(crate) tests: BTreeMap<TestName, Test>,
}

/// A test and its invocations in their order; a test without parameters has one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Test {
    pub(crate) invocations: Vec<u64>,
    sliceable: bool,
}

impl Test {
    pub(crate) fn us(&self) -> u64 {
        self.invocations.iter().sum()
    }
}

impl Class {
    pub(crate) fn us(&self) -> u64 {
        self.setup_us + self.tests.values().map(Test::us).sum::<u64>()
    }
}

impl Suite {
    /// Reads `classes.tsv` and `results.tsv.gz` of a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let name = folder.file_name().ok_or("the folder has no name")?.to_string_lossy().into_owned();
        let mut results = String::new();
        GzDecoder::new(std::fs::File::open(folder.join("results.tsv.gz"))?).read_to_string(&mut results)?;
        let mut classes: BTreeMap<String, Class> = BTreeMap::new();
        let mut framework = FoundBy::Jupiter;
        for line in results.lines().skip(1) {
            let [id, class, _, ms] = columns(line)?;
            let Some((test, sliceable)) = test_of(id, class) else { continue };
            framework = framework_of(id);
            let test = classes.entry(class.to_owned()).or_default().tests.entry(test).or_default();
            test.invocations.push(ms.parse::<u64>()? * 1_000);
            test.sliceable = sliceable;
        }
        for line in std::fs::read_to_string(folder.join("classes.tsv"))?.lines().skip(1) {
            let [class, wall_ms, _, _] = columns(line)?;
            if let Some(class) = classes.get_mut(class) {
                class.refine(wall_ms.parse::<u64>()? * 1_000);
            }
        }
        Ok(Self::new(name, classes, framework))
    }

    /// Suites as one, each so many times under other names.
    pub(crate) fn many(name: &str, suites: &[Self], times: usize) -> Self {
        let mut classes = BTreeMap::new();
        for (copy, suite) in (0..times).flat_map(|copy| suites.iter().map(move |suite| (copy, suite))) {
            for (class, content) in &suite.classes {
                classes.insert(format!("copy{copy}.{class}"), content.clone());
            }
        }
        Self::new(name.to_owned(), classes, FoundBy::Jupiter)
    }

    fn new(name: String, classes: BTreeMap<String, Class>, framework: FoundBy) -> Self {
        let class = |(class, content): (&String, &Class)| TestClass {
            class: class.clone(),
            framework,
            tests: content.tests.keys().cloned().collect(),
            whole_class: true,
            traits: Traits {
                per_class: framework == FoundBy::TestNg,
                sliceable: content
                    .tests
                    .iter()
                    .filter(|(_, test)| test.sliceable)
                    .map(|(name, _)| name.clone())
                    .collect(),
                ..Traits::default()
            },
            ..TestClass::default()
        };
        let classes_found = classes.iter().map(class).collect();
        let task = DiscoveredTask { task: TaskPath(":test".into()), searched: 0, classes: classes_found };
        Self { name, discovery: Discovery { tasks: vec![task], notices: Vec::new() }, classes }
    }

    /// The same with one class less: every `nth`.
    pub(crate) fn without(&self, nth: usize) -> Self {
        let mut classes = self.classes.clone();
        if let Some(name) = classes.keys().nth(nth % classes.len()).cloned() {
            classes.remove(&name);
        }
        let framework = self.discovery.tasks[0].classes[0].framework;
        Self::new(self.name.clone(), classes, framework)
    }

    /// What a unit really takes.
    pub(crate) fn unit_us(&self, unit: &Unit) -> u64 {
        let class = &self.classes[&unit.class];
        let tests = unit.tests.iter().map(|name| {
            let invocations = &class.tests[name].invocations;
            match unit.slice.map(|slice| slice.invocations) {
                None => invocations.iter().sum::<u64>(),
                Some(range) => {
                    let to = range.to.map_or(invocations.len(), |to| to as usize);
                    invocations[range.from as usize - 1..to].iter().sum()
                }
            }
        });
        class.setup_us + tests.sum::<u64>()
    }

    /// All of it in one JVM.
    pub(crate) fn serial_us(&self) -> u64 {
        self.classes.values().map(Class::us).sum()
    }
}

impl Class {
    /// Times are recorded in whole milliseconds, rounded down: half a millisecond goes back to each, as far as the time of
    /// the class allows; the rest of that is set-up.
    fn refine(&mut self, wall_us: u64) {
        let count = self.tests.values().map(|test| test.invocations.len() as u64).sum::<u64>().max(1);
        let missing = wall_us.saturating_sub(self.us());
        let back = (missing / count).min(500);
        self.tests.values_mut().flat_map(|test| &mut test.invocations).for_each(|us| *us += back);
        self.setup_us = wall_us.saturating_sub(self.us());
    }
}

fn columns(line: &str) -> Result<[&str; 4], Box<dyn Error>> {
    let mut columns = line.split('\t');
    let mut next = || columns.next().ok_or_else(|| format!("too few columns: {line}"));
    Ok([next()?, next()?, next()?, next()?])
}

/// The planned test of a unique id, and whether its invocations can be run some at a time.
fn test_of(id: &str, class: &str) -> Option<(TestName, bool)> {
    let mut owner = class.to_owned();
    for segment in id.trim_matches(['[', ']']).split("]/[") {
        let (kind, value) = segment.split_once(':')?;
        match kind {
            "nested-class" => owner = format!("{owner}${value}"),
            "method" | "test-factory" => return Some((TestName { class: owner, method: value.into() }, false)),
            "test-template" => return Some((TestName { class: owner, method: value.into() }, true)),
            // `name(class)`, with `[0]` behind the name or above it for each set of parameters.
            "test" if value.contains('(') => {
                let method = value.split(['(', '%']).next().unwrap_or(value).to_owned();
                return Some((TestName { class: owner, method }, false));
            }
            _ => {}
        }
    }
    None
}

fn framework_of(id: &str) -> FoundBy {
    match id {
        id if id.starts_with("[engine:testng]") => FoundBy::TestNg,
        id if id.starts_with("[engine:junit-vintage]") => FoundBy::JUnit4,
        _ => FoundBy::Jupiter,
    }
}
