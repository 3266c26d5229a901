package dev.testfleet.harness.wire;

import java.io.IOException;
import java.io.OutputStream;

/**
 * Where all threads leave their messages for the agent.
 *
 * <p>A frame enters the buffer as a whole and leaves it as a whole, so that a test which exhausts
 * its stack in the middle of a call can lose a message but never tear one. Nothing here can be
 * interrupted.
 */
public final class Outbox {
    private static final int CAPACITY = 64 * 1024;
    private static final String TOO_LONG_HINT =
            "names of tests this long are of no use: shorten them";

    private final OutputStream out;
    private final Runnable agentGone;
    private final byte[] buffer = new byte[CAPACITY];
    private int used;

    /**
     * @param out must not buffer and must not be closed by an interrupt
     * @param agentGone what to do when nobody listens any more
     */
    public Outbox(OutputStream out, Runnable agentGone) {
        this.out = out;
        this.agentGone = agentGone;
    }

    /**
     * Sends with the next {@link #flush}, or earlier when the buffer is full. What no frame can
     * hold is a fault: the agent would take it for something that others wrote to its pipe.
     */
    public synchronized void post(byte[] payload) {
        if (payload.length > FrameInput.MAX_FRAME) {
            post(FromHarness.fault(tooLong(payload.length), TOO_LONG_HINT));
            return;
        }
        int size = payload.length + 4;
        if (used + size > CAPACITY) {
            flush();
        }
        byte[] target = size > CAPACITY ? new byte[size] : buffer;
        int at = used;
        for (int shift = 24; shift >= 0; shift -= 8) {
            target[at++] = (byte) (payload.length >>> shift);
        }
        System.arraycopy(payload, 0, target, at, payload.length);
        if (target == buffer) {
            used += size;
        } else {
            write(target, size);
        }
    }

    /** Sends, and what was posted before. */
    public synchronized void send(byte[] payload) {
        post(payload);
        flush();
    }

    /** Hands over all that was posted. */
    public synchronized void flush() {
        if (used > 0) {
            int size = used;
            used = 0;
            write(buffer, size);
        }
    }

    private static String tooLong(int length) {
        return "failed to tell what a test came to: the message has "
                + length
                + " bytes, over the limit of "
                + FrameInput.MAX_FRAME;
    }

    private void write(byte[] bytes, int length) {
        try {
            out.write(bytes, 0, length);
        } catch (IOException e) {
            agentGone.run();
        }
    }
}
