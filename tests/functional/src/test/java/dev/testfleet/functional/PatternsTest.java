package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import groovy.json.JsonSlurper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Which tests patterns select, beside Gradle itself: a Test task for each pattern, all run by
 * Gradle in one call and planned by Testfleet in another.
 */
class PatternsTest {
    private static final List<String> PATTERNS =
            List.of(
                    "*",
                    "CartTest",
                    "CartTest.adds",
                    "CartTest.*",
                    "CartTest.add*",
                    "*CartTest",
                    "Cart*",
                    "Cart*.adds*",
                    "*Cart*",
                    "*.adds",
                    "*adds",
                    "adds",
                    "com.acme.CartTest",
                    "com.acme.CartTest.adds",
                    "com.acme.*",
                    "com.acme.deep.*",
                    "com.acme.deep*",
                    "com.*.CartTest",
                    "com.*.adds",
                    "com.acme",
                    "deep.CartTest",
                    "*.deep.CartTest",
                    "lowerTest",
                    "com.acme.deep.lowerTest",
                    "CartTest$WhenFull",
                    "CartTest$WhenFull.adds",
                    "com.acme.CartTest$WhenFull",
                    "com.acme.CartTest$WhenFull.rejects",
                    "*WhenFull*",
                    "*WhenFull.adds",
                    "CartTest$Plain",
                    "CartTest$*",
                    "*$*",
                    "ParameterizedCartTest.adds",
                    "ParameterizedCartTest.adds*",
                    "NoSuchTest",
                    "com.acme.OldTest.adds",
                    "OldTest");
    private static final List<String> SOME_PATTERNS =
            List.of(
                    "CartTest.adds",
                    "*Cart*",
                    "*.adds",
                    "com.acme.deep.*",
                    "com.acme.CartTest$WhenFull",
                    "*WhenFull.adds",
                    "OldTest",
                    "com.acme.OldTest.adds");
    private static final List<String> FILES =
            List.of(
                    "**/*Test.class",
                    "**/Cart*",
                    "**/CartTest.class",
                    "com/acme/deep/**",
                    "com/acme/*",
                    "**/CartTest$*",
                    "**/*$Plain.class",
                    "**/lower*");

    @TempDir private Path dir;

    @Test
    void patternsSelectWhatGradleSelects() throws Exception {
        GradleBuild build = GradleBuild.empty(Gradles.NEWEST, dir);
        build.settings("rootProject.name = 'patterns'\n");
        writeTests(build);
        Map<String, String> tasks = new TreeMap<>();
        String platform = "useJUnitPlatform()";
        for (String pattern : PATTERNS) {
            add(tasks, platform, "filter.includeTestsMatching('" + pattern + "')");
        }
        for (String file : FILES) {
            add(tasks, platform, "include('" + file + "')");
        }
        for (String framework : List.of(platform, "useJUnit()")) {
            for (String pattern : SOME_PATTERNS) {
                add(tasks, framework, "filter.excludeTestsMatching('" + pattern + "')");
            }
            add(tasks, framework, "exclude('**/Cart*')");
            add(tasks, framework, "exclude('com/acme/deep/**')");
            add(
                    tasks,
                    framework,
                    "filter { includeTestsMatching('Cart*'); excludeTestsMatching('*.adds') }");
            add(
                    tasks,
                    framework,
                    "include('**/Cart*'); filter.includeTestsMatching('com.acme.deep.*')");
        }
        for (String pattern : SOME_PATTERNS) {
            add(tasks, "useJUnit()", "filter.includeTestsMatching('" + pattern + "')");
        }
        add(tasks, "useJUnit()", "include('**/Old*')");
        for (String framework : List.of(platform, "useJUnit()")) {
            add(tasks, framework, "exclude { it.file.name.contains('OldCart') }");
            add(tasks, framework, "include('com/acme/*'); exclude { it.name =~ 'Cart' }");
            add(tasks, framework, "include { it.directory || it.path.contains('deep') }");
        }
        add(tasks, "useJUnitPlatform { includeTags 'slow' }", "");
        add(tasks, "useJUnitPlatform { excludeTags 'slow | db' }", "");
        add(tasks, "useJUnitPlatform { includeEngines 'junit-vintage' }", "");
        add(tasks, "useJUnit { includeCategories 'com.acme.Slow' }", "");
        add(tasks, "useJUnit { excludeCategories 'com.acme.Slow' }", "");

        StringBuilder script =
                new StringBuilder("plugins {\n    id 'java'\n    id 'dev.testfleet'\n}\n")
                        .append("dependencies {\n")
                        .append("  testImplementation 'org.junit.jupiter:junit-jupiter:5.11.4'\n")
                        .append("  testImplementation 'junit:junit:4.13.2'\n")
                        .append("  testRuntimeOnly 'org.junit.vintage:junit-vintage-engine:5.11.4'")
                        .append("\n  testRuntimeOnly ")
                        .append("'org.junit.platform:junit-platform-launcher:1.11.4'")
                        .append("\n}\n");
        tasks.forEach(
                (name, text) ->
                        script.append("tasks.register('" + name + "', Test) {\n")
                                .append("  testClassesDirs = sourceSets.test.output.classesDirs\n")
                                .append("  classpath = sourceSets.test.runtimeClasspath\n")
                                .append("  filter.failOnNoMatchingTests = false\n  ")
                                .append(text)
                                .append("\n}\n"));
        script.append("testfleet { testTasks = ['" + String.join("', '", tasks.keySet()) + "'] }");
        build.file("build.gradle", script.toString());

        List<String> all = new ArrayList<>(tasks.keySet());
        build.succeeds(all.toArray(new String[0]));
        Map<String, Set<String>> planned = planned(build);
        List<String> differences = new ArrayList<>();
        int selected = 0;
        for (Map.Entry<String, String> task : tasks.entrySet()) {
            Set<String> byGradle = ranByGradle(build, task.getKey());
            Set<String> byUs = planned.getOrDefault(task.getKey(), Set.of());
            selected += byGradle.size();
            if (!byGradle.equals(byUs)) {
                differences.add(
                        task.getValue() + "\n  Gradle: " + byGradle + "\n  Testfleet: " + byUs);
            }
        }
        assertTrue(selected > 250, "the patterns select tests: " + selected);
        assertEquals("", String.join("\n", differences));
    }

