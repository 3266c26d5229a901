package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.FromHarness;
import dev.testfleet.harness.wire.Outbox;
import dev.testfleet.harness.wire.StreamKind;
import dev.testfleet.harness.wire.TestName;

import java.util.Arrays;

/**
 * What one test, or one unit outside of its tests, writes: gathered here so that a line does not
 * cost a message. Both streams share the buffer, which keeps their order.
 */
final class OutputScope {
    /** Longest chunk in bytes. */
    static final int LIMIT = 64 * 1024;

    final String unit;

    /** Null outside of tests. */
    final TestName test;

    private final Outbox outbox;
    private StreamKind stream = StreamKind.STDOUT;
    private byte[] buffer;
    private int used;
    private boolean queued;
    private boolean closed;

    OutputScope(Outbox outbox, String unit, TestName test) {
        this.outbox = outbox;
        this.unit = unit;
        this.test = test;
    }

    synchronized boolean isOpen() {
        return !closed;
    }

    /**
     * Takes bytes, unless the scope is closed.
     *
     * @return whether they were taken
     */
    synchronized boolean append(StreamKind target, byte[] bytes, int offset, int length) {
        if (closed) {
            return false;
        }
        if (target != stream) {
            emit(used);
            stream = target;
        }
        int from = offset;
        int left = length;
        while (left > 0) {
            int taken = Math.min(left, LIMIT - used);
            reserve(used + taken);
            System.arraycopy(bytes, from, buffer, used, taken);
            used += taken;
            from += taken;
            left -= taken;
            if (used == LIMIT) {
                emit(wholeCharacters());
            }
        }
        return true;
    }

    /**
     * Whether the caller must arrange for a {@link #flushWhole}: true once until that is called.
     */
    synchronized boolean needsFlush() {
        boolean first = !queued && used > 0;
        queued |= first;
        return first;
    }

    /** Posts whole characters; the beginning of one that is not complete yet stays. */
    synchronized void flushWhole() {
        queued = false;
        emit(wholeCharacters());
    }

    /** Posts everything. */
    synchronized void flush() {
        emit(used);
    }

    /** Posts everything and takes no more. */
    synchronized void close() {
        emit(used);
        closed = true;
        buffer = null;
    }

    private void emit(int count) {
        if (count > 0) {
            outbox.post(FromHarness.output(unit, test, stream, buffer, count));
            used -= count;
            System.arraycopy(buffer, count, buffer, 0, used);
        }
    }

    private void reserve(int needed) {
        if (buffer == null) {
            buffer = new byte[Math.max(256, needed)];
        } else if (buffer.length < needed) {
            buffer = Arrays.copyOf(buffer, Math.min(LIMIT, Math.max(needed, buffer.length * 2)));
        }
    }

    /** Length without an unfinished UTF-8 sequence at the end; all of it when it is no UTF-8. */
    private int wholeCharacters() {
        int lead = used - 1;
        while (lead > 0 && lead > used - 4 && (buffer[lead] & 0xc0) == 0x80) {
            lead--;
        }
        if (lead < 0) {
            return used;
        }
        int first = buffer[lead] & 0xff;
        int width = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
        boolean unfinished = width > used - lead;
        return unfinished ? lead : used;
    }
}
