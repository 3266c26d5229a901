package dev.testfleet.harness.junitplatform;

import dev.testfleet.harness.junit4.ListedTests;

import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;

/** Finds out what is wrong with a class where the platform keeps it to itself. */
final class ClassCheck {
    private ClassCheck() {}

    /**
     * Loads the class, without initialising it, and everything that its members' signatures name.
     *
     * @throws ClassNotFoundException when it is not on the class path
     */
    static void check(String className) throws ClassNotFoundException {
        Class<?> type = load(className);
        for (Class<?> at = type; at != null && at != Object.class; at = at.getSuperclass()) {
            at.getDeclaredMethods();
        }
    }

    /**
     * What to throw for a class that JUnit 4 refuses. Called only when the Vintage engine found it,
     * so that JUnit 4 is there.
     */
    static Exception refused(String unitClass, TestDescriptor failure) {
        Object source = failure.getSource().orElse(null);
        String className =
                source instanceof MethodSource
                        ? ((MethodSource) source).getClassName()
                        : source instanceof ClassSource
                                ? ((ClassSource) source).getClassName()
                                : unitClass;
        Class<?> type = null;
        try {
            type = load(className.startsWith("junit.framework.") ? unitClass : className);
        } catch (ClassNotFoundException e) {
            // It has no class of its own; what is displayed must do.
            return ListedTests.refused(null, failure.getDisplayName());
        }
        return ListedTests.refused(type, failure.getDisplayName());
    }

    private static Class<?> load(String className) throws ClassNotFoundException {
        return Class.forName(className, false, Thread.currentThread().getContextClassLoader());
    }
}
