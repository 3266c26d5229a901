package dev.testfleet.harness.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.testfleet.harness.wire.ToHarness.Configure;
import dev.testfleet.harness.wire.ToHarness.Discover;
import dev.testfleet.harness.wire.ToHarness.RunUnit;
import dev.testfleet.harness.wire.ToHarness.Shutdown;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The payloads in tests/vectors/harness, which the Rust side reads and writes alike. */
class VectorsTest {
    private static final Path FOLDER = Path.of(System.getProperty("testfleet.vectors"));
    private static final String UNIT = ":app:test#com.acme.FooTest";
    private static final TestName TEST =
            new TestName("com.acme.FooTest$Inner", "adds(int, java.lang.String[])");

    private static byte[] vector(String name) throws IOException {
        String hex =
                Files.readAllLines(FOLDER.resolve(name + ".hex")).stream()
                        .filter(line -> !line.startsWith("#"))
                        .collect(Collectors.joining())
                        .replaceAll("\\s", "");
        return HexFormat.of().parseHex(hex);
    }

    /** The same table as in native/protocol/src/harness.rs. */
    private static Map<String, byte[]> messages() {
        Finished failed =
                new Finished(
                        Outcome.FAILED,
                        1_700_000_000_123L,
                        4_567,
                        "1 of 2 invocations failed, first #2",
                        List.of(
                                new Thrown(
                                        "java.lang.AssertionError",
                                        "größer als 日本 \uD83D\uDE80",
                                        "java.lang.AssertionError\n\tat com.acme.FooTest"),
                                new Thrown("java.io.IOException", "", "")));
        Map<String, byte[]> messages = new LinkedHashMap<>();
        messages.put(
                "to-configure",
                AgentSide.configure(
                        1,
                        "junit-platform",
                        List.of(
                                Map.entry("includeEngines", "junit-jupiter"),
                                Map.entry("excludeTags", "slow & !nightly"),
                                Map.entry("excludeTags", "flaky"))));
        messages.put(
                "to-run-unit",
                AgentSide.runUnit(
                        UNIT,
                        "com.acme.FooTest",
                        false,
                        List.of(TEST, new TestName("com.acme.FooTest", "plain()"))));
        messages.put(
                "to-run-unit-whole", AgentSide.runUnit(UNIT, "com.acme.FooTest", true, List.of()));
        messages.put(
                "to-run-unit-slice",
                AgentSide.runUnit(
                        UNIT,
                        "com.acme.FooTest",
                        false,
                        List.of(TEST),
                        new AgentSide.Slice(51, 100)));
        messages.put(
                "to-run-unit-last-slice",
                AgentSide.runUnit(
                        UNIT,
                        "com.acme.FooTest",
                        false,
                        List.of(TEST),
                        new AgentSide.Slice(101, null)));
        messages.put(
                "to-discover",
                AgentSide.discover(List.of("com.acme.FooTest", "com.acme.FooTest$Inner")));
        messages.put("to-discover-nothing", AgentSide.discover(List.of()));
        messages.put("to-shutdown", AgentSide.shutdown());
        messages.put("from-ready", FromHarness.ready(1, "1.8.0_412"));
        messages.put("from-test-started", FromHarness.testStarted(UNIT, TEST));
        messages.put(
                "from-invocation-finished",
                FromHarness.invocationFinished(
                        UNIT,
                        TEST,
                        "#2/#1",
                        "[1] text = \"ä\"",
                        new Finished(Outcome.PASSED, 1_700_000_000_123L, 0, null, List.of())));
        messages.put("from-test-finished", FromHarness.testFinished(UNIT, TEST, failed));
        byte[] text = "Zeile eins\nЗдравствуй\n".getBytes(StandardCharsets.UTF_8);
        messages.put(
                "from-output",
                FromHarness.output(UNIT, TEST, StreamKind.STDERR, text, text.length));
        byte[] noText = {(byte) 0xff, 0, 10};
        messages.put(
                "from-output-between-units",
                FromHarness.output("", null, StreamKind.STDOUT, noText, noText.length));
        messages.put(
                "from-class-failed",
                FromHarness.classFailed(UNIT, "com.acme.FooTest", failed.thrown.get(0)));
        messages.put("from-unit-finished", FromHarness.unitFinished(UNIT));
        messages.put(
                "from-fault",
                FromHarness.fault("failed to find JUnit 4", "add 'junit:junit:4.13.2'"));
        messages.put(
                "from-discovered",
                FromHarness.discovered(
                        "com.acme.FooTest",
                        List.of("junit-jupiter", "junit-vintage"),
                        List.of(TEST, new TestName("com.acme.FooTest", "plain()"))));
        messages.put(
                "from-discovered-nothing",
                FromHarness.discovered("com.acme.FooTest", List.of(), List.of()));
        messages.put(
                "from-discovery-failed",
                FromHarness.discoveryFailed("com.acme.FooTest", failed.thrown.get(0)));
        messages.put("from-discovery-finished", FromHarness.discoveryFinished());
        messages.put("from-test-paused", FromHarness.testPaused(UNIT, TEST));
        messages.put("from-test-resumed", FromHarness.testResumed(UNIT, TEST));
        messages.put(
                "from-exit-called", FromHarness.exitCalled("main\n\tat java.lang.Runtime.exit\n"));
        return messages;
    }

