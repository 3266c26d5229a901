package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.TestName;
import dev.testfleet.harness.wire.ToHarness.Invocations;
import dev.testfleet.harness.wire.ToHarness.RunUnit;

import java.util.ArrayList;

/** Invocations {@code from} to {@code to} of a test, by their numbers from 1. */
public final class Slice {
    /**
     * How many invocations a slice may have: frameworks want each number told, and nobody knows how
     * many there will be.
     */
    public static final int MOST = 20_000;

    public final TestName test;

    public final int from;

    /** The last number that is asked for; what is beyond it is missed when {@link #isCut}. */
    public final int to;

    /** Whether the slice would go on. */
    public final boolean isCut;

    private Slice(TestName test, int from, int to, boolean isCut) {
        this.test = test;
        this.from = from;
        this.to = to;
        this.isCut = isCut;
    }

    /**
     * A unit's slice.
     *
     * @throws IllegalArgumentException when the unit can't have one
     */
    public static Slice of(RunUnit unit) {
        Invocations range = unit.invocations;
        if (unit.wholeClass || unit.tests.size() != 1) {
            throw new IllegalArgumentException(
                    "a part of the invocations needs a unit of one test, this one has "
                            + unit.tests.size());
        }
        // Numbers beyond the largest int came out negative: as good as an open end.
        int to = range.to < 0 ? Integer.MAX_VALUE : range.to;
        if (range.from < 1 || to < range.from) {
            throw new IllegalArgumentException(
                    "there are no invocations from " + range.from + " to " + range.to);
        }
        int last = range.from > Integer.MAX_VALUE - MOST ? to : range.from + MOST - 1;
        return new Slice(unit.tests.get(0), range.from, Math.min(to, last), to > last);
    }

    /** Numbers from 0, as JUnit selects them. */
    public int[] indices() {
        int[] indices = new int[to - from + 1];
        for (int i = 0; i < indices.length; i++) {
            indices[i] = from - 1 + i;
        }
        return indices;
    }

    /** What the framework gives as the test's last invocation can't be the last: says so. */
    public void reportCut(UnitReport report) {
        report.endUnstartedInvocation(
                test,
                "#" + (to + 1L),
                "all further invocations",
                Result.errored(
                        "not run: a part of a test's invocations has at most "
                                + MOST
                                + " of them; keep its class whole with splitClasses, or plan again"
                                + " with timings of all its invocations",
                        null));
    }

    /**
     * Ends the tests of a unit whose slice can't be run: running everything would let each
     * invocation count several times.
     */
    public static void refuse(UnitReport report, String why) {
        Invocations range = report.unit().invocations;
        String end = range.to == Integer.MAX_VALUE ? "on" : "to " + range.to;
        String reason =
                "failed to run the invocations from "
                        + range.from
                        + " "
                        + end
                        + " alone: "
                        + why
                        + " (hint: keep its class whole with splitClasses, and plan again)";
        if (report.unit().tests.isEmpty()) {
            report.classFailed(report.unit().className, new IllegalStateException(reason));
        }
        for (TestName test : new ArrayList<>(report.unit().tests)) {
            report.endUnstarted(test, Result.errored(reason, null));
        }
    }
}
