package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** What a Test task says arrives in its description. */
class DescriptionTest {
    private static final String DESCRIBE = "testfleetDescribeTest";

    @TempDir private Path dir;

    @OnEveryGradle
    void everySettingOfTheJvmArrives(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "tasks.named('test') {\n"
                                + "  jvmArgs '--add-opens', 'java.base/java.lang=ALL-UNNAMED',"
                                + " '-Dfrom.args=1'\n"
                                + "  jvmArgumentProviders.add({ ['-Dfrom.provider=2', '-Xmx700m',"
                                + " '-XX:+UseSerialGC'] } as CommandLineArgumentProvider)\n"
                                + "  systemProperty 'lane', '{worker} of {workers}'\n"
                                + "  environment 'CURRENCY', 'EUR'\n"
                                + "  workingDir = file('src')\n"
                                + "  minHeapSize = '64m'\n"
                                + "  maxHeapSize = '300m'\n"
                                + "  enableAssertions = false\n"
                                + "  forkEvery = 7\n"
                                + "  defaultCharacterEncoding = 'ISO-8859-1'\n"
                                + "  ignoreFailures = true\n"
                                + "}\n");
        build.jupiterTest("ATest", "@Test void a() {}");

        build.succeeds(DESCRIBE).says("Configuration cache entry stored");
        Description task = Description.ofTask(build, "", "test");
        assertEquals(":test", task.text("path"));
        assertEquals(
                List.of("--add-opens", "java.base/java.lang=ALL-UNNAMED", "-XX:+UseSerialGC"),
                task.texts("jvmArgs"));
        Description properties = task.object("systemProperties");
        assertEquals("1", properties.text("from.args"));
        assertEquals("2", properties.text("from.provider"));
        assertEquals("{worker} of {workers}", properties.text("lane"));
        assertEquals(System.getProperty("user.language"), properties.text("user.language"));
        assertEquals("64m", task.text("minHeap"));
        assertEquals("700m", task.text("maxHeap"), "what a provider says comes last and wins");
        assertEquals("false", task.text("enableAssertions"));
        assertEquals("ISO-8859-1", task.text("defaultCharset"));
        assertEquals("7", task.text("forkEvery"));
        assertEquals("true", task.text("ignoreFailures"));
        assertEquals(build.path("src").toString(), task.text("workingDir"));
        assertEquals(
                Path.of(System.getProperty("java.home")).toRealPath(),
                Path.of(task.object("java").text("home")).toRealPath());

