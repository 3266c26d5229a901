package dev.testfleet.gradle.internal;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.gradle.api.logging.Logging;
import org.gradle.api.tasks.VerificationException;
import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;

class EngineCommandTest {
    private static final byte[] REQUEST = "{}".getBytes(StandardCharsets.UTF_8);
    private static final String GOOD_END = "{\"type\":\"end\",\"failure\":null}";

    private final List<String> calls = new ArrayList<>();

    @Test
    void awaitsTheLastEventAndGivesTheHandleBack() {
        run(null, "{\"type\":\"console\",\"level\":\"info\",\"text\":\"x\"}", null, GOOD_END);
        assertEquals(List.of("open", "next", "next", "next", "next", "close"), calls);
    }

    @Test
    void eventsOfALaterVersionAreNoReasonToStop() {
        run(
                "{\"type\":\"invented\"}",
                "{\"type\":\"console\",\"level\":\"new\",\"text\":\"x\"}",
                GOOD_END);
        assertEquals("close", calls.get(calls.size() - 1));
    }

    @Test
    void badTestsAreAVerificationFailure() {
        VerificationException bad =
                assertThrows(
                        VerificationException.class,
                        () ->
                                run(
                                        "{\"type\":\"end\",\"failure\":{\"code\":\"tests-failed\",\"message\":\"2"
                                            + " of 3 tests failed\",\"causes\":[\"A\",\"B\"]}}"));
        assertEquals("2 of 3 tests failed\n  because: A\n  because: B", bad.getMessage());
        assertEquals("close", calls.get(calls.size() - 1));
    }

    @Test
    void anyOtherFailureKeepsItsCodeAndHint() {
        EngineException failure =
                assertThrows(
                        EngineException.class,
                        () ->
                                run(
                                        "{\"type\":\"end\",\"failure\":{\"code\":\"io\",\"message\":\"failed\",\"hint\":\"make"
                                            + " room\"}}"));
        assertEquals("io", failure.getCode());
        assertEquals("failed\n  hint: make room", failure.getMessage());
    }

    @Test
    void anInterruptCancelsOnceAndTheRestIsStillHeard() {
        Thread.currentThread().interrupt();
        EngineException cancelled =
                assertThrows(
                        EngineException.class,
                        () ->
                                run(
                                        null,
                                        null,
                                        "{\"type\":\"end\",\"failure\":{\"code\":\"cancelled\","
                                                + "\"message\":\"cancelled\"}}"));
        assertEquals("cancelled", cancelled.getCode());
        assertEquals(List.of("open", "next", "cancel", "next", "next", "close"), calls);
        assertTrue(Thread.interrupted(), "whoever interrupted wants the thread to know");
    }

    @Test
    void aBrokenEngineStillGivesTheHandleBack() {
        assertThrows(RuntimeException.class, () -> run("no JSON"));
        assertEquals("close", calls.get(calls.size() - 1));
    }

    @Test
    void theEngineIsAskedForNoEventOfEachTest() {
        Map<String, Object> open =
                EngineService.openRequest(Map.of("name", "prepare"), Map.of(), Map.of("A", "1"));
        assertEquals(
                "{\"command\":{\"name\":\"prepare\"},\"request\":{},"
                        + "\"environment\":{\"A\":\"1\"},\"runEvents\":false}",
                new String(Json.bytes(open), StandardCharsets.UTF_8));
    }

    @Test
    void choicesNameWhatIsAllowed() {
        assertEquals(4, Choices.workers("4"));
        assertEquals(1000, Choices.workers("1000"));
        for (String bad : List.of("0", "-1", "x", "", "1001", "2147483647", "99999999999")) {
            EngineException failure =
                    assertThrows(EngineException.class, () -> Choices.workers(bad));
            assertTrue(
                    failure.getMessage().contains("whole number from 1 to 1000"),
                    failure.getMessage());
        }
        EngineException failure =
                assertThrows(EngineException.class, () -> Choices.split("methods"));
        assertTrue(failure.getMessage().contains("class, method"), failure.getMessage());
        assertDoesNotThrow(() -> Choices.backend("local"));
    }

    @Test
    void jsonKeepsTextAndLeavesOutWhatIsNull() {
        Map<String, Object> read = Json.object(Json.bytes(Map.of("text", "ä\u0000\"\uD83D\uDE00")));
        assertEquals("ä\u0000\"\uD83D\uDE00", read.get("text"));
        java.util.Map<String, Object> withNull = new java.util.HashMap<>();
        withNull.put("nothing", null);
        assertEquals("{}", new String(Json.bytes(withNull), StandardCharsets.UTF_8));
    }

    @Test
    void platformsHaveOneName() {
        assertEquals("linux-x86_64", Platform.name("Linux", "amd64"));
        assertEquals("macos-aarch64", Platform.name("Mac OS X", "aarch64"));
        assertEquals("windows-x86_64", Platform.name("Windows 11", "amd64"));
        assertEquals("linux-s390x", Platform.name("Linux", "s390x"));
    }

    private void run(String... events) {
        Deque<String> rest = new ArrayDeque<>();
        for (String event : events) {
            rest.add(event == null ? "" : event);
        }
        EngineCalls engine =
                new EngineCalls() {
                    @Override
                    public long open(byte[] request) {
                        calls.add("open");
                        return 7;
                    }

                    @Override
                    public byte[] nextEvent(long handle, int timeoutMillis) {
                        calls.add("next");
                        String event = rest.remove();
                        return event.isEmpty() ? null : event.getBytes(StandardCharsets.UTF_8);
                    }

                    @Override
                    public void cancel(long handle) {
                        calls.add("cancel");
                    }

                    @Override
                    public void close(long handle) {
                        calls.add("close");
                    }
                };
        new EngineCommand(engine, Logging.getLogger(EngineCommandTest.class)).run(REQUEST);
    }
}
