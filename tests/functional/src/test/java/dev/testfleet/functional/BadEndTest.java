package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * Tests that fail, and builds with which nothing can be run: each says what is wrong and what to
 * do.
 */
class BadEndTest {
    private static final String KILL_OWN_JVM =
            "new ProcessBuilder(\"kill\", \"-9\", \"\" +"
                    + " ProcessHandle.current().pid()).start().waitFor(); Thread.sleep(60_000);";

    @TempDir private Path dir;

    @OnEveryGradle
    void failingTestsFailTheTaskWithTheirNames(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, "");
        build.jupiterTest(
                "SomeTest",
                "@Test void good() {}\n"
                        + "@Test void bad() { fail(\"this is why\"); }\n"
                        + "@Test @Disabled void off() {}");
        build.fails("runParallel")
                .says(
                        "SomeTest > bad()",
                        "this is why",
                        "Execution failed for task ':runParallel'");
        assertEquals(
                Map.of(
                        "SomeTest > good()",
                        "passed",
                        "SomeTest > bad()",
                        "failure",
                        "SomeTest > off()",
                        "skipped"),
                results(build));

        build.append("build.gradle", "testfleet { ignoreFailures = true }\n");
        build.succeeds("runParallel").says("SomeTest > bad()");
    }

    @OnEveryGradle
    void ignoreFailuresOfATestTaskCountsForItsOwnTests(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle, dir, "tasks.named('test') { ignoreFailures = true }\n");
        build.jupiterTest("SomeTest", "@Test void bad() { fail(); }");
        build.succeeds("runParallel").says("SomeTest > bad()");
    }

    @OnEveryGradle
    void aKilledTestJvmCostsOneTest(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, "testfleet { workers = 1 }\n");
        build.jupiterTest(
                "KillerTest",
                "@Test void before() {}\n"
                        + "@Test void killer() throws Exception { "
                        + KILL_OWN_JVM
                        + " }\n"
                        + "@Test void other() {}");
        build.jupiterTest("LaterTest", "@Test void later() {}");
        build.fails("runParallel").says("KillerTest > killer()");
        Map<String, String> results = results(build);
        assertEquals("error", results.get("KillerTest > killer()"), results.toString());
        assertEquals("passed", results.get("KillerTest > before()"), results.toString());
        assertEquals("passed", results.get("KillerTest > other()"), results.toString());
        assertEquals("passed", results.get("LaterTest > later()"), results.toString());
    }

    @OnEveryGradle
    void aBrokenClassFileIsNamed(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "tasks.named('test') { testClassesDirs = files('classes')\n"
                                + "  classpath = files('classes') + classpath }\n");
        Files.createDirectories(build.path("classes"));
        Files.write(
                build.path("classes/BrokenTest.class"), new byte[] {(byte) 0xCA, (byte) 0xFE, 1});
        build.fails("runParallel").says("BrokenTest.class", "hint:");
    }

    @OnEveryGradle
    void noTestsAtAllIsNoSuccess(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, "");
        build.file("src/test/java/NoTest.java", "class NoTest {}\n");
        build.fails("runParallel").says("failed to find a test", "hint:");
    }

    @OnEveryGradle
    void disabledTestTasksAreNamed(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(gradle, dir, "tasks.named('test') { enabled = false }\n");
        build.jupiterTest("SomeTest", "@Test void good() {}");
        build.fails("runParallel").says("all Test tasks are disabled: :test", "hint:");
    }

    @OnEveryGradle
    void aMissingClasspathEntryIsNamed(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle, dir, "dependencies { testRuntimeOnly files('lib/gone.jar') }\n");
        build.jupiterTest("SomeTest", "@Test void good() {}");
        build.fails("runParallel").says("lib/gone.jar", "hint:");
    }

    @OnEveryGradle
    void aJvmThatCannotStartSaysWhy(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle, dir, "tasks.named('test') { jvmArgs '-XX:+NoSuchOption' }\n");
        build.jupiterTest("SomeTest", "@Test void good() {}");
        build.fails("runParallel").says("NoSuchOption", "hint:");
    }

    @OnEveryGradle
    void aFileOutsideEveryRootCanBeNamed(String gradle) throws Exception {
        Path outside = Files.createDirectories(dir.resolve("outside"));
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir.resolve("inside"),
                        "dependencies { testRuntimeOnly files('../outside') }\n");
        build.jupiterTest("SomeTest", "@Test void good() {}");
        Files.writeString(outside.resolve("data.txt"), "1");
        build.fails("runParallel").says(outside.toRealPath().toString(), "roots.put");
        build.append("build.gradle", "testfleet { roots.put('outside', file('../outside')) }\n");
        build.succeeds("runParallel");
        assertTrue(build.read("build/testfleet/bundle.json").contains("${outside}"));
    }

    private static Map<String, String> results(GradleBuild build) throws Exception {
        return JUnitXml.outcomes(build.path("build/test-results/runParallel"));
    }
}