        build.succeeds(DESCRIBE).says("Configuration cache entry reused");
        assertEquals("700m", Description.ofTask(build, "", "test").text("maxHeap"));
    }

    @OnEveryGradle
    void onlyWhatTheBuildSetIsTakenFromTheEnvironment(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "tasks.named('test') {\n"
                                + "  environment 'CURRENCY', 'EUR'\n"
                                + "  environment 'CHANGED', 'by the build'\n"
                                + "  environment 'KEPT', System.getenv('KEPT')\n"
                                + "}\n");
        build.jupiterTest("ATest", "@Test void a() {}");
        build.environment("CI_TOKEN", "first").environment("CHANGED", "x").environment("KEPT", "y");

        build.succeeds(DESCRIBE);
        assertEquals(
                Map.of("CHANGED", "by the build", "CURRENCY", "EUR"),
                Description.ofTask(build, "", "test").object("environment").asTexts());
        build.environment("CI_TOKEN", "second");
        build.succeeds(DESCRIBE).says("Configuration cache entry reused");
    }

    @OnEveryGradle
    void whatTheBuildDeclaresAsPropertiesArrives(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "tasks.named('test') {\n"
                                + "  if (!project.hasProperty('plain')) {\n"
                                + "    inputs.property('schema', providers.provider { 7 })\n"
                                + "    inputs.property('names', ['b', 'a'] as Set)\n"
                                + "    inputs.property('date', new Date(0))\n"
                                + "  }\n"
                                + "}\n");
        build.jupiterTest("ATest", "@Test void a() {}");

        build.succeeds(DESCRIBE);
        Description task = Description.ofTask(build, "", "test");
        assertEquals(
                Map.of("schema", "7", "names", "[a, b]"), task.object("inputProperties").asTexts());
        assertEquals(List.of("date (java.util.Date)"), task.texts("propertiesWithoutText"));
        build.succeeds(DESCRIBE, "-Pplain");
        task = Description.ofTask(build, "", "test");
        assertEquals(Map.of(), task.object("inputProperties").asTexts(), "every task has the rest");
        assertEquals(List.of(), task.texts("propertiesWithoutText"));
    }

    @OnEveryGradle
    void whatSpecsAndClosuresLeaveOutArrives(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "tasks.named('test') {\n"
                                + "  exclude '**/B*'\n"
                                + "  exclude { it.file.name.contains('Slow') }\n"
                                + "  include { it.directory || it.name != 'DTest.class' }\n"
                                + "}\n");
        for (String name : List.of("ATest", "BSlowTest", "CSlowTest", "DTest")) {
            build.jupiterTest(name, "@Test void a() {}");
        }

        List<String> expected = List.of("**/B*", "CSlowTest.class", "DTest.class");
        build.succeeds(DESCRIBE).says("Configuration cache entry stored");
        assertEquals(expected, Description.ofTask(build, "", "test").texts("excludes"));
        build.jupiterTest("ESlowTest", "@Test void a() {}");
        build.succeeds(DESCRIBE).says("Configuration cache entry reused");
        assertEquals(
                List.of("**/B*", "CSlowTest.class", "DTest.class", "ESlowTest.class"),
                Description.ofTask(build, "", "test").texts("excludes"));
    }

    @OnEveryGradle
    void filtersAndFrameworkArrive(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "tasks.named('test') {\n"
                            + "  useJUnitPlatform { includeTags 'fast'; excludeTags 'flaky';"
                            + " includeEngines 'junit-jupiter' }\n"
                            + "  include '**/A*'\n"
                            + "  exclude '**/B*'\n"
                            + "  scanForTestClasses = false\n"
                            + "  filter { includeTestsMatching 'A*'; excludeTestsMatching '*.slow'"
                            + " }\n"
                            + "  inputs.file('data.txt')\n"
                            + "}\n");
        build.jupiterTest("ATest", "@Test void a() {}").file("data.txt", "1");

        build.succeeds(DESCRIBE);
        Description task = Description.ofTask(build, "", "test");
        Description framework = task.object("framework");
        assertEquals("junit-platform", framework.text("name"));
        assertEquals(List.of("fast"), framework.texts("includeTags"));
        assertEquals(List.of("flaky"), framework.texts("excludeTags"));
        assertEquals(List.of("junit-jupiter"), framework.texts("includeEngines"));
        assertEquals(List.of("**/A*"), task.texts("includes"));
        assertEquals(List.of("**/B*"), task.texts("excludes"));
        assertEquals("false", task.text("scanForTestClasses"));
        assertEquals(List.of("A*"), task.texts("includeTests"));
        assertEquals(List.of("*.slow"), task.texts("excludeTests"));
        assertEquals(List.of("data.txt"), task.fileNames("declaredInputs"));
    }

    @OnEveryGradle
    void theLauncherComesAtTheVersionOfTheEngine(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, "");
        build.jupiterTest("ATest", "@Test void a() {}");
        build.succeeds(DESCRIBE);
        Description without = Description.ofTask(build, "", "test");
        assertEquals(
                List.of("junit-platform-launcher-1.11.4.jar"),
                without.fileNames("launcherClasspath"));
        assertTrue(without.fileNames("classpath").contains("junit-platform-engine-1.11.4.jar"));

        build.append(
                "build.gradle",
                "dependencies { testRuntimeOnly 'org.junit.platform:junit-platform-launcher:1.11.4'"
                        + " }\n");
        build.succeeds(DESCRIBE);
        Description with = Description.ofTask(build, "", "test");
        assertEquals(List.of(), with.texts("launcherClasspath"));
        assertTrue(with.fileNames("classpath").contains("junit-platform-launcher-1.11.4.jar"));
    }

    @OnEveryGradle
    void theLauncherIsFoundForAClasspathWithoutASourceSetToo(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "configurations { libs }\n"
                                + "dependencies { libs 'org.junit.jupiter:junit-jupiter:5.10.3' }\n"
                                + "tasks.named('test') { testClassesDirs = files('classes')\n"
                                + "  classpath = files('classes') + configurations.libs }\n");
        build.file("classes/placeholder", "");
        build.succeeds(DESCRIBE);
        assertEquals(
                List.of("junit-platform-launcher-1.10.3.jar"),
                Description.ofTask(build, "", "test").fileNames("launcherClasspath"));
    }

    @OnEveryGradle
    void otherFrameworksNeedNoLauncher(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("mixed", gradle, dir);
        applyByHand(build, gradle);
        build.succeeds(":ledger:" + DESCRIBE, ":pricing:" + DESCRIBE);
        Description junit4 = Description.ofTask(build, "ledger", "test");
        assertEquals("junit4", junit4.object("framework").text("name"));
        assertEquals(List.of(), junit4.texts("launcherClasspath"));
        Description testNg = Description.ofTask(build, "pricing", "test");
        assertEquals("testng", testNg.object("framework").text("name"));
        assertEquals(List.of("manual"), testNg.object("framework").texts("excludeGroups"));
        assertEquals(List.of(), testNg.texts("launcherClasspath"));
    }

    @OnEveryGradle
    void suiteFilesOfTestNgAreRefusedRatherThanIgnored(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle, dir, "tasks.named('test') { useTestNG { suites 'suite.xml' } }\n");
        build.file("suite.xml", "<suite name='s'/>");
        build.fails(DESCRIBE).says("TestNG suite files", "hint:");
    }

    @OnEveryGradle
    void whatTheTestTaskDependsOnIsDone(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "def fixture = tasks.register('fixture') { doLast { println 'made the"
                                + " fixture' } }\n"
                                + "tasks.named('test') { dependsOn fixture }\n");
        build.jupiterTest("ATest", "@Test void a() {}");
        build.succeeds(DESCRIBE)
                .says("made the fixture", "Task :compileTestJava")
                .saysNot("Task :test\n");
    }

    @OnEveryGradle
    void tasksThatAreNotNeededAreNotConfigured(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "tasks.register('unrelated') { throw new GradleException('configured: ' +"
                                + " it.path) }\n"
                                + "tasks.register('otherTest', Test) { throw new"
                                + " GradleException('configured: ' + it.path) }\n"
                                + "tasks.withType(Test).configureEach { println 'configured: ' +"
                                + " it.path }\n");
        build.jupiterTest("ATest", "@Test void a() {}");
        build.succeeds("compileJava").saysNot("configured: :test");
        build.succeeds(DESCRIBE).says("configured: :test");
    }

    /**
     * The mixed sample on a Gradle without {@code gradle.lifecycle}, as docs/configuration.md shows
     * it.
     */
    static void applyByHand(GradleBuild build, String gradle) throws IOException {
        if (gradle.equals(Gradles.NEWEST)) {
            return;
        }
        String settings = build.read("settings.gradle");
        String byHand =
                settings.replaceFirst("(?m)^    id 'dev.testfleet.settings'(?! version).*$", "");
        assertFalse(byHand.equals(settings));
        build.file("settings.gradle", byHand);
        build.file(
                "build.gradle",
                "plugins {\n    id 'dev.testfleet'\n    id 'dev.testfleet.module' apply false\n}\n"
                        + "subprojects {\n    apply plugin: 'dev.testfleet.module'\n}\n"
                        + "dependencies {\n    subprojects.each { testfleet it }\n}\n");
    }
}
