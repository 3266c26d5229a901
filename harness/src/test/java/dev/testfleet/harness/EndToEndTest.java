package dev.testfleet.harness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.wire.AgentSide;
import dev.testfleet.harness.wire.AgentSide.Said;
import dev.testfleet.harness.wire.FrameInput;
import dev.testfleet.harness.wire.TestName;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A harness JVM of its own behind two named pipes, as the agent starts it. */
@Timeout(120)
class EndToEndTest {
    @TempDir Path folder;
    private Process jvm;
    private FileOutputStream to;
    private FileInputStream from;
    private FrameInput frames;

    @BeforeEach
    void start() throws Exception {
        File in = folder.resolve("in.fifo").toFile();
        File out = folder.resolve("out.fifo").toFile();
        assertEquals(
                0, new ProcessBuilder("mkfifo", in.getPath(), out.getPath()).start().waitFor());
        jvm =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-cp",
                                HarnessRun.path("junitPlatform111"),
                                "dev.testfleet.harness.Main",
                                in.getPath(),
                                out.getPath())
                        .redirectErrorStream(true)
                        .redirectOutput(folder.resolve("jvm.log").toFile())
                        .start();
        // The harness opens its writing end first; each open waits for the other side's.
        from = new FileInputStream(out);
        to = new FileOutputStream(in);
        frames = new FrameInput(from);
        say(AgentSide.configure(1, "junit-platform", List.of()));
        assertInstanceOf(AgentSide.Ready.class, hear());
    }

    @AfterEach
    void stop() throws Exception {
        jvm.destroyForcibly().waitFor();
        to.close();
        from.close();
    }

    private void say(byte[] payload) throws IOException {
        to.write(AgentSide.frame(payload));
    }

    private void run(String unit, String fixture, String method) throws IOException {
        String className = "fixtures.jupiter." + fixture;
        say(AgentSide.runUnit(unit, className, false, List.of(new TestName(className, method))));
    }

    private Said hear() throws IOException {
        byte[] payload = frames.next();
        return payload == null ? null : AgentSide.decode(payload);
    }

    private List<String> hearRest() throws IOException {
        List<Said> messages = new ArrayList<>();
        for (Said said = hear(); said != null; said = hear()) {
            messages.add(said);
        }
        return new Transcript(messages).all();
    }

    private int exitCode() throws InterruptedException {
        assertTrue(jvm.waitFor(60, TimeUnit.SECONDS), "the JVM must end");
        return jvm.exitValue();
    }

    @Test
    void prefetchedUnitsRunInTurnAndLeftThreadsDontKeepTheJvm() throws Exception {
        run("a", "LeavesThread", "starts()");
        run("b", "Plain", "passes()");
        say(AgentSide.shutdown());
        assertEquals(
                List.of(
                        "start LeavesThread.starts()",
                        "LeavesThread.starts() STDOUT on Test worker",
                        "LeavesThread.starts() PASSED",
                        "end a",
                        "start Plain.passes()",
                        "Plain.passes() PASSED",
                        "end b"),
                hearRest());
        assertEquals(0, exitCode());
    }

    @Test
    void aTestThatEndsTheJvmIsKnownAndItsLastWordsAreHeard() throws Exception {
        run("a", "Exits", "leaves()");
        assertEquals(
                List.of(
                        "start Exits.leaves()",
                        "Exits.leaves() STDOUT last words",
                        "exit called by a test"),
                hearRest());
        assertEquals(15, exitCode());
    }

    @Test
    void theEndOfTheAgentEndsTheJvmAtOnce() throws Exception {
        run("a", "Blocks", "forever()");
        assertEquals("start Blocks.forever()", new Transcript(List.of(hear())).all().get(0));
        to.close();
        assertEquals(4, exitCode());
        assertNull(hear());
    }

    @Test
    void bytesThatAreNoMessageAreAFault() throws Exception {
        say(new byte[] {99});
        List<String> rest = hearRest();
        assertEquals(1, rest.size(), rest::toString);
        assertTrue(rest.get(0).contains("unknown kind 99"), rest::toString);
        assertEquals(2, exitCode());
        assertFalse(jvm.isAlive());
    }
}