    @Test
    void everyVectorIsWrittenAlike() throws IOException {
        Map<String, byte[]> messages = messages();
        for (Map.Entry<String, byte[]> message : messages.entrySet()) {
            assertEquals(
                    HexFormat.of().formatHex(vector(message.getKey())),
                    HexFormat.of().formatHex(message.getValue()),
                    message.getKey());
        }
        try (Stream<Path> files = Files.list(FOLDER)) {
            assertEquals(
                    new TreeSet<>(messages.keySet()),
                    files.map(file -> file.getFileName().toString())
                            .filter(name -> name.endsWith(".hex"))
                            .map(name -> name.substring(0, name.length() - 4))
                            .collect(Collectors.toCollection(TreeSet::new)));
        }
    }

    @Test
    void everyVectorIsRead() throws IOException {
        Configure configure = (Configure) ToHarness.decode(vector("to-configure"));
        assertEquals(1, configure.protocol);
        assertEquals("junit-platform", configure.framework);
        assertEquals(
                List.of(
                        "includeEngines=junit-jupiter",
                        "excludeTags=slow & !nightly",
                        "excludeTags=flaky"),
                configure.options.stream()
                        .map(option -> option.name + "=" + option.value)
                        .toList());
        RunUnit part = (RunUnit) ToHarness.decode(vector("to-run-unit"));
        assertEquals(UNIT, part.unit);
        assertEquals("com.acme.FooTest", part.className);
        assertEquals(false, part.wholeClass);
        assertEquals(List.of(TEST, new TestName("com.acme.FooTest", "plain()")), part.tests);
        RunUnit whole = (RunUnit) ToHarness.decode(vector("to-run-unit-whole"));
        assertTrue(whole.wholeClass);
        assertEquals(List.of(), whole.tests);
        assertEquals(null, whole.invocations);
        RunUnit slice = (RunUnit) ToHarness.decode(vector("to-run-unit-slice"));
        assertEquals(51, slice.invocations.from);
        assertEquals(100, slice.invocations.to);
        RunUnit last = (RunUnit) ToHarness.decode(vector("to-run-unit-last-slice"));
        assertEquals(101, last.invocations.from);
        assertEquals(Integer.MAX_VALUE, last.invocations.to);
        Discover discover = (Discover) ToHarness.decode(vector("to-discover"));
        assertEquals(List.of("com.acme.FooTest", "com.acme.FooTest$Inner"), discover.classes);
        Discover nothing = (Discover) ToHarness.decode(vector("to-discover-nothing"));
        assertEquals(List.of(), nothing.classes);
        assertTrue(ToHarness.decode(vector("to-shutdown")) instanceof Shutdown);
        for (String name : messages().keySet()) {
            if (name.startsWith("from-")) {
                AgentSide.decode(vector(name));
            }
        }
    }

    @Test
    void damagedMessagesAreRefused() throws IOException {
        byte[] whole = vector("to-run-unit");
        for (int length = 0; length < whole.length; length++) {
            byte[] torn = Arrays.copyOf(whole, length);
            assertThrows(WireException.class, () -> ToHarness.decode(torn));
        }
        byte[] longer = Arrays.copyOf(whole, whole.length + 1);
        assertThrows(WireException.class, () -> ToHarness.decode(longer));
        Random random = new Random(42);
        for (int i = 0; i < 20_000; i++) {
            byte[] any = whole.clone();
            for (int j = 0; j < 3; j++) {
                any[random.nextInt(any.length)] = (byte) random.nextInt();
            }
            try {
                ToHarness.decode(any);
            } catch (WireException expected) {
                assertTrue(expected.getMessage().startsWith("failed to read"));
            }
        }
    }
}
