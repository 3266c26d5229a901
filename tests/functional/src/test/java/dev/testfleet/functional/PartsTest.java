package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import groovy.json.JsonSlurper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * Parts of all tests: shards, those that failed, those in quarantine; and looking before acting.
 */
class PartsTest {
    private static final String FAILS = "@Test void fails() { fail(\"boom\"); }\n";

    @TempDir private Path dir;

    @OnEveryGradle
    void theOptionsReachTheEngine(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "testfleet {\n"
                            + "  split = 'method'\n"
                            + "  splitClasses 'class', 'WholeTest', 'com.acme.*'\n"
                            + "  order = ['name']\n"
                            + "  locks = 'jvm'\n"
                            + "  reuse = 'classpath'\n"
                            + "  constraints {\n"
                            + "    together 'ATest', 'BTest'\n"
                            + "    lock 'db', '*DbTest'\n"
                            + "    alone 'Bench*'\n"
                            + "  }\n"
                            + "  history {\n"
                            + "    location = layout.projectDirectory.dir('shared').asFile.path\n"
                            + "    branch = 'topic'\n"
                            + "    passwordVariable = 'HISTORY_TOKEN'\n"
                            + "  }\n"
                            + "}\n");
        build.environment("HISTORY_TOKEN", "very-secret-value");
        build.jupiterTest("WholeTest", "@Test void a() {}\n@Test void b() {}");
        build.jupiterTest("PartsTest", "@Test void a() {}\n@Test void b() {}");
        build.succeeds("prepare", "--shard", "1/1");
        Description options = Description.request(build).object("options");
        assertEquals(
                "[{split=class, classes=[WholeTest, com.acme.*]}]", options.text("splitClasses"));
        assertEquals("[name]", options.text("order"));
        assertEquals("jvm", options.text("locks"));
        assertEquals("classpath", options.text("reuse"));
        assertEquals(
                "[{type=together, classes=[ATest, BTest]},"
                        + " {type=lock, resource=db, classes=[*DbTest]},"
                        + " {type=alone, classes=[Bench*]}]",
                options.text("constraints"));
        assertEquals("topic", options.object("history").text("branch"));
        assertEquals("main", options.object("history").text("fallbackBranch"));
        assertEquals("{number=1, of=1}", options.text("shard"));
        assertFalse(build.read("build/testfleet/request.json").contains("very-secret-value"));
        assertEquals(3, units(build).size(), "WholeTest, and both methods of PartsTest");

        build.succeeds("prepare", "--rerun");
        assertEquals("off", Description.request(build).object("options").text("reuse"));
        build.succeeds("prepare");
        assertEquals("classpath", Description.request(build).object("options").text("reuse"));

