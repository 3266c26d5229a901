package dev.testfleet.harness.report;

/** One execution that has begun: of a test, of its container or of one invocation. */
public final class Running {
    final TestState state;
    final long startedAtMillis = System.currentTimeMillis();
    private final OutputScope before;
    private final Thread thread = Thread.currentThread();
    private final long startedNanos = System.nanoTime();

    Running(TestState state, OutputScope before) {
        this.state = state;
        this.before = before;
    }

    /**
     * Gives the thread's output back to what it was ascribed to; returns the microseconds taken.
     */
    long end(OutputCapture capture) {
        long micros = Math.max(0, (System.nanoTime() - startedNanos) / 1000);
        if (Thread.currentThread() == thread) {
            capture.unbind(state.scope, before);
        }
        return micros;
    }
}
