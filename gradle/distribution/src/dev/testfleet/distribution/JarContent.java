package dev.testfleet.distribution;

import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Stream;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** The files of a jar that is being put together. */
final class JarContent {
    private static final String MANIFEST = "META-INF/MANIFEST.MF";
    private static final int MANIFEST_LINE = 70;
    private static final LocalDateTime SAME_TIME_FOR_ALL = LocalDateTime.of(1980, 2, 1, 0, 0);

    private final Map<String, byte[]> files = new LinkedHashMap<>();
    private final StringBuilder manifest = new StringBuilder("Manifest-Version: 1.0\r\n");

    void put(String name, byte[] content) {
        files.put(name, content);
    }

    void put(String name, String content) {
        put(name, content.getBytes(StandardCharsets.UTF_8));
    }

    void putAll(JarContent other) {
        files.putAll(other.files);
    }

    void append(String name, String line) {
        byte[] before = files.getOrDefault(name, new byte[0]);
        put(name, new String(before, StandardCharsets.UTF_8) + line + "\n");
    }

    Iterable<String> names() {
        return files.keySet();
    }

    /** The properties file {@code name}, empty when there is none. */
    Properties properties(String name) throws IOException {
        Properties properties = new Properties();
        properties.load(new ByteArrayInputStream(files.getOrDefault(name, new byte[0])));
        return properties;
    }

    /** The comma-separated values of a key in a properties file. */
    List<String> list(String name, String key) throws IOException {
        return Stream.of(properties(name).getProperty(key, "").split(","))
                .filter(value -> !value.isEmpty())
                .toList();
    }

    /** Adds a line to the manifest, folded as the jar specification wants it. */
    void manifest(String key, String value) {
        String line = key + ": " + value;
        int end = Math.min(MANIFEST_LINE, line.length());
        manifest.append(line, 0, end).append("\r\n");
        while (end < line.length()) {
            int start = end;
            end = Math.min(start + MANIFEST_LINE - 1, line.length());
            manifest.append(' ').append(line, start, end).append("\r\n");
        }
    }

    /** Writes the jar; the same content gives the same bytes. */
    void write(Path jar) throws IOException {
        try (ZipOutputStream out =
                new ZipOutputStream(
                        new BufferedOutputStream(Files.newOutputStream(jar), 1 << 16))) {
            out.setLevel(Deflater.BEST_SPEED);
            write(out, MANIFEST, (manifest + "\r\n").getBytes(StandardCharsets.UTF_8));
            for (Map.Entry<String, byte[]> file : files.entrySet()) {
                write(out, file.getKey(), file.getValue());
            }
        }
    }

    private static void write(ZipOutputStream out, String name, byte[] content) throws IOException {
        ZipEntry entry = new ZipEntry(name);
        entry.setTimeLocal(SAME_TIME_FOR_ALL);
        out.putNextEntry(entry);
        out.write(content);
    }
}
