package dev.testfleet.gradle.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.MalformedURLException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.Stream;

class ResourceStoreTest {
    @TempDir private Path home;

    @Test
    void filesLieByTheirContent() throws IOException {
        Path first = store("one").extract("native/p/agent");
        Path second = store("two").extract("native/p/agent");
        assertEquals("one", Files.readString(first));
        assertEquals("two", Files.readString(second));
        assertNotEquals(first, second);
        assertTrue(Files.isExecutable(first));
        assertTrue(
                first.getParent().getFileName().toString().matches("[0-9a-f]{64}"),
                first.toString());
        assertEquals(first, store("one").extract("native/p/agent"));
    }

    @Test
    void aDamagedFileIsReplaced() throws IOException {
        Path file = store("whole").extract("native/p/agent");
        Files.writeString(file, "half");
        assertEquals("whole", Files.readString(store("whole").extract("native/p/agent")));
    }

    @Test
    void manyAtOnceGetTheSameWholeFile() throws Exception {
        byte[] content = "x".repeat(300_000).getBytes(StandardCharsets.UTF_8);
        ExecutorService threads = Executors.newFixedThreadPool(8);
        try {
            List<Callable<Path>> all = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                all.add(
                        () ->
                                store(new String(content, StandardCharsets.UTF_8))
                                        .extract("a/agent"));
            }
            for (Future<Path> extracted : threads.invokeAll(all)) {
                assertArrayEquals(content, Files.readAllBytes(extracted.get()));
            }
        } finally {
            threads.shutdownNow();
        }
        assertEquals(List.of(), unfinished());
    }

    @Test
    void aFileThatIsGoneIsNoticed() throws IOException {
        ResourceStore store = store("whole");
        assertFalse(store.use(home.resolve("agent")), "nothing was ever extracted");
        Path agent = store.extract("native/p/agent");
        assertTrue(store.use(agent));
        Files.delete(agent);
        assertFalse(store.use(agent));
        assertEquals(agent, store.extract("native/p/agent"));
        assertTrue(store.use(agent));
    }

    @Test
    void whatWasNotUsedFor30DaysIsRemoved() throws IOException {
        Path used = store("used").extract("native/p/agent");
        Path recent = store("recent").extract("native/p/agent");
        Path old = store("old").extract("native/p/agent");
        Path again = store("again").extract("native/p/agent");
        Path unfinished = Files.createFile(used.getParent().resolveSibling("agent1.tmp"));
        Path foreign = Files.createFile(used.getParent().resolveSibling("notes.txt"));
        setAgeInDays(29, recent.getParent());
        setAgeInDays(31, used.getParent(), old.getParent(), again.getParent(), unfinished, foreign);
        assertTrue(store("used").use(used));
        store("again").extract("native/p/agent");

        store("used").removeUnused();
        assertTrue(Files.exists(used));
        assertTrue(Files.exists(recent));
        assertTrue(Files.exists(again));
        assertTrue(Files.exists(foreign), "a file that is not ours");
        assertFalse(Files.exists(old.getParent()));
        assertFalse(Files.exists(unfinished));
    }

    @Test
    void aPlatformWithoutEngineIsNamed() {
        EngineException failure =
                assertThrows(
                        EngineException.class,
                        () -> Installation.requirePlatform(emptyStore(), "plan9-mips"));
        assertEquals("missing-platform", failure.getCode());
        assertTrue(failure.getMessage().contains("plan9-mips"), failure.getMessage());
        assertTrue(failure.getMessage().contains("hint: "), failure.getMessage());
    }

    @Test
    void aMissingResourceLeavesNothingBehind() throws IOException {
        assertFalse(emptyStore().has("nope"));
        assertThrows(IOException.class, () -> emptyStore().extract("nope"));
        assertEquals(List.of(), unfinished());
    }

    private static void setAgeInDays(int days, Path... files) throws IOException {
        for (Path file : files) {
            FileTime time = FileTime.from(Instant.now().minus(Duration.ofDays(days)));
            Files.setLastModifiedTime(file, time);
        }
    }

    private List<Path> unfinished() throws IOException {
        try (Stream<Path> files = Files.walk(home)) {
            return files.filter(file -> file.toString().endsWith(".tmp"))
                    .collect(Collectors.toList());
        }
    }

    private ResourceStore emptyStore() {
        return new ResourceStore(home, new Resources(Map.of()));
    }

    private ResourceStore store(String content) {
        return new ResourceStore(
                home, new Resources(Map.of("native/p/agent", content, "a/agent", content)));
    }

    private static final class Resources extends ClassLoader {
        private final Map<String, String> contents;

        Resources(Map<String, String> contents) {
            super(null);
            this.contents = contents;
        }

        @Override
        public InputStream getResourceAsStream(String name) {
            String content = contents.get(name);
            return content == null
                    ? null
                    : new ByteArrayInputStream(content.getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public URL getResource(String name) {
            try {
                return contents.containsKey(name) ? new URL("file:/" + name) : null;
            } catch (MalformedURLException e) {
                throw new IllegalArgumentException(e);
            }
        }
    }
}
