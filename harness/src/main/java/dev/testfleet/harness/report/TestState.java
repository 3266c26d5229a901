package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.Outcome;
import dev.testfleet.harness.wire.TestName;

import java.util.ArrayList;
import java.util.List;

/** What is known of one test while its unit runs. Guarded by itself. */
final class TestState {
    final TestName name;
    final OutputScope scope;

    /** Whether it is complete when the unit is. */
    boolean untilUnitEnds;

    boolean announced;

    /** How many executions of it are going on: itself, its container, its invocations. */
    int active;

    /** Whether the agent was told that nothing of it is going on. */
    boolean paused;

    boolean finished;
    long startedAtMillis;

    /** Sum of its invocations. */
    long micros;

    final List<String> invocations = new ArrayList<>();
    private final int[] counts = new int[Outcome.values().length];
    private String firstBad;

    TestState(TestName name, OutputScope scope) {
        this.name = name;
        this.scope = scope;
    }

    void count(String invocation, Outcome outcome, long duration) {
        invocations.add(invocation);
        counts[outcome.ordinal()]++;
        micros += duration;
        if (firstBad == null && (outcome == Outcome.FAILED || outcome == Outcome.ERRORED)) {
            firstBad = invocation;
        }
    }

    /**
     * How long the test took, when so many microseconds passed between its begin and its end. Some
     * engines (TestNG's) open all containers before they run and close them late, so that other
     * tests run in between; invocations that overlap add up to more than passed.
     */
    synchronized long duration(long passed) {
        return invocations.isEmpty() ? passed : Math.min(passed, micros);
    }

    boolean hasBelow(String path) {
        for (String invocation : invocations) {
            if (invocation.equals(path) || invocation.startsWith(path + "/")) {
                return true;
            }
        }
        return false;
    }

    /**
     * What a test with invocations comes to: its own word when that is not "passed", else failed
     * when an invocation failed, errored when one could not be completed, passed when one passed,
     * aborted when one was, skipped when all were.
     */
    Result summary(Result own) {
        if (own.outcome != Outcome.PASSED || invocations.isEmpty()) {
            return own;
        }
        int bad = count(Outcome.FAILED) + count(Outcome.ERRORED);
        if (bad > 0) {
            Outcome worst = count(Outcome.FAILED) > 0 ? Outcome.FAILED : Outcome.ERRORED;
            String word = worst == Outcome.FAILED ? "failed" : "could not be completed";
            return Result.summary(
                    worst,
                    bad
                            + " of "
                            + invocations.size()
                            + (invocations.size() == 1 ? " invocation " : " invocations ")
                            + word
                            + ", first "
                            + firstBad);
        }
        if (count(Outcome.PASSED) > 0) {
            return own;
        }
        return count(Outcome.ABORTED) > 0
                ? Result.summary(Outcome.ABORTED, "no invocation's assumptions held")
                : Result.summary(Outcome.SKIPPED, "all invocations were skipped");
    }

    private int count(Outcome outcome) {
        return counts[outcome.ordinal()];
    }
}
