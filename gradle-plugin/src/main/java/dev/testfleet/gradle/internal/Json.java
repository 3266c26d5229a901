package dev.testfleet.gradle.internal;

import groovy.json.JsonGenerator;
import groovy.json.JsonOutput;
import groovy.json.JsonSlurper;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;

/**
 * JSON by means of {@code groovy.json}, which every Gradle shows to its plugins: nothing to bundle,
 * nothing to clash with another plugin's copy.
 */
public final class Json {
    private static final JsonGenerator GENERATOR =
            new JsonGenerator.Options()
                    .excludeNulls()
                    .disableUnicodeEscaping()
                    .addConverter(new FileConverter())
                    .build();

    private Json() {}

    /**
     * The document of {@code value} without line breaks, in UTF-8. Entries that are null are left
     * out.
     */
    public static byte[] bytes(Object value) {
        return GENERATOR.toJson(value).getBytes(StandardCharsets.UTF_8);
    }

    /**
     * Reads an object.
     *
     * @throws groovy.json.JsonException when {@code document} is no JSON
     */
    @SuppressWarnings("unchecked")
    public static Map<String, Object> object(byte[] document) {
        return (Map<String, Object>) new JsonSlurper().parse(document, "UTF-8");
    }

    /**
     * Writes {@code value} for people to read. Whoever reads the file at the same time sees the
     * former one or the new one, and never a part of it.
     *
     * @throws IOException when the folder or the file cannot be written
     */
    public static void write(Object value, Path file) throws IOException {
        Files.createDirectories(file.getParent());
        Path unfinished =
                Files.createTempFile(file.getParent(), file.getFileName().toString(), ".tmp");
        try {
            String text = JsonOutput.prettyPrint(GENERATOR.toJson(value)) + "\n";
            Files.writeString(unfinished, text);
            Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(unfinished);
        }
    }

    private static final class FileConverter implements JsonGenerator.Converter {
        @Override
        public boolean handles(Class<?> type) {
            return File.class.isAssignableFrom(type);
        }

        @Override
        public Object convert(Object value, String key) {
            return ((File) value).getAbsolutePath();
        }
    }
}
