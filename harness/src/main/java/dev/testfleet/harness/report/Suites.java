package dev.testfleet.harness.report;

import dev.testfleet.harness.wire.TestName;

/**
 * The suites that a test lies in. They own it: {@code AllTests > com.acme.FooTest.adds()}, so that
 * the same test has another name, and another verdict, where its class is run by itself.
 */
public final class Suites {
    /** No suite at all. */
    public static final Suites NONE = new Suites(null, null);

    private final Suites outer;
    private final String className;

    private Suites(Suites outer, String className) {
        this.outer = outer;
        this.className = className;
    }

    /** A suite inside of these. */
    public Suites with(String suiteClass) {
        return new Suites(this, suiteClass);
    }

    /** The name of a test that its own class calls so. */
    public TestName own(TestName test) {
        TestName name = test;
        for (Suites at = this; at.className != null; at = at.outer) {
            // What a suite class declares itself needs no other class's name.
            if (!name.className.equals(at.className)) {
                name = new TestName(at.className, name.className + "." + name.method);
            }
        }
        return name;
    }

    /**
     * What the tests of a class begin with: without suites the class and an empty method, else the
     * suite's class and the names up to the class.
     */
    public TestName ownClass(String name) {
        TestName prefix = own(new TestName(name, ""));
        return prefix.method.isEmpty()
                ? prefix
                : new TestName(
                        prefix.className, prefix.method.substring(0, prefix.method.length() - 1));
    }

    /** Whether a test is one of the class that {@link #ownClass} names, or of one nested in it. */
    static boolean isBelow(TestName test, TestName ownClass) {
        return ownClass.method.isEmpty()
                ? isOrNested(test.className, ownClass.className)
                : test.className.equals(ownClass.className)
                        && (test.method.startsWith(ownClass.method + ".")
                                || test.method.startsWith(ownClass.method + "$"));
    }

    /** Whether a class is another one or nested in it. */
    public static boolean isOrNested(String className, String outer) {
        return className.equals(outer) || className.startsWith(outer + "$");
    }
}
