package dev.testfleet.gradle.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SizesTest {
    @ParameterizedTest
    @CsvSource({
        "1024, 1024",
        "512m, 536870912",
        "2g, 2147483648",
        "2 GiB, 2147483648",
        "10G, 10737418240",
        "1kb, 1024"
    })
    void sizesAreThoseOfDockerAndGradle(String size, long bytes) {
        assertEquals(bytes, Sizes.bytes("docker.memory", size, ""));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "much", "1.5g", "-1", "2x"})
    void whatIsNoSizeIsRefused(String size) {
        EngineException refused =
                assertThrows(EngineException.class, () -> Sizes.bytes("docker.memory", size, ""));
        assertEquals("invalid-request", refused.getCode());
    }

    @Test
    void aNumberBeyondAllMemoryIsRefused() {
        assertThrows(
                EngineException.class, () -> Sizes.bytes("docker.memory", "999999999999t", ""));
    }
}
