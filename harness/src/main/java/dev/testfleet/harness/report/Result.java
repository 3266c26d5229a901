package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.Outcome;
import dev.testfleet.harness.wire.Thrown;

import java.util.Collections;
import java.util.List;

/** A framework's word on one execution, before its times are known. */
public final class Result {
    private static final Result PASSED =
            new Result(Outcome.PASSED, null, Collections.<Thrown>emptyList());

    public final Outcome outcome;

    /** Or null. */
    public final String reason;

    /** The primary exception first. */
    public final List<Thrown> thrown;

    private Result(Outcome outcome, String reason, List<Thrown> thrown) {
        this.outcome = outcome;
        this.reason = reason == null ? null : BoundedText.bound(reason);
        this.thrown = thrown;
    }

    public static Result passed() {
        return PASSED;
    }

    public static Result failed(Throwable thrown) {
        return new Result(Outcome.FAILED, null, one(thrown));
    }

    /** Several exceptions of one test, as JUnit 4's {@code ErrorCollector} reports them. */
    public static Result failed(List<Throwable> thrown) {
        return new Result(Outcome.FAILED, null, Exceptions.describe(thrown));
    }

    /**
     * @param thrown the assumption's exception; may be null
     */
    public static Result aborted(Throwable thrown) {
        String reason = thrown == null ? null : Exceptions.message(thrown);
        return new Result(Outcome.ABORTED, reason, one(thrown));
    }

    /**
     * @param reason may be null
     */
    public static Result skipped(String reason) {
        return new Result(Outcome.SKIPPED, reason, Collections.<Thrown>emptyList());
    }

    /**
     * @param thrown what stood in the way; may be null
     */
    public static Result errored(String reason, Throwable thrown) {
        return new Result(Outcome.ERRORED, reason, one(thrown));
    }

    /** The same without exceptions, for a test whose invocations carry them. */
    static Result summary(Outcome outcome, String reason) {
        return new Result(outcome, reason, Collections.<Thrown>emptyList());
    }

    private static List<Thrown> one(Throwable thrown) {
        return thrown == null
                ? Collections.<Thrown>emptyList()
                : Collections.singletonList(Exceptions.describe(thrown));
    }
}
