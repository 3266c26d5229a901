package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import groovy.json.JsonSlurper;

import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** A plan is taken as it is or not at all, and timings for the next one come from each run. */
class PlanTest {
    private static final String PLAN = "build/testfleet/plan.json";

    @TempDir private Path dir;

    @OnNewestGradle
    void aPlanElsewhereIsTakenAsItIs(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds("prepare", "--workers", "2");
        build.file("plans/for-two.json", build.read(PLAN));
        build.succeeds("prepare", "--workers", "1");
        build.fails("runWorker", "-Pworker=2").says("plan has 1 of them", "hint:");

        build.succeeds("runWorker", "-Pworker=1");
        Map<String, String> all = results(build, 1);
        build.succeeds("runWorker", "-Pworker=1", "--plan", "plans/for-two.json");
        Map<String, String> groups = new TreeMap<>(results(build, 1));
        assertTrue(groups.size() < all.size(), "a part of the tests: " + groups);
        build.succeeds("runWorker", "-Pworker=2", "--plan", "plans/for-two.json");
        groups.putAll(results(build, 2));
        assertEquals(all, groups, "both groups of the plan are the whole plan");

        build.fails("runWorker", "-Pworker=1", "--plan", "plans/none.json")
                .says("failed to find a plan", "plans/none.json", "hint:");
    }

    @OnNewestGradle
    void aPlanThatMissesAClassIsRefused(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds("prepare", "--workers", "1");
        build.jupiterTest("LaterTest", "@Test void later() {}");
        build.fails("runWorker", "-Pworker=1")
                .says("does not fit the build any more", "LaterTest", "./gradlew prepare");

        build.succeeds("prepare", "--workers", "1");
        build.succeeds("runWorker", "-Pworker=1");
        assertEquals("passed", results(build, 1).get("LaterTest > later()"));
    }

    @OnNewestGradle
    void aGroupIsRunWithoutOtherTestsThanThePlans(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds("prepare", "--workers", "1", "--tests", "*.InterestTest");
        build.fails("runWorker", "-Pworker=1", "--tests", "*.AccountTest")
                .says("--tests *.AccountTest", "--tests *.InterestTest", "hint:");
        build.succeeds("runWorker", "-Pworker=1");
        assertTrue(
                results(build, 1).keySet().stream()
                        .allMatch(test -> test.startsWith("com.acme.bank.InterestTest > ")),
                results(build, 1).toString());
        assertFalse(results(build, 1).isEmpty());
    }

    @OnNewestGradle
    void eachRunAddsItsTimings(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, "");
        build.jupiterTest("SomeTest", "@Test void first() {}");
        build.succeeds("runParallel");
        assertEquals(Map.of("first()", 1), timesKnown(build));
        build.jupiterTest("SomeTest", "@Test void first() {}\n@Test void second() {}");
        build.succeeds("runParallel");
        assertEquals(Map.of("first()", 2, "second()", 1), timesKnown(build));
    }

    private static Map<String, Integer> timesKnown(GradleBuild build) throws IOException {
        Object timings = new JsonSlurper().parseText(build.read(".gradle/testfleet/timings.json"));
        Map<String, Integer> known = new TreeMap<>();
        for (Object line : (List<?>) ((Map<?, ?>) timings).get("lines")) {
            // The last line is null, so that all others end alike.
            if (line == null || !"SomeTest".equals(((Map<?, ?>) line).get("class"))) {
                continue;
            }
            Map<?, ?> tests = (Map<?, ?>) ((Map<?, ?>) line).get("tests");
            tests.forEach(
                    (test, times) ->
                            known.put(
                                    (String) test,
                                    (int)
                                            ((List<?>) times)
                                                    .stream().filter(Objects::nonNull).count()));
        }
        return known;
    }

    private static Map<String, String> results(GradleBuild build, int worker) throws IOException {
        return JUnitXml.outcomes(build.path("build/test-results/runWorker/worker-" + worker));
    }
}
