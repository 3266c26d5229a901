package dev.testfleet.harness.wire;

/** Where a test wrote. */
public enum StreamKind {
    STDOUT(1),
    STDERR(2);

    /** On the wire. */
    public final int code;

    StreamKind(int code) {
        this.code = code;
    }
}
