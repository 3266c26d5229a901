package dev.testfleet.harness.testng;

import dev.testfleet.harness.report.Exceptions;
import dev.testfleet.harness.report.Result;
import dev.testfleet.harness.report.Running;
import dev.testfleet.harness.report.UnitReport;
import dev.testfleet.harness.wire.TestName;

import org.testng.IConfigurationListener;
import org.testng.ITestContext;
import org.testng.ITestListener;
import org.testng.ITestNGMethod;
import org.testng.ITestResult;
import org.testng.SkipException;

import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Map;

/** Tells a unit's report what TestNG says. Called by several threads in parallel runs. */
final class UnitListener implements ITestListener, IConfigurationListener {
    private final UnitReport report;
    private final boolean sequential;
    private final Map<ITestResult, Execution> executions = new IdentityHashMap<>();
    private final Map<TestName, Occurrences> occurrences = new HashMap<>();
    private TestName previous;
    private Throwable configurationFailure;

    /**
     * @param sequential whether TestNG runs one method after another
     */
    UnitListener(UnitReport report, boolean sequential) {
        this.report = report;
        this.sequential = sequential;
    }

    @Override
    public synchronized void onStart(ITestContext context) {
        for (ITestNGMethod method : context.getAllTestMethods()) {
            TestName test = name(method);
            Occurrences known = occurrences(test);
            known.instances++;
            if (known.instances > 1 || TestNgMethods.mayRepeat(method)) {
                repeat(test, known);
            }
        }
    }

    @Override
    public void onTestStart(ITestResult result) {
        begin(result);
    }

    @Override
    public void onTestSuccess(ITestResult result) {
        end(result, Result.passed());
    }

    @Override
    public void onTestFailure(ITestResult result) {
        end(result, Result.failed(result.getThrowable()));
    }

    @Override
    public void onTestFailedButWithinSuccessPercentage(ITestResult result) {
        end(result, Result.passed());
    }

    @Override
    public void onTestSkipped(ITestResult result) {
        end(result, skipped(result));
    }

    @Override
    public void onFinish(ITestContext context) {}

    @Override
    public void onConfigurationSuccess(ITestResult result) {}

    @Override
    public void onConfigurationFailure(ITestResult result) {
        Throwable thrown = result.getThrowable();
        synchronized (this) {
            configurationFailure = thrown;
        }
        report.classFailed(TestNgMethods.className(result.getMethod()), thrown);
    }

    @Override
    public void onConfigurationSkip(ITestResult result) {}

    /**
     * TestNG skips for many reasons: the test asked for it, a test that it depends on failed, a
     * failed attempt is followed by another one, or it could not be run at all.
     */
    private Result skipped(ITestResult result) {
        Throwable thrown = result.getThrowable();
        if (thrown instanceof SkipException) {
            return Result.aborted(thrown);
        }
        String message = thrown == null ? "" : Exceptions.message(thrown);
        if (message.contains("depends on")) {
            return Result.skipped(message);
        }
        Throwable configuration;
        synchronized (this) {
            configuration = configurationFailure;
        }
        if (configuration != null && (thrown == null || thrown == configuration)) {
            return Result.errored("its configuration failed", configuration);
        }
        if (thrown == null) {
            return Result.skipped(null);
        }
        return TestNgMethods.isRetried(result.getMethod())
                ? Result.skipped(
                        "tried again after " + thrown.getClass().getName() + ": " + message)
                : Result.errored("TestNG could not run it", thrown);
    }

    private void begin(ITestResult result) {
        TestName test = name(result.getMethod());
        Execution execution = new Execution();
        synchronized (this) {
            Occurrences known = occurrences(test);
            if (TestNgMethods.hasProvidedArguments(result)) {
                repeat(test, known);
            }
            execution.repeated = known.repeated;
            execution.ordinal = known.begun++;
            completePrevious(test);
            executions.put(result, execution);
        }
        execution.running = report.begin(test);
    }

    /** All invocations of a method follow each other, unless its class has several instances. */
    private void completePrevious(TestName test) {
        if (sequential
                && previous != null
                && !previous.equals(test)
                && occurrences(previous).instances == 1) {
            report.endRepeated(previous);
        }
        previous = test;
    }

    private void end(ITestResult result, Result outcome) {
        Execution execution;
        synchronized (this) {
            execution = executions.remove(result);
        }
        if (execution == null) {
            endUnstarted(result, outcome);
        } else if (execution.repeated) {
            report.endInvocation(
                    execution.running,
                    "#" + execution.ordinal,
                    TestNgMethods.displayName(result, execution.ordinal),
                    outcome);
        } else {
            report.end(execution.running, outcome);
        }
    }

    private void endUnstarted(ITestResult result, Result outcome) {
        TestName test = name(result.getMethod());
        int ordinal;
        boolean repeated;
        synchronized (this) {
            Occurrences known = occurrences(test);
            ordinal = known.begun++;
            repeated = known.repeated && (ordinal > 0 || known.instances > 1);
        }
        if (repeated) {
            report.endUnstartedInvocation(
                    test, "#" + ordinal, TestNgMethods.displayName(result, ordinal), outcome);
        } else {
            report.endUnstarted(test, outcome);
        }
    }

    private TestName name(ITestNGMethod method) {
        return TestNgMethods.name(method, report.unit().className);
    }

    private Occurrences occurrences(TestName test) {
        return occurrences.computeIfAbsent(test, name -> new Occurrences());
    }

    private void repeat(TestName test, Occurrences known) {
        if (!known.repeated) {
            known.repeated = true;
            report.endWithUnit(test);
        }
    }

    private static final class Occurrences {
        private int instances;
        private int begun;
        private boolean repeated;
    }

    private static final class Execution {
        private Running running;
        private boolean repeated;
        private int ordinal;
    }
}
