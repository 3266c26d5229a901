package dev.testfleet.harness.junit4;

import dev.testfleet.harness.Found;
import dev.testfleet.harness.Framework;
import dev.testfleet.harness.FrameworkOptions;
import dev.testfleet.harness.HarnessFault;
import dev.testfleet.harness.junit4.UnitTests.Leaf;
import dev.testfleet.harness.report.Slice;
import dev.testfleet.harness.report.UnitReport;
import dev.testfleet.harness.wire.ToHarness.RunUnit;

import org.junit.runner.Description;
import org.junit.runner.Request;
import org.junit.runner.Runner;
import org.junit.runner.manipulation.Filterable;
import org.junit.runner.manipulation.NoTestsRemainException;
import org.junit.runner.notification.RunNotifier;
import org.junit.runners.ParentRunner;

import java.util.ArrayList;
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
        if (report.unit().invocations != null) {
            Slice.refuse(report, "JUnit 4 runs all of them or none");
            return;
        }
        RunUnit unit = report.unit();
        Runner runner = Request.aClass(load(unit.className)).getRunner();
        UnitTests tests = new UnitTests(unit.className, report::isPlanned, report::endWithUnit);
        tests.register(runner.getDescription());
        UnitFilter filter =
                new UnitFilter(
                        unit.className,
                        tests,
                        test -> unit.wholeClass || report.isPlanned(test),
                        categories);
        if (!filter(runner, filter)) {
            // The coordinator says of each planned test that it did not run.
            return;
        }
        RunNotifier notifier = new RunNotifier();
        notifier.addListener(new UnitListener(report, tests));
        runner.run(notifier);
    }

    @Override
    public Found discover(String className) throws Exception {
        Runner runner = ListedTests.runner(load(className));
        UnitTests tests = new UnitTests(className, test -> false, test -> {});
        tests.register(runner.getDescription());
        Found found = new Found();
        if (!filter(runner, new UnitFilter(className, tests, test -> true, categories))) {
            return found;
        }
        Description root = runner.getDescription();
        if (UnitTests.isEmptyClass(root) && !(runner instanceof ParentRunner)) {
            throw new IllegalStateException(
                    "failed to list the tests of "
                            + className
                            + ": its runner "
                            + runner.getClass().getName()
                            + " names none before it runs them");
        }
        List<Description> refused = new ArrayList<>();
        collect(root, tests, found, refused);
        // Beside tests that can run, what is refused says so itself when it is its turn.
        if (found.isEmpty() && !refused.isEmpty() && !ListedTests.isIgnored(root)) {
            throw ListedTests.refused(root, refused.get(0));
        }
        return found;
    }

    private void collect(
            Description description, UnitTests tests, Found found, List<Description> refused) {
        if (description.isTest() && !UnitTests.isEmptyClass(description)) {
            for (Leaf leaf : tests.leaves(description)) {
                if (!leaf.classFailure) {
                    if (categories.keeps(description)) {
                        found.add("junit4", leaf.test);
                    }
                } else if (!ListedTests.isIgnored(description)) {
                    refused.add(description);
                }
            }
        }
        for (Description child : description.getChildren()) {
            collect(child, tests, found, refused);
        }
    }

    /** Returns whether anything is left. */
    private static boolean filter(Runner runner, UnitFilter filter) {
        if (!(runner instanceof Filterable)) {
            return filter.shouldRun(runner.getDescription());
        }
        try {
            ((Filterable) runner).filter(filter);
            return true;
        } catch (NoTestsRemainException e) {
            return false;
        }
    }

    private static Class<?> load(String className) throws ClassNotFoundException {
        return Class.forName(className, false, Thread.currentThread().getContextClassLoader());
    }

    @Override
    public void close() {}
}
