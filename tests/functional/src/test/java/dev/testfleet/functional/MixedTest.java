package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Many modules and all frameworks. */
class MixedTest {
    private static final List<String> MODULES =
            List.of("codec", "greeting-en", "greeting-fr", "ledger", "pricing", "templates");

    @TempDir private Path dir;

    @OnEveryGradle
    void everyModuleEndsAsUnderGradle(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("mixed", gradle, dir);
        DescriptionTest.applyByHand(build, gradle);
        String[] everything = {"runParallel", "--workers", "2", "--rerun"};
        build.succeeds(everything).says("Configuration cache entry stored");
        build.succeeds(everything).says("Configuration cache entry reused");
        Map<String, String> parallel =
                JUnitXml.outcomes(build.path("build/test-results/runParallel"));

        build.gradleTestSucceeds();
        Map<String, String> serial = new TreeMap<>();
        for (String module : MODULES) {
            JUnitXml.outcomes(build.path(module + "/build/test-results/test"))
                    .forEach((test, outcome) -> serial.merge(test, outcome, (a, b) -> a + "," + b));
        }
        assertEquals(serial, parallel);
        assertEquals(
                "passed,passed", parallel.get("GreetingTest > greets()"), "one in each module");
    }

    @OnEveryGradle
    void aModuleNeedNotHaveEveryTestTask(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("mixed", gradle, dir);
        DescriptionTest.applyByHand(build, gradle);
        build.append(
                "codec/build.gradle",
                "tasks.register('smokeTest', Test) { useJUnitPlatform()\n"
                        + "  testClassesDirs = sourceSets.test.output.classesDirs\n"
                        + "  classpath = sourceSets.test.runtimeClasspath\n"
                        + "  systemProperty 'codec.lane', '1' }\n");
        String script = gradle.equals(Gradles.NEWEST) ? "" : build.read("build.gradle");
        build.file("build.gradle", script + "testfleet { testTasks = ['test', 'smokeTest'] }\n");
        build.succeeds("prepare");
        assertEquals(
                List.of(
                        ":codec:smokeTest",
                        ":codec:test",
                        ":greeting-en:test",
                        ":greeting-fr:test",
                        ":ledger:test",
                        ":pricing:test",
                        ":templates:test"),
                Description.request(build).taskPaths());

        build.file("build.gradle", script + "testfleet { testTasks = ['nowhere'] }\n");
        build.fails("prepare").says("'nowhere'", "hint:");
    }

    @Test
    void projectsStayIsolated() throws Exception {
        GradleBuild build = GradleBuild.ofSample("mixed", Gradles.NEWEST, dir);
        build.always("-Dorg.gradle.unsafe.isolated-projects=true");
        build.succeeds("runParallel", "--workers", "2").says("Configuration cache entry stored");
        build.succeeds("runParallel", "--workers", "2").says("Configuration cache entry reused");
    }

    @Test
    void theSettingsPluginSaysWhatToDoOnOlderGradles() throws Exception {
        GradleBuild build = GradleBuild.ofSample("mixed", Gradles.OLDEST, dir);
        build.fails("prepare").says("needs Gradle 8.8", "hint: apply dev.testfleet");
    }
}
