package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import groovy.json.JsonSlurper;

import org.junit.jupiter.api.io.TempDir;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** A run is repeated: one worker of it, without Gradle, under a debugger. */
class RunAgainTest {
    private static final String COMMAND = System.getProperty("testfleet.command");
    private static final String SUMMARY = "build/reports/testfleet/summary.json";

    @TempDir private Path dir;

    @OnNewestGradle
    void aWorkerOfARunIsReplayed(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds("runParallel", "--workers", "2");
        String parallel = build.read(SUMMARY);
        // A replay is a run of its own, and yet not the one that 'last' means for the next replay.
        for (int worker : new int[] {2, 1}) {
            Set<String> ran = testsOfWorker(parallel, worker);
            assertFalse(ran.isEmpty(), "worker " + worker + " of the run had something to do");
            build.succeeds("runWorker", "-Pworker=" + worker, "--from-run", "last");
            String replayed =
                    build.read("build/reports/testfleet/worker-" + worker + "/summary.json");
            assertEquals(ran, testsOfWorker(replayed, worker));
        }

        build.fails("runWorker", "-Pworker=9", "--from-run", "last")
                .says("it ran nothing", "hint:");
        build.fails("runWorker", "-Pworker=1", "--from-run", "nope").says("nope", "hint:");
    }

    @OnNewestGradle
    void aRunIsRepeatedWithoutGradle(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds("prepare", "--workers", "2");
        testfleet(0, "plan").says("Planned ");
        testfleet(0, "run", "--workers", "1").says("PASSED");
        Map<String, String> outcomes =
                JUnitXml.outcomes(build.path("build/test-results/runParallel"));
        assertEquals(Set.of("passed"), Set.copyOf(outcomes.values()), outcomes.toString());
        testfleet(4, "worker", "7").says("failed to find test-group-7", "hint:");
        testfleet(2, "run", "--request", "nowhere.json").says("failed to read", "hint:");
    }

    @OnNewestGradle
    void aFlakyTestFailsTheBuildWhereThatIsWanted(String gradle) throws Exception {
        GradleBuild build =
                GradleBuild.ofOneProject(
                        gradle,
                        dir,
                        "testfleet { retries { maxRetries = 1; maxFailureRate = 1.0;"
                                + " failOnFlaky ="
                                + " providers.gradleProperty('strict').isPresent() } }\n");
        build.jupiterTest(
                "SecondTimeTest",
                "    @Test void passesOnSecondTry() throws Exception {\n"
                        + "        assertFalse(new java.io.File(\"first\").createNewFile());\n"
                        + "    }\n");
        build.succeeds("runParallel").says("1 flaky");
        assertTrue(build.path("first").toFile().delete(), "the first try made it");
        build.fails("runParallel", "--rerun", "-Pstrict")
                .says("1 test did not pass", "passesOnSecondTry() (flaky)");
    }

    @OnNewestGradle
    void theJvmWaitsForADebugger(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofSample("quickstart", gradle, dir);
        build.succeeds("prepare", "--workers", "1");
        Process call = build.start("runWorker", "-Pworker=1", "--debug-jvm");
        try (Socket debugger = attach(call)) {
            byte[] handshake = "JDWP-Handshake".getBytes(StandardCharsets.US_ASCII);
            DataOutputStream out = new DataOutputStream(debugger.getOutputStream());
            out.write(handshake);
            DataInputStream in = new DataInputStream(debugger.getInputStream());
            byte[] answer = new byte[handshake.length];
            in.readFully(answer);
            assertArrayEquals(handshake, answer);
            assertTrue(call.isAlive(), "the run waits");
            // Command set 1 (VirtualMachine), command 9 (Resume): length, id, flags, set, command.
            out.writeInt(11);
            out.writeInt(1);
            out.write(new byte[] {0, 1, 9});
            out.flush();
            String output =
                    new String(call.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertEquals(0, call.waitFor(), output);
        } finally {
            call.destroyForcibly();
        }
    }

    private static Socket attach(Process call) throws Exception {
        while (true) {
            try {
                return new Socket(InetAddress.getLoopbackAddress(), 5005);
            } catch (ConnectException notYet) {
                assertTrue(call.isAlive(), "the call ended before its JVM listened");
                Thread.sleep(100);
            }
        }
    }

    private Outcome testfleet(int exitCode, String... arguments)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(COMMAND));
        command.addAll(List.of(arguments));
        Process process =
                new ProcessBuilder(command)
                        .directory(dir.toFile())
                        .redirectErrorStream(true)
                        .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(exitCode, process.waitFor(), output);
        return new Outcome(output, exitCode, command);
    }

    private static Set<String> testsOfWorker(String summary, int worker) {
        Map<?, ?> document = (Map<?, ?>) new JsonSlurper().parseText(summary);
        Set<String> names = new TreeSet<>();
        for (Object entry : (List<?>) document.get("tests")) {
            Map<?, ?> test = (Map<?, ?>) entry;
            if (Integer.valueOf(worker).equals(test.get("worker"))) {
                names.add(test.get("class") + " > " + test.get("method"));
            }
        }
        return names;
    }
}
