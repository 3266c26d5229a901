package dev.testfleet.gradle.internal.describe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

class CopiedSecretsTest {
    private static final String VALUE = "hunter22";

    @TempDir private Path dir;

    @Test
    void aCopyIsNamedAndItsValueIsNot() {
        List<String> warnings = ofEnvironment("CI_TOKEN", VALUE, VALUE);
        assertEquals(1, warnings.size());
        String warning = warnings.get(0);
        assertTrue(warning.contains("CI_TOKEN to the environment variable COPY of :test"), warning);
        assertTrue(warning.contains("passEnvironment = ['CI_TOKEN']"), warning);
        assertFalse(warning.contains(VALUE), warning);
    }

    @Test
    void aValueThatOnlyContainsItIsACopyToo() {
        assertEquals(1, ofEnvironment("CI_TOKEN", VALUE, "jdbc:x?password=" + VALUE).size());
        CopiedSecrets secrets = new CopiedSecrets(Map.of("CI_TOKEN", VALUE));
        List<String> ofArguments =
                secrets.warnings(":test", List.of("-javaagent:a.jar=" + VALUE, VALUE, "-ea"));
        assertEquals(1, ofArguments.size(), ofArguments.toString());
        assertTrue(ofArguments.get(0).contains("JVM argument of :test"), ofArguments.get(0));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void bothSidesHaveTheSameRules(String line) {
        String[] columns = line.split("\\|", -1);
        assertEquals(5, columns.length, line);
        String[] it = Stream.of(columns).map(String::strip).toArray(String[]::new);
        CopiedSecrets secrets = new CopiedSecrets(Map.of(it[1], it[2]));
        List<String> warnings;
        switch (it[3]) {
            case "setting":
                warnings = secrets.warnings(":test", "system property", Map.of("copy", it[4]));
                break;
            case "argument":
                warnings = secrets.warnings(":test", List.of(it[4]));
                break;
            default:
                throw new IllegalArgumentException("no kind of text: " + line);
        }
        assertEquals(it[0], warnings.isEmpty() ? "none" : "copy", line);
    }

    private static List<String> cases() throws IOException {
        return Files.readAllLines(Path.of(System.getProperty("testfleet.copiedSecrets"))).stream()
                .filter(line -> !line.isEmpty() && !line.startsWith("#"))
                .collect(Collectors.toList());
    }

    @Test
    void pathsOfFilesAreNoSecrets() throws IOException {
        String socket = Files.createFile(dir.resolve("agent.123")).toString();
        assertEquals(List.of(), ofEnvironment("SSH_AUTH_SOCK", socket, socket));
    }

    private static List<String> ofEnvironment(String name, String inherited, String set) {
        return new CopiedSecrets(Map.of(name, inherited))
                .warnings(":test", "environment variable", Map.of("COPY", set));
    }
}
