package dev.testfleet.harness.report;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/** Runs an action a short while after it was asked for, once for all who asked meanwhile. */
final class Flusher implements Runnable {
    /** How long a test's words may wait for more. */
    private static final long DELAY = TimeUnit.MILLISECONDS.toNanos(100);

    private final Runnable action;
    private final Thread thread;
    private final AtomicBoolean asked = new AtomicBoolean();
    private volatile boolean ended;

    Flusher(Runnable action) {
        this.action = action;
        thread = new Thread(this, "testfleet-flush");
        thread.setDaemon(true);
        thread.setContextClassLoader(null);
    }

    void start() {
        thread.start();
    }

    void wake() {
        if (!asked.get() && asked.compareAndSet(false, true)) {
            LockSupport.unpark(thread);
        }
    }

    void end() {
        ended = true;
        LockSupport.unpark(thread);
    }

    @Override
    public void run() {
        while (!ended) {
            if (!asked.get()) {
                LockSupport.park(this);
            } else {
                LockSupport.parkNanos(this, DELAY);
                asked.set(false);
                try {
                    action.run();
                } catch (OutOfMemoryError e) {
                    // A test filled the heap; what is left goes out with the next attempt.
                    asked.set(true);
                }
            }
            // A test that interrupts all threads must not turn the waiting into spinning.
            Thread.interrupted();
        }
    }
}
