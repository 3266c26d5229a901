package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.Finished;
import dev.testfleet.harness.wire.FromHarness;
import dev.testfleet.harness.wire.Outbox;
import dev.testfleet.harness.wire.Outcome;
import dev.testfleet.harness.wire.TestName;
import dev.testfleet.harness.wire.Thrown;
import dev.testfleet.harness.wire.ToHarness.RunUnit;

import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What one unit comes to: the frameworks' adapters tell it what begins and ends, it tells the
 * agent, and keeps the promise that a test is started at most once and finished at most once. All
 * threads may call it.
 *
 * <p>Tests that were not asked for are reported when the whole class was (discovery missed them),
 * and kept quiet otherwise (the framework ran them because it could not leave them out).
 */
public final class UnitReport {
    private final RunUnit unit;
    private final Outbox outbox;
    private final OutputCapture capture;
    private final OutputScope unitScope;
    private final Set<TestName> planned;
    private final Map<TestName, TestState> states = new ConcurrentHashMap<>();
    private final Set<Throwable> reportedFailures =
            Collections.newSetFromMap(new IdentityHashMap<>());

    public UnitReport(RunUnit unit, Outbox outbox, OutputCapture capture) {
        this.unit = unit;
        this.outbox = outbox;
        this.capture = capture;
        planned = new HashSet<>(unit.tests);
        unitScope = capture.openUnit(unit.unit);
    }

    /** What was asked for. */
    public RunUnit unit() {
        return unit;
    }

    public boolean isPlanned(TestName test) {
        return planned.contains(test);
    }

    /**
     * A test, its container or one of its invocations begins on the calling thread, whose output is
     * the test's until the end.
     */
    public Running begin(TestName test) {
        TestState state = state(test);
        synchronized (state) {
            if (!state.announced && !state.finished) {
                state.announced = true;
                state.startedAtMillis = System.currentTimeMillis();
                if (isWanted(test)) {
                    unitScope.flush();
                    // Flushed before the test runs: when the JVM dies, this tells in which test.
                    outbox.send(FromHarness.testStarted(unit.unit, test));
                }
            }
            state.active++;
            if (state.paused) {
                state.paused = false;
                outbox.post(FromHarness.testResumed(unit.unit, test));
                capture.flushSoon();
            }
        }
        return new Running(state, capture.bind(state.scope));
    }

    /** Something begins that belongs to no test: a class's set-up. */
    public void beginOutsideTests() {
        capture.bind(unitScope);
    }

    /** The test is complete. Its invocations, if any were reported, count too. */
    public void end(Running running, Result own) {
        long micros = ended(running);
        finish(running.state, own, running.startedAtMillis, running.state.duration(micros));
    }

    /** One invocation is over. The test itself isn't: see {@link #end} and {@link #endWithUnit}. */
    public void endInvocation(Running running, String id, String name, Result result) {
        long micros = ended(running);
        invocation(running.state, id, name, result, running.startedAtMillis, micros);
        pauseIfIdle(running.state);
    }

    /** A group of invocations is over; it is not reported itself. */
    public void leave(Running running) {
        ended(running);
        pauseIfIdle(running.state);
    }

    private long ended(Running running) {
        long micros = running.end(capture);
        synchronized (running.state) {
            running.state.active--;
        }
        return micros;
    }

    /**
     * Frameworks that run the invocations of several tests in turn (JUnit 4's parameters, TestNG's
     * data providers) complete a test with its unit: what others take meanwhile is not its time.
     */
    private void pauseIfIdle(TestState state) {
        synchronized (state) {
            boolean idle = state.active == 0 && state.announced && !state.finished;
            if (idle && !state.paused && isWanted(state.name)) {
                state.paused = true;
                outbox.post(FromHarness.testPaused(unit.unit, state.name));
                capture.flushSoon();
            }
        }
    }

    /** The test is complete when its unit is: nothing tells earlier how often it occurs. */
    public void endWithUnit(TestName test) {
        TestState state = state(test);
        synchronized (state) {
            state.untilUnitEnds = true;
        }
    }

    /** A test that was to be complete with its unit is complete already. */
    public void endRepeated(TestName test) {
        TestState state = state(test);
        synchronized (state) {
            if (state.untilUnitEnds && !state.finished && !state.invocations.isEmpty()) {
                finish(state, Result.passed(), state.startedAtMillis, state.micros);
            }
        }
    }

