package dev.testfleet.functional;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * A test that gets the version of Gradle as its argument: the oldest supported one, then the
 * newest.
 */
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@ParameterizedTest(name = "Gradle {0}")
@ValueSource(strings = {Gradles.OLDEST, Gradles.NEWEST})
@interface OnEveryGradle {}
