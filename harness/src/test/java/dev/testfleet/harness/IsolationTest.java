package dev.testfleet.harness;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.wire.AgentSide;
import dev.testfleet.harness.wire.StreamKind;

import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Collectors;

/** Output, and what tests do to the JVM that they share. */
class IsolationTest {
    private static HarnessRun jupiter() {
        return HarnessRun.platform("junitPlatform111");
    }

    @Test
    void outputBelongsToTheTestThatWroteIt() throws Exception {
        Transcript transcript = jupiter().whole("jupiter.Printing", "prints()", "each(int)").run();
        assertEquals(
                "on the test's thread äöü\non a thread of its own\n",
                transcript.output("u1", "Printing.prints()", StreamKind.STDOUT));
        assertEquals("to err\n", transcript.output("u1", "Printing.prints()", StreamKind.STDERR));
        assertEquals(
                "number 1\nnumber 2\n",
                transcript.output("u1", "Printing.each(int)", StreamKind.STDOUT));
        assertEquals(
                "before all\nafter its test\nafter all\n",
                transcript.output("u1", null, StreamKind.STDOUT));
    }

    @Test
    void outputComesBeforeTheEndOfItsTestAndInOrder() throws Exception {
        List<String> lines = jupiter().part("jupiter.Printing", "prints()").run().all();
        int start = lines.indexOf("start Printing.prints()");
        assertEquals(
                List.of(
                        "start Printing.prints()",
                        "Printing.prints() STDOUT on the test's thread äöü",
                        "Printing.prints() STDERR to err",
                        "Printing.prints() STDOUT on a thread of its own",
                        "Printing.prints() PASSED"),
                lines.subList(start, start + 5));
    }

    @Test
    void muchOutputComesInBoundedChunksOfWholeCharacters() throws Exception {
        Transcript transcript = jupiter().whole("jupiter.Chatty", "talks()").run();
        String line = "\u20ac".repeat(7) + "\n";
        assertEquals(
                line.repeat(20_000), transcript.output("u1", "Chatty.talks()", StreamKind.STDOUT));
        transcript
                .outputs()
                .forEach(
                        output -> {
                            assertTrue(output.bytes().length <= 64 * 1024);
                            assertEquals(
                                    output.bytes().length,
                                    Transcript.text(output)
                                            .getBytes(StandardCharsets.UTF_8)
                                            .length);
                        });
        assertTrue(transcript.outputs().count() < 200, "small writes are gathered");
    }

    @Test
    void leftoversOfATestAreGoneBeforeTheNextUnit() throws Exception {
        Transcript transcript =
                jupiter()
                        .whole("jupiter.Abuse", "leavesTraces()")
                        .whole("jupiter.AfterAbuse", "findsAllInPlace()")
                        .run();
        assertEquals(
                List.of("Abuse.leavesTraces() PASSED", "AfterAbuse.findsAllInPlace() PASSED"),
                transcript.results());
        assertEquals(
                "heard\n",
                transcript.output("u2", "AfterAbuse.findsAllInPlace()", StreamKind.STDOUT));
        assertEquals(
                "heard too\n",
                transcript.output("u2", "AfterAbuse.findsAllInPlace()", StreamKind.STDERR));
    }

    @Test
    void hostileExceptionsAreDescribedAndBounded() throws Exception {
        Transcript transcript =
                jupiter()
                        .whole("jupiter.Hostile", "rude()", "endless()", "overflows()", "after()")
                        .run();
        List<AgentSide.TestFinished> ends =
                transcript.messages().stream()
                        .filter(AgentSide.TestFinished.class::isInstance)
                        .map(AgentSide.TestFinished.class::cast)
                        .collect(Collectors.toList());
        assertEquals(4, ends.size());
        for (AgentSide.TestFinished end : ends) {
            end.finished()
                    .thrown
                    .forEach(
                            thrown -> {
                                assertTrue(thrown.message.length() < 70_000, "message bounded");
                                assertTrue(thrown.stack.length() < 70_000, "stack bounded");
                                assertTrue(thrown.stack.contains("Hostile"), thrown.stack);
                            });
        }
        List<String> results = transcript.sortedResults();
        assertEquals("Hostile.after() PASSED", results.get(0));
        assertTrue(
                results.contains(
                        "Hostile.rude() FAILED Hostile$Rude: (its getMessage() threw"
                                + " java.lang.IllegalStateException)"),
                results::toString);
    }

    @Test
    void testsThatRunAtTheSameTimeKeepTheirOutputApart() throws Exception {
        System.setProperty("junit.jupiter.execution.parallel.enabled", "true");
        System.setProperty("junit.jupiter.execution.parallel.config.strategy", "fixed");
        System.setProperty("junit.jupiter.execution.parallel.config.fixed.parallelism", "2");
        try {
            Transcript transcript =
                    jupiter().whole("jupiter.Concurrent", "left()", "right()").run();
            assertEquals(
                    List.of("Concurrent.left() PASSED", "Concurrent.right() PASSED"),
                    transcript.sortedResults());
            assertEquals(
                    "left\n".repeat(50),
                    transcript.output("u1", "Concurrent.left()", StreamKind.STDOUT));
            assertEquals(
                    "right\n".repeat(50),
                    transcript.output("u1", "Concurrent.right()", StreamKind.STDOUT));
        } finally {
            System.clearProperty("junit.jupiter.execution.parallel.enabled");
            System.clearProperty("junit.jupiter.execution.parallel.config.strategy");
            System.clearProperty("junit.jupiter.execution.parallel.config.fixed.parallelism");
        }
    }
}