    /** The test ends without having begun. Ignored when it has ended or has invocations. */
    public void endUnstarted(TestName test, Result result) {
        TestState state = state(test);
        synchronized (state) {
            if (state.invocations.isEmpty() && !state.announced && !state.finished) {
                finish(state, result, System.currentTimeMillis(), 0);
            }
        }
    }

    /** An invocation ends without having begun. Ignored when it, or one below it, was reported. */
    public void endUnstartedInvocation(TestName test, String id, String name, Result result) {
        TestState state = state(test);
        synchronized (state) {
            if (!state.hasBelow(id) && !state.finished) {
                invocation(state, id, name, result, System.currentTimeMillis(), 0);
            }
        }
    }

    /**
     * Ends the planned tests of a class and of those nested in it that have not begun.
     *
     * @param ownClass see {@link Suites#ownClass}
     */
    public void endUnstartedOf(TestName ownClass, Result result) {
        for (TestName test : unit.tests) {
            if (Suites.isBelow(test, ownClass)) {
                endUnstarted(test, result);
            }
        }
    }

    /** Ends all planned tests that have not begun. */
    public void endAllUnstarted(Result result) {
        endUnstarted(unit.tests, result);
    }

    /** Ends those of the given tests that have not begun. */
    public void endUnstarted(Collection<TestName> tests, Result result) {
        for (TestName test : tests) {
            endUnstarted(test, result);
        }
    }

    /** A failure outside of any test; the same exception is reported once. */
    public void classFailed(String className, Throwable thrown) {
        synchronized (reportedFailures) {
            if (!reportedFailures.add(thrown)) {
                return;
            }
        }
        classFailed(className, Exceptions.describe(thrown));
    }

    private void classFailed(String className, Thrown thrown) {
        unitScope.flush();
        outbox.send(FromHarness.classFailed(unit.unit, className, thrown));
    }

    /** The unit is over: completes what waited for this and says so. */
    public void close() {
        for (TestName test : unit.tests) {
            if (states.containsKey(test)) {
                endRepeated(test);
            }
        }
        for (TestState state : states.values()) {
            endRepeated(state.name);
            state.scope.close();
        }
        capture.closeUnit(unitScope);
        outbox.send(FromHarness.unitFinished(unit.unit));
    }

    private void finish(TestState state, Result own, long startedAtMillis, long micros) {
        synchronized (state) {
            if (state.finished) {
                reportRepetition(state, own);
                return;
            }
            state.finished = true;
            // First, so that no output of the test can follow its end.
            state.scope.close();
            Result result = state.summary(own);
            if (isWanted(state.name)) {
                outbox.send(
                        FromHarness.testFinished(
                                unit.unit, state.name, finished(result, startedAtMillis, micros)));
            }
        }
    }

    private void invocation(
            TestState state,
            String id,
            String name,
            Result result,
            long startedAtMillis,
            long micros) {
        synchronized (state) {
            state.scope.flush();
            if (state.finished) {
                reportRepetition(state, result);
                return;
            }
            if (state.startedAtMillis == 0) {
                state.startedAtMillis = startedAtMillis;
            }
            state.count(id, result.outcome, micros);
            if (isWanted(state.name)) {
                outbox.post(
                        FromHarness.invocationFinished(
                                unit.unit,
                                state.name,
                                id,
                                BoundedText.bound(name),
                                finished(result, startedAtMillis, micros)));
                capture.flushSoon();
            }
        }
    }

    /** A test that has ended can't end again, but what it threw the second time must be seen. */
    private void reportRepetition(TestState state, Result result) {
        if (result.outcome == Outcome.FAILED || result.outcome == Outcome.ERRORED) {
            for (Thrown thrown : result.thrown) {
                classFailed(state.name.className, thrown);
            }
        }
    }

    private boolean isWanted(TestName test) {
        return unit.wholeClass || planned.contains(test);
    }

    private TestState state(TestName test) {
        TestState known = states.get(test);
        return known != null ? known : states.computeIfAbsent(test, this::open);
    }

    private TestState open(TestName test) {
        return new TestState(test, capture.openTest(isWanted(test) ? test : null));
    }

    private static Finished finished(Result result, long startedAtMillis, long micros) {
        return new Finished(result.outcome, startedAtMillis, micros, result.reason, result.thrown);
    }
}
