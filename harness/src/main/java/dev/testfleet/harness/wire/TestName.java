package dev.testfleet.harness.wire;

/**
 * Class and method of a test: what is planned.
 *
 * <p>The class is a binary name; for a nested class the top-level class that the framework runs,
 * then {@code $} and the simple names on the way. The method carries its parameter types as sources
 * name them: {@code adds(int, java.lang.String[])}.
 */
public final class TestName {
    public final String className;
    public final String method;
    private final int hash;

    public TestName(String className, String method) {
        this.className = className;
        this.method = method;
        this.hash = 31 * className.hashCode() + method.hashCode();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof TestName
                && className.equals(((TestName) other).className)
                && method.equals(((TestName) other).method);
    }

    @Override
    public int hashCode() {
        return hash;
    }

    @Override
    public String toString() {
        return className + " > " + method;
    }
}
