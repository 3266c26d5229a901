package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.spi.ToolProvider;

/**
 * What the user chooses on the command line and in the build script, and what the test JVMs see of
 * it.
 */
class SelectionTest {
    @TempDir private Path dir;

    @OnNewestGradle
    void testsAndWorkersAreChosenOnTheCommandLine(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds(
                "runParallel",
                "--tests",
                "*.AccountTest",
                "--tests",
                "InterestTest.nothing*",
                "--workers",
                "1");
        Set<String> run = results(build).keySet();
        assertTrue(
                run.contains("com.acme.bank.InterestTest > nothingGrowsInNoTime()"),
                run.toString());
        assertTrue(run.contains("com.acme.bank.AccountTest > startsEmpty()"), run.toString());
        assertTrue(run.stream().noneMatch(test -> test.contains("SettlementTest")), run.toString());
        assertTrue(run.stream().noneMatch(test -> test.contains("compounds")), run.toString());
        assertEquals("1", Description.request(build).object("options").text("workers"));

        build.fails("runParallel", "--tests", "NoSuchTest").says("NoSuchTest");
    }

    @OnNewestGradle
    void valuesThatMakeNoSenseAreRefused(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.fails("prepare", "--backend", "cloud")
                .says("'cloud'", "none of: local, docker, kubernetes", "hint:");
        build.fails("prepare", "--workers", "0").says("'0'", "whole number from 1", "hint:");
        build.fails("prepare", "--workers", "many").says("'many'", "whole number from 1");
        build.fails("prepare", "--workers", "2147483647")
                .says("'2147483647'", "whole number from 1 to 1000", "hint:");
        build.fails("runWorker", "-Pworker=first").says("'first'", "whole number from 1");
        build.append("build.gradle", "testfleet { split = 'package' }\n");
        build.fails("prepare").says("'package'", "class, method", "hint:");
    }

