package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.junitplatform.Mapping.Builder;
import dev.testfleet.harness.report.LegacyNames;
import dev.testfleet.harness.report.MethodNames;
import dev.testfleet.harness.report.Suites;
import dev.testfleet.harness.wire.TestName;

import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.UniqueId;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Maps the nodes of one unit's tree, each from its parent's mapping and the last segment of its
 * unique id.
 *
 * <ul>
 *   <li>Jupiter: the segments name class, nested classes and method; segments below a method, and
 *       the invocations of a class template, are the invocation's path.
 *   <li>Vintage: leaves are methods, see {@link LegacyNames}.
 *   <li>TestNG: {@code class}, {@code method} (parameter types from its source), {@code invoc}.
 *   <li>Suites: whatever engine is in them, their tests are the suite's, see {@link Suites}.
 *   <li>Spock: a {@code feature} by the name that its source has, of the {@code spec} that runs.
 *   <li>ArchUnit: {@code field} or {@code method} of the unit's class.
 *   <li>Other engines: a method source makes a method, a class source a class; a test without
 *       either is named by what it displays, and so is a container that lists nothing before it
 *       runs: what it makes then are its invocations.
 * </ul>
 */
final class Mapper {
    /** Engines whose tests all have names of their own. */
    private static final Set<String> OWN_RULES =
            new HashSet<>(
                    Arrays.asList(
                            "junit-jupiter",
                            "junit-vintage",
                            "testng",
                            "junit-platform-suite",
                            "spock",
                            "archunit"));

    private final String unitClass;
    private final LegacyNames.Resolver legacy;

    Mapper(String unitClass, Predicate<TestName> planned) {
        this.unitClass = unitClass;
        legacy = new LegacyNames.Resolver(planned);
    }

    /** A node of the tree; all that engines tell of it in discovery and at run time alike. */
    static final class Seen {
        final UniqueId.Segment segment;

        /** May be null. */
        final TestSource source;

        /** What it is called when nothing else names it. */
        final String displayName;

        final boolean isTest;

        /** Whether it may be the parent of tests, and lists none yet. */
        final boolean isUnlisted;

        Seen(
                UniqueId id,
                TestSource source,
                String displayName,
                boolean isTest,
                boolean isUnlisted) {
            this.segment = id.getSegments().get(id.getSegments().size() - 1);
            this.source = source;
            this.displayName = displayName;
            this.isTest = isTest;
            this.isUnlisted = isUnlisted;
        }
    }

    /**
     * @param parent null for the root of a tree
     */
    Mapping map(Mapping parent, Seen node) {
        String value = node.segment.getValue();
        if (parent == null) {
            return new Builder(unitClass, value).build();
        }
        Builder child = new Builder(parent);
        String type = node.segment.getType();
        if (type.equals("engine")) {
            return child.engine(value).build();
        }
        switch (parent.engine) {
            case "junit-jupiter":
                return jupiter(parent, child, type, value);
            case "junit-vintage":
                return vintage(parent, child, type, value, node);
            case "testng":
                return testng(parent, child, type, value, node);
            case "junit-platform-suite":
                return child.suite(value).build();
            case "spock":
                return spock(parent, child, type, value, node);
            case "archunit":
                return archunit(parent, child, type, value);
            default:
                return other(parent, child, value, node);
        }
    }

    private static Mapping jupiter(Mapping parent, Builder child, String type, String value) {
        switch (type) {
            case "class":
            case "class-template":
                return child.inClass(value).build();
            case "nested-class":
            case "nested-class-template":
                return child.inClass(parent.className + "$" + value).build();
            case "method":
            case "test-template":
            case "test-factory":
                return child.method(method(value)).build();
            default:
                return child.invocation(value).build();
        }
    }

    private Mapping vintage(Mapping parent, Builder child, String type, String value, Seen node) {
        if (type.equals("runner")) {
            return child.inClass(value).above(legacy.top(value, parent.suites)).build();
        }
        if (!node.isTest) {
            String container =
                    node.source instanceof ClassSource
                            ? ((ClassSource) node.source).getClassName()
                            : null;
            return child.above(legacy.below(parent.above, container, node.displayName)).build();
        }
        String className = legacyClass(parent, value, node.source);
        return child.legacy(
                        legacy.resolve(className, node.displayName, parent.above),
                        node.displayName + "(" + className + ")")
                .build();
    }

