package dev.testfleet.gradle;

import org.gradle.api.provider.Property;

import java.time.Duration;

/** The block {@code timeouts { }}: how long things may take. Without a value there is no limit. */
public interface TimeoutsSpec {
    /** One test, all its invocations together. */
    Property<Duration> getTest();

    /** What a worker runs of one class at a time, set-up and tear-down included. */
    Property<Duration> getTestClass();

    /** The whole run. */
    Property<Duration> getRun();

    /** A worker that says nothing for so long is given up; 30 seconds unless set. */
    Property<Duration> getLease();

    /**
     * How long a worker on another machine works on without its coordinator; 10 minutes unless set.
     */
    Property<Duration> getOrphan();
}
