package dev.testfleet.harness.junit4;

import dev.testfleet.harness.Framework;
import dev.testfleet.harness.FrameworkOptions;
import dev.testfleet.harness.HarnessFault;
import dev.testfleet.harness.report.UnitReport;

import org.junit.runner.Request;
import org.junit.runner.Runner;
import org.junit.runner.manipulation.Filterable;
import org.junit.runner.manipulation.NoTestsRemainException;
import org.junit.runner.notification.RunNotifier;

import java.util.Arrays;
import java.util.List;

/** {@code useJUnit()}: JUnit 4, and JUnit 3 classes run by it. */
public final class JUnit4 implements Framework {
    private static final List<String> OPTIONS =
            Arrays.asList("includeCategories", "excludeCategories");

    private final CategoryFilter categories;

    public JUnit4(FrameworkOptions options) throws HarnessFault {
        options.checkNames("JUnit 4", OPTIONS);
        try {
            categories =
                    new CategoryFilter(
                            options.all("includeCategories"), options.all("excludeCategories"));
        } catch (ClassNotFoundException e) {
            throw new HarnessFault(
                    "failed to find the category " + e.getMessage() + " on the test class path",
                    "check includeCategories and excludeCategories of the Test task",
                    e);
        }
    }

    @Override
    public void run(UnitReport report) throws ClassNotFoundException {
        Class<?> testClass =
                Class.forName(
                        report.unit().className,
                        false,
                        Thread.currentThread().getContextClassLoader());
        Runner runner = Request.aClass(testClass).getRunner();
        UnitFilter filter = new UnitFilter(report, categories);
        if (runner instanceof Filterable) {
            try {
                ((Filterable) runner).filter(filter);
            } catch (NoTestsRemainException e) {
                // The coordinator says of each planned test that it did not run.
                return;
            }
        } else if (!filter.shouldRun(runner.getDescription())) {
            return;
        }
        UnitTests tests = new UnitTests(report);
        tests.register(runner.getDescription());
        RunNotifier notifier = new RunNotifier();
        UnitListener listener = new UnitListener(report, tests);
        notifier.addListener(listener);
        runner.run(notifier);
    }

    @Override
    public void close() {}
}
