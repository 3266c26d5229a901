//! A realistic run for tests: two Test tasks, two workers, and one of everything that can happen.

use super::Aggregate;
use testfleet_protocol::agent::{Evidence, FileOf};
use testfleet_protocol::event::{Attempt, RunEvent};
use testfleet_protocol::plan::{
    EstimateSource, Fingerprints, Group, Invocations, Lock, Plan, Quarantined, Reused, Slice, Unit, UnitId,
};
use testfleet_protocol::test::{Finished, Invocation, Outcome, Stream, TaskPath, TestId, TestName, Thrown, Verdict};
use testfleet_protocol::{Failure, FailureCode};

/// 2026-11-21T10:48:33Z
pub(super) const START: u64 = 1_795_258_113_000;

pub(super) fn id(task: &str, class: &str, method: &str) -> TestId {
    TestId { task: TaskPath(task.into()), name: TestName { class: class.into(), method: method.into() } }
}

pub(super) fn plan_of(classes: &[(&str, &str, u64, &[&str])]) -> Plan {
    let unit = |(i, (task, class, estimate_ms, tests)): (usize, &(&str, &str, u64, &[&str]))| Unit {
        id: UnitId(format!("u{}", i + 1)),
        task: TaskPath((*task).into()),
        class: (*class).into(),
        whole_class: true,
        plain_names: false,
        tests: tests
            .iter()
            .map(|test| match test.split_once('>') {
                Some((nested, method)) => TestName { class: format!("{class}${nested}"), method: method.into() },
                None => TestName { class: (*class).into(), method: (*test).into() },
            })
            .collect(),
        estimate_ms: *estimate_ms,
        estimate_source: EstimateSource::Timings,
        ..Unit::default()
    };
    let units: Vec<_> = classes.iter().enumerate().map(unit).collect();
    let groups = (1..=2u32)
        .map(|number| {
            let mine =
                || units.iter().enumerate().filter(move |(i, _)| *i as u32 % 2 + 1 == number).map(|(_, unit)| unit);
            Group {
                number,
                estimate_ms: mine().map(|unit| unit.estimate_ms).sum(),
                units: mine().map(|unit| unit.id.clone()).collect(),
            }
        })
        .collect();
    let made_from = Fingerprints { code: "c0de".into(), options: "0971".into(), timings: "7195".into() };
    Plan { protocol: 1, workers: 2, tests: Vec::new(), made_from, units, groups, ..Plan::default() }
}

pub(super) fn plan() -> Plan {
    plan_of(&[
        (
            ":app:test",
            "com.acme.CartTest",
            4_000,
            &["adds(int)", "empty()", "Inner>checksOut()", "skipped()", "aborted()"],
        ),
        (":app:test", "com.acme.SlowTest", 9_000, &["crunches()", "killsTheJvm()", "neverStarts()"]),
        (":lib:test", "com.acme.CartTest", 500, &["empty()"]),
        (":lib:test", "com.acme.InitTest", 300, &["a()", "b()"]),
        (":lib:test", "com.acme.FlakyTest", 200, &["sometimes()", "params(String)"]),
    ])
}

pub(super) fn finished(outcome: Outcome, at: u64, ms: u64) -> Finished {
    Finished { outcome, started_at_ms: START + at, duration_us: ms * 1_000 + 250, reason: None, thrown: Vec::new() }
}

pub(super) fn thrown(kind: &str, message: &str, frame: &str) -> Thrown {
    let text = if message.is_empty() { kind.to_owned() } else { format!("{kind}: {message}") };
    let stack = format!(
        "{text}\n\tat app//org.junit.jupiter.api.AssertionUtils.fail(AssertionUtils.java:38)\n\tat app//{frame}\n\t... 7 more\n"
    );
    Thrown { kind: kind.into(), message: message.into(), stack, hint: None }
}

/// A run of [`plan`], event by event, with times in milliseconds since its start.
pub(super) struct Script {
    pub(super) events: Vec<RunEvent>,
}

impl Script {
    pub(super) fn started(tests: u64, units: u64) -> Self {
        let mut script = Self { events: Vec::new() };
        script.events.push(RunEvent::RunStarted {
            run: "20261121T104833123Z-3e50".into(),
            protocol: 1,
            plan: "5ca1ab1e".into(),
            workers: 2,
            units,
            tests,
            reused: 0,
            at_ms: START,
        });
        for worker in 1..=2 {
            script.events.push(RunEvent::WorkerStarted {
                worker,
                backend: "local".into(),
                image: None,
                at_ms: START + 5,
            });
        }
        for worker in 1..=2 {
            script.events.push(RunEvent::WorkerReady {
                worker,
                host: "build-7".into(),
                pid: 4_000 + worker,
                at_ms: START + 60,
            });
        }
        script
    }

