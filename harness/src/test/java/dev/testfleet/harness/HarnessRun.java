package dev.testfleet.harness;

import dev.testfleet.harness.wire.AgentSide;
import dev.testfleet.harness.wire.FrameInput;
import dev.testfleet.harness.wire.TestName;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Runs fixtures through a harness in this JVM, with the frameworks of one class path in a class
 * loader of their own, and keeps what the harness said.
 */
final class HarnessRun {
    private final String classpath;
    private final ByteArrayOutputStream said = new ByteArrayOutputStream();
    private int units;

    private HarnessRun(String classpath) {
        this.classpath = classpath;
    }

    /**
     * @param classpath the name that harness/build.gradle gives it
     * @param options name and value in turn
     */
    static HarnessRun of(String classpath, String framework, String... options) {
        HarnessRun run = new HarnessRun(classpath);
        List<Map.Entry<String, String>> pairs = new ArrayList<>();
        for (int i = 0; i < options.length; i += 2) {
            pairs.add(Map.entry(options[i], options[i + 1]));
        }
        run.say(AgentSide.configure(1, framework, pairs));
        return run;
    }

    /** With the JUnit Platform. */
    static HarnessRun platform(String classpath, String... options) {
        return of(classpath, "junit-platform", options);
    }

    /** With TestNG itself. */
    static HarnessRun testng(String classpath, String... options) {
        return of(classpath, "testng", options);
    }

    /** Adds a unit of a whole class. */
    HarnessRun whole(String fixture, String... methods) {
        return unit(fixture, true, methods);
    }

    /** Adds a unit of a part of a class. */
    HarnessRun part(String fixture, String... methods) {
        return unit(fixture, false, methods);
    }

    /** Adds a question for the tests of classes. */
    HarnessRun discover(String... fixtures) {
        return say(
                AgentSide.discover(
                        Arrays.stream(fixtures).map(fixture -> "fixtures." + fixture).toList()));
    }

    /** Adds any payload. */
    HarnessRun say(byte[] payload) {
        said.writeBytes(AgentSide.frame(payload));
        return this;
    }

    /** Adds a unit of some invocations; {@code to} null for an open end. */
    HarnessRun slice(String fixture, String method, int from, Integer to) {
        return say(
                AgentSide.runUnit(
                        "u" + ++units,
                        "fixtures." + fixture,
                        false,
                        names(fixture, method),
                        new AgentSide.Slice(from, to)));
    }

    private HarnessRun unit(String fixture, boolean whole, String... methods) {
        List<TestName> tests = names(fixture, methods);
        return say(AgentSide.runUnit("u" + ++units, "fixtures." + fixture, whole, tests));
    }

    private static List<TestName> names(String fixture, String... methods) {
        List<TestName> tests = new ArrayList<>();
        for (String method : methods) {
            int dot = method.startsWith("$") ? method.indexOf('.') : -1;
            String nested = dot < 0 ? "" : method.substring(0, dot);
            tests.add(new TestName("fixtures." + fixture + nested, method.substring(dot + 1)));
        }
        return tests;
    }

    /** Runs, ends with a shutdown, and returns what was said. */
    Transcript run() throws Exception {
        say(AgentSide.shutdown());
        ByteArrayOutputStream answer = new ByteArrayOutputStream();
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        try (URLClassLoader loader = loader(classpath)) {
            thread.setContextClassLoader(loader);
            Class<?> harness = loader.loadClass("dev.testfleet.harness.Harness");
            Runnable agentGone = () -> {};
            Object running =
                    harness.getConstructor(InputStream.class, OutputStream.class, Runnable.class)
                            .newInstance(
                                    new ByteArrayInputStream(said.toByteArray()),
                                    answer,
                                    agentGone);
            harness.getMethod("run").invoke(running);
        } finally {
            thread.setContextClassLoader(before);
        }
        FrameInput frames = new FrameInput(new ByteArrayInputStream(answer.toByteArray()));
        List<AgentSide.Said> messages = new ArrayList<>();
        for (byte[] frame = frames.next(); frame != null; frame = frames.next()) {
            messages.add(AgentSide.decode(frame));
        }
        return new Transcript(messages);
    }

    private static URLClassLoader loader(String classpath) throws Exception {
        List<URL> urls = new ArrayList<>();
        for (String path : path(classpath).split(File.pathSeparator)) {
            urls.add(new File(path).toURI().toURL());
        }
        return new URLClassLoader(urls.toArray(new URL[0]), ClassLoader.getPlatformClassLoader());
    }

    /** The harness, the fixtures and one set of frameworks, as a class path. */
    static String path(String classpath) {
        String frameworks = System.getProperty("testfleet.framework." + classpath, "");
        return String.join(
                File.pathSeparator, Arrays.asList(System.getProperty("testfleet.own"), frameworks));
    }
}