        build.fails("prepare", "--shard", "6/5").says("shard 6/5", "hint:");
        build.fails("prepare", "--shard", "second").says("'second'", "--shard 2/5");
        build.append("build.gradle", "testfleet { order = ['luck'] }\n");
        build.fails("prepare").says("'luck'", "failed, new, longest, shortest, name", "hint:");
    }

    @Test
    void shardsTogetherRunEveryTestOnce() throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", Gradles.NEWEST, dir);
        Set<String> all = listed(build);
        Map<String, String> run = new TreeMap<>();
        int tests = 0;
        for (String shard : List.of("1/3", "2/3", "3/3")) {
            build.succeeds("runParallel", "--shard", shard).says("of shard " + shard);
            Map<?, ?> summary = summary(build);
            tests += ((List<?>) summary.get("tests")).size();
            for (Object test : (List<?>) summary.get("tests")) {
                Map<?, ?> one = (Map<?, ?>) test;
                run.put(one.get("class") + " > " + one.get("method"), "" + one.get("verdict"));
            }
            // Timings of this shard must not change the others: each has a clean machine.
            Files.deleteIfExists(build.path(".gradle/testfleet/timings.json"));
        }
        assertEquals(all, run.keySet());
        assertEquals(all.size(), tests, "no test ran in two shards");

        build.succeeds("runWorker", "-Pworker=1").says("Running test-group-1");
        build.succeeds("runParallel", "--shard", "90/100").says("Shard 90/100 is empty");
    }

    @Test
    void whatFailedRunsAgainAlone() throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(Gradles.NEWEST, dir, "");
        build.jupiterTest("BadTest", FAILS + "@Test void passes() {}\n");
        build.jupiterTest("GoodTest", "@Test void good() {}\n");
        build.fails("runParallel").says("BadTest > fails()");
        build.fails("runParallel", "--rerun-failed").says("did not pass in run", "1 test");
        assertEquals(Set.of("BadTest > fails()"), outcomes(build).keySet());

        build.jupiterTest(
                "BadTest", FAILS.replace("fail(\"boom\");", "") + "@Test void passes() {}\n");
        build.succeeds("runParallel", "--rerun-failed");
        assertEquals(Map.of("BadTest > fails()", "passed"), outcomes(build));
        build.succeeds("runWorker", "-Pworker=1");
        build.succeeds("runParallel", "--rerun-failed").says("Every test of run", "passed");
        build.fails("runParallel", "--rerun-failed-of", "20200101T000000000Z-0000")
                .says("failed to find the run", "hint:");
    }

    @Test
    void quarantinedTestsRunButDoNotFailTheBuild() throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        Gradles.NEWEST,
                        dir,
                        "testfleet { quarantineFile = layout.projectDirectory.file('q.txt') }\n");
        build.jupiterTest("BadTest", FAILS + "@Test void passes() {}\n");
        build.fails("runParallel").says("failed to read the quarantine file", "q.txt", "hint:");

        build.file("q.txt", "BadTest.fails | never | known to be bad\nGone* | never | typo\n");
        build.succeeds("runParallel")
                .says("known to be bad", "`Gone*` is quarantined, but no test");
        assertEquals(Set.of("BadTest > fails()", "BadTest > passes()"), outcomes(build).keySet());

        build.file("q.txt", "BadTest.fails | 2020-01-31 | known to be bad\n");
        build.fails("runParallel").says("was quarantined until 2020-01-31", "BadTest > fails()");
        build.file("q.txt", "BadTest.fails\n");
        build.fails("runParallel").says("line 1 of the quarantine file", "PATTERN | LAST DAY");
    }

    @Test
    void listingsShowAndWriteNothing() throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", Gradles.NEWEST, dir);
        String listed = build.succeeds("-q", "prepare", "--list").output();
        assertTrue(listed.contains("  com.acme.bank.AccountTest\n    startsEmpty()\n"), listed);
        assertTrue(listed.contains("11 tests in 7 classes of 1 Test task"), listed);
        build.succeeds("-q", "runParallel", "--test-dry-run", "--workers", "2")
                .says("Planned 11 tests", "test-group-1: ", "test-group-2: ", "guessed");
        assertFalse(Files.exists(build.path("build/testfleet/plan.json")));
        assertFalse(Files.exists(build.path("build/test-results/runParallel")));
        Object plan =
                new JsonSlurper()
                        .parseText(
                                build.succeeds("-q", "runParallel", "--test-dry-run", "--json")
                                        .output());
        int tests =
                ((List<?>) ((Map<?, ?>) plan).get("units"))
                        .stream()
                                .mapToInt(
                                        unit -> ((List<?>) ((Map<?, ?>) unit).get("tests")).size())
                                .sum();
        assertEquals(11, tests, "every test is in one unit");
    }

    private static Set<String> listed(GradleBuild build) throws Exception {
        String json = build.succeeds("-q", "prepare", "--list", "--json").output();
        List<?> tests = (List<?>) ((Map<?, ?>) new JsonSlurper().parseText(json)).get("tests");
        return tests.stream()
                .map(test -> (Map<?, ?>) test)
                .map(test -> test.get("class") + " > " + test.get("method"))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    private static List<?> units(GradleBuild build) throws IOException {
        Object plan = new JsonSlurper().parseText(build.read("build/testfleet/plan.json"));
        return (List<?>) ((Map<?, ?>) plan).get("units");
    }

    private static Map<?, ?> summary(GradleBuild build) throws IOException {
        return (Map<?, ?>)
                new JsonSlurper().parseText(build.read("build/reports/testfleet/summary.json"));
    }

    private static Map<String, String> outcomes(GradleBuild build) throws IOException {
        return JUnitXml.outcomes(build.path("build/test-results/runParallel"));
    }
}
