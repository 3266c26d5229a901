//! What a plan was made from, and whether that still is so.

use crate::discover::{DiscoveredTask, Discovery};
use crate::hash;
use serde::Serialize;
use std::collections::BTreeSet;
use testfleet_protocol::plan::{Plan, Shard};
use testfleet_protocol::request::{Constraint, Framework, LockScope, RunRequest, Split, SplitClasses, TestTask};
use testfleet_protocol::test::{TaskPath, TestId};
use testfleet_protocol::{Failure, FailureCode, Result};

/// How many changed tests a failure names.
const NAMED: usize = 5;

/// Hash of the discovered tests and their class files, whatever order they come in.
pub(crate) fn code(discovery: &Discovery) -> Result<String> {
    let mut tasks: Vec<DiscoveredTask> = discovery.tasks.clone();
    for task in &mut tasks {
        // A new class without tests changes nothing that is planned.
        task.searched = 0;
        task.classes.sort_by(|a, b| a.class.cmp(&b.class));
        task.classes.iter_mut().for_each(|class| class.tests.sort());
    }
    tasks.retain(|task| !task.classes.is_empty());
    tasks.sort_by(|a, b| a.task.cmp(&b.task));
    of(&tasks)
}

/// Hash of what of the request decides what is planned. The number of workers is not in it: it is in the plan, and
/// `runWorker` runs a group of a plan for as many workers as that was made for.
pub(super) fn options(request: &RunRequest) -> Result<String> {
    #[derive(Serialize)]
    struct Options<'a> {
        split: Split,
        split_classes: &'a [SplitClasses],
        constraints: &'a [Constraint],
        locks: LockScope,
        shard: Option<Shard>,
        tests: BTreeSet<&'a String>,
        tasks: Vec<Task<'a>>,
    }
    #[derive(Serialize)]
    struct Task<'a> {
        path: &'a TaskPath,
        java: u32,
        framework: &'a Framework,
        filters: Vec<String>,
    }
    let mut tasks: Vec<Task<'_>> = request
        .tasks
        .iter()
        .map(|task| Task {
            path: &task.path,
            java: task.java.version,
            framework: &task.framework,
            filters: filters(task),
        })
        .collect();
    tasks.sort_by(|a, b| a.path.cmp(b.path));
    let chosen = &request.options;
    of(&Options {
        split: chosen.split,
        split_classes: &chosen.split_classes,
        constraints: &chosen.constraints,
        locks: chosen.locks,
        shard: chosen.shard,
        tests: chosen.tests.iter().collect(),
        tasks,
    })
}

/// The filters of a task, in words.
pub(super) fn filters(task: &TestTask) -> Vec<String> {
    let mut named: Vec<(&str, &[String])> = vec![
        ("include", &task.includes),
        ("exclude", &task.excludes),
        ("includeTestsMatching", &task.include_tests),
        ("excludeTestsMatching", &task.exclude_tests),
    ];
    match &task.framework {
        Framework::JunitPlatform { include_tags, exclude_tags, include_engines, exclude_engines } => named.extend([
            ("includeTags", include_tags.as_slice()),
            ("excludeTags", exclude_tags),
            ("includeEngines", include_engines),
            ("excludeEngines", exclude_engines),
        ]),
        Framework::JUnit4 { include_categories, exclude_categories } => named
            .extend([("includeCategories", include_categories.as_slice()), ("excludeCategories", exclude_categories)]),
        Framework::TestNg { include_groups, exclude_groups, .. } => {
            named.extend([("includeGroups", include_groups.as_slice()), ("excludeGroups", exclude_groups)]);
        }
    }
    named.iter().flat_map(|(name, values)| values.iter().map(move |value| format!("{name} '{value}'"))).collect()
}

/// Whether a plan still fits the code and the options: the same tests are there, chosen by the same rules. What
/// is inside them may have changed: a failing test is edited and its group run again.
///
/// # Errors
/// `PlanOutdated`, with what changed and how to make a new plan.
pub fn fits(plan: &Plan, discovery: &Discovery, request: &RunRequest) -> Result<()> {
    let mut changes = Vec::new();
    if plan.made_from.options != options(request)? {
        changes.push(
            "filters, splitting, constraints, frameworks or Test tasks differ from those it was made with".to_owned(),
        );
    }
    if plan.made_from.code != code(discovery)? {
        changes.extend(code_changes(plan, discovery));
    }
    if changes.is_empty() {
        return Ok(());
    }
    let failure = Failure::new(FailureCode::PlanOutdated, "failed to use the plan: it does not fit the build any more");
    Err(changes.into_iter().fold(failure, Failure::cause_text).hint("make a new one: ./gradlew prepare"))
}

fn code_changes(plan: &Plan, discovery: &Discovery) -> Vec<String> {
    let planned: BTreeSet<TestId> = plan.units.iter().flat_map(|unit| unit.test_ids()).collect();
    let found: BTreeSet<TestId> = discovery
        .tasks
        .iter()
        .flat_map(|task| task.classes.iter().map(move |class| (task, class)))
        .flat_map(|(task, class)| class.tests.iter().map(|name| TestId { task: task.task.clone(), name: name.clone() }))
        .collect();
    let mut changes = Vec::new();
    // A plan of some tests has no word on the others.
    if plan.shard.is_none() && plan.failed_of.is_none() {
        changes.extend(list("new", found.difference(&planned).collect()));
    }
    changes.extend(list("gone", planned.difference(&found).collect()));
    changes
}

fn list(what: &str, tests: Vec<&TestId>) -> Option<String> {
    let named: Vec<String> = tests.iter().take(NAMED).map(ToString::to_string).collect();
    let more = tests.len().saturating_sub(NAMED);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!tests.is_empty()).then(|| format!("{what}: {}{rest}", named.join("; ")))
}

fn of<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_vec(value)
        .map(|bytes| hash::sha256(&bytes))
        .map_err(|error| Failure::new(FailureCode::Internal, "failed to fingerprint a plan").cause(&error))
}