    /** The class that JUnit 4 describes the test with; its value ends with {@code (class)}. */
    private static String legacyClass(Mapping parent, String value, TestSource source) {
        if (source instanceof MethodSource) {
            return ((MethodSource) source).getClassName();
        }
        if (source instanceof ClassSource) {
            return ((ClassSource) source).getClassName();
        }
        int open = value.lastIndexOf('(');
        int close = value.lastIndexOf(')');
        return open >= 0 && close > open ? value.substring(open + 1, close) : parent.className;
    }

    private Mapping testng(Mapping parent, Builder child, String type, String value, Seen node) {
        if (type.equals("class")) {
            return child.inClass(value).build();
        }
        if (type.equals("method")) {
            String method =
                    node.source instanceof MethodSource
                            ? method((MethodSource) node.source)
                            : method(value);
            return child.method(foreign(parent, new TestName(parent.className, method))).build();
        }
        return child.invocation(value).build();
    }

    private static Mapping spock(
            Mapping parent, Builder child, String type, String value, Seen node) {
        switch (type) {
            case "spec":
                return child.inClass(className(node.source, value)).build();
            case "feature":
                return child.method(SpockNames.feature(node.source, node.displayName)).build();
            default:
                return child.invocation(value).build();
        }
    }

    private Mapping archunit(Mapping parent, Builder child, String type, String value) {
        if (type.equals("class")) {
            return child.inClass(value).build();
        }
        return child.method(foreign(parent, new TestName(parent.className, value))).build();
    }

    private Mapping other(Mapping parent, Builder child, String value, Seen node) {
        if (parent.test != null) {
            return child.invocation(value).build();
        }
        boolean isClass = node.source instanceof ClassSource;
        String inClass = isClass ? ((ClassSource) node.source).getClassName() : parent.className;
        if (node.source instanceof MethodSource) {
            MethodSource method = (MethodSource) node.source;
            // Inherited methods belong to the class that runs.
            String owner =
                    parent.kind == Mapping.Kind.CLASS ? parent.className : method.getClassName();
            return child.method(foreign(parent, new TestName(owner, method(method)))).build();
        }
        if (node.isTest || node.isUnlisted) {
            return child.method(foreign(parent, new TestName(inClass, node.displayName))).build();
        }
        return isClass ? child.inClass(inClass).build() : child.build();
    }

    /** Whether nothing but what a test displays names it, so that several may be named alike. */
    static boolean isNamedByDisplay(Mapping mapping, TestSource source) {
        return mapping.kind == Mapping.Kind.METHOD
                && !OWN_RULES.contains(mapping.engine)
                && !(source instanceof MethodSource);
    }

    /**
     * A test of another class that is neither the unit's nor nested in it: it is the unit's all the
     * same, as the other class may be a unit, too.
     */
    private TestName foreign(Mapping parent, TestName test) {
        TestName owned = parent.suites.own(test);
        return Suites.isOrNested(owned.className, unitClass)
                ? owned
                : Suites.NONE.with(unitClass).own(owned);
    }

    private static String className(TestSource source, String otherwise) {
        return source instanceof ClassSource ? ((ClassSource) source).getClassName() : otherwise;
    }

    private static String method(MethodSource source) {
        return MethodNames.of(source.getMethodName(), source.getMethodParameterTypes());
    }

    /**
     * {@code name(types)} with binary type names; a package-private method of a superclass
     * elsewhere has its class and {@code #} before it.
     */
    private static String method(String value) {
        int open = value.lastIndexOf('(');
        if (open < 0 || !value.endsWith(")")) {
            return value;
        }
        int owner = value.lastIndexOf('#', open);
        return MethodNames.of(
                value.substring(owner + 1, open), value.substring(open + 1, value.length() - 1));
    }
}
