package dev.testfleet.harness.wire;

/** What one execution of a test, or of an invocation, came to. */
public enum Outcome {
    /** It ran to its end. */
    PASSED(1),
    /** Its own code threw. */
    FAILED(2),
    /** An assumption did not hold. */
    ABORTED(3),
    /** It was not run because the framework was told so. */
    SKIPPED(4),
    /** It could not be completed: its class's set-up failed. */
    ERRORED(5);

    /** On the wire. */
    public final int code;

    Outcome(int code) {
        this.code = code;
    }
}
