package dev.testfleet.harness;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * Which class paths a test runs with. They bear the names that {@code harness/build.gradle} gives
 * them; a test gets the name as its first argument.
 */
final class Frameworks {
    private Frameworks() {}

    /** The JUnit Platform with Jupiter, from the oldest supported version to the newest. */
    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    @ParameterizedTest
    @ValueSource(
            strings = {"junitPlatform13", "junitPlatform111", "junitPlatform114", "junitPlatform6"})
    @interface EveryPlatform {}

    /** Those that can run some of a test's invocations. */
    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    @ParameterizedTest
    @ValueSource(strings = {"junitPlatform111", "junitPlatform114", "junitPlatform6"})
    @interface PlatformsThatSlice {}

    /** Those that have class templates. */
    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    @ParameterizedTest
    @ValueSource(strings = {"junitPlatform114", "junitPlatform6"})
    @interface PlatformsWithClassTemplates {}

    /** Those that have the Suite engine. */
    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    @ParameterizedTest
    @ValueSource(strings = {"engines", "suites6"})
    @interface PlatformsWithSuites {}

    /** JUnit 4 itself. */
    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    @ParameterizedTest
    @ValueSource(strings = {"junit4", "junit412"})
    @interface EveryJUnit4 {}

    /**
     * JUnit 3 and 4 through the Vintage engine, and by JUnit 4 itself: the second argument is the
     * framework's name.
     */
    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    @ParameterizedTest
    @CsvSource({
        "junitPlatform13, junit-platform",
        "junitPlatform111, junit-platform",
        "junitPlatform6, junit-platform",
        "junit4, junit4",
        "junit412, junit4"
    })
    @interface EveryLegacyRunner {}

    /** TestNG itself. */
    @Target(ElementType.METHOD)
    @Retention(RetentionPolicy.RUNTIME)
    @ParameterizedTest
    @ValueSource(strings = {"testng6", "testng7"})
    @interface EveryTestNg {}
}
