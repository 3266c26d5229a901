package dev.testfleet.harness.testng;

import dev.testfleet.harness.Found;
import dev.testfleet.harness.Framework;
import dev.testfleet.harness.FrameworkOptions;
import dev.testfleet.harness.HarnessFault;
import dev.testfleet.harness.report.Slice;
import dev.testfleet.harness.report.UnitReport;

import org.testng.IAnnotationTransformer;
import org.testng.IConfigurable;
import org.testng.ITestNGListener;
import org.testng.TestNG;
import org.testng.xml.XmlSuite;
import org.testng.xml.XmlSuite.ParallelMode;

import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** {@code useTestNG()}. */
public final class TestNg implements Framework {
    private static final List<String> OPTIONS =
            Arrays.asList("includeGroups", "excludeGroups", "listeners", "parallel", "threadCount");

    private final FrameworkOptions options;
    private final int threads;
    private final boolean sequential;
    private final List<ITestNGListener> listeners = new ArrayList<>();
    private final SuiteConfigurationOnce configuration;

    public TestNg(FrameworkOptions options) throws HarnessFault {
        options.checkNames("TestNG", OPTIONS);
        this.options = options;
        threads = threads(options.last("threadCount"));
        String parallel = options.last("parallel");
        sequential = parallel == null || parallel.equals("none") || parallel.equals("false");
        IConfigurable projects = null;
        for (String name : options.all("listeners")) {
            ITestNGListener listener = listener(name);
            if (listener instanceof IConfigurable) {
                projects = (IConfigurable) listener;
            }
            listeners.add(listener);
        }
        configuration = new SuiteConfigurationOnce(projects);
    }

    @Override
    public void run(UnitReport report) throws ClassNotFoundException {
        if (report.unit().invocations != null) {
            Slice.refuse(report, "TestNG runs all of them or none");
            return;
        }
        Class<?> testClass = load(report.unit().className);
        TestNG testng = testng(UnitSuite.of(report.unit(), testClass));
        if (!sequential) {
            testng.setParallel(ParallelMode.getValidParallel(options.last("parallel")));
        }
        if (threads > 0) {
            testng.setThreadCount(threads);
        }
        for (ITestNGListener listener : listeners) {
            if (!(listener instanceof IConfigurable)) {
                testng.addListener(listener);
            }
        }
        testng.addListener((ITestNGListener) configuration);
        testng.addListener((ITestNGListener) new UnitListener(report, sequential));
        testng.run();
    }

    @Override
    public Found discover(String className) throws ClassNotFoundException {
        TestNG testng = testng(UnitSuite.whole(load(className)));
        for (ITestNGListener listener : listeners) {
            // Those change which methods are tests; others have nothing to see.
            if (listener instanceof IAnnotationTransformer) {
                testng.addListener(listener);
            }
        }
        Lister lister = new Lister(className);
        testng.addListener((ITestNGListener) lister);
        testng.run();
        return lister.found();
    }

    private TestNG testng(XmlSuite suite) {
        TestNG testng = new TestNG(false);
        testng.setVerbose(0);
        // TestNG makes this folder in the working directory otherwise.
        testng.setOutputDirectory(
                new File(System.getProperty("java.io.tmpdir"), "testng-output").getPath());
        if (!options.all("includeGroups").isEmpty()) {
            testng.setGroups(String.join(",", options.all("includeGroups")));
        }
        if (!options.all("excludeGroups").isEmpty()) {
            testng.setExcludedGroups(String.join(",", options.all("excludeGroups")));
        }
        testng.setXmlSuites(new ArrayList<>(Collections.singletonList(suite)));
        return testng;
    }

    private static Class<?> load(String className) throws ClassNotFoundException {
        return Class.forName(className, false, Thread.currentThread().getContextClassLoader());
    }

    @Override
    public void close() throws Exception {
        configuration.close();
    }

    private static int threads(String text) throws HarnessFault {
        try {
            return text == null ? 0 : Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw new HarnessFault(
                    "failed to read TestNG's threadCount: " + text + " is no number",
                    "agent and harness must come from the same Testfleet version",
                    e);
        }
    }

    private static ITestNGListener listener(String name) throws HarnessFault {
        String hint = "check the listeners of the Test task's useTestNG block";
        try {
            Object listener =
                    Class.forName(name, true, Thread.currentThread().getContextClassLoader())
                            .getDeclaredConstructor()
                            .newInstance();
            if (listener instanceof ITestNGListener) {
                return (ITestNGListener) listener;
            }
            throw new HarnessFault(
                    "failed to use " + name + ": it is no TestNG listener", hint, null);
        } catch (ReflectiveOperationException | LinkageError e) {
            throw new HarnessFault("failed to make the TestNG listener " + name, hint, e);
        }
    }
}