    private static void add(Map<String, String> tasks, String framework, String choice) {
        tasks.put(String.format("t%03d", tasks.size()), framework + "; " + choice);
    }

    /** Test cases without parameters and numbers of invocations. */
    private static Set<String> ranByGradle(GradleBuild build, String task) throws IOException {
        Set<String> tests = new TreeSet<>();
        JUnitXml.outcomes(build.path("build/test-results/" + task))
                .keySet()
                .forEach(test -> tests.add(test.replaceFirst("[(\\[].*", "")));
        return tests;
    }

    private static Map<String, Set<String>> planned(GradleBuild build) throws Exception {
        String json = build.succeeds("-q", "prepare", "--list", "--json").output();
        Map<String, Set<String>> planned = new TreeMap<>();
        for (Object entry :
                (List<?>) ((Map<?, ?>) new JsonSlurper().parseText(json)).get("tests")) {
            Map<?, ?> test = (Map<?, ?>) entry;
            String method = String.valueOf(test.get("method")).replaceFirst("\\(.*", "");
            planned.computeIfAbsent(
                            String.valueOf(test.get("task")).substring(1), any -> new TreeSet<>())
                    .add(test.get("class") + " > " + method);
        }
        return planned;
    }

    private static void writeTests(GradleBuild build) throws IOException {
        String jupiter =
                "import org.junit.jupiter.api.*;\n"
                        + "import org.junit.jupiter.params.ParameterizedTest;\n"
                        + "import org.junit.jupiter.params.provider.ValueSource;\n";
        source(
                build,
                "com/acme/CartTest",
                jupiter
                        + "class CartTest {\n"
                        + "  @Test void adds() {}\n"
                        + "  @Test void addsMany() {}\n"
                        + "  @Test @Tag(\"slow\") void removes() {}\n"
                        + "  @Nested class WhenFull {\n"
                        + "    @Test @Tag(\"db\") void rejects() {}\n"
                        + "    @Test void adds() {}\n"
                        + "  }\n"
                        + "  static class Plain {\n"
                        + "    @Test void adds() {}\n"
                        + "  }\n"
                        + "}\n");
        source(
                build,
                "com/acme/CartItemTest",
                jupiter + "class CartItemTest {\n  @Test void adds() {}\n}\n");
        source(
                build,
                "com/acme/ParameterizedCartTest",
                jupiter
                        + "class ParameterizedCartTest {\n"
                        + "  @ParameterizedTest(name = \"adds[{index}]\") @ValueSource(ints = 1)\n"
                        + "  void adds(int n) {}\n"
                        + "  @Test void plain() {}\n}\n");
        for (String name : List.of("CartTest", "lowerTest")) {
            source(
                    build,
                    "com/acme/deep/" + name,
                    jupiter + "class " + name + " {\n  @Test void adds() {}\n}\n");
        }
        source(build, "com/acme/Slow", "public interface Slow {}\n");
        String old = "import org.junit.Test;\nimport org.junit.experimental.categories.Category;\n";
        source(
                build,
                "com/acme/OldTest",
                old
                        + "public class OldTest {\n  @Test public void adds() {}\n"
                        + "  @Test @Category(Slow.class) public void removes() {}\n}\n");
        source(
                build,
                "com/acme/deep/OldCartTest",
                old
                        + "@Category(com.acme.Slow.class)\n"
                        + "public class OldCartTest extends com.acme.OldTest {\n"
                        + "  @Test public void adds() {}\n  @Test public void more() {}\n}\n");
    }

    private static void source(GradleBuild build, String path, String text) throws IOException {
        String name = path.substring(0, path.lastIndexOf('/')).replace('/', '.');
        build.file("src/test/java/" + path + ".java", "package " + name + ";\n" + text);
    }
}
