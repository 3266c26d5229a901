package dev.testfleet.harness.wire;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;

/** Reads frames: a payload's length as four bytes, most significant first, then the payload. */
public final class FrameInput {
    /** Longest payload in bytes. */
    public static final int MAX_FRAME = 16 << 20;

    private final DataInputStream in;

    public FrameInput(InputStream in) {
        this.in = new DataInputStream(in);
    }

    /** The next payload; null when the peer is gone, in the middle of a frame or between two. */
    public byte[] next() throws IOException {
        try {
            int length = in.readInt();
            if (length < 0 || length > MAX_FRAME) {
                throw new WireException(
                        "its length of "
                                + (length & 0xffff_ffffL)
                                + " bytes is over the limit of "
                                + MAX_FRAME);
            }
            byte[] payload = new byte[length];
            in.readFully(payload);
            return payload;
        } catch (EOFException e) {
            return null;
        }
    }
}
