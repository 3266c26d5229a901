package dev.testfleet.harness.junit4;

import dev.testfleet.harness.junit4.UnitTests.Leaf;
import dev.testfleet.harness.report.Result;
import dev.testfleet.harness.report.Running;
import dev.testfleet.harness.report.UnitReport;

import org.junit.Ignore;
import org.junit.runner.Description;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Tells a unit's report what JUnit 4's runners say. */
final class UnitListener extends RunListener {
    private final UnitReport report;
    private final UnitTests tests;
    private final Map<Description, Execution> executions = new HashMap<>();

    UnitListener(UnitReport report, UnitTests tests) {
        this.report = report;
        this.tests = tests;
    }

    @Override
    public void testStarted(Description description) {
        Leaf leaf = tests.begin(description);
        if (!leaf.classFailure) {
            Execution execution = new Execution(leaf, report.begin(leaf.test));
            synchronized (executions) {
                executions.put(description, execution);
            }
        }
    }

    @Override
    public void testFailure(Failure failure) {
        Throwable thrown = failure.getException();
        Execution execution = execution(failure.getDescription());
        if (execution != null) {
            execution.failures.add(thrown);
        } else if (isUnstartedTest(failure.getDescription())) {
            for (Leaf leaf : tests.leaves(failure.getDescription())) {
                endUnstarted(leaf, Result.failed(thrown));
            }
        } else {
            Description description = failure.getDescription();
            String className = description.getClassName();
            boolean ofJUnit = className == null || className.startsWith("junit.framework.");
            report.classFailed(ofJUnit ? report.unit().className : className, thrown);
            endBelow(description, Result.errored("set-up of its class failed", thrown));
        }
    }

    @Override
    public void testAssumptionFailure(Failure failure) {
        Execution execution = execution(failure.getDescription());
        if (execution != null) {
            execution.assumption = failure.getException();
        } else {
            endBelow(failure.getDescription(), Result.aborted(failure.getException()));
        }
    }

    @Override
    public void testIgnored(Description description) {
        Ignore ignore = description.getAnnotation(Ignore.class);
        if (ignore == null && description.getTestClass() != null) {
            ignore = description.getTestClass().getAnnotation(Ignore.class);
        }
        String reason = ignore == null || ignore.value().isEmpty() ? "@Ignore" : ignore.value();
        endBelow(description, Result.skipped(reason));
    }

    @Override
    public void testFinished(Description description) {
        Execution execution;
        synchronized (executions) {
            execution = executions.remove(description);
        }
        if (execution != null) {
            execution.end(report);
            report.beginOutsideTests();
        }
    }

    private Execution execution(Description description) {
        synchronized (executions) {
            return executions.get(description);
        }
    }

    private boolean isUnstartedTest(Description description) {
        return description.isTest()
                && !UnitTests.isEmptyClass(description)
                && !tests.leaves(description).get(0).classFailure;
    }

    /** Ends what has not begun at and below a description. */
    private void endBelow(Description description, Result result) {
        if (isClassFailure(description)) {
            report.endAllUnstarted(result);
            return;
        }
        for (Leaf leaf : tests.below(description)) {
            endUnstarted(leaf, result);
        }
        // What the runner did not even list, as the tests of a class that is ignored.
        if (isClass(description)) {
            report.endUnstartedOf(tests.ownClass(description), result);
        }
    }

    private boolean isClassFailure(Description description) {
        return description.isTest()
                && !UnitTests.isEmptyClass(description)
                && tests.leaves(description).get(0).classFailure;
    }

    private static boolean isClass(Description description) {
        return description.getMethodName() == null && description.getTestClass() != null;
    }

    private void endUnstarted(Leaf leaf, Result result) {
        if (leaf.repeated) {
            report.endUnstartedInvocation(leaf.test, leaf.invocation, leaf.displayName, result);
        } else {
            report.endUnstarted(leaf.test, result);
        }
    }

    /** A test that runs, with what it threw so far: rules may report several failures. */
    private static final class Execution {
        private final Leaf leaf;
        private final Running running;
        private final List<Throwable> failures = new ArrayList<>();
        private Throwable assumption;

        Execution(Leaf leaf, Running running) {
            this.leaf = leaf;
            this.running = running;
        }

        void end(UnitReport report) {
            Result result = Result.passed();
            if (!failures.isEmpty()) {
                result = Result.failed(failures);
            } else if (assumption != null) {
                result = Result.aborted(assumption);
            }
            if (leaf.repeated) {
                report.endInvocation(running, leaf.invocation, leaf.displayName, result);
            } else {
                report.end(running, result);
            }
        }
    }
}
