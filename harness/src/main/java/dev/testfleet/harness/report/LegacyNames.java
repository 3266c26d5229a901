package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.TestName;

import java.util.List;
import java.util.function.Predicate;

/**
 * Which planned test a JUnit 3 or 4 description belongs to. Its method's name may be followed by
 * what a parameterized runner adds ({@code adds[0: 1+1=2]}), or be the name of a group above it.
 */
public final class LegacyNames {
    public final TestName test;

    /** Whether it is one of several occurrences of the test. */
    public final boolean invocation;

    /** Whether it is no test but JUnit's way to say that the class can't be run. */
    public final boolean classFailure;

    private LegacyNames(TestName test, boolean invocation, boolean classFailure) {
        this.test = test;
        this.invocation = invocation;
        this.classFailure = classFailure;
    }

    /**
     * Tries, in this order, what is planned: the name as it is; up to {@code [}, {@code (} or a
     * blank; the names of the groups above. What is not planned keeps its name up to {@code [}.
     *
     * @param name the description's method name
     * @param groups names of the descriptions above it, the nearest first
     */
    public static LegacyNames resolve(
            String className, String name, List<String> groups, Predicate<TestName> planned) {
        TestName exact = test(className, name);
        if (planned.test(exact)) {
            return new LegacyNames(exact, false, false);
        }
        if (name.equals("initializationError")
                || (name.equals("warning") && className.startsWith("junit.framework."))) {
            return new LegacyNames(exact, false, true);
        }
        for (char end : new char[] {'[', '(', ' '}) {
            int cut = name.indexOf(end);
            if (cut > 0) {
                TestName shortened = test(className, name.substring(0, cut));
                if (planned.test(shortened)) {
                    return new LegacyNames(shortened, true, false);
                }
            }
        }
        for (String group : groups) {
            TestName above = test(className, group);
            if (planned.test(above)) {
                return new LegacyNames(above, true, false);
            }
        }
        int cut = name.indexOf('[');
        return cut > 0 && name.endsWith("]")
                ? new LegacyNames(test(className, name.substring(0, cut)), true, false)
                : new LegacyNames(exact, false, false);
    }

    private static TestName test(String className, String method) {
        return new TestName(className, method + "()");
    }
}
