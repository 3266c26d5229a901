package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** A run that was cut short goes on where it stopped. */
class ResumeTest {
    private static final Duration COMES_WITHIN = Duration.ofMinutes(3);
    private static final Set<String> ALL =
            IntStream.rangeClosed(1, 6)
                    .mapToObj(n -> "Step" + n + "Test")
                    .collect(Collectors.toSet());

    @TempDir private Path dir;

    @OnNewestGradle
    void aKilledRunGoesOn(String gradle) throws Exception {
        GradleBuild build = stepsThatStopAt(gradle, 3);
        Process client = build.start("runParallel", "--rerun");
        try {
            awaitStop(client);
            processOfTheStop(0).orElseThrow().destroyForcibly();
            assertTrue(client.waitFor(60, TimeUnit.SECONDS), "the client without its daemon ends");
        } finally {
            client.destroyForcibly();
        }

        build.file("src/test/java/Step1Test.java", step(1, "assertTrue(true); "));
        build.fails("runParallel", "--rerun", "--resume")
                .says("failed to go on with run", "build/classes/java/test changed", "hint:");

        build.file("src/test/java/Step1Test.java", step(1, ""));
        letThrough();
        build.succeeds("runParallel", "--rerun", "--resume");
        assertAllPassed(build);
        // What was at the stop ran twice, all else once.
        for (String name : ALL) {
            assertEquals(name.equals("Step3Test") ? 2 : 1, runsOf(name), name);
        }

        build.fails("runParallel", "--rerun", "--resume").says("it came to its end", "hint:");
    }

    @OnNewestGradle
    void anInterruptedRunGoesOn(String gradle) throws Exception {
        GradleBuild build = stepsThatStopAt(gradle, 2);
        interruptAtTheStop(build);
        letThrough();
        build.succeeds("runParallel", "--rerun", "--resume");
        assertAllPassed(build);
        for (String name : ALL) {
            assertEquals(name.equals("Step2Test") ? 2 : 1, runsOf(name), name);
        }
    }

    @OnNewestGradle
    void anAutomaticResumeBeginsANewRunForOtherCode(String gradle) throws Exception {
        GradleBuild build = stepsThatStopAt(gradle, 2);
        build.append("build.gradle", "testfleet { resume = 'auto' }\n");
        interruptAtTheStop(build);
        letThrough();
        build.file("src/test/java/Step1Test.java", step(1, "assertTrue(true); "));
        build.succeeds("runParallel", "--rerun")
                .says("failed to go on with run", "A new run begins");
        assertAllPassed(build);
        assertEquals(2, runsOf("Step1Test"), "it is other code");
    }

    /**
     * Classes Step1Test to Step6Test, which run in this order; that of this number waits to be let
     * through.
     */
    private GradleBuild stepsThatStopAt(String gradle, int stop) throws IOException {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle, dir, "testfleet { workers = 1; order = ['name'] }\n");
        for (int number = 1; number <= 6; number++) {
            build.file(
                    "src/test/java/Step" + number + "Test.java",
                    step(number, number == stop ? WAIT : ""));
        }
        Files.createDirectories(dir.resolve("ran"));
        return build;
    }

    private static final String WAIT =
            "java.nio.file.Path pids = java.nio.file.Paths.get(\"pids.tmp\");\n"
                    + "    ProcessHandle agent = ProcessHandle.current().parent().get();\n"
                    + "    java.nio.file.Files.writeString(pids,"
                    + " agent.parent().get().pid() + \" \" + ProcessHandle.current().pid());\n"
                    + "    java.nio.file.Files.move(pids, java.nio.file.Paths.get(\"stopped\"),"
                    + " java.nio.file.StandardCopyOption.REPLACE_EXISTING);\n"
                    + "    while (!new java.io.File(\"through\").exists()) Thread.sleep(20);\n"
                    + "    ";

    private static String step(int number, String body) {
        return "import static org.junit.jupiter.api.Assertions.*;\n"
                + "import org.junit.jupiter.api.*;\n"
                + "class Step"
                + number
                + "Test {\n  @Test void runs() throws Exception {\n"
                + "    java.io.File.createTempFile(\"Step"
                + number
                + "Test.\", \"\", new java.io.File(\"ran\"));\n    "
                + body
                + "\n  }\n}\n";
    }

    private void interruptAtTheStop(GradleBuild build) throws Exception {
        Process client = build.start("runParallel", "--rerun");
        try {
            awaitStop(client);
            client.destroy(); // SIGTERM, which the launcher treats as Ctrl-C
            assertTrue(client.waitFor(60, TimeUnit.SECONDS));
        } finally {
            client.destroyForcibly();
        }
    }

    private void awaitStop(Process client) throws Exception {
        Instant end = Instant.now().plus(COMES_WITHIN);
        while (!Files.exists(dir.resolve("stopped"))) {
            if (!client.isAlive() || Instant.now().isAfter(end)) {
                client.destroyForcibly();
                throw new AssertionError(
                        "the run did not come to its stop:\n"
                                + new String(
                                        client.getInputStream().readAllBytes(),
                                        StandardCharsets.UTF_8));
            }
            Thread.sleep(50);
        }
    }

    /** The daemon and the JVM of the test that waits, by its own word. */
    private Optional<ProcessHandle> processOfTheStop(int index) throws IOException {
        String[] pids = Files.readString(dir.resolve("stopped")).split(" ");
        return ProcessHandle.of(Long.parseLong(pids[index]));
    }

    /**
     * From now on no test waits. The one that did must have ended, so that it does not go on by
     * itself.
     */
    private void letThrough() throws Exception {
        Optional<ProcessHandle> jvm = processOfTheStop(1);
        if (jvm.isPresent()) {
            jvm.get().onExit().get(30, TimeUnit.SECONDS);
        }
        Files.createFile(dir.resolve("through"));
    }

    private long runsOf(String name) {
        return List.of(ran()).stream().filter(file -> file.startsWith(name + ".")).count();
    }

    private String[] ran() {
        return new File(dir.toFile(), "ran").list();
    }

    private static void assertAllPassed(GradleBuild build) throws Exception {
        Map<String, String> outcomes =
                JUnitXml.outcomes(build.path("build/test-results/runParallel"));
        assertEquals(6, outcomes.size(), outcomes.toString());
        assertEquals(Set.of("passed"), Set.copyOf(outcomes.values()), outcomes.toString());
    }
}
