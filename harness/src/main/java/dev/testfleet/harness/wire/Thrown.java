package dev.testfleet.harness.wire;

/** An exception as the JVM printed it. */
public final class Thrown {
    /** Binary name of the exception's class. */
    public final String kind;

    /** Its message; empty when it has none. */
    public final String message;

    /** The stack trace with its causes. */
    public final String stack;

    public Thrown(String kind, String message, String stack) {
        this.kind = kind;
        this.message = message;
        this.stack = stack;
    }
}
