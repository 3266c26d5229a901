package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.Map;

/** The sample with other people's tests; tests/suite-check runs all of them. */
class RealSuiteTest {
    @TempDir private Path dir;

    @OnEveryGradle
    void classesFromAJarRunWithAllThatTheirTestTaskSays(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("real-suite", gradle, dir);
        build.succeeds("prepare", "--workers", "2").says("4,466 tests");
        build.succeeds(
                "runParallel",
                "--workers",
                "2",
                "--tests",
                "*StringEscapeUtilsTest",
                "--tests",
                "*reflect*");
        Map<String, String> results =
                JUnitXml.outcomes(build.path("build/test-results/runParallel"));
        assertTrue(results.size() > 100, results.toString());
        String readsAFile = "org.apache.commons.lang3.StringEscapeUtilsTest > testLang708()";
        assertEquals("passed", results.get(readsAFile));
    }
}
