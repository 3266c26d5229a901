package dev.testfleet.gradle;

import org.gradle.api.provider.Property;

/** The block {@code retries { }}: whether bad tests are tried again. */
public interface RetriesSpec {
    /** How often a bad test is tried again; 0 unless set. */
    Property<Integer> getMaxRetries();

    /** After so many bad tests nothing is tried again any more; 0, no limit, unless set. */
    Property<Integer> getMaxFailures();

    /**
     * Above this share of bad tests, 0 to 1, nothing is tried again any more; 0.3 unless set: then
     * something is broken for all.
     */
    Property<Number> getMaxFailureRate();

    /** Whether a test that failed and passed fails the build; false unless set. */
    Property<Boolean> getFailOnFlaky();
}
