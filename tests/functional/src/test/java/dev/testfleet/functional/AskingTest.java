package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Tests of which class files do not tell: their frameworks are asked. */
class AskingTest {
    private static final String ENGINES =
            "dependencies {\n"
                    + "  testImplementation 'net.jqwik:jqwik-api:1.9.1'\n"
                    + "  testRuntimeOnly 'net.jqwik:jqwik-engine:1.9.1'\n"
                    + "  testImplementation 'org.junit.platform:junit-platform-suite:1.11.4'\n"
                    + "  testImplementation 'junit:junit:4.13.2'\n"
                    + "  testRuntimeOnly 'org.junit.vintage:junit-vintage-engine:5.11.4'\n"
                    + "}\n"
                    + "testfleet { workers = 2 }\n";

    @TempDir private Path dir;

    @OnNewestGradle
    void testsOfAnyEngineRunOnceEach(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, ENGINES);
        build.jupiterTest("PlainTest", "@Test void adds() {}\n@Test void subtracts() {}");
        source(build, "Helper", "class Helper {}");
        source(
                build,
                "Properties",
                "import net.jqwik.api.*;\n"
                        + "class Properties {\n"
                        + "  @Property(tries = 5) boolean holds(@ForAll int n) { return true; }\n"
                        + "  @Example void once() {}\n"
                        + "}");
        source(
                build,
                "Everything",
                "import org.junit.platform.suite.api.*;\n"
                        + "@Suite @SelectClasses(PlainTest.class) class Everything {}");
        source(
                build,
                "OldCase",
                "public class OldCase extends junit.framework.TestCase {\n"
                        + "  public void testOld() {}\n"
                        + "}");
        source(
                build,
                "OldSuite",
                "public class OldSuite {\n"
                        + "  public static junit.framework.Test suite() {\n"
                        + "    return new junit.framework.TestSuite(OldCase.class);\n"
                        + "  }\n"
                        + "}");

        build.succeeds("runParallel")
                .says(
                        "Asking test frameworks about",
                        "the engine net.jqwik.engine.JqwikTestEngine",
                        "classes were found by asking: Everything, OldSuite, Properties")
                .matches("Asked in .*: \\d+ classes with tests");
        Map<String, String> expected = new TreeMap<>();
        for (String test :
                List.of(
                        "Everything > PlainTest.adds",
                        "Everything > PlainTest.subtracts",
                        "OldCase > testOld",
                        "OldSuite > OldCase.testOld",
                        "PlainTest > adds()",
                        "PlainTest > subtracts()",
                        "Properties > holds(int)",
                        "Properties > once")) {
            expected.put(test, "passed");
        }
        Path results = build.path("build/test-results/runParallel");
        assertEquals(expected, JUnitXml.outcomes(results));

        // Nothing has changed, so nothing is asked; a damaged cache is asked again, and said.
        build.succeeds("prepare").saysNot("Asking test frameworks");
        List<File> kept = GradleBuild.files(build.path(".gradle/testfleet/answers"));
        assertEquals(1, kept.size(), kept.toString());
        build.file(dir.relativize(kept.get(0).toPath()).toString(), "{");
        build.succeeds("prepare").says("Asking test frameworks", "answers of test frameworks");
        build.succeeds("prepare").saysNot("Asking test frameworks");

        build.succeeds("prepare", "--verify")
                .matches(
                        "Verified 3 tests of 2 classes: class files and frameworks agree"
                                + " \\(5 tests of 3 classes more are known by asking alone\\)");

        build.succeeds("runParallel", "--tests", "Properties.once", "--tests", "PlainTest.adds");
        Map<String, String> some = JUnitXml.outcomes(results);
        // As under Gradle, a pattern that names a class by its whole name starts no other.
        assertEquals(
                List.of("PlainTest > adds()", "Properties > once"), List.copyOf(some.keySet()));
    }

    @OnNewestGradle
    void aClassThatEndsItsJvmIsNamedAndTheOthersAreFound(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, ENGINES);
        source(
                build,
                "Ends",
                "public class Ends {\n"
                        + "  public static junit.framework.Test suite() {\n"
                        + "    Runtime.getRuntime().halt(3);\n"
                        + "    return null;\n"
                        + "  }\n"
                        + "}");
        source(
                build,
                "Properties",
                "import net.jqwik.api.*;\n"
                        + "class Properties {\n"
                        + "  @Example void once() {}\n"
                        + "}");
        build.succeeds("prepare").says("could not look into Ends", "exit code 3");
        build.fails("runParallel").says("Ends");
        Map<String, String> outcomes =
                JUnitXml.outcomes(build.path("build/test-results/runParallel"));
        assertEquals("passed", outcomes.get("Properties > once"));
        assertTrue(
                outcomes.entrySet().stream()
                        .anyMatch(
                                test ->
                                        test.getKey().startsWith("Ends > ")
                                                && test.getValue().equals("error")),
                outcomes.toString());
        assertEquals(2, outcomes.size(), outcomes.toString());
    }

    private static void source(GradleBuild build, String name, String text) throws Exception {
        build.file("src/test/java/" + name + ".java", text + "\n");
    }
}
