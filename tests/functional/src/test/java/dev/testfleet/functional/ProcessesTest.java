package dev.testfleet.functional;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Nothing outlives its run, however that ends. */
@Isolated("What it waits for has a short limit.")
class ProcessesTest {
    private static final Duration GONE_WITHIN = Duration.ofSeconds(5);
    private static final Duration STARTS_WITHIN = Duration.ofMinutes(3);

    @TempDir private Path dir;

    @OnNewestGradle
    void killingTheDaemonLeavesNothing(String gradle) throws Exception {
        GradleBuild build = sleepyBuild(gradle);
        Process client = build.start("runParallel");
        try {
            Worker worker = awaitWorker(client);
            worker.daemon.destroyForcibly();
            worker.requireGone();
        } finally {
            client.destroyForcibly();
        }
    }

    @OnNewestGradle
    void interruptingTheClientCancelsTheRun(String gradle) throws Exception {
        GradleBuild build = sleepyBuild(gradle);
        Process client = build.start("runParallel");
        try {
            Worker worker = awaitWorker(client);
            client.destroy(); // SIGTERM, which the launcher treats as Ctrl-C
            worker.requireGone();
            assertTrue(client.waitFor(30, TimeUnit.SECONDS));
        } finally {
            client.destroyForcibly();
        }
    }

    @OnNewestGradle
    void aTimeoutOfTheTaskCancelsTheRun(String gradle) throws Exception {
        GradleBuild build = sleepyBuild(gradle);
        build.append(
                "build.gradle",
                "tasks.named('runParallel') { timeout = java.time.Duration.ofSeconds(8) }\n");
        build.fails("runParallel").says("Timeout has been exceeded");
        Path temp = Path.of(Files.readString(build.path("worker.txt")).split("\n")[1]);
        assertEquals(false, Files.exists(temp), "the worker's temp folder");
    }

    @OnNewestGradle
    void aGoodEndLeavesNoTempFolder(String gradle) throws Exception {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, "");
        build.jupiterTest(
                "TempTest",
                "@Test void leavesAFile() throws Exception {\n"
                        + WRITE_WORKER
                        + "  java.io.File.createTempFile(\"left\", \".txt\"); }");
        build.succeeds("runParallel");
        Path temp = Path.of(Files.readString(build.path("worker.txt")).split("\n")[1]);
        assertEquals(false, Files.exists(temp), "the worker's temp folder");
    }

    private static final String WRITE_WORKER =
            "  java.nio.file.Path file = java.nio.file.Paths.get(\"worker.tmp\");\n"
                + "  java.nio.file.Files.writeString(file, ProcessHandle.current().pid() + \"\\n"
                + "\" + System.getProperty(\"java.io.tmpdir\"));\n"
                + "  java.nio.file.Files.move(file, java.nio.file.Paths.get(\"worker.txt\"));\n";

    private GradleBuild sleepyBuild(String gradle) throws IOException {
        GradleBuild build = GradleBuild.ofOneProject(gradle, dir, "testfleet { workers = 1 }\n");
        return build.jupiterTest(
                "SleepyTest",
                "@Test void sleeps() throws Exception {\n"
                        + WRITE_WORKER
                        + "  Thread.sleep(120_000); }");
    }

    private Worker awaitWorker(Process client) throws Exception {
        Path file = dir.resolve("worker.txt");
        Instant end = Instant.now().plus(STARTS_WITHIN);
        while (!Files.exists(file)) {
            if (!client.isAlive() || Instant.now().isAfter(end)) {
                client.destroyForcibly();
                throw new AssertionError(
                        "no test started:\n"
                                + new String(
                                        client.getInputStream().readAllBytes(),
                                        StandardCharsets.UTF_8));
            }
            Thread.sleep(50);
        }
        String[] lines = Files.readString(file).split("\n");
        return new Worker(
                ProcessHandle.of(Long.parseLong(lines[0])).orElseThrow(), Path.of(lines[1]));
    }

    /**
     * A worker at work: its JVM, the agent above it, the daemon above that, and its temp folder.
     */
    private static final class Worker {
        final List<ProcessHandle> processes;
        final ProcessHandle daemon;
        final Path temp;

        Worker(ProcessHandle jvm, Path temp) {
            ProcessHandle agent = jvm.parent().orElseThrow();
            this.processes = List.of(jvm, agent);
            this.daemon = agent.parent().orElseThrow();
            this.temp = temp;
            assertTrue(Files.isDirectory(temp), temp.toString());
        }

        void requireGone() throws InterruptedException, IOException {
            Instant end = Instant.now().plus(GONE_WITHIN);
            while (!left().isEmpty() && Instant.now().isBefore(end)) {
                Thread.sleep(50);
            }
            assertEquals(
                    List.of(), left(), "left " + GONE_WITHIN.getSeconds() + " s after the end");
        }

        private List<String> left() {
            Stream<String> alive =
                    processes.stream()
                            .filter(ProcessHandle::isAlive)
                            .map(it -> "process " + it.pid());
            Stream<String> folder =
                    Files.exists(temp) ? Stream.of("folder " + temp) : Stream.empty();
            return Stream.concat(alive, folder).collect(Collectors.toList());
        }
    }
}