    pub(super) fn jvm(&mut self, worker: u32, task: &str, at: u64) {
        let task = TaskPath(task.into());
        self.events.push(RunEvent::JvmStarted { worker, task, pid: 5_000 + worker, at_ms: START + at });
    }

    pub(super) fn assign(&mut self, unit: &str, worker: u32, attempt: Attempt, at: u64) {
        self.events.push(RunEvent::UnitAssigned { unit: UnitId(unit.into()), worker, attempt, at_ms: START + at });
    }

    pub(super) fn start(&mut self, test: &TestId, unit: &str, worker: u32, attempt: Attempt, at: u64) {
        let unit = UnitId(unit.into());
        self.events.push(RunEvent::TestStarted {
            test: test.clone(),
            unit,
            worker,
            attempt,
            slice: None,
            at_ms: START + at,
        });
    }

    pub(super) fn invocation(&mut self, test: &TestId, worker: u32, n: u32, name: &str, finished: Finished) {
        let invocation = Invocation { id: format!("#{n}"), name: name.into() };
        self.events.push(RunEvent::InvocationFinished {
            test: test.clone(),
            worker,
            attempt: 1,
            slice: None,
            invocation,
            finished,
        });
    }

    pub(super) fn finish(&mut self, test: &TestId, worker: u32, attempt: Attempt, finished: Finished) {
        self.events.push(RunEvent::TestFinished {
            test: test.clone(),
            worker: Some(worker),
            attempt,
            slice: None,
            finished,
        });
    }

    pub(super) fn file(&mut self, worker: u32, of: FileOf, path: &str, size: u64) {
        self.events.push(RunEvent::FileStored { worker, of, path: path.to_owned(), size });
    }

    pub(super) fn verdict(&mut self, test: &TestId, verdict: Verdict, reason: Option<&str>) {
        self.events.push(RunEvent::TestVerdict { test: test.clone(), verdict, reason: reason.map(str::to_owned) });
    }

    pub(super) fn output(&mut self, test: Option<&TestId>, class: &str, task: &str, stream: Stream, text: &str) {
        self.events.push(RunEvent::Output {
            test: test.cloned(),
            class: class.into(),
            task: TaskPath(task.into()),
            worker: 1,
            stream,
            text: text.into(),
        });
    }

    pub(super) fn unit_done(&mut self, unit: &str, worker: u32, attempt: Attempt, handed_back: &[&TestId], at: u64) {
        self.events.push(RunEvent::UnitFinished {
            unit: UnitId(unit.into()),
            worker,
            attempt,
            handed_back: handed_back.iter().copied().cloned().collect(),
            unseen: false,
            at_ms: START + at,
        });
    }

    /// Starts, ends and judges a test in one go.
    pub(super) fn plain(&mut self, test: &TestId, unit: &str, worker: u32, at: u64, ended: Finished) {
        let verdict = ended.outcome.into();
        self.start(test, unit, worker, 1, at);
        self.finish(test, worker, 1, ended);
        self.verdict(test, verdict, None);
    }

    pub(super) fn over(&mut self, verdict: Verdict, at: u64) {
        for worker in 1..=2 {
            self.events.push(RunEvent::WorkerEnded { worker, failure: None, at_ms: START + at - 10 });
        }
        let counts = Default::default();
        self.events.push(RunEvent::RunFinished { verdict, counts, cancelled: false, at_ms: START + at });
    }
}

