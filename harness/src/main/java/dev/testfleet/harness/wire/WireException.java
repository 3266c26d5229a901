package dev.testfleet.harness.wire;

import java.io.IOException;

/** The peer said something that is no message. */
public final class WireException extends IOException {
    private static final long serialVersionUID = 1;

    WireException(String what) {
        super("failed to read an agent's message: " + what);
    }
}
