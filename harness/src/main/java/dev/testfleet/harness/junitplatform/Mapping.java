package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.report.LegacyNames;
import dev.testfleet.harness.report.MethodNames;
import dev.testfleet.harness.wire.TestName;

import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.UniqueId;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/**
 * Where a node of the platform's test tree stands in the plan's terms; made from the node's parent
 * and the last segment of its unique id.
 *
 * <ul>
 *   <li>Jupiter: the segments name class, nested classes and method; segments below a method, and
 *       the invocations of a class template, are the invocation's path.
 *   <li>Vintage: leaves are methods, see {@link LegacyNames}.
 *   <li>TestNG: {@code class}, {@code method} (parameter types from its source), {@code invoc}.
 *   <li>Other engines: a method source makes a method, a class source a class; a test without
 *       either is named by what it displays.
 * </ul>
 */
final class Mapping {
    /** What a node is. */
    enum Kind {
        /** An engine, or a group that is neither class nor method. */
        GROUP,
        CLASS,
        METHOD,
        /** Below a method. */
        INVOCATION
    }

    final Kind kind;
    final String className;

    /** The planned test that the node is or is part of; null above methods. */
    final TestName test;

    /** {@code #2/#1}; empty when it is no invocation. */
    final String path;

    /** Whether it is one of several occurrences of a method, though its path does not say so. */
    final boolean repeated;

    /** Whether it is no test but a way to say that its class can't be run. */
    final boolean classFailure;

    private final Mapping parent;
    private final String engine;
    private final String displayName;

    private Mapping(
            Mapping parent,
            String engine,
            String displayName,
            Kind kind,
            String className,
            TestName test,
            String path,
            boolean repeated,
            boolean classFailure) {
        this.parent = parent;
        this.engine = engine;
        this.displayName = displayName;
        this.kind = kind;
        this.className = className;
        this.test = test;
        this.path = path;
        this.repeated = repeated;
        this.classFailure = classFailure;
    }

    boolean isEngine() {
        return parent == null;
    }

    /** Maps the nodes of one unit's tree. */
    static final class Mapper {
        private final String unitClass;
        private final Predicate<TestName> planned;

        Mapper(String unitClass, Predicate<TestName> planned) {
            this.unitClass = unitClass;
            this.planned = planned;
        }

        /**
         * @param parent null for an engine
         * @param source may be null
         */
        Mapping map(
                Mapping parent, UniqueId id, TestSource source, String displayName, boolean leaf) {
            List<UniqueId.Segment> segments = id.getSegments();
            UniqueId.Segment last = segments.get(segments.size() - 1);
            String value = last.getValue();
            if (parent == null || last.getType().equals("engine")) {
                return new Mapping(
                        parent, value, displayName, Kind.GROUP, unitClass, null, "", false, false);
            }
            switch (parent.engine) {
                case "junit-jupiter":
                    return jupiter(parent, last.getType(), value, displayName);
                case "junit-vintage":
                    return vintage(parent, last.getType(), value, source, displayName, leaf);
                case "testng":
                    return testng(parent, last.getType(), value, source, displayName);
                default:
                    return other(parent, value, source, displayName, leaf);
            }
        }

        private Mapping jupiter(Mapping parent, String type, String value, String displayName) {
            switch (type) {
                case "class":
                case "class-template":
                    return parent.ofClass(value, displayName);
                case "nested-class":
                case "nested-class-template":
                    return parent.ofClass(parent.className + "$" + value, displayName);
                case "method":
                case "test-template":
                case "test-factory":
                    return parent.ofMethod(method(value), displayName);
                default:
                    return parent.below(value, displayName);
            }
        }

        private Mapping vintage(
                Mapping parent,
                String type,
                String value,
                TestSource source,
                String displayName,
                boolean leaf) {
            if (type.equals("runner")) {
                return parent.ofClass(value, displayName);
            }
            if (!leaf) {
                return parent.group(displayName);
            }
            List<String> groups = new ArrayList<>();
            for (Mapping at = parent; at.kind == Kind.GROUP; at = at.parent) {
                groups.add(at.displayName);
            }
            LegacyNames names =
                    LegacyNames.resolve(
                            legacyClass(parent, value, source), displayName, groups, planned);
            return new Mapping(
                    parent,
                    parent.engine,
                    displayName,
                    Kind.METHOD,
                    names.test.className,
                    names.test,
                    "",
                    names.invocation,
                    names.classFailure);
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

        private static Mapping testng(
                Mapping parent, String type, String value, TestSource source, String displayName) {
            if (type.equals("class")) {
                return parent.ofClass(value, displayName);
            }
            if (type.equals("method")) {
                return parent.ofMethod(
                        source instanceof MethodSource
                                ? method((MethodSource) source)
                                : method(value),
                        displayName);
            }
            return parent.below(value, displayName);
        }

        private static Mapping other(
                Mapping parent, String value, TestSource source, String displayName, boolean leaf) {
            if (parent.test != null) {
                return parent.below(value, displayName);
            }
            if (source instanceof MethodSource) {
                MethodSource method = (MethodSource) source;
                return parent.ofClass(method.getClassName(), displayName)
                        .ofMethod(method(method), displayName);
            }
            if (leaf) {
                return parent.ofMethod(displayName, displayName);
            }
            return source instanceof ClassSource
                    ? parent.ofClass(((ClassSource) source).getClassName(), displayName)
                    : parent.group(displayName);
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
                    value.substring(owner + 1, open),
                    value.substring(open + 1, value.length() - 1));
        }
    }

    private Mapping ofClass(String name, String display) {
        return new Mapping(this, engine, display, Kind.CLASS, name, null, path, false, false);
    }

    private Mapping ofMethod(String method, String display) {
        TestName name = new TestName(className, method);
        return new Mapping(this, engine, display, Kind.METHOD, className, name, path, false, false);
    }

    private Mapping group(String display) {
        return new Mapping(this, engine, display, Kind.GROUP, className, null, path, false, false);
    }

    private Mapping below(String value, String display) {
        String id = value.startsWith("#") ? value : "#" + value;
        String longer = path.isEmpty() ? id : path + "/" + id;
        Kind below = test == null ? Kind.GROUP : Kind.INVOCATION;
        return new Mapping(this, engine, display, below, className, test, longer, false, false);
    }
}
