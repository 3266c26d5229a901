package dev.testfleet.harness.junit4;

import dev.testfleet.harness.report.Exceptions;

import junit.framework.TestCase;
import junit.framework.TestResult;
import junit.framework.TestSuite;

import org.junit.Ignore;
import org.junit.internal.builders.AllDefaultPossibilitiesBuilder;
import org.junit.internal.builders.IgnoredBuilder;
import org.junit.internal.runners.ErrorReportingRunner;
import org.junit.runner.Description;
import org.junit.runner.Runner;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;
import org.junit.runner.notification.RunNotifier;

import java.util.ArrayList;
import java.util.Enumeration;
import java.util.List;

/** What JUnit 4 lists without running it: the tests of ignored classes too, and why it can't. */
public final class ListedTests extends AllDefaultPossibilitiesBuilder {
    // The constructor that is not deprecated came with JUnit 4.13.
    @SuppressWarnings("deprecation")
    private ListedTests() {
        super(true);
    }

    /** Looks through {@code @Ignore}: ignored tests are planned and end as skipped. */
    @Override
    protected IgnoredBuilder ignoredBuilder() {
        return new IgnoredBuilder() {
            @Override
            public Runner runnerForClass(Class<?> testClass) {
                return null;
            }
        };
    }

    /** The runner that lists a class's tests; never run it. */
    static Runner runner(Class<?> testClass) {
        return new ListedTests().safeRunnerForClass(testClass);
    }

    /** Whether JUnit would skip a class without a look at its tests. */
    static boolean isIgnored(Description description) {
        Class<?> type = description.getTestClass();
        return type != null && type.isAnnotationPresent(Ignore.class);
    }

    /** What to throw for a class that JUnit lists as a failure, below a unit's description. */
    static Exception refused(Description root, Description failure) {
        Class<?> type = failure.getTestClass();
        if (type == null || type.getName().startsWith("junit.framework.")) {
            type = root.getTestClass();
        }
        return refused(type, failure.getDisplayName());
    }

    /**
     * What to throw for a class that JUnit lists as a failure.
     *
     * @param testClass null when it is not known
     * @param listed what JUnit lists in the place of tests
     */
    public static Exception refused(Class<?> testClass, String listed) {
        Throwable cause = testClass == null ? null : refusal(testClass);
        if (cause instanceof Exception) {
            return (Exception) cause;
        }
        return new IllegalStateException(
                cause == null
                        ? "JUnit can't run it and lists " + listed + " in its place"
                        : Exceptions.message(cause),
                cause);
    }

    /**
     * Why JUnit refuses a class. No test of it is run, only what JUnit has put in their place.
     *
     * @return null when that is not to be found out
     */
    private static Throwable refusal(Class<?> testClass) {
        Runner runner = runner(testClass);
        if (runner instanceof ErrorReportingRunner) {
            return causes(runner);
        }
        return TestCase.class.isAssignableFrom(testClass)
                ? warning(testClass.asSubclass(TestCase.class))
                : null;
    }

    private static Throwable causes(Runner runner) {
        List<Throwable> causes = new ArrayList<>();
        RunNotifier notifier = new RunNotifier();
        notifier.addListener(
                new RunListener() {
                    @Override
                    public void testFailure(Failure failure) {
                        causes.add(failure.getException());
                    }
                });
        runner.run(notifier);
        for (Throwable other : causes.subList(Math.min(1, causes.size()), causes.size())) {
            causes.get(0).addSuppressed(other);
        }
        return causes.isEmpty() ? null : causes.get(0);
    }

    /** JUnit 3 says what is wrong with a class by a test of its own that fails. */
    private static Throwable warning(Class<? extends TestCase> testClass) {
        TestResult result = new TestResult();
        for (Enumeration<junit.framework.Test> tests = new TestSuite(testClass).tests();
                tests.hasMoreElements(); ) {
            junit.framework.Test test = tests.nextElement();
            if (test.getClass().getName().startsWith("junit.framework.")) {
                test.run(result);
            }
        }
        return result.failures().hasMoreElements()
                ? result.failures().nextElement().thrownException()
                : null;
    }
}
