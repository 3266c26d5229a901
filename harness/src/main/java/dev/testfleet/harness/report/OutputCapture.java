package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.Outbox;
import dev.testfleet.harness.wire.StreamKind;
import dev.testfleet.harness.wire.TestName;

import java.io.OutputStream;
import java.io.PrintStream;
import java.io.UnsupportedEncodingException;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Takes what tests write to {@code System.out} and {@code System.err} and knows whose it is: that
 * of the test which the writing thread, or the thread that made it, is running; when that test is
 * over, of the test that started last and still runs; else of the unit.
 */
public final class OutputCapture {
    private final Outbox outbox;
    private final InheritableThreadLocal<OutputScope> bound = new InheritableThreadLocal<>();
    private final Queue<OutputScope> unflushed = new ConcurrentLinkedQueue<>();
    private final Flusher flusher;
    private final OutputScope idle;
    private volatile OutputScope unit;
    private volatile OutputScope latest;

    /** Starts the thread that flushes what is written between test events. */
    public OutputCapture(Outbox outbox) {
        this.outbox = outbox;
        idle = new OutputScope(outbox, "", null);
        unit = idle;
        latest = idle;
        flusher = new Flusher(this::flushWhole);
        flusher.start();
    }

    /** A stream to put in the place of {@code System.out} or {@code System.err}. */
    public PrintStream stream(StreamKind kind) {
        try {
            return new PrintStream(new Captured(kind), false, "UTF-8");
        } catch (UnsupportedEncodingException e) {
            throw new IllegalStateException("failed to find UTF-8, which every JVM has", e);
        }
    }

    /** Hands over all that was written so far. */
    public void flush() {
        for (OutputScope scope = unflushed.poll(); scope != null; scope = unflushed.poll()) {
            scope.flushWhole();
            scope.flush();
        }
        outbox.flush();
    }

    /** Sees to it that what was posted to the outbox leaves it soon. */
    void flushSoon() {
        flusher.wake();
    }

    /** Ends the flushing thread. */
    public void close() {
        flush();
        flusher.end();
    }

    OutputScope openUnit(String id) {
        OutputScope scope = new OutputScope(outbox, id, null);
        unit = scope;
        latest = scope;
        bound.set(scope);
        return scope;
    }

    void closeUnit(OutputScope scope) {
        unit = idle;
        latest = idle;
        bound.remove();
        scope.close();
    }

    OutputScope openTest(TestName test) {
        return new OutputScope(outbox, unit.unit, test);
    }

    /** Ascribes what the calling thread writes from now on; returns what was bound before. */
    OutputScope bind(OutputScope scope) {
        OutputScope before = bound.get();
        bound.set(scope);
        latest = scope;
        return before;
    }

    /** Undoes {@link #bind}. */
    void unbind(OutputScope scope, OutputScope before) {
        bound.set(before);
        if (latest == scope) {
            latest = unit;
        }
    }

    private void flushWhole() {
        for (OutputScope scope = unflushed.poll(); scope != null; scope = unflushed.poll()) {
            scope.flushWhole();
        }
        outbox.flush();
    }

    private void write(StreamKind kind, byte[] bytes, int offset, int length) {
        OutputScope scope = bound.get();
        if (scope == null || !scope.append(kind, bytes, offset, length)) {
            scope = latest;
            if (!scope.append(kind, bytes, offset, length)) {
                scope = unit;
                if (!scope.append(kind, bytes, offset, length)) {
                    scope = idle;
                    scope.append(kind, bytes, offset, length);
                }
            }
        }
        if (scope.needsFlush()) {
            unflushed.add(scope);
            flusher.wake();
        }
    }

    private final class Captured extends OutputStream {
        private final StreamKind kind;

        Captured(StreamKind kind) {
            this.kind = kind;
        }

        @Override
        public void write(int b) {
            OutputCapture.this.write(kind, new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) {
            if (length > 0) {
                OutputCapture.this.write(kind, bytes, offset, length);
            }
        }
    }
}
