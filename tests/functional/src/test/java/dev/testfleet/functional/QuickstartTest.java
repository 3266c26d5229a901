package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The whole path on the smallest sample. */
class QuickstartTest {
    private static final String RESULTS = "build/test-results/runParallel";

    @TempDir private Path dir;

    @OnEveryGradle
    void runParallelReportsEveryTest(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        Set<String> before = sourceFiles();

        build.succeeds("runParallel", "--workers", "2");
        Map<String, String> parallel = JUnitXml.outcomes(build.path(RESULTS));
        assertEquals(Set.of("passed"), Set.copyOf(parallel.values()), parallel.toString());
        assertTrue(Files.exists(build.path("build/reports/testfleet/index.html")));
        assertTrue(Files.exists(build.path("build/reports/testfleet/summary.json")));
        assertTrue(Files.exists(build.path(".gradle/testfleet/timings.json")));
        assertEquals(before, sourceFiles(), "Testfleet writes nothing among the sources");

        build.gradleTestSucceeds();
        Map<String, String> serial = JUnitXml.outcomes(build.path("build/test-results/test"));
        assertEquals(serial, parallel, "the same test cases as Gradle's own test");
    }

    @OnEveryGradle
    void allTasksStoreAndReuseTheConfigurationCache(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        for (String task : List.of("prepare", "image", "runParallel")) {
            build.succeeds(task, "--workers", "2").says("Configuration cache entry stored");
            build.succeeds(task, "--workers", "2")
                    .says("Configuration cache entry reused", "Task :" + task);
        }
        String[] worker = {"runWorker", "-Pworker=1"};
        build.succeeds(worker).says("Configuration cache entry stored");
        build.succeeds(worker).says("Configuration cache entry reused");
    }

    @OnEveryGradle
    void equalInputsGiveEqualPlans(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds("prepare", "--workers", "3");
        String plan = build.read("build/testfleet/plan.json");
        String bundle = build.read("build/testfleet/bundle.json");
        build.succeeds("prepare", "--workers", "3", "--rerun-tasks");
        assertEquals(plan, build.read("build/testfleet/plan.json"));
        assertEquals(bundle, build.read("build/testfleet/bundle.json"));
        assertFalse(
                plan.contains(dir.toString()), "a plan does not depend on where the clone lies");
    }

    @OnEveryGradle
    void theGroupsOfAPlanAreTheWholePlan(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds("runParallel", "--workers", "2");
        int all = JUnitXml.count(build.path(RESULTS));
        build.succeeds("prepare", "--workers", "2", "--rerun");
        String plan = build.read("build/testfleet/plan.json");
        int sum = 0;
        for (int worker = 1; worker <= 2; worker++) {
            build.succeeds("runWorker", "-Pworker=" + worker);
            sum += JUnitXml.count(build.path("build/test-results/runWorker/worker-" + worker));
        }
        assertEquals(all, sum, "each test is in one group");
        assertEquals(plan, build.read("build/testfleet/plan.json"), "runWorker does not plan");
        build.fails("runWorker", "-Pworker=3").says("plan has 2 of them", "hint:");
        build.fails("runWorker").says("no worker's number was given", "-Pworker=1");
    }

    private Set<String> sourceFiles() throws Exception {
        try (Stream<File> files = GradleBuild.files(dir).stream()) {
            return files.map(file -> dir.relativize(file.toPath()).toString())
                    .filter(path -> !path.startsWith("build/") && !path.startsWith(".gradle/"))
                    .collect(Collectors.toCollection(TreeSet::new));
        }
    }
}