    @OnNewestGradle
    void workersSeeWhatTheTestTaskSays(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "testfleet { workers = 2 }\n"
                                + "tasks.named('test') {\n"
                                + "  systemProperty 'lane', 'lane {worker} of {workers}'\n"
                                + "  jvmArgs '-Dfrom.args=1', '-XX:+UseSerialGC'\n"
                                + "  environment 'CURRENCY', 'EUR'\n"
                                + "  workingDir = file('src/test')\n"
                                + "  maxHeapSize = '123m'\n  enableAssertions = false\n"
                                + "}\n");
        build.jupiterTest(
                "SeesTest",
                "@Test void sees() throws Exception {\n"
                        + "  String worker = System.getenv(\"TESTFLEET_WORKER\");\n"
                        + "  assertTrue(worker.matches(\"[12]\"), worker);\n"
                        + "  assertEquals(\"2\", System.getenv(\"TESTFLEET_WORKERS\"));\n"
                        + "  assertEquals(\"lane \" + worker + \" of 2\","
                        + " System.getProperty(\"lane\"));\n"
                        + "  assertEquals(\"1\", System.getProperty(\"from.args\"));\n"
                        + "  assertEquals(\"EUR\", System.getenv(\"CURRENCY\"));\n"
                        + "  assertEquals(\"from the call\", System.getenv(\"OF_THE_CALL\"));\n"
                        + "  assertTrue(new java.io.File(\"java/SeesTest.java\").exists());\n"
                        + "  long heap = Runtime.getRuntime().maxMemory() >> 20;\n"
                        + "  assertTrue(heap > 100 && heap <= 123, \"heap \" + heap);\n"
                        + "  assertFalse(SeesTest.class.desiredAssertionStatus());\n"
                        + "  assertTrue(java.lang.management.ManagementFactory.getRuntimeMXBean()\n"
                        + "      .getInputArguments().contains(\"-XX:+UseSerialGC\"));\n"
                        + "}\n");
        build.environment("OF_THE_CALL", "from the call");
        build.succeeds("runParallel");
        assertEquals(Map.of("SeesTest > sees()", "passed"), results(build));
    }

    @OnNewestGradle
    void theJvmOfTheTestTaskRunsTheTests(String gradle) throws Exception {
        Path other = dir.resolve("other-jvm");
        int made =
                ToolProvider.findFirst("jlink")
                        .orElseThrow()
                        .run(
                                System.out,
                                System.err,
                                "--add-modules",
                                "java.se,jdk.unsupported",
                                "--output",
                                other.toString());
        assertEquals(0, made, "jlink makes a second JVM");
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "tasks.named('test') { executable = '" + other + "/bin/java' }\n");
        build.jupiterTest(
                "HomeTest",
                "@Test void runsOnTheOtherJvm() { assertEquals(\""
                        + other
                        + "\", System.getProperty(\"java.home\")); }");
        build.succeeds("runParallel");
        assertEquals(Map.of("HomeTest > runsOnTheOtherJvm()", "passed"), results(build));
    }

    @OnNewestGradle
    void aNewJvmComesAfterForkEveryClasses(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, "testfleet { workers = 1 }\n");
        for (String name : new String[] {"ATest", "BTest", "CTest", "DTest"}) {
            build.jupiterTest(
                    name,
                    "@Test void writesDownItsJvm() throws Exception {\n"
                            + "  java.nio.file.Files.writeString(\n"
                            + "      java.nio.file.Paths.get(\"build\", \""
                            + name
                            + ".pid\"), \"\" + ProcessHandle.current().pid());\n"
                            + "}");
        }
        build.succeeds("runParallel");
        assertEquals(1, jvms(build), "one worker has one JVM");
        for (int[] forkEveryAndJvms : new int[][] {{1, 4}, {2, 2}}) {
            build.append(
                    "build.gradle",
                    "tasks.named('test') { forkEvery = " + forkEveryAndJvms[0] + " }\n");
            build.succeeds("runParallel", "--rerun");
            assertEquals(forkEveryAndJvms[1], jvms(build), "forkEvery = " + forkEveryAndJvms[0]);
        }
    }

    private static long jvms(GradleBuild build) throws Exception {
        Set<String> pids = new TreeSet<>();
        for (File file : GradleBuild.files(build.path("build"))) {
            if (file.getName().endsWith(".pid")) {
                pids.add(Files.readString(file.toPath()));
            }
        }
        return pids.size();
    }

    @OnNewestGradle
    void secretsOfTheCallAreWrittenNowhere(String gradle) throws Exception {
        String token = "s3cr3t-" + Long.toHexString(System.nanoTime());
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.environment("CI_TOKEN", token);
        for (String task : new String[] {"prepare", "image", "runParallel"}) {
            build.succeeds(task, "--info").saysNot(token);
        }
        build.succeeds("runWorker", "-Pworker=1", "--info").saysNot(token);
        for (File file : GradleBuild.files(dir)) {
            assertTrue(!contains(file, token), "the token is in " + file);
        }
        for (File file : GradleBuild.files(Path.of(Gradles.userHome(), "testfleet"))) {
            assertTrue(!contains(file, token), "the token is in " + file);
        }
    }

    @OnNewestGradle
    void aBuildThatCopiesASecretIsTold(String gradle) throws Exception {
        String token = "s3cr3t-" + Long.toHexString(System.nanoTime());
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "tasks.named('test') {\n"
                                + "  environment 'DB_PASSWORD', System.getenv('CI_TOKEN')\n"
                                + "  systemProperty 'url', 'db:' + System.getenv('CI_TOKEN')\n"
                                + "  environment 'CI_TOKEN', System.getenv('CI_TOKEN')\n"
                                + "  environment 'WHERE', System.getenv('PATH')\n"
                                + "}\n");
        build.jupiterTest("ATest", "@Test void a() {}");
        build.environment("CI_TOKEN", token);
        for (String cache : new String[] {"stored", "reused"}) {
            build.succeeds("prepare")
                    .says(
                            "Configuration cache entry " + cache,
                            "CI_TOKEN to the environment variable DB_PASSWORD of :test",
                            "CI_TOKEN to the system property url of :test",
                            "passEnvironment = ['CI_TOKEN']")
                    .saysNot("environment variable CI_TOKEN of")
                    .saysNot("environment variable WHERE of")
                    .saysNot(token);
        }
    }

    private static boolean contains(File file, String text) throws Exception {
        String content = new String(Files.readAllBytes(file.toPath()), StandardCharsets.ISO_8859_1);
        return content.contains(text);
    }

    private static Map<String, String> results(GradleBuild build) throws Exception {
        return JUnitXml.outcomes(build.path("build/test-results/runParallel"));
    }
}
