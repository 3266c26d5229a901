package dev.testfleet.harness.report;

import java.lang.annotation.Annotation;
import java.lang.reflect.Method;
import java.util.Collections;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** What classes say that JUnit 3 or 4 runs. By reflection: JUnit 4 need not be there. */
public final class LegacyClasses {
    private static final String RUN_WITH = "org.junit.runner.RunWith";
    private static final String ENCLOSED = "org.junit.experimental.runners.Enclosed";

    /** Stands for what can't be read; compared by identity. */
    private static final Set<String> UNKNOWN = Collections.unmodifiableSet(new HashSet<String>());

    private final Map<String, Set<String>> methods = new ConcurrentHashMap<>();

    /** Whether a class's runner runs the classes inside of it, which keep their own names. */
    boolean isEnclosed(String className) {
        Class<?> type = load(className);
        try {
            if (type != null) {
                for (Annotation annotation : type.getAnnotations()) {
                    if (annotation.annotationType().getName().equals(RUN_WITH)) {
                        Method value = annotation.annotationType().getMethod("value");
                        return ((Class<?>) value.invoke(annotation)).getName().equals(ENCLOSED);
                    }
                }
            }
        } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
            // A class that can't tell has no runner either.
            return false;
        }
        return false;
    }

    /** Names of a class's methods, inherited ones too; null when there is no such class. */
    Set<String> methods(String className) {
        Set<String> names = methods.computeIfAbsent(className, LegacyClasses::read);
        return names == UNKNOWN ? null : names;
    }

    private static Set<String> read(String className) {
        Class<?> type = load(className);
        if (type == null) {
            return UNKNOWN;
        }
        Set<String> names = new HashSet<>();
        try {
            for (Class<?> at = type; at != null && at != Object.class; at = at.getSuperclass()) {
                for (Method method : at.getDeclaredMethods()) {
                    names.add(method.getName());
                }
            }
            for (Method method : type.getMethods()) {
                names.add(method.getName());
            }
        } catch (LinkageError e) {
            // A type in a signature is missing: the framework will say so.
            return UNKNOWN;
        }
        return names;
    }

    private static Class<?> load(String className) {
        try {
            return Class.forName(className, false, Thread.currentThread().getContextClassLoader());
        } catch (ClassNotFoundException | LinkageError e) {
            return null;
        }
    }
}
