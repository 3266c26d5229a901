//! Discovery's readers, for [`crate::fuzzing`].

use super::ask::Answers;
use super::ask_cache::Kept;
use super::class_file::ClassFile;
use super::classpath::Classpath;
use super::container::Containers;
use super::selection::Selection;
use super::tags::TagExpression;
use super::test_patterns::TestPatterns;
use super::{TestClass, selection, task};
use std::path::Path;
use testfleet_protocol::ant_pattern::FileFilter;
use testfleet_protocol::request::{Framework, OpenRequest, TestTask};

/// Reads a class file and asks what discovery asks of it.
pub fn class_file(bytes: &[u8]) {
    let Ok(class) = ClassFile::parse(bytes) else { return };
    let _ = (class.simple_name(), class.outer(), class.package(), class.is_inner());
    for method in &class.methods {
        let _ = (method.signature(), method.parameter_count(), method.has_no_parameters(), method.returns_void());
    }
}

/// Reads the cache's tables, past their checksums.
pub fn cache(bytes: &[u8]) {
    crate::content::read_tables(bytes);
    super::cache_kept::read(bytes);
}

/// Reads a jar: its index, every class in it, and then its tests by the rules of each framework.
pub fn jar(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.jar");
    std::fs::write(&path, bytes).expect("a temporary file");
    let containers = Containers::default();
    let container = containers.get(&path, 17);
    for class in container.class_paths().unwrap_or_default() {
        let _ = container.class_at(&class);
    }
    discover(&path);
}

/// Finds tests in class files that stand one after the other in `bytes`, by the rules of each framework.
pub fn discovery(bytes: &[u8]) {
    const MAGIC: &[u8] = &[0xCA, 0xFE, 0xBA, 0xBE];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut begins: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, four)| *four == MAGIC).map(|(at, _)| at).collect();
    begins.push(bytes.len());
    for pair in begins.windows(2) {
        let class = &bytes[pair[0]..pair[1]];
        let Ok(file) = ClassFile::parse(class) else { continue };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '$' | '_' | '.');
        if file.name.len() < 100 && file.name.chars().all(is_plain) && !file.name.split('.').any(str::is_empty) {
            let path = folder.path().join(format!("{}.class", file.name.replace('.', "/")));
            let _ = std::fs::create_dir_all(path.parent().unwrap_or(folder.path()));
            let _ = std::fs::write(path, class);
        }
    }
    let services = folder.path().join("META-INF/services");
    std::fs::create_dir_all(&services).expect("a temporary folder");
    std::fs::write(services.join("org.junit.platform.engine.TestEngine"), ENGINES).expect("a temporary file");
    discover(folder.path());
}

const ENGINES: &str = "org.junit.jupiter.engine.JupiterTestEngine\norg.junit.vintage.engine.VintageTestEngine\n\
    org.junit.support.testng.engine.TestNGTestEngine\norg.junit.platform.suite.engine.SuiteTestEngine\n";

fn discover(classes: &Path) {
    let open: OpenRequest = serde_json::from_slice(include_bytes!("../../../fuzz/seeds/request/prepare.json"))
        .expect("the seed is a request");
    let mut tasks = open.request.tasks.into_iter();
    let task = tasks.next().expect("the seed has a Test task");
    let frameworks = [
        task.framework.clone(),
        Framework::JUnit4 { include_categories: Vec::new(), exclude_categories: vec!["com.acme.Slow".into()] },
        Framework::TestNg {
            include_groups: Vec::new(),
            exclude_groups: vec!["slow.*".into()],
            listeners: Vec::new(),
            parallel: None,
            thread_count: 0,
        },
    ];
    for framework in frameworks {
        let task =
            TestTask { class_dirs: vec![classes.into()], classpath: vec![classes.into()], framework, ..task.clone() };
        let _ = task::look(&task, &[], &Containers::default()).and_then(|looked| looked.settle(None));
    }
}

/// Makes classes of answers, with and without a pattern that selects some.
pub(crate) fn settle(kept: &Kept) {
    let open: OpenRequest = serde_json::from_slice(include_bytes!("../../../fuzz/seeds/request/prepare.json"))
        .expect("the seed is a request");
    let task = open.request.tasks.first().expect("the seed has a Test task");
    let classpath = Classpath::new(Vec::new());
    for patterns in [Vec::new(), vec!["*FooTest.a*".to_owned()]] {
        let selection = Selection::new(task, &patterns).expect("the seed's filters make sense");
        let answers = Answers { task: &task.path, classpath: &classpath, selection: &selection };
        for (class, answer) in &kept.answers {
            let bare = TestClass { class: class.clone(), ..TestClass::default() };
            let _ = answers.settle(bare, None, None, answer);
        }
    }
}

/// Reads a tag expression and asks it about tags.
pub fn tag_expression(text: &str, tags: &[String]) {
    if let Ok(expression) = TagExpression::parse(text) {
        expression.matches(tags);
        expression.matches(&[]);
    }
}

/// Asks Gradle's test patterns about a class and a method.
pub fn test_patterns(includes: &[String], excludes: &[String], command_line: &[String], class: &str, method: &str) {
    let patterns = TestPatterns::new(includes, excludes, command_line);
    patterns.may_include_class(class);
    patterns.selects_class(class);
    patterns.selects_method(class, method);
}

/// Asks Ant patterns about a file.
pub fn ant_patterns(includes: &[String], excludes: &[String], path: &str) {
    FileFilter::new(includes, excludes).accepts(path);
}

/// Asks a TestNG group pattern about a group.
pub fn group_pattern(pattern: &str, group: &str) {
    let _ = selection::group_pattern(pattern).map(|pattern| pattern.is_match(group));
}
