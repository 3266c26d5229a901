package dev.testfleet.harness;

import dev.testfleet.harness.report.UnitReport;

/**
 * A test framework of the project. Each implementation is loaded only when it is asked for, so that
 * the other frameworks need not be on the class path.
 */
public interface Framework {
    /**
     * Runs one unit and reports what becomes of its tests.
     *
     * @throws Exception when the framework gave up; the caller ends the tests that have not begun
     */
    void run(UnitReport report) throws Exception;

    /**
     * Finds the tests of one class without running any, named as {@link #run} reports those of a
     * unit with these tests.
     *
     * @throws Exception when the framework can't look into the class or lists it as a failure
     */
    Found discover(String className) throws Exception;

    /** Ends what the framework keeps for the life of the JVM. */
    void close() throws Exception;
}
