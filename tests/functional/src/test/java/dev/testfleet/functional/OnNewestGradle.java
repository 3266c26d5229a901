package dev.testfleet.functional;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * A test of what the engine does rather than of what the plugin asks Gradle for. It gets the newest
 * version of Gradle as its argument; {@code tests/drills gradle} runs it on the oldest as well.
 */
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@ParameterizedTest(name = "Gradle {0}")
@MethodSource("dev.testfleet.functional.Gradles#forTheEngine")
@interface OnNewestGradle {}