/// Everything that can happen, once.
pub(super) fn events() -> Vec<RunEvent> {
    use Outcome::{Aborted, Errored, Failed, Passed, Skipped};
    let app = |class: &str, method: &str| id(":app:test", class, method);
    let lib = |class: &str, method: &str| id(":lib:test", class, method);
    let mut s = Script::started(13, 5);
    s.assign("u2", 2, 1, 70);
    s.assign("u1", 1, 1, 70);
    s.assign("u3", 1, 1, 71);
    s.jvm(1, ":app:test", 700);
    s.jvm(2, ":app:test", 720);
    s.output(None, "com.acme.CartTest", ":app:test", Stream::Stdout, "before all\n");

    let adds = app("com.acme.CartTest", "adds(int)");
    s.start(&adds, "u1", 1, 1, 710);
    s.output(
        Some(&adds),
        "com.acme.CartTest",
        ":app:test",
        Stream::Stdout,
        "adding 1\n\u{1b}[31madding 2\u{1b}[0m ]]> <end>\n",
    );
    s.output(Some(&adds), "com.acme.CartTest", ":app:test", Stream::Stderr, "warning: \u{0}2 is odd\n");
    s.invocation(&adds, 1, 1, "[1] 1", finished(Passed, 715, 12));
    let mut second = finished(Failed, 730, 40);
    second.thrown = vec![thrown(
        "org.opentest4j.AssertionFailedError",
        "sum of \"1\" & <2>\n  ==> expected: <3> but was: <4>",
        "com.acme.CartTest.adds(CartTest.java:18)",
    )];
    s.invocation(&adds, 1, 2, "[2] 2", second);
    s.finish(&adds, 1, 1, finished(Failed, 711, 60));
    s.verdict(&adds, Verdict::Failed, None);
    s.plain(&app("com.acme.CartTest", "empty()"), "u1", 1, 780, finished(Passed, 780, 3));
    let inner = app("com.acme.CartTest$Inner", "checksOut()");
    s.output(Some(&inner), "com.acme.CartTest", ":app:test", Stream::Stdout, "inner\n");
    s.plain(&inner, "u1", 1, 790, finished(Passed, 790, 1_310));
    let mut disabled = finished(Skipped, 2_100, 0);
    disabled.reason = Some("needs a \"real\" bank".into());
    s.plain(&app("com.acme.CartTest", "skipped()"), "u1", 1, 2_100, disabled);
    let mut aborted = finished(Aborted, 2_101, 1);
    aborted.thrown = vec![thrown(
        "org.opentest4j.TestAbortedException",
        "Assumption failed: no network",
        "com.acme.CartTest.aborted(CartTest.java:40)",
    )];
    s.plain(&app("com.acme.CartTest", "aborted()"), "u1", 1, 2_101, aborted);
    s.unit_done("u1", 1, 1, &[], 2_110);

    s.plain(&lib("com.acme.CartTest", "empty()"), "u3", 1, 2_500, finished(Passed, 2_500, 4));
    s.unit_done("u3", 1, 1, &[], 2_510);

    s.plain(&app("com.acme.SlowTest", "crunches()"), "u2", 2, 730, finished(Passed, 730, 7_400));
    let kills = app("com.acme.SlowTest", "killsTheJvm()");
    let never = app("com.acme.SlowTest", "neverStarts()");
    s.start(&kills, "u2", 2, 1, 8_200);
    let reason = "killed by signal 9 (SIGKILL)\nlast lines:\n  out of luck";
    s.events.push(RunEvent::JvmDied {
        worker: 2,
        pid: 5_002,
        reason: reason.into(),
        evidence: vec![Evidence { name: "exit-stack".into(), text: "\"main\"\n\tat com.acme.SlowTest".into() }],
        never_ready: None,
        at_ms: START + 8_300,
    });
    let task = || kills.task.clone();
    let output = |test: &TestId| FileOf::Output { task: task(), test: Some(test.name.clone()), stream: Stream::Stdout };
    s.file(2, output(&kills), "files/output/app/test/w2-1-kills().stdout.txt", 5_000_000);
    s.file(2, output(&app("com.acme.SlowTest", "crunches()")), "files/output/app/test/w2-2.stdout.txt", 700_000);
    s.file(2, FileOf::Crash { task: task(), name: "hs_err_pid1.log".into() }, "files/crash/w2-1-hs_err_pid1.log", 90);
    let shot = "build/shots/a b.png";
    s.file(1, FileOf::Collected { task: task(), path: shot.into() }, &format!("files/collected/{shot}"), 1_234);
    let jacoco = FileOf::Jacoco { task: task(), jvm: "1-1".into(), so_far: false };
    s.file(1, jacoco, "files/jacoco/w1-1.exec", 77);
    let mut died = finished(Errored, 8_200, 100);
    died.reason = Some("the test JVM was killed by signal 9 (SIGKILL) while this test ran".into());
    s.finish(&kills, 2, 1, died);
    s.verdict(&kills, Verdict::Errored, None);
    s.unit_done("u2", 2, 1, &[&never], 8_310);
    s.assign("u2", 2, 2, 8_320);
    let failure =
        Failure::new(FailureCode::WorkerBroken, "failed to keep worker 2 going").cause_text("its disk is full");
    s.events.push(RunEvent::WorkerEnded { worker: 2, failure: Some(failure), at_ms: START + 8_500 });
    s.unit_done("u2", 2, 2, &[], 8_500);
    s.verdict(&never, Verdict::Lost, Some("worker 2 broke down twice: its disk is full"));

    s.assign("u4", 1, 1, 2_520);
    s.assign("u5", 1, 1, 2_520);
    for (i, method) in ["a()", "b()"].into_iter().enumerate() {
        let mut init = finished(Errored, 2_600, 0);
        init.thrown =
            vec![thrown("java.lang.ExceptionInInitializerError", "", "com.acme.InitTest.<clinit>(InitTest.java:7)")];
        s.plain(&lib("com.acme.InitTest", method), "u4", 1, 2_600 + i as u64, init);
    }
    s.unit_done("u4", 1, 1, &[], 2_700);
    let sometimes = lib("com.acme.FlakyTest", "sometimes()");
    let mut first = finished(Failed, 2_710, 30);
    first.thrown =
        vec![thrown("java.lang.IllegalStateException", "race lost", "com.acme.FlakyTest.sometimes(FlakyTest.java:9)")];
    s.start(&sometimes, "u5", 1, 1, 2_710);
    s.finish(&sometimes, 1, 1, first);
    let params = lib("com.acme.FlakyTest", "params(String)");
    s.start(&params, "u5", 1, 1, 2_750);
    let mut source = finished(Failed, 2_750, 9);
    source.thrown =
        vec![thrown("java.lang.RuntimeException", "source broke", "com.acme.FlakyTest.words(FlakyTest.java:20)")];
    s.invocation(&params, 1, 1, "[1] one", finished(Passed, 2_751, 1));
    s.finish(&params, 1, 1, source);
    s.verdict(&params, Verdict::Failed, None);
    s.unit_done("u5", 1, 1, &[], 2_800);
    s.assign("u5", 1, 2, 2_800);
    s.start(&sometimes, "u5", 1, 2, 2_810);
    s.finish(&sometimes, 1, 2, finished(Passed, 2_810, 28));
    s.verdict(&sometimes, Verdict::Flaky, None);
    s.unit_done("u5", 1, 2, &[], 2_900);
    s.over(Verdict::Lost, 8_600);
    s.events
}

