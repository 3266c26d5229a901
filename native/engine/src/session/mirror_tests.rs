use super::super::test_machine::Machine;
use super::*;
use std::time::Instant;
use testfleet_protocol::FailureCode;

/// A build of a machine that keeps its records in a shared folder.
fn sharing<'a>(machine: &'a Machine, place: &tempfile::TempDir) -> Context<'a> {
    let mut context = machine.context(&place.path().display().to_string(), None);
    let output = machine.folder.path().join("build");
    fs::create_dir_all(&output).unwrap();
    context.request.roots.insert("build".into(), output);
    if let Some(history) = &mut context.request.options.history {
        history.journal = true;
    }
    context
}

fn begin(context: &Context<'_>) -> RunDir {
    let dir = RunDir::create(context.output(), None).unwrap();
    fs::write(dir.plan_file(), "the plan").unwrap();
    fs::write(dir.bundle_file(), "the bundle").unwrap();
    dir
}

fn append(dir: &RunDir, text: &str) {
    let mut file = File::options().create(true).append(true).open(dir.journal()).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn copy_of(context: &Context<'_>, dir: &RunDir) -> Copy {
    let shared = context.request.options.history.as_ref().unwrap();
    Copy::new(open(context, shared).unwrap(), dir)
}

/// A run of which this was recorded and copied.
fn copied(context: &Context<'_>, journal: &str, state: State) -> (RunDir, Copy) {
    let dir = begin(context);
    append(&dir, journal);
    let mut copy = copy_of(context, &dir);
    copy.go_on(state).unwrap();
    (dir, copy)
}

#[test]
fn what_was_recorded_is_brought_to_another_machine() {
    let place = tempfile::tempdir().unwrap();
    let one = Machine::new();
    let context = sharing(&one, &place);
    let (dir, mut copy) = copied(&context, "a\nb\ntor", State::Running);
    append(&dir, "n\nc\n");
    copy.go_on(State::Left).unwrap();
    assert_eq!(copy.head.pieces, 2);

    let other = Machine::new();
    let context = sharing(&other, &place);
    fetch(&context).unwrap();
    let brought = RunDir::find(context.output(), "last").unwrap();
    assert_eq!(brought.id, dir.id);
    assert_eq!(fs::read_to_string(brought.journal()).unwrap(), "a\nb\ntorn\nc\n");
    assert_eq!(fs::read_to_string(brought.plan_file()).unwrap(), "the plan");
    assert_eq!(fs::read_to_string(brought.bundle_file()).unwrap(), "the bundle");
    // What is here already is not brought again.
    append(&brought, "more\n");
    fetch(&context).unwrap();
    assert!(fs::read_to_string(brought.journal()).unwrap().ends_with("more\n"));
    // It is copied anew by who goes on with it.
    fs::write(brought.journal(), "a\n").unwrap();
    copy_of(&context, &brought).go_on(State::Left).unwrap();
    let third = Machine::new();
    let context = sharing(&third, &place);
    fetch(&context).unwrap();
    assert_eq!(fs::read_to_string(RunDir::find(context.output(), "last").unwrap().journal()).unwrap(), "a\n");
    assert!([&one, &other, &third].iter().all(|machine| machine.warnings().is_empty()));
}

#[test]
fn a_run_that_is_over_stays_where_it_is() {
    let place = tempfile::tempdir().unwrap();
    let one = Machine::new();
    let context = sharing(&one, &place);
    copied(&context, "a\n", State::Finished);
    let other = Machine::new();
    let context = sharing(&other, &place);
    fetch(&context).unwrap();
    assert!(RunDir::find(context.output(), "last").is_err());
}

#[test]
fn a_coordinator_that_lives_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let one = Machine::new();
    let context = sharing(&one, &place);
    let (dir, mut copy) = copied(&context, "a\n", State::Running);
    let store = open(&context, context.request.options.history.as_ref().unwrap()).unwrap();
    let then = store.read_own(HEAD).unwrap().unwrap();
    let (time, pause) = (Duration::from_millis(300), Duration::from_millis(20));
    assert!(!watch(&context, &store, &then, time, pause).unwrap(), "it says nothing");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            append(&dir, "b\n");
            copy.go_on(State::Running).unwrap();
        });
        let from = Instant::now();
        let long = Duration::from_secs(60);
        assert!(watch(&context, &store, &then, long, pause).unwrap() && from.elapsed() < long);
    });
}

#[test]
fn damage_is_told_and_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let one = Machine::new();
    let context = sharing(&one, &place);
    let (_, copy) = copied(&context, "a\n", State::Left);
    let other = Machine::new();
    let context = sharing(&other, &place);
    let refused = |head: &Head| {
        copy.store.put(HEAD, &serde_json::to_vec(head).unwrap()).unwrap();
        let failure = fetch(&context).unwrap_err();
        assert_eq!(failure.code, FailureCode::JournalBroken, "{failure}");
        assert!(!context.output().join("runs").exists() || RunDir::find(context.output(), "last").is_err());
    };
    let good = copy.head.clone();
    for bad in [
        Head { pieces: 2, ..good.clone() },
        Head { pieces: u32::MAX, ..good.clone() },
        Head { run: "../../x".into(), ..good.clone() },
        Head { protocol: VERSION + 1, ..good.clone() },
    ] {
        refused(&bad);
    }
    copy.store.put(&document(&good, "1"), b"no archive").unwrap();
    refused(&good);
    let bomb = pack(&vec![0; LARGEST as usize + 1]).unwrap();
    copy.store.put(&document(&good, "1"), &bomb).unwrap();
    refused(&good);
    copy.store.put(HEAD, b"{").unwrap();
    assert_eq!(fetch(&context).unwrap_err().code, FailureCode::JournalBroken);
    let left: Vec<_> = fs::read_dir(context.output())
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    assert!(left.iter().all(|name| name == "runs"), "{left:?}");
}
