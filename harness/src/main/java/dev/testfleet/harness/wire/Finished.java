package dev.testfleet.harness.wire;

import java.util.List;

/** What one execution of a test, or of an invocation, came to, with its times. */
public final class Finished {
    public final Outcome outcome;

    /** Milliseconds since the Unix epoch. */
    public final long startedAtMillis;

    /** Microseconds by a monotonic clock. */
    public final long durationMicros;

    /** Why it was skipped, aborted or errored; or null. */
    public final String reason;

    /** The primary exception first. */
    public final List<Thrown> thrown;

    public Finished(
            Outcome outcome,
            long startedAtMillis,
            long durationMicros,
            String reason,
            List<Thrown> thrown) {
        this.outcome = outcome;
        this.startedAtMillis = startedAtMillis;
        this.durationMicros = durationMicros;
        this.reason = reason;
        this.thrown = thrown;
    }
}