/// A plan with a test in three slices, reused tests, locks and tests in quarantine.
pub(super) fn special_plan() -> Plan {
    let mut plan = plan_of(&[
        (":test", "com.acme.ManyTest", 3_000, &["counts(int)"]),
        (":test", "com.acme.ManyTest", 3_000, &["counts(int)"]),
        (":test", "com.acme.ManyTest", 2_000, &["counts(int)"]),
        (":test", "com.acme.OldTest", 800, &["same()", "stays()"]),
        (":test", "com.acme.MoodyTest", 1_500, &["sulks()", "recovers()", "works()"]),
        (":test", "com.acme.AloneTest", 400, &["listens()"]),
    ]);
    for (index, unit) in plan.units.iter_mut().take(3).enumerate() {
        let number = index as u32 + 1;
        let to = (number < 3).then_some(number * 10);
        unit.whole_class = false;
        unit.slice = Some(Slice { number, of: 3, invocations: Invocations { from: index as u32 * 10 + 1, to } });
    }
    plan.units[3].reused =
        Some(Reused { run: "20261120T080000000Z-11aa".into(), at_ms: START - 9_000, skipped: Vec::new() });
    plan.units[4].rank = 2;
    plan.units[4].together = Some("moody <things>".into());
    plan.units[4].locks = vec![
        Lock { resource: "database".into(), exclusive: true },
        Lock { resource: "port-8080".into(), exclusive: false },
    ];
    plan.units[5].asked = true;
    plan.units[5].locks = vec![Lock { resource: Lock::EVERYTHING.into(), exclusive: true }];
    plan.groups[0].units.retain(|unit| unit.0 != "u4");
    let held = |method: &str, until: Option<&str>| Quarantined {
        test: id(":test", "com.acme.MoodyTest", method),
        reason: "the server <sulks> on Mondays".into(),
        until: until.map(str::to_owned),
    };
    plan.quarantined = vec![held("recovers()", None), held("sulks()", Some("2026-12-31"))];
    plan
}

