package dev.testfleet.harness.report;

/** One execution that has begun: of a test, of its container or of one invocation. */
public final class Running {
    final TestState state;
    final long startedAtMillis = System.currentTimeMillis();
    final long startedNanos = System.nanoTime();
    private final OutputScope before;
    private final Thread thread = Thread.currentThread();

    Running(TestState state, OutputScope before) {
        this.state = state;
        this.before = before;
    }

    long micros() {
        return Math.max(0, (System.nanoTime() - startedNanos) / 1000);
    }

    void release(OutputCapture capture) {
        if (Thread.currentThread() == thread) {
            capture.unbind(state.scope, before);
        }
    }
}
