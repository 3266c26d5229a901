package dev.testfleet.gradle.internal.describe;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

class JvmArgumentsTest {
    private final Map<String, Object> task = new HashMap<>();
    private final Map<String, String> properties = new HashMap<>();

    @Test
    void whatHasAFieldOfItsOwnGoesThere() {
        List<String> rest =
                JvmArguments.distribute(
                        List.of(
                                "-Dx=1=2",
                                "-Dflag",
                                "-Xmx2g",
                                "-Xms1m",
                                "-da",
                                "-Dfile.encoding=UTF-16"),
                        task,
                        properties);
        assertEquals(List.of(), rest);
        assertEquals(Map.of("x", "1=2", "flag", ""), properties);
        assertEquals(
                Map.of(
                        "maxHeap",
                        "2g",
                        "minHeap",
                        "1m",
                        "enableAssertions",
                        false,
                        "defaultCharset",
                        "UTF-16"),
                task);
    }

    @Test
    void allOthersKeepTheirOrder() {
        List<String> arguments =
                List.of(
                        "--add-opens",
                        "java.base/java.lang=ALL-UNNAMED",
                        "-ea:com.acme...",
                        "-javaagent:a.jar");
        assertEquals(arguments, JvmArguments.distribute(arguments, task, properties));
        assertEquals(Map.of(), task);
    }

    @Test
    void theLastOneWins() {
        properties.put("x", "of the task");
        JvmArguments.distribute(List.of("-Dx=a", "-Dx=b", "-da", "-ea"), task, properties);
        assertEquals(Map.of("x", "b"), properties);
        assertEquals(Map.of("enableAssertions", true), task);
    }

    @ParameterizedTest
    @CsvSource({"1.8.0_392, 8", "11.0.21, 11", "17, 17", "25-ea, 25", "21.0.1+12, 21"})
    void theFeatureReleaseIsReadFromAnyVersion(String version, int feature) {
        assertEquals(feature, TestJvm.featureOf(version));
    }
}
