package dev.testfleet.gradle.internal.describe;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

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
    @ValueSource(
            strings = {
                "GITHUB_TOKEN",
                "db_password",
                "MY_APIKEY",
                "KEYS_OF_CI",
                "HTTP_AUTHORIZATION",
                "AWS_SECRET_ACCESS_KEY",
                "NPM_AUTH"
            })
    void namesOfSecrets(String name) {
        assertEquals(1, ofEnvironment(name, VALUE, VALUE).size());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"PATH", "HOME", "PWD", "USER", "LANG", "GIT_AUTHOR_NAME", "KEYBOARD", "CI"})
    void namesThatAreNone(String name) {
        assertEquals(List.of(), ofEnvironment(name, VALUE, VALUE));
    }

    @Test
    void shortValuesAndFilesAreNoReasonToWarn() throws IOException {
        assertEquals(List.of(), ofEnvironment("USE_TOKEN", "enabled", "enabled"));
        String socket = Files.createFile(dir.resolve("agent.123")).toString();
        assertEquals(List.of(), ofEnvironment("SSH_AUTH_SOCK", socket, socket));
        assertEquals(List.of(), ofEnvironment("CI_TOKEN", VALUE, "another value"));
    }

    private static List<String> ofEnvironment(String name, String inherited, String set) {
        return new CopiedSecrets(Map.of(name, inherited))
                .warnings(":test", "environment variable", Map.of("COPY", set));
    }
}
