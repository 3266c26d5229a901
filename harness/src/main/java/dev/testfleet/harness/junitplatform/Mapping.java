package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.report.LegacyNames;
import dev.testfleet.harness.report.Suites;
import dev.testfleet.harness.wire.TestName;

/** Where a node of the platform's test tree stands in the plan's terms; see {@link Mapper}. */
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

    /** The class as its engine names it. */
    final String className;

    /** The planned test that the node is or is part of; null above methods. */
    final TestName test;

    /** {@code #2/#1}; empty when it is no invocation. */
    final String path;

    /** Whether it is one of several occurrences of a method, though its path does not say so. */
    final boolean repeated;

    /** Whether it is no test but a way to say that its class can't be run. */
    final boolean classFailure;

    /** Null for the root of a tree. */
    final Mapping parent;

    /** Id of the engine that the node belongs to. */
    final String engine;

    /** The suites around it; a suite is around itself. */
    final Suites suites;

    /** What JUnit 4 has above it; null in other engines. */
    final LegacyNames.Above above;

    /** Equal for nodes that JUnit 4 can only run, or leave out, together; null in other engines. */
    final String twin;

    private Mapping(Builder from) {
        kind = from.kind;
        className = from.className;
        test = from.test;
        path = from.path;
        repeated = from.repeated;
        classFailure = from.classFailure;
        parent = from.parent;
        engine = from.engine;
        suites = from.suites;
        above = from.above;
        twin = from.twin;
    }

    Mapping root() {
        Mapping at = this;
        while (at.parent != null) {
            at = at.parent;
        }
        return at;
    }

    boolean isEngine() {
        return parent == null;
    }

    /** What the names of a class's tests begin with, see {@link Suites#ownClass}. */
    TestName ownClass() {
        return parent.suites.ownClass(className);
    }

    /** A root, which has to say all, or a copy of a parent, of which a child differs. */
    static final class Builder {
        private final Mapping parent;
        private Kind kind = Kind.GROUP;
        private String className;
        private TestName test;
        private String path = "";
        private boolean repeated;
        private boolean classFailure;
        private String engine;
        private Suites suites = Suites.NONE;
        private LegacyNames.Above above;
        private String twin;

        /** The root of a tree. */
        Builder(String unitClass, String engine) {
            this.parent = null;
            this.className = unitClass;
            this.engine = engine;
        }

        /** A child. */
        Builder(Mapping parent) {
            this.parent = parent;
            className = parent.className;
            test = parent.test;
            path = parent.path;
            engine = parent.engine;
            suites = parent.suites;
            above = parent.above;
        }

        Builder engine(String id) {
            engine = id;
            above = null;
            return this;
        }

        Builder suite(String name) {
            suites = parent.suites.with(name);
            return inClass(name);
        }

        Builder inClass(String name) {
            kind = Kind.CLASS;
            className = name;
            return this;
        }

        Builder above(LegacyNames.Above more) {
            above = more;
            return this;
        }

        /** A method of the class that its engine knows by this name. */
        Builder method(String method) {
            return method(suites.own(new TestName(className, method)));
        }

        Builder method(TestName name) {
            kind = Kind.METHOD;
            test = name;
            return this;
        }

        Builder legacy(LegacyNames names, String description) {
            twin = description;
            repeated = names.invocation;
            classFailure = names.classFailure;
            return method(names.test);
        }

        /** A part of a test, or of several when it is above the methods. */
        Builder invocation(String value) {
            String id = value.startsWith("#") ? value : "#" + value;
            path = path.isEmpty() ? id : path + "/" + id;
            kind = test == null ? Kind.GROUP : Kind.INVOCATION;
            return this;
        }

        Mapping build() {
            return new Mapping(this);
        }
    }
}
