package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.TestName;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Which test a JUnit 3 or 4 description belongs to. Its method's name may be followed by what a
 * parameterized runner adds ({@code adds[0: 1+1=2]}), or be the name of a group above it.
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

    /** Names the descriptions of one unit. */
    public static final class Resolver {
        private final LegacyClasses classes = new LegacyClasses();
        private final Predicate<TestName> planned;

        public Resolver(Predicate<TestName> planned) {
            this.planned = planned;
        }

        /**
         * Tries, in this order, what is planned or a method of the class: the name as it is; up to
         * {@code [}, {@code (} or a blank; the names of the groups above. What is none of them
         * keeps its name up to {@code [}.
         *
         * <p>Methods count although no plan names them, so that a class's tests have the same names
         * when they are found and when they are run.
         *
         * @param name the description's method name
         * @param above what is above it
         */
        public LegacyNames resolve(String className, String name, Above above) {
            TestName exact = test(className, name);
            if (planned.test(exact)) {
                // Discovery from class files takes this for a test of its own class.
                return new LegacyNames(exact, false, false);
            }
            Suites suites = above.suites;
            exact = suites.own(exact);
            Set<String> methods = classes.methods(className);
            if (planned.test(exact) || methods != null && methods.contains(name)) {
                return new LegacyNames(exact, false, false);
            }
            if (name.equals("initializationError")
                    || name.equals("warning") && className.startsWith("junit.framework.")) {
                return new LegacyNames(exact, false, true);
            }
            for (char end : new char[] {'[', '(', ' '}) {
                int cut = name.indexOf(end);
                if (cut > 0 && isTest(className, name.substring(0, cut), suites, methods)) {
                    return invocation(className, name.substring(0, cut), suites);
                }
            }
            for (String group : above.groups) {
                if (isTest(className, group, suites, methods)) {
                    return invocation(className, group, suites);
                }
            }
            int cut = name.indexOf('[');
            return cut > 0 && name.endsWith("]")
                    ? invocation(className, name.substring(0, cut), suites)
                    : new LegacyNames(exact, false, false);
        }

        private boolean isTest(
                String className, String method, Suites suites, Set<String> methods) {
            return methods == null
                    ? planned.test(test(className, method))
                            || planned.test(suites.own(test(className, method)))
                    : methods.contains(method);
        }

        private LegacyNames invocation(String className, String method, Suites suites) {
            TestName plain = test(className, method);
            return new LegacyNames(planned.test(plain) ? plain : suites.own(plain), true, false);
        }

        /**
         * What is above the descriptions of a class that a runner runs.
         *
         * @param suites those that the class lies in
         */
        public Above top(String className, Suites suites) {
            return new Above(suites, Collections.<String>emptyList()).inClass(classes, className);
        }

        /**
         * What is below a container.
         *
         * @param container the class that it stands for; null when it is a group without class
         */
        public Above below(Above above, String container, String displayName) {
            return container == null
                    ? above.inGroup(displayName)
                    : above.inClass(classes, container);
        }
    }

    /** The groups above a description up to the nearest class, and the suites that it lies in. */
    public static final class Above {
        private final Suites suites;

        /** The nearest first. */
        private final List<String> groups;

        private Above(Suites suites, List<String> groups) {
            this.suites = suites;
            this.groups = groups;
        }

        private Above inGroup(String name) {
            List<String> more = new ArrayList<>();
            more.add(name);
            more.addAll(groups);
            return new Above(suites, more);
        }

        private Above inClass(LegacyClasses classes, String name) {
            return new Above(
                    classes.isEnclosed(name) ? suites : suites.with(name),
                    Collections.<String>emptyList());
        }

        /** The suites around, with the class itself unless it only encloses others. */
        public Suites suites() {
            return suites;
        }
    }

    private static TestName test(String className, String method) {
        return new TestName(className, method + "()");
    }
}