/// A run of [`special_plan`], or of its second and last unit on worker 2 alone.
pub(super) fn special_events(only_two: bool) -> Vec<RunEvent> {
    use Outcome::{Failed, Passed};
    let test = |class: &str, method: &str| id(":test", class, method);
    let many = test("com.acme.ManyTest", "counts(int)");
    let mut s = if only_two { Script::started(2, 2) } else { Script::started(5, 5) };
    if let Some(RunEvent::RunStarted { reused, .. }) = s.events.first_mut().filter(|_| !only_two) {
        *reused = 2;
        for method in ["same()", "stays()"] {
            let reason = "passed in run 20261120T080000000Z-11aa";
            s.verdict(&test("com.acme.OldTest", method), Verdict::Reused, Some(reason));
        }
    }
    let slice = |s: &mut Script, number: u32, worker, at: u64, ms: u64, bad: bool| {
        let unit = format!("u{number}");
        s.assign(&unit, worker, 1, at);
        let mut ended = finished(if bad { Failed } else { Passed }, at, ms);
        if bad {
            ended.thrown =
                vec![thrown("java.lang.AssertionError", "12 is odd", "com.acme.ManyTest.counts(ManyTest.java:7)")];
        }
        s.start(&many, &unit, worker, 1, at);
        let first = (number - 1) * 10 + 1;
        s.invocation(&many, worker, first, &format!("[{first}] {first}"), finished(Passed, at, ms / 2));
        s.invocation(&many, worker, first + 1, &format!("[{0}] {0}", first + 1), ended.clone());
        s.finish(&many, worker, 1, ended);
        for event in s.events.iter_mut().rev().take(4) {
            match event {
                RunEvent::TestStarted { slice, .. }
                | RunEvent::InvocationFinished { slice, .. }
                | RunEvent::TestFinished { slice, .. } => *slice = Some(number),
                _ => {}
            }
        }
        s.unit_done(&unit, worker, 1, &[], at + ms + 20);
    };
    s.jvm(2, ":test", 500);
    slice(&mut s, 2, 2, 510, 2_800, !only_two);
    if only_two {
        s.verdict(&many, Verdict::Passed, None);
    } else {
        s.jvm(1, ":test", 500);
        slice(&mut s, 1, 1, 510, 3_100, false);
        slice(&mut s, 3, 1, 3_640, 1_900, false);
        s.verdict(&many, Verdict::Failed, None);
        s.assign("u5", 2, 1, 3_340);
        let mut sulks = finished(Failed, 3_350, 700);
        sulks.thrown =
            vec![thrown("java.net.ConnectException", "refused", "com.acme.MoodyTest.sulks(MoodyTest.java:3)")];
        s.plain(&test("com.acme.MoodyTest", "sulks()"), "u5", 2, 3_350, sulks);
        s.plain(&test("com.acme.MoodyTest", "recovers()"), "u5", 2, 4_060, finished(Passed, 4_060, 300));
        s.plain(&test("com.acme.MoodyTest", "works()"), "u5", 2, 4_370, finished(Passed, 4_370, 200));
        s.unit_done("u5", 2, 1, &[], 4_600);
    }
    s.assign("u6", 2, 1, 5_600);
    s.plain(&test("com.acme.AloneTest", "listens()"), "u6", 2, 5_610, finished(Passed, 5_610, 380));
    s.unit_done("u6", 2, 1, &[], 6_000);
    s.over(if only_two { Verdict::Passed } else { Verdict::Failed }, 6_100);
    s.events
}

pub(super) fn folded(plan: &Plan, events: &[RunEvent]) -> Aggregate {
    let mut aggregate = Aggregate::new(plan).named("shop").of_folder("/b/testfleet/runs/r1");
    events.iter().for_each(|event| aggregate.apply(event));
    aggregate
}

/// A green run of 11,500 tests in 230 classes with a good 30,000 events.
pub(super) fn big() -> (Plan, Vec<RunEvent>) {
    let methods: Vec<String> = (0..50).map(|i| format!("behavesWellInCase{i}()")).collect();
    let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
    let classes: Vec<String> = (0..230).map(|i| format!("org.example.module{}.Component{i}Test", i % 7)).collect();
    let rows: Vec<_> = classes.iter().map(|class| (":test", class.as_str(), 400, methods.as_slice())).collect();
    let plan = plan_of(&rows);
    let mut s = Script::started(11_500, 230);
    s.jvm(1, ":test", 500);
    s.jvm(2, ":test", 500);
    for (i, unit) in plan.units.iter().enumerate() {
        let (worker, at) = (i as u32 % 2 + 1, 500 + (i as u64 / 2) * 410);
        s.assign(&unit.id.0, worker, 1, at);
        for (n, test) in unit.test_ids().enumerate() {
            s.plain(&test, &unit.id.0, worker, at + n as u64 * 8, finished(Outcome::Passed, at + n as u64 * 8, 8));
        }
        s.unit_done(&unit.id.0, worker, 1, &[], at + 405);
    }
    s.over(Verdict::Passed, 48_000);
    (plan, s.events)
}
